//! I/O that says whether it is ready, and is asked before each call.

mod common;

use common::{Diary, Line, Verdict, octets};
use embedded_io::{Error, ErrorKind, ErrorType, Read, ReadReady, Write, WriteReady};
use smtpd_core::server::{Config, Ending, Peer, Session};
use smtpd_io::{Polled, PolledError, serve};

/// A line that would block for ever where it is not ready, which is every other time.
struct Uart {
    line: Line,
    calls: u32,
    is_broken: bool,
}

impl Uart {
    fn ready(&mut self) -> Result<bool, ErrorKind> {
        if self.is_broken {
            return Err(ErrorKind::Other);
        }
        self.calls += 1;
        Ok(self.calls.is_multiple_of(2))
    }
}

impl ErrorType for Uart {
    type Error = ErrorKind;
}

impl Read for Uart {
    fn read(&mut self, to: &mut [u8]) -> Result<usize, ErrorKind> {
        assert!(!self.line.reads.borrow().is_empty(), "blocks for ever");
        Read::read(&mut self.line, to)
    }
}

impl ReadReady for Uart {
    fn read_ready(&mut self) -> Result<bool, ErrorKind> {
        Ok(self.ready()? && !self.line.reads.borrow().is_empty())
    }
}

impl Write for Uart {
    fn write(&mut self, octets: &[u8]) -> Result<usize, ErrorKind> {
        assert!(self.calls.is_multiple_of(2), "blocks for ever");
        Write::write(&mut self.line, octets)
    }
    fn flush(&mut self) -> Result<(), ErrorKind> {
        Write::flush(&mut self.line)
    }
}

impl WriteReady for Uart {
    fn write_ready(&mut self) -> Result<bool, ErrorKind> {
        self.ready()
    }
}

fn serve_polled(line: &Line, is_broken: bool) -> Result<Ending, PolledError<ErrorKind>> {
    let config = Config::new("mx.example.org");
    let mut session = Session::new(&config, Peer::default());
    let mut diary = Diary::new(&line.clock, |_| Verdict::Yes);
    let mut io = Polled(Uart { line: line.clone(), calls: 0, is_broken });
    serve(&mut io, &mut session, &mut diary, &line.clock, &mut [0; 16])
}

#[test]
fn what_would_block_keeps_no_client() {
    let line = Line::new([octets("EHLO c.example\r\n"), octets("QUIT\r\n")]);
    assert_eq!(serve_polled(&line, false), Ok(Ending::Quit));
    assert!(line.said().ends_with("221 2.0.0 Bye\r\n") && line.is_flushed());
    // A client that falls silent.
    let line = Line::new([octets("EHLO c.example\r\n")]);
    assert_eq!(serve_polled(&line, false), Ok(Ending::Expired));
    assert!((300..=301).contains(&(line.clock.0.get() / 1_000)));
}

#[test]
fn its_errors_say_what_they_are() {
    let error = serve_polled(&Line::new([]), true).unwrap_err();
    assert_eq!((error.kind(), error.to_string()), (ErrorKind::Other, ErrorKind::Other.to_string()));
    let error = PolledError::<ErrorKind>::NotReady;
    assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::TimedOut, "not ready"));
}
