//! A wire as std::io sees it.
#![cfg(feature = "std")]

use std::io::{Read, Result, Write};

use super::Wire;

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
