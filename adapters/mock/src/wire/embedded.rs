//! A wire as embedded_io and embedded_io_async see it.

use core::future::poll_fn;

use embedded_io::{ErrorType, ReadReady, WriteReady};

use super::{Wire, WireError};

impl ErrorType for Wire {
    type Error = WireError;
}

impl embedded_io::Read for Wire {
    fn read(&mut self, octets: &mut [u8]) -> Result<usize, WireError> {
        self.block(|| self.try_read(octets))
    }
}

impl embedded_io::Write for Wire {
    fn write(&mut self, octets: &[u8]) -> Result<usize, WireError> {
        self.block(|| self.try_write(octets))
    }

    fn flush(&mut self) -> Result<(), WireError> {
        Ok(())
    }
}

impl ReadReady for Wire {
    fn read_ready(&mut self) -> Result<bool, WireError> {
        Ok(self.can_read())
    }
}

impl WriteReady for Wire {
    fn write_ready(&mut self) -> Result<bool, WireError> {
        Ok(self.can_write())
    }
}

impl embedded_io_async::Read for Wire {
    async fn read(&mut self, octets: &mut [u8]) -> Result<usize, WireError> {
        poll_fn(|cx| self.poll_read(cx, octets)).await
    }
}

impl embedded_io_async::Write for Wire {
    async fn write(&mut self, octets: &[u8]) -> Result<usize, WireError> {
        poll_fn(|cx| self.poll_write(cx, octets)).await
    }

    async fn flush(&mut self) -> Result<(), WireError> {
        Ok(())
    }
}
