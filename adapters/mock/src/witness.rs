//! A handler of the caller's, listened to.

use alloc::format;
use alloc::vec::Vec;
use core::task::Waker;

use smtpd_core::server::{Answer, Ending, Extensions, Flow, Handler, Hello, Mail, Peer, Rcpt, Verify};

use crate::Script;
use crate::calls::{self, Calls};
use crate::notes::Notes;

/// Stands before a handler and compares what it hears with a script; the handler's own answers count, those in the script
/// are not looked at.
#[derive(Debug)]
pub struct Witness<H> {
    handler: H,
    calls: Calls,
    /// Open questions: whether they are MAIL.
    open: Vec<bool>,
}

impl<H: Handler> Witness<H> {
    /// Listens to `handler` from the script's beginning.
    pub fn new(script: &Script, handler: H) -> Self {
        Self { handler, calls: Calls::new(script), open: Vec::new() }
    }

    /// What it heard.
    #[must_use]
    pub fn notes(&self) -> Notes {
        self.calls.notes()
    }

    /// What was answered to a question that is MAIL or not.
    fn seen<'a>(calls: &mut Calls, open: &mut Vec<bool>, is_mail: bool, answer: Answer<'a>) -> Answer<'a> {
        match &answer {
            Answer::Later => open.push(is_mail),
            Answer::Reply(reply) if is_mail && reply.code() != 250 => {}
            _ if is_mail => calls.begin(),
            _ => {}
        }
        answer
    }
}

impl<H: Handler> Handler for Witness<H> {
    fn connected(&mut self, peer: Peer) -> Answer<'_> {
        self.calls.hear("connected");
        Self::seen(&mut self.calls, &mut self.open, false, self.handler.connected(peer))
    }

    fn hello(&mut self, hello: Hello<'_>) -> Answer<'_> {
        self.calls.hear(&calls::hello(&hello));
        Self::seen(&mut self.calls, &mut self.open, false, self.handler.hello(hello))
    }

    fn mail(&mut self, mail: Mail<'_>) -> Answer<'_> {
        self.calls.hear(&calls::mail(&mail));
        Self::seen(&mut self.calls, &mut self.open, true, self.handler.mail(mail))
    }

    fn rcpt(&mut self, rcpt: Rcpt<'_>) -> Answer<'_> {
        self.calls.hear(&calls::rcpt(&rcpt));
        Self::seen(&mut self.calls, &mut self.open, false, self.handler.rcpt(rcpt))
    }

    fn data(&mut self) -> Answer<'_> {
        self.calls.hear("data");
        Self::seen(&mut self.calls, &mut self.open, false, self.handler.data())
    }

    fn text(&mut self, octets: &[u8]) -> Flow<'_> {
        let _ = self.calls.hear_text(octets, usize::MAX);
        self.handler.text(octets)
    }

    fn message(&mut self, recipient: u16) -> Answer<'_> {
        self.calls.complete(recipient);
        self.calls.hear(&format!("message {recipient}"));
        Self::seen(&mut self.calls, &mut self.open, false, self.handler.message(recipient))
    }

    fn verify(&mut self, verify: Verify<'_>) -> Answer<'_> {
        self.calls.hear(&calls::verify(&verify));
        Self::seen(&mut self.calls, &mut self.open, false, self.handler.verify(verify))
    }

    fn reset(&mut self) {
        self.open.clear();
        self.calls.reset();
        self.calls.hear("reset");
        self.handler.reset();
    }

    fn closed(&mut self, why: Ending) {
        self.open.clear();
        self.calls.hear(&format!("closed {why:?}"));
        self.calls.closed();
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
        self.handler.backlog()
    }

    fn resume(&mut self, waker: &Waker) -> Answer<'_> {
        let answer = self.handler.resume(waker);
        if matches!(answer, Answer::Later) || self.open.is_empty() {
            return answer;
        }
        let is_mail = self.open.remove(0);
        if is_mail && matches!(&answer, Answer::Reply(reply) if reply.code() != 250) {
            self.open.clear();
        }
        Self::seen(&mut self.calls, &mut self.open, is_mail, answer)
    }
}
