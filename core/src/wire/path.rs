//! Reverse-path and forward-path, mailboxes, domains and address literals (RFC 5321 §4.1.2, §4.1.3).
//!
//! All of it is ASCII: what is neither in the grammar nor in its limits is malformed.

use super::octets::{IS_HOST, is_atext, is_ldh, is_plain_domain};
use super::params::is_all_ldh;

/// A mailbox, as it stood in a path; a source route is not part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mailbox<'l> {
    octets: &'l [u8],
    /// Length of the local part.
    at: usize,
}

impl<'l> Mailbox<'l> {
    #[cfg(feature = "python")]
    pub(super) const fn new(octets: &'l [u8], at: usize) -> Self {
        Self { octets, at }
    }

    /// The whole of it as sent: local part, `@`, domain.
    #[must_use]
    pub const fn as_octets(&self) -> &'l [u8] {
        self.octets
    }

    /// The local part as sent, quotes and backslashes kept: their meaning is the receiving host's (RFC 5321 §4.1.2).
    #[must_use]
    pub fn local_part(&self) -> &'l [u8] {
        self.octets.get(..self.at).unwrap_or(b"")
    }

    /// The local part without quotes, and without the backslashes before quoted octets: `"a"` is the same mailbox as `a`
    /// (RFC 5321 §4.1.2, at the end). It may hold any printable octet, `@` and spaces too.
    pub fn plain_local_part(&self) -> PlainLocalPart<'l> {
        PlainLocalPart(self.local_part())
    }

    /// The domain, or the address literal with its brackets; nothing where there is none, which only a Python dialect
    /// accepts.
    #[must_use]
    pub fn domain(&self) -> &'l [u8] {
        self.octets.get(self.at.wrapping_add(1)..).unwrap_or(b"")
    }
}

/// The octets of a local part without its quotes.
#[derive(Clone, Debug)]
pub struct PlainLocalPart<'l>(&'l [u8]);

impl Iterator for PlainLocalPart<'_> {
    type Item = u8;

    fn next(&mut self) -> Option<u8> {
        loop {
            // A quote or a backslash that stands for itself has a backslash before it, and both stand only where quotes are.
            let (octet, rest) = match self.0 {
                [b'"', rest @ ..] => {
                    self.0 = rest;
                    continue;
                }
                [b'\\', octet, rest @ ..] | [octet, rest @ ..] => (*octet, rest),
                [] => return None,
            };
            self.0 = rest;
            return Some(octet);
        }
    }
}

/// The path of MAIL: who sent a message, and where reports about it go (RFC 5321 §4.1.1.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum ReversePath<'l> {
    /// `<>`: nobody; reports about reports must not be sent (RFC 5321 §4.5.5).
    Null,
    /// A mailbox.
    Mailbox(Mailbox<'l>),
}

/// The path of RCPT: who gets a message (RFC 5321 §4.1.1.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForwardPath<'l> {
    /// `<Postmaster>` without a domain, in any letter case; the word as sent (RFC 5321 §4.5.1).
    Postmaster(&'l [u8]),
    /// A mailbox.
    Mailbox(Mailbox<'l>),
}

/// A path that is not of the RFC's form or over its limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct BadPath;

/// Octets of a path, angle brackets and source route included (RFC 5321 §4.5.3.1.3).
const MAX_PATH: usize = 256;
/// Octets of a local part (RFC 5321 §4.5.3.1.1).
const MAX_LOCAL_PART: usize = 64;
/// Octets of a domain (RFC 5321 §4.5.3.1.2).
const MAX_DOMAIN: usize = 255;
/// Octets of a label (RFC 1035 §2.3.4).
const MAX_LABEL: usize = 63;

impl<'l> ReversePath<'l> {
    /// Reads a path that begins at `octets`, and gives what stands behind its `>`. A source route is read and
    /// dropped (RFC 5321 §4.1.1.2, Appendix C).
    ///
    /// # Errors
    /// [`BadPath`].
    pub fn parse(octets: &'l [u8]) -> Result<(Self, &'l [u8]), BadPath> {
        if let [b'<', b'>', rest @ ..] = octets {
            return Ok((Self::Null, rest));
        }
        let (mailbox, rest) = path(octets).ok_or(BadPath)?;
        Ok((Self::Mailbox(mailbox), rest))
    }

    /// The mailbox as sent; nothing for `<>`.
    #[must_use]
    pub const fn as_octets(&self) -> &'l [u8] {
        match self {
            Self::Null => b"",
            Self::Mailbox(mailbox) => mailbox.as_octets(),
        }
    }
}

