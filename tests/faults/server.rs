//! A dialogue as text, played as the server over one connection: a stand-in that knows the acts of the scripts here.
//!
//! A line of the client matches whatever the case of its letters, for a client may write `mail FROM` (RFC 5321 §2.4).

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::time::{Duration, Instant};

/// A dialogue.
pub(crate) struct Script(Vec<Act>);

enum Act {
    Say(Vec<u8>),
    /// A line, as what stands between its `{*}`.
    Hear(Vec<String>),
    /// Lines, up to one that the next act hears.
    HearAny,
    Pass(Duration),
    Drop,
    Reset,
    Stall,
}

/// The script was played to its end.
pub(crate) struct Outcome;

/// The client did something else than the script expected.
#[derive(Debug)]
pub(crate) struct Mismatch(String);

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<io::Error> for Mismatch {
    fn from(error: io::Error) -> Self {
        Self(error.to_string())
    }
}

impl Script {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        lines.map(|line| act(line).ok_or_else(|| format!("no act: {line}"))).collect::<Result<_, _>>().map(Self)
    }

    /// Plays the server to the next client of `listener`, for `limit` at most.
    pub(crate) fn serve_on(&self, listener: &TcpListener, limit: Duration) -> Result<Outcome, Mismatch> {
        let (stream, _) = listener.accept()?;
        stream.set_nodelay(true)?;
        let mut client = Client { stream, unread: Vec::new(), until: Instant::now() + limit };
        for (at, act) in self.0.iter().enumerate() {
            match act {
                Act::Say(octets) => client.stream.write_all(octets)?,
                Act::Pass(time) => std::thread::sleep(*time),
                Act::Drop => break,
                Act::Reset => return client.reset(),
                Act::Stall => return client.gives_up(),
                Act::Hear(pieces) => match client.line()? {
                    Some(line) if matches(pieces, &line) => {}
                    line => return Err(Mismatch(format!("act {at}: expected {}, got {line:?}", pieces.join("{*}")))),
                },
                Act::HearAny => {
                    let next = self.0.get(at + 1);
                    while let Some(line) = client.line()? {
                        if matches!(next, Some(Act::Hear(pieces)) if matches(pieces, &line)) {
                            client.unread.splice(..0, [line.as_bytes(), b"\r\n"].concat());
                            break;
                        }
                    }
                }
            }
        }
        // What the client still says is read, for a socket closed with unread octets resets the connection, and a reply
        // that is under way is lost.
        client.stream.shutdown(Shutdown::Write)?;
        client.gives_up()
    }
}

fn act(line: &str) -> Option<Act> {
    match line {
        "!drop" => return Some(Act::Drop),
        "!reset" => return Some(Act::Reset),
        "!stall" => return Some(Act::Stall),
        "C: {...}" => return Some(Act::HearAny),
        _ => {}
    }
    if let Some(time) = line.strip_prefix("@+").and_then(|time| time.strip_suffix("ms")) {
        return time.parse().ok().map(Duration::from_millis).map(Act::Pass);
    }
    let (tag, rest) = line.split_once(": ")?;
    let (tag, count) = tag.split_once('*').unwrap_or((tag, "1"));
    let count = count.parse().ok()?;
    match tag {
        "C" => Some(Act::Hear(rest.split("{*}").map(str::to_ascii_lowercase).collect())),
        "S" => Some(Act::Say(format!("{rest}\r\n").repeat(count).into())),
        "SB" => smtpd_mock::unescape(rest).ok().map(|octets| Act::Say(octets.repeat(count))),
        _ => None,
    }
}

fn matches(pieces: &[String], line: &str) -> bool {
    let line = line.to_ascii_lowercase();
    let Some((first, [middle @ .., last])) = pieces.split_first() else { return pieces == [line] };
    let Some(line) = line.strip_prefix(first.as_str()).and_then(|line| line.strip_suffix(last.as_str())) else {
        return false;
    };
    let rest = middle.iter().try_fold(line, |line, piece| line.split_once(piece.as_str()).map(|(_, rest)| rest));
    rest.is_some()
}

struct Client {
    stream: TcpStream,
    unread: Vec<u8>,
    until: Instant,
}

impl Client {
    /// The next line, without its end; none when the client has closed.
    fn line(&mut self) -> io::Result<Option<String>> {
        loop {
            if let Some(end) = self.unread.windows(2).position(|two| two == b"\r\n") {
                let line: Vec<u8> = self.unread.drain(..end + 2).collect();
                return Ok(Some(String::from_utf8_lossy(&line[..end]).into_owned()));
            }
            let mut octets = [0; 4_096];
            let count = self.read(&mut octets)?;
            if count == 0 {
                return Ok(None);
            }
            self.unread.extend_from_slice(&octets[..count]);
        }
    }

    fn read(&mut self, octets: &mut [u8]) -> io::Result<usize> {
        let left = self.until.saturating_duration_since(Instant::now());
        self.stream.set_read_timeout(Some(left.max(Duration::from_millis(1))))?;
        self.stream.read(octets)
    }

    /// Until the client closes, in whatever way.
    fn gives_up(&mut self) -> Result<Outcome, Mismatch> {
        let mut octets = [0; 4_096];
        loop {
            match self.read(&mut octets) {
                Ok(0) => return Ok(Outcome),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(Outcome),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// The standard library can't say that a socket is to be closed with RST; tokio can.
    fn reset(self) -> Result<Outcome, Mismatch> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
        let _context = runtime.enter();
        self.stream.set_nonblocking(true)?;
        tokio::net::TcpStream::from_std(self.stream)?.set_zero_linger()?;
        Ok(Outcome)
    }
}
