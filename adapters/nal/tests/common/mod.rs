//! A stack in memory that does what it is told, and a handler that notes what it hears.
#![allow(dead_code, unreachable_pub, reason = "each test file takes a part of it")]

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::task::Waker;

use embedded_nal::{TcpClientStack, TcpError, TcpErrorKind, TcpFullStack, nb};
use smtpd_core::server::{Answer, Ending, Flow, Handler, Mail, Peer, Rcpt};

/// The stack; a test plays its clients.
#[derive(Default)]
pub struct Memory {
    pub listening: Option<u16>,
    /// Clients that are not accepted yet.
    pub queue: VecDeque<usize>,
    pub clients: Vec<Client>,
    /// The call of this name fails once.
    pub fails: Option<&'static str>,
}

/// The client's end of a connection, and how the stack behaves on it.
pub struct Client {
    pub to_server: VecDeque<u8>,
    pub heard: Vec<u8>,
    /// It says nothing any more.
    pub is_done: bool,
    /// Reading from it, and sending to it, fails.
    pub is_broken: bool,
    /// Most octets that the server reads at once.
    pub reads: usize,
    /// Most octets that the server sends at once; 0: it can't.
    pub sends: usize,
    /// Each second call would block.
    pub is_moody: bool,
    mood: bool,
    /// How often the server closed the connection.
    pub closed: usize,
}

#[derive(Debug)]
pub enum Socket {
    New,
    Listener,
    Client(usize),
}

#[derive(Debug, PartialEq)]
pub struct Failure(pub &'static str);

impl TcpError for Failure {
    fn kind(&self) -> TcpErrorKind {
        TcpErrorKind::Other
    }
}

impl Memory {
    pub fn connect(&mut self) -> usize {
        self.clients.push(Client {
            to_server: VecDeque::new(),
            heard: Vec::new(),
            is_done: false,
            is_broken: false,
            reads: usize::MAX,
            sends: usize::MAX,
            is_moody: false,
            mood: false,
            closed: 0,
        });
        self.queue.push_back(self.clients.len() - 1);
        self.clients.len() - 1
    }

    pub fn say(&mut self, client: usize, octets: impl AsRef<[u8]>) {
        self.clients[client].to_server.extend(octets.as_ref());
    }

    /// What a client heard since the last call.
    pub fn heard(&mut self, client: usize) -> String {
        String::from_utf8(std::mem::take(&mut self.clients[client].heard)).expect("ASCII")
    }

    fn fail(&mut self, call: &'static str) -> Result<(), Failure> {
        match self.fails.take_if(|fails| *fails == call) {
            Some(call) => Err(Failure(call)),
            None => Ok(()),
        }
    }

    fn client(&mut self, socket: &Socket) -> nb::Result<&mut Client, Failure> {
        let Socket::Client(client) = socket else { return Err(nb::Error::Other(Failure("no connection"))) };
        let client = &mut self.clients[*client];
        assert_eq!(client.closed, 0, "a closed socket is used");
        if client.is_broken {
            return Err(nb::Error::Other(Failure("broken")));
        }
        client.mood = !client.mood;
        if client.is_moody && client.mood { Err(nb::Error::WouldBlock) } else { Ok(client) }
    }
}

impl TcpClientStack for Memory {
    type TcpSocket = Socket;
    type Error = Failure;

    fn socket(&mut self) -> Result<Socket, Failure> {
        self.fail("socket").map(|()| Socket::New)
    }

    fn connect(&mut self, _: &mut Socket, _: SocketAddr) -> nb::Result<(), Failure> {
        Err(nb::Error::Other(Failure("connect")))
    }

    fn send(&mut self, socket: &mut Socket, octets: &[u8]) -> nb::Result<usize, Failure> {
        assert!(!octets.is_empty());
        let client = self.client(socket)?;
        if client.sends == 0 {
            return Err(nb::Error::WouldBlock);
        }
        let count = octets.len().min(client.sends);
        client.heard.extend_from_slice(&octets[..count]);
        Ok(count)
    }

    fn receive(&mut self, socket: &mut Socket, buffer: &mut [u8]) -> nb::Result<usize, Failure> {
        assert!(!buffer.is_empty());
        let client = self.client(socket)?;
        let count = buffer.len().min(client.reads).min(client.to_server.len());
        for (octet, said) in buffer.iter_mut().zip(client.to_server.drain(..count)) {
            *octet = said;
        }
        if count == 0 && !client.is_done { Err(nb::Error::WouldBlock) } else { Ok(count) }
    }

    fn close(&mut self, socket: Socket) -> Result<(), Failure> {
        match socket {
            Socket::New => {}
            Socket::Listener => self.listening = None,
            Socket::Client(client) => self.clients[client].closed += 1,
        }
        self.fail("close")
    }
}

impl TcpFullStack for Memory {
    fn bind(&mut self, socket: &mut Socket, port: u16) -> Result<(), Failure> {
        self.fail("bind")?;
        *socket = Socket::Listener;
        self.listening = Some(port);
        Ok(())
    }

    fn listen(&mut self, _: &mut Socket) -> Result<(), Failure> {
        self.fail("listen")
    }

    fn accept(&mut self, _: &mut Socket) -> nb::Result<(Socket, SocketAddr), Failure> {
        assert!(self.listening.is_some());
        self.fail("accept")?;
        let client = self.queue.pop_front().ok_or(nb::Error::WouldBlock)?;
        Ok((Socket::Client(client), SocketAddr::from(([192, 0, 2, 1], 1_000 + client as u16))))
    }
}

/// Notes what it hears.
#[derive(Default)]
pub struct Notes {
    pub heard: Vec<String>,
    /// Recipients get no answer until it is set back.
    pub is_later: bool,
    /// Takes no text while it is set.
    pub is_full: bool,
    text: Vec<u8>,
}

impl Notes {
    pub fn take(&mut self) -> String {
        std::mem::take(&mut self.heard).join("; ")
    }
}

impl Handler for Notes {
    fn connected(&mut self, peer: Peer) -> Answer<'_> {
        self.heard.push(format!("connected {}", peer.address.expect("an address").port()));
        Answer::Accept
    }
    fn mail(&mut self, mail: Mail<'_>) -> Answer<'_> {
        self.heard.push(format!("mail {}", mail.reverse_path.as_octets().escape_ascii()));
        Answer::Accept
    }
    fn rcpt(&mut self, rcpt: Rcpt<'_>) -> Answer<'_> {
        self.heard.push(format!("rcpt {}", rcpt.forward_path.as_octets().escape_ascii()));
        if self.is_later { Answer::Later } else { Answer::Accept }
    }
    fn text(&mut self, octets: &[u8]) -> Flow<'_> {
        self.text.extend_from_slice(octets);
        Flow::Continue
    }
    fn message(&mut self, _: u16) -> Answer<'_> {
        self.heard.push(format!("message {}", std::mem::take(&mut self.text).escape_ascii()));
        Answer::Accept
    }
    fn reset(&mut self) {
        self.heard.push("reset".into());
    }
    fn closed(&mut self, why: Ending) {
        self.heard.push(format!("closed {why:?}"));
    }
    fn room(&mut self, _: &Waker) -> usize {
        if self.is_full { 0 } else { usize::MAX }
    }
    fn resume(&mut self, _: &Waker) -> Answer<'_> {
        if self.is_later { Answer::Later } else { Answer::Accept }
    }
}
