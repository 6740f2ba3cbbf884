//! Fault: a handler behind which things go wrong on purpose.

use core::task::Waker;

use heapless::Vec;

use super::rule::{Act, At, Rule, due, recipient, sender};
use crate::server::{Answer, Ending, Extensions, Flow, Handler, Hello, Mail, Peer, Rcpt, Verify};
#[cfg(feature = "enhanced")]
use crate::wire::Enhanced;
use crate::wire::Reply;

/// Puts faults between a session and its handler, to see what clients make of them: refusals, late answers, answers that
/// never come, closed sessions.
///
/// The handler hears a dialogue in order whatever goes wrong: of what a rule refuses it is not asked, and a message that a
/// rule refuses it forgets by `reset`. It hears `closed` always, even if a rule kept `connected` from it.
///
/// One question is open at a time, whatever the handler's own backlog: a rule's late answer among several of its own would
/// have to wait for those that are older.
///
/// ```
/// use smtpd_core::handlers::{At, Fault, Rule, Sink};
/// use smtpd_core::server::Reply;
/// let full = Reply::new(452, "No space left").enhanced(3, 1);
/// let handler = Fault::new(
///     Sink,
///     [
///         Rule::reply(At::Rcpt, Reply::new(450, "Not now").enhanced(2, 0)).address("*@slow.example").nth(1),
///         Rule::reply(At::Text(100_000), full),
///         Rule::later(At::Message, 3),
///         Rule::close(At::Mail).since(10),
///     ],
/// );
/// # use smtpd_core::server::{Config, Peer, Session, step, Progress};
/// # let (config, mut handler) = (Config::new("mx.example.org"), handler);
/// # let mut session = Session::new(&config, Peer::default());
/// # let rcpt = "RCPT TO:<a@slow.example>\r\n";
/// # let input = ["EHLO a.example\r\nMAIL FROM:<>\r\n", rcpt, rcpt].concat();
/// # let mut input = input.as_bytes();
/// # while step(&mut session, &mut input, &mut handler, core::task::Waker::noop()) == Progress::Moved {}
/// # let said = String::from_utf8_lossy(session.output()).replace("4.2.0 ", "");
/// # assert!(said.contains("\n450 Not now\r\n250 "));
/// ```
#[derive(Debug)]
pub struct Fault<'r, H, const N: usize> {
    handler: H,
    rules: [Rule<'r>; N],
    open: Open<'r>,
    held: Held,
    text: Text<'r>,
    /// What every recipient of LMTP hears, since the whole message was refused.
    refused: Option<Reply<'r>>,
}

/// Who owes the answer to the open question.
#[derive(Clone, Copy, Debug)]
enum Open<'r> {
    /// The handler, if a question is open at all.
    Handler,
    /// The handler, and if it accepts, the client hears this.
    Replaced(Reply<'r>),
    /// A rule: so many times later, then this is done.
    Later(u16, Then),
    /// A rule, which never will.
    Never,
}

/// What is done when a late answer is due.
#[derive(Clone, Copy, Debug)]
enum Then {
    /// The handler is asked.
    Connected(Peer),
    Data,
    Message(u16),
    /// The handler was asked, for its question is gone by now: this it answered.
    Accept,
    /// As kept in [`Held`].
    Reply,
    /// That it does not know yet.
    Resume,
}

/// A reply of the handler's that is late; more of its text is cut off, which is for people.
#[derive(Debug)]
struct Held {
    code: u16,
    #[cfg(feature = "enhanced")]
    enhanced: Option<Enhanced>,
    text: Vec<u8, 128>,
}

/// What happens to the text that is coming.
#[derive(Clone, Copy, Debug)]
struct Text<'r> {
    has_begun: bool,
    /// Octets before `act`.
    left: usize,
    act: Option<Act<'r>>,
}

impl<'r, H, const N: usize> Fault<'r, H, N> {
    /// Passes to `handler` what no rule concerns; of several that hold the first one counts.
    ///
    /// The rules count their uses as long as this handler lives, so for one session if each session has its own.
    #[must_use]
    pub const fn new(handler: H, rules: [Rule<'r>; N]) -> Self {
        Self {
            handler,
            rules,
            open: Open::Handler,
            held: Held {
                code: 0,
                #[cfg(feature = "enhanced")]
                enhanced: None,
                text: Vec::new(),
            },
            text: Text { has_begun: false, left: 0, act: None },
            refused: None,
        }
    }

    /// The handler within.
    pub const fn handler(&mut self) -> &mut H {
        &mut self.handler
    }
}

impl<H: Handler, const N: usize> Fault<'_, H, N> {
    /// The question for one recipient, which the handler is asked in any case.
    fn deliver(&mut self, recipient: u16) -> Answer<'_> {
        let act = due(&mut self.rules, At::Delivery, None);
        let answer = self.handler.message(recipient);
        match act {
            None => answer,
            Some(Act::Later(times)) => hold(&mut self.open, &mut self.held, times, &answer),
            Some(Act::Reply(reply)) => replace(&mut self.open, reply, answer),
            Some(Act::Never) => act_alone(&mut self.open, Act::Never, Then::Accept),
        }
    }
}

