//! IP addresses as text: as people read them, and as address literals (RFC 5321 §4.1.3).

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use heapless::{Vec, VecView};

use super::octets::hex_digit;
use super::{cut, number, put};

/// Octets of the longest text of an address: eight groups of four digits, and the colons between them.
const MAX_TEXT: usize = 39;
/// What an address literal has beyond that: `[IPv6:` and `]`.
const FRAME: usize = 7;

/// Writes an address: `192.0.2.1`, `2001:db8::1`; at most 39 octets.
///
/// An IPv6 address is written as RFC 5952 §4 has it. Those that hold an IPv4 address by a prefix of RFC 4291 §2.5.5 end in
/// its form (RFC 5952 §5): `::ffff:192.0.2.1`, `::192.0.2.1`. So they look as they do in glibc's `inet_ntop`, hence in
/// Python and in the logs of most servers; Rust's own `Display` has only the first of the two. Whoever wants an IPv4-mapped
/// address as IPv4 makes it so with [`IpAddr::to_canonical`].
///
/// False, and nothing is written, if it does not fit.
#[must_use]
pub fn write_ip(out: &mut VecView<u8>, ip: IpAddr) -> bool {
    let mut text = Vec::<u8, MAX_TEXT>::new();
    put_ip(&mut text, ip);
    out.extend_from_slice(&text).is_ok()
}

/// Writes an address as the literal that stands for a domain: `[192.0.2.1]`, `[IPv6:2001:db8::1]` (RFC 5321 §4.1.3); at
/// most 46 octets, the address itself as [`write_ip`] does.
///
/// False, and nothing is written, if it does not fit.
#[must_use]
pub fn write_address_literal(out: &mut VecView<u8>, ip: IpAddr) -> bool {
    let mut text = Vec::<u8, { MAX_TEXT + FRAME }>::new();
    put(&mut text, if ip.is_ipv6() { b"[IPv6:" } else { b"[" });
    put_ip(&mut text, ip);
    put(&mut text, b"]");
    out.extend_from_slice(&text).is_ok()
}

/// Reads an address, as Rust's `FromStr` does, in half of the flash: IPv4 without zeros in front, which some read as
/// octal; no scope.
pub(crate) fn parse_ip(octets: &[u8]) -> Option<IpAddr> {
    if octets.contains(&b':') { parse_v6(octets).map(IpAddr::V6) } else { parse_v4(octets).map(IpAddr::V4) }
}

fn parse_v4(octets: &[u8]) -> Option<Ipv4Addr> {
    let mut parts = octets.split(|octet| *octet == b'.');
    let mut ip = [0; 4];
    for octet in &mut ip {
        let digits = parts.next()?;
        if digits.len() > 1 && digits.starts_with(b"0") {
            return None;
        }
        *octet = u8::try_from(number(digits)?).ok()?;
    }
    parts.next().is_none().then_some(Ipv4Addr::from(ip))
}

fn parse_v6(octets: &[u8]) -> Option<Ipv6Addr> {
    // The groups since the gap `::`, and those before it with their number.
    let (mut tail, mut count) = (0_u128, 0_u32);
    let mut head = None;
    let mut rest = octets;
    if let [b':', b':', behind @ ..] = rest {
        (head, rest) = (Some((0, 0)), behind);
    }
    while !rest.is_empty() {
        let (group, behind) = cut(rest, b':');
        if group.contains(&b'.') && behind.is_empty() {
            tail = tail << 32 | u128::from(parse_v4(group)?.to_bits());
            count = count.wrapping_add(2);
            break;
        }
        tail = tail << 16 | u128::from(hex(group)?);
        count = count.wrapping_add(1);
        rest = match behind {
            [_, b':', ..] if head.is_some() => return None,
            [_, b':', behind @ ..] => {
                head = Some((core::mem::take(&mut tail), count));
                behind
            }
            [_] => return None,
            [_, behind @ ..] => behind,
            [] => b"",
        };
    }
    let Some((mut head, before)) = head else { return (count == 8).then(|| Ipv6Addr::from_bits(tail)) };
    for _ in before..8 {
        head <<= 16;
    }
    (count < 8).then(|| Ipv6Addr::from_bits(head | tail))
}

/// A group: one to four hexadecimal digits.
fn hex(digits: &[u8]) -> Option<u16> {
    if digits.is_empty() || digits.len() > 4 {
        return None;
    }
    let mut group = 0_u16;
    for digit in digits {
        group = group << 4 | char::from(*digit).to_digit(16)? as u16;
    }
    Some(group)
}

#[cfg_attr(target_os = "none", inline(never))]
fn put_ip(out: &mut VecView<u8>, ip: IpAddr) {
    match ip {
        IpAddr::V4(ip) => put_v4(out, ip),
        IpAddr::V6(ip) => put_v6(out, ip),
    }
}

