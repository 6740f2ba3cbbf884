//! A port where a script is the server, for as long as one client runs.

use std::net::TcpListener;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use smtpd_mock::{Mismatch, Played, Script};

use crate::clients::{KILLED_AFTER, Said};

/// What came of each connection.
pub(crate) type Served = Vec<Result<Played, Box<Mismatch>>>;

/// A client that is told the port, and what it says; each connection that it makes meets the same script.
pub(crate) fn meets(script: &Script, send: fn(port: u16) -> Said) -> Result<(Said, Served), String> {
    let listener = TcpListener::bind("127.0.0.1:0").map_err(|error| error.to_string())?;
    let port = listener.local_addr().map_err(|error| error.to_string())?.port();
    let is_gone = AtomicBool::new(false);
    thread::scope(|scope| {
        let server = scope.spawn(|| serve(script, &listener, &is_gone));
        let said = send(port);
        is_gone.store(true, Ordering::Release);
        let served = server.join().map_err(|_| "the server panicked")?;
        Ok((said, served))
    })
}

/// Serves until the client is gone, and then the connections that it left behind: their count is part of the table.
fn serve(script: &Script, listener: &TcpListener, is_gone: &AtomicBool) -> Served {
    let mut served = Vec::new();
    loop {
        let is_last_look = is_gone.load(Ordering::Acquire);
        let wait = if is_last_look { PollTimeout::ZERO } else { PollTimeout::from(10_u8) };
        match poll(&mut [PollFd::new(listener.as_fd(), PollFlags::POLLIN)], wait) {
            Ok(0) | Err(_) if is_last_look => return served,
            Ok(0) | Err(_) => {}
            Ok(_) => served.push(script.serve_on(listener, KILLED_AFTER + Duration::from_secs(5))),
        }
    }
}
