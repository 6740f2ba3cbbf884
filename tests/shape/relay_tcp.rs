//! Driver 5 again, over TCP: a loop that never blocks serves the client and the leg; the upstream is smtpd_std's server.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::task::Waker;
use std::thread;
use std::time::Duration;

use smtpd_core::relay::{Leg, Need, Relay};
use smtpd_core::server::{Config, Ending, Peer, Progress, Session, step};
use smtpd_mock::{Actor, Connection, Driver, Transcript};
use tokio::runtime::Handle;

use super::client::Client;
use super::one_leg::OneLeg;
use super::tokio_tcp;

/// Runs the upstream on this runtime.
pub(crate) struct OverTcp(pub(crate) Handle);

impl Driver for OverTcp {
    fn name(&self) -> &'static str {
        "relay-tcp"
    }

    fn connect<'t>(&self, transcript: &'t Transcript, actor: Actor, cut: usize) -> Box<dyn Connection + 't> {
        let (address, stopper) = tokio_tcp::serve(&self.0, super::UPSTREAM, actor, cut);
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let stream = TcpStream::connect(listener.local_addr().expect("an address")).expect("a connection");
        let (front, _) = listener.accept().expect("a client");
        let (config, leg) = (transcript.config, Leg::new(address, "relay.example"));
        thread::spawn(move || serve(front, &config, OneLeg(leg), cut));
        Box::new(Client::new(stream, move || stopper.stop()))
    }
}

/// The driver: goes round until both ends are closed.
fn serve(stream: TcpStream, config: &Config<'_>, mut relay: OneLeg, cut: usize) {
    let mut session = Session::new(config, Peer::default());
    let mut front = Pipe::new(stream, cut);
    let mut upstream: Option<Pipe> = None;
    loop {
        let mut input = &front.input[..];
        let progress = step(&mut session, &mut input, &mut relay, Waker::noop());
        let mut moved = front.took(input.len()) || progress == Progress::Moved;
        let sent = front.write(session.output());
        session.sent(sent);
        match progress {
            Progress::Closed if session.output().is_empty() => front.close(),
            Progress::Read | Progress::Wait { read: true } => moved |= front.read(),
            _ => {}
        }
        if front.is_lost && progress == Progress::Read && front.input.is_empty() {
            session.end(Ending::Lost);
        }
        let leg = &mut relay.legs()[0];
        match (leg.need(), &mut upstream) {
            (Need::Connect(address), _) => {
                upstream = TcpStream::connect(address).ok().map(|stream| Pipe::new(stream, cut));
                if upstream.is_some() { leg.connected() } else { leg.lost() }
            }
            (Need::Close, _) => {
                upstream = None;
                leg.lost();
            }
            (Need::Nothing, Some(pipe)) => {
                let sent = pipe.write(leg.output());
                leg.sent(sent);
                moved |= pipe.read() || sent > 0;
                let mut input = &pipe.input[..];
                leg.receive(&mut input);
                moved |= pipe.took(input.len());
                if pipe.is_lost && pipe.input.is_empty() {
                    upstream = None;
                    leg.lost();
                }
            }
            (Need::Nothing, None) if progress == Progress::Closed && front.is_lost => return,
            (Need::Nothing, None) => {}
        }
        if !moved && sent == 0 {
            thread::sleep(Duration::from_micros(50));
        }
    }
}

/// A socket that does not block, and what was read from it and not taken.
struct Pipe {
    stream: TcpStream,
    input: Vec<u8>,
    cut: usize,
    is_lost: bool,
}

impl Pipe {
    fn new(stream: TcpStream, cut: usize) -> Self {
        stream.set_nonblocking(true).expect("a socket");
        stream.set_nodelay(true).expect("a socket");
        Self { stream, input: Vec::new(), cut: cut.min(65_536), is_lost: false }
    }

    /// Reads once, if all was taken that was read before; true if anything came.
    fn read(&mut self) -> bool {
        if !self.input.is_empty() || self.is_lost {
            return false;
        }
        self.input.resize(self.cut, 0);
        let read = self.stream.read(&mut self.input);
        self.is_lost = match &read {
            Ok(read) => *read == 0,
            Err(error) => error.kind() != ErrorKind::WouldBlock,
        };
        self.input.truncate(read.unwrap_or(0));
        !self.input.is_empty()
    }

    /// All but `left` octets of the input were taken; true if that were any.
    fn took(&mut self, left: usize) -> bool {
        let taken = self.input.len() - left;
        self.input.drain(..taken);
        taken > 0
    }

    fn write(&mut self, octets: &[u8]) -> usize {
        if octets.is_empty() { 0 } else { self.stream.write(octets).unwrap_or(0) }
    }

    /// Shuts down writing, and throws away what still comes.
    fn close(&mut self) {
        let _ = self.stream.shutdown(std::net::Shutdown::Write);
        self.input.clear();
        self.read();
        self.input.clear();
    }
}
