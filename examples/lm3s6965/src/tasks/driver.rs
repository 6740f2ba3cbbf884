//! Ethernet as embassy-net wants it.

use core::task::{Context, Waker};

use embassy_net_driver::{Capabilities, HardwareAddress, LinkState};
use embassy_sync::waitqueue::AtomicWaker;

use crate::ethernet::{BURST, Frames};
use crate::mac::{CHECKSUM, LENGTH, Mac};
use crate::network::ETHERNET;

/// Who waits for a frame.
static WAITING: AtomicWaker = AtomicWaker::new();

/// The controller's interrupt.
pub(crate) fn received() {
    WAITING.wake();
}

/// The controller and its buffers.
#[derive(Debug)]
pub struct Driver {
    mac: Mac,
    frames: &'static mut Frames,
}

impl Driver {
    /// A driver that has these buffers.
    pub fn new(mac: Mac, frames: &'static mut Frames) -> Self {
        Self { mac, frames }
    }

    /// The octets of the next frame, if one is there; the waker is woken when one comes.
    fn next(&mut self, waker: &Waker) -> Option<usize> {
        WAITING.register(waker);
        loop {
            let frame = self.mac.receive(&mut self.frames.receive).map(<[u8]>::len);
            if frame.is_some() || self.mac.is_idle() {
                return frame;
            }
        }
    }
}

impl embassy_net_driver::Driver for Driver {
    type RxToken<'a> = Received<'a>;
    type TxToken<'a> = Free<'a>;

    fn receive(&mut self, cx: &mut Context<'_>) -> Option<(Received<'_>, Free<'_>)> {
        let length = self.next(cx.waker())?;
        let Frames { receive, transmit } = &mut *self.frames;
        Some((Received(receive.get_mut(LENGTH..LENGTH + length)?), Free { mac: &mut self.mac, buffer: transmit }))
    }

    fn transmit(&mut self, _: &mut Context<'_>) -> Option<Free<'_>> {
        Some(Free { mac: &mut self.mac, buffer: &mut self.frames.transmit })
    }

    fn link_state(&mut self, _: &mut Context<'_>) -> LinkState {
        LinkState::Up
    }

    fn capabilities(&self) -> Capabilities {
        let mut capabilities = Capabilities::default();
        capabilities.max_transmission_unit = self.frames.transmit.len() - LENGTH - CHECKSUM;
        capabilities.max_burst_size = BURST;
        capabilities
    }

    fn hardware_address(&self) -> HardwareAddress {
        HardwareAddress::Ethernet(ETHERNET)
    }
}

/// A frame that came.
#[derive(Debug)]
pub struct Received<'a>(&'a mut [u8]);

impl embassy_net_driver::RxToken for Received<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, f: F) -> R {
        f(self.0)
    }
}

/// Room for a frame to be sent.
#[derive(Debug)]
pub struct Free<'a> {
    mac: &'a mut Mac,
    buffer: &'a mut [u8],
}

impl embassy_net_driver::TxToken for Free<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, f: F) -> R {
        // embassy-net keeps to the largest frame that it was told, so this never cuts.
        let end = (LENGTH + length).min(self.buffer.len());
        let buffer = &mut self.buffer[..end];
        let result = f(&mut buffer[LENGTH..]);
        self.mac.send(buffer);
        result
    }
}
