//! The server: places for clients, and whose turn it is.

use core::mem::size_of;
use core::task::Waker;

use heapless::Vec;
use smoltcp::iface::{Interface, PollIngressSingleResult, PollResult, SocketHandle, SocketSet, SocketStorage};
use smoltcp::phy::Device;
use smoltcp::socket::{Socket, tcp};
use smoltcp::time::Instant;
use smtpd_core::relay::{Leg, Relay};
use smtpd_core::server::{Config, Ending, Handler};

use crate::connection::Turn;
use crate::hold::Hold;
use crate::place::Place;
use crate::spare::Spare;
use crate::timer::earlier;
use crate::{Dialer, Rings};

/// A server of at most `N` clients at a time, over sockets of one smoltcp interface.
///
/// `LINE` and `OUTPUT` are octets of each session's buffers, for a command that came in pieces and for replies: at
/// least 512 each.
///
/// # How to drive it
/// 1. Sockets of [`Rings`] come into the set, and their handles here; [`listen`](Self::listen) says on which port. Interface,
///    device and set stay the caller's, who may have other sockets in the set: [`poll`](Self::poll) moves their octets
///    too, and so takes the place of [`Interface::poll`]. Always the same ones: with another interface or set nobody is
///    served.
/// 2. Call [`poll`](Self::poll) whenever the device has a frame, and at the time that [`poll_at`](Self::poll_at) says. Between
///    these the processor may sleep.
/// 3. A handler serves its place's clients one after the other, each from `connected` to `closed` (to that alone, if
///    the server is stopped right away): what it keeps about one has to be gone then.
/// 4. To end in good order: [`stop`](Self::stop), then poll until there are no [`connections`](Self::connections).
#[derive(Debug)]
pub struct Server<'c, H, const N: usize, const LINE: usize = 1024, const OUTPUT: usize = 1024> {
    config: &'c Config<'c>,
    handlers: [H; N],
    handles: [SocketHandle; N],
    /// As many as there are sockets, once it listens. A vector, because an empty one costs nothing to move: whoever makes a
    /// server has no stack for all its sessions.
    places: Vec<Place<'c, LINE, OUTPUT>, N>,
    spare: Option<Spare>,
    /// Where to listen.
    port: Option<u16>,
    /// Whether a client that comes now is heard.
    listens: bool,
    /// Whether a handler owes an answer, or has no room.
    asks: bool,
    /// When the earliest timer runs out.
    due: Option<Instant>,
    /// The legs' earliest.
    legs_due: Option<Instant>,
}

/// Frames that one poll takes: a flood of them must not keep a loop from its other duties.
pub(crate) const FRAMES: u8 = 32;
/// Turns after a frame: more than lie between a client's end and a socket that listens again.
const TURNS: u8 = 8;

impl<'c, H, const N: usize, const LINE: usize, const OUTPUT: usize> Server<'c, H, N, LINE, OUTPUT> {
    /// A server that does not listen yet; each socket has one of the handlers.
    #[must_use]
    pub const fn new(config: &'c Config<'c>, handlers: [H; N], sockets: [SocketHandle; N]) -> Self {
        let due = Some(Instant::ZERO);
        Self {
            config,
            handlers,
            handles: sockets,
            places: Vec::new(),
            spare: None,
            port: None,
            listens: false,
            asks: false,
            due,
            legs_due: None,
        }
    }

