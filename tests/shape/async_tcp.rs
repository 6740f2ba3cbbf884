//! Driver 2: an asynchronous handler that sleeps before each answer, in a spawned task of the multi-thread runtime, over
//! a real port.

use std::net::TcpStream;
use std::sync::Mutex;
use std::task::Waker;
use std::time::Duration;

use smtpd_mock::{Actor, Connection, Driver, Script};
use smtpd_std::{Answer, AsyncHandler, Ending, Extensions, Flow, Handler, Hello, Mail, Peer, Rcpt, Server, Verify};
use tokio::runtime::Handle;
use tokio::task::yield_now;
use tokio::time::sleep;

use super::client::Client;

pub(crate) struct AsyncTcp(pub(crate) Handle);

impl Driver for AsyncTcp {
    fn name(&self) -> &'static str {
        "async-tcp"
    }

    fn connect<'s>(&self, script: &'s Script, actor: Actor) -> Box<dyn Connection + 's> {
        let cut = super::cut(script);
        let bound = self.0.block_on(Server::bind("127.0.0.1:0", script.config));
        let server = bound.expect("a port").read_at_once(cut);
        let stream = TcpStream::connect(server.local_addrs().expect("an address")[0]).expect("a connection");
        let stopper = server.stopper();
        let actor = Mutex::new(Some(Sleeper(actor.later(1))));
        self.0.spawn(server.run_async(move |_| actor.lock().expect("no panic").take().expect("one connection")));
        Box::new(Client::new(stream, move || stopper.stop()))
    }
}

/// Sleeps once for each time that its actor says `Later`, which is at least one.
struct Sleeper(Actor);

impl Sleeper {
    async fn answer(&mut self) -> Answer<'_> {
        for _ in 0..self.0.waits() {
            sleep(Duration::from_micros(100)).await;
            let _ = self.0.resume(Waker::noop());
        }
        self.0.resume(Waker::noop())
    }
}

impl AsyncHandler for Sleeper {
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
