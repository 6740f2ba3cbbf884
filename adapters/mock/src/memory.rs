//! A server's end without I/O: a session and its handler, stepped until nothing moves.

use std::task::Waker;

use smtpd_core::server::{Config, Ending, Handler, Progress, Session, step};
use smtpd_core::store::Store;

use crate::{Actor, Connection, Driver, Outside, Transcript};

/// A server in memory, and what it was sent.
#[derive(Debug)]
pub struct End<'c, H, L: Store, O: Store> {
    /// The session.
    pub session: Session<'c, L, O>,
    /// Its handler.
    pub handler: H,
    input: Vec<u8>,
    /// Octets of the input that were read, taken or not.
    read: usize,
    cut: usize,
    is_closed: bool,
    trips: u32,
    has_spoken: bool,
}

/// Steps without any effect after which a session counts as stuck: more than an actor says `Later`.
const STUCK: u32 = 64;

impl<'c, H: Handler, L: Store, O: Store> End<'c, H, L, O> {
    /// A server that reads at most `cut` octets at once.
    pub fn new(session: Session<'c, L, O>, handler: H, cut: usize) -> Self {
        let input = Vec::new();
        Self { session, handler, input, read: 0, cut, is_closed: false, trips: 0, has_spoken: false }
    }

    /// The peer sends octets.
    pub fn send(&mut self, octets: &[u8]) {
        if !self.is_closed {
            self.input.extend_from_slice(octets);
        }
    }

    /// Steps until nothing moves; what it said.
    ///
    /// # Panics
    /// When the session spins: steps move nothing and go on saying that they do. When it goes on after its end.
    pub fn turn(&mut self) -> Vec<u8> {
        let mut said = Vec::new();
        let mut still = 0;
        while still < STUCK {
            let mut input = &self.input[..self.read];
            let progress = step(&mut self.session, &mut input, &mut self.handler, Waker::noop());
            let taken = self.read - input.len();
            self.input.drain(..taken);
            self.read -= taken;
            let mut moved = taken > 0;
            if taken > 0 && self.has_spoken {
                self.trips += 1;
                self.has_spoken = false;
            }
            if progress != Progress::Moved {
                let output = self.session.output();
                said.extend_from_slice(output);
                moved |= !output.is_empty();
                let sent = output.len();
                self.session.sent(sent);
            }
            if matches!(progress, Progress::Read | Progress::Wait { read: true }) {
                let more = self.cut.min(self.input.len() - self.read);
                self.read += more;
                moved |= more > 0;
            }
            match progress {
                Progress::Closed => {
                    self.is_closed = true;
                    self.stay_closed();
                    break;
                }
                Progress::Read if !moved => break,
                _ => still = if moved { 0 } else { still + 1 },
            }
            assert!(still < STUCK || progress != Progress::Moved, "the session spins");
        }
        self.has_spoken |= !said.is_empty();
        said
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

    fn connect<'t>(&self, transcript: &'t Transcript, actor: Actor, cut: usize) -> Box<dyn Connection + 't> {
        Box::new(End::new((self.session)(&transcript.config), actor.later(self.later), cut))
    }
}

impl<H: Handler, L: Store, O: Store> Connection for End<'_, H, L, O> {
    fn send(&mut self, octets: &[u8]) {
        End::send(self, octets);
    }

    fn receive(&mut self, said: &mut Vec<u8>, _: usize) -> bool {
        said.extend(self.turn());
        self.is_closed
    }

    fn outside(&mut self, what: Outside) {
        self.turn();
        self.end(match what {
            Outside::Lost => Ending::Lost,
            Outside::Expired => Ending::Expired,
            Outside::Stopping => Ending::Stopping,
        });
        self.turn_if_lost(what);
    }
}

impl<H: Handler, L: Store, O: Store> End<'_, H, L, O> {
    /// Nobody listens any more.
    fn turn_if_lost(&mut self, what: Outside) {
        if what == Outside::Lost {
            self.turn();
        }
    }
}
