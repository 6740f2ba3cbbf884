//! Whole messages: the contract of Python's `process_message`.

use std::error::Error;
use std::sync::Arc;
use std::task::Waker;

use smtpd_core::server::{Answer, Flow, Handler, Mail, Peer, Rcpt};
use smtpd_core::wire::{Enhanced, Params, Reply};

use crate::memory::{Memory, Share};

/// A message with its envelope.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Message {
    /// Who sent it over.
    pub peer: Peer,
    /// Where to pass it on, if whoever made the handler said so: Python's `_remoteaddr`.
    pub remote: Option<Arc<str>>,
    /// The reverse-path without its angle brackets; empty for `<>`.
    pub mail_from: String,
    /// The forward-paths in order, without their angle brackets.
    pub rcpt_tos: Vec<String>,
    /// The parameters of MAIL, in upper case as Python has them: `BODY=8BITMIME`.
    pub mail_options: Vec<String>,
    /// The parameters of all RCPT.
    pub rcpt_options: Vec<String>,
    /// The text: transparency undone, line ends as they came.
    pub data: Vec<u8>,
    /// Of the memory for text.
    share: Share,
}

impl Message {
    fn begin(&mut self, mail: &Mail<'_>) {
        self.mail_from.push_str(&text(mail.reverse_path.as_octets()));
        self.mail_options.extend(options(mail.params));
    }

    /// The message, to be kept; what stays behind has no envelope and no text.
    pub fn take(&mut self) -> Self {
        let (peer, remote, share) = (self.peer, self.remote.clone(), self.share.another());
        std::mem::replace(self, Self { peer, remote, share, ..Self::default() })
    }

    /// The text as Python's `process_message` gets it: each CRLF is an LF, and the last one is left out.
    #[must_use]
    pub fn python_data(&self) -> Vec<u8> {
        let text = self.data.strip_suffix(b"\r\n").unwrap_or(&self.data);
        let mut rest = text.iter().peekable();
        let mut data = Vec::with_capacity(text.len());
        while let Some(octet) = rest.next() {
            if *octet != b'\r' || rest.peek() != Some(&&b'\n') {
                data.push(*octet);
            }
        }
        data
    }

    /// Empties it, and keeps its memory unless that is large.
    fn clear(&mut self) {
        const LARGE: usize = 65_536;
        self.mail_from.clear();
        self.rcpt_tos.clear();
        self.mail_options.clear();
        self.rcpt_options.clear();
        self.data.clear();
        self.data.shrink_to(LARGE);
        self.share.release();
    }
}

/// Who gets whole messages.
pub trait ProcessMessage {
    /// Whether this recipient's mail is taken: each is, unless this is written.
    fn rcpt(&mut self, rcpt: Rcpt<'_>) -> Answer<'_> {
        let _ = rcpt;
        Answer::Accept
    }

    /// A message is complete. Accepted, it is the server's own from here on: store it first.
    fn process_message(&mut self, message: &mut Message) -> Answer<'_>;

    /// The answer to what was last answered [`Answer::Later`], if it is known now.
    fn resume(&mut self, waker: &Waker) -> Answer<'_> {
        let _ = waker;
        Answer::Later
    }
}

/// Python's contract: nothing (`None`, or an empty text) says 250; a text is the reply, code first, as in
/// `550 5.7.1 Not here`; an error refuses the message with 451 and ends nothing but its transaction.
pub type Verdict = Result<Option<String>, Box<dyn Error + Send + Sync>>;

/// A handler that hands whole messages to a function.
///
/// The text of a verdict that is no reply (no code between 200 and 599 at its beginning) becomes 451. That, and errors, are
/// told to `tracing`.
pub fn process_message<F>(function: F) -> Messages<Function<F>>
where
    F: FnMut(&mut Message) -> Verdict,
{
    Messages::new(Function { function, verdict: String::new() })
}

/// A handler that gathers messages: a message grows with its text, up to [`Limits::size`](crate::Limits). All messages
/// together have no limit but that of [`within`](Self::within).
#[derive(Debug)]
pub struct Messages<P> {
    message: Message,
    process: P,
    /// The last RCPT is not answered yet: its recipient is the last one, and so many options are older.
    open: Option<usize>,
    /// The last verdict, which with LMTP is that of all recipients.
    verdict: Kept,
}

impl<P: ProcessMessage> Messages<P> {
    /// A handler that hands each message to `process`.
    pub const fn new(process: P) -> Self {
        let message = Message {
            peer: Peer::new(None),
            remote: None,
            mail_from: String::new(),
            rcpt_tos: Vec::new(),
            mail_options: Vec::new(),
            rcpt_options: Vec::new(),
            data: Vec::new(),
            share: Share::NONE,
        };
        Self { message, process, open: None, verdict: Kept::Accept }
    }

    /// Gives each message this remote address, `host:port`: where a proxy passes it on.
    #[must_use]
    pub fn remote(mut self, address: impl Into<Arc<str>>) -> Self {
        self.message.remote = Some(address.into());
        self
    }

    /// Takes the text of messages from this account, which others share: what it has no room for hears 452.
    #[must_use]
    pub fn within(mut self, memory: &Memory) -> Self {
        self.message.share = Share::of(memory.clone());
        self
    }
}

