//! Driver 3: two smoltcp stacks back to back in memory, with rings of 2 KiB that wrap.

use std::sync::atomic::{AtomicU32, Ordering};
use std::task::Waker;
use std::time::Duration;

use smoltcp::socket::tcp;
use smtpd_core::server::{Ending, Handler, Peer, Progress, Session, Watch, step};
use smtpd_mock::{Act, Actor, Connection, Driver, Received, Script};

use super::cable::{Stack, cable};

pub(crate) struct Smoltcp;

/// How often the server found its ring wrapped.
pub(crate) static WRAPS: AtomicU32 = AtomicU32::new(0);

/// The driver: what a device does for one socket each turn; true if anything moved.
fn serve(socket: &mut tcp::Socket<'_>, session: &mut Session<'_>, handler: &mut impl Handler, cut: usize) -> bool {
    let sent = socket.send_slice(session.output()).unwrap_or(0);
    session.sent(sent);
    let (mut progress, mut taken) = (Progress::Moved, 0);
    if socket.can_recv() {
        let waiting = socket.recv_queue();
        let received = socket.recv(|ring| {
            WRAPS.fetch_add(u32::from(ring.len() < waiting), Ordering::Relaxed);
            let mut input = &ring[..cut.min(ring.len())];
            let before = input.len();
            progress = step(session, &mut input, handler, Waker::noop());
            taken = before - input.len();
            (taken, ())
        });
        received.expect("it can receive");
    } else {
        progress = step(session, &mut &[][..], handler, Waker::noop());
        let is_open = !matches!(socket.state(), tcp::State::Listen | tcp::State::SynReceived);
        if progress == Progress::Read && is_open && !socket.may_recv() {
            session.end(Ending::Lost);
            return true;
        }
    }
    if progress == Progress::Closed {
        if session.output().is_empty() {
            socket.close();
        }
        // What still comes is thrown away, so that no reset eats the last reply.
        taken += socket.recv(|ring| (ring.len(), ring.len())).unwrap_or(0);
    }
    progress == Progress::Moved || taken > 0 || sent > 0
}

struct Stacks<'t> {
    client: Stack,
    server: Stack,
    session: Session<'t>,
    watch: Watch,
    actor: Actor,
    cut: usize,
    millis: i64,
    unsent: Vec<u8>,
}

impl Driver for Smoltcp {
    fn name(&self) -> &'static str {
        "smoltcp"
    }

    fn connect<'s>(&self, script: &'s Script, actor: Actor) -> Box<dyn Connection + 's> {
        let cut = super::cut(script);
        let (mut client, server) = cable();
        client.connect();
        let session = Session::new(&script.config, Peer::default());
        Box::new(Stacks { client, server, session, watch: Watch::new(0), actor, cut, millis: 0, unsent: Vec::new() })
    }
}

impl Stacks<'_> {
    /// Goes on until nothing moves any more, not even after a while.
    fn turn(&mut self, said: &mut Vec<u8>) {
        let mut quiet = 0;
        while quiet < 8 {
            self.millis += if quiet > 2 { 20 } else { 1 };
            let mut moved = self.client.poll(self.millis) | self.server.poll(self.millis);
            moved |= serve(self.server.socket(), &mut self.session, &mut self.actor, self.cut);
            let client = self.client.socket();
            let sent = client.send_slice(&self.unsent).unwrap_or(0);
            self.unsent.drain(..sent);
            let heard = client.recv(|ring| (ring.len(), said.extend_from_slice(ring))).is_ok();
            quiet = if moved || sent > 0 || (heard && client.can_recv()) { 0 } else { quiet + 1 };
        }
    }
}

impl Connection for Stacks<'_> {
    fn send(&mut self, octets: &[u8]) {
        self.unsent.extend_from_slice(octets);
    }

    fn receive(&mut self, said: &mut Vec<u8>) -> Received {
        let before = said.len();
        self.turn(said);
        match () {
            () if !self.client.socket().may_recv() => Received::End,
            () if said.len() > before => Received::More,
            () => Received::Nothing,
        }
    }

    fn act(&mut self, act: Act) {
        self.turn(&mut Vec::new());
        match act {
            Act::Drop | Act::Reset => {
                self.client.socket().abort();
                self.turn(&mut Vec::new());
            }
            Act::Stop => self.session.end(Ending::Stopping),
            Act::Stall => {}
        }
    }

    fn pass(&mut self, time: Duration, said: &mut Vec<u8>) -> bool {
        self.turn(said);
        self.watch.left(&self.session, self.millis as u32);
        self.millis += time.as_millis() as i64;
        if self.watch.left(&self.session, self.millis as u32) == Some(0) {
            self.session.end(Ending::Expired);
        }
        self.turn(said);
        true
    }
}
