//! A server and its clients, each with a stack, on a clock that jumps to whatever comes next.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Wake, Waker};

use smoltcp::iface::SocketHandle;
use smoltcp::socket::tcp;
use smoltcp::time::{Duration, Instant};
use smtpd_core::server::{Config, Handler};
use smtpd_smoltcp::{Rings, Server};

use super::cable::{Faults, cable};
use super::stack::{PORT, Stack};

/// The host that serves.
pub const SERVER: u8 = 2;

pub struct World<'c, H, const N: usize, const LINE: usize = 512, const OUTPUT: usize = 512> {
    pub server: Server<'c, H, N, LINE, OUTPUT>,
    pub stack: Stack,
    pub clients: Stack,
    pub now: Instant,
    /// Polls of the server so far.
    pub polls: u32,
    /// Whether a handler wants to be asked again.
    is_woken: Arc<Woken>,
    /// Turns in a row in which time stood still.
    still: u32,
}

#[derive(Default)]
pub struct Woken(AtomicBool);

impl Woken {
    /// Whether somebody was woken since the last call.
    pub fn take(&self) -> bool {
        self.0.swap(false, Ordering::Relaxed)
    }
}

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl<'c, H: Handler, const N: usize, const LINE: usize, const OUTPUT: usize> World<'c, H, N, LINE, OUTPUT> {
    /// A server that listens, with rings of these sizes.
    pub fn new(config: &'c Config<'c>, handlers: [H; N], rings: (usize, usize), faults: Faults, seed: u64) -> Self {
        let (one, other) = cable(faults, seed);
        let (clients, mut stack) = (Stack::new(one, 1, seed), Stack::new(other, SERVER, seed + 1));
        let sockets = std::array::from_fn(|_| stack.add(rings.0, rings.1));
        Self::with(Server::new(config, handlers, sockets), stack, clients)
    }

    /// The same on a good cable, with sockets as [`Rings`] makes them.
    pub fn with_rings<const RX: usize, const TX: usize>(config: &'c Config<'c>, handlers: [H; N]) -> Self {
        Self::with_rings_on::<RX, TX>(config, handlers, Faults::NONE)
    }

    /// The same on another cable.
    pub fn with_rings_on<const RX: usize, const TX: usize>(
        config: &'c Config<'c>,
        handlers: [H; N],
        faults: Faults,
    ) -> Self {
        let (one, other) = cable(faults, 1);
        let (clients, mut stack) = (Stack::new(one, 1, 1), Stack::new(other, SERVER, 2));
        let sockets = Box::leak(Box::new(Rings::<N, RX, TX>::new())).add(&mut stack.sockets);
        Self::with(Server::new(config, handlers, sockets), stack, clients)
    }

    fn with(mut server: Server<'c, H, N, LINE, OUTPUT>, stack: Stack, clients: Stack) -> Self {
        server.listen(PORT);
        Self { server, stack, clients, now: Instant::ZERO, polls: 0, is_woken: Arc::default(), still: 0 }
    }

    /// A spare socket that says no, with rings of these sizes.
    pub fn refuse(&mut self, rings: (usize, usize)) {
        let spare = self.stack.add(rings.0, rings.1);
        self.server.refuse_with(spare);
    }

    /// What the cable does from now on, in both directions.
    pub fn set_faults(&mut self, faults: Faults) {
        self.stack.plug.set_faults(faults);
    }

    /// Gives both stacks a turn; when either wants another one, if that is not to be seen from outside.
    pub fn poll(&mut self) -> Option<Instant> {
        self.poll_by(|server, now, stack, waker| {
            server.poll(now, &mut stack.interface, &mut stack.plug, &mut stack.sockets, waker);
        })
    }

    /// The same, where the server has its turn in another way.
    pub fn poll_by(
        &mut self,
        poll: impl FnOnce(&mut Server<'c, H, N, LINE, OUTPUT>, Instant, &mut Stack, &Waker),
    ) -> Option<Instant> {
        let Self { server, stack, clients, now, polls, is_woken, .. } = self;
        *polls += 1;
        poll(server, *now, stack, &Waker::from(is_woken.clone()));
        // Whoever drives the clients looks at them first.
        let news = clients.poll(*now).then_some(*now);
        news.or_else(|| is_woken.take().then_some(*now + Duration::from_millis(1)))
    }

    /// A new client; it calls.
    pub fn connect(&mut self) -> SocketHandle {
        let socket = self.clients.add(4096, 4096);
        self.clients.connect(socket, SERVER);
        socket
    }

    pub fn client(&mut self, client: SocketHandle) -> &mut tcp::Socket<'static> {
        self.clients.socket(client)
    }

    /// Gives both stacks a turn, and lets time pass until something is due, to `end` at most; false if that has come.
    pub fn turn(&mut self, end: Instant) -> bool {
        let soon = self.poll();
        self.go_on(soon, end)
    }

    /// Lets time pass until `soon`, or something else is due, to `end` at most; false if that has come.
    pub fn go_on(&mut self, soon: Option<Instant>, end: Instant) -> bool {
        let Self { server, stack, clients, now, still, .. } = self;
        let due = server.poll_at(*now, &mut stack.interface, &stack.sockets);
        let next = [soon, due, clients.poll_at(*now), stack.plug.next()].into_iter().flatten().min();
        let next = next.unwrap_or(end).min(end);
        *still = if next > *now { 0 } else { *still + 1 };
        assert!(*still < 10_000, "something spins at {now}");
        *now = next.max(*now);
        *now < end
    }

    /// Lets so much time pass.
    pub fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while self.turn(end) {}
        self.turn(end + Duration::from_micros(1));
    }

    /// Goes on until `is_so`, for an hour at most.
    ///
    /// # Panics
    /// If it never is.
    pub fn until(&mut self, what: &str, mut is_so: impl FnMut(&mut Self) -> bool) {
        let end = self.now + Duration::from_secs(3_600);
        while !is_so(self) {
            let soon = self.poll();
            // Before time passes: the next thing that is due may be far away.
            if is_so(self) {
                return;
            }
            assert!(self.go_on(soon, end), "{what}: not within an hour");
        }
    }
}
