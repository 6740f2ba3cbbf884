//! The same mails to both: what they print, line for line.

use std::sync::Arc;

use libtest_mimic::Failed;

use crate::Test;
use crate::client::Client;
use crate::long_text::lines;
use crate::servers::{Python, SIZE};

struct Mail {
    name: &'static str,
    parameters: &'static str,
    recipients: usize,
    /// Without the dots of transparency.
    text: Vec<u8>,
}

fn all() -> Vec<Mail> {
    let mail = |name, text: &[u8]| Mail { name, parameters: "", recipients: 1, text: text.to_vec() };
    let head = b"From: a@b.example\r\nSubject: test\r\n\r\n";
    let with = |name, body: &[u8]| mail(name, &[&head[..], body].concat());
    vec![
        mail("empty", b""),
        mail("one_line", b"x\r\n"),
        mail("no_header", b"\r\nbody\r\n"),
        mail("no_body", b"Subject: test\r\n"),
        mail("empty_lines", b"\r\n\r\n\r\n"),
        with("text", b"Hello.\r\n"),
        with("eight_bit", "Gr\u{fc}\u{df}e, \u{1f4ec}\r\n\u{85}\u{2028}\r\n".as_bytes()),
        with("octets", &(0..=255).filter(|octet| !b"\r\n".contains(octet)).collect::<Vec<u8>>()),
        with("quotes", b"it's\r\n\"it\"\r\n'\"\\\r\n"),
        with("dots", b".\r\n..\r\n...\r\n.a\r\na.\r\n\r\n.\r\n"),
        with("bare_ends", b"a\nb\rc\r\rd\n\ne\r\r\nf\n.\ng\n.\r\n"),
        with("long_lines", &[&b"x".repeat(998)[..], b"\r\n", &b".".repeat(100_000), b"\r\n"].concat()),
        with("one_mebibyte", &lines(1_048_576)),
        Mail { recipients: 5, ..with("recipients", b"Hello, all.\r\n") },
        Mail { parameters: " BODY=8BITMIME", ..with("body", "\u{e9}\r\n".as_bytes()) },
        Mail { parameters: "  size=30  Body=7bit ", ..with("parameters", b"x\r\n") },
    ]
}

pub(crate) fn trials() -> Vec<Test> {
    let mut trials: Vec<Test> = Vec::new();
    for mail in all() {
        trials.push((
            format!("mails::{}", mail.name),
            Arc::new(move |python| compare(python, std::slice::from_ref(&mail))),
        ));
    }
    trials.push(("mails::all_in_one_session".into(), Arc::new(|python| compare(python, &all()))));
    trials
}

fn compare(python: &Python, mails: &[Mail]) -> Result<(), Failed> {
    let (theirs, ours) = python.both(SIZE)?;
    let hello = python.version.hello;
    let (their_replies, our_replies) = (send(theirs.port, hello, mails)?, send(ours.port, hello, mails)?);
    if our_replies != their_replies {
        return Err(format!("ours:\n{our_replies}theirs:\n{their_replies}").into());
    }
    let (theirs, ours) = (theirs.printed()?, ours.printed());
    if !theirs.starts_with(b"---------- MESSAGE FOLLOWS ----------\n") {
        return Err("Python printed no message".into());
    }
    let (mut left, mut right) = (ours.split_inclusive(is_end), theirs.split_inclusive(is_end));
    for number in 1.. {
        match (left.next(), right.next()) {
            (None, None) => break,
            (ours, theirs) if ours == theirs => {}
            (ours, theirs) => {
                let show = |line: Option<&[u8]>| line.map_or("nothing".into(), |line| line.escape_ascii().to_string());
                return Err(format!("line {number}\n  ours: {}\ntheirs: {}", show(ours), show(theirs)).into());
            }
        }
    }
    Ok(())
}

fn is_end(octet: &u8) -> bool {
    *octet == b'\n'
}

/// Sends the mails in one session, as smtplib does; all replies.
fn send(port: u16, hello: &str, mails: &[Mail]) -> Result<String, Failed> {
    let mut client = Client::new(port)?;
    let mut replies = client.hear()?.ok_or("no greeting")?;
    let mut commands = vec![hello.as_bytes().to_vec()];
    for mail in mails {
        commands.push(format!("MAIL FROM:<a@b.example>{}", mail.parameters).into_bytes());
        commands.extend((1..=mail.recipients).map(|number| format!("RCPT TO:<{number}@d.example>").into_bytes()));
        commands.push(b"DATA".to_vec());
        commands.push(stuffed(&mail.text));
    }
    commands.push(b"QUIT".to_vec());
    for command in commands {
        let reply = client.say(&command)?.ok_or("the connection was closed")?;
        if !matches!(reply.first(), Some(b'2' | b'3')) {
            return Err(format!("{} to {}", reply.escape_ascii(), command.escape_ascii()).into());
        }
        replies.extend(reply);
    }
    Ok(String::from_utf8_lossy(&replies).into_owned())
}

/// With dots, and with the dot at the end, whose CRLF is still to come. An empty text gets a line: a dot alone does not
/// end one in Python.
fn stuffed(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + 100);
    let mut is_start = true;
    for octet in text {
        if is_start && *octet == b'.' {
            out.push(b'.');
        }
        out.push(*octet);
        is_start = out.ends_with(b"\r\n");
    }
    if !out.ends_with(b"\r\n") {
        out.extend_from_slice(b"\r\n");
    }
    out.push(b'.');
    out
}
