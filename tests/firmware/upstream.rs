//! A server on the host, to which boards send mail: it goes wrong where it is told to, and knows what it saw.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

use libtest_mimic::Failed;
use nix::sys::socket::{setsockopt, sockopt};

/// How long anything may take that takes a fraction of a second.
const PATIENCE: Duration = Duration::from_secs(60);

/// What it does when it heard something.
pub(crate) enum Act {
    /// As servers do.
    Yes,
    Says(&'static str),
    Closes,
    Resets,
}

/// What it saw of a connection.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    /// Commands, and `.` for the end of a text.
    pub(crate) lines: Vec<String>,
    /// Of each text, the octets as they came, without its end.
    pub(crate) texts: Vec<Vec<u8>>,
    /// How often it had to wait for commands.
    pub(crate) waits: usize,
    pub(crate) is_over: bool,
}

/// Listens until the test ends.
pub(crate) struct Upstream {
    pub(crate) port: u16,
    seen: Arc<(Mutex<Vec<Seen>>, Condvar)>,
}

/// What it does, when it heard that line: a command, `text` for the first piece of a text, `.` for its end.
type Rule = Arc<dyn Fn(&str) -> Act + Send + Sync>;

impl Upstream {
    pub(crate) fn start(rule: impl Fn(&str) -> Act + Send + Sync + 'static) -> Result<Self, Failed> {
        Self::at(0, rule)
    }

    /// On this port.
    pub(crate) fn at(port: u16, rule: impl Fn(&str) -> Act + Send + Sync + 'static) -> Result<Self, Failed> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
        let port = listener.local_addr()?.port();
        let seen = Arc::<(Mutex<Vec<Seen>>, Condvar)>::default();
        let (all, rule): (_, Rule) = (seen.clone(), Arc::new(rule));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (all, rule) = (all.clone(), rule.clone());
                let number = {
                    let mut seen = all.0.lock().expect("no panic");
                    seen.push(Seen::default());
                    seen.len() - 1
                };
                thread::spawn(move || {
                    let note = |change: &dyn Fn(&mut Seen)| {
                        change(&mut all.0.lock().expect("no panic")[number]);
                        all.1.notify_all();
                    };
                    let _ = serve(stream, &*rule, &note);
                    note(&|seen| seen.is_over = true);
                });
            }
        });
        Ok(Self { port, seen })
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.0.lock().expect("no panic").clone()
    }

    /// Waits until it saw what is like that.
    pub(crate) fn until(&self, is_like: impl Fn(&[Seen]) -> bool) -> Result<Vec<Seen>, Failed> {
        let seen = self.seen.0.lock().expect("no panic");
        let (seen, timeout) = self.seen.1.wait_timeout_while(seen, PATIENCE, |seen| !is_like(seen)).expect("no panic");
        if timeout.timed_out() {
            return Err(format!("the server saw {:?}", seen.iter().map(|seen| &seen.lines).collect::<Vec<_>>()).into());
        }
        Ok(seen.clone())
    }

    /// The texts that were ended, in the order of the connections.
    pub(crate) fn texts(&self) -> Vec<Vec<u8>> {
        self.seen().into_iter().flat_map(|seen| seen.texts).collect()
    }
}

/// Changes what is known of a connection.
type Note<'n> = &'n dyn Fn(&dyn Fn(&mut Seen));

fn serve(stream: TcpStream, rule: &dyn Fn(&str) -> Act, note: Note<'_>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut input = BufReader::new(stream);
    input.get_mut().write_all(b"220 up.example\r\n")?;
    loop {
        if input.buffer().is_empty() {
            note(&|seen| seen.waits += 1);
        }
        let mut line = String::new();
        if input.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let line = line.trim_end();
        note(&|seen| seen.lines.push(line.into()));
        let usual = match line.split(' ').next().unwrap_or("") {
            "EHLO" => "250-up.example\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 ENHANCEDSTATUSCODES\r\n",
            "DATA" => "354 Go on\r\n",
            "QUIT" => "221 2.0.0 Bye\r\n",
            _ => "250 2.0.0 OK\r\n",
        };
        if !act(&mut input, &rule(line), usual)? {
            return Ok(());
        }
        if usual.starts_with("221") {
            return Ok(());
        }
        if usual.starts_with("354") {
            let text = text(&mut input, rule)?;
            let Some(text) = text else { return Ok(()) };
            note(&|seen| {
                seen.lines.push(".".into());
                seen.texts.push(text.clone());
            });
            if !act(&mut input, &rule("."), "250 2.0.0 Kept\r\n")? {
                return Ok(());
            }
        }
    }
}

/// Reads a text; none, if something went wrong on purpose.
fn text(input: &mut BufReader<TcpStream>, rule: &dyn Fn(&str) -> Act) -> io::Result<Option<Vec<u8>>> {
    let (mut text, mut is_first) = (Vec::new(), true);
    loop {
        let begin = text.len();
        if input.read_until(b'\n', &mut text)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if text.ends_with(b"\n.\r\n") || text == b".\r\n" {
            text.truncate(begin);
            return Ok(Some(text));
        }
        if text.get(begin) == Some(&b'.') {
            text.remove(begin);
        }
        if std::mem::take(&mut is_first) && !act(input, &rule("text"), "")? {
            return Ok(None);
        }
    }
}

/// Whether the connection goes on.
fn act(input: &mut BufReader<TcpStream>, act: &Act, usual: &str) -> io::Result<bool> {
    let stream = input.get_mut();
    match act {
        Act::Yes => stream.write_all(usual.as_bytes())?,
        Act::Says(reply) => stream.write_all(reply.as_bytes())?,
        Act::Closes => {
            stream.shutdown(std::net::Shutdown::Write)?;
            // What was not read would make a reset of it.
            let _ = stream.read_to_end(&mut Vec::new());
            return Ok(false);
        }
        Act::Resets => {
            setsockopt(stream, sockopt::Linger, &nix::libc::linger { l_onoff: 1, l_linger: 0 })?;
            return Ok(false);
        }
    }
    Ok(true)
}
