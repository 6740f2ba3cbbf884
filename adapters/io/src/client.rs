//! The client's end of a session over blocking I/O: a turn of the loop, which serves and relays have in common.

use core::ops::Range;
use core::task::Waker;

use embedded_io::{Error, ErrorKind, Read, Write};
use smtpd_core::server::{Ending, Handler, Progress, Session, Watch, step};
use smtpd_core::store::Store;

use crate::Timer;

/// Milliseconds that the last octets may take once a session is over: more than on a host, where the kernel keeps them.
pub(crate) const LAST_WORDS: u32 = 10_000;

/// The I/O of one client, and what was read of it and not taken yet.
pub(crate) struct Client<'a, T: Read + Write + ?Sized> {
    io: &'a mut T,
    buffer: &'a mut [u8],
    unread: Range<usize>,
    /// What was written has reached the client, as far as the I/O can say.
    is_flushed: bool,
    /// Nothing is read any more.
    is_at_end: bool,
    watch: Watch,
    /// When the last octet moved, once the session is over.
    last: Option<u32>,
    error: Option<T::Error>,
}

/// What came of a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Something moved: go on.
    Moved,
    /// Nothing can be done now.
    Waits,
    /// The session is over and its last octet sent.
    Over(Ending),
}

/// How far the output is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sent {
    All,
    Some,
    Nothing,
}

impl<'a, T: Read + Write + ?Sized> Client<'a, T> {
    pub(crate) fn new(io: &'a mut T, buffer: &'a mut [u8], now: u32) -> Self {
        let watch = Watch::new(now);
        Self { io, buffer, unread: 0..0, is_flushed: true, is_at_end: false, watch, last: None, error: None }
    }

    /// Whether octets can be read at all.
    pub(crate) fn has_buffer(&self) -> bool {
        !self.buffer.is_empty()
    }

    /// How the session ended, or the error that broke its I/O.
    pub(crate) fn result(self, why: Ending) -> Result<Ending, T::Error> {
        self.error.map_or(Ok(why), Err)
    }

    /// Steps as long as that moves anything, then writes or reads once. `reads_on`: also while an answer is open, if
    /// further questions may come.
    pub(crate) fn turn<L: Store, O: Store>(
        &mut self,
        session: &mut Session<'_, L, O>,
        handler: &mut (impl Handler + ?Sized),
        timer: &(impl Timer + ?Sized),
        reads_on: bool,
    ) -> Turn {
        let progress = self.step(session, handler);
        let sent = match self.send(session) {
            Ok(sent) => sent,
            Err(error) => return self.lose(session, error),
        };
        let now = timer.now();
        if let Some(why) = session.ending() {
            let last = self.last.unwrap_or(now);
            self.last = Some(if sent == Sent::Some { now } else { last });
            let is_late = now.wrapping_sub(last) >= LAST_WORDS;
            return match sent {
                Sent::Some => Turn::Moved,
                Sent::Nothing if !is_late => Turn::Waits,
                _ => Turn::Over(why),
            };
        }
        if self.watch.left(session, now) == Some(0) {
            session.end(Ending::Expired);
            if sent == Sent::Nothing {
                // A client that does not read does not hear why, either.
                self.last = Some(now.wrapping_sub(LAST_WORDS));
            }
            return Turn::Moved;
        }
        match (sent, progress) {
            (Sent::Some, _) => Turn::Moved,
            (Sent::All, Progress::Read) => self.receive(session),
            (Sent::All, Progress::Wait { read: true }) if reads_on && !self.is_at_end => self.receive(session),
            // There is no TLS here: who announces it all the same can't begin it.
            (Sent::All, Progress::StartTls) => {
                session.end(Ending::Fault);
                Turn::Moved
            }
            _ => Turn::Waits,
        }
    }
}

impl<T: Read + Write + ?Sized> Client<'_, T> {
    fn step<L: Store, O: Store>(
        &mut self,
        session: &mut Session<'_, L, O>,
        handler: &mut (impl Handler + ?Sized),
    ) -> Progress {
        loop {
            let mut input = self.buffer.get(self.unread.clone()).unwrap_or(b"");
            let progress = step(session, &mut input, handler, Waker::noop());
            self.unread.start = self.unread.end.saturating_sub(input.len());
            if progress != Progress::Moved {
                return progress;
            }
        }
    }

    /// Writes once, or flushes. No more at once: an answer may be known by now, or the client's time be up.
    fn send<L: Store, O: Store>(&mut self, session: &mut Session<'_, L, O>) -> Result<Sent, Option<T::Error>> {
        if !session.output().is_empty() {
            return match self.io.write(session.output()) {
                Ok(0) => Err(None),
                Ok(octets) => {
                    session.sent(octets);
                    self.is_flushed = false;
                    Ok(Sent::Some)
                }
                Err(error) if is_tick(&error) => Ok(Sent::Nothing),
                Err(error) => Err(Some(error)),
            };
        }
        if !self.is_flushed {
            match self.io.flush() {
                Ok(()) => self.is_flushed = true,
                Err(error) if is_tick(&error) => return Ok(Sent::Nothing),
                Err(error) => return Err(Some(error)),
            }
        }
        Ok(Sent::All)
    }

    fn receive<L: Store, O: Store>(&mut self, session: &mut Session<'_, L, O>) -> Turn {
        if self.is_at_end {
            return self.lose(session, None);
        }
        match self.io.read(self.buffer) {
            // What it said before gets its answers first.
            Ok(0) => self.is_at_end = true,
            Ok(octets) => self.unread = 0..octets,
            Err(error) if is_tick(&error) => return Turn::Waits,
            Err(error) => return self.lose(session, Some(error)),
        }
        Turn::Moved
    }

    fn lose<L: Store, O: Store>(&mut self, session: &mut Session<'_, L, O>, error: Option<T::Error>) -> Turn {
        session.end(Ending::Lost);
        self.is_flushed = true;
        self.error = error;
        Turn::Moved
    }
}

/// Whether an error only says that the I/O can't go on now.
pub(crate) fn is_tick(error: &impl Error) -> bool {
    matches!(error.kind(), ErrorKind::TimedOut | ErrorKind::Interrupted)
}
