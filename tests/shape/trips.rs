//! A hundred pipelined recipients cost the upstream at most four round trips.

use std::fmt::Write;

use libtest_mimic::Failed;
use smtpd_mock::{Actor, Connection, Script};

use super::relay::Relayed;

/// In reads of 512 octets and more; and each recipient gets the upstream's own verdict.
pub(crate) fn hundred_recipients() -> Result<(), Failed> {
    for cut in [512, 600, 1_000, 1_460, 4_096, 65_536] {
        let (without, with) = (trips(0, cut)?, trips(100, cut)?);
        if with > without + 4 {
            return Err(format!("reads of {cut}: {with} trips, {without} without recipients").into());
        }
    }
    Ok(())
}

/// The upstream's round trips for a client that sends all at once.
fn trips(recipients: u32, cut: usize) -> Result<u32, Failed> {
    let mut text = "H: mail <a@a.example>\n".to_owned();
    let mut sent = "EHLO a.example\r\nMAIL FROM:<a@a.example>\r\n".to_owned();
    let mut verdicts = String::new();
    for number in 0..recipients {
        writeln!(text, "H: rcpt <user{number}@b.example> => 550 5.1.1 No user {number}")?;
        write!(sent, "RCPT TO:<user{number}@b.example>\r\n")?;
        write!(verdicts, "550 5.1.1 No user {number}\r\n")?;
    }
    let script = Script::parse("trips", &text)?;
    let mut relayed = Relayed::new(&script.config, &super::UPSTREAM, Actor::new(&script), cut);
    let mut said = Vec::new();
    relayed.send(sent.as_bytes());
    let _ = relayed.receive(&mut said);
    let notes = relayed.upstream.handler.notes();
    let expected = script.entries.len();
    match notes.calls().iter().filter(|call| call.starts_with("mail") || call.starts_with("rcpt")).count() {
        _ if !said.ends_with(verdicts.as_bytes()) => Err(String::from_utf8_lossy(&said).into_owned().into()),
        heard if heard != expected => Err(format!("{:?}", notes.calls()).into()),
        _ => Ok(relayed.upstream.trips()),
    }
}
