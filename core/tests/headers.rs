//! Header fields, found while the text streams by.

use proptest::collection::vec;
use proptest::prelude::*;
use smtpd_core::handlers::Headers;

/// Name, value, and whether the field was cut.
type Fields = Vec<(Vec<u8>, Vec<u8>, bool)>;

/// The fields of a text that comes in these pieces.
fn fields<'t, const N: usize>(headers: &mut Headers<N>, pieces: impl IntoIterator<Item = &'t [u8]>) -> Fields {
    let mut fields = Fields::new();
    for piece in pieces {
        headers.text(piece, |field| fields.push((field.name.to_vec(), field.value.to_vec(), field.is_cut)));
    }
    headers.end(|field| fields.push((field.name.to_vec(), field.value.to_vec(), field.is_cut)));
    fields
}

/// The same, from the whole text at once, line by line.
fn expected(text: &[u8], room: usize) -> Fields {
    let mut fields: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
    let mut is_field = false;
    for line in text.split_inclusive(|octet| *octet == b'\n') {
        let line = line.strip_suffix(b"\n").map_or(line, |line| line.strip_suffix(b"\r").unwrap_or(line));
        match line {
            [] => break,
            [b' ' | b'\t', ..] if is_field => fields.last_mut().unwrap().1.extend_from_slice(line),
            [b' ' | b'\t', ..] => {}
            _ => {
                let colon = line.iter().position(|octet| *octet == b':');
                let name = colon.map(|colon| trim_end(&line[..colon]));
                is_field =
                    name.is_some_and(|name| !name.is_empty() && name.iter().all(|octet| matches!(octet, b'!'..=b'~')));
                if let (true, Some(name), Some(colon)) = (is_field, name, colon) {
                    fields.push((name.to_vec(), line[colon + 1..].to_vec()));
                }
            }
        }
    }
    let cut = |(name, value): (Vec<u8>, Vec<u8>)| {
        let start = value.iter().take_while(|octet| matches!(octet, b' ' | b'\t')).count();
        let value = trim_end(&value[start..]);
        let is_cut = name.len() + value.len() > room;
        let name = &name[..name.len().min(room)];
        let value = &value[..value.len().min(room - name.len())];
        (name.to_vec(), trim_end(value).to_vec(), is_cut)
    };
    fields.into_iter().map(cut).collect()
}

fn trim_end(octets: &[u8]) -> &[u8] {
    let spaces = octets.iter().rev().take_while(|octet| matches!(octet, b' ' | b'\t')).count();
    &octets[..octets.len() - spaces]
}

fn found(text: &[u8]) -> Fields {
    fields(&mut Headers::<32>::new(), [text])
}

