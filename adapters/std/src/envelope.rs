//! A message's envelope as JSON.

use serde_json::json;

use crate::message::Message;

/// One line; `file` is where the text was stored.
pub(crate) fn line(message: &Message, file: Option<&str>) -> Vec<u8> {
    let Message { peer, mail_from, rcpt_tos, mail_options, rcpt_options, data, .. } = message;
    let mut envelope = json!({
        "peer": peer.address.map(|address| address.ip().to_string()),
        "port": peer.address.map(|address| address.port()),
        "mail_from": mail_from,
        "rcpt_tos": rcpt_tos,
        "mail_options": mail_options,
        "rcpt_options": rcpt_options,
        "size": data.len(),
    });
    if let Some(file) = file {
        envelope["file"] = file.into();
    }
    let mut line = envelope.to_string().into_bytes();
    line.push(b'\n');
    line
}
