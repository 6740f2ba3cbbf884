//! What Python's proxies did: the client always hears yes, whatever becomes of its mail. What is lost goes to the log.

use std::task::Waker;

use smtpd_core::guard::Guard;
use smtpd_core::relay::{Leg, Relay};
use smtpd_std::{Answer, Ending, Extensions, Flow, Handler, Hello, Mail, Peer, Rcpt, Reply, Verify};

/// A relay whose refusals its client never hears, but those of the relay's own rules.
pub(crate) struct Always<R> {
    relay: R,
    /// Also of what the next server has no transaction for.
    guard: Guard<'static>,
    peer: Peer,
    mail: Course,
}

/// How the message under way fares with the next server.
struct Course {
    sender: String,
    recipient: String,
    /// Recipients that the next server took.
    accepted: u16,
    asked: Asked,
    fate: Fate,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Asked {
    /// Something whose answer the client hears as it is.
    Other,
    Mail,
    Rcpt,
    Data,
    Message,
}

/// What becomes of the message under way.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// The next server has a transaction for it.
    Relayed,
    /// It has one, but takes no text.
    Abandoned,
    /// It has none.
    Lost,
}

impl<R: Relay> Always<R> {
    pub(crate) fn new(relay: R, guard: Guard<'static>) -> Self {
        let (sender, recipient) = (String::new(), String::new());
        let mail = Course { sender, recipient, accepted: 0, asked: Asked::Other, fate: Fate::Lost };
        Self { relay, guard, peer: Peer::default(), mail }
    }
}

impl Course {
    /// Whether the next server gets its text.
    fn is_relayed(&self) -> bool {
        self.fate == Fate::Relayed && self.accepted > 0
    }

    /// Tells what is lost: the message, or what of it is for the recipient.
    fn lose(&self, recipient: &str, reply: Option<Reply<'_>>) {
        let why = match reply {
            Some(reply) => format!("the next server said {} {}", reply.code(), reply.text().escape_ascii()),
            None => "the next server takes nothing of it".to_owned(),
        };
        let what = if recipient.is_empty() { String::new() } else { format!(" for <{recipient}>") };
        tracing::error!("mail from <{}>{what} is lost, and its client hears yes: {why}", self.sender);
    }

    /// What the client hears of the relay's answer, and what becomes of the message then.
    fn judge<'r>(&mut self, answer: Answer<'r>) -> Answer<'r> {
        let reply = match &answer {
            Answer::Reply(reply) if !reply.is_positive() => *reply,
            Answer::Later => return answer,
            _ => {
                match self.asked {
                    Asked::Rcpt => self.accepted = self.accepted.saturating_add(1),
                    Asked::Message => self.fate = Fate::Lost,
                    _ => {}
                }
                return answer;
            }
        };
        match self.asked {
            Asked::Other => return answer,
            Asked::Mail | Asked::Message => self.fate = Fate::Lost,
            Asked::Rcpt => {}
            Asked::Data => self.fate = Fate::Abandoned,
        }
        self.lose(if self.asked == Asked::Rcpt { &self.recipient } else { "" }, Some(reply));
        Answer::Accept
    }
}

impl<R: Relay> Handler for Always<R> {
    fn connected(&mut self, peer: Peer) -> Answer<'_> {
        (self.mail.asked, self.peer) = (Asked::Other, peer);
        self.relay.connected(peer)
    }

    fn hello(&mut self, hello: Hello<'_>) -> Answer<'_> {
        self.mail.asked = Asked::Other;
        self.relay.hello(hello)
    }

    fn mail(&mut self, mail: Mail<'_>) -> Answer<'_> {
        self.mail.sender = String::from_utf8_lossy(mail.reverse_path.as_octets()).into_owned();
        (self.mail.asked, self.mail.fate, self.mail.accepted) = (Asked::Mail, Fate::Relayed, 0);
        self.relay.mail(mail)
    }

    fn rcpt(&mut self, rcpt: Rcpt<'_>) -> Answer<'_> {
        self.mail.recipient = String::from_utf8_lossy(rcpt.forward_path.as_octets()).into_owned();
        if self.mail.fate == Fate::Lost {
            if !self.guard.allows(self.peer, rcpt.forward_path) {
                return Answer::Reply(Guard::DENIED);
            }
            self.mail.lose(&self.mail.recipient, None);
            return Answer::Accept;
        }
        self.mail.asked = Asked::Rcpt;
        // What is refused at once breaks a rule of ours.
        self.relay.rcpt(rcpt)
    }

    fn data(&mut self) -> Answer<'_> {
        if self.mail.fate == Fate::Lost || self.mail.accepted == 0 {
            return Answer::Accept;
        }
        self.mail.asked = Asked::Data;
        self.mail.judge(self.relay.data())
    }

    fn text(&mut self, octets: &[u8]) -> Flow<'_> {
        if self.mail.is_relayed() { self.relay.text(octets) } else { Flow::Continue }
    }

    fn message(&mut self, recipient: u16) -> Answer<'_> {
        if self.mail.is_relayed() {
            self.mail.asked = Asked::Message;
            return self.mail.judge(self.relay.message(recipient));
        }
        self.reset();
        Answer::Accept
    }

    fn verify(&mut self, verify: Verify<'_>) -> Answer<'_> {
        self.mail.asked = Asked::Other;
        self.relay.verify(verify)
    }

    fn reset(&mut self) {
        if self.mail.fate != Fate::Lost {
            self.relay.reset();
        }
        self.mail.fate = Fate::Lost;
    }

    fn closed(&mut self, why: Ending) {
        self.relay.closed(why);
    }

    fn acts_on(&self) -> Extensions {
        self.relay.acts_on()
    }

    fn size(&self) -> u32 {
        self.relay.size()
    }

    fn room(&mut self, waker: &Waker) -> usize {
        if self.mail.is_relayed() { self.relay.room(waker) } else { usize::MAX }
    }

    fn resume(&mut self, waker: &Waker) -> Answer<'_> {
        self.mail.judge(self.relay.resume(waker))
    }
}

impl<R: Relay> Relay for Always<R> {
    type Output = R::Output;

    fn legs(&mut self) -> &mut [Leg<R::Output>] {
        self.relay.legs()
    }
}
