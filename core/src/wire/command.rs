//! Command lines (RFC 5321 §4.1.1): from a line to a verb and its argument.

use super::octets::{IS_HOST, are_printable};

/// The commands that are known here, whether switched on or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
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

impl Verb {
    /// HELO, EHLO and LHLO.
    pub(crate) const fn is_hello(self) -> bool {
        #[cfg(feature = "lmtp")]
        if matches!(self, Self::Lhlo) {
            return true;
        }
        matches!(self, Self::Helo | Self::Ehlo)
    }

    /// VRFY and EXPN.
    pub(crate) const fn is_verify(self) -> bool {
        #[cfg(feature = "expn-help")]
        if matches!(self, Self::Expn) {
            return true;
        }
        matches!(self, Self::Vrfy)
    }
}

/// What octets a line may not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
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
// Apart: on a host most lines are known to be printable.
#[cfg_attr(not(target_os = "none"), inline(never))]
pub fn split(line: &[u8]) -> Result<(Option<Verb>, &[u8]), Unfit> {
    let line = without_space_behind(line);
    screen(line)?;
    Ok(parts(line))
}

/// The same for a line that is known to be printable.
pub(crate) fn split_printable(line: &[u8]) -> (Option<Verb>, &[u8]) {
    parts(without_space_behind(line))
}

fn without_space_behind(line: &[u8]) -> &[u8] {
    let mut line = line;
    while let [rest @ .., b' ' | b'\t'] = line {
        line = rest;
    }
    line
}

#[cfg_attr(not(target_os = "none"), inline(always))]
fn parts(line: &[u8]) -> (Option<Verb>, &[u8]) {
    // All but one have four letters: the space need not be looked for.
    let (word, mut argument) = match line.split_at_checked(4) {
        Some((word, argument)) if IS_HOST && (argument.is_empty() || argument.starts_with(b" ")) => (word, argument),
        _ => super::cut(line, b' '),
    };
    super::skip_spaces(&mut argument);
    (verb(word), argument)
}

/// What stands behind the key, which is in any letter case.
pub(crate) fn keyed<'l, const N: usize>(argument: &'l [u8], key: &[u8; N]) -> Option<&'l [u8]> {
    let (word, rest) = argument.split_first_chunk::<N>()?;
    if !IS_HOST {
        return super::same(word, key).then_some(rest);
    }
    // Letters may differ in their case, all else in nothing: without a branch, and so all at once.
    let case = |octet: u8| if octet.is_ascii_alphabetic() { 0x20 } else { 0 };
    let differences = word.iter().zip(key).fold(0, |sum, (one, other)| sum | (one ^ other) & !case(*other));
    (differences == 0).then_some(rest)
}

pub(crate) fn verb(word: &[u8]) -> Option<Verb> {
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
    let Ok(four) = <[u8; 4]>::try_from(word) else {
        #[cfg(feature = "starttls")]
        if super::same(word, b"STARTTLS") {
            return Some(Verb::StartTls);
        }
        return None;
    };
    let four = upper(four);
    VERBS.iter().find(|(name, _)| *name == four).map(|(_, verb)| *verb)
}

/// Four octets in upper case. Only letters become letters by the missing bit, and only ASCII's: a Kelvin sign
/// is no K.
const fn upper(word: [u8; 4]) -> u32 {
    u32::from_le_bytes(word) & 0xdfdf_dfdf
}

/// Refuses lines with control octets or octets above 127.
fn screen(line: &[u8]) -> Result<(), Unfit> {
    if are_printable(line) {
        return Ok(());
    }
    if line.iter().any(u8::is_ascii_control) { Err(Unfit::Control) } else { Err(Unfit::NotAscii) }
}
