//! What one side says, as a script has it: octets, or a line with placeholders.

use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use crate::escape;

/// What one side says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// These octets.
    Octets(Vec<u8>),
    /// A line, without its CRLF.
    Line(Vec<Piece>),
    /// `250 {...}`: a whole reply with this code, whatever its lines are.
    Reply([u8; 3]),
    /// Any number of lines.
    Lines,
}

/// A piece of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// These octets.
    Octets(Vec<u8>),
    /// `{*}`: any octets.
    Any,
    /// `{name}`: any octets, but the same wherever the name stands.
    Name(String),
}

/// What the names of a dialogue stand for.
pub(crate) type Names = BTreeMap<String, Vec<u8>>;

/// How far what was heard is what was expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Match {
    /// It is; so many octets of it.
    Whole(usize),
    /// So far; more has to come.
    Begun,
    /// It is not, from this octet on.
    Not(usize),
}

/// A line longer than this is none: who says it goes on for ever.
const LONGEST: usize = 1 << 20;

impl Said {
    /// A line with `{*}`, `{name}` (small letters, digits and `_`); `{...}` for any number of lines, `250 {...}` for a
    /// reply.
    ///
    /// # Errors
    /// What was expected where `{` begins none of these.
    pub fn line(text: &str) -> Result<Self, String> {
        match text.as_bytes() {
            b"{...}" => return Ok(Self::Lines),
            [code @ .., b' ', b'{', b'.', b'.', b'.', b'}'] if code.iter().all(u8::is_ascii_digit) => {
                if let Ok(code) = code.try_into() {
                    return Ok(Self::Reply(code));
                }
            }
            _ => {}
        }
        let mut pieces = Vec::new();
        let mut octets = String::new();
        let mut rest = text;
        while let Some((before, behind)) = rest.split_once('{') {
            octets.push_str(before);
            let named = behind.split_once('}').and_then(|(name, behind)| Some((placeholder(name)?, behind)));
            let (piece, behind) = named.ok_or("`{*}`, `{name}`, or octets (`B:`, `SB:`) where a brace is meant")?;
            let before = core::mem::take(&mut octets);
            if !before.is_empty() {
                pieces.push(Piece::Octets(before.into_bytes()));
            }
            pieces.push(piece);
            rest = behind;
        }
        octets.push_str(rest);
        if !octets.is_empty() {
            pieces.push(Piece::Octets(octets.into_bytes()));
        }
        Ok(Self::Line(pieces))
    }

    /// Whether it stands for more than it says, whatever is known.
    pub(crate) fn is_open(&self) -> bool {
        match self {
            Self::Octets(_) => false,
            Self::Reply(_) | Self::Lines => true,
            Self::Line(pieces) => pieces.contains(&Piece::Any),
        }
    }

    /// As it would look on the wire, escaped.
    pub(crate) fn shown(&self) -> String {
        match self {
            Self::Line(pieces) => {
                let mut shown = String::new();
                for piece in pieces {
                    match piece {
                        Piece::Octets(octets) => shown.push_str(&escape(octets)),
                        _ => shown.push_str(&Self::Line([piece.clone()].into()).to_string()),
                    }
                }
                shown + "\\r\\n"
            }
            other => other.to_string(),
        }
    }

    /// The octets to say; none if they hold what is not known.
    pub(crate) fn octets(&self, names: &Names) -> Option<Vec<u8>> {
        match self {
            Self::Octets(octets) => Some(octets.clone()),
            Self::Lines | Self::Reply(_) => None,
            Self::Line(pieces) => {
                let mut line = Vec::new();
                for piece in pieces {
                    line.extend_from_slice(match piece {
                        Piece::Octets(octets) => octets,
                        Piece::Any => return None,
                        Piece::Name(name) => names.get(name)?,
                    });
                }
                line.extend_from_slice(b"\r\n");
                Some(line)
            }
        }
    }

    /// Compares with what was heard; names get what they stand for.
    /// `folds`: letters of lines are the same in either case, as those of commands are (RFC 5321 §2.4).
    pub(crate) fn find(&self, heard: &[u8], names: &mut Names, folds: bool) -> Match {
        match self {
            Self::Octets(octets) => whole(octets, heard, false),
            Self::Lines => Match::Begun,
            Self::Reply(code) => reply(code, heard),
            Self::Line(pieces) => {
                if let [Piece::Octets(octets)] = &pieces[..] {
                    return match whole(octets, heard, folds) {
                        Match::Whole(len) => match whole(b"\r\n", &heard[len..], false) {
                            Match::Whole(end) => Match::Whole(len + end),
                            Match::Begun => Match::Begun,
                            Match::Not(at) => Match::Not(len + at),
                        },
                        other => other,
                    };
                }
                let Some(end) = line_end(heard) else {
                    let begin = match pieces.first() {
                        Some(Piece::Octets(octets)) => whole(octets, heard, folds),
                        _ => Match::Begun,
                    };
                    return match begin {
                        Match::Not(at) => Match::Not(at),
                        _ if heard.len() > LONGEST => Match::Not(LONGEST),
                        _ => Match::Begun,
                    };
                };
                let mut found = Vec::new();
                match is_match(pieces, &heard[..end], names, &mut found, folds) {
                    Ok(()) => {
                        names.extend(found.into_iter().map(|(name, octets)| (name, octets.to_vec())));
                        Match::Whole(end + 2)
                    }
                    Err(left) => Match::Not(end - left.least),
                }
            }
        }
    }
}

