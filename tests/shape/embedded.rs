//! Driver 4: smtpd-io's blocking loop over embedded_io's traits, as for a serial line.

use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::thread;

use embedded_io::{ErrorType, Read, Write};
use smtpd_core::server::{Peer, Session};
use smtpd_io::serve;
use smtpd_mock::{Actor, Connection, Driver, Transcript};

use super::client::Client;

pub(crate) struct Embedded;

impl Driver for Embedded {
    fn name(&self) -> &'static str {
        "embedded-io"
    }

    fn connect<'t>(&self, transcript: &'t Transcript, mut actor: Actor, cut: usize) -> Box<dyn Connection + 't> {
        let (client, server) = UnixStream::pair().expect("a pair of sockets");
        let config = transcript.config;
        let mut buffer = vec![0; cut.min(65_536)];
        thread::spawn(move || {
            let mut session = Session::new(&config, Peer::default());
            let mut io = Io(server);
            serve(&mut io, &mut session, &mut actor, &(), &mut buffer)?;
            // What embedded_io has no words for: half-close, and reading for a while only.
            io.0.shutdown(Shutdown::Write)?;
            std::io::copy(&mut io.0, &mut std::io::sink())
        });
        Box::new(Client::new(client, || {}))
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
