//! The client's end over async I/O: octets out and in, raced against the session's time.

use core::cell::Cell;
use core::future::{pending, poll_fn};
use core::pin::{Pin, pin};
use core::task::{Poll, ready};

use embedded_io_async::{Read, Write};
use smtpd_core::server::{Ending, Session, Timers, Watch};
use smtpd_core::store::Store;

use crate::AsyncTimer;
use crate::client::LAST_WORDS;

/// The I/O and what was said but not sent yet: a handler that is asked has the session lent, so the output is taken out
/// first.
pub(crate) struct Link<'a, T: Read + Write + ?Sized, C: ?Sized> {
    io: &'a mut T,
    timer: &'a C,
    timers: &'a Timers,
    watch: Watch,
    output: &'a mut [u8],
    filled: usize,
    /// Nothing can be said any more: the I/O failed, or was left in the middle of a write.
    is_broken: bool,
    error: Option<T::Error>,
}

/// What came of a read or write: octets, or why not; the end has no error.
type Done<E> = Result<usize, Option<E>>;

impl<'a, T: Read + Write + ?Sized, C: AsyncTimer + ?Sized> Link<'a, T, C> {
    pub(crate) fn new(io: &'a mut T, timer: &'a C, timers: &'a Timers, output: &'a mut [u8]) -> Self {
        let watch = Watch::new(timer.now());
        Self { io, timer, timers, watch, output, filled: 0, is_broken: false, error: None }
    }

    /// How the session ended, or the error that broke its I/O.
    pub(crate) fn result(self, why: Ending) -> Result<Ending, T::Error> {
        self.error.map_or(Ok(why), Err)
    }

    /// Whether there is a buffer for output; without, nothing can be said.
    pub(crate) fn has_output(&mut self) -> bool {
        self.is_broken = self.output.is_empty();
        !self.is_broken
    }

    /// Milliseconds until the session's time is up.
    pub(crate) fn left<L: Store, O: Store>(&mut self, session: &Session<'_, L, O>) -> Option<u32> {
        self.watch.left(session, self.timer.now())
    }

    fn left_for(&self, secs: u32) -> Option<u32> {
        self.watch.left_for(secs, self.timers, self.timer.now())
    }

    /// Takes the session's output; false: not all of it, and what was taken has to be sent first.
    pub(crate) fn collect<L: Store, O: Store>(&mut self, session: &mut Session<'_, L, O>) -> bool {
        let room = self.output.get_mut(self.filled..).unwrap_or_default();
        let octets = if self.is_broken { usize::MAX } else { room.len().min(session.output().len()) };
        room.iter_mut().zip(session.output()).for_each(|(to, octet)| *to = *octet);
        session.sent(octets);
        if !self.is_broken {
            self.filled = self.filled.saturating_add(octets);
        }
        session.output().is_empty()
    }

    /// Whether anything is to be sent.
    pub(crate) fn has_taken(&self) -> bool {
        self.filled > 0
    }

    /// Sends what was taken, or else reads; returns how many octets were read.
    pub(crate) async fn transfer<L: Store, O: Store>(
        &mut self,
        session: &Session<'_, L, O>,
        buffer: &mut [u8],
    ) -> Result<usize, Ending> {
        let is_sending = self.filled > 0;
        let left = match (session.ending(), is_sending) {
            (Some(_), _) => Some(LAST_WORDS),
            (None, true) => self.left_for(self.timers.output),
            (None, false) => self.left(session),
        };
        // A client that always has something to say must not keep time from passing.
        if left == Some(0) {
            return Err(Ending::Expired);
        }
        let taken = self.output.get(..self.filled).unwrap_or(b"");
        self.filled = 0;
        let done = within(self.timer, left, pin!(transfer(self.io, taken, buffer))).await;
        self.note(done, is_sending)
    }

    /// What that means for the session; none, it took too long.
    fn note(&mut self, done: Option<Done<T::Error>>, is_sending: bool) -> Result<usize, Ending> {
        match done {
            Some(Ok(octets)) => Ok(octets),
            Some(Err(error)) => {
                (self.is_broken, self.error) = (true, error);
                Err(Ending::Lost)
            }
            // A client that does not read does not hear why, either; and nobody knows how far a write came.
            None => {
                self.is_broken = is_sending;
                Err(Ending::Expired)
            }
        }
    }

    /// Awaits a handler, for as many seconds as it has set by then. If it is not ready at once, what was said before is sent
    /// meanwhile.
    pub(crate) async fn ask<A: Copy>(
        &mut self,
        mut question: Pin<&mut impl Future<Output = A>>,
        secs: &Cell<u32>,
    ) -> Result<A, Ending> {
        // Ready at once: the rule, which costs no write.
        let mut answer = poll_fn(|cx| Poll::Ready(question.as_mut().poll(cx))).await;
        if let Poll::Ready(answer) = answer {
            return Ok(answer);
        }
        let left = self.left_for(secs.get());
        let taken = self.output.get(..self.filled).unwrap_or(b"");
        let mut is_sending = self.filled > 0;
        self.filled = 0;
        let done = {
            let mut said = pin!(transfer(self.io, taken, &mut []));
            let both = pin!(poll_fn(|cx| {
                if answer.is_pending() {
                    answer = question.as_mut().poll(cx);
                }
                if is_sending {
                    // A write that was begun is not left for an answer.
                    let done = ready!(said.as_mut().poll(cx));
                    is_sending = false;
                    if done.is_err() {
                        return Poll::Ready(done);
                    }
                }
                answer.map(|_| Ok(0))
            }));
            within(self.timer, left, both).await
        };
        self.note(done, is_sending)?;
        match answer {
            Poll::Ready(answer) => Ok(answer),
            Poll::Pending => Err(Ending::Expired),
        }
    }
}

/// Writes and flushes all octets; without any, reads.
async fn transfer<T: Read + Write + ?Sized>(io: &mut T, mut octets: &[u8], buffer: &mut [u8]) -> Done<T::Error> {
    if octets.is_empty() {
        return match io.read(buffer).await.map_err(Some)? {
            0 => Err(None),
            octets => Ok(octets),
        };
    }
    while !octets.is_empty() {
        match io.write(octets).await.map_err(Some)? {
            0 => return Err(None),
            written => octets = octets.get(written..).unwrap_or(b""),
        }
    }
    io.flush().await.map_err(Some)?;
    Ok(0)
}

/// What the future gives, or none if that takes longer than `left`. Compiled once for all.
async fn within<E, C: AsyncTimer + ?Sized>(
    timer: &C,
    left: Option<u32>,
    mut future: Pin<&mut dyn Future<Output = Done<E>>>,
) -> Option<Done<E>> {
    let mut late = pin!(after(timer, left));
    poll_fn(|cx| {
        if let Poll::Ready(done) = future.as_mut().poll(cx) {
            return Poll::Ready(Some(done));
        }
        late.as_mut().poll(cx).map(|()| None)
    })
    .await
}

/// Ready when the time is up; never, if none is given.
pub(crate) async fn after<C: AsyncTimer + ?Sized>(timer: &C, left: Option<u32>) {
    match left {
        Some(millis) => timer.after(millis).await,
        None => pending().await,
    }
}
