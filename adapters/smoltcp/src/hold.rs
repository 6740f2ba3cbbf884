//! Keeps SYNs from the stack: while no socket listens, and where the wrong one would take them.
//!
//! smoltcp has no queue for connections: a SYN that meets no listening socket is answered by a reset. A SYN that is lost
//! is sent again, after 1, 3 and 7 seconds by most systems: so, while no place is free, it gets lost.
//!
//! And smoltcp gives a SYN to the first socket that may take it, which is one that listens even if it belongs to a connection
//! that is there. All further segments would meet that new half of a connection, and it would reset the client.

use smoltcp::phy::{Device, DeviceCapabilities, PacketMeta, RxToken};
use smoltcp::time::Instant;
use smoltcp::wire::{IpAddress, IpEndpoint};

/// The beginning of a connection: a SYN without ACK.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Syn {
    pub(crate) from: IpEndpoint,
    pub(crate) port: u16,
}

/// A device that loses the SYNs for which `is_lost`.
#[derive(Debug)]
pub(crate) struct Hold<'d, D: ?Sized, F> {
    pub(crate) device: &'d mut D,
    pub(crate) is_lost: F,
}

impl<D: Device + ?Sized, F: Fn(Syn) -> bool> Device for Hold<'_, D, F> {
    type RxToken<'a>
        = Held<'a, D::RxToken<'a>, F>
    where
        Self: 'a;
    type TxToken<'a>
        = D::TxToken<'a>
    where
        Self: 'a;

    fn receive(&mut self, now: Instant) -> Option<(Self::RxToken<'_>, Self::TxToken<'_>)> {
        let capabilities = self.device.capabilities();
        let header = capabilities.max_transmission_unit.saturating_sub(capabilities.ip_mtu());
        let (token, reply) = self.device.receive(now)?;
        Some((Held { token, header, is_lost: &self.is_lost }, reply))
    }

    fn transmit(&mut self, now: Instant) -> Option<Self::TxToken<'_>> {
        self.device.transmit(now)
    }

    fn capabilities(&self) -> DeviceCapabilities {
        self.device.capabilities()
    }
}

/// A frame that may be lost.
pub(crate) struct Held<'h, T, F> {
    token: T,
    /// Octets in front of the packet: what the medium adds.
    header: usize,
    is_lost: &'h F,
}

impl<T: RxToken, L: Fn(Syn) -> bool> RxToken for Held<'_, T, L> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        let Self { token, header, is_lost } = self;
        token.consume(|frame| {
            let is_lost = frame.get(header..).and_then(opens).is_some_and(is_lost);
            // An empty frame is none.
            f(if is_lost { b"" } else { frame })
        })
    }

    fn meta(&self) -> PacketMeta {
        self.token.meta()
    }
}

/// The connection that a packet opens, if it does.
fn opens(packet: &[u8]) -> Option<Syn> {
    let first = *packet.first()?;
    let (protocol, address, segment) = match first >> 4 {
        // Behind options.
        #[cfg(feature = "ipv4")]
        4 => {
            let segment = packet.get(usize::from(first & 0xf).saturating_mul(4)..)?;
            (packet.get(9)?, IpAddress::Ipv4(octets::<4>(packet.get(12..16)?)?.into()), segment)
        }
        // Extension headers do not come before a SYN in practice.
        #[cfg(feature = "ipv6")]
        6 => (packet.get(6)?, IpAddress::Ipv6(octets::<16>(packet.get(8..24)?)?.into()), packet.get(40..)?),
        _ => return None,
    };
    let flags = *segment.get(13)?;
    if *protocol != TCP || flags & (SYN | ACK) != SYN {
        return None;
    }
    let (from, to) = (u16::from_be_bytes(octets(segment.get(0..2)?)?), u16::from_be_bytes(octets(segment.get(2..4)?)?));
    Some(Syn { from: IpEndpoint::new(address, from), port: to })
}

fn octets<const N: usize>(slice: &[u8]) -> Option<[u8; N]> {
    slice.try_into().ok()
}

const TCP: u8 = 6;
const SYN: u8 = 0x02;
const ACK: u8 = 0x10;

#[cfg(test)]
mod tests {
    use super::{Syn, opens};
    use smoltcp::wire::{IpAddress, IpEndpoint};
    use std::vec;
    use std::vec::Vec;

    fn segment(flags: u8) -> [u8; 20] {
        let mut segment = [0; 20];
        segment[..4].copy_from_slice(&[0xc0, 0, 0, 25]);
        segment[13] = flags;
        segment
    }

    fn v4(options: usize, protocol: u8, flags: u8) -> Vec<u8> {
        let mut packet = vec![0; 20 + options];
        packet[0] = 0x40 | u8::try_from(5 + options / 4).unwrap();
        packet[9] = protocol;
        packet[12..16].copy_from_slice(&[192, 0, 2, 1]);
        packet.extend(segment(flags));
        packet
    }

    fn syn(from: IpAddress) -> Option<Syn> {
        Some(Syn { from: IpEndpoint::new(from, 49_152), port: 25 })
    }

    #[test]
    #[cfg(feature = "ipv4")]
    fn only_a_syn_opens() {
        let v4_syn = syn(IpAddress::v4(192, 0, 2, 1));
        for (packet, expected) in [
            (v4(0, 6, 0x02), v4_syn),
            (v4(8, 6, 0x02), v4_syn),
            (v4(0, 6, 0xc2), v4_syn), // with ECN
            (v4(0, 6, 0x12), None),   // SYN ACK: an answer to ours
            (v4(0, 6, 0x10), None),
            (v4(0, 6, 0x11), None),
            (v4(0, 6, 0x04), None),
            (v4(0, 17, 0x02), None),
        ] {
            assert_eq!(opens(&packet), expected, "{packet:?}");
            for end in 0..packet.len() {
                let _ = opens(&packet[..end]);
            }
        }
    }

    #[test]
    #[cfg(feature = "ipv6")]
    fn only_a_syn_opens_over_ipv6_too() {
        let mut packet = vec![0x60, 0, 0, 0, 0, 20, 6, 64];
        packet.resize(40, 0);
        packet[8..12].copy_from_slice(&[0x20, 0x01, 0x0d, 0xb8]);
        packet[23] = 7;
        packet.extend(segment(0x02));
        assert_eq!(opens(&packet), syn(IpAddress::v6(0x2001, 0xdb8, 0, 0, 0, 0, 0, 7)));
    }
}
