//! One direction of a wire: what was written, and what of it can be read now.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
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
    /// Octets that stay on the way for ever.
    stalled: usize,
    end: End,
    /// By the writer, who does not know of an end that is a damage.
    is_closed: bool,
    reader_is_gone: bool,
    reads: u32,
    writes: u32,
    chance: u64,
    readers: Vec<Waker>,
    writers: Vec<Waker>,
    woken: Vec<Waker>,
}

/// What comes behind the octets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Open,
    /// Nothing comes any more, and nobody is told.
    Stalled,
    /// Behind what is queued, from this moment on.
    Closed(Duration),
    /// The same with an error.
    Failed(Duration),
    /// From this moment on, and what is queued then is lost.
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
            // A command or a reply, without growing step by step.
            queue: VecDeque::with_capacity(1_024),
            arrivals: VecDeque::new(),
            written: 0,
            queued: 0,
            arrived: 0,
            read: 0,
            stalled: 0,
            end: End::Open,
            is_closed: false,
            reader_is_gone: false,
            reads: 0,
            writes: 0,
            chance,
            readers: Vec::new(),
            writers: Vec::new(),
            woken: Vec::new(),
        }
    }

    /// Takes octets off the writer, at least one.
    pub(super) fn write(&mut self, octets: &[u8], now: Duration) -> Result<usize, Blocked> {
        if octets.is_empty() {
            return Ok(0);
        }
        let room = self.room()?;
        count(&mut self.writes, self.link.would_block)?;
        let taken = octets.len().min(room).min(self.link.at_most);
        let mut octets = octets.get(..taken).unwrap_or(&[]);
        while let Some((at, _)) = self.link.damages.front().copied()
            && let Some((before, behind)) =
                octets.split_at_checked(usize::try_from(at - self.written).unwrap_or(usize::MAX))
            && let Some((octet, behind)) = behind.split_first()
        {
            self.queue(before, now);
            self.damage(at, *octet, now);
            self.written = at + 1;
            octets = behind;
        }
        self.queue(octets, now);
        self.written += octets.len() as u64;
        self.wake_reader();
        Ok(taken)
    }

    /// How much the writer can write.
    pub(super) fn room(&self) -> Result<usize, Blocked> {
        if self.is_closed || self.reader_is_gone {
            return Err(Blocked::Error(WireError::BrokenPipe));
        }
        let is_lost = !matches!(self.end, End::Open | End::Stalled);
        match self.link.window.saturating_sub(self.queue.len() + self.stalled) {
            // What is lost needs no room.
            _ if is_lost => Ok(usize::MAX),
            0 => Err(Blocked::Until(None)),
            room => Ok(room),
        }
    }

    /// All damage that is meant for this octet.
    fn damage(&mut self, at: u64, mut octet: u8, now: Duration) {
        let arrival = now.saturating_add(self.link.latency);
        let (mut is_lost, mut copies) = (false, 1);
        while let Some((_, damage)) = self.link.damages.pop_front_if(|(octet, _)| *octet == at) {
            match damage {
                Damage::Reset if self.end == End::Open => self.fail(arrival),
                Damage::End if self.end == End::Open => self.end = End::Closed(arrival),
                Damage::Stall if self.end == End::Open => self.end = End::Stalled,
                Damage::Reset | Damage::End | Damage::Stall => {}
                Damage::Lose => is_lost = true,
                Damage::Double => copies += 1,
                Damage::Corrupt(bits) => octet ^= bits,
            }
        }
        for _ in 0..if is_lost { 0 } else { copies } {
            self.queue(&[octet], now);
        }
    }

    fn queue(&mut self, octets: &[u8], now: Duration) {
        if self.end == End::Stalled {
            self.stalled += octets.len();
        }
        if self.end != End::Open || octets.is_empty() {
            return;
        }
        self.queue.extend(octets);
        self.queued += octets.len() as u64;
        match self.link.latency.is_zero() {
            true => self.arrived = self.queued,
            false => self.arrivals.push_back((now.saturating_add(self.link.latency), self.queued)),
        }
    }

    /// Gives octets to the reader; none: the direction has ended.
    pub(super) fn read(&mut self, octets: &mut [u8], now: Duration) -> Result<usize, Blocked> {
        if octets.is_empty() {
            return Ok(0);
        }
        let there = self.there(now)?;
        if there == 0 {
            return Ok(0);
        }
        count(&mut self.reads, self.link.would_block)?;
        let taken = octets.len().min(there).min(self.piece());
        // In bulk: octet by octet, a session through a wire takes twice as long.
        let (first, second) = self.queue.as_slices();
        let (to_first, to_second) = octets[..taken].split_at_mut(taken.min(first.len()));
        to_first.copy_from_slice(&first[..to_first.len()]);
        to_second.copy_from_slice(&second[..to_second.len()]);
        self.queue.drain(..taken);
        self.read += taken as u64;
        self.wake_writer();
        Ok(taken)
    }

    /// How many octets can be read now; none: the direction has ended.
    pub(super) fn there(&mut self, now: Duration) -> Result<usize, Blocked> {
        if matches!(self.end, End::Reset(at) if at <= now) {
            return Err(Blocked::Error(WireError::Reset));
        }
        while let Some((_, count)) = self.arrivals.pop_front_if(|(at, _)| *at <= now) {
            self.arrived = count;
        }
        match (self.arrived - self.read, self.arrival(now), self.end) {
            (0, None, End::Closed(_)) => Ok(0),
            (0, None, End::Failed(_)) => Err(Blocked::Error(WireError::Reset)),
            (0, arrival, _) => Err(Blocked::Until(arrival)),
            (there, ..) => Ok(there as usize),
        }
    }

    /// When something arrives next, be it the end.
    pub(super) fn arrival(&self, now: Duration) -> Option<Duration> {
        let end = match self.end {
            End::Open | End::Stalled => None,
            End::Closed(at) | End::Failed(at) | End::Reset(at) => Some(at),
        };
        let octets = self.arrivals.iter().map(|(at, _)| *at).find(|at| *at > now);
        octets.into_iter().chain(end.filter(|at| *at > now)).min()
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

    /// The writer closed: nothing comes behind what it wrote.
    pub(super) fn close(&mut self, now: Duration) {
        self.is_closed = true;
        if self.end == End::Open {
            self.end = End::Closed(now.saturating_add(self.link.latency));
        }
        self.wake();
    }

    /// An error comes behind what was written.
    pub(super) fn fail(&mut self, at: Duration) {
        if !matches!(self.end, End::Failed(_) | End::Reset(_)) {
            self.end = End::Failed(at);
            self.wake();
        }
    }

    /// When the damage resets both directions, if it does.
    pub(super) fn fails(&self) -> Option<Duration> {
        if let End::Failed(at) = self.end { Some(at) } else { None }
    }

    /// The reader resets the connection, and knows it at once.
    pub(super) fn reset_by_reader(&mut self, now: Duration) {
        self.end = End::Reset(now);
        self.wake();
    }

    /// The writer does, and the reader hears of it later.
    pub(super) fn reset_by_writer(&mut self, now: Duration) {
        if !matches!(self.end, End::Failed(_) | End::Reset(_)) {
            self.end = End::Reset(now.saturating_add(self.link.latency));
            self.wake();
        }
    }

    /// Whether the reader may know that the connection was reset.
    pub(super) fn is_reset(&self, now: Duration) -> bool {
        matches!(self.end, End::Failed(at) | End::Reset(at) if at <= now)
    }

    pub(super) fn reader_is_gone(&mut self) {
        self.reader_is_gone = true;
        self.wake_writer();
    }

    pub(super) fn wait_to_read(&mut self, waker: &Waker) {
        wait(&mut self.readers, waker);
    }

    pub(super) fn wait_to_write(&mut self, waker: &Waker) {
        wait(&mut self.writers, waker);
    }

    fn wake(&mut self) {
        self.wake_reader();
        self.wake_writer();
    }

    fn wake_reader(&mut self) {
        self.woken.append(&mut self.readers);
    }

    fn wake_writer(&mut self) {
        self.woken.append(&mut self.writers);
    }

    pub(super) fn has_woken(&self) -> bool {
        !self.woken.is_empty()
    }

    /// Who is to be woken once nothing is borrowed.
    pub(super) fn woken(&mut self) -> Vec<Waker> {
        core::mem::take(&mut self.woken)
    }
}

/// Clones of an end may wait in different tasks.
fn wait(waiting: &mut Vec<Waker>, waker: &Waker) {
    if !waiting.iter().any(|other| other.will_wake(waker)) {
        waiting.push(waker.clone());
    }
}

/// Counts a call that need not block, and blocks it if it is its turn.
fn count(calls: &mut u32, nth: u32) -> Result<(), Blocked> {
    *calls = calls.wrapping_add(1);
    if nth > 1 && calls.is_multiple_of(nth) { Err(Blocked::Once) } else { Ok(()) }
}
