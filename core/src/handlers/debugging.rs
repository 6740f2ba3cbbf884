//! What Python's `smtpd.DebuggingServer` prints for a mail, octet for octet (CPython 3.11 and 2.7).
//!
//! It knows how a mail looks when it is printed, not where it comes from and not where the octets go.
use core::net::IpAddr;

use crate::wire::{self, hex_digit};

/// Where printed octets go: a UART, semihosting, a buffer.
pub trait Sink {
    /// Takes all of `octets`; a sink that cannot must drop them, for printing has no way to fail.
    fn write(&mut self, octets: &[u8]);
}

impl<S: Sink + ?Sized> Sink for &mut S {
    fn write(&mut self, octets: &[u8]) {
        (**self).write(octets);
    }
}

/// How the octets of a mail are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Form {
    /// Each line as Python shows bytes, `b'Subject: hi'`: its default. No control character of a text reaches a terminal.
    Bytes,
    /// Each line as it came: Python's `decode_data=True`, which tells its handler no options either.
    Plain,
    /// Each line as it came, as Python 2.7 shows it: only LF and CRLF end one, an empty one at the end is shown, options are
    /// not.
    Python2_7,
}

/// A mail to print.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Printed<'m> {
    /// The peer's address for the line `X-Peer`; where there is none (a serial line, a Unix socket) the line is left
    /// out, for it would say nothing. Python fails there.
    pub peer: Option<IpAddr>,
    /// The parameters of MAIL as they came, with spaces between them (RFC 5321 §4.1.2); shown in upper case, as far
    /// as they are ASCII.
    pub mail_options: &'m [u8],
    /// The parameters of the last RCPT in the same way; Python refuses them all, so it never shows any.
    pub rcpt_options: &'m [u8],
    /// The text behind DATA after dots were taken off (RFC 5321 §4.5.2), with its line ends as they came.
    pub data: &'m [u8],
}

/// Prints a mail between the two lines of dashes, each line with an LF.
///
/// Like Python 3 it takes a bare CR, a bare LF and CR CR LF for the end of a line too, and does not show an empty line at
/// the end. `X-Peer` stands before the first empty line, or nowhere if there is none.
pub fn print(sink: &mut dyn Sink, message: &Printed<'_>, form: Form) {
    sink.write(b"---------- MESSAGE FOLLOWS ----------\n");
    if form == Form::Bytes {
        options(sink, b"mail options: [", message.mail_options, b"]\n");
        options(sink, b"rcpt options: [", message.rcpt_options, b"]\n\n");
    }
    // Python splits the text at CRLF and joins it with LF, so that the last CRLF ends nothing.
    let text = message.data.strip_suffix(b"\r\n").unwrap_or(message.data);
    let mut headers = true;
    let shows_empty = form == Form::Python2_7;
    let mut rest = Some(text);
    while let Some(text) = rest.filter(|rest| shows_empty || !rest.is_empty()) {
        let line;
        (line, rest) = next_line(text, form);
        if headers && line.is_empty() {
            headers = false;
            peer(sink, message.peer, form);
        }
        match form {
            Form::Bytes => bytes(sink, line),
            Form::Plain | Form::Python2_7 => sink.write(line),
        }
        sink.write(b"\n");
    }
    sink.write(b"------------ END MESSAGE ------------\n");
}

/// Writes an address as `getnameinfo` and `inet_ntop` of glibc do, and so Python's sockets: see [`wire::write_ip`].
///
/// A scope (`%eth0`) is not part of an [`IpAddr`].
pub fn write_ip(sink: &mut dyn Sink, ip: IpAddr) {
    let mut text = heapless::Vec::<u8, 39>::new();
    if wire::write_ip(&mut text, ip) {
        sink.write(&text);
    }
}