fn put_v4(out: &mut VecView<u8>, ip: Ipv4Addr) {
    for (place, octet) in ip.octets().into_iter().enumerate() {
        if place > 0 {
            put(out, b".");
        }
        if octet >= 100 {
            put(out, &[hex_digit(octet / 100)]);
        }
        if octet >= 10 {
            put(out, &[hex_digit(octet / 10 % 10)]);
        }
        put(out, &[hex_digit(octet % 10)]);
    }
}

fn put_v6(out: &mut VecView<u8>, ip: Ipv6Addr) {
    let v4 = match ip.segments() {
        // With a seventh zero it is an address like `::1`, not one of IPv4.
        [0, 0, 0, 0, 0, 0xffff, ..] => Some(b"::ffff:".as_slice()),
        [0, 0, 0, 0, 0, 0, high, _] if high != 0 => Some(b"::".as_slice()),
        _ => None,
    };
    if let Some(prefix) = v4 {
        let [.., a, b, c, d] = ip.octets();
        put(out, prefix);
        return put_v4(out, Ipv4Addr::new(a, b, c, d));
    }
    let (start, zeros) = longest_zeros(ip);
    let end = start.wrapping_add(zeros);
    for (place, segment) in ip.segments().into_iter().enumerate() {
        if place == start && zeros > 0 {
            put(out, b"::");
        }
        if (start..end).contains(&place) {
            continue;
        }
        if place > 0 && place != end {
            put(out, b":");
        }
        put_hex(out, segment);
    }
}

/// The first of the longest runs of zeros, as place and length; one zero alone is written out (RFC 5952 §4.2.2).
fn longest_zeros(ip: Ipv6Addr) -> (usize, usize) {
    let (mut best, mut length) = ((8, 0), 0usize);
    for (place, segment) in ip.segments().into_iter().enumerate() {
        length = if segment == 0 { length.wrapping_add(1) } else { 0 };
        if length > best.1 && length > 1 {
            best = (place.wrapping_add(1).wrapping_sub(length), length);
        }
    }
    best
}

