//! What a session asks and tells, and what it hears in return.

use core::net::SocketAddr;

use super::Extensions;
#[cfg(doc)]
use super::Session;
use crate::wire::{ForwardPath, Params, Reply, ReversePath};

/// What a call of [`Session::poll`] brought.
///
/// Where it says *question*, the session waits for [`Session::answer`].
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event<'s> {
    /// Nothing can be done: see the contract of [`Session`].
    Idle,
    /// Something was done that concerns the session alone; poll again.
    Handled,
    /// Question: a client is there and gets its greeting.
    Connected(Peer),
    /// Question: HELO, EHLO or LHLO.
    Hello(Hello<'s>),
    /// Start TLS once the output has been sent, then call [`Session::tls_started`].
    #[cfg(feature = "starttls")]
    StartTls,
    /// Question: MAIL, which begins a transaction.
    Mail(Mail<'s>),
    /// Question: RCPT. With a backlog, it may come while the question before it is open.
    Rcpt(Rcpt<'s>),
    /// Question: DATA; accepted, the text follows.
    Data,
    /// A piece of the text, transparency undone; never empty. Call [`Session::flow`] to refuse the rest.
    Text(&'s [u8]),
    /// Question: the text is complete. With LMTP, asked once for each accepted recipient, counted from 0.
    Message(u16),
    /// Question: VRFY or EXPN.
    Verify(Verify<'s>),
    /// The transaction ended without a message.
    Reset,
    /// The session is over: send the output, then close. Ends a transaction too.
    Closed(Ending),
}

/// An answer to a question.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Answer<'h> {
    /// Yes, in the session's own words.
    Accept,
    /// This reply. A 4yz or 5yz refuses, 421 also closes; a positive code that has no place there (250 to DATA)
    /// becomes 451, since client and server must not disagree about what comes next.
    Reply(Reply<'h>),
    /// Not known yet: the question stays open.
    Later,
}

/// What a handler says to a piece of text.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Flow<'h> {
    /// Go on.
    Continue,
    /// The message is refused with this reply (4yz or 5yz; anything else becomes 451), which the client gets
    /// after its last octet; the rest is thrown away. 421 closes at once.
    Refuse(Reply<'h>),
}

/// Who is at the other end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub struct Peer {
    /// Its address; none on a serial line.
    pub address: Option<SocketAddr>,
    /// Whether TLS is on.
    pub tls: bool,
}

impl Peer {
    /// A client at `address`, without TLS.
    #[must_use]
    pub const fn new(address: Option<SocketAddr>) -> Self {
        Self { address, tls: false }
    }
}

/// What the adapter knows of the TLS that it started; nothing so far that a session looks at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub struct Tls;

/// HELO, EHLO or LHLO.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Hello<'s> {
    /// How the client calls itself: a domain or an address literal; in a Python dialect, anything printable.
    pub name: &'s [u8],
    /// Whether it asked for extensions.
    pub extended: bool,
}

/// MAIL, its parameters judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub struct Mail<'s> {
    /// Who sent it.
    pub reverse_path: ReversePath<'s>,
    /// The declared size in octets (RFC 1870).
    pub size: Option<u32>,
    /// The declared body type (RFC 6152).
    pub body: Option<Body>,
    /// All parameters as sent.
    pub params: Params<'s>,
}

impl Mail<'_> {
    /// The extensions without which no other server may get the message (RFC 6152 §3).
    pub(crate) fn needs(&self) -> Extensions {
        match self.body {
            Some(Body::EightBitMime) => Extensions::EIGHTBITMIME,
            _ => Extensions::NONE,
        }
    }
}

/// The body type (RFC 6152).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Body {
    /// `7BIT`.
    SevenBit,
    /// `8BITMIME`.
    EightBitMime,
}

/// RCPT, its parameters judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub struct Rcpt<'s> {
    /// Who shall get it.
    pub forward_path: ForwardPath<'s>,
    /// All parameters as sent.
    pub params: Params<'s>,
}

/// VRFY or EXPN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Verify<'s> {
    /// A user, a mailbox or a list, as sent.
    pub string: &'s [u8],
    /// Whether EXPN asked.
    pub expand: bool,
}

/// Why a session is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Ending {
    /// The client said QUIT.
    Quit,
    /// The handler said 421.
    Refused,
    /// The client exceeded a limit, or does not speak SMTP.
    Limit,
    /// The connection broke.
    Lost,
    /// A timer ran out.
    Expired,
    /// The server stops.
    Stopping,
    /// The server failed.
    Fault,
}

/// How long to wait for whatever the session waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Patience {
    /// Seconds, from the moment at which `epoch` changed; 0: for ever.
    pub secs: u32,
    /// Restart the timer when this number changes, and only then: a client that sends single octets buys no time.
    pub epoch: u32,
}
