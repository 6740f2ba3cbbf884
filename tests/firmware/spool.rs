//! The mailbox's spool, seen from outside: the mail `report` empties it into the log.

use std::thread;
use std::time::Duration;

use libtest_mimic::Failed;

use crate::client::{Client, Reply};
use crate::kinds::shown;
use crate::qemu::Board;

/// Commands are taken from this one.
pub(crate) const OWNER: &str = "owner@board.example";
/// The mailbox's own addresses, in its table.
pub(crate) const OWN: [&str; 2] = ["board@board.example", "lamp@board.example"];
pub(crate) const SENDER: &str = "sender@client.example";

/// A mail, as the log has it.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Mail {
    pub(crate) from: String,
    pub(crate) to: Vec<String>,
    pub(crate) text: Vec<String>,
}

impl Mail {
    pub(crate) fn new(from: &str, to: &[&str], text: &[u8]) -> Self {
        let to = to.iter().map(|to| shown(to.as_bytes())).collect();
        Self { from: shown(from.as_bytes()), to, text: lines(text) }
    }
}

/// A text as the log has it: a line for each, of 128 octets at most, without white space at its end.
pub(crate) fn lines(text: &[u8]) -> Vec<String> {
    let lines = text.split_inclusive(|octet| *octet == b'\n').flat_map(|line| line.chunks(128));
    lines.map(|line| shown(line.trim_ascii_end())).collect()
}

/// A board that keeps mails.
pub(crate) fn start(binary: &str) -> Result<Board, Failed> {
    Board::start(binary, &[])
}

/// A text of which no two are the same.
pub(crate) fn text(number: usize, octets: usize) -> Vec<u8> {
    let mut text = format!("Subject: mail {number}\r\n\r\n").into_bytes();
    while text.len() < octets {
        let line = text.len();
        text.extend(format!("line {line} of mail {number}, {}\r\n", "x".repeat(line % 50)).bytes());
    }
    text
}

/// A session with one mail; the reply that ended it.
pub(crate) fn deliver(port: u16, from: &str, to: &[&str], text: &[u8]) -> Result<Reply, Failed> {
    let mut client = Client::hello(port)?;
    let reply = client.mail(from, to, text)?;
    client.quit()?;
    // QEMU may hand over the SYN of the next client before the FIN of this one.
    thread::sleep(Duration::from_millis(5));
    Ok(reply)
}

/// Commands by the owner.
pub(crate) fn command(board: &Board, subject: &str) -> Result<(), Failed> {
    let text = format!("From: owner\r\nSubject: {subject}\r\n\r\n");
    deliver(board.port, OWNER, &OWN[..1], text.as_bytes())?.is(250).map(drop)
}

/// Has the spool reported and emptied: what was in it.
pub(crate) fn report(board: &Board) -> Result<Vec<Mail>, Failed> {
    let is_end = |line: &str| line.starts_with("INFO  end of report");
    let reports = board.log().iter().filter(|line| is_end(line)).count();
    command(board, "report")?;
    board.logs_often(reports + 1, is_end)?;
    let log = board.log();
    let begin = log.iter().rposition(|line| line == "INFO  report").ok_or("no report")?;
    let mut mails = Vec::<Mail>::new();
    for line in log[begin + 1..].iter().take_while(|line| !is_end(line)) {
        let line = line.strip_prefix("INFO  ").unwrap_or(line);
        let path = |line: &str| line.strip_suffix('>').map(str::to_owned);
        if line.starts_with("mail ") {
            mails.push(Mail::default());
            continue;
        }
        let mail = mails.last_mut().ok_or_else(|| format!("not of a mail: {line}"))?;
        match line.strip_prefix("  ") {
            Some(line) if line.starts_with("from <") => mail.from = path(&line[6..]).ok_or("no path")?,
            Some(line) if line.starts_with("to <") => mail.to.push(path(&line[4..]).ok_or("no path")?),
            Some(line) => mail.text.push(line.to_owned()),
            None => return Err(format!("not of a report: {line}").into()),
        }
    }
    Ok(mails)
}

/// The report has to hold these mails, in this order.
pub(crate) fn holds(board: &Board, expected: &[Mail]) -> Result<(), Failed> {
    same(&report(board)?, expected)
}

/// ... in any order.
pub(crate) fn holds_any(board: &Board, mut expected: Vec<Mail>) -> Result<(), Failed> {
    let mut got = report(board)?;
    got.sort();
    expected.sort();
    same(&got, &expected)
}

fn same(got: &[Mail], expected: &[Mail]) -> Result<(), Failed> {
    if got.len() != expected.len() {
        return Err(format!("{} mails are kept, not {}", got.len(), expected.len()).into());
    }
    match got.iter().zip(expected).find(|(got, expected)| got != expected) {
        Some((got, expected)) => Err(format!("got {got:#?}, expected {expected:#?}").into()),
        None => Ok(()),
    }
}
