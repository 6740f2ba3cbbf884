//! How octets go in one direction of a wire: window, pieces, latency, faults.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::time::Duration;

use crate::Reads;

/// One direction of a [`Wire`](crate::Wire); by default all octets arrive at once and whole.
///
/// ```
/// use core::time::Duration;
/// use smtpd_mock::{Damage, Link, Pieces};
/// let slow = Link::new().window(64).latency(Duration::from_millis(300)).pieces(Pieces::Octets(1));
/// let broken = Link::new().damage(1_000, Damage::Reset);
/// ```
#[derive(Clone, Debug)]
pub struct Link {
    pub(super) window: usize,
    pub(super) latency: Duration,
    pub(super) pieces: Pieces,
    pub(super) at_most: usize,
    pub(super) would_block: u32,
    /// By octet.
    pub(super) damages: VecDeque<(u64, Damage)>,
}

/// What a read brings of the octets that are there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Pieces {
    /// All of them.
    #[default]
    Whole,
    /// At most so many.
    Octets(usize),
    /// Those up to the next of these positions in what is read.
    At(Vec<usize>),
    /// By chance from 1 to 64; the same seed gives the same pieces.
    Random(u64),
}

/// What goes wrong at an octet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Damage {
    /// The connection is reset when the octet would arrive: it and all behind it are lost, and both ends get an error
    /// once they have read what has come before.
    Reset,
    /// The direction ends, as if its writer had closed it: this octet and all behind it are lost.
    End,
    /// This octet and all behind it never arrive, and nobody is told: the window fills, and its writer waits.
    Stall,
    /// The octet is lost.
    Lose,
    /// The octet comes twice.
    Double,
    /// These bits of the octet are turned.
    Corrupt(u8),
}

impl Default for Link {
    fn default() -> Self {
        Self::new()
    }
}

impl Link {
    /// Without faults, with a window of 65,536 octets.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            window: 65_536,
            latency: Duration::ZERO,
            pieces: Pieces::Whole,
            at_most: usize::MAX,
            would_block: 0,
            damages: VecDeque::new(),
        }
    }

    /// So many octets may be on the way or unread, at least 1; then its writer waits.
    #[must_use]
    pub fn window(mut self, octets: usize) -> Self {
        self.window = octets.max(1);
        self
    }

    /// Octets, the end and a reset arrive so much later, on the wire's clock.
    #[must_use]
    pub const fn latency(mut self, time: Duration) -> Self {
        self.latency = time;
        self
    }

    /// What each read brings.
    #[must_use]
    pub fn pieces(mut self, mut pieces: Pieces) -> Self {
        if let Pieces::At(positions) = &mut pieces {
            positions.sort_unstable();
        }
        self.pieces = pieces;
        self
    }

    /// What each read brings, if a script says so.
    #[must_use]
    pub(crate) fn reads(self, reads: Reads) -> Self {
        match reads {
            Reads::Of(usize::MAX) => self,
            Reads::Of(octets) => self.pieces(Pieces::Octets(octets)),
            Reads::Cut(at) => self.pieces(Pieces::At(Vec::from([at]))),
        }
    }

    /// Writes are short: at most so many octets at once, at least 1.
    #[must_use]
    pub fn short_writes(mut self, octets: usize) -> Self {
        self.at_most = octets.max(1);
        self
    }

    /// Each `nth` read and each `nth` write would block though it need not, also at an end that blocks; asynchronous ones
    /// are pending once. The next one goes on, so 0 and 1 mean none.
    #[must_use]
    pub const fn would_block(mut self, nth: u32) -> Self {
        self.would_block = nth;
        self
    }

    /// Something goes wrong at this octet of those written, counted from 0. Several add up: an octet is turned, comes more
    /// than twice, or not at all if one of them loses it; of those that end the direction the first counts.
    #[must_use]
    pub fn damage(mut self, octet: u64, damage: Damage) -> Self {
        let at = self.damages.partition_point(|(at, _)| *at <= octet);
        self.damages.insert(at, (octet, damage));
        self
    }
}
