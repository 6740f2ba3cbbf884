//! Paths, domains and address literals against the grammar of RFC 5321, one function for each of its rules.
#![no_main]

use libfuzzer_sys::fuzz_target;
use smtpd_core::wire::{BadPath, ForwardPath, Mailbox, ReversePath, is_address_literal, is_domain};

fuzz_target!(|octets: &[u8]| {
    // A path may be 256 octets long. The reference is slow.
    if octets.len() > 300 {
        return;
    }
    let expected = path(octets);
    match ReversePath::parse(octets) {
        Ok((ReversePath::Null, rest)) => assert_eq!([b"<>", rest].concat(), octets),
        Ok((ReversePath::Mailbox(mailbox), rest)) => assert_eq!(Some(parts(mailbox, rest)), expected),
        Err(BadPath) => assert!(expected.is_none() && !octets.starts_with(b"<>"), "{}", octets.escape_ascii()),
    }
    let is_postmaster = octets.to_ascii_lowercase().starts_with(b"<postmaster>");
    match ForwardPath::parse(octets) {
        Ok((ForwardPath::Postmaster(word), rest)) => {
            assert!(is_postmaster);
            assert_eq!([b"<", word, b">", rest].concat(), octets);
        }
        Ok((ForwardPath::Mailbox(mailbox), rest)) => assert_eq!(Some(parts(mailbox, rest)), expected),
        Err(BadPath) => assert!(expected.is_none() && !is_postmaster, "{}", octets.escape_ascii()),
    }
    for (before, behind) in [("", ""), ("[", "]"), ("[IPv6:", "]"), ("[1.2.", ".4]"), ("[IPv6:1::", ":9.8.7.6]")] {
        let octets = [before.as_bytes(), octets, behind.as_bytes()].concat();
        assert_eq!(is_domain(&octets), domain(&octets), "{}", octets.escape_ascii());
        assert_eq!(is_address_literal(&octets), address_literal(&octets), "{}", octets.escape_ascii());
    }
});

/// Local part, domain and what stands behind the path.
type Parts<'l> = (&'l [u8], &'l [u8], &'l [u8]);

fn parts<'l>(mailbox: Mailbox<'l>, rest: &'l [u8]) -> Parts<'l> {
    let (local, domain) = (mailbox.local_part(), mailbox.domain());
    assert_eq!(mailbox.as_octets(), [local, b"@", domain].concat());
    (local, domain, rest)
}

/// `Path = "<" [ A-d-l ":" ] Mailbox ">"`, wherever it may end.
fn path(octets: &[u8]) -> Option<Parts<'_>> {
    let inner = octets.strip_prefix(b"<")?;
    let mut found = Vec::new();
    for (inner, rest) in splits(inner, b'>').filter(|(inner, _)| inner.len() + 2 <= 256) {
        let routed = splits(inner, b':').filter(|(route, _)| source_route(route)).map(|(_, mailbox)| mailbox);
        for mailbox in routed.chain([inner]) {
            found.extend(
                splits(mailbox, b'@')
                    .filter(|(l, d)| local_part(l) && (domain(d) || address_literal(d)))
                    .map(|(local, domain)| (local, domain, rest)),
            );
        }
    }
    assert!(found.len() < 2, "the grammar has two meanings for {}", octets.escape_ascii());
    found.pop()
}

/// Both sides of each place where the octet stands.
fn splits(octets: &[u8], octet: u8) -> impl Iterator<Item = (&[u8], &[u8])> {
    let places = octets.iter().enumerate().filter(move |(_, other)| **other == octet);
    places.map(|(at, _)| (&octets[..at], &octets[at + 1..]))
}

/// `At-domain *( "," At-domain )`
fn source_route(octets: &[u8]) -> bool {
    octets.split(|octet| *octet == b',').all(|hop| hop.strip_prefix(b"@").is_some_and(domain))
}

/// `sub-domain *("." sub-domain)`
fn domain(octets: &[u8]) -> bool {
    octets.len() <= 255 && octets.split(|octet| *octet == b'.').all(|label| label.len() <= 63 && sub_domain(label))
}

/// `Let-dig [Ldh-str]`
fn sub_domain(octets: &[u8]) -> bool {
    octets.first().is_some_and(u8::is_ascii_alphanumeric) && ldh_str(octets)
}

