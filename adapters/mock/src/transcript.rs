//! What a transcript is: settings, what client and server say in turn, what the handler hears.

use smtpd_core::server::{Config, Extensions};
use smtpd_core::wire::Reply;

use crate::Outside;

/// A dialogue to be played.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Transcript {
    /// The file's name, for messages.
    pub file: String,
    /// The server's settings.
    pub config: Config<'static>,
    /// What client and server do, in order.
    pub acts: Vec<(usize, Act)>,
    /// What the handler hears, in order.
    pub calls: Vec<Call>,
    /// Octets of text that the handler takes at once, with pauses between; none: all that come.
    pub room: Option<usize>,
    /// Questions that the handler lets stand open.
    pub backlog: u16,
    /// The extensions that the handler acts on.
    pub acts_on: Extensions,
    /// Drivers that can't play this, and why.
    pub not: Vec<(String, String)>,
}

/// What happens on the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// The client sends octets.
    Client(Vec<u8>),
    /// The server sends octets.
    Server(Vec<u8>),
    /// Something happens to the session from outside.
    Outside(Outside),
}

/// A call that the handler hears, and its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// The line in the file, from 1.
    pub line: usize,
    /// The call as text: `rcpt <b@b.example>`. A `*` at the end stands for anything.
    pub call: String,
    /// The octets of a piece of text, in place of `call`.
    pub text: Option<Vec<u8>>,
    /// Whether it may be missing.
    pub is_optional: bool,
    /// How many times the handler says first that it does not know yet.
    pub later: u32,
    /// The answer; none: the handler accepts.
    pub response: Option<Response>,
}

/// A reply that the handler gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The code.
    pub code: u16,
    /// Subject and detail of the enhanced status code.
    pub enhanced: Option<(u8, u16)>,
    /// The text, lines separated by `\n`.
    pub text: Vec<u8>,
}

impl Response {
    /// The reply of the session's type.
    #[must_use]
    pub fn reply(&self) -> Reply<'_> {
        let reply = Reply::from_octets(self.code, &self.text);
        match self.enhanced {
            Some((subject, detail)) => reply.enhanced(subject, detail),
            None => reply,
        }
    }
}

impl Transcript {
    /// Why the driver of this name can't play it, if it can't: `relay` in the file names `relay` and `relay-tcp`.
    #[must_use]
    pub fn why_not(&self, driver: &str) -> Option<&str> {
        let named = self.not.iter().find(|(name, _)| name == driver || driver.split('-').any(|word| word == name));
        named.map(|(_, reason)| reason.as_str())
    }
}
