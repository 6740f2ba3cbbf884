//! What a handler behind a relay hears of a transcript.

use smtpd_mock::{Script, What};

/// The script as the upstream's handler plays it: a leg has its own name and its own way to go, and repairs line
/// ends (RFC 5321 §2.3.8).
pub(crate) fn heard(script: &Script) -> Script {
    let mut entries = script.entries.to_vec();
    for entry in &mut entries {
        let What::Hears(call) = &mut entry.what else { continue };
        match call.call.split(' ').next() {
            Some("helo" | "ehlo") => call.call = "ehlo relay.example".into(),
            Some("closed") => call.call = "closed *".into(),
            _ => {}
        }
        call.text = call.text.take().map(|text| repaired(&text));
    }
    let mut script = script.clone();
    script.entries = entries.into();
    script
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