/// The parameters as Python shows a list of strings, or nothing if there are none.
fn options(sink: &mut dyn Sink, start: &[u8], raw: &[u8], end: &[u8]) {
    let mut before = start;
    for option in raw.split(u8::is_ascii_whitespace).filter(|option| !option.is_empty()) {
        sink.write(before);
        before = b", ";
        let quote = quote(option);
        sink.write(&[quote]);
        for octet in option.iter().map(u8::to_ascii_uppercase) {
            // Python shows letters beyond ASCII as they are here: these are strings.
            if octet > 0x7f || is_plain(octet, quote) {
                sink.write(&[octet]);
            } else {
                escaped(sink, octet);
            }
        }
        sink.write(&[quote]);
    }
    if before != start {
        sink.write(end);
    }
}

fn peer(sink: &mut dyn Sink, peer: Option<IpAddr>, form: Form) {
    let Some(ip) = peer else { return };
    let (start, end): (&[u8], &[u8]) = match form {
        Form::Bytes => (b"b'X-Peer: ", b"'\n"),
        Form::Plain | Form::Python2_7 => (b"X-Peer: ", b"\n"),
    };
    sink.write(start);
    write_ip(sink, ip);
    sink.write(end);
}

/// The first line of the text, and what stands behind its end if it has one.
fn next_line(text: &[u8], form: Form) -> (&[u8], Option<&[u8]>) {
    for (place, octet) in text.iter().enumerate() {
        // Line ends are control characters or begin with C2 or E2; the others need no closer look.
        if (b' '..0xc2).contains(octet) {
            continue;
        }
        let Some((line, behind)) = text.split_at_checked(place) else {
            break;
        };
        if let Some(length) = line_end(behind, form) {
            return (line, behind.get(length..));
        }
    }
    (text, None)
}

/// How many octets the line end has with which `text` begins, if it begins with one.
fn line_end(text: &[u8], form: Form) -> Option<usize> {
    match (form, text) {
        (Form::Python2_7, [b'\r', b'\n', ..]) => Some(2),
        (Form::Python2_7, [b'\n', ..]) => Some(1),
        (Form::Python2_7, _) => None,
        // Of this CRLF Python makes an LF, and of CR LF then one line end.
        (_, [b'\r', b'\r', b'\n', ..]) => Some(3),
        (_, [b'\r', b'\n', ..]) => Some(2),
        (_, [b'\r' | b'\n', ..]) => Some(1),
        // Lines of a Python string also end at VT, FF, FS, GS, RS, U+0085, U+2028 and U+2029.
        (Form::Plain, [0x0b | 0x0c | 0x1c..=0x1e, ..]) => Some(1),
        (Form::Plain, [0xc2, 0x85, ..]) => Some(2),
        (Form::Plain, [0xe2, 0x80, 0xa8 | 0xa9, ..]) => Some(3),
        _ => None,
    }
}

/// A line as Python shows bytes.
fn bytes(sink: &mut dyn Sink, line: &[u8]) {
    let quote = quote(line);
    sink.write(&[b'b', quote]);
    let mut rest = line;
    while !rest.is_empty() {
        let plain = rest.iter().take_while(|octet| is_plain(**octet, quote)).count();
        let Some((run, behind)) = rest.split_at_checked(plain) else {
            break;
        };
        if !run.is_empty() {
            sink.write(run);
        }
        let Some((octet, behind)) = behind.split_first() else {
            break;
        };
        escaped(sink, *octet);
        rest = behind;
    }
    sink.write(&[quote]);
}

/// Python quotes with `"` only what holds `'` and no `"`.
fn quote(octets: &[u8]) -> u8 {
    if octets.contains(&b'\'') && !octets.contains(&b'"') { b'"' } else { b'\'' }
}

fn is_plain(octet: u8, quote: u8) -> bool {
    matches!(octet, b' '..0x7f) && octet != quote && octet != b'\\'
}

