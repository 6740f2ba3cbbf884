//! How an end waits: for time and what acts at the other end, or to be woken.

use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use core::time::Duration;

use super::pipe::Blocked;
use super::{Turn, Wire, WireError};

impl Wire {
    /// Tries until it is done, and lets the other end act and time pass meanwhile.
    pub(super) fn block(&self, mut attempt: impl FnMut() -> Result<usize, Blocked>) -> Result<usize, WireError> {
        match attempt() {
            Ok(octets) => Ok(octets),
            // Apart, for most of the time nothing has to be waited for.
            Err(blocked) => self.wait(blocked, attempt),
        }
    }

    fn wait(
        &self,
        mut blocked: Blocked,
        mut attempt: impl FnMut() -> Result<usize, Blocked>,
    ) -> Result<usize, WireError> {
        let clock = &self.side.clock;
        let (never_blocks, timeout, is_script) = self.with(|state, at| {
            let end = &state.ends[at];
            (end.never_blocks, end.timeout, end.is_script)
        });
        let deadline = timeout.map(|timeout| clock.now().saturating_add(timeout));
        loop {
            match blocked {
                Blocked::Error(error) => return Err(error),
                Blocked::Once if is_script => {}
                Blocked::Once => return Err(WireError::WouldBlock),
                Blocked::Until(arrival) => match self.turn() {
                    Turn::Moved => {}
                    Turn::Waits(_) if never_blocks => return Err(WireError::WouldBlock),
                    Turn::Waits(until) => self.pass(deadline, [arrival, until])?,
                },
            }
            match attempt() {
                Ok(octets) => return Ok(octets),
                Err(again) => blocked = again,
            }
        }
    }

    /// Lets what acts at the other end act.
    fn turn(&self) -> Turn {
        // Not borrowed meanwhile, for it uses the wire.
        let Some(mut other) = self.with(|state, at| state.ends[at].other.take()) else { return Turn::Waits(None) };
        let turn = other();
        self.with(|state, at| state.ends[at].other = Some(other));
        turn
    }

    /// Lets time pass until the first of these moments, or somebody else wakes.
    fn pass(&self, deadline: Option<Duration>, moments: [Option<Duration>; 2]) -> Result<(), WireError> {
        let clock = &self.side.clock;
        let now = clock.now();
        if deadline.is_some_and(|deadline| deadline <= now) {
            return Err(WireError::TimedOut);
        }
        let next = moments.into_iter().chain([deadline, clock.next()]).flatten().min();
        if let Some(next) = next {
            clock.advance(next.saturating_sub(now));
        }
        // A clock of tokio's does not pass while its thread blocks.
        if next.is_none_or(|next| clock.now() < next) {
            self.with(|state, at| state.ends[at].was_stuck = true);
            return Err(WireError::Stuck);
        }
        Ok(())
    }

    pub(super) fn poll_read(&mut self, cx: &mut Context<'_>, octets: &mut [u8]) -> Poll<Result<usize, WireError>> {
        loop {
            self.sleep = None;
            let now = self.side.clock.now();
            // Not in two steps, for the writer may be in another thread.
            let read = self.with(|state, at| {
                state.read(at, octets, now).inspect_err(|_| state.pipes[at].wait_to_read(cx.waker()))
            });
            match read {
                Ok(read) => return Poll::Ready(Ok(read)),
                Err(Blocked::Error(error)) => return Poll::Ready(Err(error)),
                Err(Blocked::Until(None)) => return Poll::Pending,
                Err(Blocked::Until(Some(arrival))) => {
                    let sleep = self.sleep.insert(self.side.clock.until(arrival));
                    ready!(Pin::new(sleep).poll(cx));
                }
                Err(Blocked::Once) => {
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
            }
        }
    }

    pub(super) fn poll_write(&mut self, cx: &mut Context<'_>, octets: &[u8]) -> Poll<Result<usize, WireError>> {
        let now = self.side.clock.now();
        let written = self.with(|state, at| {
            state.write(at, octets, now).inspect_err(|_| state.pipes[1 - at].wait_to_write(cx.waker()))
        });
        match written {
            Ok(written) => Poll::Ready(Ok(written)),
            Err(Blocked::Error(error)) => Poll::Ready(Err(error)),
            Err(Blocked::Until(_)) => Poll::Pending,
            Err(Blocked::Once) => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
        }
    }
}
