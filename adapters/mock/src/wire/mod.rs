//! A connection in memory: two ends, each of which any code can read and write that does so by a trait.

#[cfg(feature = "tokio")]
mod asynchronous;
mod blocking;
mod embedded;
mod error;
mod link;
mod pipe;
mod wait;

use alloc::boxed::Box;
use core::fmt;
use core::task::Waker;
use core::time::Duration;

pub use error::WireError;
pub use link::{Damage, Link, Pieces};
use pipe::{Blocked, Pipe};

use crate::Clock;
use crate::clock::Sleep;
use crate::shared::{Owned, Shared};

/// One end of a connection in memory.
///
/// It implements `Read` and `Write` of embedded_io, embedded_io_async and std::io, and with the feature `tokio` its
/// `AsyncRead` and `AsyncWrite`. Clones are the same end, as those of a socket are; when the last one goes, the end is
/// closed.
///
/// A read that blocks lets the other end act, if something acts there (see [`Script`](crate::Script)), and else lets the
/// clock go on; where neither helps it fails with [`WireError::Stuck`] instead of waiting for ever. Two ends that block
/// in two threads do not wait for each other.
///
/// ```
/// use embedded_io::{Read, Write};
/// use smtpd_mock::{Clock, Link, Pieces, Wire};
/// let (mut client, mut server) = Wire::pair(&Clock::new(), Link::new().pieces(Pieces::Octets(1)), Link::new());
/// client.write_all(b"QUIT\r\n")?;
/// let mut octets = [0; 64];
/// assert_eq!(server.read(&mut octets)?, 1);
/// drop(client);
/// # Ok::<(), smtpd_mock::WireError>(())
/// ```
pub struct Wire {
    side: Owned<Side>,
    /// Of a read that waits for an arrival.
    sleep: Option<Sleep>,
}

/// What acts at the other end came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Something moved.
    Moved,
    /// It waits for octets, or until this moment.
    Waits(Option<Duration>),
}

/// What acts at the other end when this one has nothing to read.
#[cfg(feature = "std")]
pub(crate) type Actor = Box<dyn FnMut() -> Turn + Send>;
#[cfg(not(feature = "std"))]
pub(crate) type Actor = Box<dyn FnMut() -> Turn>;

struct Side {
    clock: Clock,
    shared: Shared<State>,
    /// This end reads from pipe `at`, and writes to the other.
    at: usize,
}

struct State {
    pipes: [Pipe; 2],
    /// For each end, how a read that would block goes on.
    ends: [Manner; 2],
}

#[derive(Default)]
struct Manner {
    never_blocks: bool,
    timeout: Option<Duration>,
    other: Option<Actor>,
    is_script: bool,
    was_stuck: bool,
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wire").field("end", &self.side.at).finish_non_exhaustive()
    }
}

impl Clone for Wire {
    fn clone(&self) -> Self {
        Self { side: self.side.clone(), sleep: None }
    }
}

impl State {
    fn read(&mut self, at: usize, octets: &mut [u8], now: Duration) -> Result<usize, Blocked> {
        self.pipes[at].read(octets, now)
    }

    fn write(&mut self, at: usize, octets: &[u8], now: Duration) -> Result<usize, Blocked> {
        if self.pipes[at].is_reset(now) {
            return Err(Blocked::Error(WireError::Reset));
        }
        let written = self.pipes[1 - at].write(octets, now);
        if let Some(reset) = self.pipes[1 - at].fails() {
            self.pipes[at].fail(reset);
        }
        written
    }

    fn room(&self, at: usize, now: Duration) -> Result<usize, Blocked> {
        match self.pipes[at].is_reset(now) {
            true => Err(Blocked::Error(WireError::Reset)),
            false => self.pipes[1 - at].room(),
        }
    }
}

impl Side {
    fn with<R>(&self, with: impl FnOnce(&mut State, usize) -> R) -> R {
        let (result, woken) = self.shared.with(|state| {
            let result = with(state, self.at);
            let is_any_woken = state.pipes.iter().any(Pipe::has_woken);
            (result, is_any_woken.then(|| state.pipes.each_mut().map(Pipe::woken)))
        });
        // Not before: who is woken may use or drop a wire at once.
        if let Some(woken) = woken {
            woken.into_iter().flatten().for_each(Waker::wake);
        }
        result
    }
}

