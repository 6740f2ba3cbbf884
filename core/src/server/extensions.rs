//! The set of service extensions (RFC 5321 §2.2).

/// A set of service extensions, in the order in which EHLO announces them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extensions(u32);

impl Extensions {
    /// No extension at all.
    pub const NONE: Self = Self(0);
    /// PIPELINING (RFC 2920).
    pub const PIPELINING: Self = Self(1);
    /// SIZE (RFC 1870).
    pub const SIZE: Self = Self(1 << 1);
    /// 8BITMIME (RFC 6152). Needs a handler that takes octets above 127, as each one does that keeps what it gets.
    pub const EIGHTBITMIME: Self = Self(1 << 2);
    /// STARTTLS (RFC 3207). Needs an adapter that knows TLS.
    #[cfg(feature = "starttls")]
    pub const STARTTLS: Self = Self(1 << 3);
    /// ENHANCEDSTATUSCODES (RFC 2034).
    #[cfg(feature = "enhanced")]
    pub const ENHANCEDSTATUSCODES: Self = Self(1 << 4);
    /// HELP (RFC 5321 §4.1.1.8), announced as an extension since RFC 1869.
    #[cfg(feature = "expn-help")]
    pub const HELP: Self = Self(1 << 5);

    /// Those on which a session acts by itself, whatever its handler is.
    pub const OWN: Self = Self(0b11_1111 & !Self::EIGHTBITMIME.0);

    /// Their keywords, by bit.
    const KEYWORDS: [&'static str; 6] = [
        "PIPELINING",
        "SIZE",
        "8BITMIME",
        if cfg!(feature = "starttls") { "STARTTLS" } else { "" },
        if cfg!(feature = "enhanced") { "ENHANCEDSTATUSCODES" } else { "" },
        if cfg!(feature = "expn-help") { "HELP" } else { "" },
    ];

    /// Whether all of `other` are in the set.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// The set with `other` added.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The set with `other` taken away.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// What both sets have.
    #[must_use]
    pub const fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The extension that `keyword` names, in any letter case; none if it is not known here.
    #[must_use]
    pub fn from_keyword(keyword: &[u8]) -> Self {
        let known = |name: &&str| !name.is_empty() && crate::wire::same(name.as_bytes(), keyword);
        match Self::KEYWORDS.iter().position(known) {
            Some(bit) => Self(1_u32.wrapping_shl(bit as u32)),
            None => Self::NONE,
        }
    }

    /// Takes the first one out of the set.
    pub(crate) fn take_first(&mut self) -> Option<Self> {
        let rest = self.0 & self.0.wrapping_sub(1);
        let first = Self(self.0 ^ rest);
        self.0 = rest;
        (!first.is_empty()).then_some(first)
    }

    /// The keyword of a set of one.
    pub(crate) fn keyword(self) -> &'static str {
        Self::KEYWORDS.get(self.0.trailing_zeros() as usize).copied().unwrap_or("")
    }
}
