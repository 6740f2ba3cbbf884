//! Keeps clients waiting while no socket listens.
//!
//! smoltcp has no queue for connections: a SYN that meets no listening socket is answered by a reset. A SYN that is lost
//! is sent again, after 1, 3 and 7 seconds by most systems: so, while no place is free, it gets lost.

use smoltcp::phy::{Device, DeviceCapabilities, PacketMeta, RxToken};
use smoltcp::time::Instant;

/// A device that loses the SYNs to `port`; to none, it changes nothing.
#[derive(Debug)]
pub(crate) struct Hold<'d, D: ?Sized> {
    pub(crate) device: &'d mut D,
    pub(crate) port: Option<u16>,
}

impl<D: Device + ?Sized> Device for Hold<'_, D> {
    type RxToken<'a>
        = Held<D::RxToken<'a>>
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
        Some((Held { token, header, port: self.port }, reply))
    }

    fn transmit(&mut self, now: Instant) -> Option<Self::TxToken<'_>> {
        self.device.transmit(now)
    }

    fn capabilities(&self) -> DeviceCapabilities {
        self.device.capabilities()
    }
}

/// A frame that may be lost.
pub(crate) struct Held<T> {
    token: T,
    /// Octets in front of the packet: what the medium adds.
    header: usize,
    port: Option<u16>,
}

impl<T: RxToken> RxToken for Held<T> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        let Self { token, header, port } = self;
        token.consume(|frame| {
            let is_lost = port.is_some() && frame.get(header..).and_then(opens) == port;
            // An empty frame is none.
            f(if is_lost { b"" } else { frame })
        })
    }

    fn meta(&self) -> PacketMeta {
        self.token.meta()
    }
}

/// The port to which a packet opens a connection, if it does: a SYN without ACK.
fn opens(packet: &[u8]) -> Option<u16> {
    // Behind options of IPv4; extension headers of IPv6 do not come before a SYN in practice.
    let first = *packet.first()?;
    let (protocol, segment) = match first >> 4 {
        4 => (packet.get(9)?, packet.get(usize::from(first & 0xf).saturating_mul(4)..)?),
        6 => (packet.get(6)?, packet.get(40..)?),
        _ => return None,
    };
    let flags = *segment.get(13)?;
    if *protocol != TCP || flags & (SYN | ACK) != SYN {
        return None;
    }
    segment.get(2..4).and_then(|port| port.try_into().ok()).map(u16::from_be_bytes)
}

const TCP: u8 = 6;
const SYN: u8 = 0x02;
const ACK: u8 = 0x10;

#[cfg(test)]
mod tests {
    use super::opens;
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
        packet.extend(segment(flags));
        packet
    }

    #[test]
    fn only_a_syn_opens() {
        for (packet, expected) in [
            (v4(0, 6, 0x02), Some(25)),
            (v4(8, 6, 0x02), Some(25)),
            (v4(0, 6, 0xc2), Some(25)), // with ECN
            (v4(0, 6, 0x12), None),     // SYN ACK: an answer to ours
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
        let mut packet = vec![0x60, 0, 0, 0, 0, 20, 6, 64];
        packet.resize(40, 0);
        packet.extend(segment(0x02));
        assert_eq!(opens(&packet), Some(25));
    }
}