impl<'l> ForwardPath<'l> {
    /// Reads a path that begins at `octets`, and gives what stands behind its `>`. A source route is read and
    /// dropped (RFC 5321 §4.1.1.3, Appendix C).
    ///
    /// # Errors
    /// [`BadPath`].
    pub fn parse(octets: &'l [u8]) -> Result<(Self, &'l [u8]), BadPath> {
        const POSTMASTER: &[u8] = b"<Postmaster>";
        if let Some((mailbox, rest)) = path(octets) {
            return Ok((Self::Mailbox(mailbox), rest));
        }
        // No mailbox, and the only other path there is.
        match octets.split_at_checked(POSTMASTER.len()) {
            Some((path @ [_, word @ .., _], rest)) if super::same(path, POSTMASTER) => {
                Ok((Self::Postmaster(word), rest))
            }
            _ => Err(BadPath),
        }
    }

    /// The domain, or the address literal with its brackets; nothing for `<Postmaster>`.
    #[must_use]
    pub fn domain(&self) -> &'l [u8] {
        match self {
            Self::Postmaster(_) => b"",
            Self::Mailbox(mailbox) => mailbox.domain(),
        }
    }

    /// The mailbox as sent, or the word `Postmaster`.
    #[must_use]
    pub const fn as_octets(&self) -> &'l [u8] {
        match self {
            Self::Postmaster(word) => word,
            Self::Mailbox(mailbox) => mailbox.as_octets(),
        }
    }
}

/// Whether the octets are a domain: labels of letters, digits and inner hyphens (RFC 5321 §4.1.2), of at most 63
/// octets each and 255 together. No dot at the end.
#[must_use]
pub fn is_domain(octets: &[u8]) -> bool {
    domain(octets, false) == Some(octets.len())
}

/// Whether the octets, brackets included, are an address literal: IPv4, IPv6 or tagged (RFC 5321 §4.1.3).
#[must_use]
pub fn is_address_literal(octets: &[u8]) -> bool {
    let [b'[', inner @ .., b']'] = octets else { return false };
    if octets.len() > MAX_DOMAIN {
        return false;
    }
    let (tag, [_, content @ ..]) = super::cut(inner, b':') else { return is_ipv4(inner) };
    if super::same(tag, b"IPv6") {
        return is_ipv6(content);
    }
    let is_content = content.iter().all(|octet| matches!(octet, 33..=90 | 94..=126));
    is_all_ldh(tag) && !tag.ends_with(b"-") && is_content && !content.is_empty()
}

/// Whether a client may call itself so in HELO and EHLO: a domain or an address literal (RFC 5321 §4.1.1.1).
///
/// Tolerates `_` in labels, which hosts named by their users have, and a dot at the end, which some management
/// boards send: the name is information only, and refusing it would lose their mail.
#[must_use]
pub fn is_hello_name(octets: &[u8]) -> bool {
    IS_HOST && is_plain_domain(octets) || is_any_hello_name(octets)
}

#[cfg_attr(not(target_os = "none"), inline(never))]
fn is_any_hello_name(octets: &[u8]) -> bool {
    let name = octets.strip_suffix(b".").unwrap_or(octets);
    domain(name, true) == Some(name.len()) || is_address_literal(octets)
}

/// A mailbox in angle brackets, and what stands behind them.
#[cfg_attr(not(target_os = "none"), inline(always))]
fn path(octets: &[u8]) -> Option<(Mailbox<'_>, &[u8])> {
    if IS_HOST && let Some(mailbox) = plain_path(octets) {
        return Some((mailbox, b""));
    }
    any_path(octets)
}

/// What is the rule, and can be told quickly: nothing behind the brackets, atoms with dots between them, a plain domain.
#[inline(always)]
fn plain_path(octets: &[u8]) -> Option<Mailbox<'_>> {
    let [b'<', inner @ .., b'>'] = octets else { return None };
    let at = dot_string(inner).filter(|len| *len <= MAX_LOCAL_PART)?;
    let domain = inner.get(at..)?.strip_prefix(b"@")?;
    is_plain_domain(domain).then_some(Mailbox { octets: inner, at })
}

