//! A wire as std::io sees it.
#![cfg(feature = "std")]

use std::io::{Error, ErrorKind, Read, Result, Write};

use super::{Wire, WireError};

impl From<WireError> for Error {
    fn from(error: WireError) -> Self {
        let kind = match error {
            WireError::WouldBlock => ErrorKind::WouldBlock,
            WireError::TimedOut | WireError::Stuck => ErrorKind::TimedOut,
            WireError::Reset => ErrorKind::ConnectionReset,
            WireError::BrokenPipe => ErrorKind::BrokenPipe,
        };
        Self::new(kind, error)
    }
}

impl Read for Wire {
    fn read(&mut self, octets: &mut [u8]) -> Result<usize> {
        Ok(self.block(|| self.try_read(octets))?)
    }
}

impl Write for Wire {
    fn write(&mut self, octets: &[u8]) -> Result<usize> {
        Ok(self.block(|| self.try_write(octets))?)
    }

    fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}
