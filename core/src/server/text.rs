//! The text of a message on its way to the handler: counted, or thrown away once it is refused.

use super::Limits;
use crate::wire::{Decoder, Piece};

/// The text that is being received.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Text {
    decoder: Decoder,
    /// Octets that the handler may still get, or that may still be thrown away since the refusal.
    left: usize,
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
const BLOCK: usize = 512;

impl Text {
    pub(crate) const fn new(limits: &Limits) -> Self {
        Self { decoder: Decoder::new(), left: allowance(limits.size), fate: Fate::Wanted }
    }

    /// What [`receive`](Self::receive) gives, if that is wanted and a short line among others that begin with dots.
    #[inline(always)]
    pub(crate) fn short_line<'i>(
        &mut self,
        input: &mut &'i [u8],
        room: impl FnOnce() -> usize,
        epoch: &mut u32,
    ) -> Option<&'i [u8]> {
        if !self.is_wanted() {
            return None;
        }
        let left = self.left;
        let octets = self.decoder.short_line(input, || room().min(left))?;
        self.leave(left.wrapping_sub(octets.len()), epoch);
        Some(octets)
    }

    /// So many octets are left now.
    fn leave(&mut self, left: usize, epoch: &mut u32) {
        let before = core::mem::replace(&mut self.left, left);
        *epoch = epoch.wrapping_add(u32::from(is_next_block(before, left)));
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
            self.left = allowance(limits.drain);
            return Received::Reset;
        }
        let is_wanted = self.is_wanted();
        let left = self.left;
        let room = if is_wanted { room.min(left) } else { usize::MAX };
        match self.decoder.next(input, room) {
            Piece::Text(octets) => {
                let Some(after) = left.checked_sub(octets.len()) else { return Received::Exhausted };
                self.leave(after, epoch);
                if is_wanted { Received::Wanted(octets) } else { Received::Dropped }
            }
            Piece::End => Received::End(self.fate),
            // What is thrown away has room without end: it starves only for input.
            Piece::Starved if left == 0 && !input.is_empty() => {
                self.fate = Fate::TooBig;
                self.left = allowance(limits.drain);
                Received::Reset
            }
            Piece::Starved => Received::Starved,
        }
    }
}

/// Octets that a limit leaves at the beginning; no limit is whole blocks, more than memory has numbers for.
const fn allowance(limit: u32) -> usize {
    if limit == 0 { usize::MAX & !(BLOCK - 1) } else { limit as usize }
}

/// Whether the next octet is in another block than before; blocks count from the end.
const fn is_next_block(before: usize, after: usize) -> bool {
    (before.wrapping_sub(1) ^ after.wrapping_sub(1)) >= BLOCK
}
