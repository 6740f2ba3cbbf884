//! What a handler behind a relay hears of a transcript.

use smtpd_mock::Transcript;

/// The transcript as the upstream's handler plays it: a leg has its own name and its own way to go, and repairs line
/// ends (RFC 5321 §2.3.8).
pub(crate) fn heard(transcript: &Transcript) -> Transcript {
    let mut transcript = transcript.clone();
    for call in &mut transcript.calls {
        match call.call.split(' ').next() {
            Some("helo" | "ehlo") => call.call = "ehlo relay.example".into(),
            Some("closed") => call.call = "closed *".into(),
            _ => {}
        }
        call.text = call.text.take().map(|text| repaired(&text));
    }
    transcript
}

/// Every bare CR and bare LF is a CRLF.
fn repaired(text: &[u8]) -> Vec<u8> {
    let mut octets = Vec::new();
    let mut last = 0;
    for octet in text {
        match (last, octet) {
            (b'\r', b'\n') => {}
            (_, b'\r' | b'\n') => octets.extend_from_slice(b"\r\n"),
            _ => octets.push(*octet),
        }
        last = *octet;
    }
    octets
}
