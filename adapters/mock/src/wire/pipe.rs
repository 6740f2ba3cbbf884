//! One direction of a wire: what was written, and what of it can be read now.

use alloc::collections::VecDeque;
use core::task::Waker;
use core::time::Duration;

use super::WireError;
use super::link::{Damage, Link, Pieces};

/// The octets of one direction.
#[derive(Debug)]
pub(super) struct Pipe {
    link: Link,
    queue: VecDeque<u8>,
    /// With latency: when how many octets in all have arrived.
    arrivals: VecDeque<(Duration, u64)>,
    /// Octets that the writer gave, that came into the queue, that arrived, that were read.
    written: u64,
    queued: u64,
    arrived: u64,
    read: u64,
    damaged: usize,
    end: End,
    reader_is_gone: bool,
    calls: u32,
    chance: u64,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Open,
    /// Nothing comes any more, and nobody is told.
    Stalled,
    /// Behind what is queued, from this moment on.
    Closed(Duration),
    Reset(Duration),
}

/// Why nothing can be read or written now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Blocked {
    /// Until something arrives at this moment, if any is known.
    Until(Option<Duration>),
    /// For this once.
    Once,
    Error(WireError),
}

impl Pipe {
    pub(super) fn new(link: Link) -> Self {
        let chance = if let Pieces::Random(seed) = link.pieces { seed } else { 0 };
        Self {
            link,
            queue: VecDeque::new(),
            arrivals: VecDeque::new(),
            written: 0,
            queued: 0,
            arrived: 0,
            read: 0,
            damaged: 0,
            end: End::Open,
            reader_is_gone: false,
            calls: 0,
            chance,
            reader: None,
            writer: None,
        }
    }

    /// Takes octets off the writer, at least one.
    pub(super) fn write(&mut self, octets: &[u8], now: Duration) -> Result<usize, Blocked> {
        match self.end {
            End::Reset(_) => return Err(Blocked::Error(WireError::Reset)),
            End::Closed(_) if self.is_closed_by_writer() => return Err(Blocked::Error(WireError::BrokenPipe)),
            _ if self.reader_is_gone => return Err(Blocked::Error(WireError::BrokenPipe)),
            _ => {}
        }
        if octets.is_empty() {
            return Ok(0);
        }
        self.count_call()?;
        let room = self.link.window.saturating_sub(self.queue.len());
        let taken = octets.len().min(room).min(self.link.at_most);
        if taken == 0 {
            return Err(Blocked::Until(None));
        }
        let mut octets = &octets[..taken];
        while let Some((at, damage)) = self.link.damages.get(self.damaged).copied()
            && at < self.written + octets.len() as u64
        {
            self.damaged += 1;
            // Another damage took the octet already.
            let Some(before) = at.checked_sub(self.written) else { continue };
            let (before, behind) = octets.split_at(before as usize);
            self.queue(before, now);
            self.written = at;
            octets = behind;
            self.damage(damage, &mut octets, now);
        }
        self.queue(octets, now);
        self.written += octets.len() as u64;
        self.wake_reader();
        Ok(taken)
    }

    fn damage(&mut self, damage: Damage, octets: &mut &[u8], now: Duration) {
        let at = now + self.link.latency;
        let octet = octets[0];
        match damage {
            Damage::Reset if self.end == End::Open => self.end = End::Reset(at),
            Damage::End if self.end == End::Open => self.end = End::Closed(at),
            Damage::Stall if self.end == End::Open => self.end = End::Stalled,
            Damage::Reset | Damage::End | Damage::Stall => {}
            // A second damage may be meant for the same octet.
            Damage::Double => self.queue(&[octet], now),
            Damage::Lose | Damage::Corrupt(_) => {
                if let Damage::Corrupt(bits) = damage {
                    self.queue(&[octet ^ bits], now);
                }
                self.written += 1;
                *octets = &octets[1..];
            }
        }
    }

    fn queue(&mut self, octets: &[u8], now: Duration) {
        if self.end != End::Open || octets.is_empty() {
            return;
        }
        self.queue.extend(octets);
        self.queued += octets.len() as u64;
        match self.link.latency.is_zero() {
            true => self.arrived = self.queued,
            false => self.arrivals.push_back((now + self.link.latency, self.queued)),
        }
    }

