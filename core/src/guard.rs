//! Who may have mail relayed, so that nobody runs an open relay by accident.
//!
//! It knows addresses and domains, not where a mail goes.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::server::Peer;
use crate::wire::{self, ForwardPath, Mailbox, Reply, number, same};

/// Decides whether a relay takes a recipient. There is no default, for that would be either of no use or an open relay.
///
/// A recipient is allowed if the client's address is in one of the networks, or the recipient's domain is one of
/// the domains:
///
/// ```
/// use smtpd_core::guard::{Guard, Network};
/// use smtpd_core::server::Peer;
/// use smtpd_core::wire::ForwardPath;
///
/// let networks = [Network::parse(b"192.0.2.0/24").unwrap()];
/// let guard = Guard::from_networks(&networks).or_to_domains(&["example.org"]);
/// let inside = Peer::new(Some("192.0.2.7:1025".parse().unwrap()));
/// let outside = Peer::new(Some("198.51.100.7:1025".parse().unwrap()));
/// let path = |octets| ForwardPath::parse(octets).unwrap().0;
/// assert!(guard.allows(inside, path(b"<ant@example.com>")));
/// assert!(!guard.allows(outside, path(b"<ant@example.com>")));
/// assert!(guard.allows(outside, path(b"<ant@example.org>")));
/// ```
///
/// - An IPv4 address in the form of IPv6 (`::ffff:192.0.2.7`, as a socket for both has it) counts as IPv4. A client without an
///   address, at a serial line, is in no network.
/// - A domain is compared in any letter case and is that one alone, not what is below it. An address literal is a domain, as it
///   is written.
/// - Only its domain speaks for a recipient from elsewhere, so its local part must not ask the next server to relay: one
///   with `%`, `!` or `@` in it, quoted or not (`"ant@example.com"@example.org`), is not allowed. A source route is
///   not there any more in a [`ForwardPath`].
/// - `<Postmaster>` is always allowed (RFC 5321 §4.5.1).
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Guard<'c> {
    networks: Networks<'c>,
    domains: &'c [&'c str],
}

#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
enum Networks<'c> {
    Any,
    These(&'c [Network]),
}

impl<'c> Guard<'c> {
    /// The reply to a recipient that is not allowed.
    pub const DENIED: Reply<'static> = wire::stock!(550, [5, 7, 1], "Relaying denied");

    /// Clients on the same host (127.0.0.0/8 and ::1), to anybody. On a server that listens to others too, whatever
    /// forwards their connections from the same host, such as a proxy or a tunnel, makes them such clients.
    pub const LOOPBACK: Guard<'static> = Guard::from_networks(&[
        Network { address: IpAddr::V4(Ipv4Addr::new(127, 0, 0, 0)), prefix: 8 },
        Network { address: IpAddr::V6(Ipv6Addr::LOCALHOST), prefix: 128 },
    ]);

    /// An open relay: anybody, to anybody. Where strangers can reach the server, they will find it within hours and send
    /// their mail through it in its name, until nobody takes mail from it any more. Use it only where something else keeps them away.
    pub const OPEN: Guard<'static> = Guard { networks: Networks::Any, domains: &[] };

    /// Clients in these networks, to anybody.
    #[must_use]
    pub const fn from_networks(networks: &'c [Network]) -> Self {
        Self { networks: Networks::These(networks), domains: &[] }
    }

    /// Anybody, to these domains: what the mail server of a domain does.
    #[must_use]
    pub const fn to_domains(domains: &'c [&'c str]) -> Self {
        Self { networks: Networks::These(&[]), domains }
    }

    /// The same, and anybody to these domains, which take the place of those that it had.
    #[must_use]
    pub const fn or_to_domains(self, domains: &'c [&'c str]) -> Self {
        Self { domains, ..self }
    }

    /// Whether mail from this client to this recipient may be relayed. If not, the reply is [`Guard::DENIED`].
    #[must_use]
    pub fn allows(&self, peer: Peer, path: ForwardPath<'_>) -> bool {
        let ForwardPath::Mailbox(mailbox) = path else { return true };
        let is_inside = match (self.networks, peer.address) {
            (Networks::Any, _) => true,
            (Networks::These(_), None) => false,
            (Networks::These(networks), Some(address)) => networks.iter().any(|network| network.contains(address.ip())),
        };
        is_inside || self.is_to_domain(mailbox)
    }

    fn is_to_domain(&self, mailbox: Mailbox<'_>) -> bool {
        // A Python dialect has mailboxes without a domain: whose they are, only the next server knows.
        !mailbox.domain().is_empty()
            && self.domains.iter().any(|domain| same(domain.as_bytes(), mailbox.domain()))
            && !mailbox.local_part().iter().any(|octet| matches!(octet, b'%' | b'!' | b'@'))
    }
}

