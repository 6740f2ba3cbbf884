//! A socket for loops that never block.

use std::io::{self, Error, ErrorKind};
use std::net::{Shutdown, TcpStream};

use embedded_io::{ErrorType, Read, Write};

/// A socket of the host that does not block, as embedded_io sees it: one that would says `TimedOut`.
pub(crate) struct Pipe(TcpStream);

impl Pipe {
    pub(crate) fn new(stream: TcpStream) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
        Ok(Self(stream))
    }

    /// Shuts down writing, and reads until the end.
    pub(crate) fn close(mut self) -> io::Result<u64> {
        self.0.set_nonblocking(false)?;
        self.0.shutdown(Shutdown::Write)?;
        io::copy(&mut self.0, &mut io::sink())
    }
}

fn timed_out(error: Error) -> Error {
    if error.kind() == ErrorKind::WouldBlock { ErrorKind::TimedOut.into() } else { error }
}

impl ErrorType for Pipe {
    type Error = Error;
}

impl Read for Pipe {
    fn read(&mut self, octets: &mut [u8]) -> io::Result<usize> {
        io::Read::read(&mut self.0, octets).map_err(timed_out)
    }
}

impl Write for Pipe {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        io::Write::write(&mut self.0, octets).map_err(timed_out)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
