//! What arrived against what was sent.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs;

use libtest_mimic::Failed;

use crate::mails::{Head, Mail, Mails, from};
use crate::servers::{Arrival, Keeps};

/// The way of a mail to its server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Direct,
    /// Through our proxy, which may put fields of its own at either end of the header section.
    Proxy,
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

/// The text is the mail's, once what was added is taken off.
pub(crate) fn text(mail: &Mail, kept: &[u8], keeps: Keeps, way: Way) -> Result<(), Failed> {
    let (mut got, mut expected) = (Cow::Borrowed(kept), Cow::Borrowed(&mail.text[..]));
    let fault = |what: String| Err(format!("the mail of <{}>, which begins {:?}: {what}", mail.from, mail.head).into());
    if let Keeps::Postfix | Keeps::Exim = keeps {
        let fields = leading_fields(&got, b"Received: ");
        if fields == 0 {
            return fault(format!("no Received: {}", got[..got.len().min(60)].escape_ascii()));
        }
        got = got[fields..].to_vec().into();
        expected = with_bare_ends(&expected).into();
    }
    if way == Way::Proxy {
        let fields = leading_fields(&got, b"Received: ");
        got = without_peer(&got[fields..]).into();
    }
    let empty: &[u8] = b"\n";
    match (keeps, mail.head) {
        (Keeps::Postfix | Keeps::Exim, Head::Missing) => expected = [empty, &expected].concat().into(),
        (Keeps::Exim, Head::Fields) => expected = [&expected, empty].concat().into(),
        _ => {}
    }
    let Some(at) = difference(&got, &expected) else { return Ok(()) };
    let around = |octets: &[u8]| {
        let octets = octets.get(at.saturating_sub(20)..octets.len().min(at + 40)).unwrap_or_default();
        octets.escape_ascii().to_string()
    };
    let (lengths, got, expected) = ((got.len(), expected.len()), around(&got), around(&expected));
    fault(format!("octet {at}: got {got}, expected {expected} (of {} and {} octets)", lengths.0, lengths.1))
}

/// Octets of the fields of this name that the text begins with, with their folded lines.
fn leading_fields(text: &[u8], name: &[u8]) -> usize {
    let mut length = 0;
    for line in text.split_inclusive(|octet| *octet == b'\n') {
        let is_folded = length > 0 && matches!(line.first(), Some(b' ' | b'\t'));
        if !is_folded && !line.starts_with(name) {
            break;
        }
        length += line.len();
    }
    length
}

/// Without the proxy's own line, which stands before the first empty one or at the end.
fn without_peer(text: &[u8]) -> Vec<u8> {
    let mut rest = Vec::with_capacity(text.len());
    let mut lines = text.split_inclusive(|octet| *octet == b'\n');
    for line in &mut lines {
        if line.starts_with(b"X-Peer: ") {
            break;
        }
        rest.extend_from_slice(line);
    }
    for line in lines {
        rest.extend_from_slice(line);
    }
    rest
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
