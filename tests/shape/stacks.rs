//! Driver 3: two smoltcp stacks back to back in memory, with rings of 2 KiB that wrap.

use std::sync::atomic::{AtomicU32, Ordering};
use std::task::Waker;

use smoltcp::socket::tcp;
use smtpd_core::server::{Ending, Handler, Peer, Progress, Session, step};
use smtpd_mock::{Actor, Connection, Driver, Outside, Transcript};

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
    actor: Actor,
    cut: usize,
    millis: i64,
    unsent: Vec<u8>,
}

impl Driver for Smoltcp {
    fn name(&self) -> &'static str {
        "smoltcp"
    }

    fn connect<'t>(&self, transcript: &'t Transcript, actor: Actor, cut: usize) -> Box<dyn Connection + 't> {
        let (mut client, server) = cable();
        client.connect();
        let session = Session::new(&transcript.config, Peer::default());
        Box::new(Stacks { client, server, session, actor, cut, millis: 0, unsent: Vec::new() })
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

    fn receive(&mut self, said: &mut Vec<u8>, _: usize) -> bool {
        self.turn(said);
        !self.client.socket().may_recv()
    }

    fn outside(&mut self, what: Outside) {
        self.turn(&mut Vec::new());
        match what {
            Outside::Lost => self.client.socket().abort(),
            Outside::Expired => self.session.end(Ending::Expired),
            Outside::Stopping => self.session.end(Ending::Stopping),
        }
        if what == Outside::Lost {
            self.turn(&mut Vec::new());
        }
    }
}
