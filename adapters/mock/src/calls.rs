//! What the handler hears, against what the script says that it must hear.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use smtpd_core::server::{Hello, Mail, Rcpt, Verify};
use smtpd_core::wire::{ForwardPath, Params, ReversePath};

use crate::notes::{Difference, Notes};
use crate::{Call, Script, What, escape};

/// Where a handler stands in a script.
#[derive(Debug)]
pub(crate) struct Calls {
    script: Script,
    /// The calls, by their places among the script's entries.
    list: Vec<usize>,
    next: usize,
    /// Text that was heard, as far as it is not known yet which call of the script it is.
    text: Vec<u8>,
    /// Calls behind this place need not come: the connection breaks there.
    breaks_at: usize,
    transaction: Transaction,
    notes: Notes,
}

/// What an accepted MAIL led to: it must end in exactly one of the last message, reset, closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Transaction {
    None,
    Open,
    /// So many recipients were asked about.
    Complete(u16),
}

const ONCE: &str = "a transaction that ends once";

impl Calls {
    pub(crate) fn new(script: &Script) -> Self {
        let list: Vec<usize> = script.calls().map(|(at, _)| at).collect();
        Self {
            list,
            next: 0,
            text: Vec::new(),
            breaks_at: script.breaks_at().unwrap_or(usize::MAX),
            transaction: Transaction::None,
            notes: Notes::default(),
            script: script.clone(),
        }
    }

    pub(crate) fn script(&self) -> &Script {
        &self.script
    }

    pub(crate) fn notes(&self) -> Notes {
        self.notes.clone()
    }

    /// The script's call of this number.
    pub(crate) fn call(&self, number: usize) -> Option<&Call> {
        let at = self.list.get(number)?;
        match &self.script.entries.get(*at)?.what {
            What::Hears(call) => Some(call),
            _ => None,
        }
    }

    /// A call was heard; its number in the script, if it stands there.
    pub(crate) fn hear(&mut self, call: &str) -> Option<usize> {
        self.end_text(call);
        self.note(call);
        if call.starts_with("closed") && self.notes.is_gone() {
            self.mistake("a session that ends once", call);
        }
        let mut skipped = self.next;
        while let Some(candidate) = self.call(skipped) {
            if is_same(candidate, call) {
                self.next = skipped + 1;
                return Some(skipped);
            }
            let is_any = candidate.is_any();
            // A connection that broke leaves out what stands between.
            let is_left_out = call.starts_with("closed") && self.is_behind_break(skipped);
            if is_any && !self.call(skipped + 1).is_some_and(|next| is_same(next, call)) {
                return None;
            }
            if !is_any && !candidate.is_optional && !is_left_out {
                break;
            }
            skipped += 1;
        }
        let word = call.split(' ').next().unwrap_or("");
        let may_be_silent = match word {
            "connected" | "helo" | "ehlo" | "data" => true,
            "closed" => self.breaks_at != usize::MAX && !self.names_closed(self.next),
            _ => false,
        };
        if !may_be_silent {
            self.differ(call);
        }
        None
    }

    /// Text was heard; the number of the script's call if it is refused there.
    pub(crate) fn hear_text(&mut self, octets: &[u8], room: usize) -> Option<usize> {
        if octets.is_empty() || octets.len() > room {
            self.mistake("text that there is room for", &format!("{} octets at once, room for {room}", octets.len()));
        }
        if self.transaction != Transaction::Open {
            self.mistake(ONCE, "text, without a transaction");
        }
        self.text.extend_from_slice(octets);
        while let Some((number, text)) = self.expected_text()
            && self.text.starts_with(text)
        {
            let len = text.len();
            self.next = number + 1;
            let text: Vec<u8> = self.text.drain(..len).collect();
            self.note(&format!("text \"{}\"", escape(&text)));
            if self.call(number).is_some_and(|call| call.response.is_some()) {
                self.text.clear();
                return Some(number);
            }
        }
        None
    }

    /// Text that is to be heard next.
    fn expected_text(&self) -> Option<(usize, &[u8])> {
        let is_any = self.call(self.next).is_some_and(|call| call.is_any());
        let number = self.next + usize::from(is_any);
        Some((number, self.call(number)?.text.as_deref()?))
    }

    /// Whether text may come next.
    pub(crate) fn may_hear_text(&self) -> bool {
        let next = self.call(self.next);
        self.list.is_empty() || next.is_some_and(|call| call.is_any() || call.text.is_some())
    }

