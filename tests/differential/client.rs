//! The client of both servers.

use std::io::{self, BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::Duration;

use libtest_mimic::Failed;

/// How long to wait for what must come.
const LONG: Duration = Duration::from_secs(20);
/// How long to wait for what must not.
const SHORT: Duration = Duration::from_millis(150);

pub(crate) struct Client(BufReader<TcpStream>);

impl Client {
    /// Connects; the greeting is still to be heard.
    pub(crate) fn new(port: u16) -> io::Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(LONG))?;
        Ok(Self(BufReader::new(stream)))
    }

    /// A reply with all its lines; nothing where the connection was closed instead.
    pub(crate) fn hear(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut reply = Vec::new();
        loop {
            let begin = reply.len();
            match self.0.read_until(b'\n', &mut reply) {
                Ok(0) => return Ok(None),
                Ok(_) if reply.get(begin + 3) == Some(&b'-') => {}
                Ok(_) => return Ok(Some(reply)),
                Err(error) if is_closed(&error) => return Ok(None),
                Err(error) => return Err(error),
            }
        }
    }

    pub(crate) fn send(&mut self, octets: &[u8]) -> io::Result<()> {
        match self.0.get_mut().write_all(octets) {
            Err(error) if !is_closed(&error) => Err(error),
            _ => Ok(()),
        }
    }

    /// Says a line; the reply.
    pub(crate) fn say(&mut self, line: &[u8]) -> io::Result<Option<Vec<u8>>> {
        self.send(&[line, b"\r\n"].concat())?;
        self.hear()
    }

    /// Says lines to which the reply is a positive one.
    pub(crate) fn go(&mut self, lines: &[&str]) -> Result<(), Failed> {
        for line in lines {
            match self.say(line.as_bytes())? {
                Some(reply) if matches!(reply.first(), Some(b'2' | b'3')) => {}
                reply => {
                    return Err(format!("{line}: {:?}", reply.map(|reply| reply.escape_ascii().to_string())).into());
                }
            }
        }
        Ok(())
    }

    /// Whether nothing is said for a while, the connection standing.
    pub(crate) fn is_silent(&mut self) -> io::Result<bool> {
        self.0.get_ref().set_read_timeout(Some(SHORT))?;
        let silent = match self.hear() {
            Err(error) => matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut),
            Ok(_) => false,
        };
        self.0.get_ref().set_read_timeout(Some(LONG))?;
        Ok(silent)
    }
}

fn is_closed(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe)
}
