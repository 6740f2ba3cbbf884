//! mailin PORT-FILE: mailin-embedded with a handler that accepts everything and keeps nothing.

use std::fs;
use std::net::TcpListener;

use mailin_embedded::{Handler, Server};

#[derive(Clone)]
struct Sink;

/// Each method's default accepts.
impl Handler for Sink {}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    fs::write(std::env::args().nth(1).unwrap_or_default(), format!("{}\n", listener.local_addr()?.port()))?;
    let mut server = Server::new(Sink);
    // A thread serves one connection at a time, and the benchmarks have 50.
    server.with_name("mx.example.org").with_num_threads(64).with_tcp_listener(listener);
    Ok(server.serve()?)
}
