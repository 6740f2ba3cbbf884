//! How a text begins: with its header section, or with its body at once.

use heapless::Vec;

use super::headers::is_space;

/// Octets of a first line after which it counts as a field whatever comes: lines have 78 at most (RFC 5322 §2.1.1), and what is
/// no field hardly has as many without a space.
const LONGEST: usize = 78;

/// Holds the beginning of a text back until it is known whether a field may stand right in front of it.
///
/// In front of a body without a header section it may not: a line that is no field would stand in the header section, and one
/// that begins with white space would go on with that field (RFC 5322 §2.2.3). An empty line belongs between them (§3.5), which
/// Postfix, Exim and Sendmail put there too. In front of a mailbox's `From ` line there is none: for those three as well, fields
/// come behind it.
#[derive(Debug)]
pub(crate) struct Beginning {
    held: Vec<u8, LONGEST>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum With {
    /// A field, or an empty line.
    Header,
    /// What is neither.
    Body,
}

impl Beginning {
    pub(crate) const fn new() -> Self {
        Self { held: Vec::new() }
    }

    /// Takes octets off the text until it is known what it begins with.
    pub(crate) fn take(&mut self, octets: &mut &[u8]) -> Option<With> {
        while let Some((octet, rest)) = octets.split_first() {
            let with = self.judge(*octet);
            let _ = self.held.push(*octet);
            *octets = rest;
            if with.is_some() {
                return with;
            }
        }
        None
    }

    /// What was taken.
    pub(crate) fn held(&self) -> &[u8] {
        &self.held
    }

    /// What is known once this octet comes.
    fn judge(&self, octet: u8) -> Option<With> {
        match (self.held.as_slice(), octet) {
            // An empty line: a leg makes a line end of a bare CR or LF too.
            ([], b'\r' | b'\n') | (b"From", b' ') => Some(With::Header),
            ([], b':') => Some(With::Body),
            (_, b':') => Some(With::Header),
            // RFC 5322 §4.5.8: white space before the colon, and nothing else behind it.
            ([_, ..], octet) if is_space(octet) => self.unless_full(),
            ([], b'!'..=b'~') => None,
            ([.., last], b'!'..=b'~') if !is_space(*last) => self.unless_full(),
            _ => Some(With::Body),
        }
    }

    fn unless_full(&self) -> Option<With> {
        (self.held.len() >= LONGEST.wrapping_sub(1)).then_some(With::Header)
    }
}
