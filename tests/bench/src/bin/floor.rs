//! floor PORT-FILE: the kernel's own price. It parses nothing, and answers fixed octets with as few system calls as a
//! server can make: one read and one write for each time that it wakes.
//!
//! It counts lines, knows DATA by the octets at the end of what it read, and the end of the text likewise. So it serves
//! only clients that wait where they must (RFC 2920 §3.1), and that send nothing behind the end of a text.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::{fs, io};

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

/// As much as smtpd reads.
const READ: usize = 65_536;

/// Lines that one write answers at most.
const REPLIES: usize = READ / 2;

const OK: &[u8] = b"250 OK\r\n";
const GO_ON: &[u8] = b"354 OK\r\n";

fn main() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    fs::write(std::env::args().nth(1).unwrap_or_default(), format!("{}\n", listener.local_addr()?.port()))?;
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
    let readable = |data: i32| EpollEvent::new(EpollFlags::EPOLLIN, data as u64);
    epoll.add(&listener, readable(listener.as_raw_fd()))?;

    let mut floor = Floor { octets: vec![0; READ], replies: [OK.repeat(REPLIES), GO_ON.to_vec()].concat() };
    let mut connections: Vec<Option<Connection>> = Vec::new();
    let mut events = [EpollEvent::empty(); 1_024];
    loop {
        let ready = match epoll.wait(&mut events, EpollTimeout::NONE) {
            // Someone began to trace it.
            Err(Errno::EINTR) => continue,
            ready => ready?,
        };
        for event in &events[..ready] {
            let at = event.data() as usize;
            if at == listener.as_raw_fd() as usize {
                // Only one: another that waits wakes it again, and to ask for it would be a call more.
                let mut stream = listener.accept()?.0;
                if stream.write_all(b"220 OK\r\n").is_err() {
                    continue;
                }
                let at = stream.as_raw_fd();
                epoll.add(&stream, readable(at))?;
                connections.resize_with(connections.len().max(at as usize + 1), || None);
                connections[at as usize] = Some(Connection { stream, last: 0, is_text: false });
            } else if let Some(connection) = &mut connections[at]
                && !floor.serve(connection)
            {
                connections[at] = None;
            }
        }
    }
}

struct Connection {
    /// Blocks, which no call ever does: epoll said that there is something, and a client that waits for replies has
    /// room for them.
    stream: TcpStream,
    /// The last eight octets.
    last: u64,
    is_text: bool,
}

struct Floor {
    octets: Vec<u8>,
    /// Behind many times OK one 354, so that the replies to any batch of commands are one slice.
    replies: Vec<u8>,
}

impl Floor {
    /// False: the connection is over.
    fn serve(&mut self, connection: &mut Connection) -> bool {
        let octets = match connection.stream.read(&mut self.octets) {
            Ok(length @ 1..) => &self.octets[..length],
            _ => return false,
        };
        for octet in &octets[octets.len().saturating_sub(8)..] {
            connection.last = connection.last << 8 | u64::from(*octet);
        }
        let end = self.replies.len() - GO_ON.len();
        let replies = if connection.is_text {
            if !connection.ends_with(b"\r\n.\r\n") {
                return true;
            }
            connection.is_text = false;
            OK
        } else {
            let lines = octets.iter().filter(|octet| **octet == b'\n').count();
            if connection.ends_with(b"DATA\r\n") {
                connection.is_text = true;
                &self.replies[end + OK.len() - OK.len() * lines..]
            } else {
                &self.replies[..OK.len() * lines]
            }
        };
        connection.stream.write_all(replies).is_ok()
    }
}

impl Connection {
    fn ends_with(&self, octets: &[u8]) -> bool {
        let mut wanted = [0; 8];
        wanted[8 - octets.len()..].copy_from_slice(octets);
        let mask = u64::MAX >> (64 - 8 * octets.len());
        self.last & mask == u64::from_be_bytes(wanted)
    }
}
