//! Classes of octets.

/// Whether speed counts more than flash: there is an operating system.
pub(crate) const IS_HOST: bool = !cfg!(target_os = "none");

/// A letter, a digit or a hyphen.
const LDH: u8 = 1;
/// atext.
const ATEXT: u8 = 2;

/// One look in place of up to twenty instructions, but 256 octets of flash.
static CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let mut rest: &mut [u8] = &mut classes;
    let mut octet = 0_u8;
    while let [class, tail @ ..] = rest {
        *class = if is_ldh_by_range(octet) { LDH } else { 0 } | if is_atext_by_range(octet) { ATEXT } else { 0 };
        octet = octet.wrapping_add(1);
        rest = tail;
    }
    classes
};

/// A letter, a digit or a hyphen.
pub(crate) fn is_ldh(octet: u8) -> bool {
    if IS_HOST { is(octet, LDH) } else { is_ldh_by_range(octet) }
}

/// atext (RFC 5322 §3.2.3).
pub(crate) fn is_atext(octet: u8) -> bool {
    if IS_HOST { is(octet, ATEXT) } else { is_atext_by_range(octet) }
}

/// Whether all are printable ASCII, as commands and replies have to be.
pub(crate) fn are_printable(octets: &[u8]) -> bool {
    printable_prefix(octets) == octets.len()
}

/// How many octets at the beginning are printable ASCII. Eight at once on a host.
// Apart, where it has registers for its numbers.
#[cfg_attr(not(target_os = "none"), inline(never))]
pub(crate) fn printable_prefix(octets: &[u8]) -> usize {
    let mut rest = octets;
    while IS_HOST && let Some((eight, behind)) = rest.split_first_chunk::<8>() {
        let bad = not_printable(u64::from_le_bytes(*eight));
        if bad != 0 {
            let before = octets.len().wrapping_sub(rest.len());
            return before.wrapping_add(bad.trailing_zeros() as usize / 8);
        }
        rest = behind;
    }
    if IS_HOST
        && let Some((&[a, b, c, d], behind)) = rest.split_first_chunk::<4>()
        && not_printable(u64::from_le_bytes([a, b, c, d, b' ', b' ', b' ', b' '])) == 0
    {
        rest = behind;
    }
    while let [octet, behind @ ..] = rest
        && is_printable(*octet)
    {
        rest = behind;
    }
    octets.len().wrapping_sub(rest.len())
}

/// A one in each of eight octets, and the top bit of each.
const EACH: u64 = 0x0101_0101_0101_0101;
const TOP: u64 = EACH.wrapping_mul(0x80);

/// Not 0 if one of eight octets is not printable; the lowest bit that is set is that of the first such octet.
const fn not_printable(eight: u64) -> u64 {
    // A borrow that reaches the next octet comes from one that is not printable itself.
    let control = eight.wrapping_sub(EACH.wrapping_mul(0x20));
    let delete = (eight ^ EACH.wrapping_mul(0x7f)).wrapping_sub(EACH);
    (eight | control | delete) & TOP
}

/// Whether the octets are a domain as most are: 8 to 63 letters and digits, with single dots and hyphens between them.
/// Eight at once; whatever else is a domain has to be looked at by octets.
#[inline(always)]
pub(crate) fn is_plain_domain(octets: &[u8]) -> bool {
    let (Some(last), 8..=63) = (octets.len().checked_sub(8), octets.len()) else { return false };
    let (mut bad, mut at) = (0, 0_usize);
    while let Some(eight) = octets.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
        bad |= not_plain(u64::from_le_bytes(*eight));
        if at == last {
            break;
        }
        // The last octet of each eight is the first of the next ones: no two neighbours go unseen.
        at = at.wrapping_add(7).min(last);
    }
    bad == 0 && !matches!(octets, [b'-' | b'.', ..] | [.., b'-' | b'.'])
}

