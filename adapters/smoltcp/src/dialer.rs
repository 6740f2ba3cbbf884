//! Dialling out: the legs of relays, over sockets of the same interface.

use core::net::SocketAddr;

use smoltcp::iface::{Interface, PollIngressSingleResult, SocketHandle, SocketSet};
use smoltcp::phy::Device;
use smoltcp::socket::tcp::{Socket, State};
use smoltcp::time::Instant;
use smoltcp::wire::IpEndpoint;
use smtpd_core::relay::{Leg, Need};
use smtpd_core::server::Watch;
use smtpd_core::store::Store;

use crate::connection::Turn;
use crate::server::{FRAMES, later, millis, send, tcp_socket};
use crate::timer::{Timer, earlier};

/// Sockets over which relays reach their upstream servers, for [`Server::poll_relay`](crate::Server::poll_relay), or one leg alone
/// reaches its own, by [`poll`](Self::poll).
///
/// A leg takes any that is free, while it is connected; with fewer sockets than legs the others wait for one, as long as
/// their clients wait for an answer.
#[derive(Debug)]
pub struct Dialer<const M: usize> {
    ends: [End; M],
    /// The port to call from next.
    port: u16,
}

#[derive(Debug)]
struct End {
    handle: SocketHandle,
    call: Call,
}

/// What a socket does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Call {
    Free,
    /// It belongs to the leg of this number.
    Leg {
        number: usize,
        watch: Watch,
    },
    /// Its leg is done with it; what is in its ring is still sent.
    Over(Timer),
}

/// Milliseconds for QUIT, and for the server's end.
const FAREWELL: u32 = 1_000;
/// The first of the ports that are for nobody in particular (RFC 6335 §6).
const EPHEMERAL: u16 = 49_152;

impl<const M: usize> Dialer<M> {
    /// Of sockets that nobody else uses. `seed` should differ from one start to the next: connections that the last one
    /// left behind are not met again then.
    #[must_use]
    pub fn new(sockets: [SocketHandle; M], seed: u16) -> Self {
        Self { ends: sockets.map(|handle| End { handle, call: Call::Free }), port: EPHEMERAL | seed }
    }

    /// For a leg of no relay, as a [`Sender`](smtpd_core::handlers::spool::Sender) has one, where there is no server at all: takes
    /// frames and moves the leg's octets until nothing moves any more or many frames were taken. As
    /// [`Server::poll`](crate::Server::poll), it moves the octets of other sockets in the set too.
    ///
    /// When to poll again if no frame comes before and the leg's owner does nothing: at once, if the time is over; never, if there is none.
    pub fn poll<D: Device + ?Sized, O: Store>(
        &mut self,
        now: Instant,
        interface: &mut Interface,
        device: &mut D,
        sockets: &mut SocketSet<'_>,
        leg: &mut Leg<O>,
    ) -> Option<Instant> {
        interface.poll_maintenance(now);
        for _ in 0..FRAMES {
            send(now, interface, device, sockets);
            let turn = self.turn(core::iter::once(&mut *leg), interface, sockets, millis(now));
            let has_frame = interface.poll_ingress_single(now, device, sockets) != PollIngressSingleResult::None;
            match turn {
                Turn::Waits(left) if !has_frame => {
                    let due = left.map(|left| later(now, left));
                    return earlier(due, interface.poll_at(now, sockets));
                }
                _ => {}
            }
        }
        Some(now)
    }

    /// Gives each leg a turn.
    pub(crate) fn turn<'l, O: Store + 'l>(
        &mut self,
        legs: impl Iterator<Item = &'l mut Leg<O>>,
        interface: &mut Interface,
        sockets: &mut SocketSet<'_>,
        now: u32,
    ) -> Turn {
        let mut turn = Turn::Waits(None);
        for (number, leg) in legs.enumerate() {
            turn = turn.or(self.serve(number, leg, interface, sockets, now));
        }
        // Then, and not before: the last ACK leaves between two turns.
        for end in &mut self.ends {
            turn = turn.or(end.hang_up(sockets, now));
        }
        turn
    }

