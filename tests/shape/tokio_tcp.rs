//! Driver 1: a synchronous handler on tokio, over a real port.

use std::net::{SocketAddr, TcpStream};
use std::sync::Mutex;

use smtpd_mock::{Actor, Connection, Driver, Script};
use smtpd_std::{Config, Server, Stopper};
use tokio::runtime::Handle;

use super::client::Client;

/// Runs its servers on this runtime.
pub(crate) struct TokioTcp(pub(crate) Handle);

impl Driver for TokioTcp {
    fn name(&self) -> &'static str {
        "tokio-tcp"
    }

    fn connect<'s>(&self, script: &'s Script, actor: Actor) -> Box<dyn Connection + 's> {
        let cut = super::cut(script);
        let (address, stopper) = serve(&self.0, script.config, actor, cut);
        let stream = TcpStream::connect(address).expect("a connection");
        Box::new(Client::new(stream, move || stopper.stop()))
    }
}

/// Starts a server for one connection.
pub(crate) fn serve(runtime: &Handle, config: Config<'static>, actor: Actor, cut: usize) -> (SocketAddr, Stopper) {
    let server = runtime.block_on(Server::bind("127.0.0.1:0", config)).expect("a port").read_at_once(cut);
    let address = server.local_addrs().expect("an address")[0];
    let stopper = server.stopper();
    let actor = Mutex::new(Some(actor));
    runtime.spawn(server.run(move |_| actor.lock().expect("no panic").take().expect("one connection")));
    (address, stopper)
}
