//! floor PORT-FILE: the kernel's own price. It parses nothing, and answers fixed octets with as few system calls as a
//! server can make: one read and one write for each time that it wakes.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::{fs, io};

use bench::{Answers, Dialogue, GREETING, READ};
use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

fn main() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    fs::write(std::env::args().nth(1).unwrap_or_default(), format!("{}\n", listener.local_addr()?.port()))?;
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
    let readable = |data: i32| EpollEvent::new(EpollFlags::EPOLLIN, data as u64);
    epoll.add(&listener, readable(listener.as_raw_fd()))?;

    let (answers, mut octets) = (Answers::default(), vec![0; READ]);
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
                if stream.write_all(GREETING).is_err() {
                    continue;
                }
                let at = stream.as_raw_fd();
                epoll.add(&stream, readable(at))?;
                connections.resize_with(connections.len().max(at as usize + 1), || None);
                connections[at as usize] = Some(Connection { stream, dialogue: Dialogue::default() });
            } else if let Some(connection) = &mut connections[at]
                && !connection.serve(&answers, &mut octets)
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
    dialogue: Dialogue,
}

impl Connection {
    /// False: it is over.
    fn serve(&mut self, answers: &Answers, octets: &mut [u8]) -> bool {
        let Ok(length @ 1..) = self.stream.read(octets) else { return false };
        match answers.to(&mut self.dialogue, &octets[..length]) {
            [] => true,
            replies => self.stream.write_all(replies).is_ok(),
        }
    }
}
