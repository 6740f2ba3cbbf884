//! The handler that may await, for executors of one thread.

use core::future::{Future, poll_fn};
use core::task::Poll;

use super::Extensions;
use super::event::{Answer, Ending, Flow, Hello, Mail, Peer, Rcpt, Verify};
use crate::wire::Reply;

/// As [`Handler`](super::Handler), with methods that may await; write them as `async fn`.
///
/// Its futures need not be `Send`: for embassy, and executors like it. The host's server runs on several threads, so
/// `smtpd_std::AsyncHandler` is the same trait with futures that are `Send`.
///
/// [`step`](super::step) can't await: the adapter awaits between [`Session::poll`](super::Session::poll) and
/// [`Session::answer`](super::Session::answer). While a method awaits, the client waits, and replies that are ready
/// are sent. A method that takes longer than [`Timers`](super::Timers) allows is dropped at its await; the next that
/// the handler hears is [`closed`](Self::closed).
///
/// ```
/// use smtpd_core::server::{Answer, AsyncHandler, Flow, Rcpt, Reply};
/// struct Lookup;
/// impl AsyncHandler for Lookup {
///     async fn rcpt(&mut self, rcpt: Rcpt<'_>) -> Answer<'_> {
///         let is_known = rcpt.forward_path.domain().eq_ignore_ascii_case(b"example.org");
///         core::future::ready(()).await; // a sensor, a flash chip, another server
///         if is_known { Answer::Accept } else { Answer::Reply(Reply::new(550, "No such user").enhanced(1, 1)) }
///     }
///     async fn text(&mut self, _: &[u8]) -> Flow<'_> { Flow::Continue }
///     async fn message(&mut self, _: u16) -> Answer<'_> { Answer::Accept }
/// }
/// ```
pub trait AsyncHandler {
    /// A client is there; refused with 554, it may only say QUIT.
    fn connected(&mut self, peer: Peer) -> impl Future<Output = Answer<'_>> {
        let _ = peer;
        at_once(Answer::Accept)
    }

    /// HELO, EHLO or LHLO.
    fn hello(&mut self, hello: Hello<'_>) -> impl Future<Output = Answer<'_>> {
        let _ = hello;
        at_once(Answer::Accept)
    }

    /// MAIL: a transaction begins if it is accepted.
    fn mail(&mut self, mail: Mail<'_>) -> impl Future<Output = Answer<'_>> {
        let _ = mail;
        at_once(Answer::Accept)
    }

    /// RCPT: whether this recipient's mail is taken.
    fn rcpt(&mut self, rcpt: Rcpt<'_>) -> impl Future<Output = Answer<'_>>;

    /// DATA: whether the text may come.
    fn data(&mut self) -> impl Future<Output = Answer<'_>> {
        at_once(Answer::Accept)
    }

    /// A piece of the text; the client waits meanwhile.
    fn text(&mut self, octets: &[u8]) -> impl Future<Output = Flow<'_>>;

    /// The text is complete: accepted, the message is the server's own from here on. With LMTP, asked for each
    /// accepted recipient, counted from 0; otherwise once, with 0.
    fn message(&mut self, recipient: u16) -> impl Future<Output = Answer<'_>>;

    /// VRFY, and EXPN, which is not implemented unless a handler does.
    fn verify(&mut self, verify: Verify<'_>) -> impl Future<Output = Answer<'_>> {
        at_once(match verify.expand {
            true => Answer::Reply(Reply::new(502, "EXPN not implemented").enhanced(5, 1)),
            false => Answer::Accept,
        })
    }

    /// The transaction ended without a message.
    fn reset(&mut self) -> impl Future<Output = ()> {
        at_once(())
    }

    /// The session ended, and with it the transaction if one was under way.
    fn closed(&mut self, why: Ending) -> impl Future<Output = ()> {
        let _ = why;
        at_once(())
    }

    /// Which extensions may be offered: those on which the session acts by itself, and of those that need a handler the
    /// ones on which this one acts.
    fn acts_on(&self) -> Extensions {
        Extensions::OWN.with(Extensions::EIGHTBITMIME)
    }
}

/// A future that is ready. The library's own of that kind panics when it is polled once too often, and no linker knows
/// that it is not.
fn at_once<T: Copy>(value: T) -> impl Future<Output = T> {
    poll_fn(move |_| Poll::Ready(value))
}
