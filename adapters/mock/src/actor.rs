//! The handler's part: hears calls, notes them, gives the transcript's answers.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Duration;

use smtpd_core::server::{Answer, Ending, Extensions, Flow, Handler, Hello, Mail, Peer, Rcpt, Verify};
use smtpd_core::wire::{ForwardPath, Params, Reply, ReversePath};

use crate::{Call, Transcript, escape};

/// A handler that plays its part of a transcript. What differs from it is noted, never panicked over.
#[derive(Debug)]
pub struct Actor {
    transcript: Arc<Transcript>,
    /// The call that comes next, as an index.
    next: usize,
    /// Text of the call that comes next, as far as it was heard.
    text: Vec<u8>,
    /// Questions that were answered `Later`: the call, and how many more times to say so.
    open: VecDeque<(Option<usize>, u32)>,
    /// Every answer comes so much later than the transcript says.
    later: u32,
    room: usize,
    notes: Notes,
}

/// What an actor notes; it can be read while the actor plays elsewhere.
#[derive(Clone, Debug, Default)]
pub struct Notes(Arc<(Mutex<Heard>, Condvar)>);

#[derive(Debug, Default)]
struct Heard {
    calls: Vec<String>,
    difference: Option<(usize, String, String)>,
    missing: Option<(usize, String)>,
    is_gone: bool,
}

impl Actor {
    /// An actor that stands at the beginning.
    #[must_use]
    pub fn new(transcript: &Arc<Transcript>) -> Self {
        let (transcript, notes) = (Arc::clone(transcript), Notes::default());
        let (text, open) = (Vec::new(), VecDeque::new());
        Self { transcript, next: 0, text, open, later: 0, room: usize::MAX, notes }
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
        self.open.front().map_or(0, |(_, later)| *later)
    }

    /// What it notes.
    #[must_use]
    pub fn notes(&self) -> Notes {
        self.notes.clone()
    }

    /// Finds the call in the transcript and gives its answer.
    fn hear(&mut self, call: &str) -> Answer<'_> {
        if !self.text.is_empty() {
            let text = std::mem::take(&mut self.text);
            self.differ(&format!("text \"{}\"", escape(&text)));
        }
        let found = self.find(call);
        let later = self.later + found.map_or(0, |at| self.transcript.calls[at].later);
        if later > 0 || !self.open.is_empty() {
            self.open.push_back((found, later));
            return Answer::Later;
        }
        self.answer(found)
    }

    fn answer(&self, call: Option<usize>) -> Answer<'_> {
        match call.map(|at| &self.transcript.calls[at]) {
            Some(Call { response: Some(response), .. }) => Answer::Reply(response.reply()),
            // What a handler says that knows no lists.
            Some(Call { call, .. }) if call.starts_with("expand") => {
                Answer::Reply(Reply::new(502, "EXPN not implemented").enhanced(5, 1))
            }
            _ => Answer::Accept,
        }
    }

    /// A call that is no question.
    fn note(&mut self, call: &str) {
        let later = std::mem::take(&mut self.later);
        self.open.clear();
        let _ = self.hear(call);
        self.later = later;
    }

    fn find(&mut self, call: &str) -> Option<usize> {
        self.notes.heard().calls.push(call.into());
        let expected = self.transcript.calls.get(self.next..).unwrap_or(&[]);
        for (skipped, candidate) in expected.iter().enumerate() {
            if is_same(candidate, call) {
                let found = self.next + skipped;
                self.next = found + 1;
                return Some(found);
            }
            if !candidate.is_optional {
                break;
            }
        }
        let word = call.split(' ').next().unwrap_or("");
        if !["connected", "helo", "ehlo", "data"].contains(&word) {
            self.differ(call);
        }
        None
    }

    /// Notes the first difference.
    fn differ(&mut self, got: &str) {
        let call = self.transcript.calls.get(self.next);
        let line = call.map_or(0, |call| call.line);
        let expected = call.map_or("nothing more".into(), shown);
        self.notes.heard().difference.get_or_insert((line, expected, got.into()));
    }

    fn skip_optional(&mut self) {
        while self.transcript.calls.get(self.next).is_some_and(|call| call.is_optional) {
            self.next += 1;
        }
    }

    fn expected_text(&self) -> Option<&[u8]> {
        self.transcript.calls.get(self.next)?.text.as_deref()
    }
}

