//! The handler that may await: databases, other servers, disks.

use std::future::{Future, ready};

use smtpd_core::server::{Answer, Ending, Extensions, Flow, Hello, Mail, Peer, Rcpt, Verify};
use smtpd_core::wire::Reply;

/// As [`Handler`](smtpd_core::server::Handler), with methods that may await; write them as `async fn`.
///
/// Its futures are `Send`, for the server runs on several threads; [`smtpd_core::server::AsyncHandler`] is the same trait
/// without, for devices.
///
/// While one awaits, the client's next octets wait in its TCP window, and replies that are ready are sent. A method that
/// takes too long for a client ([`Timers`](crate::Timers)) is dropped at its await, and its session ends with 421.
///
/// ```
/// use smtpd_std::{Answer, AsyncHandler, Flow, Rcpt, Reply};
/// struct Lookup;
/// impl AsyncHandler for Lookup {
///     async fn rcpt(&mut self, rcpt: Rcpt<'_>) -> Answer<'_> {
///         let path = rcpt.forward_path.as_octets().to_vec();
///         tokio::task::yield_now().await;
///         if path == b"me@example.org" { Answer::Accept } else { Answer::Reply(Reply::new(550, "No such user").enhanced(1, 1)) }
///     }
///     async fn text(&mut self, _: &[u8]) -> Flow<'_> { Flow::Continue }
///     async fn message(&mut self, _: u16) -> Answer<'_> { Answer::Accept }
/// }
/// ```
pub trait AsyncHandler: Send {
    /// A client is there; refused with 554, it may only say QUIT.
    fn connected(&mut self, peer: Peer) -> impl Future<Output = Answer<'_>> + Send {
        let _ = peer;
        ready(Answer::Accept)
    }

    /// HELO, EHLO or LHLO.
    fn hello(&mut self, hello: Hello<'_>) -> impl Future<Output = Answer<'_>> + Send {
        let _ = hello;
        ready(Answer::Accept)
    }

    /// MAIL: a transaction begins if it is accepted.
    fn mail(&mut self, mail: Mail<'_>) -> impl Future<Output = Answer<'_>> + Send {
        let _ = mail;
        ready(Answer::Accept)
    }

    /// RCPT: whether this recipient's mail is taken.
    fn rcpt(&mut self, rcpt: Rcpt<'_>) -> impl Future<Output = Answer<'_>> + Send;

    /// DATA: whether the text may come.
    fn data(&mut self) -> impl Future<Output = Answer<'_>> + Send {
        ready(Answer::Accept)
    }

    /// A piece of the text; the client waits meanwhile.
    fn text(&mut self, octets: &[u8]) -> impl Future<Output = Flow<'_>> + Send;

    /// The text is complete: accepted, the message is the server's own from here on. With LMTP, asked for each
    /// accepted recipient, counted from 0; otherwise once, with 0.
    fn message(&mut self, recipient: u16) -> impl Future<Output = Answer<'_>> + Send;

    /// VRFY, and EXPN, which is not implemented unless a handler does.
    fn verify(&mut self, verify: Verify<'_>) -> impl Future<Output = Answer<'_>> + Send {
        ready(match verify.expand {
            true => Answer::Reply(Reply::new(502, "EXPN not implemented").enhanced(5, 1)),
            false => Answer::Accept,
        })
    }

    /// The transaction ended without a message.
    fn reset(&mut self) -> impl Future<Output = ()> + Send {
        ready(())
    }

    /// The session ended, and with it the transaction if one was under way.
    fn closed(&mut self, why: Ending) -> impl Future<Output = ()> + Send {
        let _ = why;
        ready(())
    }

    /// Which extensions may be offered: those on which the session acts by itself, and of those that need a handler the
    /// ones on which this one acts.
    fn acts_on(&self) -> Extensions {
        Extensions::OWN.with(Extensions::EIGHTBITMIME)
    }
}
