//! The client's part: sends, waits, compares; and says what differs so that a person sees it at a glance.

use core::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::{Act, Actor, Transcript, escape};

/// A way to reach a server.
pub trait Driver {
    /// Its name, as transcripts call it.
    fn name(&self) -> &'static str;

    /// Connects to a server with the transcript's settings, whose handler is `actor` and which reads at most `cut`
    /// octets at once.
    fn connect<'t>(&self, transcript: &'t Transcript, actor: Actor, cut: usize) -> Box<dyn Connection + 't>;
}

/// A connection to a server.
pub trait Connection {
    /// Sends octets; what the server does not take any more is lost.
    fn send(&mut self, octets: &[u8]);

    /// Adds what the server says to `said`, until there are `wanted` octets, the server closed, or it is plain that no
    /// more will come. Octets beyond that are added as far as they are there already. True: the server closed.
    fn receive(&mut self, said: &mut Vec<u8>, wanted: usize) -> bool;

    /// Makes something happen to the session once it has taken all that was sent.
    fn outside(&mut self, what: Outside);
}

/// What happens to a session from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outside {
    /// The connection breaks.
    Lost,
    /// A timer runs out.
    Expired,
    /// The server stops.
    Stopping,
}

/// How the client sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// It waits for each reply, and nothing more may have come then.
    LockStep,
    /// It sends all it has at once.
    Pipelined,
}

/// What differs from the transcript.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// The file.
    pub file: String,
    /// The line in it; 0: its end.
    pub line: usize,
    /// Driver, mode and cut.
    pub how: String,
    /// What was expected there.
    pub expected: String,
    /// What came.
    pub got: String,
    /// All that the handler heard.
    pub heard: Vec<String>,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, how, expected, got, heard } = self;
        writeln!(f, "{file}:{line} ({how})\n  expected  {expected}\n  got       {got}\n  heard:")?;
        let skipped = heard.len().saturating_sub(12);
        heard.iter().skip(skipped).try_for_each(|call| writeln!(f, "    {call:.200}"))
    }
}

impl std::error::Error for Mismatch {}

/// How long a server in another thread may take to end after its client went.
const END: Duration = Duration::from_secs(15);

/// Plays a transcript once. `cut`: octets that the server reads at once.
///
/// # Errors
/// The first difference.
pub fn play(transcript: &Arc<Transcript>, driver: &dyn Driver, cut: usize, mode: Mode) -> Result<(), Box<Mismatch>> {
    let actor = Actor::new(transcript);
    let notes = actor.notes();
    let mut connection = driver.connect(transcript, actor, cut);
    let mut client = Client { transcript, said: Vec::new(), expected: 0, is_closed: false };
    let wire = client.perform(&mut *connection, mode);
    // Whoever drives the server must not end it before the session came to its own end.
    let is_over = wire.is_ok() && notes.wait(END);
    drop(connection);
    let is_over = is_over || notes.wait(END);
    // A difference in what the handler hears comes first: replies differ because of it. What it did not hear comes last:
    // a session that differs on the wire is not played to its end.
    let late = || (!is_over).then(|| (0, "the end of the session".into(), "none".into()));
    let missing = || notes.missing().map(|(line, call)| (line, call, "nothing more".into()));
    let difference = notes.difference().or(wire.err()).or_else(missing).or_else(late);
    let Some((line, expected, got)) = difference else { return Ok(()) };
    let how = format!("{}, {mode:?}, reads of {cut}", driver.name());
    Err(Box::new(Mismatch { file: transcript.file.clone(), line, how, expected, got, heard: notes.calls() }))
}

type Difference = (usize, String, String);

struct Client<'t> {
    transcript: &'t Transcript,
    said: Vec<u8>,
    /// Octets that the server should have said.
    expected: usize,
    is_closed: bool,
}

impl Client<'_> {
    fn perform(&mut self, connection: &mut dyn Connection, mode: Mode) -> Result<(), Difference> {
        let mut acts = &self.transcript.acts[..];
        while !acts.is_empty() {
            let group = match mode {
                Mode::LockStep => lock_step(acts),
                Mode::Pipelined => pipelined(acts),
            };
            let (now, later) = acts.split_at(group);
            acts = later;
            let mut sent = Vec::new();
            for (_, act) in now {
                match act {
                    Act::Client(octets) => sent.extend_from_slice(octets),
                    Act::Server(octets) => self.expected += octets.len(),
                    Act::Outside(_) => {}
                }
            }
            if !sent.is_empty() {
                connection.send(&sent);
            }
            self.listen(connection, self.expected)?;
            if let Some((_, Act::Outside(what))) = now.last() {
                connection.outside(*what);
            }
        }
        if matches!(self.transcript.acts.last(), Some((_, Act::Outside(Outside::Lost)))) {
            return Ok(());
        }
        self.listen(connection, usize::MAX)?;
        match self.is_closed {
            true => Ok(()),
            false => Err((0, "the server closes".into(), "it does not".into())),
        }
    }

    fn listen(&mut self, connection: &mut dyn Connection, wanted: usize) -> Result<(), Difference> {
        if !self.is_closed {
            self.is_closed = connection.receive(&mut self.said, wanted);
        }
        let mut at = 0;
        for (line, act) in &self.transcript.acts {
            let Act::Server(octets) = act else { continue };
            let said = &self.said[at..];
            let wanted = &octets[..octets.len().min(self.expected - at)];
            if wanted.is_empty() {
                return match said {
                    [] => Ok(()),
                    _ => Err((*line, "nothing yet".into(), shown(said))),
                };
            }
            if !said.starts_with(wanted) {
                return Err((*line, escape(octets), shown(said)));
            }
            at += wanted.len();
        }
        match &self.said[at..] {
            [] => Ok(()),
            said => Err((0, "nothing more".into(), shown(said))),
        }
    }
}

/// Client, then server, then perhaps something from outside.
fn lock_step(acts: &[(usize, Act)]) -> usize {
    let mut end = acts.iter().take_while(|(_, act)| matches!(act, Act::Client(_))).count();
    end += acts[end..].iter().take_while(|(_, act)| matches!(act, Act::Server(_))).count();
    end + usize::from(matches!(acts.get(end), Some((_, Act::Outside(_)))))
}

/// All up to what happens from outside.
fn pipelined(acts: &[(usize, Act)]) -> usize {
    let outside = acts.iter().position(|(_, act)| matches!(act, Act::Outside(_)));
    outside.map_or(acts.len(), |at| at + 1)
}

fn shown(said: &[u8]) -> String {
    match said {
        [] => "nothing".into(),
        _ => escape(&said[..said.len().min(300)]),
    }
}
