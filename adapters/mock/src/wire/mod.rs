//! A connection in memory: two ends, each of which any code can read and write that does so by a trait.

#[cfg(feature = "tokio")]
mod asynchronous;
mod blocking;
mod embedded;
mod link;
mod pipe;

use alloc::boxed::Box;
use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, Waker, ready};
use core::time::Duration;

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
/// clock go on; where neither helps it fails with [`WireError::Stuck`] instead of waiting for ever.
///
/// ```
/// use std::io::{Read, Write};
/// use smtpd_mock::{Clock, Link, Pieces, Wire};
/// let (mut client, mut server) = Wire::pair(&Clock::new(), Link::new().pieces(Pieces::Octets(1)), Link::new());
/// client.write_all(b"QUIT\r\n")?;
/// let mut octets = [0; 64];
/// assert_eq!(server.read(&mut octets)?, 1);
/// drop(client);
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Wire {
    side: Owned<Side>,
    sleep: Option<Sleep>,
}

/// Why an end can't go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WireError {
    /// Nothing can be read or written now, and the end does not block.
    WouldBlock,
    /// The end's own time for a read or write is over.
    TimedOut,
    /// The connection was reset.
    Reset,
    /// Writing was closed, or the other end is gone.
    BrokenPipe,
    /// It would wait for ever: the other end waits too, or nothing acts there.
    Stuck,
}

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::WouldBlock => "nothing can be read or written now",
            Self::TimedOut => "the time for it is over",
            Self::Reset => "the connection was reset",
            Self::BrokenPipe => "nobody reads at the other end",
            Self::Stuck => "it would wait for ever",
        })
    }
}

impl core::error::Error for WireError {}

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

impl Drop for Side {
    fn drop(&mut self) {
        let now = self.clock.now();
        let other = self.shared.with(|state| {
            state.pipes[1 - self.at].close(now);
            state.pipes[self.at].reader_is_gone();
            state.ends[self.at].other.take()
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

    /// Whether reads and writes that would block fail with [`WireError::WouldBlock`]. embedded_io has no such kind of
    /// error and calls it `TimedOut`.
    pub fn set_nonblocking(&self, is_nonblocking: bool) {
        self.with(|state, at| state.ends[at].never_blocks = is_nonblocking);
    }

    /// How long a read or write blocks at most, on the clock; none: until it is done or [`WireError::Stuck`].
    pub fn set_timeout(&self, timeout: Option<Duration>) {
        self.with(|state, at| state.ends[at].timeout = timeout);
    }

    /// Closes this end for writing: behind what was written, the other end reads nothing.
    pub fn close(&self) {
        let now = self.side.clock.now();
        self.with(|state, at| state.pipes[1 - at].close(now));
    }

    /// Resets the connection: both ends get an error, and what was not read is lost.
    pub fn reset(&self) {
        let now = self.side.clock.now();
        self.with(|state, _| state.pipes.iter_mut().for_each(|pipe| pipe.reset(now)));
    }

    /// Whether a read would give something, be it an end or an error.
    #[must_use]
    pub fn can_read(&self) -> bool {
        let now = self.side.clock.now();
        self.with(|state, at| state.pipes[at].is_ready(now))
    }

    /// Whether a write would take something, or fail.
    #[must_use]
    pub fn can_write(&self) -> bool {
        self.with(|state, at| state.pipes[1 - at].has_room())
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
        self.side.shared.with(|state| with(state, self.side.at))
    }

    fn try_read(&self, octets: &mut [u8]) -> Result<usize, Blocked> {
        let now = self.side.clock.now();
        self.with(|state, at| match state.pipes[at].read(octets, now) {
            Err(Blocked::Until(_)) if state.pipes[1 - at].is_reset() => Err(Blocked::Error(WireError::Reset)),
            read => read,
        })
    }

    fn try_write(&self, octets: &[u8]) -> Result<usize, Blocked> {
        let now = self.side.clock.now();
        self.with(|state, at| match state.pipes[at].is_reset() {
            true => Err(Blocked::Error(WireError::Reset)),
            false => state.pipes[1 - at].write(octets, now),
        })
    }

    /// Tries until it is done, and lets the other end act and time pass meanwhile.
    fn block(&self, mut attempt: impl FnMut() -> Result<usize, Blocked>) -> Result<usize, WireError> {
        let mut deadline = None;
        loop {
            let arrival = match attempt() {
                Ok(octets) => return Ok(octets),
                Err(Blocked::Error(error)) => return Err(error),
                Err(Blocked::Once) => return Err(WireError::WouldBlock),
                Err(Blocked::Until(arrival)) => arrival,
            };
            let (never_blocks, timeout, other) = self.with(|state, at| {
                let end = &mut state.ends[at];
                (end.never_blocks, end.timeout, end.other.take())
            });
            let mut turn = Turn::Waits(None);
            if let Some(mut other) = other {
                turn = other();
                self.with(|state, at| state.ends[at].other = Some(other));
            }
            let until = match turn {
                Turn::Moved => continue,
                _ if never_blocks => return Err(WireError::WouldBlock),
                Turn::Waits(until) => until,
            };
            let now = self.side.clock.now();
            let deadline = *deadline.get_or_insert_with(|| timeout.map(|timeout| now + timeout));
            if deadline.is_some_and(|deadline| deadline <= now) {
                return Err(WireError::TimedOut);
            }
            let next = [arrival, until, deadline, self.side.clock.next()].into_iter().flatten().min();
            let Some(next) = next else {
                self.with(|state, at| state.ends[at].was_stuck = true);
                return Err(WireError::Stuck);
            };
            self.side.clock.advance(next.saturating_sub(now));
        }
    }

    fn poll_read(&mut self, cx: &mut Context<'_>, octets: &mut [u8]) -> Poll<Result<usize, WireError>> {
        loop {
            let blocked = match self.try_read(octets) {
                Ok(read) => return Poll::Ready(Ok(read)),
                Err(blocked) => blocked,
            };
            self.with(|state, at| state.pipes[at].wait_to_read(cx.waker()));
            ready!(self.poll_blocked(cx, blocked))?;
        }
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, octets: &[u8]) -> Poll<Result<usize, WireError>> {
        loop {
            let blocked = match self.try_write(octets) {
                Ok(written) => return Poll::Ready(Ok(written)),
                Err(blocked) => blocked,
            };
            self.with(|state, at| state.pipes[1 - at].wait_to_write(cx.waker()));
            ready!(self.poll_blocked(cx, blocked))?;
        }
    }

    /// Ready: try again.
    fn poll_blocked(&mut self, cx: &mut Context<'_>, blocked: Blocked) -> Poll<Result<(), WireError>> {
        match blocked {
            Blocked::Error(error) => Poll::Ready(Err(error)),
            Blocked::Once => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Blocked::Until(None) => Poll::Pending,
            Blocked::Until(Some(at)) => {
                let sleep = self.sleep.insert(self.side.clock.until(at));
                Pin::new(sleep).poll(cx).map(Ok)
            }
        }
    }
}
