//! The client's end over async I/O: octets out and in, raced against the session's time.

use core::cell::Cell;
use core::future::poll_fn;
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

    /// Reads; returns how many octets.
    pub(crate) async fn receive<L: Store, O: Store>(
        &mut self,
        session: &Session<'_, L, O>,
        buffer: &mut [u8],
    ) -> Result<usize, Ending> {
        let left = self.watch.left(session, self.timer.now());
        // A client that always has something to say must not keep time from passing.
        if left == Some(0) {
            return Err(Ending::Expired);
        }
        let read = within(self.timer, left, pin!(self.io.read(buffer))).await;
        match read {
            Some(Ok(0)) => Err(self.lose(None)),
            Some(Ok(octets)) => Ok(octets),
            Some(Err(error)) => Err(self.lose(Some(error))),
            None => Err(Ending::Expired),
        }
    }

    fn lose(&mut self, error: Option<T::Error>) -> Ending {
        (self.is_broken, self.error) = (true, error);
        Ending::Lost
    }

    /// Awaits a turn, for as many seconds as it has set by then, or a little if the session is over. What was said
    /// before is sent meanwhile, unless the turn moved something at once.
    pub(crate) async fn wait(
        &mut self,
        mut turn: Pin<&mut impl Future<Output = Turn>>,
        secs: &Cell<u32>,
        is_over: bool,
    ) -> Result<Turn, Ending> {
        let mut came = poll_fn(|cx| Poll::Ready(turn.as_mut().poll(cx))).await;
        if came == Poll::Ready(Turn::Moved) {
            return Ok(Turn::Moved);
        }
        let left = match is_over {
            true => Some(LAST_WORDS),
            false => {
                let secs = if came.is_ready() { self.timers.output } else { secs.get() };
                self.watch.left_for(secs, self.timers, self.timer.now())
            }
        };
        let taken = self.output.get(..self.filled).unwrap_or(b"");
        self.filled = 0;
        let mut is_sending = !taken.is_empty();
        let waited = {
            let mut said = pin!(send(self.io, taken));
            let both = pin!(poll_fn(|cx| {
                if came.is_pending() {
                    came = turn.as_mut().poll(cx);
                }
                if is_sending {
                    // A write that was begun is not left for an answer.
                    let sent = ready!(said.as_mut().poll(cx));
                    is_sending = false;
                    if let Err(error) = sent {
                        return Poll::Ready(Err(error));
                    }
                }
                came.map(Ok)
            }));
            within(self.timer, left, both).await
        };
        match waited {
            Some(Ok(turn)) => Ok(turn),
            Some(Err(error)) => Err(self.lose(error)),
            None => {
                // A client that does not read does not hear why, either; and nobody knows how far a write came.
                self.is_broken |= is_sending;
                Err(Ending::Expired)
            }
        }
    }
}

/// What came of a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Something moved.
    Moved,
    /// The output has to be sent before anything can.
    Full,
    /// Input is wanted, or the session is over.
    Idle,
    /// An event that nobody here acts on: STARTTLS, which is announced only if the session's owner wants it so.
    Unknown,
}

/// Writes and flushes all octets.
async fn send<T: Write + ?Sized>(io: &mut T, mut octets: &[u8]) -> Result<(), Option<T::Error>> {
    while !octets.is_empty() {
        match io.write(octets).await.map_err(Some)? {
            0 => return Err(None),
            written => octets = octets.get(written..).unwrap_or(b""),
        }
    }
    io.flush().await.map_err(Some)
}

/// What the future gives, or none if that takes longer than `left`.
async fn within<F: Future, C: AsyncTimer + ?Sized>(
    timer: &C,
    left: Option<u32>,
    mut future: Pin<&mut F>,
) -> Option<F::Output> {
    let mut late = pin!(left.map(|left| timer.after(left)));
    poll_fn(|cx| {
        if let Poll::Ready(done) = future.as_mut().poll(cx) {
            return Poll::Ready(Some(done));
        }
        late.as_mut().as_pin_mut().map_or(Poll::Pending, |late| late.poll(cx).map(|()| None))
    })
    .await
}
