//! The handler: who decides about addresses and keeps messages.

use core::task::Waker;

use super::Extensions;
use super::event::{Answer, Ending, Flow, Hello, Mail, Peer, Rcpt, Verify};
use crate::wire::Reply;

/// Decides what is accepted, and takes the text. Three methods to write, the rest have defaults.
///
/// A method that can't know yet answers [`Answer::Later`]; [`resume`](Self::resume) is then asked until it does.
/// An accepted MAIL ends in exactly one of: the last `message`, `reset`, `closed`.
pub trait Handler {
    /// A client is there; refused with 554, it may only say QUIT.
    fn connected(&mut self, peer: Peer) -> Answer<'_> {
        let _ = peer;
        Answer::Accept
    }

    /// HELO, EHLO or LHLO.
    fn hello(&mut self, hello: Hello<'_>) -> Answer<'_> {
        let _ = hello;
        Answer::Accept
    }

    /// MAIL: a transaction begins if it is accepted.
    fn mail(&mut self, mail: Mail<'_>) -> Answer<'_> {
        let _ = mail;
        Answer::Accept
    }

    /// RCPT: whether this recipient's mail is taken.
    fn rcpt(&mut self, rcpt: Rcpt<'_>) -> Answer<'_>;

    /// DATA: whether the text may come.
    fn data(&mut self) -> Answer<'_> {
        Answer::Accept
    }

    /// A piece of the text, at most as long as `room` said: transparency is undone, line ends are as they came.
    fn text(&mut self, octets: &[u8]) -> Flow<'_>;

    /// The text is complete: accepted, the message is the server's own from here on. With LMTP, asked for each
    /// accepted recipient, counted from 0; otherwise once, with 0.
    fn message(&mut self, recipient: u16) -> Answer<'_>;

    /// VRFY, and EXPN, which is not implemented unless a handler does.
    fn verify(&mut self, verify: Verify<'_>) -> Answer<'_> {
        const NO_EXPN: Reply<'static> = Reply::new(502, "EXPN not implemented").enhanced(5, 1);
        if verify.expand { Answer::Reply(NO_EXPN) } else { Answer::Accept }
    }

    /// The transaction ended without a message.
    fn reset(&mut self) {}

    /// The session ended, and with it the transaction if one was under way.
    fn closed(&mut self, why: Ending) {
        let _ = why;
    }

    /// Which extensions may be offered: those on which the session acts by itself ([`Extensions::OWN`]), and of those that
    /// need a handler the ones on which this one acts. A relay offers what the server behind it does.
    fn acts_on(&self) -> Extensions {
        Extensions::OWN.with(Extensions::EIGHTBITMIME)
    }

    /// The greatest message that it takes, in octets, if that is less than
    /// [`Limits::size`](super::Limits::size): announced in its place. 0: no limit of its own.
    fn size(&self) -> u32 {
        0
    }

    /// Octets of text that it can take now. 0 pauses the text, and so the client, and nothing else; the waker says
    /// when to ask again.
    fn room(&mut self, waker: &Waker) -> usize {
        let _ = waker;
        usize::MAX
    }

    /// Questions that it lets stand open at once: 1, or more to get RCPT commands while MAIL or an older RCPT is
    /// open. While one is open, all its methods must answer [`Answer::Later`]; anything else becomes 451. Once it answered
    /// MAIL by anything but Accept or 250, the RCPT commands behind it are answered by the session: it drops them.
    fn backlog(&self) -> u16 {
        1
    }

    /// The answer to the oldest open question, if it is known now; the waker says when to ask again.
    fn resume(&mut self, waker: &Waker) -> Answer<'_> {
        let _ = waker;
        Answer::Later
    }
}

impl<H: Handler + ?Sized> Handler for &mut H {
    fn connected(&mut self, peer: Peer) -> Answer<'_> {
        (**self).connected(peer)
    }
    fn hello(&mut self, hello: Hello<'_>) -> Answer<'_> {
        (**self).hello(hello)
    }
    fn mail(&mut self, mail: Mail<'_>) -> Answer<'_> {
        (**self).mail(mail)
    }
    fn rcpt(&mut self, rcpt: Rcpt<'_>) -> Answer<'_> {
        (**self).rcpt(rcpt)
    }
    fn data(&mut self) -> Answer<'_> {
        (**self).data()
    }
    fn text(&mut self, octets: &[u8]) -> Flow<'_> {
        (**self).text(octets)
    }
    fn message(&mut self, recipient: u16) -> Answer<'_> {
        (**self).message(recipient)
    }
    fn verify(&mut self, verify: Verify<'_>) -> Answer<'_> {
        (**self).verify(verify)
    }
    fn reset(&mut self) {
        (**self).reset();
    }
    fn closed(&mut self, why: Ending) {
        (**self).closed(why);
    }
    fn acts_on(&self) -> Extensions {
        (**self).acts_on()
    }
    fn size(&self) -> u32 {
        (**self).size()
    }
    fn room(&mut self, waker: &Waker) -> usize {
        (**self).room(waker)
    }
    fn backlog(&self) -> u16 {
        (**self).backlog()
    }
    fn resume(&mut self, waker: &Waker) -> Answer<'_> {
        (**self).resume(waker)
    }
}
