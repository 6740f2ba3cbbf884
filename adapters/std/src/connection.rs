//! One connection with a synchronous handler: one read, all that it causes, one write.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use smtpd_core::server::{Config, Ending, Handler, Patience, Peer, Progress, Session, State, step};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::pool::{Buffer, COMMANDS, Pooled};
use crate::waiting::{LAST_WORDS, Timer};

/// A connection that its server drives, and ends.
pub(crate) trait Driven {
    /// Ready when the session is over and its output is sent, or can't be.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()>;

    /// Lets the transaction under way come to its end, and then ends the session.
    fn stop(&mut self);

    /// Ends the session now.
    fn end(&mut self, why: Ending);
}

/// A session, its handler and its stream.
pub(crate) struct Connection<'c, H> {
    stream: TcpStream,
    session: Session<'c, Pooled, Pooled>,
    handler: H,
    timer: Timer,
    /// What was read and could not be taken yet, and how much of it was taken since.
    kept: Vec<u8>,
    taken: usize,
    at_once: usize,
    /// What the last step said.
    progress: Progress,
    /// The server stops: the session ends as soon as no transaction is under way.
    is_stopping: bool,
    /// The handler panicked, and is not called again.
    is_faulty: bool,
}

impl<'c, H: Handler> Connection<'c, H> {
    pub(crate) fn new(stream: TcpStream, config: &'c Config<'c>, peer: Peer, handler: H, at_once: usize) -> Self {
        Self {
            stream,
            session: Session::with(config, peer, Pooled::default(), Pooled::default()),
            handler,
            timer: Timer::new(&config.timers),
            kept: Vec::new(),
            taken: 0,
            at_once,
            progress: Progress::Moved,
            is_stopping: false,
            is_faulty: false,
        }
    }

    /// The stream, once the session is over.
    pub(crate) fn into_stream(self) -> TcpStream {
        self.stream
    }

    /// The same, beside the handler.
    pub(crate) fn parts(&mut self) -> (&mut TcpStream, &mut H) {
        (&mut self.stream, &mut self.handler)
    }

    pub(crate) fn handler(&mut self) -> &mut H {
        &mut self.handler
    }

    /// As the session says; what it says last has little time, for the session is over.
    fn patience(&self) -> Patience {
        match self.progress {
            Progress::Closed => Patience { secs: LAST_WORDS.as_secs() as u32, epoch: 0 },
            _ => self.session.patience(),
        }
    }

