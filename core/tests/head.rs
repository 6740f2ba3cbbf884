//! The end of a header section, found while the text streams by.

use proptest::collection::vec;
use proptest::prelude::*;
use smtpd_core::handlers::{Head, Headers, Part};

/// The text with the mark where its header section ends, how many `Received` it has, and whether a `Message-ID`.
type Found = (Vec<u8>, u8, bool);

const MARK: &[u8] = b"<END>";

/// What comes of a text in these pieces; fails if octets come late, or parts are empty.
fn found<'t>(pieces: impl IntoIterator<Item = &'t [u8]>) -> Found {
    let (mut head, mut out) = (Head::new(), Vec::new());
    let (mut taken, mut ends) = (0, 0);
    for mut piece in pieces {
        taken += piece.len();
        while let Some(part) = head.next(&mut piece) {
            put(&mut out, &mut ends, part);
        }
        assert!(piece.is_empty(), "octets are left");
        let passed = out.len() - ends * MARK.len();
        assert_eq!(passed, taken, "something is held back");
    }
    while let Some(part) = head.end() {
        put(&mut out, &mut ends, part);
    }
    assert_eq!((ends, head.end()), (1, None));
    (out, head.received(), head.has_message_id())
}

fn put(out: &mut Vec<u8>, ends: &mut usize, part: Part<'_>) {
    match part {
        Part::Octets(octets) => {
            assert_ne!(octets, b"");
            out.extend_from_slice(octets);
        }
        Part::End => {
            *ends += 1;
            out.extend_from_slice(MARK);
        }
    }
}

/// The lines of a text, with their ends: CRLF, LF or CR.
fn lines(text: &[u8]) -> Vec<&[u8]> {
    let (mut lines, mut begin) = (Vec::new(), 0);
    for at in 0..text.len() {
        if text[at] == b'\n' || text[at] == b'\r' && text.get(at + 1) != Some(&b'\n') {
            lines.push(&text[begin..=at]);
            begin = at + 1;
        }
    }
    lines.push(&text[begin..]);
    lines
}

/// The same from the whole text at once, its fields by [`Headers`] from what the next server gets.
fn expected(text: &[u8]) -> Found {
    let lines = lines(text);
    let header = lines.iter().take_while(|line| !matches!(**line, b"\n" | b"\r" | b"\r\n"));
    let (header, body) = text.split_at(header.map(|line| line.len()).sum());
    let line_end: &[u8] = if matches!(header, [] | [.., b'\n' | b'\r']) { b"" } else { b"\r\n" };
    let (mut headers, mut received, mut has_message_id) = (Headers::<4096>::new(), 0_u8, false);
    let mut field = |field: smtpd_core::handlers::Field<'_>| {
        received = received.saturating_add(u8::from(field.name.eq_ignore_ascii_case(b"Received")));
        has_message_id |= field.name.eq_ignore_ascii_case(b"Message-ID");
    };
    for line in lines {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        headers.text(line.strip_suffix(b"\r").unwrap_or(line), &mut field);
        headers.text(b"\r\n", &mut field);
    }
    headers.end(&mut field);
    ([header, line_end, MARK, body].concat(), received, has_message_id)
}

