//! A port where a script is the server, for as long as one client runs.

use std::io;
use std::net::TcpListener;
use std::os::fd::AsFd;
use std::thread;
use std::time::Duration;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::oneshot;

use crate::clients::{KILLED_AFTER, Said};
use crate::server::{Mismatch, Outcome, Script};

/// What came of each connection.
pub(crate) type Served = Vec<Result<Outcome, Mismatch>>;

/// A client that is told the port, and what it says; each connection that it makes meets the same script.
pub(crate) fn meets(script: &Script, send: fn(port: u16) -> Said) -> Result<(Said, Served), String> {
    let listener = TcpListener::bind("127.0.0.1:0").map_err(|error| error.to_string())?;
    let port = listener.local_addr().map_err(|error| error.to_string())?.port();
    let (gone, is_gone) = oneshot::channel();
    thread::scope(|scope| {
        let server = scope.spawn(|| serve(script, &listener, is_gone));
        let said = send(port);
        let _ = gone.send(());
        let served = server.join().map_err(|_| "the server panicked")?.map_err(|error| error.to_string())?;
        Ok((said, served))
    })
}

/// Serves until the client is gone, and then the connections that it left behind: their count is part of the table.
fn serve(script: &Script, listener: &TcpListener, mut is_gone: oneshot::Receiver<()>) -> io::Result<Served> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut served = Vec::new();
    loop {
        let is_there = runtime.block_on(async {
            let listener = AsyncFd::with_interest(listener.as_fd(), Interest::READABLE)?;
            tokio::select! {
                biased;
                ready = listener.readable() => return ready.map(|_| true),
                _ = &mut is_gone, if !is_gone.is_terminated() => {}
            }
            // What is there is seen by the time that this is over.
            let ready = tokio::time::timeout(Duration::from_millis(1), listener.readable()).await;
            ready.map_or(Ok(false), |ready| ready.map(|_| true))
        })?;
        if !is_there {
            return Ok(served);
        }
        served.push(script.serve_on(listener, KILLED_AFTER + Duration::from_secs(5)));
    }
}