/// What a rule does while the handler is not asked; when it is late, `then` is done.
fn act_alone<'r>(open: &mut Open<'r>, act: Act<'r>, then: Then) -> Answer<'r> {
    *open = match act {
        Act::Reply(reply) => return Answer::Reply(believed(reply)),
        Act::Later(times) => Open::Later(times, then),
        Act::Never => Open::Never,
    };
    Answer::Later
}

/// A positive code would begin what the handler was not asked about: a session says 451 to the code 0.
fn believed(reply: Reply<'_>) -> Reply<'_> {
    if reply.is_positive() { Reply::new(0, "") } else { reply }
}

/// Keeps the handler's answer until it is due.
fn hold(open: &mut Open<'_>, held: &mut Held, times: u16, answer: &Answer<'_>) -> Answer<'static> {
    let then = match answer {
        Answer::Accept => Then::Accept,
        Answer::Later => Then::Resume,
        Answer::Reply(reply) => {
            held.keep(reply);
            Then::Reply
        }
    };
    *open = Open::Later(times, then);
    Answer::Later
}

/// What the client hears in place of the handler's yes; its own no stays.
fn replace<'a, 'r: 'a>(open: &mut Open<'r>, reply: Reply<'r>, answer: Answer<'a>) -> Answer<'a> {
    *open = Open::Handler;
    match answer {
        Answer::Later => {
            *open = Open::Replaced(reply);
            Answer::Later
        }
        Answer::Reply(own) if !own.is_positive() => answer,
        _ => Answer::Reply(believed(reply)),
    }
}

impl Held {
    fn keep(&mut self, reply: &Reply<'_>) {
        self.code = reply.code();
        #[cfg(feature = "enhanced")]
        {
            self.enhanced = reply.enhanced_code();
        }
        self.text.clear();
        let most = reply.text().len().min(self.text.capacity());
        let _ = self.text.extend_from_slice(reply.text().get(..most).unwrap_or(b""));
    }

    fn reply(&self) -> Reply<'_> {
        let reply = Reply::from_octets(self.code, &self.text);
        #[cfg(feature = "enhanced")]
        if let Some(Enhanced { subject, detail }) = self.enhanced {
            return reply.enhanced(subject, detail);
        }
        reply
    }
}

