//! A client, a proxy and what is behind it, in one thread and on one clock.

use std::cell::RefCell;
use std::rc::Rc;
use std::task::Waker;
use std::time::Duration;

use embedded_io::{Error, ErrorKind, Read, Write};
use smtpd_core::handlers::PureProxy;
use smtpd_core::relay::{Need, Relay};
use smtpd_core::server::{Config, Ending, Handler, Peer, Progress, Session, Watch, step};
use smtpd_mock::{Clock, Link, Wire};

/// What takes turns.
pub(crate) trait Node {
    /// Does what can be done without waiting; true if anything moved. `now` is in milliseconds.
    fn turn(&mut self, now: u32) -> bool;
}

/// Nodes that were made since the last turn.
pub(crate) type Born = Rc<RefCell<Vec<Box<dyn Node>>>>;

/// What comes of a try to connect.
pub(crate) enum Dial {
    Open(Wire),
    Refused,
    /// Not yet: it is asked again.
    Hangs,
}

/// A server over a wire.
pub(crate) struct Server<H> {
    session: Session<'static>,
    pub(crate) handler: H,
    wire: Option<Wire>,
    input: Vec<u8>,
    /// Octets that it reads at once.
    cut: usize,
    is_at_end: bool,
    watch: Watch,
}

impl<H: Handler> Server<H> {
    pub(crate) fn new(config: &'static Config<'static>, handler: H, wire: Wire, cut: usize) -> Self {
        wire.set_nonblocking(true);
        let now = wire.clock().millis();
        Self {
            session: Session::new(config, Peer::new(Some(([192, 0, 2, 7], 1025).into()))),
            handler,
            wire: Some(wire),
            input: Vec::new(),
            cut,
            is_at_end: false,
            watch: Watch::new(now),
        }
    }

    fn is_over(&self) -> bool {
        self.session.ending().is_some()
    }

    fn lose(&mut self) -> bool {
        self.wire = None;
        self.session.end(Ending::Lost);
        true
    }
}

impl<H: Handler> Node for Server<H> {
    fn turn(&mut self, now: u32) -> bool {
        let mut has_moved = false;
        let progress = loop {
            let mut input = &self.input[..];
            let progress = step(&mut self.session, &mut input, &mut self.handler, Waker::noop());
            let taken = self.input.len() - input.len();
            self.input.drain(..taken);
            has_moved |= taken > 0 || progress == Progress::Moved;
            if progress != Progress::Moved {
                break progress;
            }
        };
        let is_over = self.is_over();
        let Some(wire) = &mut self.wire else { return has_moved };
        if !self.session.output().is_empty() {
            match tried(wire.write(self.session.output())) {
                Ok(0) => {}
                Ok(octets) => {
                    self.session.sent(octets);
                    return true;
                }
                Err(Broken) => return self.lose(),
            }
        } else if is_over {
            self.wire = None;
            return true;
        } else if matches!(progress, Progress::Read | Progress::Wait { read: true }) && self.input.is_empty() {
            let mut octets = vec![0; self.cut.min(4_096)];
            match wire.read(&mut octets) {
                _ if self.is_at_end && progress == Progress::Read => return self.lose(),
                _ if self.is_at_end => {}
                Ok(0) => {
                    self.is_at_end = true;
                    return true;
                }
                Ok(count) => {
                    self.input.extend_from_slice(&octets[..count]);
                    return true;
                }
                Err(error) if error.kind() == ErrorKind::TimedOut => {}
                Err(_) => return self.lose(),
            }
        }
        if self.watch.left(&self.session, now) == Some(0) && !is_over {
            self.session.end(Ending::Expired);
            return true;
        }
        has_moved
    }
}

/// A proxy between two wires.
pub(crate) struct Proxy {
    front: Server<PureProxy<'static>>,
    back: Option<Wire>,
    /// Octets that it reads at once of what comes from behind.
    cut: usize,
    unread: Vec<u8>,
    dial: Box<dyn FnMut(bool) -> Dial>,
    is_dialling: bool,
    watch: Watch,
    /// All that it sent to whoever is behind.
    pub(crate) sent: Rc<RefCell<Vec<u8>>>,
}

