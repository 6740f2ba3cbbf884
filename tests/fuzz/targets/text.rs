//! The dot codec, cut anywhere, against a reference that has the whole text at hand.
#![no_main]

use heapless::VecView;
use libfuzzer_sys::fuzz_target;
use smtpd_core::wire::{Decoder, Encoder, Piece};

// Four octets say how the rest is cut and how much room there is.
fuzz_target!(|octets: &[u8]| {
    let Some((&[one, two, room, capacity], text)) = octets.split_first_chunk() else { return };
    let cuts = [usize::from(one) + 1, usize::from(two) + 1];
    let room = if room == 255 { usize::MAX } else { usize::from(room) + 1 };
    assert_eq!(decode(text, cuts, room), reference(text));

    let wire = encode(text, cuts, capacity);
    assert!(!wire.windows(2).any(|pair| (pair[0] == b'\r') != (pair[1] == b'\n')), "a bare CR or LF");
    assert_eq!(decode(&wire, cuts, room), (repaired(text), Some(wire.len())));
});

/// RFC 5321 §4.5.2, line by line: the text, and the octets up to the end if it has one.
fn reference(wire: &[u8]) -> (Vec<u8>, Option<usize>) {
    let (mut text, mut rest) = (Vec::new(), wire);
    while let Some(length) = rest.windows(2).position(|pair| pair == b"\r\n") {
        let (line, behind) = rest.split_at(length + 2);
        rest = behind;
        if line == b".\r\n" {
            return (text, Some(wire.len() - rest.len()));
        }
        text.extend_from_slice(line.strip_prefix(b".").unwrap_or(line));
    }
    // Whether these are text is not known yet.
    if rest != b".\r" {
        text.extend_from_slice(rest.strip_prefix(b".").unwrap_or(rest));
    }
    (text, None)
}

fn decode(wire: &[u8], cuts: [usize; 2], room: usize) -> (Vec<u8>, Option<usize>) {
    let (mut decoder, mut text) = (Decoder::new(), Vec::new());
    let mut taken = 0;
    for cut in cuts.into_iter().cycle() {
        let mut input = &wire[taken..wire.len().min(taken + cut)];
        let given = input.len();
        if given == 0 {
            break;
        }
        // Without room there is no text, and the end is still seen.
        match decoder.next(&mut input, 0) {
            Piece::Text(octets) => panic!("{octets:?} and no room"),
            Piece::End => return (text, Some(taken + given - input.len())),
            Piece::Starved => {}
        }
        loop {
            match decoder.next(&mut input, room) {
                Piece::Text(octets) => {
                    assert!((1..=room).contains(&octets.len()));
                    text.extend_from_slice(octets);
                }
                Piece::End => {
                    assert_eq!(decoder, Decoder::new());
                    return (text, Some(taken + given - input.len()));
                }
                Piece::Starved => break,
            }
        }
        assert!(input.is_empty(), "there was room for it");
        taken += given;
    }
    (text, None)
}

fn encode(text: &[u8], cuts: [usize; 2], capacity: u8) -> Vec<u8> {
    let (mut five, mut seven, mut more) =
        (heapless::Vec::<u8, 5>::new(), heapless::Vec::<u8, 7>::new(), heapless::Vec::<u8, 64>::new());
    let out: &mut VecView<u8> = match capacity % 3 {
        0 => &mut five,
        1 => &mut seven,
        _ => &mut more,
    };
    let (mut encoder, mut wire, mut rest) = (Encoder::new(), Vec::new(), text);
    for cut in cuts.into_iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let taken = encoder.push(&rest[..cut.min(rest.len())], out);
        assert!(taken > 0 || out.capacity() - out.len() < 2, "there was room for it");
        rest = &rest[taken..];
        if taken == 0 || capacity & 128 != 0 {
            wire.extend_from_slice(out);
            out.clear();
        }
    }
    if !encoder.end(out) {
        wire.extend_from_slice(out);
        out.clear();
        assert!(encoder.end(out), "five octets are enough");
    }
    wire.extend_from_slice(out);
    wire
}

/// What a text is once every line end in it is a CRLF, the last one too.
fn repaired(text: &[u8]) -> Vec<u8> {
    let (mut repaired, mut rest) = (Vec::new(), text);
    while let Some(end) = rest.iter().position(|octet| matches!(octet, b'\r' | b'\n')) {
        repaired.extend_from_slice(&rest[..end]);
        repaired.extend_from_slice(b"\r\n");
        rest = &rest[end..];
        rest = rest.strip_prefix(b"\r\n").unwrap_or(&rest[1..]);
    }
    repaired.extend_from_slice(rest);
    if !rest.is_empty() {
        repaired.extend_from_slice(b"\r\n");
    }
    repaired
}