/// Not 0 if one of eight octets is no letter, digit, hyphen or dot, or if two of the eight that are no letter and no
/// digit are neighbours.
const fn not_plain(eight: u64) -> u64 {
    // The top bit of each octet: it is at least `first`, and not above `last`. True below 128, and what is not is bad.
    const fn within(eight: u64, first: u8, last: u8) -> u64 {
        let at_least = eight.wrapping_add(EACH.wrapping_mul(0x80_u8.wrapping_sub(first) as u64));
        let above = eight.wrapping_add(EACH.wrapping_mul(0x7f_u8.wrapping_sub(last) as u64));
        at_least & !above
    }
    let point = within(eight, b'-', b'.');
    let good = within(eight | EACH.wrapping_mul(0x20), b'a', b'z') | within(eight, b'0', b'9') | point;
    (eight | !good | point & point.wrapping_shl(8)) & TOP
}

/// Printable ASCII (RFC 5321 §4.2, textstring without HTAB).
pub(crate) const fn is_printable(octet: u8) -> bool {
    octet >= b' ' && octet <= b'~'
}

/// One hexadecimal digit, in a small letter.
pub(crate) const fn hex_digit(value: u8) -> u8 {
    match value {
        0..10 => value.wrapping_add(b'0'),
        _ => value.wrapping_sub(10).wrapping_add(b'a'),
    }
}

/// Where the first CR or LF is.
pub(crate) fn line_end(octets: &[u8]) -> Option<usize> {
    // On a device memchr has no vectors, and would only take flash.
    #[cfg(all(feature = "memchr", not(target_os = "none")))]
    return memchr::memchr2(b'\r', b'\n', octets);
    #[cfg(not(all(feature = "memchr", not(target_os = "none"))))]
    octets.iter().position(|octet| matches!(octet, b'\r' | b'\n'))
}

fn is(octet: u8, class: u8) -> bool {
    CLASSES.get(usize::from(octet)).is_some_and(|classes| classes & class != 0)
}

const fn is_ldh_by_range(octet: u8) -> bool {
    // Most are small letters.
    octet.is_ascii_lowercase() || octet.is_ascii_uppercase() || octet.is_ascii_digit() || octet == b'-'
}

const fn is_atext_by_range(octet: u8) -> bool {
    octet.is_ascii_alphanumeric()
        || matches!(
            octet,
            b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'/' | b'=' | b'?' | b'^' | b'_' | b'`' | b'{'..=b'~'
        )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec;

    #[test]
    fn a_plain_domain_is_a_domain() {
        let is_domain = |octets: &[u8]| crate::wire::is_domain(octets);
        for length in 1..=70 {
            assert_eq!(is_plain_domain(&vec![b'a'; length]), (8..=63).contains(&length), "{length}");
        }
        let (mut plain, mut others) = (0, 0);
        for length in 8..=20 {
            for at in 0..length {
                for octet in 0..=u8::MAX {
                    for around in [b'-', b'.', b'a', b'9'] {
                        let mut octets = [b'a'; 20];
                        octets[at] = octet;
                        octets[(at + 1) % length] = around;
                        let octets = &octets[..length];
                        let is_plain = is_plain_domain(octets);
                        assert!(!is_plain || is_domain(octets), "{}", octets.escape_ascii());
                        plain += u32::from(is_plain);
                        others += u32::from(!is_plain && is_domain(octets));
                    }
                }
            }
        }
        // Two hyphens side by side are a domain, and all else that is one here is plain.
        let pairs: u32 = (8..=20).map(|length| length - 3).sum();
        assert_eq!(others, pairs);
        assert!(plain > 50 * pairs, "{plain}");
    }

    #[test]
    fn each_octet_at_each_place() {
        for length in 1..=20 {
            for at in 0..length {
                for octet in 0..=u8::MAX {
                    for around in [b' ', b'~', b'a'] {
                        let mut octets = [around; 20];
                        octets[at] = octet;
                        assert_eq!(
                            are_printable(&octets[..length]),
                            is_printable(octet),
                            "{octet} at {at} of {length}"
                        );
                        let before = if is_printable(octet) { length } else { at };
                        assert_eq!(printable_prefix(&octets[..length]), before, "{octet} at {at} of {length}");
                    }
                }
            }
        }
        assert!(are_printable(b""));
        assert_eq!((0..=u8::MAX).filter(|octet| is_printable(*octet)).count(), 95);
        for octet in 0..=u8::MAX {
            assert_eq!((is_ldh(octet), is_atext(octet)), (is_ldh_by_range(octet), is_atext_by_range(octet)));
        }
    }
}
