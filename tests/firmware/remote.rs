//! The host's end of the binary `remote`: its handler, its clock, and its client.

use std::task::Waker;

use libtest_mimic::Failed;
use smoltcp::iface::SocketHandle;
use smoltcp::socket::tcp;
use smoltcp::time::{Duration, Instant};
use smtpd_core::server::{Answer, Ending, Flow, Handler};
use smtpd_core::wire::Reply;
use smtpd_mock::{Act, Actor, Connection, Received, Script};

use crate::files::Files;
use crate::qemu::{Board, Setup};
use crate::wire::{Stack, Wire};

/// A board whose handler is here, and a client of it.
pub(crate) struct Remote {
    /// Ends before its folder goes.
    board: Board,
    files: Files,
    actor: Actor,
    clients: Stack,
    client: SocketHandle,
    now: Instant,
    /// Octets that the client sends at once.
    cut: usize,
    unsent: Vec<u8>,
    /// What the board is told at its next turn.
    order: u8,
    /// Clients that the board has.
    connections: u8,
}

/// Calls are heard and nothing more happened: so many turns of the board in a row, and it is plain that nothing will.
const QUIET: u32 = 8;

impl Remote {
    pub(crate) fn start(script: &Script, actor: Actor, cut: usize) -> Result<Self, Failed> {
        let files = Files::new()?;
        let wire = Wire::new()?;
        let setup = Setup { cable: Some(wire.option()?), folder: Some(files.folder()), ..Setup::default() };
        let board = Board::with("remote", &setup)?;
        let now = Instant::from_secs(1);
        let mut clients = Stack::new(wire, now);
        let client = clients.call();
        let (unsent, order, connections) = (Vec::new(), 0, 0);
        let mut remote = Self { board, files, actor, clients, client, now, cut, unsent, order, connections };
        let (kind, _) = remote.question()?;
        if kind != b'?' {
            return Err(remote.board.fails("it does not ask for its settings"));
        }
        remote.files.answer(b'!', settings(script).as_bytes())?;
        // From its first turn on it can be reached.
        remote.until_turn()?;
        Ok(remote)
    }

    /// Tells the board something at its next turn, after which it asks no more, and gives it back.
    pub(crate) fn order(mut self, order: u8) -> Result<Board, Failed> {
        self.order = order;
        self.until_turn()?;
        Ok(self.board)
    }

    /// The next question.
    fn question(&mut self) -> Result<(u8, Vec<u8>), Failed> {
        match self.files.question()? {
            Some(question) => Ok(question),
            None => Err(self.board.fails("the board does not ask")),
        }
    }

    /// Answers questions, up to the board's next turn; whether its handler was called.
    fn until_turn(&mut self) -> Result<bool, Failed> {
        let mut is_called = false;
        loop {
            let (kind, octets) = self.question()?;
            let number = || octets.first_chunk().map_or(0, |octets| u16::from_le_bytes(*octets));
            let actor = &mut self.actor;
            is_called |= !matches!(kind, b'!' | b'o' | b'u');
            let answer = match kind {
                b'!' => {
                    self.connections = octets.first().copied().unwrap_or(0);
                    let order = std::mem::replace(&mut self.order, b'!');
                    self.files.answer(order, &self.now.total_micros().to_le_bytes())?;
                    return Ok(is_called);
                }
                b'o' => {
                    let room = u32::try_from(actor.room(Waker::noop())).unwrap_or(u32::MAX);
                    self.files.answer(b'!', &room.to_le_bytes())?;
                    continue;
                }
                b'u' => actor.resume(Waker::noop()),
                b'c' => actor.hear(&String::from_utf8_lossy(&octets)),
                b'm' => actor.message(number()),
                b't' => match actor.text(&octets) {
                    Flow::Continue => Answer::Accept,
                    Flow::Refuse(reply) => Answer::Reply(reply),
                },
                b'r' => {
                    actor.reset();
                    Answer::Accept
                }
                b'e' => {
                    actor.closed(ending(&octets).ok_or("an ending that is not known")?);
                    Answer::Accept
                }
                _ => return Err(format!("a question that is not known: {kind}").into()),
            };
            match answer {
                Answer::Accept => self.files.answer(b'a', &[])?,
                Answer::Reply(reply) => self.files.answer(b'r', &written(&reply))?,
                _ => self.files.answer(b'l', &[])?,
            }
        }
    }