impl Proxy {
    /// `dial` is told whether it is asked for the first time.
    pub(crate) fn new(front: Server<PureProxy<'static>>, cut: usize, dial: impl FnMut(bool) -> Dial + 'static) -> Self {
        let dial = Box::new(dial);
        let (unread, sent) = (Vec::new(), Rc::default());
        Self { front, back: None, cut, unread, dial, is_dialling: false, watch: Watch::new(0), sent }
    }

    fn turn_of_leg(&mut self) -> bool {
        let leg = &mut self.front.handler.legs()[0];
        let need = leg.need();
        let was_dialling = std::mem::take(&mut self.is_dialling);
        match need {
            Need::Connect(_) => match (self.dial)(!was_dialling) {
                Dial::Open(wire) => {
                    wire.set_nonblocking(true);
                    (self.back, self.unread) = (Some(wire), Vec::new());
                    leg.connected();
                }
                Dial::Refused => leg.lost(),
                Dial::Hangs => {
                    self.is_dialling = true;
                    return false;
                }
            },
            Need::Close => {
                self.back = None;
                leg.lost();
            }
            Need::Nothing => return self.exchange().unwrap_or_else(|Broken| self.lose_leg()),
        }
        true
    }

    fn lose_leg(&mut self) -> bool {
        self.back = None;
        self.front.handler.legs()[0].lost();
        true
    }

    fn exchange(&mut self) -> Result<bool, Broken> {
        let Some(wire) = &mut self.back else { return Ok(false) };
        let leg = &mut self.front.handler.legs()[0];
        let mut has_moved = false;
        if !leg.output().is_empty() {
            let octets = tried(wire.write(leg.output()))?;
            self.sent.borrow_mut().extend_from_slice(&leg.output()[..octets]);
            leg.sent(octets);
            has_moved |= octets > 0;
        }
        if self.unread.is_empty() {
            let mut octets = vec![0; self.cut.min(4_096)];
            match wire.read(&mut octets) {
                Ok(0) => return Err(Broken),
                Ok(count) => self.unread.extend_from_slice(&octets[..count]),
                Err(error) if error.kind() == ErrorKind::TimedOut => return Ok(has_moved),
                Err(_) => return Err(Broken),
            }
            has_moved = true;
        }
        let mut input = &self.unread[..];
        leg.receive(&mut input);
        let taken = self.unread.len() - input.len();
        self.unread.drain(..taken);
        Ok(has_moved || taken > 0)
    }
}

impl Node for Proxy {
    fn turn(&mut self, now: u32) -> bool {
        let has_moved = self.front.turn(now) | self.turn_of_leg();
        let leg = &mut self.front.handler.legs()[0];
        if self.watch.left_of(leg.patience(), now) == Some(0) {
            leg.expire();
            return true;
        }
        has_moved
    }
}

/// The other end is gone.
pub(crate) struct Broken;

/// How many octets moved.
pub(crate) fn tried(result: Result<usize, impl Error>) -> Result<usize, Broken> {
    match result {
        Ok(octets) => Ok(octets),
        Err(error) if error.kind() == ErrorKind::TimedOut => Ok(0),
        Err(_) => Err(Broken),
    }
}

/// The client's side, and all nodes.
pub(crate) struct World {
    pub(crate) clock: Clock,
    pub(crate) born: Born,
    nodes: Vec<Box<dyn Node>>,
    client: Option<Wire>,
    unsent: Vec<u8>,
    heard: Vec<u8>,
    pub(crate) is_closed: bool,
    /// It does not read.
    pub(crate) is_deaf: bool,
    /// Seconds that pass at once.
    pub(crate) tick: u64,
    /// It closes when it hears nothing for an hour.
    pub(crate) gives_up: bool,
}

/// Turns in which something moved, after which nodes count as spinning.
const SPINS: u32 = 1_000_000;

impl World {
    /// A client whose connection's two ways are these; the server's end is the other one.
    pub(crate) fn new(clock: &Clock, there: Link, back: Link) -> (Self, Wire) {
        let (client, server) = Wire::pair(clock, there, back);
        client.set_nonblocking(true);
        let world = Self {
            clock: clock.clone(),
            born: Born::default(),
            nodes: Vec::new(),
            client: Some(client),
            unsent: Vec::new(),
            heard: Vec::new(),
            is_closed: false,
            is_deaf: false,
            tick: 1,
            gives_up: false,
        };
        (world, server)
    }