#[test]
fn fields_of_texts() {
    type Expected<'t> = &'t [(&'t str, &'t str, bool)];
    let rows: [(&str, Expected<'_>); 28] = [
        ("", &[]),
        ("\r\nSubject: body\r\n", &[]),
        ("\nSubject: body\r\n", &[]),
        ("Subject: x\r\n\r\nSubject: body\r\n", &[("Subject", "x", false)]),
        ("Subject: x\n\nSubject: body\n", &[("Subject", "x", false)]),
        // No body, and no end of the line.
        ("A: x\r\nB: y\r\n", &[("A", "x", false), ("B", "y", false)]),
        ("A: x\r\nB: y", &[("A", "x", false), ("B", "y", false)]),
        ("A: x\r\nB", &[("A", "x", false)]),
        // White space is taken from both ends and nowhere else.
        ("A:x\r\nB: \t x  y \t\r\n\r\n", &[("A", "x", false), ("B", "x  y", false)]),
        ("A:\r\nB: \t\r\n\r\n", &[("A", "", false), ("B", "", false)]),
        // RFC 5322 §4.5.8: white space before the colon.
        ("Subject : x\r\nTo \t:y\r\n", &[("Subject", "x", false), ("To", "y", false)]),
        // RFC 5322 §2.2.3: only the line end is taken out; §4.2: a line may have nothing but white space.
        ("A: x\r\n y\r\n\t z\r\n\r\n", &[("A", "x y\t z", false)]),
        ("A: x\n y\n", &[("A", "x y", false)]),
        ("A:\r\n x\r\n \r\n y\r\n\r\n", &[("A", "x  y", false)]),
        ("A: x:y\r\n\r\n", &[("A", "x:y", false)]),
        // Neither is a field, nor what continues it.
        ("From a@b Thu Jan  1 00:00:00 1970\nA: x\n", &[("A", "x", false)]),
        (">From a@b Thu Jan 1 00:00 1970\r\nA: x\r\n", &[("A", "x", false)]),
        ("A: x\r\njunk\r\n y: z\r\nB: y\r\n", &[("A", "x", false), ("B", "y", false)]),
        (" A: x\r\nB: y\r\n", &[("B", "y", false)]),
        (": x\r\nB: y\r\n", &[("B", "y", false)]),
        ("N\u{e9}: x\r\nB: y\r\n", &[("B", "y", false)]),
        // A bare CR ends no line, and no header.
        ("A: x\ry\r\nB: \r\r\n", &[("A", "x\ry", false), ("B", "\r", false)]),
        ("\rA: x\r\n\r\r\nB: y\r\n", &[("B", "y", false)]),
        ("A: x\r", &[("A", "x\r", false)]),
        // 32 octets.
        ("A: 0123456789012345678901234567890 \t\r\n", &[("A", "0123456789012345678901234567890", false)]),
        ("A: 01234567890123456789012345678901\r\n", &[("A", "0123456789012345678901234567890", true)]),
        (
            "A: 01234567890123456789012345678     x\r\nB: y\r\n",
            &[("A", "01234567890123456789012345678", true), ("B", "y", false)],
        ),
        ("A123456789B123456789C123456789D1234: x\r\n", &[("A123456789B123456789C123456789D1", "", true)]),
    ];
    for (text, fields) in rows {
        let fields: Fields = fields
            .iter()
            .map(|(name, value, is_cut)| (name.bytes().collect(), value.bytes().collect(), *is_cut))
            .collect();
        assert_eq!(found(text.as_bytes()), fields, "{text:?}");
        assert_eq!(expected(text.as_bytes(), 32), fields, "{text:?}");
    }
}

#[test]
fn another_text_begins() {
    let mut headers = Headers::<32>::new();
    headers.text(b"A: from the first\r", |_| panic!("not complete"));
    headers.clear();
    assert_eq!(fields(&mut headers, [&b"B: x\r\n\r\nC: y\r\n"[..]]), [(b"B".to_vec(), b"x".to_vec(), false)]);
    // Behind the end there is nothing before another text.
    assert_eq!(fields(&mut headers, [&b"D: z\r\n\r\n"[..]]), []);
    headers.clear();
    assert_eq!(fields(&mut headers, [&b"E: y"[..]]), [(b"E".to_vec(), b"y".to_vec(), false)]);
}

/// Texts in which what matters is frequent.
fn text() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        4 => Just(b"\r\n".to_vec()),
        1 => prop_oneof![Just(b"\n".to_vec()), Just(b"\r".to_vec())],
        4 => prop_oneof![Just(b"A:".to_vec()), Just(b"Bc: d".to_vec()), Just(b"Ef : g".to_vec()), Just(b":".to_vec())],
        2 => prop_oneof![Just(b" ".to_vec()), Just(b"\t".to_vec()), Just(b"\r\n ".to_vec())],
        1 => vec(b'a'..=b'z', 0..12),
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
        prop_assert_eq!(fields(&mut Headers::<8>::new(), pieces.iter().copied()), expected(&text, 8));
        prop_assert_eq!(fields(&mut Headers::<256>::new(), pieces), expected(&text, 256));
    }
}