    /// Octets of RAM of such a server, its handlers, its sockets with rings of `RX` and `TX` octets, and smoltcp's
    /// interface, on the target that is compiled for. What handlers borrow, as a spool that they share, comes to that,
    /// and so do the device's buffers and the stack.
    ///
    /// ```
    /// use smtpd_core::handlers::Sink; // or a handler of yours: a closure has no name, a `fn` pointer in its place has one
    /// type Server = smtpd_smoltcp::Server<'static, Sink, 4, 512, 512>;
    /// const _: () = assert!(Server::ram::<2048, 512>() <= 20 * 1024);
    /// ```
    #[must_use]
    pub const fn ram<const RX: usize, const TX: usize>() -> usize {
        size_of::<Self>()
            .saturating_add(size_of::<Rings<N, RX, TX>>())
            .saturating_add(size_of::<[SocketStorage<'static>; N]>())
            .saturating_add(size_of::<SocketSet<'static>>())
            .saturating_add(size_of::<Interface>())
    }

    /// Listens on a port from the next poll on, and no longer on the one before; 0 is none.
    pub fn listen(&mut self, port: u16) {
        while self.places.push(Place::new()).is_ok() {}
        self.places.iter_mut().for_each(Place::wake);
        self.port = if port == 0 { None } else { Some(port) };
        self.due = Some(Instant::ZERO);
    }

    /// Gives the server one more socket, which tells clients at once that there is no place for them (421 4.3.2);
    /// without it they wait until a place is free, which costs no memory. Its rings may be short: 64 and 128 octets.
    pub fn refuse_with(&mut self, spare: SocketHandle) {
        self.spare = Some(Spare::new(spare));
    }

    /// Says 421 4.3.2 to every client, where one can still be heard, and listens no longer.
    pub fn stop(&mut self) {
        self.places.iter_mut().for_each(|place| place.end(Ending::Stopping));
        self.listen(0);
    }

    /// Clients that are connected, those included whose session is over.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.places.iter().filter(|place| place.is_taken()).count()
    }

    /// The handlers, in the order in which they were given.
    pub const fn handlers(&mut self) -> &mut [H; N] {
        &mut self.handlers
    }

    /// When to poll again if no frame comes before: at once, if the time lies in the past; never, if there is none.
    ///
    /// With [`Waker::noop`] a handler that owes an answer has to be asked again every now and then.
    pub fn poll_at(&self, now: Instant, interface: &mut Interface, sockets: &SocketSet<'_>) -> Option<Instant> {
        earlier(self.due, interface.poll_at(now, sockets))
    }
}

impl<H: Handler, const N: usize, const LINE: usize, const OUTPUT: usize> Server<'_, H, N, LINE, OUTPUT> {
    /// Takes frames and gives clients their turns, until nothing moves any more or many frames were taken. `now` never goes
    /// back.
    pub fn poll<D: Device + ?Sized>(
        &mut self,
        now: Instant,
        interface: &mut Interface,
        device: &mut D,
        sockets: &mut SocketSet<'_>,
        waker: &Waker,
    ) {
        self.drive(now, interface, device, sockets, |server, _, sockets, millis| {
            (server.turn(|_| true, sockets, millis, waker), None)
        });
    }

    /// The same for relays, whose legs call their servers over the dialer's sockets, which are in the same set. A place
    /// takes its next client when the legs are idle.
    pub fn poll_relay<D: Device + ?Sized, const M: usize>(
        &mut self,
        now: Instant,
        interface: &mut Interface,
        device: &mut D,
        sockets: &mut SocketSet<'_>,
        dialer: &mut Dialer<M>,
        waker: &Waker,
    ) where
        H: Relay,
    {
        let is_done = |relay: &mut H| relay.legs().iter().all(Leg::is_idle);
        self.drive(now, interface, device, sockets, |server, interface, sockets, millis| {
            let wants = server.turn(is_done, sockets, millis, waker);
            match dialer.turn(server.handlers.iter_mut().flat_map(Relay::legs), interface, sockets, millis) {
                Turn::Waits(left) => (wants, left),
                _ => (true, None),
            }
        });
    }

    /// One frame at a time, and turns after each: the end of one client and the beginning of the next may come in one burst,
    /// and a socket has to listen in between. A turn says whether it wants another one, and how many milliseconds the legs
    /// have.
    // Inlined, it is a quarter of a kilobyte longer.
    #[inline(never)]
    fn drive<D: Device + ?Sized>(
        &mut self,
        now: Instant,
        interface: &mut Interface,
        device: &mut D,
        sockets: &mut SocketSet<'_>,
        mut turn: impl FnMut(&mut Self, &mut Interface, &mut SocketSet<'_>, u32) -> (bool, Option<u32>),
    ) {
        let millis = millis(now);
        interface.poll_maintenance(now);
        // What time brought: a socket may have given its client up, which its place has to hear of.
        let mut wants = send(now, interface, device, sockets) || self.due.is_some_and(|due| due <= now) || self.asks;
        for _ in 0..FRAMES {
            for _ in 0..TURNS {
                if !wants {
                    break;
                }
                let legs;
                (wants, legs) = turn(self, interface, sockets, millis);
                self.legs_due = legs.map(|left| later(now, left));
                send(now, interface, device, sockets);
            }
            let mut hold = Hold { device, port: self.port.filter(|_| !self.listens) };
            match interface.poll_ingress_single(now, &mut hold, sockets) {
                PollIngressSingleResult::None if !wants => return self.wait(now, millis),
                _ => wants = true,
            }
        }
        self.due = Some(now);
    }

    /// Gives each place a turn that needs one; whether another one may bring more.
    // Inlined, it is there several times.
    #[inline(never)]
    fn turn(&mut self, is_done: fn(&mut H) -> bool, sockets: &mut SocketSet<'_>, now: u32, waker: &Waker) -> bool {
        let (mut wants, mut half, port) = (false, None, self.port);
        let mut next = 0_usize;
        self.listens = false;
        for (handle, socket) in tcp_sockets(sockets) {
            // In their order, as a rule.
            let index = match self.handles.get(next) {
                Some(own) if *own == handle => Some(next),
                _ => self.handles.iter().position(|own| *own == handle),
            };
            let Some(index) = index else { continue };
            next = index.wrapping_add(1);
            let (Some(place), Some(handler)) = (self.places.get_mut(index), self.handlers.get_mut(index)) else {
                continue;
            };
            if !place.is_quiet(socket, now) {
                let was_free = place.is_free();
                // A relay still says QUIT to its servers: it can't have another client yet.
                if place.is_over() && !is_done(handler) {
                    place.stay();
                } else {
                    wants |= place.turn(socket, handler, self.config, port, now, waker);
                }
                if was_free && place.is_half() {
                    half = Some(handle);
                }
            }
            self.listens |= socket.is_listening();
        }
        if let Some(spare) = &mut self.spare
            && let Some(socket) = tcp_socket(sockets, spare.handle)
        {
            let is_full = !self.places.iter().any(Place::is_free);
            let was_free = spare.is_free();
            wants |= spare.turn(socket, port.filter(|_| is_full), now);
            if was_free && !spare.is_free() {
                half = Some(spare.handle);
            }
            self.listens |= socket.is_listening();
        }
        if let Some(handle) = half
            && is_double(handle, sockets)
        {
            self.take_no_double(handle, sockets);
        }
        wants
    }

    /// Gives half of a connection up that is none, before it says a word.
    fn take_no_double(&mut self, double: SocketHandle, sockets: &mut SocketSet<'_>) {
        let own = self.handles.iter().position(|own| *own == double);
        match (own.and_then(|index| self.places.get_mut(index)), &mut self.spare) {
            (Some(place), _) => place.clear(),
            (None, Some(spare)) => spare.clear(),
            _ => {}
        }
        if let Some(socket) = tcp_socket(sockets, double) {
            socket.abort();
            // Which forgets the RST.
            self.listens |= self.port.is_some_and(|port| socket.listen(port).is_ok());
        }
    }

    /// Nothing moves any more.
    fn wait(&mut self, now: Instant, millis: u32) {
        let (mut least, mut asks) = (u32::MAX, false);
        for place in &self.places {
            least = least.min(place.left(millis));
            asks |= place.asks();
        }
        if let Some(spare) = &self.spare {
            least = least.min(spare.left(millis));
        }
        // Nothing is due in 49 days that has not been moved by then.
        let left = (least < u32::MAX).then(|| later(now, least));
        self.due = earlier(left, self.legs_due);
        self.asks = asks;
    }
}

/// Whether a socket that has just heard a SYN has the client of another one.
///
/// smoltcp gives a SYN to the first socket that may take it, which is one that listens even if there is a connection to which
/// the SYN belongs, from the network that doubled it or from somebody else. All that its client says would meet that half of
/// a second connection, and be answered by a reset.
fn is_double(handle: SocketHandle, sockets: &mut SocketSet<'_>) -> bool {
    let taken = tcp_socket(sockets, handle).and_then(|socket| socket.remote_endpoint());
    tcp_sockets(sockets).any(|(other, socket)| other != handle && socket.remote_endpoint() == taken)
}

/// Sends what is to be sent; whether anything was.
pub(crate) fn send<D: Device + ?Sized>(
    now: Instant,
    interface: &mut Interface,
    device: &mut D,
    sockets: &mut SocketSet<'_>,
) -> bool {
    let mut left = ROUNDS;
    while interface.poll_egress(now, device, sockets) == PollResult::SocketStateChanged {
        left = left.wrapping_sub(1);
        if left == 0 {
            give_up_probing(sockets);
            break;
        }
    }
    left < ROUNDS
}

/// smoltcp 0.14 probes a window of zero in FIN-WAIT-2 too, where nothing is left to be sent, and never stops: a client that
/// wants it so would be the last one that is served.
fn give_up_probing(sockets: &mut SocketSet<'_>) {
    for (_, socket) in tcp_sockets(sockets) {
        if socket.state() == tcp::State::FinWait2 {
            socket.abort();
        }
    }
}

/// Segments of a socket that are sent in one go; those of a longer ring have the next one.
const ROUNDS: u8 = u8::MAX;

/// Not by their handles: that panics where there is none.
pub(crate) fn tcp_sockets<'s, 'a>(
    sockets: &'s mut SocketSet<'a>,
) -> impl Iterator<Item = (SocketHandle, &'s mut tcp::Socket<'a>)> {
    sockets.iter_mut().filter_map(|(handle, socket)| match socket {
        Socket::Tcp(socket) => Some((handle, socket)),
        #[allow(unreachable_patterns)] // with no other kind
        _ => None,
    })
}

pub(crate) fn tcp_socket<'s, 'a>(
    sockets: &'s mut SocketSet<'a>,
    handle: SocketHandle,
) -> Option<&'s mut tcp::Socket<'a>> {
    tcp_sockets(sockets).find(|(own, _)| *own == handle).map(|(_, socket)| socket)
}

pub(crate) fn later(now: Instant, millis: u32) -> Instant {
    // Far from where either could overflow.
    Instant::from_micros(now.total_micros().wrapping_add(i64::from(millis).wrapping_mul(1_000)))
}

/// The time as sessions have it, which may wrap.
#[allow(clippy::cast_possible_truncation)]
pub(crate) const fn millis(now: Instant) -> u32 {
    // Unsigned, as the stack divides: the other division would be there too.
    (now.total_micros().cast_unsigned() / 1_000) as u32
}

#[cfg(feature = "defmt")]
impl<H, const N: usize, const LINE: usize, const OUTPUT: usize> defmt::Format for Server<'_, H, N, LINE, OUTPUT> {
    fn format(&self, to: defmt::Formatter<'_>) {
        defmt::write!(to, "Server {{ port: {}, connections: {} of {} }}", self.port, self.connections(), N);
    }
}