    fn serve<O: Store>(
        &mut self,
        number: usize,
        leg: &mut Leg<O>,
        interface: &mut Interface,
        sockets: &mut SocketSet<'_>,
        now: u32,
    ) -> Turn {
        if let Some(end) = self.ends.iter_mut().find(|end| end.is_of(number)) {
            return end.turn(leg, sockets, now);
        }
        let address = match leg.need() {
            Need::Nothing => return Turn::Waits(None),
            Need::Connect(address) => address,
            Need::Close => {
                leg.lost();
                return Turn::Moved;
            }
        };
        let Some(end) = self.ends.iter_mut().find(|end| end.call == Call::Free) else { return Turn::Waits(None) };
        self.port = EPHEMERAL | self.port.wrapping_add(1);
        let socket = tcp_socket(sockets, end.handle);
        let result = endpoint(address)
            .zip(socket)
            .map(|(server, socket)| socket.connect(interface.context(), server, self.port));
        match result {
            Some(Ok(())) => end.call = Call::Leg { number, watch: Watch::new(now) },
            _ => leg.lost(),
        }
        Turn::Moved
    }
}

impl End {
    fn is_of(&self, leg: usize) -> bool {
        matches!(self.call, Call::Leg { number, .. } if number == leg)
    }

    /// Moves the leg's octets.
    fn turn<O: Store>(&mut self, leg: &mut Leg<O>, sockets: &mut SocketSet<'_>, now: u32) -> Turn {
        let Some(socket) = tcp_socket(sockets, self.handle) else {
            return self.lose(leg, now);
        };
        match leg.need() {
            Need::Connect(_) if socket.may_send() => {
                leg.connected();
                return Turn::Moved;
            }
            Need::Connect(_) if socket.is_open() => {}
            Need::Nothing => match exchange(leg, socket) {
                Some(true) => return Turn::Moved,
                Some(false) => {}
                None => return self.lose(leg, now),
            },
            Need::Connect(_) | Need::Close => {
                socket.close();
                return self.lose(leg, now);
            }
        }
        let Call::Leg { watch, .. } = &mut self.call else { return Turn::Waits(None) };
        match watch.left_of(leg.patience(), now) {
            Some(0) => {
                leg.expire();
                // What it does not take would keep the socket.
                socket.abort();
                self.lose(leg, now)
            }
            left => Turn::Waits(left),
        }
    }

    fn lose<O: Store>(&mut self, leg: &mut Leg<O>, now: u32) -> Turn {
        leg.lost();
        self.call = Call::Over(Timer::new(FAREWELL, now));
        Turn::Moved
    }

    /// Brings a connection that no leg has any more to its end.
    fn hang_up(&mut self, sockets: &mut SocketSet<'_>, now: u32) -> Turn {
        let Call::Over(timer) = self.call else { return Turn::Waits(None) };
        let Some(socket) = tcp_socket(sockets, self.handle) else {
            return Turn::Waits(None);
        };
        let has_moved = socket.recv(|ring| (ring.len(), !ring.is_empty())).unwrap_or(false);
        let left = timer.left(now);
        match socket.state() {
            // Of use to nobody here, for it would keep the socket for 10 s.
            State::TimeWait => self.call = Call::Free,
            // An RST goes at once unless the network is away.
            State::Closed if left == 0 || socket.remote_endpoint().is_none() => self.call = Call::Free,
            State::Closed => return Turn::Waits(Some(left)),
            _ if left == 0 => socket.abort(),
            _ if !has_moved => {
                // Also where the server went first.
                socket.close();
                return Turn::Waits(Some(left));
            }
            _ => {}
        }
        Turn::Moved
    }
}

/// Moves octets both ways; whether any moved, or none if the server is gone.
fn exchange<O: Store>(leg: &mut Leg<O>, socket: &mut Socket<'_>) -> Option<bool> {
    let sent = match leg.output() {
        b"" => 0,
        output => socket.send_slice(output).ok()?,
    };
    leg.sent(sent);
    let received = socket.recv(|ring| {
        let mut input = &*ring;
        leg.receive(&mut input);
        let taken = ring.len().saturating_sub(input.len());
        (taken, taken)
    });
    match sent > 0 || received.is_ok_and(|taken| taken > 0) {
        true => Some(true),
        false => socket.may_recv().then_some(false),
    }
}

fn endpoint(address: SocketAddr) -> Option<IpEndpoint> {
    match address {
        #[cfg(feature = "ipv4")]
        SocketAddr::V4(address) => Some(address.into()),
        #[cfg(feature = "ipv6")]
        SocketAddr::V6(address) => Some(address.into()),
        #[allow(unreachable_patterns)] // with both
        _ => None,
    }
}