    /// All the text has been heard that comes before `call`.
    fn end_text(&mut self, call: &str) {
        if self.text.is_empty() {
            return;
        }
        let text = core::mem::take(&mut self.text);
        let heard = format!("text \"{}\"", escape(&text));
        self.note(&heard);
        let is_any = self.call(self.next).is_some_and(|call| call.is_any());
        let is_fine = match self.expected_text() {
            // A connection that broke gives the beginning of a text.
            Some((number, expected)) => {
                call.starts_with("closed") && self.is_behind_break(number) && expected.starts_with(&text)
            }
            None => is_any,
        };
        if !is_fine {
            self.differ(&heard);
        }
    }

    /// Nothing will be heard any more.
    pub(crate) fn closed(&mut self) {
        if self.notes.is_gone() {
            return;
        }
        while let Some(call) = self.call(self.next)
            && (call.is_optional || call.is_any() || self.is_behind_break(self.next) && !self.names_closed(self.next))
        {
            self.next += 1;
        }
        if self.call(self.next).is_some() {
            self.differ_by("nothing more", true);
        }
        self.notes.end();
    }

    /// MAIL was accepted.
    pub(crate) fn begin(&mut self) {
        if self.transaction == Transaction::Open {
            self.mistake(ONCE, "mail, accepted within a transaction");
        }
        self.transaction = Transaction::Open;
    }

    /// The text of a transaction is complete.
    pub(crate) fn complete(&mut self, recipient: u16) {
        let is_next = match self.transaction {
            Transaction::None => false,
            Transaction::Open => recipient == 0,
            Transaction::Complete(asked) => recipient == asked,
        };
        if !is_next {
            self.mistake(ONCE, &format!("message {recipient}, without a transaction"));
        }
        self.transaction = Transaction::Complete(recipient.saturating_add(1));
    }

    /// A transaction came to nothing.
    pub(crate) fn reset(&mut self) {
        if self.transaction != Transaction::Open {
            self.mistake(ONCE, "reset, without a transaction");
        }
        self.transaction = Transaction::None;
    }

    /// Whether the script says how the session ends, from this call on.
    fn names_closed(&self, from: usize) -> bool {
        (from..self.list.len()).filter_map(|number| self.call(number)).any(|call| call.call.starts_with("closed"))
    }

    fn is_behind_break(&self, number: usize) -> bool {
        self.list.get(number).is_some_and(|at| *at > self.breaks_at)
    }

    fn note(&self, call: &str) {
        self.notes.note(call);
    }

    fn differ(&mut self, got: &str) {
        self.differ_by(got, got.starts_with("closed"));
    }

    fn differ_by(&mut self, got: &str, is_late: bool) {
        // A script that says nothing about calls leaves them alone.
        if self.list.is_empty() {
            return;
        }
        // Not any calls, but the one up to which they come.
        let is_any = self.call(self.next).is_some_and(Call::is_any) && self.call(self.next + 1).is_some();
        let next = self.next + usize::from(is_any);
        let expected = self.call(next).map_or("nothing more".into(), ToString::to_string);
        let at = self.list.get(next).copied();
        self.notes.differ(Difference { at, expected, got: got.into(), is_late });
    }

    /// What is wrong whatever the script says.
    fn mistake(&self, expected: &str, got: &str) {
        self.notes.differ(Difference { at: None, expected: expected.into(), got: got.into(), is_late: false });
    }
}

impl Drop for Calls {
    fn drop(&mut self) {
        self.closed();
    }
}

fn is_same(expected: &Call, call: &str) -> bool {
    match expected.call.strip_suffix('*') {
        _ if expected.text.is_some() => false,
        Some(start) => call.starts_with(start),
        None => expected.call == call,
    }
}

/// HELO, EHLO or LHLO as a script's call.
pub(crate) fn hello(hello: &Hello<'_>) -> String {
    let word = if hello.extended { "ehlo" } else { "helo" };
    format!("{word} {}", lossy(hello.name))
}

pub(crate) fn mail(mail: &Mail<'_>) -> String {
    let path = match mail.reverse_path {
        ReversePath::Null => b"",
        ReversePath::Mailbox(mailbox) => mailbox.as_octets(),
    };
    with_params("mail", path, mail.params)
}

pub(crate) fn rcpt(rcpt: &Rcpt<'_>) -> String {
    let path = match rcpt.forward_path {
        ForwardPath::Postmaster(word) => word,
        ForwardPath::Mailbox(mailbox) => mailbox.as_octets(),
    };
    with_params("rcpt", path, rcpt.params)
}

pub(crate) fn verify(verify: &Verify<'_>) -> String {
    let word = if verify.expand { "expand" } else { "verify" };
    format!("{word} {}", lossy(verify.string))
}

fn lossy(octets: &[u8]) -> String {
    String::from_utf8_lossy(octets).into_owned()
}

fn with_params(word: &str, path: &[u8], params: Params<'_>) -> String {
    let space = if params.is_empty() { "" } else { " " };
    format!("{word} <{}>{space}{}", lossy(path), lossy(params.as_octets()))
}
