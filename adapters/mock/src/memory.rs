//! A server's end without I/O: a session and its handler, stepped until nothing moves.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::task::Waker;
use core::time::Duration;

use smtpd_core::server::{Config, Ending, Handler, Progress, Session, State, Watch, step};
use smtpd_core::store::Store;

use crate::{Act, Actor, Clock, Connection, Driver, Reads, Received, Script};

/// A server in memory, and what it was sent.
#[derive(Debug)]
pub struct End<'c, H, L: Store, O: Store> {
    /// The session.
    pub session: Session<'c, L, O>,
    /// Its handler.
    pub handler: H,
    clock: Clock,
    watch: Watch,
    input: Vec<u8>,
    /// Octets of the input that were read, taken or not.
    read: usize,
    /// Octets that were read in all.
    all: usize,
    reads: Reads,
    progress: Progress,
    is_closed: bool,
    is_stalled: bool,
    trips: u32,
    has_spoken: bool,
}

/// Steps without any effect after which a session counts as stuck: more than an actor says `Later`.
const STUCK: u32 = 64;

impl<'c, H: Handler, L: Store, O: Store> End<'c, H, L, O> {
    /// A server that reads so, on this clock.
    pub fn new(session: Session<'c, L, O>, handler: H, reads: Reads, clock: &Clock) -> Self {
        Self {
            session,
            handler,
            clock: clock.clone(),
            watch: Watch::new(clock.millis()),
            input: Vec::new(),
            read: 0,
            all: 0,
            reads,
            progress: Progress::Moved,
            is_closed: false,
            is_stalled: false,
            trips: 0,
            has_spoken: false,
        }
    }

    /// The peer sends octets.
    pub fn send(&mut self, octets: &[u8]) {
        if !self.is_closed {
            self.input.extend_from_slice(octets);
        }
    }

    /// Steps until nothing moves; adds what it said.
    ///
    /// # Panics
    /// When the session spins: steps move nothing and go on saying that they do. When it goes on after its end.
    pub fn turn(&mut self, said: &mut Vec<u8>) {
        let (mut still, before) = (0, said.len());
        let mut taken_in_all = 0;
        while still < STUCK {
            let mut input = &self.input[taken_in_all..self.read];
            let given = input.len();
            self.progress = step(&mut self.session, &mut input, &mut self.handler, Waker::noop());
            let taken = given - input.len();
            taken_in_all += taken;
            let mut moved = taken > 0;
            if taken > 0 && self.has_spoken {
                self.trips += 1;
                self.has_spoken = false;
            }
            if self.progress != Progress::Moved {
                let output = self.session.output();
                said.extend_from_slice(output);
                moved |= !output.is_empty();
                let sent = output.len();
                self.session.sent(sent);
            }
            if matches!(self.progress, Progress::Read | Progress::Wait { read: true }) {
                moved |= self.read();
            }
            match self.progress {
                Progress::Closed => {
                    self.is_closed = true;
                    self.stay_closed();
                    break;
                }
                Progress::Read if !moved => break,
                _ => still = if moved { 0 } else { still + 1 },
            }
            assert!(still < STUCK || self.progress != Progress::Moved, "the session spins");
        }
        self.input.drain(..taken_in_all);
        self.read -= taken_in_all;
        self.has_spoken |= said.len() > before;
    }

    /// Reads once; true if anything came.
    fn read(&mut self) -> bool {
        let there = self.input.len() - self.read;
        let more = match self.reads {
            Reads::Of(octets) => octets.min(there),
            Reads::Cut(at) if self.all < at => (at - self.all).min(there),
            Reads::Cut(_) => there,
        };
        self.read += more;
        self.all += more;
        more > 0
    }

    /// A session that is over stays so: further steps say it again, and its handler hears nothing more.
    fn stay_closed(&mut self) {
        for _ in 0..2 {
            let progress = step(&mut self.session, &mut &b"NOOP\r\n"[..], &mut self.handler, Waker::noop());
            assert_eq!(progress, Progress::Closed, "the session was over");
            assert!(self.session.output().is_empty(), "the session was over");
        }
    }

