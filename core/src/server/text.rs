//! The text of a message on its way to the handler: counted, or thrown away once it is refused.

use super::Limits;
use crate::wire::{Decoder, Piece};

/// The text that is being received.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Text {
    decoder: Decoder,
    /// Octets that the handler got, or that were thrown away since the refusal.
    octets: u32,
    fate: Fate,
}

/// What becomes of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// The handler gets it.
    Wanted,
    /// The handler refused it, and has not heard yet that the transaction is over; the reply is kept.
    Refusing,
    /// The handler refused it; the reply is kept.
    Refused,
    /// It is over the limit.
    TooBig,
}

/// What the input brought.
pub(crate) enum Received<'i> {
    /// Octets for the handler.
    Wanted(&'i [u8]),
    /// Octets were thrown away.
    Dropped,
    /// The transaction ended here, by refusal or by size.
    Reset,
    /// Too many octets were thrown away.
    Exhausted,
    /// The end.
    End(Fate),
    /// More input is needed, or more room.
    Starved,
}

/// Octets of text that set the client's timer back: a slow client has to send as many for each waiting time.
const BLOCK: u32 = 512;

impl Text {
    pub(crate) const fn new() -> Self {
        Self { decoder: Decoder::new(), octets: 0, fate: Fate::Wanted }
    }

    pub(crate) fn refuse(&mut self) {
        self.fate = Fate::Refusing;
    }

    /// Whether the handler still gets the text.
    pub(crate) fn is_wanted(&self) -> bool {
        self.fate == Fate::Wanted
    }

    /// Takes text off the input: at most `room` octets of it, as far as the handler gets it. `epoch` changes
    /// with each block.
    pub(crate) fn receive<'i>(
        &mut self,
        input: &mut &'i [u8],
        room: usize,
        limits: &Limits,
        epoch: &mut u32,
    ) -> Received<'i> {
        if self.fate == Fate::Refusing {
            self.fate = Fate::Refused;
            self.octets = 0;
            return Received::Reset;
        }
        let is_wanted = self.is_wanted();
        let left = match limits.size {
            0 => usize::MAX,
            size => size.saturating_sub(self.octets) as usize,
        };
        let room = if is_wanted { room.min(left) } else { usize::MAX };
        match self.decoder.next(input, room) {
            Piece::Text(octets) => {
                let before = self.octets;
                // Wraps only where there is no limit, or where it is exceeded.
                let length = octets.len() as u32;
                self.octets = before.wrapping_add(length);
                *epoch = epoch.wrapping_add(u32::from(before / BLOCK != self.octets / BLOCK));
                if is_wanted {
                    Received::Wanted(octets)
                } else if limits.drain > 0 && length > limits.drain.saturating_sub(before) {
                    Received::Exhausted
                } else {
                    Received::Dropped
                }
            }
            Piece::End => Received::End(self.fate),
            // What is thrown away has room without end: it starves only for input.
            Piece::Starved if left == 0 && !input.is_empty() => {
                self.fate = Fate::TooBig;
                self.octets = 0;
                Received::Reset
            }
            Piece::Starved => Received::Starved,
        }
    }
}
