//! One connection: its session on a socket, and its time.

use core::mem::discriminant;
use core::task::Waker;

use smoltcp::socket::tcp::{Socket, State};
use smtpd_core::server::{Config, Ending, Handler, Peer, Progress, Session, Watch, step};
use smtpd_core::store::Store;

use crate::log;
use crate::timer::{Timer, earlier};

/// A client that is connected.
#[derive(Debug)]
pub(crate) struct Connection<'c, L: Store, O: Store> {
    session: Session<'c, L, O>,
    watch: Watch,
    /// What the last step said.
    progress: Progress,
    /// The session is over.
    farewell: Option<Farewell>,
}

/// What is left when the session is over: the client reads the last reply, and what it still says is thrown away. A socket
/// that was closed before would reset the connection, and take the reply along.
#[derive(Debug)]
struct Farewell {
    timer: Timer,
    /// Octets that may still come.
    left: usize,
    /// The client has everything, and only its end is waited for.
    is_read: bool,
}

/// What a turn brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Another one may bring more, once what is to be sent was sent.
    Moved,
    /// No other one will bring anything before a frame or a handler does, for so many milliseconds at most.
    Waits(Option<u32>),
    /// The socket has nothing more to say but its end.
    Over,
}

impl Turn {
    /// What both together brought.
    pub(crate) fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::Waits(one), Self::Waits(other)) => Self::Waits(earlier(one, other)),
            _ => Self::Moved,
        }
    }
}

/// The contract of [`Session`], 3: until the end, 64 KiB or 1 s.
const FAREWELL_MILLIS: u32 = 1_000;
const FAREWELL_OCTETS: usize = 65_536;

impl<'c, L: Store + Default, O: Store + Default> Connection<'c, L, O> {
    pub(crate) fn new(config: &'c Config<'c>, peer: Peer, now: u32) -> Self {
        Self {
            session: Session::with(config, peer, L::default(), O::default()),
            watch: Watch::new(now),
            progress: Progress::Moved,
            farewell: None,
        }
    }
}

impl<L: Store, O: Store> Connection<'_, L, O> {
    /// Ends the session for a reason from outside; the next turns say so to both sides.
    pub(crate) fn end(&mut self, why: Ending) {
        self.session.end(why);
        self.progress = Progress::Moved;
        if let Some(farewell) = &mut self.farewell {
            farewell.timer.shorten(FAREWELL_MILLIS);
        }
    }

    /// Whether a turn would change nothing as long as no timer runs out: most frames are another client's.
    pub(crate) fn is_quiet(&self, socket: &Socket<'_>) -> bool {
        // Where the session is over, the progress is another one.
        matches!(self.progress, Progress::Read)
            && socket.state() == State::Established
            && !socket.can_recv()
            && self.session.output().is_empty()
    }

    /// Whether it waits for its handler, who has to be asked again.
    pub(crate) const fn asks(&self) -> bool {
        matches!(self.progress, Progress::Wait { .. })
    }

    /// Takes what came, does what can be done, and sends.
    pub(crate) fn turn(
        &mut self,
        socket: &mut Socket<'_>,
        handler: &mut impl Handler,
        now: u32,
        waker: &Waker,
    ) -> Turn {
        if self.farewell.is_some() {
            return self.part(socket, now);
        }
        // Reset, or given up by the stack: nobody hears what might be said.
        if socket.state() == State::Closed {
            self.end(Ending::Lost);
        }
        self.send(socket);
        while self.take(socket, handler, waker) | self.send(socket) {}
        // The client said its last, all of it was taken, and it has every reply: the end drops those that it has not.
        if matches!(self.progress, Progress::Read) && !socket.may_recv() && socket.send_queue() == 0 {
            self.end(Ending::Lost);
        }
        match self.progress {
            Progress::Closed => {
                log::over(self.session.ending());
                self.farewell = Some(Farewell::new(&self.session, now));
                return Turn::Moved;
            }
            Progress::Moved => return Turn::Moved,
            _ => {}
        }
        match self.watch.left(&self.session, now) {
            Some(0) => {
                self.end(Ending::Expired);
                Turn::Moved
            }
            left => Turn::Waits(left),
        }
    }

    /// Steps until nothing moves, over one part of a ring that may wrap; whether anything did.
    fn take(&mut self, socket: &mut Socket<'_>, handler: &mut impl Handler, waker: &Waker) -> bool {
        let has_input = socket.can_recv();
        if matches!(self.progress, Progress::Read) && !has_input {
            return false;
        }
        let before = discriminant(&self.progress);
        let (session, progress) = (&mut self.session, &mut self.progress);
        let mut has_moved = false;
        let mut steps = |ring: &[u8]| {
            let mut input = ring;
            loop {
                *progress = step(session, &mut input, handler, waker);
                match progress {
                    Progress::Moved => has_moved = true,
                    // There is no TLS; in the middle of its handshake a client can't be told.
                    Progress::StartTls => session.end(Ending::Fault),
                    _ => break,
                }
            }
            ring.len().saturating_sub(input.len())
        };
        // Text goes from the ring to the handler: no copy.
        let taken = match has_input {
            true => socket.recv(|ring| twice(steps(ring))).unwrap_or(0),
            false => steps(b""),
        };
        has_moved || taken > 0 || discriminant(progress) != before
    }

    /// Sends what has room in the ring; whether that changed anything.
    fn send(&mut self, socket: &mut Socket<'_>) -> bool {
        let output = self.session.output();
        if output.is_empty() {
            return false;
        }
        match socket.send_slice(output) {
            Ok(0) => return false,
            Ok(octets) => self.session.sent(octets),
            Err(_) => self.end(Ending::Lost),
        }
        true
    }

    /// Waits until the client has read everything, then for its end.
    fn part(&mut self, socket: &mut Socket<'_>, now: u32) -> Turn {
        if !socket.is_open() {
            return Turn::Over;
        }
        self.send(socket);
        let Some(farewell) = &mut self.farewell else { return Turn::Over };
        let thrown_away = socket.recv(|ring| twice(ring.len())).unwrap_or(0);
        farewell.left = farewell.left.saturating_sub(thrown_away);
        if !farewell.is_read && self.session.output().is_empty() {
            // Behind what the ring still holds.
            socket.close();
            if socket.send_queue() == 0 {
                (farewell.is_read, farewell.timer) = (true, Timer::new(FAREWELL_MILLIS, now));
            }
        }
        match farewell.timer.left(now) {
            _ if farewell.left == 0 => {}
            0 => {}
            left => return Turn::Waits(Some(left)),
        }
        socket.abort();
        Turn::Over
    }
}

/// What was taken: for the ring, and for us.
const fn twice(octets: usize) -> (usize, usize) {
    (octets, octets)
}

impl Farewell {
    fn new<L: Store, O: Store>(session: &Session<'_, L, O>, now: u32) -> Self {
        let output = session.timers().output;
        let millis = match session.ending() {
            // Whoever did not read in time does not get that time twice.
            Some(Ending::Expired | Ending::Stopping | Ending::Lost) => FAREWELL_MILLIS,
            _ => output.checked_mul(1_000).filter(|millis| *millis > 0).unwrap_or(u32::MAX),
        };
        Self { timer: Timer::new(millis, now), left: FAREWELL_OCTETS, is_read: false }
    }
}
