//! Driver 7: a relay with one leg. The server in front has the relay as its handler; the transcript's handler serves the
//! upstream.

use std::time::Duration;

use smtpd_core::relay::{Leg, Need, Relay};
use smtpd_core::server::{Config, Ending, Peer, Session};
use smtpd_mock::{Act, Actor, Clock, Connection, Driver, End, Reads, Received, Script};

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
        let (reads, clock) = (Reads::Of(cut), Clock::new());
        let front = End::new(Session::new(config, Peer::default()), relay, reads, &clock);
        let upstream = End::new(Session::new(upstream, Peer::default()), actor, reads, &clock);
        Self { front, upstream, replies: Vec::new(), cut }
    }

    /// The driver: moves octets along until none moves.
    fn turn(&mut self, said: &mut Vec<u8>) {
        let mut moved = true;
        while moved {
            let before = said.len();
            self.front.turn(said);
            moved = said.len() > before;
            let leg = &mut self.front.handler.legs()[0];
            match leg.need() {
                Need::Connect(_) => leg.connected(),
                Need::Close => {
                    leg.lost();
                    self.upstream.turn(&mut self.replies);
                    self.upstream.end(Ending::Lost);
                }
                Need::Nothing => {}
            }
            let output = leg.output().to_vec();
            leg.sent(output.len());
            self.upstream.send(&output);
            self.upstream.turn(&mut self.replies);
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

    fn connect<'s>(&self, script: &'s Script, actor: Actor) -> Box<dyn Connection + 's> {
        let cut = super::cut(script);
        Box::new(Relayed::new(&script.config, &super::UPSTREAM, actor, cut))
    }
}

impl Connection for Relayed<'_, '_> {
    fn send(&mut self, octets: &[u8]) {
        self.front.send(octets);
    }

    fn receive(&mut self, said: &mut Vec<u8>) -> Received {
        let before = said.len();
        self.turn(said);
        match () {
            () if self.front.is_closed() => Received::End,
            () if said.len() > before => Received::More,
            () => Received::Nothing,
        }
    }

    fn act(&mut self, act: Act) {
        match act {
            Act::Drop | Act::Reset => {
                self.turn(&mut Vec::new());
                self.front.end(Ending::Lost);
                self.turn(&mut Vec::new());
            }
            Act::Stop => self.front.end(Ending::Stopping),
            Act::Stall => {}
        }
    }

    fn pass(&mut self, time: Duration, said: &mut Vec<u8>) -> bool {
        self.turn(said);
        self.front.pass(time, said);
        self.turn(said);
        true
    }
}
