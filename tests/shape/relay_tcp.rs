//! Driver 7 again, over TCP: a loop that never blocks serves the client and the leg; the upstream is smtpd_std's server.

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
use super::pipe::Pipe;
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
            (Need::Nothing, None) if leg.is_idle() && progress == Progress::Closed && front.is_lost => return,
            (Need::Nothing, None) => {}
        }
        if !moved && sent == 0 {
            thread::sleep(Duration::from_micros(50));
        }
    }
}
