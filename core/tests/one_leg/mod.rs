//! The smallest relay: one leg, which says what the client says. Also used by ../../../tests/shape.

#![allow(unreachable_pub)]

use std::task::Waker;

use smtpd_core::heapless::Vec;
use smtpd_core::relay::{Leg, Relay};
use smtpd_core::server::{Answer, Body, Ending, Extensions, Flow, Handler, Hello, Mail, Peer, Rcpt};
use smtpd_core::store::Store;

/// A relay with one leg.
pub struct OneLeg<O: Store = Vec<u8, 2048>>(pub Leg<O>);

impl<O: Store> Handler for OneLeg<O> {
    fn connected(&mut self, _: Peer) -> Answer<'_> {
        self.0.open();
        Answer::Later
    }
    fn hello(&mut self, _: Hello<'_>) -> Answer<'_> {
        self.0.hello();
        Answer::Later
    }
    fn mail(&mut self, mail: Mail<'_>) -> Answer<'_> {
        let needed = match mail.body {
            Some(Body::EightBitMime) => Extensions::EIGHTBITMIME,
            _ => Extensions::NONE,
        };
        self.0.mail(mail.reverse_path.as_octets(), mail.params.as_octets(), needed);
        Answer::Later
    }
    fn rcpt(&mut self, rcpt: Rcpt<'_>) -> Answer<'_> {
        self.0.rcpt(rcpt.forward_path.as_octets(), rcpt.params.as_octets());
        Answer::Later
    }
    fn data(&mut self) -> Answer<'_> {
        self.0.data();
        Answer::Later
    }
    fn room(&mut self, _: &Waker) -> usize {
        self.0.room()
    }
    fn text(&mut self, octets: &[u8]) -> Flow<'_> {
        self.0.text(octets);
        Flow::Continue
    }
    fn message(&mut self, _: u16) -> Answer<'_> {
        self.0.end_text();
        Answer::Later
    }
    fn reset(&mut self) {
        self.0.reset();
    }
    fn closed(&mut self, _: Ending) {
        self.0.close();
    }
    fn acts_on(&self) -> Extensions {
        self.0.extensions()
    }
    fn backlog(&self) -> u16 {
        self.0.backlog()
    }
    fn resume(&mut self, _: &Waker) -> Answer<'_> {
        self.0.answer()
    }
}

impl<O: Store> Relay for OneLeg<O> {
    type Output = O;

    fn legs(&mut self) -> &mut [Leg<O>] {
        std::slice::from_mut(&mut self.0)
    }
}
