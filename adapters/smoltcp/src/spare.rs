//! A socket that says no to those for whom there is no place.

use smoltcp::iface::SocketHandle;
use smoltcp::socket::tcp::{Socket, State};

use crate::connection::{Turn, left};
use crate::log;

/// Says 421 4.3.2 and hangs up. It has no session: a client is answered before it said a word.
#[derive(Debug)]
pub(crate) struct Spare {
    pub(crate) handle: SocketHandle,
    /// Octets of the reply that are in the ring; none yet, and no client.
    sent: Option<usize>,
    since: u32,
}

/// Milliseconds that a client may take to connect, read 421 and hang up.
const PATIENCE: u32 = 4_000;

const NO_PLACE: &[u8] = b"421 4.3.2 Too many connections, try again later\r\n";

impl Spare {
    pub(crate) const fn new(handle: SocketHandle) -> Self {
        Self { handle, sent: None, since: 0 }
    }

    /// Gives the socket a turn; a port to listen on there is only while no place is free.
    pub(crate) fn turn(&mut self, socket: &mut Socket<'_>, port: Option<u16>, now: u32) -> Turn {
        let sent = match (self.sent, socket.state(), port) {
            (None, State::Closed | State::TimeWait, None) => return Turn::Waits(None),
            (None, State::Listen, Some(port)) if socket.listen_endpoint().port == port => return Turn::Waits(None),
            (None, State::Listen, _) => {
                socket.close();
                return Turn::Moved;
            }
            (None, State::Closed | State::TimeWait, Some(port)) => {
                return if socket.listen(port).is_ok() { Turn::Moved } else { Turn::Waits(None) };
            }
            // A client, or half of one.
            (None, ..) => {
                log::refused();
                (self.sent, self.since) = (Some(0), now);
                return Turn::Moved;
            }
            (Some(_), State::Listen, _) => {
                self.sent = None;
                return Turn::Moved;
            }
            (Some(sent), ..) => sent,
        };
        let left = left(PATIENCE, self.since, now);
        match socket.state() {
            // Of use to nobody here, for it would keep the socket for 10 s.
            State::TimeWait => self.sent = None,
            // An RST goes at once unless the network is away.
            State::Closed if socket.remote_endpoint().is_none() || left == 0 => self.sent = None,
            _ if left == 0 => socket.abort(),
            _ => return self.say(socket, sent, left),
        }
        Turn::Moved
    }

    fn say(&mut self, socket: &mut Socket<'_>, sent: usize, left: u32) -> Turn {
        let rest = NO_PLACE.get(sent..).unwrap_or(b"");
        let mut has_moved = false;
        if socket.may_send() {
            let more = if rest.is_empty() { 0 } else { socket.send_slice(rest).unwrap_or(0) };
            self.sent = Some(sent.saturating_add(more));
            has_moved = more > 0;
            if more == rest.len() {
                socket.close();
            }
        }
        has_moved |= socket.recv(|ring| (ring.len(), !ring.is_empty())).unwrap_or(false);
        if has_moved { Turn::Moved } else { Turn::Waits(Some(left)) }
    }
}
