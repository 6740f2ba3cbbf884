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