    /// Whether the session is over.
    pub fn is_closed(&self) -> bool {
        self.is_closed
    }

    /// How often it had said something and then read on: round trips.
    pub fn trips(&self) -> u32 {
        self.trips
    }

    /// Ends the session from outside.
    pub fn end(&mut self, why: Ending) {
        self.session.end(why);
    }

    /// Lets time pass, and the session's timer with it; adds what it says.
    pub fn pass(&mut self, time: Duration, said: &mut Vec<u8>) {
        let end = self.clock.now().saturating_add(time);
        loop {
            self.turn(said);
            let rest = end.saturating_sub(self.clock.now());
            let left = self.left().unwrap_or(Duration::MAX);
            if left > rest {
                self.clock.advance(rest);
                return self.turn(said);
            }
            self.clock.advance(left);
            self.session.end(Ending::Expired);
        }
    }

    /// The time that the session has left, if it has not for ever.
    fn left(&mut self) -> Option<Duration> {
        if self.is_closed {
            return None;
        }
        let left = self.watch.left(&self.session, self.clock.millis())?;
        Some(Duration::from_millis(left.into()))
    }

    fn waits_for(&self) -> String {
        match (self.progress, self.session.state()) {
            (Progress::Closed, _) => "for nothing: its session is over".into(),
            (Progress::Wait { .. }, State::Text) => "for its handler to have room for text".into(),
            (Progress::Wait { .. }, state) => {
                format!("for its handler's answer ({} open, {state:?})", self.session.open())
            }
            (_, State::Text) => "for text, or the end of it".into(),
            (_, state) => format!("for a command ({state:?})"),
        }
    }
}

/// The driver without I/O.
#[derive(Debug)]
pub struct Memory<F> {
    session: F,
    name: &'static str,
    later: u32,
}

impl<F> Memory<F> {
    /// Makes sessions by `session`, which chooses their storage.
    pub fn new<L: Store, O: Store>(session: F) -> Self
    where
        F: for<'c> Fn(&'c Config<'c>) -> Session<'c, L, O>,
    {
        Self { session, name: "memory", later: 0 }
    }

    /// The same under another name.
    #[must_use]
    pub fn named(self, name: &'static str) -> Self {
        Self { name, ..self }
    }

    /// Each answer comes only when it was asked for `times` more times.
    #[must_use]
    pub fn later(self, times: u32) -> Self {
        Self { later: times, ..self }
    }
}

impl<F, L: Store + 'static, O: Store + 'static> Driver for Memory<F>
where
    F: for<'c> Fn(&'c Config<'c>) -> Session<'c, L, O>,
{
    fn name(&self) -> &'static str {
        self.name
    }

    fn connect<'s>(&self, script: &'s Script, actor: Actor) -> Box<dyn Connection + 's> {
        let session = (self.session)(&script.config);
        Box::new(End::new(session, actor.later(self.later), script.reads, &Clock::new()))
    }
}

impl<H: Handler, L: Store, O: Store> Connection for End<'_, H, L, O> {
    fn send(&mut self, octets: &[u8]) {
        End::send(self, octets);
    }

    fn receive(&mut self, said: &mut Vec<u8>) -> Received {
        let before = said.len();
        self.turn(said);
        match () {
            () if self.is_closed => Received::End,
            () if said.len() > before => Received::More,
            () => Received::Nothing,
        }
    }

    fn act(&mut self, act: Act) {
        let mut said = Vec::new();
        self.turn(&mut said);
        match act {
            Act::Drop | Act::Reset => {
                self.end(Ending::Lost);
                self.turn(&mut said);
            }
            Act::Stop => self.end(Ending::Stopping),
            Act::Stall => self.is_stalled = true,
        }
    }

    fn pass(&mut self, time: Duration, said: &mut Vec<u8>) -> bool {
        End::pass(self, time, said);
        true
    }

    fn next(&mut self) -> Option<Duration> {
        // A command that the script does not say comes at no time.
        let waits_for_itself = matches!(self.progress, Progress::Wait { .. }) || self.is_stalled;
        if waits_for_itself { self.left() } else { None }
    }

    fn waits_for(&self) -> String {
        End::waits_for(self)
    }
}