impl Handler for Actor {
    fn connected(&mut self, _: Peer) -> Answer<'_> {
        self.hear("connected")
    }

    fn hello(&mut self, hello: Hello<'_>) -> Answer<'_> {
        let word = if hello.extended { "ehlo" } else { "helo" };
        self.hear(&format!("{word} {}", lossy(hello.name)))
    }

    fn mail(&mut self, mail: Mail<'_>) -> Answer<'_> {
        let path = match mail.reverse_path {
            ReversePath::Null => b"",
            ReversePath::Mailbox(mailbox) => mailbox.as_octets(),
        };
        self.hear(&with_params("mail", path, mail.params))
    }

    fn rcpt(&mut self, rcpt: Rcpt<'_>) -> Answer<'_> {
        let path = match rcpt.forward_path {
            ForwardPath::Postmaster(word) => word,
            ForwardPath::Mailbox(mailbox) => mailbox.as_octets(),
        };
        self.hear(&with_params("rcpt", path, rcpt.params))
    }

    fn data(&mut self) -> Answer<'_> {
        self.hear("data")
    }

    fn text(&mut self, octets: &[u8]) -> Flow<'_> {
        if octets.is_empty() || octets.len() > self.room {
            self.differ(&format!("{} octets of text at once, with room for {}", octets.len(), self.room));
        }
        self.text.extend_from_slice(octets);
        while let Some(text) = self.expected_text()
            && self.text.starts_with(text)
        {
            let (at, len) = (self.next, text.len());
            self.next += 1;
            self.text.drain(..len);
            self.notes.heard().calls.push(shown(&self.transcript.calls[at]));
            if self.transcript.calls[at].response.is_some() {
                self.text.clear();
                let Answer::Reply(reply) = self.answer(Some(at)) else { return Flow::Continue };
                return Flow::Refuse(reply);
            }
        }
        Flow::Continue
    }

    fn message(&mut self, recipient: u16) -> Answer<'_> {
        self.hear(&format!("message {recipient}"))
    }

    fn verify(&mut self, verify: Verify<'_>) -> Answer<'_> {
        let word = if verify.expand { "expand" } else { "verify" };
        self.hear(&format!("{word} {}", lossy(verify.string)))
    }

    fn reset(&mut self) {
        self.note("reset");
    }

    fn closed(&mut self, why: Ending) {
        self.note(&format!("closed {why:?}"));
        self.skip_optional();
        if self.next < self.transcript.calls.len() {
            self.differ("nothing more");
        }
        self.notes.gone();
    }

    fn acts_on(&self) -> Extensions {
        self.transcript.acts_on
    }

    /// Every other time there is none; and none when all the text that is expected was heard.
    fn room(&mut self, waker: &Waker) -> usize {
        let Some(room) = self.transcript.room else { return usize::MAX };
        self.room = if self.room == 0 && self.expected_text().is_some() { room } else { 0 };
        waker.wake_by_ref();
        self.room
    }

    fn backlog(&self) -> u16 {
        self.transcript.backlog
    }

    fn resume(&mut self, waker: &Waker) -> Answer<'_> {
        waker.wake_by_ref();
        match self.open.front_mut() {
            Some((_, later)) if *later > 0 => {
                *later -= 1;
                Answer::Later
            }
            Some((call, _)) => {
                let call = *call;
                self.open.pop_front();
                let is_mail = call.is_some_and(|at| self.transcript.calls[at].call.starts_with("mail"));
                if is_mail && matches!(self.answer(call), Answer::Reply(reply) if !reply.is_positive()) {
                    self.open.clear();
                }
                self.answer(call)
            }
            None => Answer::Later,
        }
    }
}

impl Drop for Actor {
    fn drop(&mut self) {
        self.skip_optional();
        self.notes.heard().missing = self.transcript.calls.get(self.next).map(|call| (call.line, shown(call)));
        self.notes.gone();
    }
}

impl Notes {
    /// All that was heard, as text. The pieces of a text are those of the transcript.
    #[must_use]
    pub fn calls(&self) -> Vec<String> {
        self.heard().calls.clone()
    }

    /// The first difference: the transcript's line (0: its end), what was expected there, what was heard.
    #[must_use]
    pub fn difference(&self) -> Option<(usize, String, String)> {
        self.heard().difference.clone()
    }

    /// What was never heard, once the actor was dropped: the transcript's line, the call.
    #[must_use]
    pub fn missing(&self) -> Option<(usize, String)> {
        self.heard().missing.clone()
    }

    /// Waits until the actor heard `closed` or was dropped; false: that did not happen in time.
    #[must_use]
    pub fn wait(&self, time: Duration) -> bool {
        let wait = self.0.1.wait_timeout_while(self.heard(), time, |heard| !heard.is_gone);
        wait.unwrap_or_else(PoisonError::into_inner).0.is_gone
    }

    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn gone(&self) {
        self.heard().is_gone = true;
        self.0.1.notify_all();
    }
}

fn is_same(expected: &Call, call: &str) -> bool {
    match expected.call.strip_suffix('*') {
        _ if expected.text.is_some() => false,
        Some(start) => call.starts_with(start),
        None => expected.call == call,
    }
}

fn shown(call: &Call) -> String {
    match &call.text {
        Some(text) => format!("text \"{}\"", escape(text)),
        None => call.call.clone(),
    }
}

fn lossy(octets: &[u8]) -> String {
    String::from_utf8_lossy(octets).into_owned()
}

fn with_params(word: &str, path: &[u8], params: Params<'_>) -> String {
    let space = if params.is_empty() { "" } else { " " };
    format!("{word} <{}>{space}{}", lossy(path), lossy(params.as_octets()))
}
