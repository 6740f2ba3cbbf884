//! smtpd-io's loops at the end of a wire in memory: blocking, and async with both kinds of handler.

use std::task::Waker;
use std::time::Duration;

use smtpd_core::server::{
    Answer, AsyncHandler, Ending, Extensions, Flow, Handler, Hello, Mail, Peer, Rcpt, Session, Verify,
};
use smtpd_io::{AsyncTimer, Timer, serve, serve_async, serve_plain};
use smtpd_mock::{Actor, Clock, Links, Mismatch, Script};

/// The loop for blocking I/O, whose reads come back after a second.
pub(crate) fn blocking(script: &Script) -> Result<(), Box<Mismatch>> {
    let links = Links::default();
    let clock = Virtual(links.clock.clone());
    let mut actor = Actor::new(script);
    let served = script.call_over(links, Some(&actor.notes()), |mut wire| {
        wire.set_timeout(Some(Duration::from_secs(1)));
        let mut session = Session::new(&script.config, Peer::default());
        serve(&mut wire, &mut session, &mut actor, &clock, &mut [0; 512])
    });
    served.map(drop)
}

/// The async loop, with a handler that answers later.
pub(crate) fn plain(script: &Script) -> Result<(), Box<Mismatch>> {
    let links = Links::default();
    let clock = links.clock.clone();
    let mut actor = Actor::new(script).later(1);
    let notes = actor.notes();
    let served = script.call_async(links, Some(&notes), async |mut wire| {
        let mut session = Session::new(&script.config, Peer::default());
        let (timer, buffer, output) = (Virtual(clock.clone()), &mut [0; 512], &mut [0; 64]);
        serve_plain(&mut wire, &mut session, &mut actor, &timer, buffer, output).await
    });
    clock.run(served).expect("the script has a limit").map(drop)
}

/// The async loop, with a handler that awaits before each answer.
pub(crate) fn awaited(script: &Script) -> Result<(), Box<Mismatch>> {
    let links = Links::default();
    let clock = links.clock.clone();
    let mut sleeper = Sleeper(Actor::new(script).later(1), clock.clone());
    let notes = sleeper.0.notes();
    let served = script.call_async(links, Some(&notes), async |mut wire| {
        let mut session = Session::new(&script.config, Peer::default());
        let (timer, buffer, output) = (Virtual(clock.clone()), &mut [0; 512], &mut [0; 64]);
        serve_async(&mut wire, &mut session, &mut sleeper, &timer, buffer, output).await
    });
    clock.run(served).expect("the script has a limit").map(drop)
}

/// A clock that goes on where nothing else does.
struct Virtual(Clock);

impl Timer for Virtual {
    fn now(&self) -> u32 {
        self.0.millis()
    }
    fn wait(&self) {
        self.0.advance(Duration::from_millis(100));
    }
}

impl AsyncTimer for Virtual {
    fn after(&self, millis: u32) -> impl Future<Output = ()> {
        self.0.sleep(Duration::from_millis(millis.into()))
    }
}

/// Sleeps a millisecond for each time that its actor says `Later`, which is at least one.
struct Sleeper(Actor, Clock);

impl Sleeper {
    async fn answer(&mut self) -> Answer<'_> {
        for _ in 0..self.0.waits() {
            self.1.sleep(Duration::from_millis(1)).await;
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
        self.1.sleep(Duration::ZERO).await;
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
