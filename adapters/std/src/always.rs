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
        Self {
            relay,
            guard,
            peer: Peer::default(),
            sender,
            recipient,
            accepted: 0,
            asked: Asked::Other,
            fate: Fate::Lost,
        }
    }
}

fn lose(sender: &str, recipient: &str, reply: Option<Reply<'_>>) {
    let why = match reply {
        Some(reply) => format!("the next server said {} {}", reply.code(), reply.text().escape_ascii()),
        None => "the next server takes nothing of it".to_owned(),
    };
    let what = if recipient.is_empty() { String::new() } else { format!(" for <{recipient}>") };
    tracing::error!("mail from <{sender}>{what} is lost, and its client hears yes: {why}");
}

/// What the client hears of the relay's answer, and what becomes of the message then.
fn judge<'r>(
    answer: Answer<'r>,
    sender: &str,
    recipient: &str,
    accepted: &mut u16,
    asked: Asked,
    fate: &mut Fate,
) -> Answer<'r> {
    let reply = match &answer {
        Answer::Reply(reply) if !reply.is_positive() => *reply,
        Answer::Later => return answer,
        _ => {
            match asked {
                Asked::Rcpt => *accepted = accepted.saturating_add(1),
                Asked::Message => *fate = Fate::Lost,
                _ => {}
            }
            return answer;
        }
    };
    match asked {
        Asked::Other => return answer,
        Asked::Mail | Asked::Message => *fate = Fate::Lost,
        Asked::Rcpt => {}
        Asked::Data => *fate = Fate::Abandoned,
    }
    lose(sender, if asked == Asked::Rcpt { recipient } else { "" }, Some(reply));
    Answer::Accept
}

impl<R: Relay> Handler for Always<R> {
    fn connected(&mut self, peer: Peer) -> Answer<'_> {
        (self.asked, self.peer) = (Asked::Other, peer);
        self.relay.connected(peer)
    }

    fn hello(&mut self, hello: Hello<'_>) -> Answer<'_> {
        self.asked = Asked::Other;
        self.relay.hello(hello)
    }

    fn mail(&mut self, mail: Mail<'_>) -> Answer<'_> {
        self.sender = String::from_utf8_lossy(mail.reverse_path.as_octets()).into_owned();
        (self.asked, self.fate, self.accepted) = (Asked::Mail, Fate::Relayed, 0);
        self.relay.mail(mail)
    }

    fn rcpt(&mut self, rcpt: Rcpt<'_>) -> Answer<'_> {
        self.recipient = String::from_utf8_lossy(rcpt.forward_path.as_octets()).into_owned();
        if self.fate == Fate::Lost {
            if !self.guard.allows(self.peer, rcpt.forward_path) {
                return Answer::Reply(Guard::DENIED);
            }
            lose(&self.sender, &self.recipient, None);
            return Answer::Accept;
        }
        self.asked = Asked::Rcpt;
        // What is refused at once breaks a rule of ours.
        self.relay.rcpt(rcpt)
    }

    fn data(&mut self) -> Answer<'_> {
        if self.fate == Fate::Lost || self.accepted == 0 {
            return Answer::Accept;
        }
        self.asked = Asked::Data;
        let Self { relay, sender, recipient, accepted, asked, fate, .. } = self;
        judge(relay.data(), sender, recipient, accepted, *asked, fate)
    }

    fn text(&mut self, octets: &[u8]) -> Flow<'_> {
        match self.fate {
            Fate::Relayed if self.accepted > 0 => self.relay.text(octets),
            _ => Flow::Continue,
        }
    }

    fn message(&mut self, recipient: u16) -> Answer<'_> {
        match self.fate {
            Fate::Relayed if self.accepted > 0 => {
                self.asked = Asked::Message;
                let Self { relay, sender, recipient: last, accepted, asked, fate, .. } = self;
                judge(relay.message(recipient), sender, last, accepted, *asked, fate)
            }
            Fate::Relayed | Fate::Abandoned => {
                self.fate = Fate::Lost;
                self.relay.reset();
                Answer::Accept
            }
            Fate::Lost => Answer::Accept,
        }
    }

    fn verify(&mut self, verify: Verify<'_>) -> Answer<'_> {
        self.asked = Asked::Other;
        self.relay.verify(verify)
    }

    fn reset(&mut self) {
        if self.fate != Fate::Lost {
            self.relay.reset();
        }
        self.fate = Fate::Lost;
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
        match self.fate {
            Fate::Relayed if self.accepted > 0 => self.relay.room(waker),
            _ => usize::MAX,
        }
    }

    fn resume(&mut self, waker: &Waker) -> Answer<'_> {
        let Self { relay, sender, recipient, accepted, asked, fate, .. } = self;
        judge(relay.resume(waker), sender, recipient, accepted, *asked, fate)
    }
}

impl<R: Relay> Relay for Always<R> {
    type Output = R::Output;

    fn legs(&mut self) -> &mut [Leg<R::Output>] {
        self.relay.legs()
    }
}
