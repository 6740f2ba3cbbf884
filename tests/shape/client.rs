//! The client's end of a connection that a server in another thread serves.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use smtpd_mock::{Act, Connection, Received};

/// How long a server may take to say what it should; waited for only where a test fails.
const PATIENCE: Duration = Duration::from_secs(15);

/// A connection, and what stops its server.
pub(crate) struct Client<S: Socket> {
    stream: S,
    stop: Box<dyn Fn()>,
}

pub(crate) trait Socket: Read + Write {
    fn wait_at_most(&self, time: Duration);
    fn close(&self);
}

impl<S: Socket> Client<S> {
    pub(crate) fn new(stream: S, stop: impl Fn() + 'static) -> Self {
        stream.wait_at_most(PATIENCE);
        Self { stream, stop: Box::new(stop) }
    }
}

impl<S: Socket> Connection for Client<S> {
    fn send(&mut self, octets: &[u8]) {
        // A server that closed takes no more.
        let _ = self.stream.write_all(octets);
    }

    fn receive(&mut self, said: &mut Vec<u8>) -> Received {
        let mut octets = [0; 4_096];
        match self.stream.read(&mut octets) {
            Ok(0) => Received::End,
            Ok(read) => {
                said.extend_from_slice(&octets[..read]);
                Received::More
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => Received::Nothing,
            Err(error) => {
                said.extend_from_slice(format!("({error})").as_bytes());
                Received::End
            }
        }
    }

    fn act(&mut self, act: Act) {
        match act {
            Act::Drop | Act::Reset => self.stream.close(),
            Act::Stop => (self.stop)(),
            Act::Stall => {}
        }
    }
}

impl<S: Socket> Drop for Client<S> {
    fn drop(&mut self) {
        self.stream.close();
        (self.stop)();
    }
}

impl Socket for TcpStream {
    fn wait_at_most(&self, time: Duration) {
        self.set_read_timeout(Some(time)).expect("a time above 0");
        self.set_nodelay(true).expect("TCP_NODELAY");
    }
    fn close(&self) {
        let _ = self.shutdown(Shutdown::Both);
    }
}

impl Socket for UnixStream {
    fn wait_at_most(&self, time: Duration) {
        self.set_read_timeout(Some(time)).expect("a time above 0");
    }
    fn close(&self) {
        let _ = self.shutdown(Shutdown::Both);
    }
}
