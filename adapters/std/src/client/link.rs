//! A session with a server and its stream: octets both ways, and the session's timers.

use std::future::{Future, poll_fn};
use std::io;
use std::ops::Range;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use smtpd_core::client::{self, Command, Event, Timers};
use smtpd_core::server::Patience;
use tokio::io::{AsyncBufRead, AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::unconstrained;
use tokio::time::{Instant, Sleep, sleep_until};

use super::{Error, Reply};
use crate::waiting::{LAST_WORDS, span};

/// Octets that are sent at once: MAIL, RCPT to some hundred recipients and DATA.
const OUTPUT: usize = 16_384;

/// Octets of a reply's text that are kept.
const REPLY: usize = 2_048;

/// Octets that are read at once.
const INPUT: usize = 4_096;

/// Octets of text that are worth a write.
const WORTHWHILE: usize = 64;

pub(super) type Session = client::Session<heapless::Vec<u8, REPLY>, heapless::Vec<u8, OUTPUT>>;

/// A stream, its session and its timer.
pub(super) struct Link<T> {
    stream: T,
    pub(super) session: Box<Session>,
    input: Box<[u8]>,
    unread: Range<usize>,
    /// Nothing can be sent any more; what the server said before may still say why.
    broken: Option<io::Error>,
    timer: Timer,
}

/// What a turn brought.
#[derive(Debug)]
pub(super) enum Turn {
    /// Octets were sent.
    Sent,
    /// The oldest open command was answered.
    Reply(Command, Reply),
}

/// What ends a connection.
#[derive(Debug)]
pub(super) enum Trouble {
    Lost(Option<io::Error>),
    TimedOut,
    NotSmtp(client::Error),
}

impl Trouble {
    /// Told to who waited for the answer to this command.
    pub(super) fn behind(self, command: Command) -> Error {
        match self {
            Self::Lost(error) => Error::Lost(command, error),
            Self::TimedOut => Error::TimedOut(command),
            Self::NotSmtp(error) => Error::NotSmtp(command, error),
        }
    }
}

/// How the text came to its end.
#[derive(Debug)]
pub(super) enum Text {
    /// All of it was given.
    Whole,
    /// The server said something meanwhile.
    Interrupted(Reply),
    /// It can't be read.
    Unreadable(io::Error),
    /// It holds an octet that was not expected.
    EightBit,
}

impl<T: AsyncRead + AsyncWrite + Unpin> Link<T> {
    pub(super) fn new(stream: T, timers: Timers, is_lmtp: bool) -> Self {
        let session = Session::with(heapless::Vec::new(), heapless::Vec::new()).timers(timers);
        let session = Box::new(if is_lmtp { session.lmtp() } else { session });
        let timer = Timer { sleep: Box::pin(sleep_until(Instant::now())), patience: None };
        Self { stream, session, input: vec![0; INPUT].into(), unread: 0..0, broken: None, timer }
    }

    /// Waits until octets were sent or a reply came.
    pub(super) async fn turn(&mut self) -> Result<Turn, Trouble> {
        poll_fn(|cx| self.poll(cx)).await
    }

    /// Waits for a reply.
    pub(super) async fn reply(&mut self) -> Result<(Command, Reply), Trouble> {
        loop {
            if let Turn::Reply(command, reply) = self.turn().await? {
                return Ok((command, reply));
            }
        }
    }

    /// Gives the text to the session as it is sent, and never holds more of it than the session does.
    pub(super) async fn text(
        &mut self,
        text: &mut (impl AsyncBufRead + Unpin),
        is_eight_bit: bool,
    ) -> Result<Text, Trouble> {
        poll_fn(|cx| {
            loop {
                if self.session.room() >= WORTHWHILE
                    && let Poll::Ready(octets) = Pin::new(&mut *text).poll_fill_buf(cx)
                {
                    let octets = match octets {
                        Ok([]) => return Poll::Ready(Ok(Text::Whole)),
                        Ok(octets) => octets,
                        Err(error) => return Poll::Ready(Ok(Text::Unreadable(error))),
                    };
                    let taken = self.session.text(octets);
                    let (given, _) = octets.split_at(taken);
                    if !is_eight_bit && !given.is_ascii() {
                        return Poll::Ready(Ok(Text::EightBit));
                    }
                    Pin::new(&mut *text).consume(taken);
                    continue;
                }
                if let Turn::Reply(_, reply) = ready!(self.poll(cx))? {
                    return Poll::Ready(Ok(Text::Interrupted(reply)));
                }
            }
        })
        .await
    }

    /// Sends what it can at once, and closes.
    pub(super) async fn abandon(mut self) {
        poll_fn(|cx| {
            while !self.session.output().is_empty() {
                match Pin::new(&mut self.stream).poll_write(cx, self.session.output()) {
                    Poll::Ready(Ok(octets)) if octets > 0 => self.session.sent(octets),
                    _ => break,
                }
            }
            let _ = Pin::new(&mut self.stream).poll_shutdown(cx);
            Poll::Ready(())
        })
        .await;
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Turn, Trouble>> {
        loop {
            if let Some(turn) = self.take() {
                return Poll::Ready(turn);
            }
            // Before anything is sent: what comes without having been asked for must not pass for an answer to it.
            if self.read(cx)?.is_ready() {
                continue;
            }
            if let Poll::Ready(is_sent) = self.write(cx) {
                match is_sent {
                    true => return Poll::Ready(Ok(Turn::Sent)),
                    false => continue,
                }
            }
            ready!(self.timer.poll(cx, self.patience()));
            return Poll::Ready(Err(match self.broken.take() {
                None => Trouble::TimedOut,
                error => Trouble::Lost(error),
            }));
        }
    }

    /// As the session says; what it still hears when nothing can be sent has come by then.
    fn patience(&self) -> Patience {
        match self.broken {
            Some(_) => Patience { secs: LAST_WORDS.as_secs() as u32, epoch: 0 },
            None => self.session.patience(),
        }
    }

    /// The next reply of what was read.
    fn take(&mut self) -> Option<Result<Turn, Trouble>> {
        let (read, _) = self.input.split_at(self.unread.end);
        let (_, mut input) = read.split_at(self.unread.start);
        if input.is_empty() {
            return None;
        }
        let turn = match self.session.poll(&mut input) {
            Event::Reply(command, reply) => Some(Ok(Turn::Reply(command, Reply::new(reply)))),
            Event::Broken(error) => Some(Err(Trouble::NotSmtp(error))),
            _ => None,
        };
        self.unread.start = self.unread.end - input.len();
        turn
    }

    fn read(&mut self, cx: &mut Context<'_>) -> Result<Poll<()>, Trouble> {
        let mut octets = ReadBuf::new(&mut self.input);
        match Pin::new(&mut self.stream).poll_read(cx, &mut octets) {
            Poll::Ready(Ok(())) if !octets.filled().is_empty() => {
                self.unread = 0..octets.filled().len();
                Ok(Poll::Ready(()))
            }
            Poll::Ready(Ok(())) => Err(Trouble::Lost(self.broken.take())),
            Poll::Ready(Err(error)) => Err(Trouble::Lost(Some(self.broken.take().unwrap_or(error)))),
            Poll::Pending => Ok(Poll::Pending),
        }
    }

    /// Whether octets were sent, if anything happened.
    fn write(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        if self.session.output().is_empty() || self.broken.is_some() {
            return Poll::Pending;
        }
        match ready!(Pin::new(&mut self.stream).poll_write(cx, self.session.output())) {
            Ok(octets) if octets > 0 => {
                self.session.sent(octets);
                return Poll::Ready(true);
            }
            Ok(_) => self.broken = Some(io::ErrorKind::WriteZero.into()),
            // A server that says 421 and closes is heard only by who reads on.
            Err(error) => self.broken = Some(error),
        }
        Poll::Ready(false)
    }
}

/// Rings when the session waited longer than it has patience for.
struct Timer {
    sleep: Pin<Box<Sleep>>,
    patience: Option<Patience>,
}

impl Timer {
    fn poll(&mut self, cx: &mut Context<'_>, patience: Patience) -> Poll<()> {
        if patience.secs == 0 {
            return Poll::Pending;
        }
        if self.patience != Some(patience) {
            self.patience = Some(patience);
            self.sleep.as_mut().reset(Instant::now() + span(patience.secs));
        }
        // A server that always has something to say must not keep time from passing.
        pin!(unconstrained(self.sleep.as_mut())).poll(cx)
    }
}