impl Drop for Side {
    fn drop(&mut self) {
        let now = self.clock.now();
        let other = self.with(|state, at| {
            state.pipes[1 - at].close(now);
            state.pipes[at].reader_is_gone();
            state.ends[at].other.take()
        });
        // It may hold the other end.
        drop(other);
    }
}

impl Wire {
    /// Two ends: what is written to the first goes through `there`, what is written to the second comes `back`.
    #[must_use]
    pub fn pair(clock: &Clock, there: Link, back: Link) -> (Self, Self) {
        let pipes = [Pipe::new(back), Pipe::new(there)];
        let shared = Shared::new(State { pipes, ends: [Manner::default(), Manner::default()] });
        let end =
            |at| Self { side: Owned::new(Side { clock: clock.clone(), shared: shared.clone(), at }), sleep: None };
        (end(0), end(1))
    }

    /// The wire's clock.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.side.clock
    }

    /// Whether reads and writes that would block fail with [`WireError::WouldBlock`] instead of letting time pass.
    /// embedded_io has no such kind of error and calls it `TimedOut`; asynchronous ones are pending anyhow.
    pub fn set_nonblocking(&self, is_nonblocking: bool) {
        self.with(|state, at| state.ends[at].never_blocks = is_nonblocking);
    }

    /// How long a read or write blocks at most, on the clock, to fail with [`WireError::TimedOut`]; none: until
    /// it is done or [`WireError::Stuck`]. Asynchronous ones do not go by it.
    pub fn set_timeout(&self, timeout: Option<Duration>) {
        self.with(|state, at| state.ends[at].timeout = timeout);
    }

    /// Closes this end for writing: behind what was written, the other end reads nothing.
    pub fn close(&self) {
        let now = self.side.clock.now();
        self.with(|state, at| state.pipes[1 - at].close(now));
    }

    /// Resets the connection: this end gets an error at once, the other when that arrives, and what was not read by then
    /// is lost.
    pub fn reset(&self) {
        let now = self.side.clock.now();
        self.with(|state, at| {
            state.pipes[at].reset_by_reader(now);
            state.pipes[1 - at].reset_by_writer(now);
        });
    }

    /// Whether a read would give something, be it an end or an error.
    #[must_use]
    pub fn can_read(&self) -> bool {
        let now = self.side.clock.now();
        self.with(|state, at| !matches!(state.pipes[at].there(now), Err(Blocked::Until(_))))
    }

    /// Whether a write would take something, or fail.
    #[must_use]
    pub fn can_write(&self) -> bool {
        let now = self.side.clock.now();
        self.with(|state, at| !matches!(state.room(at, now), Err(Blocked::Until(_))))
    }

    /// When something arrives next that can't be read yet.
    pub(crate) fn arrival(&self) -> Option<Duration> {
        let now = self.side.clock.now();
        self.with(|state, at| state.pipes[at].arrival(now))
    }

    /// Reads and writes without faults in when they can: those are for the other end.
    pub(crate) fn never_would_block(&self) {
        self.with(|state, at| state.ends[at].is_script = true);
    }

    /// Lets `actor` act at the other end whenever this one has to wait.
    pub(crate) fn opposite(&self, actor: Actor) {
        let old = self.with(|state, at| state.ends[at].other.replace(actor));
        drop(old);
    }

    /// Whether a read or write would have waited for ever.
    pub(crate) fn was_stuck(&self) -> bool {
        self.with(|state, at| state.ends[at].was_stuck)
    }

    /// Wakes when something can be read or written.
    pub(crate) fn wake_on_change(&self, waker: &Waker) {
        self.with(|state, at| {
            state.pipes[at].wait_to_read(waker);
            state.pipes[1 - at].wait_to_write(waker);
        });
    }

    fn with<R>(&self, with: impl FnOnce(&mut State, usize) -> R) -> R {
        self.side.with(with)
    }

    fn try_read(&self, octets: &mut [u8]) -> Result<usize, Blocked> {
        let now = self.side.clock.now();
        self.with(|state, at| state.read(at, octets, now))
    }

    fn try_write(&self, octets: &[u8]) -> Result<usize, Blocked> {
        let now = self.side.clock.now();
        self.with(|state, at| state.write(at, octets, now))
    }
}
