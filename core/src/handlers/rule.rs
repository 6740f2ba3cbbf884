//! Rules of [`Fault`](super::Fault): where, how often and for whom something goes wrong, and what.

use crate::wire::{ForwardPath, Reply, ReversePath, same};

/// Where a rule holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum At {
    /// The greeting.
    Connected,
    /// HELO, EHLO or LHLO; the address is the client's name.
    Hello,
    /// MAIL; the address is the reverse-path's, nothing for `<>`.
    Mail,
    /// RCPT; the address is the forward-path's.
    Rcpt,
    /// DATA.
    Data,
    /// The text, as soon as more than so many of its octets came; they reach the handler. A reply refuses the rest, a
    /// delay pauses the text. The end of the text itself is never delayed.
    Text(usize),
    /// The end of the text, before the handler is asked: refused, it hears `reset` and keeps nothing, and with LMTP every
    /// recipient gets the reply.
    Message,
    /// The end of the text, after the handler took the message: what it stored stays, but the client hears something
    /// else, and sends again. With LMTP there is one such answer for each recipient.
    Delivery,
    /// VRFY and EXPN; the address is their argument.
    Verify,
}

/// One thing that goes wrong.
///
/// It counts the questions that it is about, whether it or a rule before it answered them; if nothing else is said it
/// holds each time.
#[derive(Clone, Copy, Debug)]
pub struct Rule<'r> {
    at: At,
    pub(super) act: Act<'r>,
    address: Option<&'r [u8]>,
    first: u32,
    last: u32,
    uses: u32,
}

/// What a rule does.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(super) enum Act<'r> {
    Reply(Reply<'r>),
    Later(u16),
    Never,
}

const CLOSING: Reply<'static> = Reply::new(421, "Closing on purpose").enhanced(3, 0);

impl<'r> Rule<'r> {
    const fn new(at: At, act: Act<'r>) -> Self {
        Self { at, act, address: None, first: 1, last: u32::MAX, uses: 0 }
    }

    /// The client hears this reply, 4yz or 5yz; 421 closes too. A positive code is not believed, as no code is that has no
    /// place there: the session says 451, or to a new client 421. A server that lies about success would forget mail.
    #[must_use]
    pub const fn reply(at: At, reply: Reply<'r>) -> Self {
        Self::new(at, Act::Reply(reply))
    }

    /// The answer is late: [`Later`](crate::server::Answer::Later) is said so often, at least once, and then the handler
    /// has its way. How long that takes depends on the driver; the waker is woken each time.
    #[must_use]
    pub const fn later(at: At, times: u16) -> Self {
        Self::new(at, Act::Later(times))
    }

    /// The answer never comes, until the session's timer ends it.
    #[must_use]
    pub const fn never(at: At) -> Self {
        Self::new(at, Act::Never)
    }

    /// The session is closed with 421 4.3.0; [`reply`](Self::reply) does it in other words.
    #[must_use]
    pub const fn close(at: At) -> Self {
        Self::reply(at, CLOSING)
    }

    /// Only the `n`-th time, counted from 1.
    #[must_use]
    pub const fn nth(self, n: u32) -> Self {
        Self { first: n, last: n, ..self }
    }

    /// From the `n`-th time on, counted from 1.
    #[must_use]
    pub const fn since(self, n: u32) -> Self {
        Self { first: n, last: u32::MAX, ..self }
    }

    /// Only for this address, without angle brackets; its domain in any letter case. A `*` at either end stands for
    /// anything. Where there is no address, such a rule never holds.
    #[must_use]
    pub const fn address(self, address: &'r str) -> Self {
        Self { address: Some(address.as_bytes()), ..self }
    }

    /// The text's octets before this rule holds; none if it is not about texts.
    pub(super) const fn behind(&self) -> Option<usize> {
        match self.at {
            At::Text(octets) => Some(octets),
            _ => None,
        }
    }

    /// Counts one more use; whether it is one of those in which the rule holds.
    pub(super) fn is_due(&mut self) -> bool {
        self.uses = self.uses.saturating_add(1);
        (self.first..=self.last).contains(&self.uses)
    }
}

