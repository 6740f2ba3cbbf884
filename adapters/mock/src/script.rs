//! What a script is: settings, what client and server say in turn, what the handler hears.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use smtpd_core::server::{Config, Extensions};
use smtpd_core::wire::Reply;

use crate::pattern::Said;
use crate::shared::Owned;

/// A dialogue to be played, in either part. Clones share what is said.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Script {
    /// The file's name, for messages.
    pub file: String,
    /// The server's settings, where the script plays against a session.
    pub config: Config<'static>,
    /// What is said, happens and is heard, in order.
    pub entries: Owned<[Entry]>,
    /// Octets of text that the handler takes at once, with pauses between; none: all that come.
    pub room: Option<usize>,
    /// Questions that the handler lets stand open.
    pub backlog: u16,
    /// The extensions that the handler acts on.
    pub acts_on: Extensions,
    /// How the client's part is said.
    pub mode: Mode,
    /// How the side that is tested reads what the script says.
    pub reads: Reads,
    /// How long the dialogue may take, on its clock.
    pub limit: Duration,
    /// Drivers that can't play this, and why.
    pub not: Vec<(String, String)>,
    /// The settings as they were written.
    pub(crate) settings: Vec<String>,
}

/// One line of a script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The line in the file, from 1.
    pub line: usize,
    /// What stands there.
    pub what: What,
}

/// What stands in a line.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum What {
    /// One side says something.
    Says(Side, Said),
    /// Time passes.
    Pass(Duration),
    /// The side that the script plays does something to the connection.
    Act(Act),
    /// The handler hears a call.
    Hears(Call),
}

/// Who says something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The client.
    Client,
    /// The server.
    Server,
}

/// What the side that the script plays can do to the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// It closes its end; whatever is behind this need not come.
    Drop,
    /// It resets the connection; whatever is behind this need not come.
    Reset,
    /// It says nothing any more, and reads nothing either.
    Stall,
    /// The server is told to stop; only where the script plays the client.
    Stop,
}

/// How the client's part is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// It waits for each reply, and nothing more may have come then.
    LockStep,
    /// It says all it has at once, up to where time passes or something happens to the connection.
    Pipelined,
}

/// How the side that is tested reads what the script says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reads {
    /// At most so many octets at once.
    Of(usize),
    /// Up to this octet of all that the script says, and then what is behind it.
    Cut(usize),
}

/// A call that the handler hears, and its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// The call as text: `rcpt <b@b.example>`. A `*` at the end stands for anything; `{...}` for any number of calls.
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

impl Call {
    /// Any number of calls.
    pub(crate) fn any() -> Self {
        Self { call: ANY_CALLS.into(), text: None, is_optional: false, later: 0, response: None }
    }

    pub(crate) fn is_any(&self) -> bool {
        self.call == ANY_CALLS
    }
}

/// How a script says it.
pub(crate) const ANY_CALLS: &str = "{...}";

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

impl Script {
    /// Why the driver of this name can't play it, if it can't: `relay` in the file names `relay` and `relay-tcp`.
    #[must_use]
    pub fn why_not(&self, driver: &str) -> Option<&str> {
        let named = self.not.iter().find(|(name, _)| name == driver || driver.split('-').any(|word| word == name));
        named.map(|(_, reason)| reason.as_str())
    }

    /// The octets that this side says, as far as they are known beforehand.
    #[must_use]
    pub fn octets_of(&self, side: Side) -> usize {
        self.says(side).map(|said| said.octets(&Default::default()).map_or(0, |octets| octets.len())).sum()
    }

    pub(crate) fn says(&self, side: Side) -> impl Iterator<Item = &Said> {
        self.entries.iter().filter_map(move |entry| match &entry.what {
            What::Says(who, said) if *who == side => Some(said),
            _ => None,
        })
    }

    /// The calls, each with its place among the entries.
    pub(crate) fn calls(&self) -> impl Iterator<Item = (usize, &Call)> {
        self.entries.iter().enumerate().filter_map(|(at, entry)| match &entry.what {
            What::Hears(call) => Some((at, call)),
            _ => None,
        })
    }

    /// Where the connection ends before the dialogue does.
    pub(crate) fn breaks_at(&self) -> Option<usize> {
        self.entries.iter().position(|entry| matches!(entry.what, What::Act(Act::Drop | Act::Reset | Act::Stall)))
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.what {
            What::Says(side, said) => {
                let name = match (side, said) {
                    (Side::Client, Said::Octets(_)) => "B",
                    (Side::Client, _) => "C",
                    (Side::Server, Said::Octets(_)) => "SB",
                    (Side::Server, _) => "S",
                };
                write!(f, "{name}: {said}")
            }
            What::Pass(time) if time.subsec_millis() > 0 => write!(f, "@+{}ms", time.as_millis()),
            What::Pass(time) => write!(f, "@+{}s", time.as_secs()),
            What::Act(act) => f.write_str(match act {
                Act::Drop => "!drop",
                Act::Reset => "!reset",
                Act::Stall => "!stall",
                Act::Stop => "!stop",
            }),
            What::Hears(call) => write!(f, "{}: {call}", if call.is_optional { "H?" } else { "H" }),
        }
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.text {
            Some(text) => write!(f, "text \"{}\"", crate::escape(text))?,
            None => f.write_str(&self.call)?,
        }
        let Self { later, response, .. } = self;
        match (later, response) {
            (0, None) => Ok(()),
            (0, Some(response)) => write!(f, " => {response}"),
            (later, None) => write!(f, " => later*{later}"),
            (later, Some(response)) => write!(f, " => later*{later} {response}"),
        }
    }
}

impl fmt::Display for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.code)?;
        if let Some((subject, detail)) = self.enhanced {
            write!(f, " {}.{subject}.{detail}", self.code / 100)?;
        }
        write!(f, " {}", crate::escape(&self.text))
    }
}

/// The text form, which can be parsed again.
impl fmt::Display for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.settings.iter().try_for_each(|setting| writeln!(f, "@ {setting}"))?;
        match self.reads {
            Reads::Of(usize::MAX) => {}
            Reads::Of(octets) => writeln!(f, "@ reads {octets}")?,
            Reads::Cut(at) => writeln!(f, "@ cut {at}")?,
        }
        if self.mode == Mode::Pipelined {
            f.write_str("@ pipelined\n")?;
        }
        self.entries.iter().try_for_each(|entry| writeln!(f, "{entry}"))
    }
}
