//! Load for what Postfix's smtp-source can't do: pipelining, long texts of one kind of line, idle connections.
//!
//!     load send PORT lockstep|pipelined CONNECTIONS MESSAGES RECIPIENTS usual|empty|dots OCTETS
//!     load idle PORT CONNECTIONS      says "ready" once EHLO is answered on all of them; ends with its input
//!     load free-port                  prints a port that nobody listens on
//!
//! MESSAGES is the sum over all connections; each connection sends its share one after the other. A reply that is
//! not positive, and any wait of ten seconds, is an error: what is measured is service, not refusal.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

/// How long a server may be silent while something is asked of it.
const PATIENCE: Duration = Duration::from_secs(10);

fn main() -> io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["send", port, shape, connections, messages, recipients, text, octets] => {
            let text = text_of(line_of(text), number(octets)?);
            let script = Script::new(shape == "pipelined", number(recipients)?, &text);
            send(&script, number(port)?, number(connections)?, number(messages)?)
        }
        ["idle", port, connections] => idle(number(port)?, number(connections)?),
        ["free-port"] => {
            println!("{}", TcpListener::bind("127.0.0.1:0")?.local_addr()?.port());
            Ok(())
        }
        _ => Err(io::Error::other("usage: see the first lines of load.rs")),
    }
}

fn number<T: std::str::FromStr>(argument: &str) -> io::Result<T> {
    argument.parse().map_err(|_| io::Error::other(format!("not a number: {argument}")))
}

/// The usual line has the 76 octets that RFC 5322 §2.1.1 recommends at most.
fn line_of(text: &str) -> &'static [u8] {
    match text {
        "dots" => b"..\r\n",
        "empty" => b"\r\n",
        _ => b"The quick brown fox jumps over the lazy dog and runs away through the fields\r\n",
    }
}

fn text_of(line: &[u8], octets: usize) -> Vec<u8> {
    [&line.repeat(octets / line.len())[..], b".\r\n"].concat()
}

/// What a client sends at once, and how many replies it waits for then.
struct Turn {
    octets: Vec<u8>,
    replies: usize,
}

/// A dialogue; the turns of `message` are repeated.
struct Script {
    hello: Vec<Turn>,
    message: Vec<Turn>,
    bye: Turn,
}

impl Script {
    fn new(is_pipelined: bool, recipients: usize, text: &[u8]) -> Self {
        let mut envelope = vec![b"MAIL FROM:<sender@client.example.org>\r\n".to_vec()];
        envelope
            .extend((0..recipients).map(|rcpt| format!("RCPT TO:<{rcpt}recipient@mx.example.org>\r\n").into_bytes()));
        envelope.push(b"DATA\r\n".to_vec());
        let mut message: Vec<Turn> = match is_pipelined {
            true => vec![Turn { replies: envelope.len(), octets: envelope.concat() }],
            false => envelope.into_iter().map(|octets| Turn { octets, replies: 1 }).collect(),
        };
        message.push(Turn { octets: text.to_vec(), replies: 1 });
        let hello = vec![
            Turn { octets: Vec::new(), replies: 1 },
            Turn { octets: b"EHLO client.example.org\r\n".to_vec(), replies: 1 },
        ];
        Self { hello, message, bye: Turn { octets: b"QUIT\r\n".to_vec(), replies: 1 } }
    }

    /// The turn with this number, of a connection that sends so many messages.
    fn turn(&self, at: usize, messages: usize) -> Option<&Turn> {
        let body = self.message.len() * messages;
        match at.checked_sub(self.hello.len()) {
            None => self.hello.get(at),
            Some(at) if at < body => self.message.get(at % self.message.len()),
            Some(at) if at == body => Some(&self.bye),
            Some(_) => None,
        }
    }
}

/// Counts replies, of which a line that ends it has a space behind its code.
#[derive(Default)]
struct Replies {
    /// Octets of the line so far.
    column: usize,
    is_last: bool,
}

impl Replies {
    fn count(&mut self, octets: &[u8]) -> io::Result<usize> {
        let mut replies = 0;
        for octet in octets {
            match (self.column, octet) {
                (0, b'2' | b'3') | (1.., _) => {}
                (0, _) => return Err(io::Error::other(format!("refused: {}", String::from_utf8_lossy(octets)))),
            }
            if self.column == 3 {
                self.is_last = *octet != b'-';
            }
            self.column += 1;
            if *octet == b'\n' {
                replies += usize::from(self.is_last);
                self.column = 0;
            }
        }
        Ok(replies)
    }
}

struct Client {
    /// Blocks: a server takes what it is sent, and epoll says when to read.
    stream: TcpStream,
    replies: Replies,
    messages: usize,
    turn: usize,
    awaited: usize,
}

impl Client {
    fn connect(port: u16, messages: usize) -> io::Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self { stream, replies: Replies::default(), messages, turn: 0, awaited: 1 })
    }

    /// Reads once, and takes the next turn if all replies are there; false: there is none.
    fn go_on(&mut self, script: &Script, buffer: &mut [u8]) -> io::Result<bool> {
        let length = self.stream.read(buffer)?;
        if length == 0 {
            return Err(io::Error::other("the server closed"));
        }
        let replies = self.replies.count(&buffer[..length])?;
        self.awaited =
            self.awaited.checked_sub(replies).ok_or_else(|| io::Error::other("more replies than commands"))?;
        if self.awaited > 0 {
            return Ok(true);
        }
        self.turn += 1;
        let Some(turn) = script.turn(self.turn, self.messages) else { return Ok(false) };
        self.stream.write_all(&turn.octets)?;
        self.awaited = turn.replies;
        Ok(true)
    }
}

fn send(script: &Script, port: u16, connections: usize, messages: usize) -> io::Result<()> {
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
    let mut clients = Vec::new();
    for at in 0..connections {
        let share = messages / connections + usize::from(at < messages % connections);
        let client = Client::connect(port, share)?;
        epoll.add(&client.stream, EpollEvent::new(EpollFlags::EPOLLIN, at as u64))?;
        clients.push(Some(client));
    }
    let mut buffer = vec![0; 65_536];
    let mut events = vec![EpollEvent::empty(); 1_024];
    let mut left = connections;
    while left > 0 {
        let ready = epoll.wait(&mut events, EpollTimeout::try_from(PATIENCE).map_err(io::Error::other)?)?;
        if ready == 0 {
            return Err(io::Error::other("the server is silent"));
        }
        for event in &events[..ready] {
            let client = &mut clients[event.data() as usize];
            if let Some(active) = client
                && !active.go_on(script, &mut buffer)?
            {
                *client = None;
                left -= 1;
            }
        }
    }
    Ok(())
}

fn idle(port: u16, connections: usize) -> io::Result<()> {
    let script = Script::new(false, 0, b"");
    let mut clients = Vec::new();
    let mut buffer = [0; 1_024];
    for _ in 0..connections {
        let mut client = Client::connect(port, 0)?;
        // The greeting, and the reply to EHLO; then it falls silent.
        while client.turn < 1 || client.awaited > 0 {
            let length = client.stream.read(&mut buffer)?;
            client.awaited = client.awaited.saturating_sub(client.replies.count(&buffer[..length])?);
            if length == 0 {
                return Err(io::Error::other("the server closed"));
            }
            if client.awaited == 0 && client.turn == 0 {
                client.turn = 1;
                client.stream.write_all(&script.hello[1].octets)?;
                client.awaited = 1;
            }
        }
        clients.push(client);
    }
    println!("ready");
    io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}
