//! A socket's place: it listens, serves a client, and listens again.

use core::task::Waker;

use heapless::Vec;
use smoltcp::socket::tcp::{Socket, State};
use smtpd_core::server::{Config, Ending, Handler, Peer};

use crate::connection::{Connection, Turn, left};
use crate::log;

/// What a socket does.
#[derive(Debug)]
pub(crate) enum Place<'c, const LINE: usize, const OUTPUT: usize> {
    /// It listens, or would if the server did.
    Free,
    /// A client has said SYN, at this time, and not yet proved that it is where it says.
    Half(u32),
    Taken(Connection<'c, Vec<u8, LINE>, Vec<u8, OUTPUT>>),
    /// It says its last, since this time: ACK, or RST.
    Over(u32),
}

/// Milliseconds that a client may take to complete a connection: smoltcp asks for a lost ACK after 1 and 3 s. Shorter than 7 s, when
/// systems send a lost SYN for the third time: a flood of addresses that do not exist, which takes all places at that
/// moment, then keeps nobody out for 15 s.
const HANDSHAKE: u32 = 6_000;
/// Milliseconds for the last packet, which goes at once unless the network is away.
const LAST_PACKET: u32 = 1_000;

impl<'c, const LINE: usize, const OUTPUT: usize> Place<'c, LINE, OUTPUT> {
    pub(crate) const fn is_free(&self) -> bool {
        matches!(self, Self::Free)
    }

    /// Whether a client is there.
    pub(crate) const fn is_taken(&self) -> bool {
        matches!(self, Self::Taken(_))
    }

    /// Whether its client is gone.
    pub(crate) const fn is_over(&self) -> bool {
        matches!(self, Self::Over(_))
    }

    /// Ends its session, if it has one.
    pub(crate) fn end(&mut self, why: Ending) {
        if let Self::Taken(connection) = self {
            connection.end(why);
        }
    }

    /// Gives the place a turn; a port to listen on there is unless the server stopped.
    pub(crate) fn turn(
        &mut self,
        socket: &mut Socket<'_>,
        handler: &mut impl Handler,
        config: &'c Config<'c>,
        port: Option<u16>,
        now: u32,
        waker: &Waker,
    ) -> Turn {
        match self {
            Self::Free => return self.wait_for_client(socket, port, now),
            Self::Half(since) => match socket.state() {
                State::SynReceived => match left(HANDSHAKE, *since, now) {
                    0 => {
                        log::half();
                        socket.abort();
                    }
                    left => return Turn::Waits(Some(left)),
                },
                // Reset: smoltcp's socket listens again by itself.
                State::Listen | State::Closed => {}
                _ => {
                    let peer = Peer::new(socket.remote_endpoint().map(Into::into));
                    log::taken(peer);
                    *self = Self::Taken(Connection::new(config, peer, now));
                    if port.is_none() {
                        self.end(Ending::Stopping);
                    }
                    return Turn::Moved;
                }
            },
            Self::Taken(connection) => match connection.turn(socket, handler, now, waker) {
                Turn::Over => {}
                turn => return turn,
            },
            Self::Over(since) => {
                let left = left(LAST_PACKET, *since, now);
                // TIME-WAIT would keep the socket for 10 s, and is of no use to a server with few.
                if left > 0 && socket.state() == State::Closed && socket.remote_endpoint().is_some() {
                    return Turn::Waits(Some(left));
                }
                *self = Self::Free;
                return Turn::Moved;
            }
        }
        *self = Self::Over(now);
        Turn::Moved
    }

    fn wait_for_client(&mut self, socket: &mut Socket<'_>, port: Option<u16>, now: u32) -> Turn {
        match (socket.state(), port) {
            (State::Listen, Some(port)) if socket.listen_endpoint().port == port => return Turn::Waits(None),
            (State::Listen, _) => socket.close(),
            (State::Closed | State::TimeWait, None) => return Turn::Waits(None),
            // It is closed, and the port is not 0: that can't fail.
            (State::Closed | State::TimeWait, Some(port)) => {
                return match socket.listen(port) {
                    Ok(()) => Turn::Moved,
                    Err(_) => Turn::Waits(None),
                };
            }
            _ => *self = Self::Half(now),
        }
        Turn::Moved
    }
}