/// Four hexadecimal digits without zeros in front (RFC 5952 §4.1, §4.3).
fn put_hex(out: &mut VecView<u8>, segment: u16) {
    let [high, low] = segment.to_be_bytes();
    let digits = [hex_digit(high >> 4), hex_digit(high & 15), hex_digit(low >> 4), hex_digit(low & 15)];
    let zeros = digits.iter().take(3).take_while(|digit| **digit == b'0').count();
    put(out, digits.get(zeros..).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::is_address_literal;
    use proptest::prelude::*;
    use std::string::String;

    fn written(ip: IpAddr, write: fn(&mut VecView<u8>, IpAddr) -> bool) -> String {
        let mut out = Vec::<u8, 46>::new();
        assert!(write(&mut out, ip));
        String::from_utf8(out.to_vec()).unwrap()
    }

    #[test]
    fn addresses_as_glibc_writes_them() {
        for (ip, expected) in [
            ("0.0.0.0", "0.0.0.0"),
            ("192.0.2.1", "192.0.2.1"),
            ("255.100.99.10", "255.100.99.10"),
            ("::", "::"),
            ("::1", "::1"),
            ("::2:3", "::0.2.0.3"),
            ("::1:0", "::0.1.0.0"),
            ("::102:304", "::1.2.3.4"),
            ("::ffff:0:0", "::ffff:0.0.0.0"),
            ("::ffff:102:304", "::ffff:1.2.3.4"),
            ("::ffff:255.255.255.255", "::ffff:255.255.255.255"),
            ("::fffe:102:304", "::fffe:102:304"),
            ("ffff::", "ffff::"),
            ("2001:db8::1", "2001:db8::1"),
            ("2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"),
            ("1:0:0:2:0:0:0:3", "1:0:0:2::3"),
            ("1:0:0:2:0:0:3:4", "1::2:0:0:3:4"),
            ("0:1:0:0:0:0:0:0", "0:1::"),
            ("1:0:0:0:0:0:0:0", "1::"),
            ("1:2:3:4:5:6:0:0", "1:2:3:4:5:6::"),
            ("0:2:3:4:5:6:7:0", "0:2:3:4:5:6:7:0"),
            ("abcd:ef01:10:200:3000:a0:b00:c000", "abcd:ef01:10:200:3000:a0:b00:c000"),
            ("64:ff9b::102:304", "64:ff9b::102:304"),
            ("fe80::1", "fe80::1"),
        ] {
            let ip: IpAddr = ip.parse().unwrap();
            assert_eq!(written(ip, write_ip), expected, "{ip}");
            let literal = if ip.is_ipv4() { format!("[{expected}]") } else { format!("[IPv6:{expected}]") };
            assert_eq!(written(ip, write_address_literal), literal, "{ip}");
        }
    }

    #[test]
    fn whole_or_not_at_all() {
        let ip = "abcd:abcd:abcd:abcd:abcd:abcd:abcd:abcd".parse().unwrap();
        type Write = fn(&mut VecView<u8>, IpAddr) -> bool;
        for (write, room) in [(write_ip as Write, MAX_TEXT), (write_address_literal, MAX_TEXT + FRAME)] {
            let mut out = Vec::<u8, 64>::from_slice(&[b'a'; 64][room..]).unwrap();
            assert!(write(&mut out, ip) && out.is_full());
            let mut out = Vec::<u8, 64>::from_slice(&[b'a'; 64][room - 1..]).unwrap();
            assert!(!write(&mut out, ip));
            assert_eq!(out, [b'a'; 64][room - 1..]);
        }
    }

    #[test]
    fn texts_of_addresses() {
        for text in [
            "192.0.2.1",
            "0.0.0.0",
            "255.255.255.255",
            "256.0.0.1",
            "192.0.2",
            "192.0.2.",
            "192.0.2.1.",
            ".192.0.2.1",
            "192..0.2",
            "192.0.02.1",
            "192.0.2.00",
            "192.0.2.0001",
            "0x1.0.0.0",
            "+1.0.0.0",
            "1.2.3.4 ",
            "",
            ".",
            "1",
            "a",
            "::",
            "::1",
            "1::",
            "1::2",
            "1:2:3:4:5:6:7:8",
            "1:2:3:4:5:6:7::",
            "::2:3:4:5:6:7:8",
            "1:2:3:4::6:7:8",
            "1:2:3:4:5:6:7:8:9",
            "1:2:3:4:5:6:7",
            "1:2:3:4:5:6:7:8::",
            "::1:2:3:4:5:6:7:8",
            "1:2:3:4::5:6:7:8",
            "1::2::3",
            "::1::",
            ":::",
            "::::",
            ":",
            ":1",
            "1:",
            ":1::2",
            "1::2:",
            "1:::2",
            "12345::",
            "::12345",
            "0001::",
            "00001::",
            "ABCD:abcd::",
            "g::",
            "::g",
            "::1.2.3.4",
            "::ffff:1.2.3.4",
            "1:2:3:4:5:6:1.2.3.4",
            "1:2:3:4:5:6:7:1.2.3.4",
            "1:2:3:4:5:1.2.3.4",
            "1:2:3:4:5::1.2.3.4",
            "1:2:3:4:5:6::1.2.3.4",
            "1.2.3.4::",
            "1.2.3.4::1",
            "::1.2.3.4:1",
            "1.2.3.4:1",
            "::1.2.3",
            "::1.2.3.4.5",
            "::1.2.3.400",
            "::1.2.3.04",
            "::1.2.3.4:",
            "fe80::1%1",
            "::1 ",
            " ::1",
            "[::1]",
            "::1/128",
            "1:2:3:4:5:6:1.2.3.4::",
            "::\u{661}",
        ] {
            assert_eq!(parse_ip(text.as_bytes()), text.parse().ok(), "{text}");
        }
        assert_eq!(parse_ip(b"::\xff"), None);
    }

    /// Addresses in which zeros are frequent.
    fn v6() -> impl Strategy<Value = Ipv6Addr> {
        let segment = prop_oneof![4 => Just(0), 1 => Just(0xffff), 1 => 0_u16..0x100, 2 => any::<u16>()];
        let segments = proptest::array::uniform8(segment);
        let v4_in_v6 = (prop_oneof![Just(0), Just(0xffff)], any::<[u16; 2]>());
        prop_oneof![
            4 => segments.prop_map(Ipv6Addr::from),
            1 => v4_in_v6.prop_map(|(prefix, [a, b])| Ipv6Addr::new(0, 0, 0, 0, 0, prefix, a, b)),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn what_std_writes(v4 in any::<[u8; 4]>(), v6 in v6()) {
            let v4 = IpAddr::from(v4);
            prop_assert_eq!(written(v4, write_ip), v4.to_string());
            let expected = match v6.segments() {
                [0, 0, 0, 0, 0, 0, high, _] if high != 0 => format!("::{}", v6.to_ipv4().unwrap()),
                _ => v6.to_string(),
            };
            prop_assert_eq!(&written(v6.into(), write_ip), &expected);
            // Whatever it looks like, it is that address, and one that others can send mail to.
            prop_assert_eq!(expected.parse(), Ok(v6));
            for ip in [v4, v6.into()] {
                prop_assert!(is_address_literal(written(ip, write_address_literal).as_bytes()), "{}", ip);
            }
        }

        #[test]
        fn what_std_reads(text in "((0|[1-9a-f][0-9a-f]{0,4}|25[0-9]|1.2.3.4|0[0-9]):{0,2}|::|:|\\.){0,10}", ip in v6()) {
            prop_assert_eq!(parse_ip(text.as_bytes()), text.parse().ok());
            prop_assert_eq!(parse_ip(ip.to_string().as_bytes()), Some(IpAddr::V6(ip)));
        }
    }
}
