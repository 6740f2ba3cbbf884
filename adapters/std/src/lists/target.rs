//! Where Mailman takes mail, as its table for Postfix says: `lmtp:[HOST]:PORT` or `lmtp:HOST:PORT`.

use std::net::{IpAddr, SocketAddr};

/// What stands behind an address in `postfix_lmtp`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// An address.
    At(SocketAddr),
    /// A host's name and a port.
    Named(Host),
    /// Not of Mailman's form. The address before it is a list's all the same.
    Odd,
}

/// A host by its name, and a port.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Host(pub(super) Box<str>, pub(super) u16);

impl Target {
    pub(super) fn parse(value: &[u8]) -> Self {
        str::from_utf8(value).ok().and_then(parse).unwrap_or(Self::Odd)
    }
}

fn parse(value: &str) -> Option<Target> {
    let place = value.strip_prefix("lmtp:")?;
    let (host, port) = match place.strip_prefix('[') {
        Some(place) => place.split_once("]:")?,
        None => place.rsplit_once(':')?,
    };
    // How Postfix writes it.
    let host = host.strip_prefix("ipv6:").unwrap_or(host);
    let is_port = port.bytes().all(|octet| octet.is_ascii_digit());
    let port = port.parse().ok().filter(|port| is_port && *port != 0)?;
    if let Ok(address) = host.parse::<IpAddr>() {
        return Some(Target::At(SocketAddr::new(address, port)));
    }
    let is_name = |octet: u8| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_' | b'.');
    (!host.is_empty() && host.bytes().all(is_name)).then(|| Target::Named(Host(host.into(), port)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values() {
        let at = |address: &str| Target::At(address.parse().unwrap());
        let named = |host: &str, port| Target::Named(Host(host.into(), port));
        for (value, expected) in [
            ("lmtp:[127.0.0.1]:8024", at("127.0.0.1:8024")),
            ("lmtp:127.0.0.1:8024", at("127.0.0.1:8024")),
            ("lmtp:[::1]:8024", at("[::1]:8024")),
            ("lmtp:[ipv6:2001:db8::1]:24", at("[2001:db8::1]:24")),
            ("lmtp:[mailman-core]:8024", named("mailman-core", 8024)),
            ("lmtp:lists.example.org:65535", named("lists.example.org", 65535)),
            ("lmtp:[127.0.0.1]", Target::Odd),
            ("lmtp:[127.0.0.1]:", Target::Odd),
            ("lmtp:[127.0.0.1]:0", Target::Odd),
            ("lmtp:[127.0.0.1]:+24", Target::Odd),
            ("lmtp:[127.0.0.1]:65536", Target::Odd),
            ("lmtp:[]:24", Target::Odd),
            ("lmtp:unix:/var/run/lmtp:1", Target::Odd),
            ("smtp:[127.0.0.1]:25", Target::Odd),
            ("", Target::Odd),
        ] {
            assert_eq!(Target::parse(value.as_bytes()), expected, "{value}");
        }
        assert_eq!(Target::parse(b"lmtp:[\xff]:24"), Target::Odd);
    }
}
