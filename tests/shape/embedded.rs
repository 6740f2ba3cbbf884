//! Driver 4: a blocking loop over embedded_io's traits, as for a serial line.

use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::task::Waker;
use std::thread;

use embedded_io::{ErrorType, Read, Write};
use smtpd_core::server::{Ending, Handler, Peer, Progress, Session, step};
use smtpd_mock::{Actor, Connection, Driver, Script};

use super::client::Client;

pub(crate) struct Embedded;

impl Driver for Embedded {
    fn name(&self) -> &'static str {
        "embedded-io"
    }

    fn connect<'s>(&self, script: &'s Script, mut actor: Actor) -> Box<dyn Connection + 's> {
        let cut = super::cut(script);
        let (client, server) = UnixStream::pair().expect("a pair of sockets");
        let config = script.config;
        let mut buffer = vec![0; cut.min(65_536)];
        thread::spawn(move || {
            let mut session = Session::new(&config, Peer::default());
            let mut io = Io(server);
            serve(&mut io, &mut session, &mut actor, &mut buffer)?;
            // What embedded_io has no words for: half-close, and reading for a while only.
            io.0.shutdown(Shutdown::Write)?;
            std::io::copy(&mut io.0, &mut std::io::sink())
        });
        Box::new(Client::new(client, || {}))
    }
}

/// The driver: serves one client until its session is over.
fn serve<I: Read + Write>(
    io: &mut I,
    session: &mut Session<'_>,
    handler: &mut impl Handler,
    buffer: &mut [u8],
) -> Result<(), I::Error> {
    let mut unread = 0..0;
    loop {
        let mut input = &buffer[unread.clone()];
        let progress = step(session, &mut input, handler, Waker::noop());
        unread.start = unread.end - input.len();
        if progress == Progress::Moved {
            continue;
        }
        io.write_all(session.output())?;
        session.sent(session.output().len());
        match progress {
            Progress::Closed => return io.flush(),
            Progress::Read => match io.read(buffer)? {
                0 => session.end(Ending::Lost),
                read => unread = 0..read,
            },
            // A read would block the answer.
            _ => {}
        }
    }
}

/// A socket of the host, as embedded_io sees it.
struct Io(UnixStream);

impl ErrorType for Io {
    type Error = std::io::Error;
}

impl Read for Io {
    fn read(&mut self, octets: &mut [u8]) -> std::io::Result<usize> {
        std::io::Read::read(&mut self.0, octets)
    }
}

impl Write for Io {
    fn write(&mut self, octets: &[u8]) -> std::io::Result<usize> {
        std::io::Write::write(&mut self.0, octets)
    }
    fn flush(&mut self) -> std::io::Result<()> {
        std::io::Write::flush(&mut self.0)
    }
}
