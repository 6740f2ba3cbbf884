//! Paths as Python's smtpd takes them: brackets, a domain and the grammar of dots are not asked for, by 2.7 not even an
//! order of local part and domain.
//!
//! Whatever is taken here is one word without `<`, `>` and spaces outside of quotes, so that it can be written into a
//! command again without becoming more than one argument there.

use super::octets::is_atext;
use super::path::{Mailbox, behind_quoted, behind_route};
use super::skip_spaces;

/// The path at the beginning of `octets`, and what stands behind it without spaces in front. `<>` is a mailbox of no
/// octets; a source route is dropped; a missing `>` is nothing to Python.
pub(crate) fn loose_path(octets: &[u8]) -> Option<(Mailbox<'_>, &[u8])> {
    let Some(mut inner) = octets.strip_prefix(b"<") else {
        let (mailbox, rest) = mailbox(octets)?;
        // Python's parser says that these are no octets, within brackets it does not.
        return behind(rest).filter(|_| mailbox.as_octets() != b"\"\"").map(|rest| (mailbox, rest));
    };
    if let Some(rest) = inner.strip_prefix(b">") {
        return Some((Mailbox::new(b"", 0), behind(rest)?));
    }
    skip_spaces(&mut inner);
    if inner.starts_with(b"@") {
        inner = behind_route(inner)?;
    }
    let (mailbox, rest) = mailbox(inner)?;
    let rest = behind(rest)?;
    Some((mailbox, behind(rest.strip_prefix(b">").unwrap_or(rest))?))
}

/// The same of what Python 2.7 takes too, which only takes brackets off: words, dots and `@` in any order.
pub(crate) fn looser_path(octets: &[u8]) -> Option<(Mailbox<'_>, &[u8])> {
    let inner = octets.strip_prefix(b"<");
    let path = inner.unwrap_or(octets);
    let at = local_part(path).unwrap_or(0);
    let mut end = at;
    while let Some(domain) = path.get(end..)?.strip_prefix(b"@") {
        end = end.checked_add(1)?.checked_add(local_part(domain).unwrap_or(0))?;
    }
    let (word, rest) = path.split_at_checked(end).filter(|(word, _)| !word.is_empty())?;
    let rest = inner.and_then(|_| rest.strip_prefix(b">")).unwrap_or(rest);
    // Of several `@` the first ends the local part: what goes by the domain must not take the last one for all of it.
    Some((Mailbox::new(word, at), behind(rest)?))
}

/// Without its spaces in front. What goes on with `@` was no whole address.
fn behind(mut rest: &[u8]) -> Option<&[u8]> {
    skip_spaces(&mut rest);
    (!rest.starts_with(b"@")).then_some(rest)
}

/// A local part, and a domain if an `@` follows.
fn mailbox(octets: &[u8]) -> Option<(Mailbox<'_>, &[u8])> {
    let at = local_part(octets)?;
    let end = match octets.get(at..)?.strip_prefix(b"@") {
        Some(name) => at.checked_add(1)?.checked_add(domain(name)?)?,
        None => at,
    };
    let (octets, rest) = octets.split_at_checked(end)?;
    Some((Mailbox::new(octets, at), rest))
}

/// The length of a local part: atoms, quoted strings and dots in any order (RFC 5322 §4.4, and dots at its ends, which
/// some mailboxes of mobile phones have).
fn local_part(octets: &[u8]) -> Option<usize> {
    let mut rest = octets;
    loop {
        rest = match rest {
            [b'"', quoted @ ..] => behind_quoted(quoted)?,
            [octet, behind @ ..] if *octet == b'.' || is_atext(*octet) => behind,
            _ => break,
        };
    }
    (rest.len() < octets.len()).then_some(octets.len().saturating_sub(rest.len()))
}

