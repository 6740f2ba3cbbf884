//! Ethernet as smoltcp wants it: a [`Device`] with one buffer for each way.

use smoltcp::phy::{self, Checksum, ChecksumCapabilities, Device, DeviceCapabilities, Medium};
use smoltcp::time::Instant;

use crate::mac::{CHECKSUM, LENGTH, Mac};

/// Frames that may come at once. QEMU's controller holds 31; the chip's has 2 KiB, which is one full frame, and smoltcp
/// then announces windows of one segment (10 % slower, and nothing is lost).
pub(crate) const BURST: Option<usize> = if cfg!(feature = "silicon") { Some(1) } else { None };

/// Where frames lie, of `N` octets each way: [`ROOM`] for all that Ethernet carries, or [`room`] of less for parts with
/// little RAM, which never see a larger frame.
#[derive(Debug)]
pub struct Frames<const N: usize = ROOM> {
    pub(crate) receive: [u8; N],
    pub(crate) transmit: [u8; N],
}

/// Room for a packet of 1,500 octets.
pub const ROOM: usize = room(1_500);

/// What a packet of so many octets takes.
#[must_use]
pub const fn room(packet: usize) -> usize {
    (LENGTH + HEADER + packet + CHECKSUM).next_multiple_of(4)
}

const HEADER: usize = 14;

impl<const N: usize> Frames<N> {
    /// Empty.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "a static, which needs no other way")]
    pub const fn new() -> Self {
        Self { receive: [0; N], transmit: [0; N] }
    }
}

/// The controller and its buffers.
#[derive(Debug)]
pub struct Ethernet<'f> {
    mac: Mac,
    receive: &'f mut [u8],
    transmit: &'f mut [u8],
}

impl<'f> Ethernet<'f> {
    /// A device that has these buffers.
    pub fn new<const N: usize>(mac: Mac, frames: &'f mut Frames<N>) -> Self {
        const { assert!(N > LENGTH + HEADER + CHECKSUM, "no room for a frame") };
        Self { mac, receive: &mut frames.receive, transmit: &mut frames.transmit }
    }

    /// Whether no frame waits: what [`clock::sleep`](crate::clock::sleep) asks. From now on the next one that comes
    /// interrupts.
    pub fn is_idle(&mut self) -> bool {
        self.mac.is_idle()
    }
}

impl Device for Ethernet<'_> {
    type RxToken<'a>
        = Received<'a>
    where
        Self: 'a;
    type TxToken<'a>
        = Free<'a>
    where
        Self: 'a;

    fn receive(&mut self, _: Instant) -> Option<(Received<'_>, Free<'_>)> {
        let frame = self.mac.receive(self.receive)?;
        Some((Received(frame), Free { mac: &mut self.mac, buffer: self.transmit }))
    }

    fn transmit(&mut self, _: Instant) -> Option<Free<'_>> {
        Some(Free { mac: &mut self.mac, buffer: self.transmit })
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = self.transmit.len() - LENGTH - CHECKSUM;
        capabilities.max_burst_size = BURST;
        // The controller checks and makes those of frames only.
        capabilities.checksum = ChecksumCapabilities::default();
        capabilities.checksum.ipv4 = Checksum::Both;
        capabilities.checksum.tcp = Checksum::Both;
        capabilities
    }
}

/// A frame that came.
#[derive(Debug)]
pub struct Received<'a>(&'a [u8]);

impl phy::RxToken for Received<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(self.0)
    }
}

/// Room for a frame to be sent.
#[derive(Debug)]
pub struct Free<'a> {
    mac: &'a mut Mac,
    buffer: &'a mut [u8],
}

impl phy::TxToken for Free<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, f: F) -> R {
        // smoltcp keeps to the largest frame that it was told, so this never cuts.
        let end = (LENGTH + length).min(self.buffer.len());
        let buffer = &mut self.buffer[..end];
        let result = f(&mut buffer[LENGTH..]);
        self.mac.send(buffer);
        result
    }
}