#[cfg_attr(not(target_os = "none"), inline(never))]
fn any_path(octets: &[u8]) -> Option<(Mailbox<'_>, &[u8])> {
    let mut inner = octets.strip_prefix(b"<")?;
    if inner.starts_with(b"@") {
        inner = behind_route(inner)?;
    }
    let at = local_part(inner).filter(|len| *len <= MAX_LOCAL_PART)?;
    let behind = inner.get(at..)?.strip_prefix(b"@")?;
    // A tagged literal may hold a `>`: its end is its bracket.
    let end = match behind {
        [b'[', ..] => super::cut(behind, b']').0.len().wrapping_add(1),
        _ => domain(behind, false)?,
    };
    let (name, rest) = behind.split_at_checked(end)?;
    let rest = rest.strip_prefix(b">")?;
    if octets.len().wrapping_sub(rest.len()) > MAX_PATH || name.starts_with(b"[") && !is_address_literal(name) {
        return None;
    }
    let octets = inner.get(..at.wrapping_add(1).wrapping_add(end))?;
    Some((Mailbox { octets, at }, rest))
}

/// What stands behind a source route `@a,@b:`.
pub(super) fn behind_route(octets: &[u8]) -> Option<&[u8]> {
    let mut rest = octets;
    loop {
        let hop = rest.strip_prefix(b"@")?;
        let (_, behind) = hop.split_at_checked(domain(hop, false)?)?;
        match behind {
            [b':', mailbox @ ..] => return Some(mailbox),
            [b',', hops @ ..] => rest = hops,
            _ => return None,
        }
    }
}

/// The length of the local part at the beginning: a dot-string or a quoted string.
fn local_part(octets: &[u8]) -> Option<usize> {
    if let [b'"', quoted @ ..] = octets {
        return Some(octets.len().wrapping_sub(behind_quoted(quoted)?.len()));
    }
    dot_string(octets)
}

/// The length of the atoms at the beginning, with single dots between them.
fn dot_string(octets: &[u8]) -> Option<usize> {
    let mut rest = octets;
    loop {
        let atom = rest;
        while let [octet, behind @ ..] = rest
            && is_atext(*octet)
        {
            rest = behind;
        }
        if rest.len() == atom.len() {
            return None;
        }
        match rest {
            [b'.', behind @ ..] => rest = behind,
            _ => return Some(octets.len().wrapping_sub(rest.len())),
        }
    }
}

/// What stands behind the quote at the end of a quoted string; `octets` begin behind the first quote.
pub(crate) fn behind_quoted(octets: &[u8]) -> Option<&[u8]> {
    let mut rest = octets;
    loop {
        rest = match rest {
            [b'"', behind @ ..] => return Some(behind),
            [b'\\', b' '..=b'~', behind @ ..] => behind,
            [b'\\', ..] => return None,
            [b' '..=b'~', behind @ ..] => behind,
            _ => return None,
        }
    }
}

/// The length of the domain at the beginning.
fn domain(octets: &[u8], tolerates_underscore: bool) -> Option<usize> {
    let mut rest = octets;
    loop {
        let is_inside = |octet: &u8| is_ldh(*octet) || tolerates_underscore && *octet == b'_';
        let end = rest.iter().position(|octet| !is_inside(octet)).unwrap_or(rest.len());
        let (label, behind) = rest.split_at_checked(end)?;
        if label.is_empty() || label.len() > MAX_LABEL || label.starts_with(b"-") || label.ends_with(b"-") {
            return None;
        }
        match behind {
            [b'.', behind @ ..] => rest = behind,
            _ => return Some(octets.len().wrapping_sub(behind.len())).filter(|length| *length <= MAX_DOMAIN),
        }
    }
}

/// IPv4-address-literal: four numbers of one to three digits, at most 255 each.
fn is_ipv4(octets: &[u8]) -> bool {
    let (mut dots, mut digits, mut number) = (0_u32, 0_u32, 0_u32);
    for octet in octets {
        match octet {
            b'0'..=b'9' => {
                digits = digits.wrapping_add(1);
                number = number.wrapping_mul(10).wrapping_add(u32::from(octet.wrapping_sub(b'0')));
                if digits > 3 || number > 255 {
                    return false;
                }
            }
            b'.' if digits > 0 => (dots, digits, number) = (dots.wrapping_add(1), 0, 0),
            _ => return false,
        }
    }
    dots == 3 && digits > 0
}

