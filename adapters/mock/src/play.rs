//! Plays a script's client against a server, by whatever reaches it.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use smtpd_core::server::{Handler, Peer, Session};

use crate::notes::Notes;
use crate::player::{Player, Step};
use crate::{Act, Actor, Clock, End, Mismatch, Mode, Reads, Script, Side, Witness, escape};

/// A way to reach a server.
pub trait Driver {
    /// Its name, as scripts call it.
    fn name(&self) -> &'static str;

    /// Connects to a server with the script's settings, whose handler is `actor` and which reads as the script says.
    fn connect<'s>(&self, script: &'s Script, actor: Actor) -> Box<dyn Connection + 's>;
}

/// A connection to a server.
pub trait Connection {
    /// Sends octets; what the server does not take any more is lost.
    fn send(&mut self, octets: &[u8]);

    /// Adds what the server says to `said`, as soon as it says anything, or it is plain that nothing will come.
    fn receive(&mut self, said: &mut Vec<u8>) -> Received;

    /// Does something to the connection once the server has taken all that was sent.
    fn act(&mut self, act: Act);

    /// Lets time pass, and adds what the server says meanwhile; false: there is no clock at hand.
    fn pass(&mut self, time: Duration, said: &mut Vec<u8>) -> bool {
        let _ = (time, said);
        false
    }

    /// How long until something will happen by itself; none: nothing will.
    fn next(&mut self) -> Option<Duration> {
        None
    }

    /// What the server waits for, to be read behind `the server waits`.
    fn waits_for(&self) -> String {
        String::new()
    }
}

/// What came from a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// Something; more may be there.
    More,
    /// Nothing, and nothing will as things are.
    Nothing,
    /// Perhaps something, and then the end.
    End,
}

/// What came of a dialogue that was as its script says.
#[derive(Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Played {
    /// All that the other side said.
    pub said: Vec<u8>,
    /// All that the script's side said.
    pub told: Vec<u8>,
    /// All that the handler heard, if the script had one: `rcpt <b@b.example>`.
    pub heard: Vec<String>,
    /// The time that it took, on its clock.
    pub took: Duration,
    /// The other side would have waited for ever: it has no timeout of its own.
    pub is_stuck: bool,
}

impl fmt::Debug for Played {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Played")
            .field("said", &format_args!("\"{}\"", escape(&self.said)))
            .field("told", &format_args!("\"{}\"", escape(&self.told)))
            .field("heard", &self.heard)
            .field("took", &self.took)
            .field("is_stuck", &self.is_stuck)
            .finish()
    }
}

/// How long a server in another thread may take to end after its client went.
#[cfg(feature = "std")]
const END: Duration = Duration::from_secs(15);

/// Plays a script once against a server whose handler plays its part too.
///
/// # Errors
/// The first difference.
pub fn play(script: &Script, driver: &dyn Driver) -> Result<Played, Box<Mismatch>> {
    let actor = Actor::new(script);
    let notes = actor.notes();
    let connection = driver.connect(script, actor);
    perform(script, connection, &notes, driver.name())
}

impl Script {
    /// Plays the client against a handler in a session in memory, and compares what it hears, if the script says that.
    ///
    /// ```
    /// use smtpd_core::handlers::Sink;
    /// use smtpd_mock::Script;
    /// let script = Script::parse("sink.txt", "\
    /// S: 220 {*}
    /// C: HELO a.example
    /// S: 250 {*}
    /// C: RCPT TO:<b@b.example>
    /// S: 503 {*}
    /// !drop
    /// ").unwrap();
    /// script.play(&mut Sink).unwrap();
    /// ```
    ///
    /// # Errors
    /// The first difference. A panic of the handler, too: it names the place in the script.
    pub fn play(&self, handler: &mut impl Handler) -> Result<Played, Box<Mismatch>> {
        if let Some((at, call)) = self.calls().find(|(_, call)| call.response.is_some() || call.later > 0) {
            let expected = "a call without an answer: the handler gives its own".into();
            return Err(Mismatch::new(self, Some(at), expected, format!("H: {call}"), &[]));
        }
        let witness = Witness::new(self, handler);
        let notes = witness.notes();
        let session = Session::new(&self.config, Peer::default());
        perform(self, Box::new(End::new(session, witness, self.reads, &Clock::new())), &notes, "")
    }
}

