//! Plays one side of a script on a real port, in real time.

use std::boxed::Box;
use std::format;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::string::{String, ToString};
use std::sync::{Arc, OnceLock};
use std::thread::{JoinHandle, sleep, spawn};
use std::time::{Duration, Instant};
use std::vec::Vec;

use crate::play::how;
use crate::player::{Player, Step};
use crate::{Act, Mismatch, Played, Script, Side};

/// Silence after which a run of any lines counts as over, where the script goes on behind it.
const QUIET: Duration = Duration::from_millis(200);

/// What a limit is that no clock can count: a hundred years.
const FOR_EVER: Duration = Duration::from_secs(100 * 365 * 86_400);

/// Octets behind the end after which nobody waits for more.
const MUCH: usize = 65_536;

/// How long the other end may take to close once this one has, so that no reset eats what was said last.
const LINGER: Duration = Duration::from_secs(1);

impl Script {
    /// Plays the server for the next client that connects: a real one, in another thread or process. `limit` is for all of
    /// it, waiting for the client included. [`listen`] does it in a thread.
    ///
    /// # Errors
    /// The first difference in what the client says; or no client came, or it did not go on within the limit.
    pub fn serve_on(&self, listener: &TcpListener, limit: Duration) -> Result<Played, Box<Mismatch>> {
        let until = Deadline::new(limit);
        let mut player = Player::new(self, Side::Server);
        player.check()?;
        match accept(listener, &until) {
            Ok(stream) => converse(player, stream, &until),
            Err(why) => Err(player.fails("a client that connects".into(), why)),
        }
    }

    /// Plays the client against a real server.
    ///
    /// # Errors
    /// The first difference in what the server says; or it can't be reached, or did not go on within the limit.
    pub fn call_on(&self, server: impl ToSocketAddrs, limit: Duration) -> Result<Played, Box<Mismatch>> {
        let until = Deadline::new(limit);
        let mut player = Player::new(self, Side::Client);
        player.check()?;
        match TcpStream::connect(server) {
            Ok(stream) => converse(player, stream, &until),
            Err(error) => Err(player.fails("a server that can be reached".into(), error.to_string())),
        }
    }
}

/// Waits for a client without blocking for ever.
fn accept(listener: &TcpListener, until: &Deadline) -> Result<TcpStream, String> {
    accept_unless(listener, || until.is_over()).map_err(|error| match error.kind() {
        ErrorKind::WouldBlock if until.is_done() => "none, and the client is done".into(),
        ErrorKind::WouldBlock => "none until the limit".into(),
        _ => error.to_string(),
    })
}

fn accept_unless(listener: &TcpListener, is_over: impl Fn() -> bool) -> std::io::Result<TcpStream> {
    listener.set_nonblocking(true)?;
    let accepted = loop {
        // Looked at before: who connected until then is accepted.
        let is_over = is_over();
        match listener.accept() {
            Err(error) if error.kind() == ErrorKind::WouldBlock && !is_over => sleep(Duration::from_millis(1)),
            accepted => break accepted,
        }
    };
    let _ = listener.set_nonblocking(false);
    Ok(accepted?.0)
}

fn converse(mut player: Player, mut stream: TcpStream, until: &Deadline) -> Result<Played, Box<Mismatch>> {
    let began = Instant::now();
    // Octets go out as the script has them, and not when the kernel thinks fit.
    let _ = stream.set_nodelay(true);
    let _ = stream.set_nonblocking(false);
    let way = how(player.script(), "on a port");
    loop {
        match player.step().map_err(|mismatch| mismatch.how(way.clone()))? {
            Step::Done => {
                player.hear(&close(&stream));
                player.step().map_err(|mismatch| mismatch.how(way.clone()))?;
                break;
            }
            Step::Act(Act::Drop) => {
                close(&stream);
                break;
            }
            Step::Act(Act::Reset) => {
                let _ = socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO));
                break;
            }
            Step::Act(Act::Stop) => {
                return Err(player.fails("a server that can be told to stop".into(), "one on a port".into()));
            }
            Step::Act(Act::Stall) => {}
            Step::Say(octets) => {
                if write(&mut stream, &octets, until).is_err() {
                    let got = "it reads nothing until the limit".into();
                    return Err(player.fails("the other side reads".into(), got).how(way));
                }
            }
            Step::Pass(time) => sleep(time.min(until.left())),
            Step::Listen => hear(&mut player, &mut stream, until).map_err(|mismatch| mismatch.how(way.clone()))?,
        }
    }
    Ok(player.played(began.elapsed()))
}

/// The limit is over before all is written.
struct Late;

