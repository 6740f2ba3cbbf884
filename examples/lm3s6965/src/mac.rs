//! The chip's Ethernet controller: frames in and out of its FIFOs, and the interrupt that says one is there. Replaced on
//! another board.
//!
//! It assumes a link of full duplex; the PHY finds the speed by itself. Multicast stays out; IPv6 would need it.
//! Nothing here waits without a limit.

use crate::interrupts::{self, Interrupt};
use crate::register::Register;

const ETHERNET: usize = 0x4004_8000;
/// Reading: what is pending. Writing: what is seen.
const PENDING: Register = Register::at(ETHERNET);
const MASK: Register = Register::at(ETHERNET + 0x04);
const RECEIVE_CONTROL: Register = Register::at(ETHERNET + 0x08);
const DATA: Register = Register::at(ETHERNET + 0x10);
const FRAMES: Register = Register::at(ETHERNET + 0x34);
const TRANSMISSION: Register = Register::at(ETHERNET + 0x38);

const RECEIVED: u32 = 1;
const OVERRUN: u32 = 1 << 3;

const RECEIVE: u32 = 1;
const REJECT_BAD_CHECKSUMS: u32 = 1 << 3;
const RESET_FIFO: u32 = 1 << 4;

/// Octets in front of a frame in its FIFO: the length.
pub const LENGTH: usize = 2;
/// Octets behind a frame: its checksum.
pub const CHECKSUM: usize = 4;
/// Octets of the shortest frame that says who it is for, from whom and what.
const HEADER: usize = 14;
/// Octets of the FIFO.
const FIFO: usize = 2_048;

/// The controller. There is one of it.
#[derive(Debug)]
pub struct Mac(());

impl Mac {
    /// Switches it on, under this address. Once.
    #[must_use]
    pub fn start(address: [u8; 6]) -> Self {
        const RCGC2: Register = Register::at(0x400f_e108);
        const MAC_AND_PHY: u32 = 1 << 28 | 1 << 30;
        const TRANSMIT_CONTROL: Register = Register::at(ETHERNET + 0x0c);
        const ENABLE_PAD_CHECKSUM_DUPLEX: u32 = 0x17;
        const ADDRESS_LOW: Register = Register::at(ETHERNET + 0x14);
        const ADDRESS_HIGH: Register = Register::at(ETHERNET + 0x18);
        const THRESHOLD: Register = Register::at(ETHERNET + 0x1c);
        const WHOLE_FRAMES: u32 = 0x3f;

        RCGC2.set(MAC_AND_PHY);
        // The chip wants some cycles before a module with a new clock is touched.
        let _ = RCGC2.read();
        let [a, b, c, d, e, f] = address;
        MASK.write(0);
        RECEIVE_CONTROL.write(RESET_FIFO);
        ADDRESS_LOW.write(u32::from_le_bytes([a, b, c, d]));
        ADDRESS_HIGH.write(u32::from_le_bytes([e, f, 0, 0]));
        THRESHOLD.write(WHOLE_FRAMES);
        TRANSMIT_CONTROL.write(ENABLE_PAD_CHECKSUM_DUPLEX);
        PENDING.write(PENDING.read());
        RECEIVE_CONTROL.write(RECEIVE | REJECT_BAD_CHECKSUMS);
        interrupts::enable(Interrupt::Ethernet);
        Self(())
    }

    /// The oldest frame, without its checksum: it lies in `buffer` behind [`LENGTH`] octets, so that an IP header
    /// stands at a multiple of 4. The buffer has room for a length and a checksum too. Frames that do not fit, or are
    /// none, are dropped.
    pub fn receive<'b>(&mut self, buffer: &'b mut [u8]) -> Option<&'b [u8]> {
        // So many that a flood of bad ones does not keep the rest of the firmware from its turn.
        for _ in 0..8 {
            if PENDING.read() & OVERRUN != 0 {
                // What did not fit is lost; what did is whole. Not a reason to reset: QEMU never goes on after one if
                // its FIFO was full.
                PENDING.write(OVERRUN);
                defmt::debug!("ethernet: overrun");
            }
            if FRAMES.read() == 0 {
                return None;
            }
            if let Some(end) = self.read(buffer) {
                return buffer.get(LENGTH..end);
            }
        }
        None
    }

    /// Whether no frame waits. From now on the next one that comes interrupts, once.
    pub fn is_idle(&mut self) -> bool {
        PENDING.write(RECEIVED);
        MASK.write(RECEIVED);
        // Looked at last: a frame that came meanwhile either stands here or interrupts.
        FRAMES.read() == 0
    }

    /// Sends what lies in `buffer` behind [`LENGTH`] octets. If the frame before is stuck, it is dropped; whoever needs
    /// it there sends again.
    pub fn send(&mut self, buffer: &mut [u8]) {
        let Some(length) = buffer.len().checked_sub(LENGTH + HEADER) else {
            return;
        };
        if !self.is_free() {
            defmt::debug!("ethernet: a frame is stuck");
            return;
        }
        if let Some(place) = buffer.first_chunk_mut() {
            *place = (length as u16).to_le_bytes();
        }
        let (words, rest) = buffer.as_chunks();
        for word in words {
            DATA.write(u32::from_le_bytes(*word));
        }
        if !rest.is_empty() {
            let mut last = [0; 4];
            last.iter_mut().zip(rest).for_each(|(to, octet)| *to = *octet);
            DATA.write(u32::from_le_bytes(last));
        }
        TRANSMISSION.write(1);
    }

    /// Whether the frame before is out; waits for that as long as a frame takes at 10 Mbit/s.
    fn is_free(&self) -> bool {
        (0..20_000).any(|_| TRANSMISSION.read() & 1 == 0)
    }

    /// Reads a frame out of the FIFO; where it ends in the buffer, unless it is dropped.
    fn read(&mut self, buffer: &mut [u8]) -> Option<usize> {
        let first = DATA.read().to_le_bytes();
        let [low, high, ..] = first;
        // Its own two octets, the frame, the checksum.
        let octets = usize::from(u16::from_le_bytes([low, high]));
        if !(LENGTH + CHECKSUM..=FIFO).contains(&octets) {
            // No such frame: where the next one begins is unknown.
            self.reset_fifo();
            return None;
        }
        let words = octets.div_ceil(4) - 1;
        let Some((place, rest)) = buffer.get_mut(..octets.next_multiple_of(4)).and_then(<[u8]>::split_first_chunk_mut)
        else {
            for _ in 0..words {
                DATA.read();
            }
            defmt::debug!("ethernet: {=usize} octets do not fit", octets);
            return None;
        };
        *place = first;
        for word in rest.as_chunks_mut().0 {
            *word = DATA.read().to_le_bytes();
        }
        let end = octets - CHECKSUM;
        (end >= LENGTH + HEADER).then_some(end)
    }

    /// Begins anew with an empty FIFO; what was in it comes again, as everything does that a network loses.
    fn reset_fifo(&mut self) {
        RECEIVE_CONTROL.write(RESET_FIFO);
        PENDING.write(OVERRUN | RECEIVED);
        RECEIVE_CONTROL.write(RECEIVE | REJECT_BAD_CHECKSUMS);
        defmt::debug!("ethernet: FIFO reset");
    }
}

/// Its interrupt: ends a sleep, and stays off until somebody sleeps again.
pub(crate) extern "C" fn received() {
    MASK.write(0);
    #[cfg(feature = "embassy")]
    crate::tasks::received();
}