    /// Gives octets to the reader; none: the direction has ended.
    pub(super) fn read(&mut self, octets: &mut [u8], now: Duration) -> Result<usize, Blocked> {
        if octets.is_empty() {
            return Ok(0);
        }
        let there = self.arrived(now);
        if there == 0 {
            return match self.end {
                _ if !self.queue.is_empty() => Err(Blocked::Until(self.arrivals.front().map(|(at, _)| *at))),
                End::Reset(at) if at <= now => Err(Blocked::Error(WireError::Reset)),
                End::Closed(at) if at <= now => Ok(0),
                End::Reset(at) | End::Closed(at) => Err(Blocked::Until(Some(at))),
                End::Open | End::Stalled => Err(Blocked::Until(None)),
            };
        }
        self.count_call()?;
        let taken = octets.len().min(there).min(self.piece());
        let (first, second) = self.queue.as_slices();
        let from_first = taken.min(first.len());
        octets[..from_first].copy_from_slice(&first[..from_first]);
        octets[from_first..taken].copy_from_slice(&second[..taken - from_first]);
        self.queue.drain(..taken);
        self.read += taken as u64;
        if let Some(waker) = self.writer.take() {
            waker.wake();
        }
        Ok(taken)
    }

    /// How many octets of the queue have arrived.
    pub(super) fn arrived(&mut self, now: Duration) -> usize {
        while let Some((at, count)) = self.arrivals.front().copied()
            && at <= now
        {
            self.arrived = count;
            self.arrivals.pop_front();
        }
        (self.arrived - self.read) as usize
    }

    /// The most that the next read brings.
    fn piece(&mut self) -> usize {
        match &self.link.pieces {
            Pieces::Whole => usize::MAX,
            Pieces::Octets(octets) => (*octets).max(1),
            Pieces::At(positions) => {
                let read = self.read as usize;
                let next = positions.get(positions.partition_point(|at| *at <= read));
                next.map_or(usize::MAX, |next| next - read)
            }
            Pieces::Random(_) => {
                // An xorshift generator (Marsaglia 2003) on top of a Weyl sequence, so that seed 0 works.
                self.chance = self.chance.wrapping_add(0x9e37_79b9_7f4a_7c15);
                let mut mixed = self.chance;
                mixed ^= mixed << 13;
                mixed ^= mixed >> 7;
                mixed ^= mixed << 17;
                (mixed >> 32) as usize % 64 + 1
            }
        }
    }

    fn count_call(&mut self) -> Result<(), Blocked> {
        self.calls = self.calls.wrapping_add(1);
        if self.link.would_block > 1 && self.calls.is_multiple_of(self.link.would_block) {
            return Err(Blocked::Once);
        }
        Ok(())
    }

    /// Damage that ended the direction is not known to its writer.
    fn is_closed_by_writer(&self) -> bool {
        self.link.damages.iter().take(self.damaged).all(|(_, damage)| *damage != Damage::End)
    }

    pub(super) fn close(&mut self, now: Duration) {
        if self.end == End::Open {
            self.end = End::Closed(now + self.link.latency);
        }
        self.wake_reader();
    }

    pub(super) fn reset(&mut self, now: Duration) {
        self.end = End::Reset(now);
        self.queue.clear();
        self.arrivals.clear();
        self.wake_reader();
        self.wake_writer();
    }

    pub(super) fn is_reset(&self) -> bool {
        matches!(self.end, End::Reset(_))
    }

    pub(super) fn reader_is_gone(&mut self) {
        self.reader_is_gone = true;
        self.wake_writer();
    }

    pub(super) fn has_room(&self) -> bool {
        self.queue.len() < self.link.window
    }

    /// Whether a read would not block.
    pub(super) fn is_ready(&mut self, now: Duration) -> bool {
        let is_over = matches!(self.end, End::Reset(at) | End::Closed(at) if at <= now) && self.queue.is_empty();
        is_over || self.arrived(now) > 0
    }

    pub(super) fn wait_to_read(&mut self, waker: &Waker) {
        self.reader = Some(waker.clone());
    }

    pub(super) fn wait_to_write(&mut self, waker: &Waker) {
        self.writer = Some(waker.clone());
    }

    fn wake_reader(&mut self) {
        if let Some(waker) = self.reader.take() {
            waker.wake();
        }
    }

    fn wake_writer(&mut self) {
        if let Some(waker) = self.writer.take() {
            waker.wake();
        }
    }
}
