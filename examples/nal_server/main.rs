//! A server as a device has it, tried out on the host: four connections in one loop, fixed memory, no threads. It prints every
//! mail.
//!
//! `cargo run --example nal_server 1025`, then `swaks --server localhost:1025 --to you@example.org`. Port 0 lets the system
//! choose; a second number ends it after so many mails.

mod host;

use std::cell::Cell;
use std::error::Error;
use std::io::Write;
use std::task::Waker;
use std::thread::sleep;
use std::time::{Duration, Instant};
use std::{env, io};

use smtpd_core::handlers::Message;
use smtpd_core::handlers::debugging::{self, Form, Printed};
use smtpd_core::server::{Answer, Config};
use smtpd_nal::{Next, Server};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let port = arguments.next().map_or(Ok(1025), |port| port.parse())?;
    let most = arguments.next().map(|mails| mails.parse()).transpose()?;

    let mails = Cell::new(0);
    // Octets of the reverse-path, of all recipients, of the text.
    let handlers = [(); 4].map(|()| {
        Message::<_, 256, 4_096, 65_536>::new(|peer, _mail_from, _rcpt_tos, data| {
            let peer = peer.address.map(|address| address.ip().to_canonical());
            debugging::print(&mut Stdout, &Printed { peer, mail_options: b"", rcpt_options: b"", data }, Form::Bytes);
            mails.set(mails.get() + 1);
            Answer::Accept
        })
    });

    let config = Config::new("localhost");
    let mut stack = host::Host::default();
    let mut server = Server::<_, _, 4>::new(&config, handlers);
    server.bind(&mut stack, port).map_err(|error| error.0)?;
    println!("listening on port {}", server.listener().map_or(Ok(port), host::port)?);

    let start = Instant::now();
    loop {
        // A clock of 32 bits, as devices have it: it may wrap.
        let now = start.elapsed().as_millis() as u32;
        match server.poll(&mut stack, now, Waker::noop()).map_err(|error| error.0)? {
            Next::Now => {}
            Next::Wait(_) if most.is_some_and(|most| mails.get() >= most) && server.connections() == 0 => return Ok(()),
            // A device sleeps until its network interrupts it.
            Next::Wait(_) => sleep(Duration::from_millis(1)),
        }
    }
}

struct Stdout;

impl debugging::Sink for Stdout {
    fn write(&mut self, octets: &[u8]) {
        let _ = io::stdout().write_all(octets);
    }
}
