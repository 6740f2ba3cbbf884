//! `process_message`: whole messages in buffers of fixed size.

use core::task::Waker;

use heapless::Vec;

use crate::server::{Answer, Flow, Handler, Mail, Peer, Rcpt};
use crate::wire::{ForwardPath, Reply, ReversePath};

/// Gathers a message and hands it over whole: `process_message(peer, mail_from, rcpt_tos, data)`.
///
/// `FROM`, `RCPTS` and `TEXT` are octets: of the reverse-path, of all recipients together (each takes one more than
/// its length), of the text. What does not fit is refused, 452 4.3.1 or 452 4.5.3 for addresses and 552 5.3.4 for the
/// text; a message is never cut.
///
/// ```
/// use smtpd_core::handlers::Message;
/// use smtpd_core::server::Answer;
/// let handler = Message::<_, 128, 512, 4096>::new(|_peer, mail_from, rcpt_tos, data| {
///     let _ = (mail_from, rcpt_tos.count(), data);
///     Answer::Accept
/// });
/// ```
#[derive(Debug)]
pub struct Message<P, const FROM: usize, const RCPTS: usize, const TEXT: usize> {
    process_message: P,
    peer: Peer,
    mail_from: Vec<u8, FROM>,
    rcpt_tos: Vec<u8, RCPTS>,
    data: Vec<u8, TEXT>,
    verdict: Answer<'static>,
}

impl<P, const FROM: usize, const RCPTS: usize, const TEXT: usize> Message<P, FROM, RCPTS, TEXT>
where
    P: FnMut(Peer, &[u8], Recipients<'_>, &[u8]) -> Answer<'static>,
{
    /// A handler that calls `process_message` with each message; its answer is the client's.
    pub const fn new(process_message: P) -> Self {
        Self {
            process_message,
            peer: Peer::new(None),
            mail_from: Vec::new(),
            rcpt_tos: Vec::new(),
            data: Vec::new(),
            verdict: Answer::Accept,
        }
    }
}

/// The text as its length: it may be long, and is not the log's business.
#[cfg(feature = "defmt")]
impl<P, const FROM: usize, const RCPTS: usize, const TEXT: usize> defmt::Format for Message<P, FROM, RCPTS, TEXT> {
    fn format(&self, to: defmt::Formatter<'_>) {
        defmt::write!(
            to,
            "Message {{ peer: {}, mail_from: {=[u8]:a}, rcpt_tos: {}, data: <{=usize} octets>, .. }}",
            self.peer,
            &self.mail_from,
            Recipients(&self.rcpt_tos),
            self.data.len()
        );
    }
}

/// The recipients of a message, each without its angle brackets.
#[derive(Clone, Debug)]
pub struct Recipients<'m>(&'m [u8]);

impl<'m> Iterator for Recipients<'m> {
    type Item = &'m [u8];

    fn next(&mut self) -> Option<&'m [u8]> {
        // No line feed can stand in an address: a line with one was refused.
        let end = self.0.iter().position(|octet| *octet == b'\n')?;
        let (recipient, rest) = self.0.split_at_checked(end)?;
        self.0 = rest.strip_prefix(b"\n").unwrap_or(rest);
        Some(recipient)
    }
}

const NO_ROOM: Reply<'static> = Reply::new(452, "Address too long for this server").enhanced(3, 1);
const TOO_MANY: Reply<'static> = Reply::new(452, "Too many recipients").enhanced(5, 3);
const TOO_BIG: Reply<'static> = Reply::new(552, "Message too big for this server").enhanced(3, 4);

impl<P, const FROM: usize, const RCPTS: usize, const TEXT: usize> Handler for Message<P, FROM, RCPTS, TEXT>
where
    P: FnMut(Peer, &[u8], Recipients<'_>, &[u8]) -> Answer<'static>,
{
    fn connected(&mut self, peer: Peer) -> Answer<'_> {
        self.peer = peer;
        Answer::Accept
    }

    fn mail(&mut self, mail: Mail<'_>) -> Answer<'_> {
        self.mail_from.clear();
        self.rcpt_tos.clear();
        self.data.clear();
        if mail.size.is_some_and(|size| size as usize > TEXT) {
            return Answer::Reply(TOO_BIG);
        }
        let path = match mail.reverse_path {
            ReversePath::Null => b"",
            ReversePath::Mailbox(mailbox) => mailbox.as_octets(),
        };
        match self.mail_from.extend_from_slice(path) {
            Ok(()) => Answer::Accept,
            Err(_) => Answer::Reply(NO_ROOM),
        }
    }

    fn rcpt(&mut self, rcpt: Rcpt<'_>) -> Answer<'_> {
        let path = match rcpt.forward_path {
            ForwardPath::Postmaster(word) => word,
            ForwardPath::Mailbox(mailbox) => mailbox.as_octets(),
        };
        if path.len() >= self.rcpt_tos.capacity().saturating_sub(self.rcpt_tos.len()) {
            return Answer::Reply(TOO_MANY);
        }
        let _ = self.rcpt_tos.extend_from_slice(path);
        let _ = self.rcpt_tos.push(b'\n');
        Answer::Accept
    }

    fn text(&mut self, octets: &[u8]) -> Flow<'_> {
        match self.data.extend_from_slice(octets) {
            Ok(()) => Flow::Continue,
            Err(_) => Flow::Refuse(TOO_BIG),
        }
    }

    fn message(&mut self, recipient: u16) -> Answer<'_> {
        if recipient == 0 {
            let recipients = Recipients(&self.rcpt_tos);
            self.verdict = (self.process_message)(self.peer, &self.mail_from, recipients, &self.data);
        }
        self.verdict
    }

    fn resume(&mut self, _: &Waker) -> Answer<'_> {
        // Reached only if `process_message` answered Later, which it has no way to take back.
        Answer::Reply(Reply::new(451, "Internal error").enhanced(3, 0))
    }
}
