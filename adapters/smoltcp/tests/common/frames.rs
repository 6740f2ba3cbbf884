//! Frames that no stack would send.

use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{IpProtocol, Ipv4Address, Ipv4Packet, Ipv4Repr, TcpControl, TcpPacket, TcpRepr, TcpSeqNumber};

use super::stack::PORT;
use super::world::SERVER;

/// A segment to the server's port.
#[derive(Clone, Copy, Debug)]
pub struct Segment<'p> {
    pub from: Ipv4Address,
    pub port: u16,
    pub control: TcpControl,
    pub seq: i32,
    pub ack: Option<i32>,
    pub window: u16,
    pub payload: &'p [u8],
}

impl Segment<'_> {
    /// The first one of a client, which is nowhere.
    pub fn syn(from: Ipv4Address, port: u16) -> Self {
        Self { from, port, control: TcpControl::Syn, seq: 1, ack: None, window: 1_000, payload: b"" }
    }

    /// As an IPv4 packet, its checksums right.
    pub fn packet(&self) -> Vec<u8> {
        let tcp = TcpRepr {
            src_port: self.port,
            dst_port: PORT,
            control: self.control,
            seq_number: TcpSeqNumber(self.seq),
            ack_number: self.ack.map(TcpSeqNumber),
            window_len: self.window,
            window_scale: None,
            max_seg_size: None,
            sack_permitted: false,
            sack_ranges: [None; 3],
            timestamp: None,
            payload: self.payload,
        };
        let to = Ipv4Address::new(192, 0, 2, SERVER);
        let ip = Ipv4Repr {
            src_addr: self.from,
            dst_addr: to,
            next_header: IpProtocol::Tcp,
            payload_len: tcp.buffer_len(),
            hop_limit: 64,
        };
        let mut octets = vec![0; ip.buffer_len() + tcp.buffer_len()];
        let checksums = ChecksumCapabilities::default();
        ip.emit(&mut Ipv4Packet::new_unchecked(&mut octets[..]), &checksums);
        let segment = &mut octets[ip.buffer_len()..];
        tcp.emit(&mut TcpPacket::new_unchecked(segment), &self.from.into(), &to.into(), &checksums);
        octets
    }
}
