//! Driver 7 again, over TCP: smtpd-io's loop serves the client and the leg; the upstream is smtpd_std's server.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use smtpd_core::relay::Leg;
use smtpd_core::server::{Config, Peer, Session};
use smtpd_io::{Connect, Timer, Upstream, serve_relay};
use smtpd_mock::{Actor, Connection, Driver, Script};
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

    fn connect<'s>(&self, script: &'s Script, actor: Actor) -> Box<dyn Connection + 's> {
        let cut = super::cut(script);
        let (address, stopper) = tokio_tcp::serve(&self.0, super::UPSTREAM, actor, cut);
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let stream = TcpStream::connect(listener.local_addr().expect("an address")).expect("a connection");
        let (front, _) = listener.accept().expect("a client");
        let (config, leg) = (script.config, Leg::new(address, "relay.example"));
        thread::spawn(move || serve(front, &config, OneLeg(leg), cut));
        Box::new(Client::new(stream, move || stopper.stop()))
    }
}

fn serve(front: TcpStream, config: &Config<'_>, mut relay: OneLeg, cut: usize) -> io::Result<u64> {
    let mut session = Session::new(config, Peer::default());
    let mut front = Pipe::new(front)?;
    let (mut buffer, mut upstream) = (vec![0; cut.min(65_536)], vec![0; cut.min(65_536)]);
    let mut legs = [Upstream::new(&mut upstream)];
    serve_relay(&mut front, &mut session, &mut relay, &mut legs, &mut Tcp, &Pause, &mut buffer)?;
    front.close()
}

/// Connects over TCP.
struct Tcp;

impl Connect for Tcp {
    type Io = Pipe;
    type Error = io::Error;

    fn connect(&mut self, _: usize, address: SocketAddr) -> io::Result<Pipe> {
        Pipe::new(TcpStream::connect(address)?)
    }
}

/// No clock, but a rest where nothing moves.
struct Pause;

impl Timer for Pause {
    fn now(&self) -> u32 {
        0
    }
    fn wait(&self) {
        thread::sleep(Duration::from_micros(50));
    }
}