impl<P: ProcessMessage> Handler for Messages<P> {
    fn connected(&mut self, peer: Peer) -> Answer<'_> {
        self.message.peer = peer;
        Answer::Accept
    }

    fn mail(&mut self, mail: Mail<'_>) -> Answer<'_> {
        // Whatever wraps this handler may have kept `reset` to itself.
        self.reset();
        self.message.begin(&mail);
        Answer::Accept
    }

    fn rcpt(&mut self, rcpt: Rcpt<'_>) -> Answer<'_> {
        self.open = Some(self.message.rcpt_options.len());
        self.message.rcpt_tos.push(text(rcpt.forward_path.as_octets()));
        self.message.rcpt_options.extend(options(rcpt.params));
        let answer = self.process.rcpt(rcpt);
        settle(&answer, &mut self.open, &mut self.message);
        answer
    }

    fn text(&mut self, octets: &[u8]) -> Flow<'_> {
        const NO_MEMORY: Reply<'static> =
            Reply::new(452, "No memory for this message now, try again later").enhanced(3, 1);
        if !self.message.share.grow(octets.len()) {
            return Flow::Refuse(NO_MEMORY);
        }
        self.message.data.extend_from_slice(octets);
        Flow::Continue
    }

    fn message(&mut self, recipient: u16) -> Answer<'_> {
        if recipient > 0 {
            return self.verdict.answer();
        }
        let answer = self.process.process_message(&mut self.message);
        self.verdict.keep(&answer);
        // An idle connection keeps no large message.
        self.message.clear();
        answer
    }

    fn reset(&mut self) {
        self.open = None;
        self.message.clear();
    }

    fn resume(&mut self, waker: &Waker) -> Answer<'_> {
        let answer = self.process.resume(waker);
        match self.open {
            Some(_) => settle(&answer, &mut self.open, &mut self.message),
            None => self.verdict.keep(&answer),
        }
        answer
    }
}

/// What the answer to RCPT changes: who was refused is no recipient.
fn settle(answer: &Answer<'_>, open: &mut Option<usize>, message: &mut Message) {
    let is_refused = match answer {
        Answer::Later => return,
        Answer::Reply(reply) => !reply.is_positive(),
        _ => false,
    };
    if let (Some(options), true) = (open.take(), is_refused) {
        message.rcpt_tos.pop();
        message.rcpt_options.truncate(options);
    }
}

/// An answer that outlives its handler's call.
#[derive(Debug)]
enum Kept {
    Accept,
    Reply { code: u16, enhanced: Option<Enhanced>, text: Vec<u8> },
}

impl Kept {
    fn keep(&mut self, answer: &Answer<'_>) {
        match answer {
            Answer::Accept => *self = Self::Accept,
            Answer::Reply(reply) => {
                *self =
                    Self::Reply { code: reply.code(), enhanced: reply.enhanced_code(), text: reply.text().to_vec() };
            }
            _ => {}
        }
    }

    fn answer(&self) -> Answer<'_> {
        match self {
            Self::Accept => Answer::Accept,
            Self::Reply { code, enhanced, text } => {
                let reply = Reply::from_octets(*code, text);
                Answer::Reply(enhanced.map_or(reply, |Enhanced { subject, detail }| reply.enhanced(subject, detail)))
            }
        }
    }
}

/// A function that processes messages; see [`process_message`].
#[derive(Debug)]
pub struct Function<F> {
    function: F,
    /// The last verdict, which its reply borrows.
    verdict: String,
}

impl<F: FnMut(&mut Message) -> Verdict> ProcessMessage for Function<F> {
    fn process_message(&mut self, message: &mut Message) -> Answer<'_> {
        match (self.function)(message) {
            Ok(None) => Answer::Accept,
            Ok(Some(verdict)) if verdict.is_empty() => Answer::Accept,
            Ok(Some(verdict)) => {
                self.verdict = verdict;
                let reply = Reply::from_line(self.verdict.as_bytes());
                if !reply.is_valid() {
                    tracing::error!("process_message: no reply begins like this: {:?}", self.verdict);
                }
                Answer::Reply(reply)
            }
            Err(error) => {
                tracing::error!("process_message: {error}");
                Answer::Reply(Reply::new(451, "Error in processing").enhanced(3, 0))
            }
        }
    }
}

/// What was a command is ASCII.
fn text(octets: &[u8]) -> String {
    String::from_utf8_lossy(octets).into_owned()
}

fn options(params: Params<'_>) -> impl Iterator<Item = String> {
    params.as_octets().split(|octet| *octet == b' ').filter(|option| !option.is_empty()).map(|option| {
        let mut option = text(option);
        option.make_ascii_uppercase();
        option
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_as_python_gets_it() {
        for (text, data) in [
            (&b""[..], &b""[..]),
            (b"\r\n", b""),
            (b"a\r\n\r\nb\r\n", b"a\n\nb"),
            (b"a\r\n\r\n", b"a\n"),
            (b"a\rb\nc\r\r\nd\r", b"a\rb\nc\r\nd\r"),
        ] {
            let message = Message { data: text.to_vec(), ..Message::default() };
            assert_eq!(message.python_data(), data, "{}", text.escape_ascii());
        }
    }
}