/// Where the first line's CRLF begins.
pub(crate) fn line_end(octets: &[u8]) -> Option<usize> {
    octets.windows(2).position(|two| two == b"\r\n")
}

fn placeholder(name: &str) -> Option<Piece> {
    let is_name = |octet: u8| octet.is_ascii_lowercase() || octet.is_ascii_digit() || octet == b'_';
    match name {
        "*" => Some(Piece::Any),
        "" => None,
        _ if name.bytes().all(is_name) => Some(Piece::Name(name.into())),
        _ => None,
    }
}

fn whole(octets: &[u8], heard: &[u8], folds: bool) -> Match {
    let is_same = |(one, other): &(&u8, &u8)| one == other || folds && one.eq_ignore_ascii_case(other);
    let same = octets.iter().zip(heard).take_while(is_same).count();
    match same {
        _ if same == octets.len() => Match::Whole(same),
        _ if same == heard.len() => Match::Begun,
        _ => Match::Not(same),
    }
}

/// Lines that go on with `250-`, up to the one with `250 `.
fn reply(code: &[u8; 3], heard: &[u8]) -> Match {
    let mut from = 0;
    loop {
        let line = &heard[from..];
        match whole(code, line, false) {
            Match::Whole(len) if line.get(len).is_some_and(|octet| !matches!(octet, b'-' | b' ')) => {
                return Match::Not(from + len);
            }
            Match::Whole(len) => {
                let Some(end) = line_end(line) else {
                    return if heard.len() > LONGEST { Match::Not(LONGEST) } else { Match::Begun };
                };
                from += end + 2;
                if line[len] == b' ' {
                    return Match::Whole(from);
                }
            }
            Match::Begun => return Match::Begun,
            Match::Not(at) => return Match::Not(from + at),
        }
    }
}

/// The shortest octets for each placeholder that let the rest match; else how many were left at the least.
///
/// `found` is what new names stand for so far. Whatever a placeholder stands for, one behind it gets an end of what is
/// left: if that matched no end, longer octets for the first help only if its name comes again.
fn is_match<'l>(
    pieces: &[Piece],
    line: &'l [u8],
    names: &Names,
    found: &mut Vec<(String, &'l [u8])>,
    folds: bool,
) -> Result<(), Left> {
    let Some((piece, behind)) = pieces.split_first() else {
        return if line.is_empty() { Ok(()) } else { Err(Left { least: line.len(), is_final: false }) };
    };
    let known = match piece {
        Piece::Octets(octets) => Some(&octets[..]),
        Piece::Any => None,
        Piece::Name(name) => {
            let new = found.iter().find(|(new, _)| new == name).map(|(_, octets)| *octets);
            names.get(name).map(|octets| &octets[..]).or(new)
        }
    };
    if let Some(known) = known {
        let left = match whole(known, line, folds) {
            Match::Whole(len) => return is_match(behind, &line[len..], names, found, folds),
            Match::Begun => 0,
            Match::Not(at) => line.len() - at,
        };
        return Err(Left { least: left, is_final: false });
    }
    let comes_again = matches!(piece, Piece::Name(_)) && behind.contains(piece);
    let mut least = line.len();
    for len in 0..=line.len() {
        if let Piece::Name(name) = piece {
            found.push((name.clone(), &line[..len]));
        }
        let Err(left) = is_match(behind, &line[len..], names, found, folds) else { return Ok(()) };
        if matches!(piece, Piece::Name(_)) {
            found.pop();
        }
        least = least.min(left.least);
        if left.is_final && !comes_again {
            break;
        }
    }
    Err(Left { least, is_final: !comes_again })
}

