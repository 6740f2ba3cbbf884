//! How an end waits: for time and what acts at the other end, or to be woken.

use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, ready};

use super::pipe::Blocked;
use super::{Turn, Wire, WireError};

impl Wire {
    /// Tries until it is done, and lets the other end act and time pass meanwhile.
    pub(super) fn block(&self, mut attempt: impl FnMut() -> Result<usize, Blocked>) -> Result<usize, WireError> {
        let clock = &self.side.clock;
        let (never_blocks, timeout, is_script) = self.with(|state, at| {
            let end = &state.ends[at];
            (end.never_blocks, end.timeout, end.is_script)
        });
        let deadline = timeout.map(|timeout| clock.now().saturating_add(timeout));
        loop {
            let arrival = match attempt() {
                Ok(octets) => return Ok(octets),
                Err(Blocked::Error(error)) => return Err(error),
                Err(Blocked::Once) if is_script => continue,
                Err(Blocked::Once) => return Err(WireError::WouldBlock),
                Err(Blocked::Until(arrival)) => arrival,
            };
            let mut turn = Turn::Waits(None);
            // Not borrowed meanwhile, for it uses the wire.
            if let Some(mut other) = self.with(|state, at| state.ends[at].other.take()) {
                turn = other();
                self.with(|state, at| state.ends[at].other = Some(other));
            }
            let until = match turn {
                Turn::Moved => continue,
                _ if never_blocks => return Err(WireError::WouldBlock),
                Turn::Waits(until) => until,
            };
            let now = clock.now();
            if deadline.is_some_and(|deadline| deadline <= now) {
                return Err(WireError::TimedOut);
            }
            let next = [arrival, until, deadline, clock.next()].into_iter().flatten().min();
            if let Some(next) = next {
                clock.advance(next.saturating_sub(now));
            }
            // A clock of tokio's does not pass while its thread blocks.
            if next.is_none_or(|next| clock.now() < next) {
                self.with(|state, at| state.ends[at].was_stuck = true);
                return Err(WireError::Stuck);
            }
        }
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
