//! One connection: its socket, its session, what was read and is not taken yet, and its time.

use core::ops::Range;
use core::task::Waker;

use embedded_nal::{TcpClientStack, nb};
use smtpd_core::server::{Config, Ending, Handler, Peer, Progress, Session, Watch, step};
use smtpd_core::store::Store;

/// A connection that was accepted.
#[derive(Debug)]
pub(crate) struct Connection<'c, T, L: Store, O: Store> {
    pub(crate) socket: T,
    session: Session<'c, L, O>,
    watch: Watch,
    /// What the last step said.
    progress: Progress,
    /// Where in the buffer that lies which was read and not taken.
    unread: Range<usize>,
    /// Milliseconds in which the client may read what is left when the session is over.
    last_words: u32,
    /// The session is over.
    farewell: Option<Farewell>,
}

/// The rest is sent, and what still comes is thrown away: closing before it is read would reset the connection, and take
/// the last reply along.
#[derive(Debug)]
struct Farewell {
    began: u32,
    /// How long it may take.
    millis: u32,
    /// Octets that may still come.
    left: usize,
}

/// What a turn brought.
pub(crate) enum Turn {
    /// Another one at once.
    Moved,
    /// Nothing moves, for so many milliseconds at most.
    Waits(Option<u32>),
    /// The socket is to be closed.
    Over,
}

/// The contract of [`Session`], 3: until the end, 64 KiB or 1 s.
const FAREWELL_MILLIS: u32 = 1_000;
const FAREWELL_OCTETS: usize = 65_536;

impl<'c, T, L: Store + Default, O: Store + Default> Connection<'c, T, L, O> {
    pub(crate) fn new(config: &'c Config<'c>, socket: T, peer: Peer, now: u32) -> Self {
        Self {
            socket,
            session: Session::with(config, peer, L::default(), O::default()),
            watch: Watch::new(now),
            progress: Progress::Moved,
            unread: 0..0,
            last_words: config.timers.output.checked_mul(1_000).filter(|millis| *millis > 0).unwrap_or(u32::MAX),
            farewell: None,
        }
    }
}

impl<T, L: Store, O: Store> Connection<'_, T, L, O> {
    /// Ends the session for a reason from outside; the next turns say so to both sides. Compiled once, as `take`: together
    /// that saves 294 octets of flash on a Cortex-M3.
    #[inline(never)]
    pub(crate) fn end(&mut self, why: Ending) {
        self.session.end(why);
        self.last_words = FAREWELL_MILLIS;
        if let Some(farewell) = &mut self.farewell {
            farewell.millis = FAREWELL_MILLIS;
        }
    }

    /// Sends, reads, does what can be done, and sends again.
    pub(crate) fn turn<S: TcpClientStack<TcpSocket = T>>(
        &mut self,
        stack: &mut S,
        handler: &mut impl Handler,
        buffer: &mut [u8],
        now: u32,
        waker: &Waker,
    ) -> Turn {
        let mut moved = self.send(stack);
        if self.farewell.is_some() {
            return self.part(stack, buffer, now, moved);
        }
        if self.is_reading() {
            self.receive(stack, buffer);
        }
        moved |= self.take(handler, buffer, waker);
        moved |= self.send(stack);
        if self.progress == Progress::Closed {
            let millis = if self.session.output().is_empty() { FAREWELL_MILLIS } else { self.last_words };
            self.farewell = Some(Farewell { began: now, millis, left: FAREWELL_OCTETS });
            return Turn::Moved;
        }
        match self.watch.left(&self.session, now) {
            Some(0) => self.end(Ending::Expired),
            left if !moved => return Turn::Waits(left),
            _ => {}
        }
        Turn::Moved
    }

    /// Whether input is wanted: not before all was sent that the client may be waiting for.
    fn is_reading(&self) -> bool {
        let is_wanted = matches!(self.progress, Progress::Read | Progress::Wait { read: true });
        is_wanted && self.unread.is_empty() && self.session.output().is_empty()
    }

    /// Reads once.
    fn receive<S: TcpClientStack<TcpSocket = T>>(&mut self, stack: &mut S, buffer: &mut [u8]) {
        match stack.receive(&mut self.socket, buffer) {
            Err(nb::Error::WouldBlock) => {}
            Ok(0) | Err(nb::Error::Other(_)) => self.end(Ending::Lost),
            Ok(octets) => self.unread = 0..octets.min(buffer.len()),
        }
    }

    /// Steps until nothing moves; whether anything did.
    #[inline(never)]
    fn take(&mut self, handler: &mut impl Handler, buffer: &[u8], waker: &Waker) -> bool {
        let (progress, unread) = (self.progress, self.unread.start);
        let mut moved = false;
        loop {
            let mut input = buffer.get(self.unread.clone()).unwrap_or(b"");
            self.progress = step(&mut self.session, &mut input, handler, waker);
            self.unread.start = self.unread.end.saturating_sub(input.len());
            match self.progress {
                Progress::Moved => moved = true,
                // There is no TLS; in the middle of its handshake a client can't be told.
                Progress::StartTls => self.end(Ending::Fault),
                _ => break,
            }
        }
        // From Write to Read, say: the next turn reads.
        moved || self.progress != progress || self.unread.start != unread
    }

    /// Sends once; whether that changed anything.
    fn send<S: TcpClientStack<TcpSocket = T>>(&mut self, stack: &mut S) -> bool {
        let output = self.session.output();
        if output.is_empty() {
            return false;
        }
        match stack.send(&mut self.socket, output) {
            Ok(0) | Err(nb::Error::WouldBlock) => return false,
            Ok(octets) => self.session.sent(octets),
            Err(nb::Error::Other(_)) => self.end(Ending::Lost),
        }
        true
    }

    /// Waits until the client has read everything, then for its end, and reads and throws away what still comes.
    fn part<S: TcpClientStack<TcpSocket = T>>(
        &mut self,
        stack: &mut S,
        buffer: &mut [u8],
        now: u32,
        mut moved: bool,
    ) -> Turn {
        let Some(farewell) = &mut self.farewell else { return Turn::Over };
        if self.session.output().is_empty() {
            if moved {
                (farewell.began, farewell.millis) = (now, FAREWELL_MILLIS);
            }
            match stack.receive(&mut self.socket, buffer) {
                Err(nb::Error::WouldBlock) => {}
                Ok(0) | Err(nb::Error::Other(_)) => return Turn::Over,
                Ok(octets) => {
                    farewell.left = farewell.left.saturating_sub(octets);
                    moved = true;
                }
            }
        }
        let left = farewell.millis.saturating_sub(now.wrapping_sub(farewell.began));
        match (left, farewell.left) {
            (0, _) | (_, 0) => Turn::Over,
            _ if moved => Turn::Moved,
            _ => Turn::Waits(Some(left)),
        }
    }
}
