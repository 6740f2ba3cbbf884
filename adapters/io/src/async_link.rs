//! The client's end over async I/O: octets out and in, raced against the session's time.

use core::future::{pending, poll_fn};
use core::pin::{Pin, pin};
use core::task::{Poll, ready};

use embedded_io_async::{Read, Write};
use smtpd_core::server::{Ending, Session, Timers, Watch};
use smtpd_core::store::Store;

use crate::AsyncTimer;

/// The I/O and what was said but not sent yet: an event borrows its session, so the output is taken out first.
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

    /// Milliseconds until the session's time is up.
    pub(crate) fn left<L: Store, O: Store>(&mut self, session: &Session<'_, L, O>) -> Option<u32> {
        self.watch.left(session, self.timer.now())
    }

    /// Takes the session's output; what there is no room for is sent, behind what was taken before.
    pub(crate) async fn collect<L: Store, O: Store>(&mut self, session: &mut Session<'_, L, O>) -> Result<(), Ending> {
        let octets = session.output();
        let end = self.filled.saturating_add(octets.len());
        if let Some(room) = self.output.get_mut(self.filled..end) {
            room.iter_mut().zip(octets).for_each(|(to, octet)| *to = *octet);
            self.filled = end;
        } else {
            self.send(session.output()).await?;
        }
        let octets = octets.len();
        session.sent(octets);
        Ok(())
    }

    /// Sends what was taken and then `more`, and flushes, in the time that a client may take to read it.
    pub(crate) async fn send(&mut self, more: &[u8]) -> Result<(), Ending> {
        let left = self.left_for(self.timers.output);
        self.send_within(more, left).await
    }

    /// The same in this time.
    pub(crate) async fn send_within(&mut self, more: &[u8], left: Option<u32>) -> Result<(), Ending> {
        if self.is_broken || (self.filled == 0 && more.is_empty()) {
            return Ok(());
        }
        let taken = self.output.get(..self.filled).unwrap_or(b"");
        let sent = within(self.timer, left, pin!(send(self.io, taken, more))).await;
        self.has_sent(sent)
    }

    fn left_for(&self, secs: u32) -> Option<u32> {
        self.watch.left_for(secs, self.timers, self.timer.now())
    }

    /// Notes what came of sending; none, it took too long.
    fn has_sent(&mut self, sent: Option<Result<(), Option<T::Error>>>) -> Result<(), Ending> {
        self.filled = 0;
        match sent {
            Some(Ok(())) => Ok(()),
            Some(Err(error)) => Err(self.lose(error)),
            // A client that does not read does not hear why, either.
            None => {
                self.is_broken = true;
                Err(Ending::Expired)
            }
        }
    }

    /// Awaits a handler for `secs` at most. If it is not ready at once, what was said before is sent meanwhile.
    pub(crate) async fn ask<A>(&mut self, question: impl Future<Output = A>, secs: u32) -> Result<A, Ending> {
        let mut question = pin!(question);
        // Ready at once: the rule, which costs no write.
        if let Poll::Ready(answer) = poll_fn(|cx| Poll::Ready(question.as_mut().poll(cx))).await {
            return Ok(answer);
        }
        let left = self.left_for(secs);
        let (answer, sent) = self.meanwhile(question, left).await;
        self.has_sent(sent)?;
        answer
    }

    /// Awaits a question and sends; says what came of both.
    async fn meanwhile<A>(
        &mut self,
        mut question: Pin<&mut impl Future<Output = A>>,
        left: Option<u32>,
    ) -> (Result<A, Ending>, Option<Result<(), Option<T::Error>>>) {
        let said = if self.is_broken { b"" } else { self.output.get(..self.filled).unwrap_or(b"") };
        let mut sent = said.is_empty().then_some(Ok(()));
        let mut said = pin!(send(self.io, said, b""));
        let mut late = pin!(after(self.timer, left));
        let answer = poll_fn(|cx| {
            if let Poll::Ready(answer) = question.as_mut().poll(cx) {
                return Poll::Ready(Ok(answer));
            }
            if sent.is_none()
                && let Poll::Ready(result) = said.as_mut().poll(cx)
                && sent.insert(result).is_err()
            {
                return Poll::Ready(Err(Ending::Lost));
            }
            late.as_mut().poll(cx).map(|()| Err(Ending::Expired))
        })
        .await;
        // A write that was begun can't be left: nobody would know how far it came.
        if sent.is_none() && answer.is_ok() {
            let left = self.watch.left_for(self.timers.output, self.timers, self.timer.now());
            sent = within(self.timer, left, said).await;
        }
        (answer, sent)
    }

    fn lose(&mut self, error: Option<T::Error>) -> Ending {
        (self.is_broken, self.error) = (true, error);
        Ending::Lost
    }

    /// Reads; returns how many octets. All that was said is sent before.
    pub(crate) async fn receive<L: Store, O: Store>(
        &mut self,
        session: &Session<'_, L, O>,
        buffer: &mut [u8],
    ) -> Result<usize, Ending> {
        let left = self.left(session);
        let read = within(self.timer, left, pin!(self.io.read(buffer))).await;
        match read {
            Some(Ok(0)) => Err(self.lose(None)),
            Some(Ok(octets)) => Ok(octets),
            Some(Err(error)) => Err(self.lose(Some(error))),
            None => Err(Ending::Expired),
        }
    }
}

async fn send<T: Write + ?Sized>(io: &mut T, taken: &[u8], more: &[u8]) -> Result<(), Option<T::Error>> {
    for mut octets in [taken, more] {
        while !octets.is_empty() {
            match io.write(octets).await.map_err(Some)? {
                0 => return Err(None),
                written => octets = octets.get(written..).unwrap_or(b""),
            }
        }
    }
    io.flush().await.map_err(Some)
}

/// What the future gives, or none if that takes longer than `left`.
async fn within<C: AsyncTimer + ?Sized, F: Future>(
    timer: &C,
    left: Option<u32>,
    mut future: Pin<&mut F>,
) -> Option<F::Output> {
    // A client that always has something to say must not keep time from passing.
    if left == Some(0) {
        return None;
    }
    let mut late = pin!(after(timer, left));
    poll_fn(|cx| {
        if let Poll::Ready(done) = future.as_mut().poll(cx) {
            return Poll::Ready(Some(done));
        }
        ready!(late.as_mut().poll(cx));
        Poll::Ready(None)
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
