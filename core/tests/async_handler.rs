//! What a handler that awaits does unless it says otherwise: the same as one that does not.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use smtpd_core::server::{Answer, AsyncHandler, Config, Ending, Event, Extensions, Flow, Handler, Peer, Rcpt, Session};

struct Least;

impl AsyncHandler for Least {
    async fn rcpt(&mut self, _: Rcpt<'_>) -> Answer<'_> {
        Answer::Accept
    }
    async fn text(&mut self, _: &[u8]) -> Flow<'_> {
        Flow::Continue
    }
    async fn message(&mut self, _: u16) -> Answer<'_> {
        Answer::Accept
    }
}

struct Plain;

impl Handler for Plain {
    fn rcpt(&mut self, _: Rcpt<'_>) -> Answer<'_> {
        Answer::Accept
    }
    fn text(&mut self, _: &[u8]) -> Flow<'_> {
        Flow::Continue
    }
    fn message(&mut self, _: u16) -> Answer<'_> {
        Answer::Accept
    }
}

/// What is ready at once.
fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => result,
        Poll::Pending => panic!("it waits"),
    }
}

#[test]
fn defaults() {
    assert_eq!(now(Least.connected(Peer::default())), Plain.connected(Peer::default()));
    assert_eq!(now(Least.data()), Answer::Accept);
    now(Least.reset());
    now(Least.closed(Ending::Quit));
    assert_eq!(Least.acts_on(), Plain.acts_on());
    assert_eq!(Least.acts_on(), Extensions::OWN.with(Extensions::EIGHTBITMIME));
    let config = Config::new("mx.example.org");
    let mut session = Session::new(&config, Peer::default());
    let mut input: &[u8] = b"EHLO a\r\nVRFY a\r\nEXPN a\r\nMAIL FROM:<>\r\n";
    let (mut asked, mut least, mut plain) = (0, Least, Plain);
    loop {
        let (answer, expected) = match session.poll(&mut input, 0) {
            Event::Connected(peer) => (now(least.connected(peer)), plain.connected(peer)),
            Event::Hello(hello) => (now(least.hello(hello)), plain.hello(hello)),
            Event::Mail(mail) => (now(least.mail(mail)), plain.mail(mail)),
            Event::Verify(verify) => (now(least.verify(verify)), plain.verify(verify)),
            Event::Idle => break,
            _ => continue,
        };
        assert_eq!(answer, expected);
        asked += u32::from(session.answer(answer));
    }
    // EXPN is asked about only with the feature for it.
    assert_eq!(asked, if cfg!(feature = "expn-help") { 5 } else { 4 });
}
