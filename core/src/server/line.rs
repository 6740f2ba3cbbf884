//! From input to command lines: a line that lies whole in the input is read there, one that is cut is kept.

use crate::store::Store;
use crate::wire::{IS_HOST, printable_prefix};

/// What stands in the line's storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kept {
    /// The beginning of a line, perhaps nothing.
    Start,
    /// A whole line that waits for its turn.
    Whole,
    /// Nothing; a line that was too long has ended, and its reply waits for its turn.
    TooLong,
    /// A line that was dealt with.
    Done,
    /// Nothing; the rest of a line that is too long is being thrown away. Whether its last octet was a CR.
    Excess {
        /// The last octet thrown away was a CR.
        cr: bool,
    },
    /// The reply that waits for the end of a refused text.
    Refusal,
}

/// A line as it was found.
pub(crate) enum Line<'s, 'i> {
    /// A line without its CRLF.
    Found {
        /// The line.
        line: &'s [u8],
        /// The input behind it, if it lies in the input.
        rest: Option<&'i [u8]>,
    },
    /// A line over the limit has come to its end, and is gone; said again until `kept` is set back.
    TooLong,
    /// The input holds no more than the beginning of a line, which is kept.
    Starved,
}

/// What is the rule on a host, by one look at each octet: a line without its CRLF that lies whole in the input and is
/// printable, and the input behind it. What is none of this is for [`find`].
pub(crate) fn find_printable<'i>(
    kept: Kept,
    store: &impl Store,
    input: &'i [u8],
    limit: u16,
) -> Option<(&'i [u8], &'i [u8])> {
    if !IS_HOST || kept != Kept::Start || !store.octets().is_empty() {
        return None;
    }
    let (line, behind) = input.split_at_checked(printable_prefix(input))?;
    let rest = behind.strip_prefix(b"\r\n")?;
    // With its CRLF; a limit of 0 is none.
    let last = line.len().wrapping_add(1);
    (last <= usize::from(limit).wrapping_sub(1) && last < store.room()).then_some((line, rest))
}

/// Finds the next line. Only CRLF ends a line: a bare LF or CR is a part of it (RFC 5321 §2.3.8).
///
/// `limit` counts the CRLF. A line over it is refused wherever the input was cut.
pub(crate) fn find<'s, 'i: 's, L: Store>(
    kept: &mut Kept,
    store: &'s mut L,
    input: &mut &'i [u8],
    limit: usize,
) -> Line<'s, 'i> {
    if *kept == Kept::Done {
        store.release();
        *kept = Kept::Start;
    }
    match kept {
        Kept::Start | Kept::Excess { .. } if input.is_empty() => return Line::Starved,
        Kept::Whole => return whole(store),
        Kept::TooLong => return Line::TooLong,
        _ => {}
    }
    let last = match kept {
        Kept::Excess { cr: true } => b'\r',
        _ => store.octets().last().copied().unwrap_or(0),
    };
    let end = end_of_line(last, input);
    let (taken, rest) = input.split_at_checked(end.unwrap_or(input.len())).unwrap_or((input, b""));
    if let Kept::Excess { cr } = kept {
        *input = rest;
        if end.is_some() {
            *kept = Kept::TooLong;
            return Line::TooLong;
        }
        *cr = taken.last().map_or(*cr, |octet| *octet == b'\r');
        return Line::Starved;
    }
    let before = store.octets().len();
    let is_too_long = before.wrapping_add(taken.len()) > limit;
    match (end, is_too_long) {
        (Some(_), true) => {
            *kept = Kept::TooLong;
            *input = rest;
            store.release();
            Line::TooLong
        }
        (Some(_), false) if before == 0 => Line::Found { line: without_end(taken), rest: Some(rest) },
        (None, true) => {
            *kept = Kept::Excess { cr: taken.last() == Some(&b'\r') };
            *input = rest;
            store.release();
            Line::Starved
        }
        (_, false) => {
            if !taken.is_empty() {
                let _ = store.view().extend_from_slice(taken);
            }
            *input = rest;
            if end.is_none() {
                return Line::Starved;
            }
            *kept = Kept::Whole;
            whole(store)
        }
    }
}

/// The line that is kept.
fn whole<'s, 'i>(store: &'s impl Store) -> Line<'s, 'i> {
    Line::Found { line: without_end(store.octets()), rest: None }
}

fn without_end(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r\n").unwrap_or(line)
}

/// Where the first line ends: the index behind its LF. `last` is the octet before the input.
fn end_of_line(last: u8, input: &[u8]) -> Option<usize> {
    let mut from = 0_usize;
    loop {
        let at = from.wrapping_add(line_feed(input.get(from..)?)?);
        let before = match at.checked_sub(1) {
            Some(before) => input.get(before).copied(),
            None => Some(last),
        };
        from = at.wrapping_add(1);
        if before == Some(b'\r') {
            return Some(from);
        }
    }
}

fn line_feed(octets: &[u8]) -> Option<usize> {
    // On a device memchr has no vectors, and would only take flash.
    #[cfg(all(feature = "memchr", not(target_os = "none")))]
    return memchr::memchr(b'\n', octets);
    #[cfg(not(all(feature = "memchr", not(target_os = "none"))))]
    octets.iter().position(|octet| *octet == b'\n')
}
