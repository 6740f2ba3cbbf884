//! Commands (RFC 5321 §4.1.1): from a line to a verb and its argument, and from there to a command.

use super::params::Params;
use super::path::{ForwardPath, ReversePath, is_hello_name};

/// The commands that are known here, whether switched on or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verb {
    /// HELO (RFC 5321 §4.1.1.1).
    Helo,
    /// EHLO (RFC 5321 §4.1.1.1).
    Ehlo,
    /// LHLO (RFC 2033 §4.1).
    #[cfg(feature = "lmtp")]
    Lhlo,
    /// MAIL (RFC 5321 §4.1.1.2).
    Mail,
    /// RCPT (RFC 5321 §4.1.1.3).
    Rcpt,
    /// DATA (RFC 5321 §4.1.1.4).
    Data,
    /// RSET (RFC 5321 §4.1.1.5).
    Rset,
    /// VRFY (RFC 5321 §4.1.1.6).
    Vrfy,
    /// EXPN (RFC 5321 §4.1.1.7).
    #[cfg(feature = "expn-help")]
    Expn,
    /// HELP (RFC 5321 §4.1.1.8).
    #[cfg(feature = "expn-help")]
    Help,
    /// NOOP (RFC 5321 §4.1.1.9).
    Noop,
    /// QUIT (RFC 5321 §4.1.1.10).
    Quit,
    /// STARTTLS (RFC 3207).
    #[cfg(feature = "starttls")]
    StartTls,
}

/// A well-formed command; whether it may come now is for `Order` to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Command<'l> {
    /// HELO, EHLO or LHLO with the client's name; `extended` for the last two.
    Hello {
        /// A domain or an address literal, as sent.
        name: &'l [u8],
        /// Whether extensions are asked for.
        extended: bool,
    },
    /// MAIL with its parameters, not judged yet.
    Mail {
        /// Who sent it.
        path: ReversePath<'l>,
        /// The parameters in order.
        params: Params<'l>,
    },
    /// RCPT with its parameters, not judged yet.
    Rcpt {
        /// Who shall get it.
        path: ForwardPath<'l>,
        /// The parameters in order.
        params: Params<'l>,
    },
    /// DATA.
    Data,
    /// RSET.
    Rset,
    /// VRFY and EXPN with their string.
    Verify {
        /// What to look up, as sent.
        string: &'l [u8],
        /// Whether EXPN asked.
        expand: bool,
    },
    /// HELP; its topic is not looked at.
    #[cfg(feature = "expn-help")]
    Help,
    /// NOOP; its argument is not looked at (RFC 5321 §4.1.1.9).
    Noop,
    /// QUIT.
    Quit,
    /// STARTTLS.
    #[cfg(feature = "starttls")]
    StartTls,
}

/// What is wrong with an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// It is missing, not allowed, or not of the command's form.
    Argument,
    /// The reverse-path of MAIL.
    Sender,
    /// The forward-path of RCPT.
    Recipient,
}

/// What octets a line may not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// A control octet, bare CR and LF among them.
    Control,
    /// An octet above 127 and no control octet.
    NotAscii,
}

/// Splits a line, its CRLF taken off, into its verb and its argument; trailing white space is tolerated
/// (RFC 5321 §4.1.1). `None` in place of the verb: not a command that is known here.
///
/// # Errors
/// [`Unfit`] when the line holds octets that no command may hold.
pub fn split(line: &[u8]) -> Result<(Option<Verb>, &[u8]), Unfit> {
    let mut line = line;
    while let [rest @ .., b' ' | b'\t'] = line {
        line = rest;
    }
    screen(line)?;
    let (word, mut argument) = super::cut(line, b' ');
    super::skip_spaces(&mut argument);
    Ok((verb(word), argument))
}