/// The length of a domain: atoms with dots between them, or brackets around anything but spaces, brackets and
/// backslashes.
fn domain(octets: &[u8]) -> Option<usize> {
    if octets.starts_with(b"[") {
        let (literal, _) = octets.split_at_checked(octets.iter().position(|octet| *octet == b']')?)?;
        let is_fit = |octet: &u8| matches!(octet, b'!'..=b'~') && !matches!(octet, b'[' | b'\\' | b'<' | b'>');
        return literal.iter().skip(1).all(is_fit).then(|| literal.len().saturating_add(1));
    }
    let is_part = |octet: &u8| *octet == b'.' || is_atext(*octet);
    let len = octets.iter().position(|octet| !is_part(octet)).unwrap_or(octets.len());
    let labels = octets.get(..len)?;
    labels.split(|octet| *octet == b'.').all(|label| !label.is_empty()).then_some(len)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Mailbox, length of its local part, what is left.
    type Expected<'l> = Option<(&'l [u8], usize, &'l [u8])>;

    fn shown<'l>((mailbox, rest): (Mailbox<'l>, &'l [u8])) -> (&'l [u8], usize, &'l [u8]) {
        (mailbox.as_octets(), mailbox.local_part().len(), rest)
    }

    #[test]
    fn paths() {
        let rows: [(&[u8], Expected<'_>); 50] = [
            (b"<a@b>", Some((b"a@b", 1, b""))),
            (b"<a@b> SIZE=1", Some((b"a@b", 1, b"SIZE=1"))),
            (b"<a@b>SIZE=1", Some((b"a@b", 1, b"SIZE=1"))),
            (b"a@b", Some((b"a@b", 1, b""))),
            (b"a@b SIZE=1", Some((b"a@b", 1, b"SIZE=1"))),
            (b"<a>", Some((b"a", 1, b""))),
            (b"root", Some((b"root", 4, b""))),
            (b"<>", Some((b"", 0, b""))),
            (b"<>  X", Some((b"", 0, b"X"))),
            (b"< a@b >", Some((b"a@b", 1, b""))),
            (b"<a@b", Some((b"a@b", 1, b""))),
            (b"<a@b X", Some((b"a@b", 1, b"X"))),
            (b"<a", Some((b"a", 1, b""))),
            (b"<a..b@c>", Some((b"a..b@c", 4, b""))),
            (b".a.@b", Some((b".a.@b", 3, b""))),
            (b".", Some((b".", 1, b""))),
            (b"\"a b\"@c", Some((b"\"a b\"@c", 5, b""))),
            (b"\"a>\\\"\".b@c", Some((b"\"a>\\\"\".b@c", 8, b""))),
            (b"<\"\">", Some((b"\"\"", 2, b""))),
            (b"\"\"", None),
            (b"\"\"@b", Some((b"\"\"@b", 2, b""))),
            (b"<@x,@y.z:a@b>", Some((b"a@b", 1, b""))),
            (b"a@[1.2.3.4]", Some((b"a@[1.2.3.4]", 1, b""))),
            (b"<a@[IPv6:::1]>X", Some((b"a@[IPv6:::1]", 1, b"X"))),
            (b"a@[]", Some((b"a@[]", 1, b""))),
            (b"a@b_c.-d", Some((b"a@b_c.-d", 1, b""))),
            (b"a@b>", Some((b"a@b", 1, b">"))),
            (b"a;b", Some((b"a", 1, b";b"))),
            (b"<a@b>,<c@d>", Some((b"a@b", 1, b",<c@d>"))),
            (b"a b@c", Some((b"a", 1, b"b@c"))),
            (b"", None),
            (b"<", None),
            (b"< >", None),
            (b"<@b>", None),
            (b"@b", None),
            (b"a@", None),
            (b"<a@>", None),
            (b"a@b.", None),
            (b"a@.b", None),
            (b"a@b..c", None),
            (b"a@b@c", None),
            (b"<a@b>@c", None),
            (b"a @b", None),
            (b"\"a@b", None),
            (b"\"a\\", None),
            (b"\"a\\\x1f\"", None),
            (b"a@[1.2.3.4", None),
            (b"a@[<]", None),
            (b"a@[1 2]", None),
            (b"(c)a@b", None),
        ];
        for (octets, expected) in rows {
            assert_eq!(loose_path(octets).map(shown), expected, "{}", octets.escape_ascii());
        }
    }

    #[test]
    fn looser_paths() {
        let rows: [(&[u8], Expected<'_>); 26] = [
            (b"<a@b>", Some((b"a@b", 1, b""))),
            (b"a@b", Some((b"a@b", 1, b""))),
            (b"<a@>", Some((b"a@", 1, b""))),
            (b"a@", Some((b"a@", 1, b""))),
            (b"<@b> SIZE=1", Some((b"@b", 0, b"SIZE=1"))),
            (b"@", Some((b"@", 0, b""))),
            (b"<a@b@c>", Some((b"a@b@c", 1, b""))),
            (b"a@b@c X", Some((b"a@b@c", 1, b"X"))),
            (b"a@@b", Some((b"a@@b", 1, b""))),
            (b"a@.b..c.", Some((b"a@.b..c.", 1, b""))),
            (b"\"\"", Some((b"\"\"", 2, b""))),
            (b"\"> @\"@\"b c\"", Some((b"\"> @\"@\"b c\"", 5, b""))),
            (b"<a@", Some((b"a@", 1, b""))),
            (b"a@>", Some((b"a@", 1, b">"))),
            (b"<@x,@y:a@b>", Some((b"@x", 0, b",@y:a@b>"))),
            (b"a@[1.2.3.4", Some((b"a@", 1, b"[1.2.3.4"))),
            (b"a@\"b", Some((b"a@", 1, b"\"b"))),
            (b"a@(c)", Some((b"a@", 1, b"(c)"))),
            (b"a@\\b", Some((b"a@", 1, b"\\b"))),
            (b"a@;", Some((b"a@", 1, b";"))),
            (b"<a@b>@c", None),
            (b"a @b", None),
            (b"<>", None),
            (b"< a@>", None),
            (b"\"a@b", None),
            (b"", None),
        ];
        for (octets, expected) in rows {
            assert_eq!(looser_path(octets).map(shown), expected, "{}", octets.escape_ascii());
        }
    }
}