impl<'r> Text<'r> {
    /// Finds the rule for a text whose first piece this is.
    fn begin(&mut self, rules: &mut [Rule<'r>]) {
        if self.has_begun {
            return;
        }
        *self = Self { has_begun: true, left: 0, act: None };
        for rule in rules {
            if let (Some(behind), true) = (rule.behind(), self.act.is_none())
                && rule.is_due()
            {
                (self.left, self.act) = (behind, Some(rule.act));
            }
        }
    }
}

impl<H: Handler, const N: usize> Handler for Fault<'_, H, N> {
    fn connected(&mut self, peer: Peer) -> Answer<'_> {
        match due(&mut self.rules, At::Connected, None) {
            None => self.handler.connected(peer),
            Some(act) => act_alone(&mut self.open, act, Then::Connected(peer)),
        }
    }

    fn hello(&mut self, hello: Hello<'_>) -> Answer<'_> {
        match due(&mut self.rules, At::Hello, Some((hello.name, hello.name.len()))) {
            None => self.handler.hello(hello),
            Some(Act::Later(times)) => hold(&mut self.open, &mut self.held, times, &self.handler.hello(hello)),
            Some(act) => act_alone(&mut self.open, act, Then::Accept),
        }
    }

    fn mail(&mut self, mail: Mail<'_>) -> Answer<'_> {
        match due(&mut self.rules, At::Mail, sender(&mail.reverse_path)) {
            None => self.handler.mail(mail),
            Some(Act::Later(times)) => hold(&mut self.open, &mut self.held, times, &self.handler.mail(mail)),
            Some(act) => act_alone(&mut self.open, act, Then::Accept),
        }
    }

    fn rcpt(&mut self, rcpt: Rcpt<'_>) -> Answer<'_> {
        match due(&mut self.rules, At::Rcpt, recipient(&rcpt.forward_path)) {
            None => self.handler.rcpt(rcpt),
            Some(Act::Later(times)) => hold(&mut self.open, &mut self.held, times, &self.handler.rcpt(rcpt)),
            Some(act) => act_alone(&mut self.open, act, Then::Accept),
        }
    }

    fn data(&mut self) -> Answer<'_> {
        self.text.has_begun = false;
        match due(&mut self.rules, At::Data, None) {
            None => self.handler.data(),
            Some(act) => act_alone(&mut self.open, act, Then::Data),
        }
    }

    fn text(&mut self, octets: &[u8]) -> Flow<'_> {
        self.text.begin(&mut self.rules);
        let reply = match self.text.act {
            Some(Act::Reply(reply)) => reply,
            // What is paused, `room` pauses.
            _ => {
                self.text.left = self.text.left.saturating_sub(octets.len());
                return self.handler.text(octets);
            }
        };
        let (head, rest) = octets.split_at_checked(self.text.left).unwrap_or((octets, b""));
        self.text.left = self.text.left.saturating_sub(head.len());
        if !head.is_empty()
            && let Flow::Refuse(own) = self.handler.text(head)
        {
            return Flow::Refuse(own);
        }
        if rest.is_empty() { Flow::Continue } else { Flow::Refuse(reply) }
    }

    fn message(&mut self, recipient: u16) -> Answer<'_> {
        if recipient > 0 {
            return match self.refused {
                Some(reply) => Answer::Reply(reply),
                None => self.deliver(recipient),
            };
        }
        self.refused = None;
        let Some(act) = due(&mut self.rules, At::Message, None) else {
            return self.deliver(recipient);
        };
        if let Act::Reply(reply) = act {
            let reply = believed(reply);
            self.refused = Some(reply);
            // Behind 421 it hears `closed`, which ends the transaction too.
            if reply.code() != 421 {
                self.handler.reset();
            }
        }
        act_alone(&mut self.open, act, Then::Message(recipient))
    }

    fn verify(&mut self, verify: Verify<'_>) -> Answer<'_> {
        let domain = verify.string.iter().rev().take_while(|octet| **octet != b'@').count();
        match due(&mut self.rules, At::Verify, Some((verify.string, domain))) {
            None => self.handler.verify(verify),
            Some(Act::Later(times)) => hold(&mut self.open, &mut self.held, times, &self.handler.verify(verify)),
            Some(act) => act_alone(&mut self.open, act, Then::Accept),
        }
    }

    fn reset(&mut self) {
        self.handler.reset();
    }

    fn closed(&mut self, why: Ending) {
        // The handler may get another session.
        self.open = Open::Handler;
        self.handler.closed(why);
    }

    fn acts_on(&self) -> Extensions {
        self.handler.acts_on()
    }

    fn size(&self) -> u32 {
        self.handler.size()
    }

    fn room(&mut self, waker: &Waker) -> usize {
        self.text.begin(&mut self.rules);
        match (&mut self.text.act, self.text.left) {
            (None | Some(Act::Reply(_)), _) => return self.handler.room(waker),
            (Some(_), left @ 1..) => return self.handler.room(waker).min(left),
            (Some(Act::Later(times @ 1..)), 0) => {
                *times = times.saturating_sub(1);
                waker.wake_by_ref();
            }
            (Some(Act::Later(0)), 0) => {
                self.text.act = None;
                return self.handler.room(waker);
            }
            (Some(Act::Never), 0) => {}
        }
        0
    }

    fn backlog(&self) -> u16 {
        1
    }

    fn resume(&mut self, waker: &Waker) -> Answer<'_> {
        let then = match &mut self.open {
            Open::Handler => return self.handler.resume(waker),
            Open::Replaced(reply) => {
                let reply = *reply;
                return replace(&mut self.open, reply, self.handler.resume(waker));
            }
            Open::Never => return Answer::Later,
            Open::Later(times @ 2.., _) => {
                *times = times.saturating_sub(1);
                waker.wake_by_ref();
                return Answer::Later;
            }
            Open::Later(_, then) => *then,
        };
        self.open = Open::Handler;
        match then {
            Then::Connected(peer) => self.handler.connected(peer),
            Then::Data => self.handler.data(),
            Then::Message(recipient) => self.deliver(recipient),
            Then::Accept => Answer::Accept,
            Then::Reply => Answer::Reply(self.held.reply()),
            Then::Resume => self.handler.resume(waker),
        }
    }
}