    pub(crate) fn add(&mut self, node: impl Node + 'static) {
        self.nodes.push(Box::new(node));
    }

    /// The client sends this.
    pub(crate) fn send(&mut self, octets: &[u8]) {
        self.unsent.extend_from_slice(octets);
    }

    /// Octets that the client could not send yet.
    pub(crate) fn unsent(&self) -> usize {
        self.unsent.len()
    }

    /// The client is gone; what it sent is not.
    pub(crate) fn leave(&mut self) {
        self.hand_over();
        self.client = None;
    }

    /// The client resets its connection.
    pub(crate) fn reset(&mut self) {
        self.hand_over();
        if let Some(client) = self.client.take() {
            client.reset();
        }
    }

    /// What the client sent reaches the proxy, and what that says the server.
    fn hand_over(&mut self) {
        self.turn();
        let now = self.clock.millis();
        while self.nodes[0].turn(now) {}
    }

    fn turn(&mut self) -> bool {
        let mut has_moved = false;
        if let Some(client) = &mut self.client {
            if !self.unsent.is_empty() {
                match tried(client.write(&self.unsent)) {
                    Ok(octets) => {
                        self.unsent.drain(..octets);
                        has_moved |= octets > 0;
                    }
                    Err(Broken) => self.unsent.clear(),
                }
            }
            let mut octets = [0; 4_096];
            if self.is_deaf {
                return has_moved;
            }
            match client.read(&mut octets) {
                Ok(0) => self.is_closed = true,
                Ok(count) => {
                    self.heard.extend_from_slice(&octets[..count]);
                    has_moved = true;
                }
                Err(error) if error.kind() == ErrorKind::TimedOut => {}
                Err(_) => self.is_closed = true,
            }
        }
        has_moved
    }

    /// Goes on until nothing moves.
    pub(crate) fn run(&mut self) {
        for turn in 0.. {
            assert!(turn < SPINS, "the nodes spin");
            let now = self.clock.millis();
            let mut has_moved = self.turn();
            for node in &mut self.nodes {
                has_moved |= node.turn(now);
            }
            has_moved |= !self.born.borrow().is_empty();
            self.nodes.append(&mut self.born.borrow_mut());
            if !has_moved {
                return;
            }
        }
    }

    /// Goes on for so many seconds.
    pub(crate) fn pass(&mut self, secs: u64) {
        self.run();
        for _ in 0..secs.div_ceil(self.tick) {
            self.clock.advance(Duration::from_secs(self.tick));
            self.run();
        }
    }

    /// All that the client heard and nobody took yet.
    pub(crate) fn heard(&mut self) -> String {
        self.run();
        String::from_utf8(std::mem::take(&mut self.heard)).unwrap()
    }

    /// The next reply, all its lines; empty if the connection ended before. It may take an hour.
    pub(crate) fn reply(&mut self) -> String {
        for _ in 0..3_600 / self.tick {
            self.run();
            if let Some(end) = end_of_reply(&self.heard) {
                return String::from_utf8(self.heard.drain(..end).collect()).unwrap();
            }
            if self.is_closed {
                return String::new();
            }
            self.clock.advance(Duration::from_secs(self.tick));
        }
        assert!(self.gives_up, "no reply within an hour");
        self.leave();
        self.is_closed = true;
        String::new()
    }

    /// Says this and waits for the reply.
    pub(crate) fn ask(&mut self, line: &str) -> String {
        self.send(line.as_bytes());
        self.send(b"\r\n");
        self.reply()
    }
}

fn end_of_reply(octets: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        let line = &octets[at..];
        let end = line.windows(2).position(|pair| pair == b"\r\n")?;
        at += end + 2;
        if line.get(3) != Some(&b'-') {
            return Some(at);
        }
    }
}

/// Settings that live as long as the program.
pub(crate) fn settings(host: &'static str, change: impl FnOnce(&mut Config<'static>)) -> &'static Config<'static> {
    let mut config = Config::new(host);
    config.limits.errors = 0;
    change(&mut config);
    Box::leak(Box::new(config))
}
