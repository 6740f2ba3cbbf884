//! What stands between two programs: it passes octets on, keeps what the client's side says, and cuts a connection where it
//! is told to.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use libtest_mimic::Failed;
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{setsockopt, sockopt};

/// Listens on loopback until the test's process ends.
pub(crate) struct Forwarder {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    /// The cut that is to be made, by the first connection that gets there.
    wanted: Mutex<Option<Cut>>,
    made: Mutex<Option<Made>>,
    open: AtomicUsize,
    /// What each connection's client said, if that is kept.
    said: Mutex<Option<Vec<Vec<u8>>>>,
}

/// Where a connection ends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cut {
    pub(crate) at: At,
    /// By RST; otherwise by FIN, to both sides.
    pub(crate) is_reset: bool,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum At {
    /// Behind so many octets of the client.
    There(usize),
    /// Behind so many octets of the server.
    Back(usize),
    /// Behind so many octets of what the server says when it has got so many whole texts.
    BackBehindText(usize, usize),
}

/// A cut that was made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Made {
    /// The last thing that was passed to the server is the end of a text: the message may be the server's.
    pub(crate) is_behind_text: bool,
}

/// Octets that are passed on at once.
const PIECE: usize = 16_384;
const END: &[u8] = b"\r\n.\r\n";

impl Forwarder {
    /// One to this address.
    pub(crate) fn start(to: SocketAddr) -> Result<Self, Failed> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let forwarder = Self { address: listener.local_addr()?, shared: Arc::default() };
        let shared = Arc::clone(&forwarder.shared);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                shared.open.fetch_add(1, Ordering::SeqCst);
                let shared = Arc::clone(&shared);
                thread::spawn(move || {
                    let said = TcpStream::connect(to).and_then(|server| pass_on(client, server, &shared));
                    // A connection that breaks is what this is about.
                    let said = said.unwrap_or_default();
                    if let Some(all) = lock(&shared.said).as_mut() {
                        all.push(said);
                    }
                    shared.open.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        Ok(forwarder)
    }

    /// One that keeps what is said.
    pub(crate) fn keeping(to: SocketAddr) -> Result<Self, Failed> {
        let forwarder = Self::start(to)?;
        *lock(&forwarder.shared.said) = Some(Vec::new());
        Ok(forwarder)
    }

    /// The cut that the next connections are for; what has become of the one before.
    pub(crate) fn cut(&self, cut: Option<Cut>) -> Option<Made> {
        *lock(&self.shared.wanted) = cut;
        lock(&self.shared.made).take()
    }

    pub(crate) fn open(&self) -> usize {
        self.shared.open.load(Ordering::SeqCst)
    }

    /// What the clients of connections that are over have said, if it is kept.
    pub(crate) fn said(&self) -> Vec<Vec<u8>> {
        lock(&self.shared.said).clone().unwrap_or_default()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One of the two directions of a connection.
struct Direction {
    from: TcpStream,
    to: TcpStream,
    octets: usize,
    is_over: bool,
}

impl Direction {
    fn new(from: TcpStream, to: TcpStream) -> Self {
        Self { from, to, octets: 0, is_over: false }
    }

    /// Passes on what there is, at most `most` octets.
    fn pass<'b>(&mut self, buffer: &'b mut [u8], most: usize) -> std::io::Result<&'b [u8]> {
        let most = most.min(buffer.len());
        let octets = self.from.read(&mut buffer[..most])?;
        self.octets += octets;
        self.is_over = octets == 0;
        if self.is_over {
            // The other side may be gone already.
            let _ = self.to.shutdown(Shutdown::Write);
        }
        self.to.write_all(&buffer[..octets])?;
        Ok(&buffer[..octets])
    }
}

/// Passes octets on until both sides are done, or the cut; what the client said.
fn pass_on(client: TcpStream, server: TcpStream, shared: &Shared) -> std::io::Result<Vec<u8>> {
    for stream in [&client, &server] {
        stream.set_nodelay(true)?;
        // Only where a test fails.
        stream.set_write_timeout(Some(Duration::from_secs(60)))?;
    }
    let (to_client, to_server) = (client.try_clone()?, server.try_clone()?);
    let (mut there, mut back) = (Direction::new(client, to_server), Direction::new(server, to_client));
    let (mut said, mut texts, mut back_at_text) = (Vec::new(), 0, 0);
    let (mut tail, mut buffer) = (Vec::new(), [0; PIECE]);
    let is_kept = lock(&shared.said).is_some();
    loop {
        let wanted = *lock(&shared.wanted);
        let (left_there, left_back) = match wanted.map(|cut| cut.at) {
            Some(At::There(octets)) => (octets.saturating_sub(there.octets), usize::MAX),
            Some(At::Back(octets)) => (usize::MAX, octets.saturating_sub(back.octets)),
            Some(At::BackBehindText(number, octets)) if texts >= number => {
                (usize::MAX, (back_at_text + octets).saturating_sub(back.octets))
            }
            _ => (usize::MAX, usize::MAX),
        };
        if let (Some(cut), true) = (wanted, left_there == 0 || left_back == 0) {
            // Another connection may have been first.
            if lock(&shared.wanted).take().is_some() {
                *lock(&shared.made) = Some(Made { is_behind_text: tail == END });
                if cut.is_reset {
                    for stream in [&there.from, &back.from] {
                        setsockopt(stream, sockopt::Linger, &libc::linger { l_onoff: 1, l_linger: 0 })?;
                    }
                }
                return Ok(said);
            }
            continue;
        }
        if there.is_over && back.is_over {
            return Ok(said);
        }
        let [from_client, from_server] = are_ready([&there, &back])?;
        // A side that is gone says so, whichever direction is open.
        if (from_client && there.is_over) || (from_server && back.is_over) {
            return Ok(said);
        }
        if from_server {
            back.pass(&mut buffer, left_back)?;
        }
        if from_client {
            let octets = there.pass(&mut buffer, left_there)?;
            if is_kept {
                said.extend_from_slice(octets);
            }
            for octet in octets {
                if tail.len() == END.len() {
                    tail.remove(0);
                }
                tail.push(*octet);
                if tail == END {
                    (texts, back_at_text) = (texts + 1, back.octets);
                }
            }
        }
    }
}

/// Waits until one of these has octets, or its end, or is gone.
fn are_ready(directions: [&Direction; 2]) -> std::io::Result<[bool; 2]> {
    let mut descriptors = directions.map(|direction| {
        let events = if direction.is_over { PollFlags::empty() } else { PollFlags::POLLIN };
        PollFd::new(direction.from.as_fd(), events)
    });
    poll(&mut descriptors, PollTimeout::NONE)?;
    Ok(descriptors.map(|descriptor| descriptor.revents().is_some_and(|revents| !revents.is_empty())))
}
