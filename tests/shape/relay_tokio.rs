//! Driver 9: a relay with one leg on tokio, over real ports. The transcript's handler serves the upstream.

use std::net::TcpStream;

use smtpd_mock::{Actor, Connection, Driver, Script};
use smtpd_std::{Direct, Leg, PooledOutput, Server};
use tokio::runtime::Handle;

use super::client::Client;
use super::one_leg::OneLeg;
use super::tokio_tcp;

/// Runs both servers on this runtime.
pub(crate) struct OnTokio(pub(crate) Handle);

impl Driver for OnTokio {
    fn name(&self) -> &'static str {
        "relay-tokio-tcp"
    }

    fn connect<'s>(&self, script: &'s Script, actor: Actor) -> Box<dyn Connection + 's> {
        let cut = super::cut(script);
        let (upstream, upstream_stopper) = tokio_tcp::serve(&self.0, super::UPSTREAM, actor, cut);
        let server = self.0.block_on(Server::bind("127.0.0.1:0", script.config)).expect("a port").read_at_once(cut);
        let (address, stopper) = (server.local_addrs().expect("an address")[0], server.stopper());
        let relay = move |_| OneLeg(Leg::with(upstream, "relay.example", PooledOutput::default()));
        self.0.spawn(server.run_relay(relay, Direct));
        let stream = TcpStream::connect(address).expect("a connection");
        Box::new(Client::new(stream, move || {
            stopper.stop();
            upstream_stopper.stop();
        }))
    }
}
