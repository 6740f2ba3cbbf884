//! Drivers 3 and 10: smtpd-smoltcp's server between two stacks, at a cable that loses nothing; and a relay there, whose
//! upstream server is on the client's stack.

use std::task::Waker;
use std::time::Duration;

use smoltcp::iface::SocketHandle;
use smoltcp::socket::tcp;
use smoltcp::time::Instant;
use smtpd_core::relay::Leg;
use smtpd_mock::{Act, Actor, Connection, Driver, Received, Script};
use smtpd_smoltcp::{Dialer, Server};

use super::one_leg::OneLeg;
use super::smoltcp_common::cable::{Faults, cable};
use super::smoltcp_common::stack::{PORT, Stack};
use super::smoltcp_common::world::SERVER;

pub(crate) struct Smoltcp;

pub(crate) struct Relayed;

impl Driver for Smoltcp {
    fn name(&self) -> &'static str {
        "smoltcp"
    }

    fn connect<'s>(&self, script: &'s Script, actor: Actor) -> Box<dyn Connection + 's> {
        let (mut clients, mut stack) = stacks();
        let mut server = Server::<_, 1>::new(&script.config, [actor], [stack.add(2_048, 2_048)]);
        server.listen(PORT);
        let client = clients.add(2_048, 2_048);
        clients.connect(client, SERVER);
        let turn = move |clients: &mut Stack, now, stop| {
            if stop {
                server.stop();
            }
            server.poll(now, &mut stack.interface, &mut stack.plug, &mut stack.sockets, Waker::noop());
            clients.poll(now);
        };
        Box::new(Stacks::new(clients, client, super::cut(script), turn))
    }
}

impl Driver for Relayed {
    fn name(&self) -> &'static str {
        "relay-smoltcp"
    }

    fn connect<'s>(&self, script: &'s Script, actor: Actor) -> Box<dyn Connection + 's> {
        let (mut clients, mut stack) = stacks();
        let relay = OneLeg(Leg::new(([192, 0, 2, 1], PORT).into(), "relay.example"));
        let mut dialer = Dialer::new([stack.add(2_048, 2_048)], 7);
        let mut front = Server::<_, 1>::new(&script.config, [relay], [stack.add(2_048, 2_048)]);
        front.listen(PORT);
        let mut upstream = Server::<_, 1>::new(&super::UPSTREAM, [actor], [clients.add(2_048, 2_048)]);
        upstream.listen(PORT);
        let client = clients.add(2_048, 2_048);
        clients.connect(client, SERVER);
        let turn = move |clients: &mut Stack, now, stop| {
            if stop {
                front.stop();
            }
            let (interface, plug, sockets) = (&mut stack.interface, &mut stack.plug, &mut stack.sockets);
            front.poll_relay(now, interface, plug, sockets, &mut dialer, Waker::noop());
            let (interface, plug, sockets) = (&mut clients.interface, &mut clients.plug, &mut clients.sockets);
            upstream.poll(now, interface, plug, sockets, Waker::noop());
        };
        Box::new(Stacks::new(clients, client, super::cut(script), turn))
    }
}

fn stacks() -> (Stack, Stack) {
    let (one, other) = cable(Faults::NONE, 1);
    (Stack::new(one, 1, 1), Stack::new(other, SERVER, 2))
}

/// A client, and servers that a call gives a turn: `true`, to stop the one in front first.
struct Stacks<T> {
    clients: Stack,
    client: SocketHandle,
    servers: T,
    /// Octets that the client sends at once: those that the server finds in its ring.
    cut: usize,
    now: Instant,
    unsent: Vec<u8>,
}

impl<T: FnMut(&mut Stack, Instant, bool)> Stacks<T> {
    fn new(clients: Stack, client: SocketHandle, cut: usize, servers: T) -> Self {
        Self { clients, client, servers, cut, now: Instant::ZERO, unsent: Vec::new() }
    }

    fn client(&mut self) -> &mut tcp::Socket<'static> {
        self.clients.socket(self.client)
    }

    /// Goes on until nothing moves any more, not even after a while.
    fn turn(&mut self, said: &mut Vec<u8>) {
        let mut quiet = 0;
        while quiet < 8 {
            self.now += smoltcp::time::Duration::from_millis(if quiet > 2 { 20 } else { 1 });
            let before = (said.len(), self.unsent.len());
            (self.servers)(&mut self.clients, self.now, false);
            let client = self.clients.socket(self.client);
            let sent = client.send_slice(&self.unsent[..self.cut.min(self.unsent.len())]).unwrap_or(0);
            self.unsent.drain(..sent);
            while client.can_recv() && client.recv(|ring| (ring.len(), said.extend_from_slice(ring))).is_ok() {}
            quiet = if (said.len(), self.unsent.len()) != before { 0 } else { quiet + 1 };
        }
    }
}

impl<T: FnMut(&mut Stack, Instant, bool)> Connection for Stacks<T> {
    fn send(&mut self, octets: &[u8]) {
        self.unsent.extend_from_slice(octets);
    }

    fn receive(&mut self, said: &mut Vec<u8>) -> Received {
        let before = said.len();
        self.turn(said);
        match () {
            () if !self.client().may_recv() => Received::End,
            () if said.len() > before => Received::More,
            () => Received::Nothing,
        }
    }

    fn act(&mut self, act: Act) {
        self.turn(&mut Vec::new());
        match act {
            Act::Drop => self.client().close(),
            Act::Reset => self.client().abort(),
            Act::Stop => (self.servers)(&mut self.clients, self.now, true),
            Act::Stall => return,
        }
        if act != Act::Stop {
            self.turn(&mut Vec::new());
        }
    }

    fn pass(&mut self, time: Duration, said: &mut Vec<u8>) -> bool {
        let end = self.now + time.into();
        while self.now < end {
            self.turn(said);
            // Both stacks ask each other now and then whether they are still there.
            self.now = end.min(self.now + smoltcp::time::Duration::from_secs(20));
        }
        self.turn(said);
        true
    }
}
