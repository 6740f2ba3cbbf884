//! Classes of octets.

/// Whether a table tells them: one look in place of up to twenty instructions, but 256 octets of flash.
const HAS_TABLE: bool = !cfg!(target_os = "none");

/// A letter, a digit or a hyphen.
const LDH: u8 = 1;
/// atext.
const ATEXT: u8 = 2;

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
    if HAS_TABLE { is(octet, LDH) } else { is_ldh_by_range(octet) }
}

/// atext (RFC 5322 §3.2.3).
pub(crate) fn is_atext(octet: u8) -> bool {
    if HAS_TABLE { is(octet, ATEXT) } else { is_atext_by_range(octet) }
}

/// Whether all are printable ASCII, as commands and replies have to be. Eight at once on a host.
pub(crate) fn are_printable(octets: &[u8]) -> bool {
    let mut rest = octets;
    let mut bad = 0;
    while HAS_TABLE && let Some((eight, behind)) = rest.split_first_chunk::<8>() {
        bad |= not_printable(u64::from_le_bytes(*eight));
        rest = behind;
    }
    // Of what is left, each; what was there before it, once more, is no harm.
    match octets.last_chunk::<8>() {
        Some(eight) if HAS_TABLE => bad | not_printable(u64::from_le_bytes(*eight)) == 0,
        _ => bad == 0 && rest.iter().all(|octet| is_printable(*octet)),
    }
}

/// Not 0 if one of eight octets is not printable.
const fn not_printable(eight: u64) -> u64 {
    const EACH: u64 = 0x0101_0101_0101_0101;
    // A borrow that reaches the next octet comes from one that is not printable itself.
    let control = eight.wrapping_sub(EACH.wrapping_mul(0x20));
    let delete = (eight ^ EACH.wrapping_mul(0x7f)).wrapping_sub(EACH);
    (eight | control | delete) & EACH.wrapping_mul(0x80)
}

/// Printable ASCII (RFC 5321 §4.2, textstring without HTAB).
pub(crate) const fn is_printable(octet: u8) -> bool {
    octet >= b' ' && octet <= b'~'
}

fn is(octet: u8, class: u8) -> bool {
    CLASSES.get(usize::from(octet)).is_some_and(|classes| classes & class != 0)
}

const fn is_ldh_by_range(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || octet == b'-'
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