/// A network: an address, and how many of its first bits all addresses in the network have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

impl Network {
    /// A network of `prefix` bits, 0 to 32 or 128. None if there are not so many, or if bits behind them are not 0
    /// (`192.0.2.1/24`): that is a slip, and nobody knows which half of it was meant. IPv4 has to be written as IPv4
    /// (not `::ffff:192.0.2.0/120`, which no client would be in).
    ///
    /// ```
    /// use core::net::{IpAddr, Ipv4Addr};
    /// use smtpd_core::guard::Network;
    /// const OFFICE: Network = Network::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 0)), 24).unwrap();
    /// ```
    #[must_use]
    #[cfg_attr(target_os = "none", inline(never))]
    pub const fn new(address: IpAddr, prefix: u8) -> Option<Self> {
        let is_network = match address {
            IpAddr::V4(ip) => prefix <= 32 && is_zero_behind(&ip.octets(), prefix),
            IpAddr::V6(ip) => prefix <= 128 && ip.to_ipv4_mapped().is_none() && is_zero_behind(&ip.octets(), prefix),
        };
        if is_network { Some(Self { address, prefix }) } else { None }
    }

    /// Reads `192.0.2.0/24`, `2001:db8::/32`, or an address alone, which is a network of its own. None for anything else, spaces
    /// included, and for what [`Network::new`] does not take.
    #[must_use]
    pub fn parse(octets: &[u8]) -> Option<Self> {
        let (address, prefix) = wire::cut(octets, b'/');
        let address = wire::parse_ip(address)?;
        let prefix = match prefix {
            [] => {
                if address.is_ipv4() {
                    32
                } else {
                    128
                }
            }
            [_, digits @ ..] => u8::try_from(number(digits)?).ok()?,
        };
        Self::new(address, prefix)
    }

    /// Whether the address is in the network; an IPv4 address in the form of IPv6 counts as IPv4.
    #[must_use]
    pub const fn contains(&self, ip: IpAddr) -> bool {
        match (self.address, ip.to_canonical()) {
            (IpAddr::V4(network), IpAddr::V4(ip)) => is_same_before(&network.octets(), &ip.octets(), self.prefix),
            (IpAddr::V6(network), IpAddr::V6(ip)) => is_same_before(&network.octets(), &ip.octets(), self.prefix),
            _ => false,
        }
    }
}

/// Whether the first `bits` bits are the same.
#[cfg_attr(target_os = "none", inline(never))]
const fn is_same_before(mut one: &[u8], mut other: &[u8], mut bits: u8) -> bool {
    while let ([first, behind @ ..], [second, behind_second @ ..]) = (one, other) {
        if (*first ^ *second) & !mask_behind(bits) != 0 {
            return false;
        }
        (one, other, bits) = (behind, behind_second, bits.saturating_sub(8));
    }
    true
}

/// Whether the bits behind the first `bits` are 0.
#[cfg_attr(target_os = "none", inline(never))]
const fn is_zero_behind(mut octets: &[u8], mut bits: u8) -> bool {
    while let [octet, behind @ ..] = octets {
        if *octet & mask_behind(bits) != 0 {
            return false;
        }
        (octets, bits) = (behind, bits.saturating_sub(8));
    }
    true
}