#[test]
fn ends_and_fields() {
    for (text, marked, received, has_message_id) in [
        // Without a header.
        ("", "<END>", 0, false),
        ("\r\nReceived: x\r\n", "<END>\r\nReceived: x\r\n", 0, false),
        ("\nMessage-ID: x\r\n", "<END>\nMessage-ID: x\r\n", 0, false),
        ("\r\n\r\n", "<END>\r\n\r\n", 0, false),
        ("A: x\r\n\r\nB: y\r\n\r\n", "A: x\r\n<END>\r\nB: y\r\n\r\n", 0, false),
        ("A: x\n\nB: y\n", "A: x\n<END>\nB: y\n", 0, false),
        ("A: x\r\n\nB: y\r\n", "A: x\r\n<END>\nB: y\r\n", 0, false),
        // Without a body.
        ("A: x\r\n", "A: x\r\n<END>", 0, false),
        ("A: x\r\n\r\n", "A: x\r\n<END>\r\n", 0, false),
        ("A: x", "A: x\r\n<END>", 0, false),
        ("A: x\r", "A: x\r<END>", 0, false),
        ("A: x\r\n\r", "A: x\r\n<END>\r", 0, false),
        ("Received", "Received\r\n<END>", 0, false),
        // The next server gets a CRLF for a bare CR.
        ("A: x\r\n\r\r\nB: y\r\n\r\n", "A: x\r\n<END>\r\r\nB: y\r\n\r\n", 0, false),
        ("A: x\r\rB: y\r\n\r\n", "A: x\r<END>\rB: y\r\n\r\n", 0, false),
        ("\rReceived: x\r\n\r\n", "<END>\rReceived: x\r\n\r\n", 0, false),
        ("A: x\rReceived: x\rMessage-ID: x\r\n\r\n", "A: x\rReceived: x\rMessage-ID: x\r\n<END>\r\n", 1, true),
        // What is no field ends no header, and a line of white space is not empty.
        ("A: x\r\nHello,\r\nB: y\r\n\r\nbody", "A: x\r\nHello,\r\nB: y\r\n<END>\r\nbody", 0, false),
        ("From a@b\nReceived: x\n\n", "From a@b\nReceived: x\n<END>\n", 1, false),
        ("A: x\r\n \r\n y\r\n\r\n", "A: x\r\n \r\n y\r\n<END>\r\n", 0, false),
        // Names in any letter case, white space before the colon (RFC 5322 §4.5.8), no value.
        ("Received: x\r\nRECEIVED:\r\nreceived \t: y", "Received: x\r\nRECEIVED:\r\nreceived \t: y\r\n<END>", 3, false),
        ("message-id:\r\n\r\n", "message-id:\r\n<END>\r\n", 0, true),
        ("MESSAGE-ID : <x@y>\r\n\r\n", "MESSAGE-ID : <x@y>\r\n<END>\r\n", 0, true),
        // Other fields.
        ("X-Received: x\r\n\r\n", "X-Received: x\r\n<END>\r\n", 0, false),
        ("Receive: x\r\n\r\n", "Receive: x\r\n<END>\r\n", 0, false),
        ("Received-SPF: x\r\n\r\n", "Received-SPF: x\r\n<END>\r\n", 0, false),
        ("Received x: y\r\n\r\n", "Received x: y\r\n<END>\r\n", 0, false),
        ("Received\r\n: y\r\n\r\n", "Received\r\n: y\r\n<END>\r\n", 0, false),
        ("Received \r: y\r\n\r\n", "Received \r: y\r\n<END>\r\n", 0, false),
        ("Message-IDs: y\r\nMessage_ID: y\r\n\r\n", "Message-IDs: y\r\nMessage_ID: y\r\n<END>\r\n", 0, false),
        // Lines that continue one, and values.
        ("A: x\r\n Received: y\r\n\tMessage-ID: z\r\n", "A: x\r\n Received: y\r\n\tMessage-ID: z\r\n<END>", 0, false),
        ("A: Received: y Message-ID: z\r\n", "A: Received: y Message-ID: z\r\n<END>", 0, false),
    ] {
        let row = (marked.as_bytes().to_vec(), received, has_message_id);
        assert_eq!(expected(text.as_bytes()), row, "{text:?}");
        assert_eq!(found([text.as_bytes()]), row, "{text:?}");
        assert_eq!(found(text.as_bytes().chunks(1)), row, "{text:?}");
        for cut in 0..=text.len() {
            assert_eq!(found(<[_; 2]>::from(text.as_bytes().split_at(cut))), row, "{text:?} at {cut}");
        }
    }
}

#[test]
fn many_are_counted() {
    for count in [99, 100, 254, 255, 256, 1000] {
        let (_, received, _) = found([b"Received: x\r\n".repeat(count).as_slice()]);
        assert_eq!(usize::from(received), count.min(255));
    }
}

#[test]
fn what_is_behind_the_header_is_passed_on_whole() {
    let mut head = Head::new();
    let mut octets = &b"A: x\r\n\r\nbody\r\n\r\nReceived: x\r\n"[..];
    assert_eq!(head.next(&mut octets), Some(Part::Octets(b"A: x\r\n")));
    assert_eq!(head.next(&mut octets), Some(Part::End));
    assert_eq!(head.next(&mut octets), Some(Part::Octets(b"\r\nbody\r\n\r\nReceived: x\r\n")));
    assert_eq!(head.next(&mut octets), None);
    let mut octets = &b"\r"[..];
    assert_eq!(head.next(&mut octets), Some(Part::Octets(b"\r")));
    assert_eq!((head.end(), head.received()), (None, 0));
}

/// Texts in which what matters is frequent.
fn text() -> impl Strategy<Value = Vec<u8>> {
    let line_end = prop_oneof![4 => Just("\r\n"), 1 => Just("\n"), 1 => Just("\r"), 1 => Just("\r\r\n")];
    let name =
        prop_oneof![Just("Received"), Just("receivED"), Just("Message-ID"), Just("mEssage-id"), Just("M"), Just("R")];
    let piece = prop_oneof![
        4 => line_end.prop_map(|text| text.as_bytes().to_vec()),
        4 => name.prop_map(|text| text.as_bytes().to_vec()),
        3 => prop_oneof![Just(b": x".to_vec()), Just(b":".to_vec()), Just(b" :".to_vec()), Just(b" ".to_vec())],
        1 => vec(any::<u8>(), 0..3),
    ];
    vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn cuts_do_not_matter(text in text(), cuts in vec(0_usize..6, 1..40)) {
        let mut pieces = Vec::new();
        let mut rest = &text[..];
        for cut in cuts {
            let (piece, behind) = rest.split_at(cut.min(rest.len()));
            pieces.push(piece);
            rest = behind;
        }
        pieces.push(rest);
        prop_assert_eq!(found([&text[..]]), expected(&text));
        prop_assert_eq!(found(pieces), expected(&text));
    }
}
