//! The parameters of MAIL and RCPT (RFC 5321 §4.1.2): `SP keyword[=value]`, any number of them.

use super::octets::is_ldh;

/// Parameters, well-formed and each keyword at most once; what they mean is not known here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Params<'l>(&'l [u8]);

/// One parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Param<'l> {
    /// The keyword as sent.
    pub keyword: &'l [u8],
    /// What stands behind `=`; never empty.
    pub value: Option<&'l [u8]>,
}

/// The parameters in order.
#[derive(Clone, Debug)]
pub struct ParamsIter<'l>(&'l [u8]);

/// Parameters of a command: more than all extensions have. Each is compared with all others.
const MAX_PARAMS: u32 = 16;

impl<'l> Params<'l> {
    /// Reads what stands behind a path: nothing, or a space and at most 16 parameters separated by spaces.
    #[must_use]
    pub fn parse(octets: &'l [u8]) -> Option<Self> {
        let Some((b' ', mut octets)) = octets.split_first() else {
            return octets.is_empty().then_some(Self(octets));
        };
        skip_spaces(&mut octets);
        Self::list(octets)
    }

    /// Reads parameters separated by spaces, without a space in front.
    // Apart, so that no parameter costs nothing.
    #[cfg_attr(not(target_os = "none"), inline(never))]
    pub(crate) fn list(octets: &'l [u8]) -> Option<Self> {
        let params = Self(octets);
        let mut rest = params.iter();
        let mut left = MAX_PARAMS;
        while let Some(param) = rest.next() {
            left = left.checked_sub(1)?;
            let is_twice = rest.clone().any(|other| same(other.keyword, param.keyword));
            if !is_all_ldh(param.keyword)
                || param.keyword.starts_with(b"-")
                || !param.value.is_none_or(is_value)
                || is_twice
            {
                return None;
            }
        }
        Some(params)
    }

    /// The parameters in order.
    #[must_use]
    pub const fn iter(&self) -> ParamsIter<'l> {
        ParamsIter(self.0)
    }

    /// All of them as sent, without the space in front.
    #[must_use]
    pub const fn as_octets(&self) -> &'l [u8] {
        self.0
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(feature = "python")]
impl<'l> ParamsIter<'l> {
    /// The parameters in `octets`, without a space in front; whether they are well-formed is for the caller to judge.
    pub(crate) const fn over(octets: &'l [u8]) -> Self {
        Self(octets)
    }
}

impl<'l> Iterator for ParamsIter<'l> {
    type Item = Param<'l>;

    fn next(&mut self) -> Option<Param<'l>> {
        if self.0.is_empty() {
            return None;
        }
        let (param, rest) = cut(self.0, b' ');
        self.0 = rest;
        skip_spaces(&mut self.0);
        let (keyword, value) = cut(param, b'=');
        Some(Param { keyword, value: value.get(1..) })
    }
}

impl Param<'_> {
    /// Whether the keyword is this one, in any letter case.
    #[must_use]
    pub fn is(&self, keyword: &str) -> bool {
        same(self.keyword, keyword.as_bytes())
    }
}

/// The octets up to the first `octet`, and the rest from there on: nothing if there is none.
#[cfg_attr(target_os = "none", inline(never))]
pub(crate) fn cut(octets: &[u8], octet: u8) -> (&[u8], &[u8]) {
    let at = octets.iter().position(|other| *other == octet);
    octets.split_at_checked(at.unwrap_or(octets.len())).unwrap_or((octets, b""))
}

/// Takes the spaces at the beginning away.
pub(crate) fn skip_spaces(octets: &mut &[u8]) {
    while let [b' ', rest @ ..] = *octets {
        *octets = rest;
    }
}

/// A number of 1 to 20 digits, as SIZE has it (RFC 1870 §3); what exceeds 32 bits counts as their greatest value.
#[must_use]
#[cfg_attr(target_os = "none", inline(never))]
pub fn number(octets: &[u8]) -> Option<u32> {
    if octets.is_empty() || octets.len() > 20 {
        return None;
    }
    let mut number = 0_u32;
    for octet in octets {
        if !octet.is_ascii_digit() {
            return None;
        }
        number = number.saturating_mul(10).saturating_add(u32::from(octet.wrapping_sub(b'0')));
    }
    Some(number)
}

/// Equal in any letter case.
#[cfg_attr(target_os = "none", inline(never))]
pub(crate) fn same(one: &[u8], other: &[u8]) -> bool {
    one.eq_ignore_ascii_case(other)
}

/// Letters, digits and hyphens, at least one of them.
#[cfg_attr(target_os = "none", inline(never))]
pub(crate) fn is_all_ldh(octets: &[u8]) -> bool {
    !octets.is_empty() && octets.iter().all(|octet| is_ldh(*octet))
}

/// esmtp-value: printable, without a space or `=`.
fn is_value(octets: &[u8]) -> bool {
    !octets.is_empty() && octets.iter().all(|octet| matches!(octet, 33..=60 | 62..=126))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    #[test]
    fn parameters() {
        type Expected<'l> = Option<&'l [(&'l [u8], Option<&'l [u8]>)]>;
        let rows: [(&[u8], Expected<'_>); 18] = [
            (b"", Some(&[])),
            (b" ", Some(&[])),
            (b" A", Some(&[(b"A", None)])),
            (b" SIZE=10", Some(&[(b"SIZE", Some(b"10"))])),
            (b" a-1=x  B=<y>", Some(&[(b"a-1", Some(b"x")), (b"B", Some(b"<y>"))])),
            (b" 8BIT", Some(&[(b"8BIT", None)])),
            (b" A=!~", Some(&[(b"A", Some(b"!~"))])),
            (b"A", None),
            (b" A=", None),
            (b" =A", None),
            (b" A=B=C", None),
            (b" -A", None),
            (b" A_B", None),
            (b" A A", None),
            (b" size=1 SIZE=1", None),
            (b" A B a=1", None),
            (b" A=\x7f", None),
            (b" A=\xe9", None),
        ];
        for (octets, expected) in rows {
            let read = Params::parse(octets);
            let read = read.map(|params| params.iter().map(|param| (param.keyword, param.value)).collect::<Vec<_>>());
            assert_eq!(read.as_deref(), expected, "{}", octets.escape_ascii());
        }
        let many = " A B C D E F G H I J K L M N O P Q".as_bytes();
        assert!(Params::parse(&many[..32]).is_some() && Params::parse(many).is_none());
        assert!(Param { keyword: b"Size", value: None }.is("SIZE"));
        assert!(!Param { keyword: b"Size", value: None }.is("SIZ"));
    }

    #[test]
    fn numbers() {
        for (octets, expected) in [
            (&b"0"[..], Some(0)),
            (b"4294967295", Some(u32::MAX)),
            (b"4294967296", Some(u32::MAX)),
            (b"00000000000000000010", Some(10)),
            (b"99999999999999999999", Some(u32::MAX)),
            (b"000000000000000000010", None),
            (b"", None),
            (b"1k", None),
            (b"-1", None),
        ] {
            assert_eq!(number(octets), expected, "{}", octets.escape_ascii());
        }
    }
}
