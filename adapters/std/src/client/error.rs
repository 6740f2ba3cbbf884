//! Why a mail was not sent.

use std::{fmt, io};

use smtpd_core::client::{self, Command};

use super::{Outcome, Reply};

/// Why nobody gets the mail, or why it is not known who does ([`InDoubt`](Self::InDoubt)).
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The server has no address, or none that takes the connection in time.
    Connect(io::Error),
    /// The server refused the command, and with it the mail; the text, if it is [`Command::Message`].
    Refused(Command, Reply),
    /// The server refused each recipient.
    RecipientsRefused(Vec<Outcome>),
    /// Some recipients were refused, and [`Builder::all_or_none`](super::Builder::all_or_none) was asked for: nobody gets it.
    SomeRefused(Vec<Outcome>),
    /// The connection ended before the server answered the command; none: the server closed it.
    Lost(Command, Option<io::Error>),
    /// The server did not answer the command, or take the text, in its time.
    TimedOut(Command),
    /// What the server said in place of an answer to the command is none.
    NotSmtp(Command, client::Error),
    /// The text was sent to its end, and its answer did not come: the server may have accepted the mail or not (RFC 1047).
    /// To send it again may bring it twice, not to do so may lose it.
    InDoubt {
        /// What is known: who was refused before, and with LMTP who was answered.
        outcomes: Vec<Outcome>,
        /// Of whom it is not known.
        recipients: Vec<String>,
        /// Why no answer came.
        cause: Box<Error>,
    },
    /// The mail is longer than the server takes: so many octets (RFC 1870). It was not offered.
    TooLarge(u32),
    /// The mail holds octets above 127, and the server does not take such (8BITMIME, RFC 6152), or, as a stream, was said to hold
    /// none. It was not offered, or broken off.
    EightBit,
    /// An address or a name that no command can hold. Other than ASCII there is none as long as SMTPUTF8 is not known here.
    Syntax(String),
    /// The mail has no recipients.
    NoRecipients,
    /// The stream of the text could not be read to its end; the mail was broken off.
    Text(io::Error),
    /// The connection ended before: by an error, by 421, or because sending was given up in the middle. Connect anew.
    Closed,
}

impl Error {
    /// Whether the same mail would be refused again: do not try it again.
    #[must_use]
    pub fn is_permanent(&self) -> bool {
        match self {
            Self::Refused(_, reply) => reply.is_permanent(),
            Self::RecipientsRefused(outcomes) | Self::SomeRefused(outcomes) => outcomes
                .iter()
                .filter(|outcome| !outcome.reply.is_positive())
                .all(|outcome| outcome.reply.is_permanent()),
            Self::TooLarge(_) | Self::EightBit | Self::Syntax(_) | Self::NoRecipients => true,
            Self::Connect(_)
            | Self::Lost(..)
            | Self::TimedOut(_)
            | Self::NotSmtp(..)
            | Self::InDoubt { .. }
            | Self::Text(_)
            | Self::Closed => false,
        }
    }

    /// Whether it may be otherwise later, over a new connection; of several recipients, for some. A mail that is in doubt counts
    /// in: it is rather sent twice than lost (RFC 5321 §4.5.3.2.6).
    #[must_use]
    pub fn is_transient(&self) -> bool {
        !self.is_permanent() && !matches!(self, Self::Text(_))
    }

    /// The server's reply, where there is one for all recipients.
    #[must_use]
    pub const fn reply(&self) -> Option<&Reply> {
        match self {
            Self::Refused(_, reply) => Some(reply),
            _ => None,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect(_) => f.write_str("the server can't be reached"),
            Self::Refused(command, reply) => write!(f, "the server refused {}: {reply}", name(*command)),
            Self::RecipientsRefused(outcomes) => {
                f.write_str("the server refused all recipients")?;
                refusals(outcomes, f)
            }
            Self::SomeRefused(outcomes) => {
                f.write_str("the server refused some recipients")?;
                refusals(outcomes, f)
            }
            Self::Lost(command, _) => write!(f, "the connection ended before {} was answered", name(*command)),
            Self::TimedOut(command) => write!(f, "the server did not answer {} in time", name(*command)),
            Self::NotSmtp(command, _) => write!(f, "the server did not answer {} as SMTP has it", name(*command)),
            Self::InDoubt { .. } => f.write_str("the mail was sent, and not answered: it may have been accepted"),
            Self::TooLarge(limit) => write!(f, "the mail is longer than the {limit} octets that the server takes"),
            Self::EightBit => f.write_str("the mail holds octets above 127, which the server does not take"),
            Self::Syntax(what) => write!(f, "no command can hold {what:?}"),
            Self::NoRecipients => f.write_str("the mail has no recipients"),
            Self::Text(_) => f.write_str("the mail could not be read"),
            Self::Closed => f.write_str("the connection ended before"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Connect(error) | Self::Text(error) | Self::Lost(_, Some(error)) => Some(error),
            Self::NotSmtp(_, error) => Some(error),
            Self::InDoubt { cause, .. } => Some(cause),
            _ => None,
        }
    }
}

fn refusals(outcomes: &[Outcome], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let mut refused = outcomes.iter().filter(|outcome| !outcome.reply.is_positive());
    refused.try_for_each(|outcome| write!(f, "; {}: {}", outcome.recipient, outcome.reply))
}

/// What people call it.
const fn name(command: Command) -> &'static str {
    match command {
        Command::Greeting => "the connection",
        Command::Hello => "EHLO",
        Command::Mail => "MAIL",
        Command::Rcpt => "RCPT",
        Command::Data => "DATA",
        Command::Message => "the mail",
        Command::Reset => "RSET",
        Command::Quit => "QUIT",
        _ => "a command",
    }
}