/// The bits of an octet behind its first `bits`.
const fn mask_behind(bits: u8) -> u8 {
    match u8::MAX.checked_shr(bits as u32) {
        Some(mask) => mask,
        None => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::net::SocketAddr;
    use proptest::prelude::*;

    const OFFICE: Network = Network::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 0)), 24).unwrap();

    fn peer(ip: &str) -> Peer {
        Peer::new((!ip.is_empty()).then(|| SocketAddr::new(ip.parse().unwrap(), 1025)))
    }

    fn path(octets: &str) -> ForwardPath<'_> {
        ForwardPath::parse(octets.as_bytes()).unwrap().0
    }

    #[test]
    fn networks_as_text() {
        for (text, expected) in [
            ("192.0.2.0/24", Some(("192.0.2.0", 24))),
            ("192.0.2.1", Some(("192.0.2.1", 32))),
            ("192.0.2.1/32", Some(("192.0.2.1", 32))),
            ("192.0.2.128/25", Some(("192.0.2.128", 25))),
            ("10.0.0.0/8", Some(("10.0.0.0", 8))),
            ("128.0.0.0/1", Some(("128.0.0.0", 1))),
            ("0.0.0.0/0", Some(("0.0.0.0", 0))),
            ("2001:db8::/32", Some(("2001:db8::", 32))),
            ("2001:db8::1", Some(("2001:db8::1", 128))),
            ("2001:db8::/127", Some(("2001:db8::", 127))),
            ("8000::/1", Some(("8000::", 1))),
            ("::/0", Some(("::", 0))),
            // Host bits.
            ("192.0.2.1/24", None),
            ("192.0.2.1/31", None),
            ("192.0.2.128/24", None),
            ("128.0.0.0/0", None),
            ("2001:db8::1/64", None),
            ("2001:db8::1/127", None),
            ("2001:db8:1::/32", None),
            ("::1/0", None),
            // More bits than there are.
            ("192.0.2.0/33", None),
            ("192.0.2.0/128", None),
            ("192.0.2.0/256", None),
            ("192.0.2.0/280", None),
            ("2001:db8::/129", None),
            ("2001:db8::/4294967328", None),
            // IPv4 as IPv6.
            ("::ffff:192.0.2.0/120", None),
            ("::ffff:192.0.2.1", None),
            // No network at all.
            ("", None),
            ("/", None),
            ("/24", None),
            ("192.0.2.0/", None),
            ("192.0.2.0/ 24", None),
            ("192.0.2.0 /24", None),
            (" 192.0.2.0/24", None),
            ("192.0.2.0/24 ", None),
            ("192.0.2.0/24/24", None),
            ("192.0.2.0/-1", None),
            ("192.0.2.0/+1", None),
            ("192.0.2.0/2a", None),
            ("192.0.2/24", None),
            ("192.0.2.0.0/24", None),
            ("192.0.02.0/24", None),
            ("0xc0.0.2.0/24", None),
            ("192.0.2.256", None),
            ("[2001:db8::]/32", None),
            ("2001:db8/32", None),
            ("fe80::1%eth0", None),
            ("example.org", None),
            ("localhost", None),
            ("192.0.2.\u{661}", None),
        ] {
            let expected = expected.map(|(ip, prefix)| Network { address: ip.parse().unwrap(), prefix });
            assert_eq!(Network::parse(text.as_bytes()), expected, "{text}");
        }
        assert_eq!(Network::parse(b"192.0.2.\xff"), None);
        assert_eq!(Network::parse(b"192.0.2.0/24"), Some(OFFICE));
    }

    #[test]
    fn addresses_in_networks() {
        for (network, inside, outside) in [
            ("192.0.2.0/24", &["192.0.2.0", "192.0.2.255", "::ffff:192.0.2.7"][..], &["192.0.1.255", "192.0.3.0"][..]),
            ("192.0.2.128/25", &["192.0.2.128", "192.0.2.255"], &["192.0.2.127", "192.0.3.128"]),
            ("192.0.2.4/30", &["192.0.2.4", "192.0.2.7"], &["192.0.2.3", "192.0.2.8"]),
            ("192.0.2.1", &["192.0.2.1"], &["192.0.2.0", "192.0.2.2", "::192.0.2.1"]),
            ("0.0.0.0/0", &["0.0.0.0", "255.255.255.255", "::ffff:1.2.3.4"], &["::", "::1.2.3.4", "2001:db8::1"]),
            ("2001:db8::/32", &["2001:db8::", "2001:db8:ffff::1"], &["2001:db7::", "2001:db9::", "192.0.2.1"]),
            ("2001:db8::/33", &["2001:db8:7fff::"], &["2001:db8:8000::"]),
            ("2001:db8::1", &["2001:db8::1"], &["2001:db8::", "2001:db8::2", "2001:db8::1:1"]),
            // An address of IPv4 is none of IPv6, however it is written.
            ("::/0", &["::", "ffff::", "::1.2.3.4"], &["192.0.2.1", "::ffff:192.0.2.1"]),
        ] {
            let network = Network::parse(network.as_bytes()).unwrap();
            for (addresses, is_inside) in [(inside, true), (outside, false)] {
                for ip in addresses {
                    assert_eq!(network.contains(ip.parse().unwrap()), is_inside, "{ip} in {network:?}");
                }
            }
        }
    }

    #[test]
    fn who_may_send_to_whom() {
        let networks = [OFFICE, Network::parse(b"2001:db8::/32").unwrap()];
        let domains = ["example.org", "Example.NET", "[192.0.2.9]", ""];
        let from_networks = Guard::from_networks(&networks);
        let to_domains = Guard::to_domains(&domains);
        let both = from_networks.or_to_domains(&domains);
        let loopback = Guard::LOOPBACK;
        for (ip, to, expected) in [
            // From the networks, to the domains, both, loopback.
            ("192.0.2.7", "<ant@example.com>", [true, false, true, false]),
            ("::ffff:192.0.2.7", "<ant@example.com>", [true, false, true, false]),
            ("2001:db8::7", "<ant@example.com>", [true, false, true, false]),
            ("192.0.2.7", "<ant@example.org>", [true, true, true, false]),
            ("127.0.0.1", "<ant@example.com>", [false, false, false, true]),
            ("127.255.255.255", "<ant@example.com>", [false, false, false, true]),
            ("::ffff:127.0.0.1", "<ant@example.com>", [false, false, false, true]),
            ("::1", "<ant@example.com>", [false, false, false, true]),
            ("126.255.255.255", "<ant@example.com>", [false; 4]),
            ("128.0.0.0", "<ant@example.com>", [false; 4]),
            ("::", "<ant@example.com>", [false; 4]),
            ("::2", "<ant@example.com>", [false; 4]),
            ("::127.0.0.1", "<ant@example.com>", [false; 4]),
            ("198.51.100.7", "<ant@example.com>", [false; 4]),
            // A serial line.
            ("", "<ant@example.com>", [false; 4]),
            ("", "<ant@example.org>", [false, true, true, false]),
            ("198.51.100.7", "<ant@example.org>", [false, true, true, false]),
            ("198.51.100.7", "<ant@EXAMPLE.org>", [false, true, true, false]),
            ("198.51.100.7", "<ant@example.net>", [false, true, true, false]),
            ("198.51.100.7", "<ant@[192.0.2.9]>", [false, true, true, false]),
            ("198.51.100.7", "<@relay.example:ant@example.org>", [false, true, true, false]),
            ("198.51.100.7", "<\"a nt\"@example.org>", [false, true, true, false]),
            // Not below the domain, not above it, not beside it.
            ("198.51.100.7", "<ant@mail.example.org>", [false; 4]),
            ("198.51.100.7", "<ant@org>", [false; 4]),
            ("198.51.100.7", "<ant@an-example.org>", [false; 4]),
            ("198.51.100.7", "<ant@example.org.example.com>", [false; 4]),
            ("198.51.100.7", "<ant@[192.0.2.8]>", [false; 4]),
            ("198.51.100.7", "<@example.org:ant@example.com>", [false; 4]),
            // What asks the next server to relay.
            ("198.51.100.7", "<ant%example.com@example.org>", [false; 4]),
            ("198.51.100.7", "<example.com!ant@example.org>", [false; 4]),
            ("198.51.100.7", "<\"ant@example.com\"@example.org>", [false; 4]),
            ("198.51.100.7", "<\"ant\\@example.com\"@example.org>", [false; 4]),
            ("198.51.100.7", "<\"ant%example.com\"@example.org>", [false; 4]),
            ("198.51.100.7", "<\"example.com!ant\"@example.org>", [false; 4]),
            // Whom we know may ask for it.
            ("192.0.2.7", "<ant%example.com@example.org>", [true, false, true, false]),
            ("198.51.100.7", "<postmaster>", [true; 4]),
            ("", "<Postmaster>", [true; 4]),
        ] {
            let guards = [from_networks, to_domains, both, loopback];
            assert_eq!(guards.map(|guard| guard.allows(peer(ip), path(to))), expected, "{ip} {to}");
            assert!(Guard::OPEN.allows(peer(ip), path(to)), "{ip} {to}");
        }
        assert!(Guard::LOOPBACK.or_to_domains(&domains).allows(peer("192.0.2.7"), path("<ant@example.org>")));
        assert!(Guard::OPEN.or_to_domains(&domains).allows(peer("192.0.2.7"), path("<ant@example.com>")));
    }

    // `domains` has an empty one above, as a list that was split at commas may.
    #[cfg(feature = "python")]
    #[test]
    fn a_mailbox_without_a_domain_is_in_none() {
        let (mailbox, _) = wire::loose_path(b"<ant>").unwrap();
        assert_eq!(mailbox.domain(), b"");
        assert!(!Guard::to_domains(&[""]).allows(Peer::default(), ForwardPath::Mailbox(mailbox)));
    }

    #[test]
    fn what_a_client_hears() {
        let mut out = heapless::Vec::<u8, 512>::new();
        // As sessions without the feature do.
        let (enhanced, expected): (_, &[u8]) = match cfg!(feature = "enhanced") {
            true => (true, b"550 5.7.1 Relaying denied\r\n"),
            false => (false, b"550 Relaying denied\r\n"),
        };
        Guard::DENIED.write(&mut out, enhanced);
        assert_eq!(out, expected);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// The same by one number of 32 or 128 bits.
        #[test]
        fn bits(one in any::<u128>(), flip in 0_u32..129, prefix in 0_u8..140) {
            let other = if flip == 128 { one } else { one ^ (1 << flip) };
            let host_bits = |bits: u8| 1_u128.checked_shl(bits.saturating_sub(prefix).into()).map_or(u128::MAX, |top| top - 1);
            for (bits, one, other, of) in [
                (32, one & 0xffff_ffff, other & 0xffff_ffff, (|n| IpAddr::V4((n as u32).into())) as fn(u128) -> IpAddr),
                (128, one, other, |n| IpAddr::V6(n.into())),
            ] {
                let host_bits = host_bits(bits);
                let network = Network::new(of(one & !host_bits), prefix);
                prop_assert_eq!(network.is_some(), prefix <= bits);
                prop_assert_eq!(Network::new(of(one), prefix).is_some(), prefix <= bits && one & host_bits == 0);
                if let Some(network) = network {
                    prop_assert!(network.contains(of(one)));
                    prop_assert_eq!(network.contains(of(other)), (one ^ other) & !host_bits == 0);
                    let text = format!("{}/{prefix}", network.address);
                    prop_assert_eq!(Network::parse(text.as_bytes()), Some(network));
                }
            }
        }
    }
}
