//! The handler's part, played from the script.

use alloc::collections::VecDeque;
use alloc::format;
use core::task::Waker;

use smtpd_core::server::{Answer, Ending, Extensions, Flow, Handler, Hello, Mail, Peer, Rcpt, Verify};
use smtpd_core::wire::Reply;

use crate::calls::{self, Calls};
use crate::notes::Notes;
use crate::{Call, Script};

/// A handler that plays its part of a script. What differs from it is noted, never panicked over.
#[derive(Debug)]
pub struct Actor {
    calls: Calls,
    /// Questions that were answered `Later`: the call, whether it is MAIL, and how many more times to say so.
    open: VecDeque<(Option<usize>, bool, u32)>,
    /// Every answer comes so much later than the script says.
    later: u32,
    room: usize,
}

impl Actor {
    /// An actor that stands at the beginning.
    #[must_use]
    pub fn new(script: &Script) -> Self {
        Self { calls: Calls::new(script), open: VecDeque::new(), later: 0, room: usize::MAX }
    }

    /// The same, but each answer comes only when it was asked for `times` more times.
    #[must_use]
    pub fn later(mut self, times: u32) -> Self {
        self.later = times;
        self
    }

    /// How many more times it says `Later` to the oldest open question.
    #[must_use]
    pub fn waits(&self) -> u32 {
        self.open.front().map_or(0, |(.., later)| *later)
    }

    /// What it notes.
    #[must_use]
    pub fn notes(&self) -> Notes {
        self.calls.notes()
    }

    /// Hears a call as a script has it, such as `rcpt <b@b.example>`, and gives its answer: for a handler elsewhere, on a
    /// device, that says its calls as text. For text, `message`, `reset` and `closed` use the methods of [`Handler`].
    pub fn hear(&mut self, call: &str) -> Answer<'_> {
        let found = self.calls.hear(call);
        let later = found.and_then(|number| self.calls.call(number)).map_or(0, |call| call.later);
        let later = later.saturating_add(self.later);
        let is_mail = call.starts_with("mail");
        if later > 0 || !self.open.is_empty() {
            self.open.push_back((found, is_mail, later));
            return Answer::Later;
        }
        self.answer(found, is_mail)
    }

    fn answer(&mut self, number: Option<usize>, is_mail: bool) -> Answer<'_> {
        let is_positive = self.reply(number).is_none_or(|reply| reply.code() == 250);
        if is_mail && is_positive {
            self.calls.begin();
        }
        self.reply(number).map_or(Answer::Accept, Answer::Reply)
    }

    fn reply(&self, number: Option<usize>) -> Option<Reply<'_>> {
        match self.calls.call(number?)? {
            Call { response: Some(response), .. } => Some(response.reply()),
            // What a handler says that knows no lists.
            Call { call, .. } if call.starts_with("expand") => {
                Some(Reply::new(502, "EXPN not implemented").enhanced(5, 1))
            }
            _ => None,
        }
    }
}

impl Handler for Actor {
    fn connected(&mut self, _: Peer) -> Answer<'_> {
        self.hear("connected")
    }

    fn hello(&mut self, hello: Hello<'_>) -> Answer<'_> {
        self.hear(&calls::hello(&hello))
    }

    fn mail(&mut self, mail: Mail<'_>) -> Answer<'_> {
        self.hear(&calls::mail(&mail))
    }

    fn rcpt(&mut self, rcpt: Rcpt<'_>) -> Answer<'_> {
        self.hear(&calls::rcpt(&rcpt))
    }

    fn data(&mut self) -> Answer<'_> {
        self.hear("data")
    }

    fn text(&mut self, octets: &[u8]) -> Flow<'_> {
        let refused = self.calls.hear_text(octets, self.room);
        self.reply(refused).map_or(Flow::Continue, Flow::Refuse)
    }

    fn message(&mut self, recipient: u16) -> Answer<'_> {
        self.calls.complete(recipient);
        self.hear(&format!("message {recipient}"))
    }

    fn verify(&mut self, verify: Verify<'_>) -> Answer<'_> {
        self.hear(&calls::verify(&verify))
    }

    fn reset(&mut self) {
        self.open.clear();
        self.calls.reset();
        self.calls.hear("reset");
    }

    fn closed(&mut self, why: Ending) {
        self.open.clear();
        self.calls.hear(&format!("closed {why:?}"));
        self.calls.closed();
    }

    fn acts_on(&self) -> Extensions {
        self.calls.script().acts_on
    }

    /// Every other time there is none; and none when all the text that is expected was heard.
    fn room(&mut self, waker: &Waker) -> usize {
        let Some(room) = self.calls.script().room else { return usize::MAX };
        self.room = if self.room == 0 && self.calls.may_hear_text() { room } else { 0 };
        waker.wake_by_ref();
        self.room
    }

    fn backlog(&self) -> u16 {
        self.calls.script().backlog
    }

    fn resume(&mut self, waker: &Waker) -> Answer<'_> {
        waker.wake_by_ref();
        match self.open.front_mut() {
            Some((.., later)) if *later > 0 => {
                *later -= 1;
                Answer::Later
            }
            Some((number, is_mail, _)) => {
                let (number, is_mail) = (*number, *is_mail);
                self.open.pop_front();
                if is_mail && self.reply(number).is_some_and(|reply| reply.code() != 250) {
                    self.open.clear();
                }
                self.answer(number, is_mail)
            }
            None => Answer::Later,
        }
    }
}