fn escaped(sink: &mut dyn Sink, octet: u8) {
    match octet {
        b'\t' => sink.write(b"\\t"),
        b'\n' => sink.write(b"\\n"),
        b'\r' => sink.write(b"\\r"),
        b' '..0x7f => sink.write(&[b'\\', octet]),
        _ => sink.write(&[b'\\', b'x', hex_digit(octet >> 4), hex_digit(octet & 15)]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::net::Ipv6Addr;
    use std::vec::Vec;

    impl Sink for Vec<u8> {
        fn write(&mut self, octets: &[u8]) {
            self.extend_from_slice(octets);
        }
    }

    const START: &[u8] = b"---------- MESSAGE FOLLOWS ----------\n";
    const END: &[u8] = b"------------ END MESSAGE ------------\n";

    /// What is printed between the frame lines.
    fn printed(message: &Printed<'_>, form: Form) -> Vec<u8> {
        let mut sink = Vec::new();
        print(&mut sink, message, form);
        let inner = sink.strip_prefix(START).and_then(|rest| rest.strip_suffix(END));
        inner.expect("frame lines").to_vec()
    }

    // The expectations are what CPython 3.11, and 2.7 for its form, printed for the same octets on the wire.

    #[test]
    fn texts() {
        // The text; as bytes, plain, by Python 2.7.
        type Row = (&'static [u8], &'static [u8], &'static [u8], &'static [u8]);
        let rows: &[Row] = &[
            (b"", b"", b"", b"X-Peer: ::1\n\n"),
            (b"\r\n", b"", b"", b"X-Peer: ::1\n\n"),
            (b"\r\n\r\n", b"b'X-Peer: ::1'\nb''\n", b"X-Peer: ::1\n\n", b"X-Peer: ::1\n\n\n"),
            (
                b"Subject: hi\r\n\r\nbody\r\n\r\nmore\r\n",
                b"b'Subject: hi'\nb'X-Peer: ::1'\nb''\nb'body'\nb''\nb'more'\n",
                b"Subject: hi\nX-Peer: ::1\n\nbody\n\nmore\n",
                b"Subject: hi\nX-Peer: ::1\n\nbody\n\nmore\n",
            ),
            (b"no body\r\n", b"b'no body'\n", b"no body\n", b"no body\n"),
            (b"a\r\n\r\n", b"b'a'\n", b"a\n", b"a\nX-Peer: ::1\n\n"),
            (b"\r\na\r\n", b"b'X-Peer: ::1'\nb''\nb'a'\n", b"X-Peer: ::1\n\na\n", b"X-Peer: ::1\n\na\n"),
            (
                b"a\rb\nc\r\r\nd\r\r\r\ne\r\n",
                b"b'a'\nb'b'\nb'c'\nb'd'\nb'X-Peer: ::1'\nb''\nb'e'\n",
                b"a\nb\nc\nd\nX-Peer: ::1\n\ne\n",
                b"a\rb\nc\r\nd\r\r\ne\n",
            ),
            (b"\n\r\n", b"b'X-Peer: ::1'\nb''\n", b"X-Peer: ::1\n\n", b"X-Peer: ::1\n\n\n"),
            (b"a\n\rb\r\n", b"b'a'\nb'X-Peer: ::1'\nb''\nb'b'\n", b"a\nX-Peer: ::1\n\nb\n", b"a\n\rb\n"),
            (b"it's\r\n", b"b\"it's\"\n", b"it's\n", b"it's\n"),
            (b"say \"it's\"\r\n", b"b'say \"it\\'s\"'\n", b"say \"it's\"\n", b"say \"it's\"\n"),
            (b"\"\r\n", b"b'\"'\n", b"\"\n", b"\"\n"),
            (
                b"\\'\t\x00\x1f ~\x7f\xc3\xa9\xff\r\n",
                b"b\"\\\\'\\t\\x00\\x1f ~\\x7f\\xc3\\xa9\\xff\"\n",
                b"\\'\t\x00\x1f ~\x7f\xc3\xa9\xff\n",
                b"\\'\t\x00\x1f ~\x7f\xc3\xa9\xff\n",
            ),
            (
                b"a\x0bb\x0cc\x1cd\x1de\x1ef\x1fg\r\n",
                b"b'a\\x0bb\\x0cc\\x1cd\\x1de\\x1ef\\x1fg'\n",
                b"a\nb\nc\nd\ne\nf\x1fg\n",
                b"a\x0bb\x0cc\x1cd\x1de\x1ef\x1fg\n",
            ),
            (
                b"a\xc2\x85b\xe2\x80\xa8c\xe2\x80\xa9d\xc2\x84e\xe2\x80\xa7f\r\n",
                b"b'a\\xc2\\x85b\\xe2\\x80\\xa8c\\xe2\\x80\\xa9d\\xc2\\x84e\\xe2\\x80\\xa7f'\n",
                b"a\nb\nc\nd\xc2\x84e\xe2\x80\xa7f\n",
                b"a\xc2\x85b\xe2\x80\xa8c\xe2\x80\xa9d\xc2\x84e\xe2\x80\xa7f\n",
            ),
            (b".\r\n..\r\n", b"b'.'\nb'..'\n", b".\n..\n", b".\n..\n"),
        ];
        for (data, bytes, plain, python_2_7) in rows {
            let message =
                Printed { peer: Some(IpAddr::V6(Ipv6Addr::LOCALHOST)), mail_options: b"", rcpt_options: b"", data };
            assert_eq!(printed(&message, Form::Bytes), *bytes, "{data:?}");
            assert_eq!(printed(&message, Form::Plain), *plain, "{data:?}");
            assert_eq!(printed(&message, Form::Python2_7), *python_2_7, "{data:?}");
        }
    }

    #[test]
    fn options() {
        let rows: &[(&[u8], &[u8], &[u8])] = &[
            (b"", b"", b"b'a'\n"),
            (b"BODY=8BITMIME SIZE=10", b"", b"mail options: ['BODY=8BITMIME', 'SIZE=10']\nb'a'\n"),
            (b"body=8bitmime", b"", b"mail options: ['BODY=8BITMIME']\nb'a'\n"),
            (b"", b" x", b"rcpt options: ['X']\n\nb'a'\n"),
            (b"  a=1   b ", b"c", b"mail options: ['A=1', 'B']\nrcpt options: ['C']\n\nb'a'\n"),
            (b"k=it's", b"k=\"it's\"", b"mail options: [\"K=IT'S\"]\nrcpt options: ['K=\"IT\\'S\"']\n\nb'a'\n"),
            (
                b"k=\\\x01\x7f",
                b"k=\xc3\x80",
                b"mail options: ['K=\\\\\\x01\\x7f']\nrcpt options: ['K=\xc3\x80']\n\nb'a'\n",
            ),
        ];
        for (mail_options, rcpt_options, bytes) in rows {
            let message = Printed { peer: None, mail_options, rcpt_options, data: b"a\r\n" };
            assert_eq!(printed(&message, Form::Bytes), *bytes, "{mail_options:?} {rcpt_options:?}");
            assert_eq!(printed(&message, Form::Plain), b"a\n");
            assert_eq!(printed(&message, Form::Python2_7), b"a\n");
        }
    }

    #[test]
    fn without_a_peer_the_line_is_left_out() {
        let message = Printed { peer: None, mail_options: b"", rcpt_options: b"", data: b"a\r\n\r\nb\r\n" };
        assert_eq!(printed(&message, Form::Bytes), b"b'a'\nb''\nb'b'\n");
        assert_eq!(printed(&message, Form::Plain), b"a\n\nb\n");
        assert_eq!(printed(&message, Form::Python2_7), b"a\n\nb\n");
    }

    #[test]
    fn a_text_without_line_end_keeps_its_last_line() {
        // BDAT may bring such a text (RFC 3030); Python knows no BDAT.
        let message = Printed { peer: None, mail_options: b"", rcpt_options: b"", data: b"a\r\nb" };
        assert_eq!(printed(&message, Form::Bytes), b"b'a'\nb'b'\n");
        assert_eq!(printed(&message, Form::Python2_7), b"a\nb\n");
    }

    #[test]
    fn addresses() {
        for ip in ["192.0.2.1", "::1.2.3.4", "abcd:abcd:abcd:abcd:abcd:abcd:abcd:abcd"] {
            let mut sink = Vec::new();
            write_ip(&mut sink, ip.parse().expect("an address"));
            assert_eq!(sink, ip.as_bytes());
        }
    }
}