/// `*( ALPHA / DIGIT / "-" ) Let-dig`
fn ldh_str(octets: &[u8]) -> bool {
    octets.iter().all(|octet| octet.is_ascii_alphanumeric() || *octet == b'-')
        && octets.last().is_some_and(u8::is_ascii_alphanumeric)
}

/// `Dot-string / Quoted-string`, at most 64 octets
fn local_part(octets: &[u8]) -> bool {
    octets.len() <= 64 && (dot_string(octets) || quoted_string(octets))
}

/// `Atom *("." Atom)`
fn dot_string(octets: &[u8]) -> bool {
    let atext = |octet: &u8| octet.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(octet);
    octets.split(|octet| *octet == b'.').all(|atom| !atom.is_empty() && atom.iter().all(atext))
}

/// `DQUOTE *QcontentSMTP DQUOTE`
fn quoted_string(octets: &[u8]) -> bool {
    let Some(mut rest) = octets.strip_prefix(b"\"").and_then(|octets| octets.strip_suffix(b"\"")) else { return false };
    while let Some(octet) = rest.first() {
        let length = match octet {
            // quoted-pairSMTP
            92 if matches!(rest.get(1), Some(32..=126)) => 2,
            // qtextSMTP
            32..=33 | 35..=91 | 93..=126 => 1,
            _ => return false,
        };
        rest = &rest[length..];
    }
    true
}

/// `"[" ( IPv4-address-literal / IPv6-address-literal / General-address-literal ) "]"`, as long as a domain
fn address_literal(octets: &[u8]) -> bool {
    let Some(inner) = octets.strip_prefix(b"[").and_then(|octets| octets.strip_suffix(b"]")) else { return false };
    let general = |(tag, content): (&[u8], &[u8])| {
        let dcontent = |octet: &u8| matches!(octet, 33..=90 | 94..=126);
        // This tag has a meaning of its own.
        !tag.eq_ignore_ascii_case(b"IPv6") && ldh_str(tag) && !content.is_empty() && content.iter().all(dcontent)
    };
    let six = |(tag, content): (&[u8], &[u8])| tag.eq_ignore_ascii_case(b"IPv6") && ipv6(content);
    octets.len() <= 255 && (ipv4(inner) || splits(inner, b':').any(|parts| six(parts) || general(parts)))
}

/// `Snum 3("." Snum)`, each of 0 to 255
fn ipv4(octets: &[u8]) -> bool {
    let snum = |number: &[u8]| {
        let is_number = matches!(number.len(), 1..=3) && number.iter().all(u8::is_ascii_digit);
        is_number && std::str::from_utf8(number).unwrap().parse::<u16>().unwrap() <= 255
    };
    let numbers: Vec<_> = octets.split(|octet| *octet == b'.').collect();
    numbers.len() == 4 && numbers.into_iter().all(snum)
}

/// `IPv6-full / IPv6-comp / IPv6v4-full / IPv6v4-comp`
fn ipv6(octets: &[u8]) -> bool {
    let full = groups(octets) == Some(8);
    let comp = gaps(octets).any(|(left, right)| some_groups(left, right, 6));
    let with_ipv4 = splits(octets, b':').filter(|(_, four)| ipv4(four)).any(|(front, _)| {
        // The colon before the IPv4 address belongs to the gap, or to the groups behind it.
        groups(front) == Some(6)
            || front.strip_suffix(b":").is_some_and(|left| some_groups(left, b"", 4))
            || gaps(front).any(|(left, right)| !right.is_empty() && some_groups(left, right, 4))
    });
    full || comp || with_ipv4
}

/// Both sides of each `::`.
fn gaps(octets: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let places = octets.windows(2).enumerate().filter(|(_, pair)| *pair == b"::");
    places.map(|(at, _)| (&octets[..at], &octets[at + 2..]))
}

/// Groups on both sides, none perhaps, at most so many together.
fn some_groups(left: &[u8], right: &[u8], most: usize) -> bool {
    let side = |octets: &[u8]| if octets.is_empty() { Some(0) } else { groups(octets) };
    matches!((side(left), side(right)), (Some(left), Some(right)) if left + right <= most)
}

/// The number of groups in `IPv6-hex *(":" IPv6-hex)`.
fn groups(octets: &[u8]) -> Option<usize> {
    let hex = |group: &[u8]| matches!(group.len(), 1..=4) && group.iter().all(u8::is_ascii_hexdigit);
    let groups = || octets.split(|octet| *octet == b':');
    groups().all(hex).then(|| groups().count())
}
