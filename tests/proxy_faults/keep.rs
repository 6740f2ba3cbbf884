//! A server that keeps what it accepts, by rules that stand in the addresses and texts.

use std::cell::RefCell;
use std::rc::Rc;

use smtpd_core::server::{Answer, Ending, Extensions, Flow, Handler, Mail, Rcpt};
use smtpd_core::wire::Reply;

/// A mail that was accepted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(crate) from: String,
    pub(crate) to: Vec<String>,
    pub(crate) text: Vec<u8>,
}

pub(crate) type All = Rc<RefCell<Vec<Kept>>>;

/// Refuses senders and recipients that begin with `no` (550) or `later` (450), DATA from `half` (451), and texts that hold
/// `refuse` (554) or `another day` (452); recipients that begin with `new` are 251.
pub(crate) struct Keep {
    pub(crate) all: All,
    pub(crate) acts_on: Extensions,
    pub(crate) size: u32,
    now: Kept,
    /// The parameters of all MAIL.
    pub(crate) params: Rc<RefCell<Vec<String>>>,
}

impl Keep {
    pub(crate) fn new(all: &All) -> Self {
        let acts_on = Extensions::OWN.with(Extensions::EIGHTBITMIME);
        Self { all: Rc::clone(all), acts_on, size: 0, now: Kept::default(), params: Rc::default() }
    }
}

fn verdict(name: &str) -> Answer<'static> {
    match name {
        _ if name.starts_with("no") => Answer::Reply(Reply::new(550, "No such\nuser here").enhanced(1, 1)),
        _ if name.starts_with("later") => Answer::Reply(Reply::new(450, "Come back later").enhanced(2, 0)),
        _ if name.starts_with("new") => Answer::Reply(Reply::new(251, "Moved").enhanced(1, 5)),
        _ => Answer::Accept,
    }
}

fn owned(octets: &[u8]) -> String {
    String::from_utf8(octets.to_vec()).unwrap()
}

impl Handler for Keep {
    fn mail(&mut self, mail: Mail<'_>) -> Answer<'_> {
        self.params.borrow_mut().push(owned(mail.params.as_octets()));
        let from = owned(mail.reverse_path.as_octets());
        let answer = verdict(&from);
        self.now = Kept { from, ..Kept::default() };
        answer
    }
    fn rcpt(&mut self, rcpt: Rcpt<'_>) -> Answer<'_> {
        let to = owned(rcpt.forward_path.as_octets());
        let answer = verdict(&to);
        if !matches!(&answer, Answer::Reply(reply) if !reply.is_positive()) {
            self.now.to.push(to);
        }
        answer
    }
    fn data(&mut self) -> Answer<'_> {
        match self.now.from.starts_with("half") {
            true => Answer::Reply(Reply::new(451, "Not now").enhanced(3, 2)),
            false => Answer::Accept,
        }
    }
    fn text(&mut self, octets: &[u8]) -> Flow<'_> {
        self.now.text.extend_from_slice(octets);
        Flow::Continue
    }
    fn message(&mut self, _: u16) -> Answer<'_> {
        let kept = std::mem::take(&mut self.now);
        let holds = |what: &[u8]| kept.text.windows(what.len()).any(|octets| octets == what);
        if holds(b"refuse") {
            return Answer::Reply(Reply::new(554, "Not this").enhanced(6, 0));
        }
        if holds(b"another day") {
            return Answer::Reply(Reply::new(452, "Full").enhanced(3, 1));
        }
        self.all.borrow_mut().push(kept);
        Answer::Accept
    }
    fn reset(&mut self) {
        self.now = Kept::default();
    }
    fn closed(&mut self, _: Ending) {
        self.now = Kept::default();
    }
    fn acts_on(&self) -> Extensions {
        self.acts_on
    }
    fn size(&self) -> u32 {
        self.size
    }
}
