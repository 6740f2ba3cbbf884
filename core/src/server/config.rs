//! What the owner of a server decides: names, limits, timers, switches, texts.

use super::{Extensions, Texts};
use crate::wire::Verb;

/// The settings of a session; many sessions share one.
///
/// ```
/// use smtpd_core::server::{Config, Limits};
/// static CONFIG: Config = {
///     let mut config = Config::new("mx.example.org");
///     config.limits.recipients = 5;
///     config
/// };
/// ```
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Config<'c> {
    /// The server's own name: a domain or an address literal; at most 255 octets (RFC 5321 §4.5.3.1.2).
    pub host: &'c str,
    /// What follows the name in the greeting.
    pub greeting: &'c str,
    /// How much a client may send.
    pub limits: Limits,
    /// How long each side may take.
    pub timers: Timers,
    /// The extensions that are switched on.
    pub extensions: Extensions,
    /// The commands that are switched on; the others get 502.
    pub commands: Commands,
    /// Whether MAIL needs HELO or EHLO before it (RFC 5321 §4.1.4: a client must, but some devices don't).
    pub need_hello: bool,
    /// Speaks LMTP (RFC 2033): LHLO in place of HELO and EHLO, one reply for each recipient after the text.
    #[cfg(feature = "lmtp")]
    pub lmtp: bool,
    /// In which way commands are read and checked.
    #[cfg(feature = "python")]
    pub dialect: super::Dialect,
    /// What the session itself says.
    pub texts: &'c Texts<'c>,
}

impl<'c> Config<'c> {
    /// The defaults, under the server's own name.
    #[must_use]
    pub const fn new(host: &'c str) -> Self {
        Self {
            host,
            greeting: "ESMTP",
            limits: Limits::DEFAULT,
            timers: Timers::DEFAULT,
            extensions: DEFAULT_EXTENSIONS,
            commands: Commands::ALL,
            need_hello: true,
            #[cfg(feature = "lmtp")]
            lmtp: false,
            #[cfg(feature = "python")]
            dialect: super::Dialect::Rfc,
            texts: &Texts::STANDARD,
        }
    }

    /// Whether commands are read as Python did.
    #[cfg(feature = "python")]
    pub(crate) const fn is_python(&self) -> bool {
        !matches!(self.dialect, super::Dialect::Rfc)
    }

    pub(crate) const fn is_lmtp(&self) -> bool {
        #[cfg(feature = "lmtp")]
        return self.lmtp;
        #[cfg(not(feature = "lmtp"))]
        false
    }
}

/// Everything that needs neither TLS nor a special handler.
const DEFAULT_EXTENSIONS: Extensions = {
    let all = Extensions::PIPELINING.with(Extensions::SIZE).with(Extensions::EIGHTBITMIME);
    #[cfg(feature = "enhanced")]
    let all = all.with(Extensions::ENHANCEDSTATUSCODES);
    #[cfg(feature = "expn-help")]
    let all = all.with(Extensions::HELP);
    all
};

/// Limits on what a client may send. 0 means no limit, except where said otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub struct Limits {
    /// Octets of a command line, CRLF included (RFC 5321 §4.5.3.1.4: at least 512); never more than the
    /// session's line storage holds, which is the limit when this is 0.
    pub line: u16,
    /// Recipients of a transaction (RFC 5321 §4.5.3.1.8: at least 100); 0 stands for 65,535.
    pub recipients: u16,
    /// Octets of a message (RFC 1870): as the handler gets them, line ends included, without the dots that
    /// transparency added and without the final `.CRLF`.
    pub size: u32,
    /// Octets of text that are read and thrown away after a message was refused inside its text; then the
    /// session says 421 and closes. They count from the size limit, or from the end of the piece that the handler refused.
    pub drain: u32,
    /// Commands of a connection.
    pub commands: u32,
    /// Commands of a connection that were malformed, unknown or out of order; an accepted message sets the
    /// count back.
    pub errors: u16,
    /// Transactions of a connection: accepted MAIL commands.
    pub transactions: u32,
}

impl Limits {
    /// The limits that RFC 5321 names or that common servers have: lines 1,024, recipients 1,000 (Postfix), size
    /// and drain 32 MiB (Python's smtpd), commands 100,000, errors 20 (Postfix), transactions without limit.
    pub const DEFAULT: Self = Self {
        line: 1_024,
        recipients: 1_000,
        size: 33_554_432,
        drain: 33_554_432,
        commands: 100_000,
        errors: 20,
        transactions: 0,
    };
}

/// How long each side may take, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub struct Timers {
    /// The client, until its next command is complete (RFC 5321 §4.5.3.2.7: at least 300).
    pub command: u32,
    /// The client, for each 512 octets of text (RFC 5321 §4.5.3.2.5).
    pub text: u32,
    /// The client, to read what was said.
    pub output: u32,
    /// The handler, for its answer to Connected, Hello, Mail, Rcpt and Verify: below the 300 that clients wait
    /// (RFC 5321 §4.5.3.2.1 to §4.5.3.2.3).
    pub answer: u32,
    /// The handler, for its answer to Data: below 120 (RFC 5321 §4.5.3.2.4).
    pub data: u32,
    /// The handler, for its answer to Message: below 600 (RFC 5321 §4.5.3.2.6).
    pub message: u32,
    /// The whole session; the adapter keeps this one. 0: no limit.
    pub session: u32,
}

impl Timers {
    /// The RFC's waiting times, and answers a little before a client gives up.
    pub const DEFAULT: Self =
        Self { command: 300, text: 180, output: 300, answer: 240, data: 100, message: 540, session: 0 };
}

/// A set of commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Commands(u32);

impl Commands {
    /// All that are known.
    pub const ALL: Self = Self(u32::MAX);

    /// The set without `verb`.
    #[must_use]
    pub const fn without(self, verb: Verb) -> Self {
        Self(self.0 & !(1_u32.wrapping_shl(verb as u32)))
    }

    /// Whether `verb` is in the set.
    #[must_use]
    pub const fn contains(self, verb: Verb) -> bool {
        self.0 & 1_u32.wrapping_shl(verb as u32) != 0
    }
}
