//! What the command line says about mail, whatever the class: whose it takes, and how much.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Waker;
use std::time::Duration;

use smtpd_core::relay::{Leg, Relay};
use smtpd_core::wire::ForwardPath;
use smtpd_std::{Answer, Ending, Extensions, Flow, Handler, Hello, Mail, Peer, Rcpt, Reply, Stopper, Verify};

/// The rules of a server.
pub(crate) struct Rules {
    /// Domains whose mail is taken; all if there is none.
    pub(crate) accept: Vec<String>,
    pub(crate) last: Option<Last>,
}

/// The message after which the server ends.
pub(crate) struct Last {
    /// Messages that may still come: those that are being answered have been taken off.
    left: AtomicU64,
    /// Messages that were not answered 250 yet.
    wanted: AtomicU64,
    stopper: Stopper,
}

/// How long whoever sent the last message has to say QUIT.
const PARTING: Duration = Duration::from_secs(1);

impl Last {
    pub(crate) fn new(after: u64, stopper: Stopper) -> Self {
        Self { left: AtomicU64::new(after), wanted: AtomicU64::new(after), stopper }
    }

    /// Takes one more; false: all are taken.
    fn take(&self) -> bool {
        self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok()
    }
}

/// A handler under rules.
pub(crate) struct Ruled<H> {
    handler: H,
    rules: Arc<Rules>,
    /// The message that was counted is not answered yet.
    is_counted: bool,
    /// The last message was this session's.
    is_last: bool,
}

const NOT_HERE: Reply<'static> = Reply::new(550, "No mail for this domain here").enhanced(7, 1);
const ENOUGH: Reply<'static> = Reply::new(421, "Service stops, closing").enhanced(3, 2);

impl<H: Handler> Ruled<H> {
    pub(crate) fn new(handler: H, rules: &Arc<Rules>) -> Self {
        Self { handler, rules: Arc::clone(rules), is_counted: false, is_last: false }
    }

    /// Whether mail for this path is taken: for Postmaster always (RFC 5321 §4.5.1).
    fn takes(&self, path: ForwardPath<'_>) -> bool {
        let accept = &self.rules.accept;
        let ForwardPath::Mailbox(mailbox) = path else { return true };
        accept.is_empty() || accept.iter().any(|domain| domain.as_bytes().eq_ignore_ascii_case(mailbox.domain()))
    }
}

/// Counts what was answered to a message: a refused one gives its place back.
fn settle(answer: &Answer<'_>, rules: &Rules, is_counted: &mut bool, is_last: &mut bool) {
    let Some(last) = &rules.last else { return };
    let is_positive = match answer {
        Answer::Accept => true,
        Answer::Reply(reply) => reply.is_positive(),
        _ => return,
    };
    *is_counted = false;
    if !is_positive {
        last.left.fetch_add(1, Ordering::Relaxed);
    } else if last.wanted.fetch_sub(1, Ordering::Relaxed) == 1 {
        *is_last = true;
        let stopper = last.stopper.clone();
        tokio::spawn(async move {
            tokio::time::sleep(PARTING).await;
            stopper.stop();
        });
    }
}

impl<H: Handler> Handler for Ruled<H> {
    fn connected(&mut self, peer: Peer) -> Answer<'_> {
        self.handler.connected(peer)
    }

    fn hello(&mut self, hello: Hello<'_>) -> Answer<'_> {
        self.handler.hello(hello)
    }

    fn mail(&mut self, mail: Mail<'_>) -> Answer<'_> {
        self.handler.mail(mail)
    }

    fn rcpt(&mut self, rcpt: Rcpt<'_>) -> Answer<'_> {
        if self.takes(rcpt.forward_path) { self.handler.rcpt(rcpt) } else { Answer::Reply(NOT_HERE) }
    }

    fn data(&mut self) -> Answer<'_> {
        self.handler.data()
    }

    fn text(&mut self, octets: &[u8]) -> Flow<'_> {
        self.handler.text(octets)
    }

    fn message(&mut self, recipient: u16) -> Answer<'_> {
        if self.rules.last.as_ref().is_some_and(|last| !last.take()) {
            return Answer::Reply(ENOUGH);
        }
        self.is_counted = true;
        let answer = self.handler.message(recipient);
        settle(&answer, &self.rules, &mut self.is_counted, &mut self.is_last);
        answer
    }

    fn verify(&mut self, verify: Verify<'_>) -> Answer<'_> {
        self.handler.verify(verify)
    }

    fn reset(&mut self) {
        self.handler.reset();
    }

    fn closed(&mut self, why: Ending) {
        if let Some(last) = &self.rules.last {
            if self.is_counted {
                last.left.fetch_add(1, Ordering::Relaxed);
            }
            if self.is_last {
                last.stopper.stop();
            }
        }
        self.handler.closed(why);
    }

    fn acts_on(&self) -> Extensions {
        self.handler.acts_on()
    }

    fn size(&self) -> u32 {
        self.handler.size()
    }

    fn room(&mut self, waker: &Waker) -> usize {
        self.handler.room(waker)
    }

    fn backlog(&self) -> u16 {
        // What is refused here is refused at once, which has no place behind an open question.
        if self.rules.accept.is_empty() { self.handler.backlog() } else { 1 }
    }

    fn resume(&mut self, waker: &Waker) -> Answer<'_> {
        let answer = self.handler.resume(waker);
        if self.is_counted {
            settle(&answer, &self.rules, &mut self.is_counted, &mut self.is_last);
        }
        answer
    }
}

impl<R: Relay> Relay for Ruled<R> {
    type Output = R::Output;

    fn legs(&mut self) -> &mut [Leg<R::Output>] {
        self.handler.legs()
    }
}