/// That a line does not match.
struct Left {
    /// Octets that were left at the least.
    least: usize,
    /// Nor does any end of it.
    is_final: bool,
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Octets(octets) => f.write_str(&escape(octets)),
            Self::Lines => f.write_str("{...}"),
            Self::Reply(code) => write!(f, "{} {{...}}", String::from_utf8_lossy(code)),
            Self::Line(pieces) => pieces.iter().try_for_each(|piece| match piece {
                Piece::Octets(octets) => f.write_str(&String::from_utf8_lossy(octets)),
                Piece::Any => f.write_str("{*}"),
                Piece::Name(name) => write!(f, "{{{name}}}"),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    fn found(pattern: &str, heard: &str) -> (Match, Vec<String>) {
        let mut names = Names::new();
        names.insert("known".into(), b"abc".to_vec());
        let found = Said::line(pattern).unwrap().find(heard.as_bytes(), &mut names, false);
        names.remove("known");
        (found, names.values().map(|value| String::from_utf8_lossy(value).to_string()).collect())
    }

    #[test]
    fn lines_are_found() {
        for (pattern, heard, expected, names) in [
            ("250 OK", "250 OK\r\n221", Match::Whole(8), &[][..]),
            ("250 OK", "250 OK", Match::Begun, &[]),
            ("250 OK", "", Match::Begun, &[]),
            ("250 OK", "250 OK\n", Match::Not(6), &[]),
            ("250 OK", "251 OK\r\n", Match::Not(2), &[]),
            ("250 OK", "25x", Match::Not(2), &[]),
            ("", "\r\n", Match::Whole(2), &[]),
            ("EHLO {*}", "EHLO a.example\r\n", Match::Whole(16), &[]),
            ("EHLO {*}", "EHLO a.exam", Match::Begun, &[]),
            ("EHLO {*}", "HELO", Match::Not(0), &[]),
            ("EHLO {*}", "HELO a\r\n", Match::Not(0), &[]),
            ("MAIL FROM:<{from}>{*}", "MAIL FROM:<a@b> SIZE=1\r\n", Match::Whole(24), &["a@b"]),
            ("{a}@{b}@{a}", "x@y@x\r\n", Match::Whole(7), &["x", "y"]),
            ("{a}@{b}@{a}", "x@y@z\r\n", Match::Not(5), &[]),
            ("say {known}!", "say abc!\r\n", Match::Whole(10), &[]),
            ("say {known}!", "say abd!\r\n", Match::Not(6), &[]),
            ("a{*}c", "a\r\n", Match::Not(1), &[]),
            ("{*}", "\r\n", Match::Whole(2), &[]),
            ("250 {...}", "250-a\r\n250-b\r\n250 c\r\n220 d\r\n", Match::Whole(21), &[]),
            ("250 {...}", "250 c\r\n", Match::Whole(7), &[]),
            ("250 {...}", "250-a\r\n25", Match::Begun, &[]),
            ("250 {...}", "250-a\r\n250", Match::Begun, &[]),
            ("250 {...}", "250-a\r\n250 c\n", Match::Begun, &[]),
            ("250 {...}", "250-a\r\n251 c\r\n", Match::Not(9), &[]),
            ("250 {...}", "2501\r\n", Match::Not(3), &[]),
        ] {
            let names: Vec<String> = names.iter().map(ToString::to_string).collect();
            assert_eq!(found(pattern, heard), (expected, names), "{pattern} in {heard:?}");
            assert_eq!(Said::line(pattern).unwrap().to_string(), pattern);
        }
        for wrong in ["{Name}", "{}", "a {", "{* ", "2500 {...}", "abc {...}", "{n e}"] {
            assert!(Said::line(wrong).unwrap_err().starts_with("`{*}`"), "{wrong}");
        }
    }

    #[test]
    fn letters_are_folded_where_that_is_asked_for() {
        let find = |pattern, heard: &[u8], folds| Said::line(pattern).unwrap().find(heard, &mut Names::new(), folds);
        for pattern in ["MAIL FROM:<a@b>", "MAIL FROM:<{*}>"] {
            assert_eq!(find(pattern, b"mail FROM:<a@b>\r\n", true), Match::Whole(17));
            assert_eq!(find(pattern, b"mail FROM:<a@b>\r\n", false), Match::Not(0));
            assert_eq!(find(pattern, b"m\xc1IL", true), Match::Not(1));
        }
        assert_eq!(Said::Octets(b"A".to_vec()).find(b"a", &mut Names::new(), true), Match::Not(0));
    }

    #[test]
    fn placeholders_are_not_tried_in_every_combination() {
        let line = "a".repeat(20_000) + "\r\n";
        assert_eq!(found("{*}{a}{*}{b}{*}{c}{*}!", &line), (Match::Not(20_000), vec![]));
        assert_eq!(found("{*}a{a}a{*}a{b}{*}a{c}", &line).0, Match::Whole(20_002));
        // A name that comes again may have to be longer.
        assert_eq!(found("{a}-{b}={a}", "x-y-z=x-y\r\n"), (Match::Whole(11), vec!["x-y".into(), "z".into()]));
        assert_eq!(found("{*}-{b}={b}", "x-y-z=z\r\n"), (Match::Whole(9), vec!["z".into()]));
        assert_eq!(found("{b}{*}-{b}{*}{b}!", "ab-abab\r\n").0, Match::Not(7));
    }

    #[test]
    fn what_is_not_known_is_not_said() {
        let names = Names::from([("name".into(), b"a".to_vec())]);
        assert_eq!(Said::line("250 {name}").unwrap().octets(&names).as_deref(), Some(&b"250 a\r\n"[..]));
        for unknown in ["250 {other}", "250 {*}", "{...}"] {
            assert_eq!(Said::line(unknown).unwrap().octets(&names), None);
        }
    }
}
