//! Whole sessions, played to their end and held to what must be true of each. Also used by ../../../tests/fuzz.
#![allow(unreachable_pub)]

mod manners;
mod rules;

use std::cell::Cell;
use std::task::Waker;

use heapless::Vec as Inline;
pub use manners::Manners;
pub use rules::{hold_answers, hold_replies_against_input, hold_transactions, without_recipients_of_nobody};
use smtpd_core::server::{Answer, Config, Ending, Event, Flow, Peer, Progress, Session, State, step};
use smtpd_core::store::Store;
use smtpd_core::wire::Reply;

use crate::common::Notes;

/// How a driver reads and writes.
#[derive(Clone, Debug)]
pub struct Ways {
    /// Octets of each read, over and over.
    pub reads: Vec<usize>,
    /// Octets of a write when the output is full.
    pub write: usize,
    /// Which of `STORAGES`.
    pub storage: usize,
}

/// Octets of line and output: the least, the default, a host's.
pub const STORAGES: [(usize, usize); 4] = [(512, 512), (1024, 1024), (2304, 4096), (512, 4096)];

/// What came of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    pub said: String,
    pub heard: Vec<String>,
    pub is_closed: bool,
}

/// The octets of a command line that are still a line.
pub fn line_limit(config: &Config<'_>, storage: usize) -> usize {
    match config.limits.line {
        0 => STORAGES[storage].0,
        line => STORAGES[storage].0.min(line.into()),
    }
}

pub fn play(config: &Config<'_>, input: &[u8], ways: &Ways, notes: Notes<'_>) -> Outcome {
    let peer = Peer::default();
    // What the host's kinds of storage hold; the inline ones hold the same all the time.
    let (lines, outputs) = (Cell::new(0), Cell::new(0));
    let held = || (lines.get(), outputs.get());
    match ways.storage {
        0 => {
            let session = Session::with(config, peer, Inline::<u8, 512>::new(), Inline::<u8, 512>::new());
            drive(session, input, ways, notes, held)
        }
        1 => drive(Session::new(config, peer), input, ways, notes, held),
        2 => {
            let (line, output) = (Counted::<2304>::new(&lines), Counted::<4096>::new(&outputs));
            drive(Session::with(config, peer, line, output), input, ways, notes, held)
        }
        _ => {
            let output = Counted::<4096>::new(&outputs);
            drive(Session::with(config, peer, Inline::<u8, 512>::new(), output), input, ways, notes, held)
        }
    }
}

/// Drives a session to the end of the input and loses the connection there; holds it to the loop's contract meanwhile.
fn drive<L: Store, O: Store>(
    mut session: Session<'_, L, O>,
    input: &[u8],
    ways: &Ways,
    mut notes: Notes<'_>,
    held: impl Fn() -> (usize, usize),
) -> Outcome {
    let mut said = Vec::new();
    let mut reads = ways.reads.iter().cycle();
    let (mut from, mut to) = (0, 0);
    // Liveness: a bound for each octet, with room for handlers that defer and for slow writes.
    let bound = 200 + input.len() * 20;
    for steps in 0.. {
        assert!(steps < bound + said.len(), "the session spins");
        let mut piece = &input[from..to];
        let progress = step(&mut session, &mut piece, &mut notes, Waker::noop());
        let taken = to - from - piece.len();
        from += taken;
        let output = session.output();
        let (_, capacity) = STORAGES[ways.storage];
        assert!(output.len() <= capacity, "more output than there is room for");
        let send = match progress {
            Progress::Moved => 0,
            Progress::Write => ways.write.min(output.len()),
            _ => output.len(),
        };
        assert!(progress != Progress::Write || send > 0, "nothing to write");
        said.extend_from_slice(&output[..send]);
        session.sent(send);
        if session.output().is_empty() {
            assert_eq!(held().1, 0, "an output is kept for nothing");
        }
        match progress {
            Progress::Closed => break,
            Progress::Read if from < to => assert!(taken > 0 || send > 0, "input is left and nothing to wait for"),
            Progress::Read | Progress::Wait { read: true } if to < input.len() => {
                to = input.len().min(to + reads.next().copied().unwrap_or(1));
            }
            Progress::Read => break,
            Progress::Moved | Progress::Write | Progress::Wait { .. } => {}
            Progress::StartTls => unreachable!("not switched on"),
        }
    }
    let is_closed = session.ending().is_some();
    if !is_closed && input.ends_with(b"\r\n") && session.state() == State::Ready {
        assert_eq!(held(), (0, 0), "an idle session holds something");
    }
    session.end(Ending::Lost);
    while step(&mut session, &mut &b""[..], &mut notes, Waker::noop()) != Progress::Closed {}
    // There is nothing behind the end.
    for why in [Ending::Stopping, Ending::Expired] {
        session.end(why);
        session.flow(Flow::Refuse(Reply::new(421, "late")));
        assert!(!session.answer(Answer::Accept));
        assert_eq!(session.poll(&mut &b"NOOP\r\n"[..], 9), Event::Idle);
        assert_eq!(step(&mut session, &mut &b"NOOP\r\n"[..], &mut notes, Waker::noop()), Progress::Closed);
    }
    assert_eq!(session.output(), b"");
    assert_eq!(held().1, 0);
    let said = String::from_utf8(said).expect("replies are ASCII");
    Outcome { said, heard: notes.heard, is_closed }
}

/// A host's storage, made while it is needed; counts what it holds.
struct Counted<'h, const N: usize> {
    octets: Option<Box<Inline<u8, N>>>,
    held: &'h Cell<usize>,
}

impl<'h, const N: usize> Counted<'h, N> {
    fn new(held: &'h Cell<usize>) -> Self {
        Self { octets: None, held }
    }
}

impl<const N: usize> Store for Counted<'_, N> {
    fn view(&mut self) -> &mut heapless::VecView<u8> {
        self.held.set(N);
        &mut **self.octets.get_or_insert_default()
    }
    fn octets(&self) -> &[u8] {
        self.octets.as_deref().map_or(&[], |octets| octets)
    }
    fn room(&self) -> usize {
        N - self.octets().len()
    }
    fn release(&mut self) {
        self.held.set(0);
        self.octets = None;
    }
}
