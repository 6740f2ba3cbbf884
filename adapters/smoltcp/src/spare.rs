//! A socket that says no to those for whom there is no place.

use smoltcp::iface::SocketHandle;
use smoltcp::socket::tcp::{Socket, State};

use crate::listener::{Listener, listen};
use crate::log;
use crate::timer::Timer;

/// Says 421 4.3.2 and hangs up. It has no session: a client is answered before it said a word.
#[derive(Debug)]
pub(crate) struct Spare {
    pub(crate) handle: SocketHandle,
    client: Option<Client>,
}

/// A client, or half of one.
#[derive(Clone, Copy, Debug)]
struct Client {
    /// Octets of the reply that are in the ring.
    sent: usize,
    timer: Timer,
}

/// Milliseconds that a client may take to connect, read 421 and hang up.
const PATIENCE: u32 = 4_000;

const NO_PLACE: &[u8] = b"421 4.3.2 Too many connections, try again later\r\n";

impl Spare {
    pub(crate) const fn new(handle: SocketHandle) -> Self {
        Self { handle, client: None }
    }

    pub(crate) const fn is_free(&self) -> bool {
        self.client.is_none()
    }

    /// Forgets who said SYN.
    pub(crate) const fn clear(&mut self) {
        self.client = None;
    }

    /// Milliseconds until its client has to be gone; `u32::MAX`: there is none.
    pub(crate) fn left(&self, now: u32) -> u32 {
        self.client.map_or(u32::MAX, |client| client.timer.left(now))
    }

    /// Gives the socket a turn, and says whether another one may bring more; a port to listen on there is only while no place
    /// is free.
    pub(crate) fn turn(&mut self, socket: &mut Socket<'_>, port: Option<u16>, now: u32) -> bool {
        let Some(client) = &mut self.client else { return self.wait_for_client(socket, port, now) };
        let left = client.timer.left(now);
        match socket.state() {
            // Of use to nobody here, for it would keep the socket for 10 s.
            State::TimeWait | State::Listen => self.client = None,
            // An RST goes at once unless the network is away.
            State::Closed if socket.remote_endpoint().is_none() || left == 0 => self.client = None,
            _ if left == 0 => socket.abort(),
            _ => {
                client.say(socket);
                return false;
            }
        }
        true
    }

    fn wait_for_client(&mut self, socket: &mut Socket<'_>, port: Option<u16>, now: u32) -> bool {
        let listener = listen(socket, port);
        if listener == Listener::Client {
            log::refused();
            self.client = Some(Client { sent: 0, timer: Timer::new(PATIENCE, now) });
        }
        listener != Listener::Waits
    }
}

impl Client {
    fn say(&mut self, socket: &mut Socket<'_>) {
        if socket.may_send() {
            let rest = NO_PLACE.get(self.sent..).unwrap_or(b"");
            let more = if rest.is_empty() { 0 } else { socket.send_slice(rest).unwrap_or(0) };
            self.sent = self.sent.saturating_add(more);
            if more == rest.len() {
                socket.close();
            }
        }
        let _ = socket.recv(|ring| (ring.len(), ()));
    }
}
