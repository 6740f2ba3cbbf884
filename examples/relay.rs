//! A relay in front of another server, which says whose mail it relays: what the other server says is what clients hear.
//!
//! `cargo run --example relay -- localhost:1025 localhost:25`, then `swaks --server localhost:1025 --to you@example.org`.

use std::net::{IpAddr, Ipv4Addr};
use std::time::{SystemTime, UNIX_EPOCH};

use smtpd_std::{Config, Guard, Leg, Network, PooledOutput, PureProxy, Remotes, Server};

/// Whose mail goes anywhere; everybody's goes to our own domain.
const INSIDE: [Network; 1] = [Network::new(IpAddr::V4(Ipv4Addr::new(127, 0, 0, 0)), 8).unwrap()];
const OURS: [&str; 1] = ["example.org"];

fn now() -> u32 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs() as u32)
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let local = arguments.next().unwrap_or("localhost:1025".into());
    let remote = arguments.next().unwrap_or("localhost:25".into());
    let guard = Guard::from_networks(&INSIDE).or_to_domains(&OURS);
    let relay = move |_| {
        // The leg's address is not used: `Remotes` finds the server by name, for each connection anew.
        let leg = Leg::with(([0, 0, 0, 0], 0).into(), "relay.example.org", PooledOutput::default());
        PureProxy::new(leg, guard).received(now)
    };
    let server = Server::bind(&local, Config::new("relay.example.org")).await?;
    println!("relaying from {:?} to {remote}", server.local_addrs()?);
    server.run_relay(relay, Remotes::new().leg(0, remote)).await;
    Ok(())
}