fn write(stream: &mut TcpStream, mut octets: &[u8], until: &Deadline) -> Result<(), Late> {
    while !octets.is_empty() {
        if until.is_over() {
            return Err(Late);
        }
        let _ = stream.set_write_timeout(Some(until.left()));
        match stream.write(octets) {
            Ok(written) => octets = octets.get(written..).unwrap_or(&[]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            // Whoever closed hears no more; the script says whether it should.
            Err(_) => return Ok(()),
        }
    }
    Ok(())
}

/// Reads once, or lets the player know that nothing comes.
fn hear(player: &mut Player, stream: &mut TcpStream, until: &Deadline) -> Result<(), Box<Mismatch>> {
    let mut octets = [0; 4_096];
    let begin = Instant::now();
    // Whoever goes on talking does not buy time.
    if until.is_over() {
        return Err(player.nothing());
    }
    loop {
        let _ = stream.set_read_timeout(Some(until.left().min(QUIET)));
        match stream.read(&mut octets) {
            Ok(0) => {
                player.closed();
                return Ok(());
            }
            Ok(read) => {
                player.hear(octets.get(..read).unwrap_or(&[]));
                return Ok(());
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                if begin.elapsed() >= QUIET && player.quiet() {
                    return Ok(());
                }
                if until.is_over() {
                    return Err(player.nothing());
                }
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            // A reset is an end too.
            Err(_) => {
                player.closed();
                return Ok(());
            }
        }
    }
}

/// Closes in an orderly way: reads what still comes, until the other end closes too.
fn close(stream: &TcpStream) -> Vec<u8> {
    let _ = stream.shutdown(Shutdown::Write);
    let until = Deadline::new(LINGER);
    let (mut said, mut octets) = (Vec::new(), [0; 4_096]);
    while !until.is_over() && said.len() < MUCH {
        let _ = stream.set_read_timeout(Some(until.left()));
        match (&mut &*stream).read(&mut octets) {
            Ok(read @ 1..) => said.extend_from_slice(octets.get(..read).unwrap_or(&[])),
            _ => break,
        }
    }
    said
}

/// When a dialogue has to be over.
struct Deadline {
    at: Instant,
    /// From then on the other side is done, and what it said is on its way.
    done: Arc<OnceLock<Instant>>,
}

impl Deadline {
    fn new(limit: Duration) -> Self {
        let now = Instant::now();
        Self { at: now.checked_add(limit).unwrap_or(now + FOR_EVER), done: Arc::default() }
    }

    /// Never 0, with which a read would block for ever.
    fn left(&self) -> Duration {
        self.rest().max(Duration::from_millis(1))
    }

    fn is_over(&self) -> bool {
        self.rest().is_zero()
    }

    fn is_done(&self) -> bool {
        self.done.get().is_some()
    }

    fn rest(&self) -> Duration {
        let at = self.done.get().map_or(self.at, |done| self.at.min(*done + LINGER));
        at.saturating_duration_since(Instant::now())
    }
}

/// Scripts that play the server on a port, in a thread: one for each connection, in this order. A connection more than
/// that is a mismatch.
///
/// ```
/// use std::io::Read;
/// use std::net::TcpStream;
/// use std::time::Duration;
/// use smtpd_mock::{Script, listen};
/// let busy = Script::parse("busy.txt", "S: 421 Busy\n").unwrap();
/// let server = listen([busy], Duration::from_secs(10))?;
/// let mut said = String::new();
/// TcpStream::connect(server.address())?.read_to_string(&mut said)?;
/// assert_eq!(said, "421 Busy\r\n");
/// server.finish().unwrap();
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Errors
/// There is no free port.
pub fn listen(scripts: impl IntoIterator<Item = Script>, limit: Duration) -> std::io::Result<Listening> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let address = listener.local_addr()?;
    let until = Deadline::new(limit);
    let done = Arc::clone(&until.done);
    let scripts: Vec<Script> = scripts.into_iter().collect();
    let thread = spawn(move || {
        let mut played = Vec::new();
        for script in &scripts {
            let mut player = Player::new(script, Side::Server);
            player.check()?;
            played.push(match accept(&listener, &until) {
                Ok(stream) => converse(player, stream, &until)?,
                Err(why) => {
                    return Err(player.fails(format!("connection {} of {}", played.len() + 1, scripts.len()), why));
                }
            });
        }
        // Nobody may connect once more.
        let Some(last) = scripts.last() else { return Ok(played) };
        match accept_unless(&listener, || until.is_done()) {
            Ok(_) => Err(Mismatch::new(last, None, format!("{} connections", scripts.len()), "one more".into(), &[])),
            Err(_) => Ok(played),
        }
    });
    Ok(Listening { address, done, thread: Some(thread) })
}

/// A port on which scripts wait for clients. Dropped without [`finish`](Self::finish), it panics over a difference.
#[must_use]
#[derive(Debug)]
pub struct Listening {
    address: SocketAddr,
    done: Arc<OnceLock<Instant>>,
    /// None: it was joined.
    thread: Option<JoinHandle<Result<Vec<Played>, Box<Mismatch>>>>,
}

impl Listening {
    /// Where to connect.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// To be called when the client is done: what was said, for each connection. What does not come within a second counts
    /// as missing.
    ///
    /// # Errors
    /// The first difference from a script.
    pub fn finish(mut self) -> Result<Vec<Played>, Box<Mismatch>> {
        self.join()
    }

    fn join(&mut self) -> Result<Vec<Played>, Box<Mismatch>> {
        let _ = self.done.set(Instant::now());
        let Some(thread) = self.thread.take() else { return Ok(Vec::new()) };
        thread.join().unwrap_or_else(|why| std::panic::resume_unwind(why))
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        // Who panics already has other things to tell.
        if !std::thread::panicking()
            && let Err(mismatch) = self.join()
        {
            panic!("{mismatch}");
        }
    }
}
