//! Writing to what may be non-blocking, as a pipe or a terminal is once one of the programs that share it made it so:
//! when full, it says `WouldBlock`, and has to be tried again.

use std::io::{self, Write};
use std::thread;
use std::time::Duration;

/// Writes all of it and flushes, however long the reader takes.
pub(crate) fn write_all(output: &mut impl Write, mut octets: &[u8]) -> io::Result<()> {
    while !octets.is_empty() {
        let written = patiently(|| output.write(octets))?;
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        (_, octets) = octets.split_at(written);
    }
    patiently(|| output.flush())
}

fn patiently<T>(mut attempt: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    const LONGEST: Duration = Duration::from_millis(50);
    let mut pause = Duration::from_millis(1);
    loop {
        match attempt() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                thread::sleep(pause);
                pause = LONGEST.min(pause * 2);
            }
            done => return done,
        }
    }
}
