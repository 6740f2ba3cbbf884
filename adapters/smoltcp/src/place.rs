//! A socket's place: it listens, serves a client, and listens again.

use core::task::Waker;

use heapless::Vec;
use smoltcp::socket::tcp::{Socket, State};
use smtpd_core::server::{Config, Ending, Handler, Peer};

use crate::connection::{Connection, Turn};
use crate::listener::{Listener, listen};
use crate::log;
use crate::timer::Timer;

/// A place for one client at a time.
#[derive(Debug)]
pub(crate) struct Place<'c, const LINE: usize, const OUTPUT: usize> {
    role: Role<'c, LINE, OUTPUT>,
    /// What can happen without a frame.
    timer: Option<Timer>,
}

/// What a socket does.
#[derive(Debug)]
enum Role<'c, const LINE: usize, const OUTPUT: usize> {
    /// It listens, or would if the server did.
    Free,
    /// A client has said SYN, and not yet proved that it is where it says.
    Half,
    Taken(Connection<'c, Vec<u8, LINE>, Vec<u8, OUTPUT>>),
    /// It says its last: ACK, or RST.
    Over,
}

/// Milliseconds that a client may take to complete a connection: smoltcp asks for a lost ACK after 1 and 3 s. Shorter than
/// 7 s, when systems send a lost SYN for the third time: a flood of addresses that do not exist, which takes all places at
/// that moment, then keeps nobody out for 15 s.
const HANDSHAKE: u32 = 6_000;
/// Milliseconds for the last packet, which goes at once unless the network is away.
const LAST_PACKET: u32 = 1_000;

impl<'c, const LINE: usize, const OUTPUT: usize> Place<'c, LINE, OUTPUT> {
    pub(crate) const fn new() -> Self {
        Self { role: Role::Free, timer: None }
    }

    pub(crate) const fn is_free(&self) -> bool {
        matches!(self.role, Role::Free)
    }

    /// Whether somebody has said SYN.
    pub(crate) const fn is_half(&self) -> bool {
        matches!(self.role, Role::Half)
    }

    /// Whether a client is there.
    pub(crate) const fn is_taken(&self) -> bool {
        matches!(self.role, Role::Taken(_))
    }

    /// Whether its client is gone.
    pub(crate) const fn is_over(&self) -> bool {
        matches!(self.role, Role::Over)
    }

    /// Whether its handler has to be asked again.
    pub(crate) const fn asks(&self) -> bool {
        matches!(&self.role, Role::Taken(connection) if connection.asks())
    }

    /// Milliseconds until it needs a turn; `u32::MAX`: it needs none.
    #[inline]
    pub(crate) fn left(&self, now: u32) -> u32 {
        self.timer.map_or(u32::MAX, |timer| timer.left(now))
    }

    /// Ends its session, if it has one.
    pub(crate) fn end(&mut self, why: Ending) {
        if let Role::Taken(connection) = &mut self.role {
            connection.end(why);
        }
    }

    /// Has a turn in any case: the port is another one now.
    pub(crate) fn wake(&mut self) {
        if self.is_free() {
            self.timer = Some(Timer::new(0, 0));
        }
    }

    /// Stays as it is, however long that takes.
    pub(crate) const fn stay(&mut self) {
        self.timer = None;
    }

    /// Forgets who said SYN.
    pub(crate) fn clear(&mut self) {
        self.role = Role::Free;
        self.timer = None;
    }

    /// Whether a turn would change nothing.
    #[inline]
    pub(crate) fn is_quiet(&self, socket: &Socket<'_>, now: u32) -> bool {
        let is_quiet = match &self.role {
            Role::Free => return socket.is_listening() && self.timer.is_none(),
            Role::Half => socket.state() == State::SynReceived,
            Role::Taken(connection) => connection.is_quiet(socket),
            Role::Over => false,
        };
        is_quiet && self.left(now) > 0
    }

    /// Gives the place a turn, and says whether another one may bring more, once what is to be sent was sent. A port to
    /// listen on there is unless the server stopped.
    // Inlined, it is there several times.
    #[inline(never)]
    pub(crate) fn turn(
        &mut self,
        socket: &mut Socket<'_>,
        handler: &mut impl Handler,
        config: &'c Config<'c>,
        port: Option<u16>,
        now: u32,
        waker: &Waker,
    ) -> bool {
        match &mut self.role {
            Role::Free => return self.wait_for_client(socket, port, now),
            Role::Half => match socket.state() {
                State::SynReceived => {
                    log::half();
                    socket.abort();
                }
                // Reset: smoltcp's socket listens again by itself.
                State::Listen | State::Closed => {}
                _ => {
                    let peer = Peer::new(socket.remote_endpoint().map(Into::into));
                    log::taken(peer);
                    self.role = Role::Taken(Connection::new(config, peer, now));
                    self.timer = None;
                    if port.is_none() {
                        self.end(Ending::Stopping);
                    }
                    return true;
                }
            },
            Role::Taken(connection) => match connection.turn(socket, handler, now, waker) {
                Turn::Over => {}
                Turn::Moved => return true,
                Turn::Waits(left) => {
                    self.timer = left.map(|millis| Timer::new(millis, now));
                    return false;
                }
            },
            Role::Over => {
                // TIME-WAIT would keep the socket for 10 s, and is of no use to a server with few.
                let is_sending = socket.state() == State::Closed && socket.remote_endpoint().is_some();
                if is_sending && (1..u32::MAX).contains(&self.left(now)) {
                    return false;
                }
                self.clear();
                return true;
            }
        }
        self.role = Role::Over;
        self.timer = Some(Timer::new(LAST_PACKET, now));
        true
    }

    fn wait_for_client(&mut self, socket: &mut Socket<'_>, port: Option<u16>, now: u32) -> bool {
        self.timer = None;
        let listener = listen(socket, port);
        if listener == Listener::Client {
            self.role = Role::Half;
            self.timer = Some(Timer::new(HANDSHAKE, now));
        }
        listener != Listener::Waits
    }
}
