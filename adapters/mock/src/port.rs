//! Plays one side of a script on a real port, in real time.

use std::boxed::Box;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream, ToSocketAddrs};
use std::string::{String, ToString};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::play::how;
use crate::player::{Player, Step};
use crate::{Act, Mismatch, Played, Script, Side};

/// Silence after which a run of any lines counts as over, where the script goes on behind it.
const QUIET: Duration = Duration::from_millis(200);

/// How long the other end may take to close once this one has, so that no reset eats what was said last.
const LINGER: Duration = Duration::from_secs(1);

impl Script {
    /// Plays the server for the next client that connects: a real one, in another thread or process. `limit` is for all of
    /// it, waiting for the client included.
    ///
    /// ```
    /// use std::io::Read;
    /// use std::net::{TcpListener, TcpStream};
    /// use std::time::Duration;
    /// use smtpd_mock::Script;
    /// let script = Script::parse("busy.txt", "S: 421 Busy\n").unwrap();
    /// let listener = TcpListener::bind("127.0.0.1:0")?;
    /// let address = listener.local_addr()?;
    /// let client = std::thread::spawn(move || {
    ///     let mut said = String::new();
    ///     TcpStream::connect(address)?.read_to_string(&mut said).map(|_| said)
    /// });
    /// script.serve_on(&listener, Duration::from_secs(10)).unwrap();
    /// assert_eq!(client.join().unwrap()?, "421 Busy\r\n");
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    /// The first difference in what the client says; or no client came, or it did not go on within the limit.
    pub fn serve_on(&self, listener: &TcpListener, limit: Duration) -> Result<Played, Box<Mismatch>> {
        let until = Instant::now() + limit;
        let player = Player::new(self, Side::Server);
        match accept(listener, until) {
            Ok(stream) => converse(player, stream, until),
            Err(why) => Err(player.fails("a client that connects".into(), why)),
        }
    }

    /// Plays the client against a real server.
    ///
    /// # Errors
    /// The first difference in what the server says; or it can't be reached, or did not go on within the limit.
    pub fn call_on(&self, server: impl ToSocketAddrs, limit: Duration) -> Result<Played, Box<Mismatch>> {
        let until = Instant::now() + limit;
        let player = Player::new(self, Side::Client);
        match TcpStream::connect(server) {
            Ok(stream) => converse(player, stream, until),
            Err(error) => Err(player.fails("a server that can be reached".into(), error.to_string())),
        }
    }
}

/// Waits for a client without blocking for ever.
fn accept(listener: &TcpListener, until: Instant) -> Result<TcpStream, String> {
    let accept = || {
        listener.set_nonblocking(true)?;
        loop {
            match listener.accept() {
                Err(error) if error.kind() == ErrorKind::WouldBlock && Instant::now() < until => {
                    sleep(Duration::from_millis(1));
                }
                accepted => return accepted,
            }
        }
    };
    let accepted = accept();
    let _ = listener.set_nonblocking(false);
    let (stream, _) = accepted.map_err(|error: std::io::Error| match error.kind() {
        ErrorKind::WouldBlock => "none until the limit".into(),
        _ => error.to_string(),
    })?;
    Ok(stream)
}

fn converse(mut player: Player, mut stream: TcpStream, until: Instant) -> Result<Played, Box<Mismatch>> {
    let began = Instant::now();
    // Octets go out as the script has them, and not when the kernel thinks fit.
    let _ = stream.set_nodelay(true);
    let _ = stream.set_nonblocking(false);
    let way = how(player.script(), "on a port");
    loop {
        match player.step().map_err(|mismatch| mismatch.how(way.clone()))? {
            Step::Done | Step::Act(Act::Drop) => {
                close(&stream, until);
                return Ok(Played { said: player.all().to_vec(), took: began.elapsed(), ..Played::default() });
            }
            Step::Act(Act::Reset) => {
                let _ = socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO));
                return Ok(Played { said: player.all().to_vec(), took: began.elapsed(), ..Played::default() });
            }
            Step::Act(Act::Stop) => {
                return Err(player.fails("a server that can be told to stop".into(), "one on a port".into()));
            }
            Step::Act(Act::Stall) => {}
            // Whoever closed hears no more; the script says whether it should.
            Step::Say(octets) => drop(write(&mut stream, &octets, until)),
            Step::Pass(time) => sleep(time.min(until.saturating_duration_since(Instant::now()))),
            Step::Listen => listen(&mut player, &mut stream, until).map_err(|mismatch| mismatch.how(way.clone()))?,
        }
    }
}

fn write(stream: &mut TcpStream, octets: &[u8], until: Instant) -> std::io::Result<()> {
    stream.set_write_timeout(Some(left(until)))?;
    stream.write_all(octets)
}

/// Reads once, or lets the player know that nothing comes.
fn listen(player: &mut Player, stream: &mut TcpStream, until: Instant) -> Result<(), Box<Mismatch>> {
    let mut octets = [0; 4_096];
    let begin = Instant::now();
    loop {
        let _ = stream.set_read_timeout(Some(left(until).min(QUIET)));
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
                if Instant::now() >= until {
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

/// Closes in an orderly way: reads and throws away what still comes, until the other end closes too.
fn close(stream: &TcpStream, until: Instant) {
    let _ = stream.shutdown(Shutdown::Write);
    let until = until.min(Instant::now() + LINGER);
    let mut octets = [0; 4_096];
    while Instant::now() < until {
        let _ = stream.set_read_timeout(Some(left(until)));
        if !matches!((&mut &*stream).read(&mut octets), Ok(1..)) {
            return;
        }
    }
}

/// A read without any time would block for ever.
fn left(until: Instant) -> Duration {
    until.saturating_duration_since(Instant::now()).max(Duration::from_millis(1))
}