    fn client(&mut self) -> &mut tcp::Socket<'static> {
        self.clients.socket(self.client)
    }

    /// Goes on until nothing moves any more, not even after a while.
    fn turn(&mut self, said: &mut Vec<u8>) {
        let mut quiet = 0;
        while quiet < QUIET || !self.is_taken() && quiet < 5 * QUIET {
            self.now += Duration::from_millis(if quiet > 2 { 20 } else { 1 });
            let before = (said.len(), self.unsent.len());
            let client = self.clients.socket(self.client);
            let sent = client.send_slice(&self.unsent[..self.cut.min(self.unsent.len())]).unwrap_or(0);
            self.unsent.drain(..sent);
            self.clients.poll(self.now);
            let is_called = self.until_turn().unwrap_or_else(|failed| panic!("{}", failed.message().unwrap_or("")));
            self.clients.poll(self.now);
            let client = self.clients.socket(self.client);
            while client.can_recv() && client.recv(|ring| (ring.len(), said.extend_from_slice(ring))).is_ok() {}
            let has_moved = is_called || (said.len(), self.unsent.len()) != before;
            quiet = if has_moved { 0 } else { quiet + 1 };
        }
    }

    /// Whether the board has all that was sent.
    fn is_taken(&mut self) -> bool {
        self.unsent.is_empty() && self.client().send_queue() == 0
    }
}

impl Connection for Remote {
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
            // At the board's next turn; what is said then is heard.
            Act::Stop => {
                self.order = b's';
                return;
            }
            Act::Stall => return,
        }
        self.turn(&mut Vec::new());
        // A reset is acknowledged by nobody.
        let mut more = 50;
        while act == Act::Reset && self.connections > 0 && more > 0 {
            self.turn(&mut Vec::new());
            more -= 1;
        }
    }

    fn pass(&mut self, time: std::time::Duration, said: &mut Vec<u8>) -> bool {
        self.turn(said);
        let end = self.now + time.into();
        while self.now < end {
            // Both stacks ask each other now and then whether they are still there.
            self.now = end.min(self.now + Duration::from_secs(20));
            self.turn(said);
        }
        true
    }
}

/// The settings that the board knows, a line each.
fn settings(script: &Script) -> String {
    let of_the_player = ["not", "limit", "pipelined", "reads", "cut"];
    let script = script.to_string();
    let settings = script.lines().filter_map(|line| line.strip_prefix("@ "));
    let settings = settings.filter(|setting| !of_the_player.contains(&setting.split(' ').next().unwrap_or("")));
    settings.map(|setting| format!("{setting}\n")).collect()
}

fn ending(octets: &[u8]) -> Option<Ending> {
    Some(match octets {
        b"quit" => Ending::Quit,
        b"refu" => Ending::Refused,
        b"limi" => Ending::Limit,
        b"lost" => Ending::Lost,
        b"expi" => Ending::Expired,
        b"stop" => Ending::Stopping,
        b"faul" => Ending::Fault,
        _ => return None,
    })
}

/// A reply as the board reads it.
fn written(reply: &Reply<'_>) -> Vec<u8> {
    let enhanced = reply.enhanced_code();
    let (subject, detail) = enhanced.map_or((0, 0), |enhanced| (enhanced.subject, enhanced.detail));
    let mut octets = reply.code().to_le_bytes().to_vec();
    octets.extend([u8::from(enhanced.is_some()), subject]);
    octets.extend(detail.to_le_bytes());
    octets.extend(reply.text());
    octets
}
