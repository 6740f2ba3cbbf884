//! Driver 7: a relay with one leg. The server in front has the relay as its handler; the transcript's handler serves the
//! upstream.

use smtpd_core::relay::{Leg, Need, Relay};
use smtpd_core::server::{Config, Ending, Peer, Session};
use smtpd_mock::{Actor, Connection, Driver, End, Outside, Transcript};

use super::one_leg::OneLeg;

pub(crate) struct InMemory;

/// A session with its own storage.
type Server<'c, H> = End<'c, H, heapless::Vec<u8, 1024>, heapless::Vec<u8, 1024>>;

/// Both servers, and what lies between them.
pub(crate) struct Relayed<'c, 'u> {
    front: Server<'c, OneLeg>,
    pub(crate) upstream: Server<'u, Actor>,
    replies: Vec<u8>,
    cut: usize,
}

impl<'c, 'u> Relayed<'c, 'u> {
    pub(crate) fn new(config: &'c Config<'c>, upstream: &'u Config<'u>, actor: Actor, cut: usize) -> Self {
        let relay = OneLeg(Leg::new(([127, 0, 0, 1], 25).into(), "relay.example"));
        let front = End::new(Session::new(config, Peer::default()), relay, cut);
        let upstream = End::new(Session::new(upstream, Peer::default()), actor, cut);
        Self { front, upstream, replies: Vec::new(), cut }
    }

    /// The driver: moves octets along until none moves.
    fn turn(&mut self, said: &mut Vec<u8>) {
        let mut moved = true;
        while moved {
            let octets = self.front.turn();
            moved = !octets.is_empty();
            said.extend(octets);
            let leg = &mut self.front.handler.legs()[0];
            match leg.need() {
                Need::Connect(_) => leg.connected(),
                Need::Close => {
                    leg.lost();
                    self.upstream.turn();
                    self.upstream.end(Ending::Lost);
                }
                Need::Nothing => {}
            }
            let output = leg.output().to_vec();
            leg.sent(output.len());
            self.upstream.send(&output);
            self.replies.extend(self.upstream.turn());
            let mut input = &self.replies[..self.cut.min(self.replies.len())];
            let before = input.len();
            leg.receive(&mut input);
            let taken = before - input.len();
            self.replies.drain(..taken);
            moved |= taken > 0 || !output.is_empty() || leg.need() != Need::Nothing;
        }
    }
}

impl Driver for InMemory {
    fn name(&self) -> &'static str {
        "relay-memory"
    }

    fn connect<'t>(&self, transcript: &'t Transcript, actor: Actor, cut: usize) -> Box<dyn Connection + 't> {
        Box::new(Relayed::new(&transcript.config, &super::UPSTREAM, actor, cut))
    }
}

impl Connection for Relayed<'_, '_> {
    fn send(&mut self, octets: &[u8]) {
        self.front.send(octets);
    }

    fn receive(&mut self, said: &mut Vec<u8>, _: usize) -> bool {
        self.turn(said);
        self.front.is_closed()
    }

    fn outside(&mut self, what: Outside) {
        self.front.end(match what {
            Outside::Lost => Ending::Lost,
            Outside::Expired => Ending::Expired,
            Outside::Stopping => Ending::Stopping,
        });
        if what == Outside::Lost {
            self.turn(&mut Vec::new());
        }
    }
}