/// IPv6-addr: eight groups, or six and an IPv4 address; `::` stands for at least two groups of zeros, so that at most
/// six groups (four beside an IPv4 address) may stand beside it.
fn is_ipv6(octets: &[u8]) -> bool {
    let (mut groups, mut gaps) = (0_u32, 0_u32);
    // Of the group, and colons before it.
    let (mut digits, mut colons) = (0_u32, 0_u32);
    let (mut rest, mut group) = (octets, octets);
    while let [octet, behind @ ..] = rest {
        match octet {
            b':' => {
                groups = groups.wrapping_add(u32::from(digits > 0));
                digits = 0;
                colons = colons.wrapping_add(1);
                gaps = gaps.wrapping_add(u32::from(colons == 2));
            }
            b'.' if is_ipv4(group) => {
                (groups, digits) = (groups.wrapping_add(1), 1);
                break;
            }
            octet if octet.is_ascii_hexdigit() && (colons != 1 || groups > 0) => {
                if digits == 0 {
                    group = rest;
                }
                digits = digits.wrapping_add(1);
                colons = 0;
            }
            _ => return false,
        }
        if digits > 4 || colons > 2 {
            return false;
        }
        rest = behind;
    }
    groups = groups.wrapping_add(u32::from(digits > 0));
    colons != 1 && if gaps == 0 { groups == 8 } else { gaps == 1 && groups <= 6 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::String;

    #[test]
    fn address_literals() {
        for (literal, expected) in [
            ("[127.0.0.1]", true),
            ("[255.255.255.255]", true),
            ("[001.2.3.4]", true),
            ("[256.0.0.1]", false),
            ("[0001.2.3.4]", false),
            ("[1.2.3]", false),
            ("[1.2.3.4.5]", false),
            ("[1..3.4]", false),
            ("[]", false),
            ("127.0.0.1", false),
            ("[IPv6:::]", true),
            ("[IPv6:::1]", true),
            ("[ipv6:2001:db8::1]", true),
            ("[IPv6:2001:db8:0:0:0:0:0:1]", true),
            ("[IPv6:2001:db8:0:0:0:0:0:0:1]", false),
            ("[IPv6:1:2:3:4:5:6:7]", false),
            ("[IPv6:1:2:3:4:5:6::]", true),
            ("[IPv6:1:2:3:4:5:6:7::]", false),
            ("[IPv6:1:2:3:4:5:6::7]", false),
            ("[IPv6:::2:3:4:5:6:7]", true),
            ("[IPv6:::1:2:3:4:5:6:7]", false),
            ("[IPv6:1::2::3]", false),
            ("[IPv6:::1::]", false),
            ("[IPv6:12345::]", false),
            ("[IPv6:g::]", false),
            ("[IPv6:1:2:3:4:5:6:1.2.3.4]", true),
            ("[IPv6:1:2:3:4:5:1.2.3.4]", false),
            ("[IPv6:::ffff:1.2.3.4]", true),
            ("[IPv6:1:2:3:4::1.2.3.4]", true),
            ("[IPv6:1:2:3:4:5::1.2.3.4]", false),
            ("[IPv6:1.2.3.4::]", false),
            ("[IPv6:1:]", false),
            ("[IPv6:]", false),
            ("[IPv6::1]", false),
            ("[tag:content]", true),
            ("[a-b:x>y]", true),
            ("[a-:x]", false),
            (r"[tag:a\b]", false),
            ("[tag:]", false),
            ("[:x]", false),
            ("[t ag:x]", false),
        ] {
            assert_eq!(is_address_literal(literal.as_bytes()), expected, "{literal}");
        }
    }

    #[test]
    fn paths() {
        for (path, expected) in [
            ("<a@b>", Some(("a", "b"))),
            ("<a.b@c.d>", Some(("a.b", "c.d"))),
            ("<@r,@s.t:a@b>", Some(("a", "b"))),
            (r#"<"a b\"c>@"@d.e>"#, Some((r#""a b\"c>@""#, "d.e"))),
            (r#"<""@d>"#, Some((r#""""#, "d"))),
            ("<a@[1.2.3.4]>", Some(("a", "[1.2.3.4]"))),
            ("<a@[t:x>y]>", Some(("a", "[t:x>y]"))),
            ("<!#$%&'*+-/=?^_`{|}~@b>", Some(("!#$%&'*+-/=?^_`{|}~", "b"))),
            ("a@b", None),
            ("<a@b", None),
            ("<a>", None),
            ("<a@>", None),
            ("<@b>", None),
            ("<.a@b>", None),
            ("<a.@b>", None),
            ("<a..b@c>", None),
            ("<a b@c>", None),
            ("<a@b_c>", None),
            ("<a@b.>", None),
            ("<a@-b>", None),
            ("<a@b->", None),
            ("<@r a@b>", None),
            ("<@r,:a@b>", None),
            ("<@r,s:a@b>", None),
            ("<@r,a@b>", None),
            ("<@r:@s:a@b>", None),
            ("<@r>", None),
            (r#"<"\"@b>"#, None),
            ("<\"\\\u{1}\"@b>", None),
            (r#"<"a\\"@b>"#, Some((r#""a\\""#, "b"))),
            (r#"<"a@b>"#, None),
            (r#"<"a"b@c>"#, None),
            ("<\"a\u{7f}\"@b>", None),
            ("<a@b\u{e9}>", None),
        ] {
            let read = ReversePath::parse(path.as_bytes());
            let read = match read {
                Ok((ReversePath::Mailbox(mailbox), b"")) => Some((mailbox.local_part(), mailbox.domain())),
                _ => None,
            };
            let expected = expected.map(|(local, domain)| (local.as_bytes(), domain.as_bytes()));
            assert_eq!(read, expected, "{path}");
        }
        assert_eq!(ReversePath::parse(b"<> SIZE=1"), Ok((ReversePath::Null, &b" SIZE=1"[..])));
        assert_eq!(ForwardPath::parse(b"<>"), Err(BadPath));
        let postmaster = ForwardPath::Postmaster(b"pOstmaster");
        assert_eq!(ForwardPath::parse(b"<pOstmaster>"), Ok((postmaster, &b""[..])));
        assert_eq!(ForwardPath::parse(b"<Postmasters>"), Err(BadPath));
        assert_eq!(ReversePath::parse(b"<Postmaster>"), Err(BadPath));
    }

    #[test]
    fn local_parts_without_quotes() {
        for (path, expected) in [
            ("<a.b+c@d>", "a.b+c"),
            ("<\"a\"@d>", "a"),
            ("<\"\"@d>", ""),
            (r#"<"\a\b"@d>"#, "ab"),
            (r#"<"a b@c"@d>"#, "a b@c"),
            (r#"<"a\"b\\"@d>"#, r#"a"b\"#),
            (r#"<"\\\""@d>"#, r#"\""#),
        ] {
            let Ok((ForwardPath::Mailbox(mailbox), b"")) = ForwardPath::parse(path.as_bytes()) else {
                panic!("{path}")
            };
            assert_eq!(mailbox.plain_local_part().collect::<Vec<_>>(), expected.as_bytes(), "{path}");
        }
    }

    #[test]
    fn what_makes_it_fast() {
        for (path, is_plain) in [
            (format!("<{}@mail-1.example>", "a".repeat(64)), true),
            (format!("<{}@mail-1.example>", "a".repeat(65)), false),
            ("<a.b@mail-1.example>".into(), true),
            ("<a@b.example>x".into(), false),
            ("<\"a\"@mail-1.example>".into(), false),
        ] {
            assert_eq!(plain_path(path.as_bytes()).is_some(), is_plain, "{path}");
        }
    }

    #[test]
    fn limits_at_and_over() {
        let ok = |path: &String| ReversePath::parse(path.as_bytes()).is_ok();
        assert!(ok(&format!("<{}@b>", "a".repeat(64))));
        assert!(!ok(&format!("<{}@b>", "a".repeat(65))));
        assert!(ok(&format!("<a@{}>", "b".repeat(63))));
        assert!(!ok(&format!("<a@{}>", "b".repeat(64))));
        // 256 with both brackets: `<a@` and `>` leave 252 for the domain.
        let label = format!("{}.", "b".repeat(62));
        assert!(ok(&format!("<a@{}>", label.repeat(4).trim_end_matches('.').to_owned() + "x")));
        assert!(!ok(&format!("<aa@{}>", label.repeat(4).trim_end_matches('.').to_owned() + "x")));
        assert!(is_domain(format!("{}{}", label.repeat(4), "bbb").as_bytes()));
        assert!(!is_domain(format!("{}{}", label.repeat(4), "bbbb").as_bytes()));
        assert!(!is_domain(b""));
        // A literal has the domain's limit.
        let literal = |content| format!("[x:{}]", "a".repeat(content));
        assert!(is_address_literal(literal(251).as_bytes()) && !is_address_literal(literal(252).as_bytes()));
        assert!(is_hello_name(b"my_pc.example."));
        assert!(!is_hello_name(b"a..") && !is_hello_name(b".") && !is_hello_name(b"a b") && !is_hello_name(b""));
    }
}