#[cfg(feature = "defmt")]
impl defmt::Format for Rule<'_> {
    fn format(&self, to: defmt::Formatter<'_>) {
        defmt::write!(to, "Rule {{ at: {}, act: {}, times: {=u32} to {=u32}", self.at, self.act, self.first, self.last);
        if let Some(address) = self.address {
            defmt::write!(to, ", address: {=[u8]:a}", address);
        }
        defmt::write!(to, ", uses: {=u32} }}", self.uses);
    }
}

/// What a question is about: the address, and how long its end is that may be in any letter case.
pub(super) type Asked<'s> = Option<(&'s [u8], usize)>;

pub(super) fn sender<'s>(path: &ReversePath<'s>) -> Asked<'s> {
    let domain = match path {
        ReversePath::Null => 0,
        ReversePath::Mailbox(mailbox) => mailbox.domain().len(),
    };
    Some((path.as_octets(), domain))
}

pub(super) fn recipient<'s>(path: &ForwardPath<'s>) -> Asked<'s> {
    let domain = match path {
        // The word is in any letter case (RFC 5321 §4.5.1).
        ForwardPath::Postmaster(word) => word.len(),
        ForwardPath::Mailbox(mailbox) => mailbox.domain().len(),
    };
    Some((path.as_octets(), domain))
}

/// What the first rule does that holds; all that the question is about count it.
pub(super) fn due<'r>(rules: &mut [Rule<'r>], at: At, asked: Asked<'_>) -> Option<Act<'r>> {
    let mut first = None;
    for rule in rules {
        if rule.at == at && is_about(rule.address, asked) && rule.is_due() && first.is_none() {
            first = Some(rule.act);
        }
    }
    first
}

fn is_about(pattern: Option<&[u8]>, asked: Asked<'_>) -> bool {
    match (pattern, asked) {
        (None, _) => true,
        (Some(pattern), Some((address, domain))) => matches(pattern, address, domain),
        (Some(_), None) => false,
    }
}

fn matches(pattern: &[u8], address: &[u8], domain: usize) -> bool {
    let (starts, pattern) = match pattern.strip_prefix(b"*") {
        Some(pattern) => (false, pattern),
        None => (true, pattern),
    };
    let (ends, pattern) = match pattern.strip_suffix(b"*") {
        Some(pattern) => (false, pattern),
        None => (true, pattern),
    };
    let local = address.len().saturating_sub(domain);
    (0..=address.len()).any(|start| {
        let Some((found, behind)) = address.get(start..).and_then(|rest| rest.split_at_checked(pattern.len())) else {
            return false;
        };
        let (exact, any_case) = found.split_at_checked(local.saturating_sub(start)).unwrap_or((found, b""));
        let (pattern, domain) = pattern.split_at_checked(exact.len()).unwrap_or((pattern, b""));
        (!starts || start == 0) && (!ends || behind.is_empty()) && exact == pattern && same(any_case, domain)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let rows = [
            ("a@b.example", "a@b.example", true),
            ("a@b.example", "a@B.EXAMPLE", true),
            ("a@B.Example", "a@b.example", true),
            ("a@b.example", "A@b.example", false),
            ("a@b.example", "aa@b.example", false),
            ("a@b.example", "a@b.example.org", false),
            ("*@b.example", "a@b.EXAMPLE", true),
            ("*@b.example", "a@bb.example", false),
            ("*b.example", "a@bb.example", true),
            ("a@*", "a@anything", true),
            ("a@*", "b@anything", false),
            ("*A*", "bA@x", true),
            ("*A*", "ba@x", false),
            ("*X*", "ba@x", true),
            ("*@*", "", false),
            ("*", "", true),
            ("**", "a@b", true),
            ("", "", true),
            ("", "a@b", false),
            ("*a*a*", "aa@a", false),
        ];
        for (pattern, address, expected) in rows {
            let domain = address.split_once('@').map_or(0, |(_, domain)| domain.len());
            assert_eq!(matches(pattern.as_bytes(), address.as_bytes(), domain), expected, "{pattern} {address}");
        }
    }
}