impl<'l> Command<'l> {
    /// Reads the argument that `verb` takes.
    ///
    /// # Errors
    /// [`Malformed`] says which part is not of the RFC's form.
    pub fn parse(verb: Verb, argument: &'l [u8]) -> Result<Self, Malformed> {
        let bare = |command| {
            if argument.is_empty() { Ok(command) } else { Err(Malformed::Argument) }
        };
        match verb {
            Verb::Mail => {
                let path = keyed(argument, b"FROM:").ok_or(Malformed::Argument)?;
                let (path, rest) = ReversePath::parse(path).map_err(|_| Malformed::Sender)?;
                let params = Params::parse(rest).ok_or(Malformed::Argument)?;
                Ok(Self::Mail { path, params })
            }
            Verb::Rcpt => {
                let path = keyed(argument, b"TO:").ok_or(Malformed::Argument)?;
                let (path, rest) = ForwardPath::parse(path).map_err(|_| Malformed::Recipient)?;
                let params = Params::parse(rest).ok_or(Malformed::Argument)?;
                Ok(Self::Rcpt { path, params })
            }
            Verb::Helo => hello(argument, false),
            Verb::Ehlo => hello(argument, true),
            #[cfg(feature = "lmtp")]
            Verb::Lhlo => hello(argument, true),
            Verb::Vrfy => verify(argument, false),
            #[cfg(feature = "expn-help")]
            Verb::Expn => verify(argument, true),
            #[cfg(feature = "expn-help")]
            Verb::Help => Ok(Self::Help),
            Verb::Noop => Ok(Self::Noop),
            Verb::Data => bare(Self::Data),
            Verb::Rset => bare(Self::Rset),
            Verb::Quit => bare(Self::Quit),
            #[cfg(feature = "starttls")]
            Verb::StartTls => bare(Self::StartTls),
        }
    }
}

fn hello(name: &[u8], extended: bool) -> Result<Command<'_>, Malformed> {
    if is_hello_name(name) { Ok(Command::Hello { name, extended }) } else { Err(Malformed::Argument) }
}

fn verify(string: &[u8], expand: bool) -> Result<Command<'_>, Malformed> {
    if string.is_empty() { Err(Malformed::Argument) } else { Ok(Command::Verify { string, expand }) }
}

/// What stands behind the key, which is in any letter case.
fn keyed<'l>(argument: &'l [u8], key: &[u8]) -> Option<&'l [u8]> {
    let (word, rest) = argument.split_at_checked(key.len())?;
    super::same(word, key).then_some(rest)
}

fn verb(word: &[u8]) -> Option<Verb> {
    const VERBS: &[(u32, Verb)] = &[
        (upper(*b"HELO"), Verb::Helo),
        (upper(*b"EHLO"), Verb::Ehlo),
        #[cfg(feature = "lmtp")]
        (upper(*b"LHLO"), Verb::Lhlo),
        (upper(*b"MAIL"), Verb::Mail),
        (upper(*b"RCPT"), Verb::Rcpt),
        (upper(*b"DATA"), Verb::Data),
        (upper(*b"RSET"), Verb::Rset),
        (upper(*b"VRFY"), Verb::Vrfy),
        #[cfg(feature = "expn-help")]
        (upper(*b"EXPN"), Verb::Expn),
        #[cfg(feature = "expn-help")]
        (upper(*b"HELP"), Verb::Help),
        (upper(*b"NOOP"), Verb::Noop),
        (upper(*b"QUIT"), Verb::Quit),
    ];
    #[cfg(feature = "starttls")]
    if super::same(word, b"STARTTLS") {
        return Some(Verb::StartTls);
    }
    let word = <[u8; 4]>::try_from(word).ok()?;
    let word = upper(word);
    VERBS.iter().find(|(name, _)| *name == word).map(|(_, verb)| *verb)
}

/// Four octets in upper case. Only letters become letters by the missing bit, and only ASCII's: a Kelvin sign
/// is no K.
const fn upper(word: [u8; 4]) -> u32 {
    u32::from_le_bytes(word) & 0xdfdf_dfdf
}

/// Refuses lines with control octets or octets above 127, in one pass without branches.
fn screen(line: &[u8]) -> Result<(), Unfit> {
    let mut control = false;
    let mut all = 0;
    for octet in line {
        control |= octet.is_ascii_control();
        all |= *octet;
    }
    if control {
        Err(Unfit::Control)
    } else if all > 127 {
        Err(Unfit::NotAscii)
    } else {
        Ok(())
    }
}