    /// Moves octets and steps as long as anything moves.
    fn drive(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            ready!(self.send(cx));
            match self.progress {
                Progress::Closed => return Poll::Ready(()),
                Progress::Read => ready!(self.receive(cx)),
                Progress::Wait { read } => {
                    if read && self.kept.is_empty() && self.receive(cx).is_ready() {
                        continue;
                    }
                    self.go_on(cx.waker());
                    if matches!(self.progress, Progress::Wait { .. }) && self.session.output().is_empty() {
                        return Poll::Pending;
                    }
                }
                Progress::Moved | Progress::Write => self.go_on(cx.waker()),
                // Not announced as long as this adapter knows no TLS.
                Progress::StartTls => self.end(Ending::Fault),
            }
        }
    }

    /// One turn beside those of other ends: sends, and then reads once, unless the client `is_held`, or steps; true if
    /// that was done.
    pub(crate) fn turn(&mut self, cx: &mut Context<'_>, is_held: bool) -> bool {
        if self.send(cx).is_pending() {
            return false;
        }
        match self.progress {
            Progress::Closed => return false,
            Progress::Read if is_held => return false,
            Progress::Read => return self.receive(cx).is_ready(),
            Progress::Wait { read } => {
                if read && self.kept.is_empty() && self.receive(cx).is_ready() {
                    return true;
                }
                self.go_on(cx.waker());
                return !matches!(self.progress, Progress::Wait { .. }) || !self.session.output().is_empty();
            }
            Progress::Moved | Progress::Write => self.go_on(cx.waker()),
            // Not announced as long as this adapter knows no TLS.
            Progress::StartTls => self.end(Ending::Fault),
        }
        true
    }

    /// Ready when the session's patience is over, or at `other`.
    pub(crate) fn poll_timer(&mut self, cx: &mut Context<'_>, other: Option<Instant>) -> Poll<()> {
        self.timer.poll_with(cx, self.patience(), other)
    }

    /// Whether the server stops and nothing is under way that may come to its end.
    pub(crate) fn must_stop(&self) -> bool {
        self.is_stopping && self.progress != Progress::Closed && is_between(&self.session)
    }

    /// Whether the session is over; its last words may not be sent.
    pub(crate) fn is_closed(&self) -> bool {
        self.progress == Progress::Closed
    }

    /// Whether the session is over, and all was sent.
    pub(crate) fn is_over(&self) -> bool {
        self.is_closed() && self.session.output().is_empty()
    }

    /// Whether the client is in its text.
    pub(crate) fn is_text(&self) -> bool {
        self.session.state() == State::Text
    }

    /// Whether the handler panicked.
    pub(crate) fn is_faulty(&self) -> bool {
        self.is_faulty
    }

    /// The handler panicked: it is not called again, not even for the last event.
    pub(crate) fn fault(&mut self) {
        self.session.end(Ending::Fault);
        let _ = self.session.poll(&mut &[][..], 0);
        (self.progress, self.is_faulty) = (Progress::Closed, true);
    }

    /// Sends the output, all of it.
    fn send(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while !self.session.output().is_empty() {
            match ready!(Pin::new(&mut self.stream).poll_write(cx, self.session.output())) {
                Ok(octets) => self.session.sent(octets),
                Err(error) => self.lose(&error),
            }
        }
        Poll::Ready(())
    }

    /// Reads once and steps.
    fn receive(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut buffer = Buffer::take();
        let (octets, _) = buffer.split_at_mut(reads(&self.session, self.at_once));
        let mut octets = ReadBuf::new(octets);
        match ready!(Pin::new(&mut self.stream).poll_read(cx, &mut octets)) {
            Ok(()) if octets.filled().is_empty() => self.end(Ending::Lost),
            Ok(()) => {
                let taken = self.step(octets.filled(), cx.waker());
                let (_, rest) = octets.filled().split_at(taken);
                self.kept.extend_from_slice(rest);
            }
            Err(error) => self.lose(&error),
        }
        Poll::Ready(())
    }

    /// Steps with what was kept.
    pub(crate) fn go_on(&mut self, waker: &Waker) {
        let kept = std::mem::take(&mut self.kept);
        let (_, input) = kept.split_at(self.taken);
        let taken = self.step(input, waker);
        if taken < input.len() {
            self.taken += taken;
            self.kept = kept;
        } else {
            self.taken = 0;
        }
    }

    /// Steps until nothing moves; returns how much of the input was taken.
    fn step(&mut self, octets: &[u8], waker: &Waker) -> usize {
        let mut input = octets;
        let stepped = caught(|| {
            loop {
                let progress = step(&mut self.session, &mut input, &mut self.handler, waker);
                if progress != Progress::Moved {
                    return progress;
                }
            }
        });
        match stepped {
            Ok(progress) => self.progress = progress,
            Err(_) => self.fault(),
        }
        octets.len() - input.len()
    }

    fn lose(&mut self, error: &io::Error) {
        tracing::debug!("connection lost: {error}");
        self.end(Ending::Lost);
    }
}

impl<H: Handler> Driven for Connection<'_, H> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            if self.drive(cx).is_ready() {
                return Poll::Ready(());
            }
            let why = if self.is_stopping && is_between(&self.session) {
                Ending::Stopping
            } else {
                ready!(self.timer.poll(cx, self.patience()));
                Ending::Expired
            };
            if self.progress == Progress::Closed {
                return Poll::Ready(());
            }
            self.end(why);
            // Not left to `drive`: the client may not read, so that nothing can be sent any more.
            self.go_on(cx.waker());
        }
    }

    fn stop(&mut self) {
        self.is_stopping = true;
    }

    fn end(&mut self, why: Ending) {
        self.session.end(why);
        self.progress = Progress::Moved;
    }
}

/// How much is read at once, if `at_once` is the most.
pub(crate) fn reads(session: &Session<'_, Pooled, Pooled>, at_once: usize) -> usize {
    if session.state() == State::Text { at_once } else { at_once.min(COMMANDS) }
}

/// Whether no transaction is under way and no question is open.
pub(crate) fn is_between(session: &Session<'_, Pooled, Pooled>) -> bool {
    session.open() == 0 && matches!(session.state(), State::New | State::Refused | State::Start | State::Ready)
}

/// What a call of the handler gives; a panic costs its own session only.
pub(crate) fn caught<T>(call: impl FnOnce() -> T) -> Result<T, Ending> {
    catch_unwind(AssertUnwindSafe(call)).map_err(|_| {
        tracing::error!("a handler panicked");
        Ending::Fault
    })
}
