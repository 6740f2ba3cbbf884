//! smtpd-nal's server over a stack in memory, with one client and two places.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::task::Waker;
use std::time::Duration;

use embedded_nal::{TcpClientStack, TcpError, TcpErrorKind, TcpFullStack, nb};
use smtpd_mock::{Act, Actor, Connection, Driver, Notes, Received, Script};
use smtpd_nal::{Next, Server};

pub(crate) struct Nal;

impl Driver for Nal {
    fn name(&self) -> &'static str {
        "nal"
    }

    fn connect<'s>(&self, script: &'s Script, actor: Actor) -> Box<dyn Connection + 's> {
        let mut stack = Stack { reads: super::cut(script), ..Stack::default() };
        // The first client gets the first place.
        let notes = actor.notes();
        let mut server = Server::new(&script.config, [actor, Actor::new(script)]);
        server.bind(&mut stack, 25).expect("a port");
        Box::new(Looped { server, stack, notes, now: u32::MAX - 60_000, wait: None })
    }
}

struct Looped<'s> {
    server: Server<'s, Stack, Actor, 2, 300>,
    stack: Stack,
    notes: Notes,
    /// Wraps within a minute.
    now: u32,
    /// How long the last poll said that one may sleep.
    wait: Option<u32>,
}

/// Polls without news after which nothing will come by itself: more than an actor says `Later`.
const QUIET: u32 = 8;

impl Looped<'_> {
    fn turn(&mut self, said: &mut Vec<u8>) {
        let mut quiet = 0;
        while quiet < QUIET {
            quiet = match self.server.poll(&mut self.stack, self.now, Waker::noop()).expect("a stack without faults") {
                Next::Now => 0,
                Next::Wait(time) => {
                    self.wait = time;
                    quiet + 1
                }
            };
        }
        said.append(&mut self.stack.said);
    }
}

impl Connection for Looped<'_> {
    fn send(&mut self, octets: &[u8]) {
        self.stack.input.extend(octets);
    }

    fn receive(&mut self, said: &mut Vec<u8>) -> Received {
        let before = said.len();
        self.turn(said);
        let is_over = self.stack.is_accepted && self.is_over();
        match () {
            () if is_over => Received::End,
            () if said.len() > before => Received::More,
            () => Received::Nothing,
        }
    }

    fn act(&mut self, act: Act) {
        self.turn(&mut Vec::new());
        match act {
            Act::Drop => self.stack.is_done = true,
            Act::Reset => self.stack.is_broken = true,
            Act::Stop => self.server.stop(&mut self.stack).expect("a stack without faults"),
            Act::Stall => {}
        }
        if matches!(act, Act::Drop | Act::Reset) {
            self.turn(&mut Vec::new());
        }
    }

    fn pass(&mut self, time: Duration, said: &mut Vec<u8>) -> bool {
        self.turn(said);
        let mut left = time.as_millis() as u32;
        while left > 0 {
            let step = self.wait.map_or(left, |wait| wait.clamp(1, left));
            self.now = self.now.wrapping_add(step);
            left -= step;
            self.turn(said);
        }
        true
    }

    fn next(&mut self) -> Option<Duration> {
        self.wait.map(|millis| Duration::from_millis(millis.max(1).into()))
    }
}

impl Looped<'_> {
    /// The server goes on to read what still comes, until its client closes, too.
    fn is_over(&mut self) -> bool {
        let is_told = self.notes.is_gone();
        if is_told {
            self.stack.is_done = true;
            self.turn(&mut Vec::new());
        }
        is_told && self.server.connections() == 0
    }
}

/// One connection.
#[derive(Default)]
struct Stack {
    input: VecDeque<u8>,
    said: Vec<u8>,
    /// Octets that are read at once.
    reads: usize,
    is_accepted: bool,
    is_done: bool,
    is_broken: bool,
}

#[derive(Debug)]
struct Broken;

impl TcpError for Broken {
    fn kind(&self) -> TcpErrorKind {
        TcpErrorKind::Other
    }
}

impl TcpClientStack for Stack {
    type TcpSocket = ();
    type Error = Broken;

    fn socket(&mut self) -> Result<(), Broken> {
        Ok(())
    }

    fn connect(&mut self, (): &mut (), _: SocketAddr) -> nb::Result<(), Broken> {
        Err(nb::Error::Other(Broken))
    }

    fn send(&mut self, (): &mut (), octets: &[u8]) -> nb::Result<usize, Broken> {
        // Short writes, so that replies go out in pieces.
        let count = octets.len().min(50);
        self.said.extend_from_slice(&octets[..count]);
        if self.is_broken { Err(nb::Error::Other(Broken)) } else { Ok(count) }
    }

    fn receive(&mut self, (): &mut (), buffer: &mut [u8]) -> nb::Result<usize, Broken> {
        let count = buffer.len().min(self.reads).min(self.input.len());
        for (octet, said) in buffer.iter_mut().zip(self.input.drain(..count)) {
            *octet = said;
        }
        match count {
            0 if self.is_broken => Err(nb::Error::Other(Broken)),
            0 if !self.is_done => Err(nb::Error::WouldBlock),
            _ => Ok(count),
        }
    }

    fn close(&mut self, (): ()) -> Result<(), Broken> {
        Ok(())
    }
}

impl TcpFullStack for Stack {
    fn bind(&mut self, (): &mut (), _: u16) -> Result<(), Broken> {
        Ok(())
    }

    fn listen(&mut self, (): &mut ()) -> Result<(), Broken> {
        Ok(())
    }

    fn accept(&mut self, (): &mut ()) -> nb::Result<((), SocketAddr), Broken> {
        match std::mem::replace(&mut self.is_accepted, true) {
            false => Ok(((), ([127, 0, 0, 1], 49_152).into())),
            true => Err(nb::Error::WouldBlock),
        }
    }
}