/// The script's client against a connection.
fn perform(
    script: &Script,
    mut connection: Box<dyn Connection + '_>,
    notes: &Notes,
    driver: &str,
) -> Result<Played, Box<Mismatch>> {
    let mut player = Player::new(script, Side::Client);
    let mut took = Duration::ZERO;
    let result = caught(|| converse(&mut player, &mut *connection, &mut took));
    let waits = match connection.waits_for() {
        server if server.is_empty() => server,
        server => format!("the script waits for {}, the server waits {server}", player.waits_for()),
    };
    let result = result.unwrap_or_else(|why| Err(player.fails(player.waits_for(), format!("a panic: {why}"))));
    // Whoever drives the server must not end it before the session came to its own end.
    #[cfg(feature = "std")]
    let is_over = {
        let is_over = result.is_ok() && notes.wait(END);
        drop(connection);
        is_over || notes.wait(END)
    };
    #[cfg(not(feature = "std"))]
    let is_over = {
        drop(connection);
        notes.is_gone()
    };
    let late = || (!is_over).then(|| player.fails("the end of the session".into(), "none".into()));
    let on_the_wire = result.err().map(|mismatch| mismatch.waits(waits));
    let mismatch = Mismatch::first(script, notes, on_the_wire).or_else(late);
    match mismatch {
        Some(mismatch) => Err(mismatch.how(how(script, driver)).heard(notes.calls())),
        None => Ok(Played { heard: notes.calls(), ..player.played(took) }),
    }
}

/// In which way a script is played.
pub(crate) fn how(script: &Script, driver: &str) -> String {
    let comma = if driver.is_empty() { "" } else { ", " };
    let mode = match script.mode {
        Mode::LockStep => "",
        Mode::Pipelined => "pipelined, ",
    };
    match script.reads {
        Reads::Of(usize::MAX) => format!("{driver}{comma}{mode}whole reads"),
        Reads::Of(octets) => format!("{driver}{comma}{mode}reads of {octets}"),
        Reads::Cut(at) => format!("{driver}{comma}{mode}a read ends at octet {at}"),
    }
}

fn converse(player: &mut Player, connection: &mut dyn Connection, took: &mut Duration) -> Result<(), Box<Mismatch>> {
    let mut said = Vec::new();
    player.check()?;
    loop {
        match player.step()? {
            Step::Done => return Ok(()),
            Step::Say(octets) => connection.send(&octets),
            Step::Act(act) => connection.act(act),
            Step::Pass(time) => {
                if !connection.pass(time, &mut said) {
                    return Err(player.fails("a driver with a clock".into(), "none".into()));
                }
                *took = took.saturating_add(time);
            }
            Step::Listen => match connection.receive(&mut said) {
                Received::More => {}
                Received::End => {
                    player.hear(&said);
                    said.clear();
                    player.closed();
                }
                Received::Nothing if player.quiet() => {}
                Received::Nothing => {
                    let time = connection.next().filter(|time| took.saturating_add(*time) <= player.script().limit);
                    let Some(time) = time else { return Err(player.nothing()) };
                    connection.pass(time, &mut said);
                    *took = took.saturating_add(time);
                }
            },
        }
        player.hear(&said);
        said.clear();
    }
}

/// What a call gives, or why it panicked.
pub(crate) fn caught<T>(call: impl FnOnce() -> T) -> Result<T, String> {
    #[cfg(feature = "std")]
    return std::panic::catch_unwind(std::panic::AssertUnwindSafe(call)).map_err(|why| {
        let text = why.downcast_ref::<String>().map(String::as_str);
        text.or_else(|| why.downcast_ref::<&str>().copied()).unwrap_or("of another kind").into()
    });
    #[cfg(not(feature = "std"))]
    Ok(call())
}
