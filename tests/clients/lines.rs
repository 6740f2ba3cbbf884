//! A long text, for whoever sends one.

/// Lines of all lengths from 0 to 79, some of which begin with a dot.
pub(crate) fn lines(octets: usize) -> Vec<u8> {
    let mut text = Vec::with_capacity(octets + 100);
    let mut length = 0;
    while text.len() < octets {
        length = (length + 7) % 80;
        text.extend((0..length).map(|at| if at == 0 && length % 3 == 0 { b'.' } else { b'a' + (at % 26) as u8 }));
        text.extend_from_slice(b"\r\n");
    }
    text
}
