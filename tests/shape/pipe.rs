//! A socket for loops that never block.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};

/// A socket that does not block, and what was read from it and not taken.
pub(crate) struct Pipe {
    stream: TcpStream,
    pub(crate) input: Vec<u8>,
    cut: usize,
    pub(crate) is_lost: bool,
}

impl Pipe {
    pub(crate) fn new(stream: TcpStream, cut: usize) -> Self {
        stream.set_nonblocking(true).expect("a socket");
        stream.set_nodelay(true).expect("a socket");
        Self { stream, input: Vec::new(), cut: cut.min(65_536), is_lost: false }
    }

    /// Reads once, if all was taken that was read before; true if anything came.
    pub(crate) fn read(&mut self) -> bool {
        if !self.input.is_empty() || self.is_lost {
            return false;
        }
        self.input.resize(self.cut, 0);
        let read = self.stream.read(&mut self.input);
        self.is_lost = match &read {
            Ok(read) => *read == 0,
            Err(error) => error.kind() != ErrorKind::WouldBlock,
        };
        self.input.truncate(read.unwrap_or(0));
        !self.input.is_empty()
    }

    /// All but `left` octets of the input were taken; true if that were any.
    pub(crate) fn took(&mut self, left: usize) -> bool {
        let taken = self.input.len() - left;
        self.input.drain(..taken);
        taken > 0
    }

    pub(crate) fn write(&mut self, octets: &[u8]) -> usize {
        if octets.is_empty() { 0 } else { self.stream.write(octets).unwrap_or(0) }
    }

    /// Shuts down writing, and throws away what still comes.
    pub(crate) fn close(&mut self) {
        let _ = self.stream.shutdown(Shutdown::Write);
        self.input.clear();
        self.read();
        self.input.clear();
    }
}
