//! Drivers 5 and 6: smtpd-io's async loop, with a handler that is asked later and with one that awaits. Each has a
//! thread as its executor, so reads may as well block it.

use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::thread;

use embedded_io_async::{ErrorType, Read, Write};
use smtpd_core::server::{
    Answer, AsyncHandler, Ending, Extensions, Flow, Handler, Hello, Mail, Peer, Rcpt, Session, Verify,
};
use smtpd_io::{serve_async, serve_plain};
use smtpd_mock::{Actor, Connection, Driver, Transcript};
use tokio::task::yield_now;

use super::client::Client;

/// A handler that answers later.
pub(crate) struct Plain;

/// A handler that awaits before each answer.
pub(crate) struct Awaited;

impl Driver for Plain {
    fn name(&self) -> &'static str {
        "embedded-plain"
    }

    fn connect<'t>(&self, transcript: &'t Transcript, actor: Actor, cut: usize) -> Box<dyn Connection + 't> {
        let (client, server) = UnixStream::pair().expect("a pair of sockets");
        let config = transcript.config;
        thread::spawn(move || {
            let (mut session, mut io, mut actor) = (Session::new(&config, Peer::default()), Io(server), actor.later(1));
            let (mut buffer, mut output) = (vec![0; cut.min(65_536)], [0; 64]);
            run(serve_plain(&mut io, &mut session, &mut actor, &(), &mut buffer, &mut output))?;
            io.close()
        });
        Box::new(Client::new(client, || {}))
    }
}

impl Driver for Awaited {
    fn name(&self) -> &'static str {
        "embedded-async"
    }

    fn connect<'t>(&self, transcript: &'t Transcript, actor: Actor, cut: usize) -> Box<dyn Connection + 't> {
        let (client, server) = UnixStream::pair().expect("a pair of sockets");
        let config = transcript.config;
        thread::spawn(move || {
            let (mut session, mut io, mut actor) =
                (Session::new(&config, Peer::default()), Io(server), Yields(actor.later(1)));
            let (mut buffer, mut output) = (vec![0; cut.min(65_536)], [0; 64]);
            run(serve_async(&mut io, &mut session, &mut actor, &(), &mut buffer, &mut output))?;
            io.close()
        });
        Box::new(Client::new(client, || {}))
    }
}

/// Nothing but this thread can make anything ready.
fn run<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(done) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return done;
        }
    }
}

/// A socket of the host, as embedded_io_async sees it.
struct Io(UnixStream);

impl Io {
    /// What embedded_io has no words for: half-close, and reading for a while only.
    fn close(&mut self) -> std::io::Result<u64> {
        self.0.shutdown(Shutdown::Write)?;
        std::io::copy(&mut self.0, &mut std::io::sink())
    }
}

impl ErrorType for Io {
    type Error = std::io::Error;
}

impl Read for Io {
    async fn read(&mut self, octets: &mut [u8]) -> std::io::Result<usize> {
        std::io::Read::read(&mut self.0, octets)
    }
}

impl Write for Io {
    async fn write(&mut self, octets: &[u8]) -> std::io::Result<usize> {
        yield_now().await;
        std::io::Write::write(&mut self.0, octets)
    }
    async fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Yields once for each time that its actor says `Later`, which is at least one.
struct Yields(Actor);

impl Yields {
    async fn answer(&mut self) -> Answer<'_> {
        for _ in 0..self.0.waits() {
            yield_now().await;
            let _ = self.0.resume(Waker::noop());
        }
        self.0.resume(Waker::noop())
    }
}

impl AsyncHandler for Yields {
    async fn connected(&mut self, peer: Peer) -> Answer<'_> {
        let _ = self.0.connected(peer);
        self.answer().await
    }
    async fn hello(&mut self, hello: Hello<'_>) -> Answer<'_> {
        let _ = self.0.hello(hello);
        self.answer().await
    }
    async fn mail(&mut self, mail: Mail<'_>) -> Answer<'_> {
        let _ = self.0.mail(mail);
        self.answer().await
    }
    async fn rcpt(&mut self, rcpt: Rcpt<'_>) -> Answer<'_> {
        let _ = self.0.rcpt(rcpt);
        self.answer().await
    }
    async fn data(&mut self) -> Answer<'_> {
        let _ = self.0.data();
        self.answer().await
    }
    async fn text(&mut self, octets: &[u8]) -> Flow<'_> {
        yield_now().await;
        self.0.text(octets)
    }
    async fn message(&mut self, recipient: u16) -> Answer<'_> {
        let _ = self.0.message(recipient);
        self.answer().await
    }
    async fn verify(&mut self, verify: Verify<'_>) -> Answer<'_> {
        let _ = self.0.verify(verify);
        self.answer().await
    }
    async fn reset(&mut self) {
        self.0.reset();
    }
    async fn closed(&mut self, why: Ending) {
        self.0.closed(why);
    }
    fn acts_on(&self) -> Extensions {
        self.0.acts_on()
    }
}
