//! What arrived against what was sent.

use std::collections::BTreeMap;
use std::fs;

use libtest_mimic::Failed;

use crate::mails::{Head, Mail, Mails, from};
use crate::servers::{Arrival, Keeps};

/// The way of a mail to its server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Direct,
    /// Through our proxy.
    Proxy,
    /// Through our proxy that adds `X-Peer` as well.
    XPeer,
    /// Through two of our proxies.
    TwoProxies,
}

impl Way {
    /// Fields of our own at the top.
    const fn received(self) -> usize {
        match self {
            Self::Direct => 0,
            Self::Proxy | Self::XPeer => 1,
            Self::TwoProxies => 2,
        }
    }

    /// The text as it has to arrive, without those.
    fn text(self, mail: &Mail) -> Vec<u8> {
        let end = match mail.head {
            Head::Whole => 2 + mail.text.windows(4).position(|octets| octets == b"\r\n\r\n").unwrap_or_default(),
            Head::Fields => mail.text.len(),
            Head::Empty | Head::Missing => 0,
        };
        let (header, body) = mail.text.split_at(end);
        let x_peer: &[u8] = if self == Self::XPeer { b"X-Peer: 127.0.0.1\r\n" } else { b"" };
        // The body is not to be taken for a part of the header section.
        let empty: &[u8] = if self.received() > 0 && mail.head == Head::Missing { b"\r\n" } else { b"" };
        [header, x_peer, empty, body].concat()
    }
}

/// Each mail has arrived, for each of its recipients once, and nothing else.
pub(crate) fn all(mails: &Mails, arrivals: Vec<Arrival>, keeps: Keeps, way: Way) -> Result<(), Failed> {
    let mut by_sender: BTreeMap<String, Vec<Arrival>> = BTreeMap::new();
    for arrival in arrivals {
        by_sender.entry(arrival.from.clone()).or_default().push(arrival);
    }
    for number in 0..mails.len() {
        let Some(arrivals) = by_sender.remove(&from(number)) else {
            return Err(format!("mail {number} did not arrive").into());
        };
        let mail = mails.mail(number);
        recipients(&mail, arrivals.iter().flat_map(|arrival| &arrival.to))?;
        for arrival in &arrivals {
            text(&mail, &fs::read(&arrival.text)?, keeps, way)?;
        }
    }
    match by_sender.pop_first() {
        Some((sender, _)) => Err(format!("a mail of <{sender}> arrived that nobody sent").into()),
        None => Ok(()),
    }
}

fn recipients<'a>(mail: &Mail, arrived: impl Iterator<Item = &'a String>) -> Result<(), Failed> {
    let (mut arrived, mut sent): (Vec<_>, Vec<_>) = (arrived.collect(), mail.to.iter().collect());
    arrived.sort_unstable();
    sent.sort_unstable();
    if arrived == sent {
        return Ok(());
    }
    Err(format!("the mail of <{}> to {sent:?} arrived for {arrived:?}", mail.from).into())
}

/// The text is the mail's, with exactly what belongs there on its way.
pub(crate) fn text(mail: &Mail, kept: &[u8], keeps: Keeps, way: Way) -> Result<(), Failed> {
    let fault = |what: String| Err(format!("the mail of <{}>, which begins {:?}: {what}", mail.from, mail.head).into());
    let (mut got, mut expected) = (kept, way.text(mail));
    if let Keeps::Postfix | Keeps::Exim = keeps {
        got = &got[field(got, b"Received: from ")..];
        expected = with_bare_ends(&expected);
    }
    for number in 0..way.received() {
        let length = our_received(got);
        if length == 0 {
            return fault(format!("no Received of ours, number {number}: {}", got[..got.len().min(60)].escape_ascii()));
        }
        got = &got[length..];
    }
    match (keeps, mail.head) {
        (Keeps::Postfix | Keeps::Exim, Head::Missing) if way == Way::Direct => expected.insert(0, b'\n'),
        (Keeps::Exim, Head::Fields) => expected.push(b'\n'),
        _ => {}
    }
    let Some(at) = difference(got, &expected) else { return Ok(()) };
    let around = |octets: &[u8]| {
        let octets = octets.get(at.saturating_sub(20)..octets.len().min(at + 40)).unwrap_or_default();
        octets.escape_ascii().to_string()
    };
    let (lengths, got, expected) = ((got.len(), expected.len()), around(got), around(&expected));
    fault(format!("octet {at}: got {got}, expected {expected} (of {} and {} octets)", lengths.0, lengths.1))
}

/// Octets of the one field that the text begins with, with its folded lines, if it begins like this.
fn field(text: &[u8], beginning: &[u8]) -> usize {
    let mut length = 0;
    for line in text.split_inclusive(|octet| *octet == b'\n') {
        let belongs =
            if length == 0 { line.starts_with(beginning) } else { line.starts_with(b" ") || line.starts_with(b"\t") };
        if !belongs {
            break;
        }
        length += line.len();
    }
    length
}

/// Octets of our proxy's field that the text begins with: who it was, by whom, when.
fn our_received(text: &[u8]) -> usize {
    let length = field(text, b"Received: from ");
    let lines = String::from_utf8_lossy(&text[..length]).replace('\r', "");
    let lines: Vec<&str> = lines.lines().collect();
    match lines[..] {
        [from, by, date]
            if from.ends_with(" ([127.0.0.1])")
                && by.starts_with("\tby ")
                && by.ends_with(" with ESMTP;")
                && date.ends_with(" +0000") =>
        {
            length
        }
        _ => 0,
    }
}

fn with_bare_ends(text: &[u8]) -> Vec<u8> {
    text.iter().copied().filter(|octet| *octet != b'\r').collect()
}

/// Where they differ first. Slices are compared at the speed of memory, octets by an unoptimized test are not.
fn difference(got: &[u8], expected: &[u8]) -> Option<usize> {
    if got == expected {
        return None;
    }
    let first = got.iter().zip(expected).position(|(got, expected)| got != expected);
    Some(first.unwrap_or(got.len().min(expected.len())))
}
