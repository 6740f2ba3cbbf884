//! The log on stderr, which nobody waits for: a thread of its own writes it, and what it can't keep is lost.

use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use crate::patient;

/// Octets that wait to be written, at most.
const ROOM: usize = 1_048_576;

/// Takes a line with each write.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<(Mutex<Lines>, Condvar)>);

#[derive(Default)]
struct Lines {
    waiting: Vec<u8>,
    /// Lines behind `waiting` for which there was no room.
    lost: usize,
    is_writing: bool,
}

impl Lines {
    fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.lost == 0
    }
}

impl Log {
    /// Starts the thread that owns `output`.
    ///
    /// # Errors
    /// The thread can't be started.
    pub(crate) fn new(output: impl Write + Send + 'static) -> io::Result<Self> {
        let log = Self::default();
        let writer = log.clone();
        thread::Builder::new().name("log".into()).spawn(move || writer.write_to(output))?;
        Ok(log)
    }

    /// Waits until all is written, or for `patience`.
    pub(crate) fn finish(&self, patience: Duration) {
        let (_, changed) = &*self.0;
        let _ = changed.wait_timeout_while(self.lines(), patience, |lines| lines.is_writing || !lines.is_empty());
    }

    fn write_to(&self, mut output: impl Write) {
        let (_, changed) = &*self.0;
        let mut lines = self.lines();
        loop {
            lines.is_writing = false;
            changed.notify_all();
            lines = changed.wait_while(lines, |lines| lines.is_empty()).unwrap_or_else(PoisonError::into_inner);
            lines.is_writing = true;
            let (mut text, lost) = (std::mem::take(&mut lines.waiting), std::mem::take(&mut lines.lost));
            drop(lines);
            if lost > 0 {
                text.extend_from_slice(format!("smtpd: {lost} lines of the log were lost\n").as_bytes());
            }
            // There is no other place to say that it failed.
            let _ = patient::write_all(&mut output, &text);
            lines = self.lines();
        }
    }

    fn lines(&self) -> MutexGuard<'_, Lines> {
        let (lines, _) = &*self.0;
        lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Write for Log {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut lines = self.lines();
        if lines.lost > 0 || lines.waiting.len() + line.len() > ROOM {
            lines.lost += 1;
        } else {
            lines.waiting.extend_from_slice(line);
        }
        let (_, changed) = &*self.0;
        changed.notify_all();
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_waits_for_the_line_that_is_being_written_and_not_for_ever() {
        struct Slow(Arc<Mutex<Vec<u8>>>);
        impl Write for Slow {
            fn write(&mut self, line: &[u8]) -> io::Result<usize> {
                thread::sleep(Duration::from_millis(300));
                self.0.lock().unwrap().write(line)
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let written = Arc::<Mutex<Vec<u8>>>::default();
        let mut log = Log::new(Slow(Arc::clone(&written))).unwrap();
        log.write_all(b"line\n").unwrap();
        thread::sleep(Duration::from_millis(100));
        log.finish(Duration::from_millis(10));
        assert_eq!(*written.lock().unwrap(), b"");
        log.finish(Duration::from_secs(10));
        assert_eq!(*written.lock().unwrap(), b"line\n");
    }
}
