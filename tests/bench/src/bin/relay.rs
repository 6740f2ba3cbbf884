//! relay PORT-FILE PORT: a relay in front of the server that listens on PORT of this machine.

#[path = "../../../../core/tests/one_leg/mod.rs"]
mod one_leg;

use std::io;
use std::net::SocketAddr;

use one_leg::OneLeg;
use smtpd_std::{Config, Direct, Leg, PooledOutput, Server};

fn main() -> io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let file = arguments.next().unwrap_or_default();
    let port = arguments.next().and_then(|port| port.parse().ok()).ok_or_else(|| io::Error::other("no port"))?;
    let remote = SocketAddr::from(([127, 0, 0, 1], port));
    let mut config = Config::new("relay.example");
    config.limits.commands = 0;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let server = Server::bind("127.0.0.1:0", config).await?.connections(0, 0);
        std::fs::write(file, format!("{}\n", server.local_addrs()?[0].port()))?;
        server.run_relay(move |_| OneLeg(Leg::with(remote, "relay.example", PooledOutput::default())), Direct).await;
        Ok(())
    })
}
