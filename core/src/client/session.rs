//! The client's session: commands in, octets out; octets in, replies out.

use heapless::Vec;

use super::offer::Offer;
use super::order::Order;
use super::outbox::Outbox;
use super::{Command, Error, Timers};
use crate::server::{Extensions, Patience};
use crate::store::Store;
use crate::wire::{Encoder, Reply, ReplyProgress, ReplyReader};

/// A client's session with one server, without I/O.
///
/// Commands may be given ahead of the replies: they wait in the output until they may be sent (after the greeting,
/// after EHLO, and one by one unless the server offered PIPELINING). `L` keeps the reply that is being read, `O`
/// what is to be sent; both hold at least 512 octets, `O` twice what [`hello`](Self::hello) takes. 2,048 octets of output
/// pass 100 pipelined recipients on in two or three writes.
///
/// # How to drive it
/// 1. Send [`output`](Self::output) and say so by [`sent`](Self::sent); hand what arrives to [`poll`](Self::poll).
/// 2. Every event but [`Event::Idle`] consumed input. A reply stays in its storage until the next `poll`.
/// 3. Text may be given from a positive reply to DATA on; its end is [`end_text`](Self::end_text). Without it the server has
///    no message, whatever else happens.
/// 4. [`patience`](Self::patience) says how long to wait; what then happens is the caller's decision: usually he closes.
/// 5. After [`Event::Broken`], and after a 421 to anything, close the connection: nothing can be said any more.
///
/// ```
/// use smtpd_core::client::{Command, Event, Session};
/// let mut client: Session = Session::new();
/// client.hello(b"client.example")?;
/// client.mail(b"me@example.org", b"")?;
/// client.rcpt(b"you@example.org", b"")?;
/// client.data()?;
/// // Nothing may be sent before the greeting.
/// assert!(client.output().is_empty());
/// let mut input: &[u8] = b"220 mx.example.org\r\n";
/// assert!(matches!(client.poll(&mut input), Event::Reply(Command::Greeting, reply) if reply.is_positive()));
/// assert_eq!(client.output(), b"EHLO client.example\r\n");
/// client.sent(21);
/// let mut input: &[u8] = b"250-mx.example.org\r\n250 PIPELINING\r\n";
/// assert!(matches!(client.poll(&mut input), Event::Reply(Command::Hello, reply) if reply.is_positive()));
/// assert_eq!(client.output(), b"MAIL FROM:<me@example.org>\r\nRCPT TO:<you@example.org>\r\nDATA\r\n");
/// # Ok::<(), smtpd_core::client::Error>(())
/// ```
#[derive(Debug)]
pub struct Session<L: Store = Vec<u8, 512>, O: Store = Vec<u8, 2048>> {
    timers: Timers,
    #[cfg(feature = "lmtp")]
    is_lmtp: bool,
    order: Order,
    reader: ReplyReader,
    reading: Reading,
    encoder: Encoder,
    phase: Phase,
    /// What the server offered: whole once it greeted.
    offer: Offer,
    is_greeted: bool,
    /// Recipients of the transaction that were accepted.
    recipients: u16,
    epoch: u32,
    reply: L,
    outbox: Outbox<O>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Commands may be given.
    Commands,
    /// DATA was given: nothing more until its reply.
    Data,
    /// The server waits for text.
    Text,
    /// QUIT was given, or the server went away.
    Over,
}

/// Where the reply in the storage stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reading {
    /// It is not complete.
    Begun,
    /// Nor is this one, and nothing had asked for it when it began.
    BegunEarly,
    /// It was handed out.
    Done,
    /// It was handed out, and something that nothing had asked for stood right behind it.
    Early,
}

/// What came from the server.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Event<'s> {
    /// The input is used up.
    Idle,
    /// The reply to the oldest command that had none. EHLO's text is its first line only. A 421 that nothing asked for comes
    /// as the reply to QUIT.
    Reply(Command, Reply<'s>),
    /// The session is over: what the server sent is not SMTP, or was not asked for. Close the connection.
    Broken(Error),
}

impl Session {
    /// A session with storage of its own.
    #[must_use]
    pub fn new() -> Self {
        Self::with(Vec::new(), Vec::new())
    }
}

impl Default for Session {
    fn default() -> Self {
        Self::new()
    }
}

impl<L: Store, O: Store> Session<L, O> {
    /// A session with the storage given, both empty.
    #[must_use]
    pub fn with(reply: L, output: O) -> Self {
        Self {
            timers: Timers::DEFAULT,
            #[cfg(feature = "lmtp")]
            is_lmtp: false,
            order: Order::new(),
            reader: ReplyReader::new(),
            reading: Reading::Begun,
            encoder: Encoder::new(),
            phase: Phase::Commands,
            offer: Offer::NONE,
            is_greeted: false,
            recipients: 0,
            epoch: 0,
            reply,
            outbox: Outbox::new(output),
        }
    }

    /// With these timers in place of [`Timers::DEFAULT`].
    #[must_use]
    pub fn timers(mut self, timers: Timers) -> Self {
        self.timers = timers;
        self
    }

    /// For LMTP (RFC 2033): LHLO in place of EHLO, and a reply for each accepted recipient behind the text.
    #[cfg(feature = "lmtp")]
    #[must_use]
    pub fn lmtp(mut self) -> Self {
        self.is_lmtp = true;
        self
    }

    /// As new, for another connection, with the same timers and protocol.
    pub fn restart(&mut self) {
        (self.order, self.reader, self.encoder) = (Order::new(), ReplyReader::new(), Encoder::new());
        (self.phase, self.reading, self.recipients) = (Phase::Commands, Reading::Begun, 0);
        (self.offer, self.is_greeted) = (Offer::NONE, false);
        self.epoch = self.epoch.wrapping_add(1);
        self.reply.release();
        self.outbox.restart();
    }

    /// Says EHLO, and HELO if that is refused (RFC 5321 §3.2); with LMTP, LHLO. There is one reply in either case.
    ///
    /// # Errors
    /// [`Error::Full`] (both must fit), [`Error::OutOfOrder`] (also while another one has no reply), [`Error::Octets`].
    pub fn hello(&mut self, name: &[u8]) -> Result<(), Error> {
        let verb = if self.is_lmtp() { b"LHLO " } else { b"EHLO " };
        let len = name.len().saturating_add(7);
        if self.order.holds(Command::Hello) {
            return Err(Error::OutOfOrder);
        }
        if self.outbox.room() < len.saturating_mul(2) {
            return Err(Error::Full);
        }
        self.put(Command::Hello, &[verb, name, b"\r\n"])?;
        if !self.is_lmtp() && self.outbox.push(&[b"HELO ", name, b"\r\n"]) {
            self.outbox.spare_last(len);
        }
        // Not to be followed by anything before its answer.
        (self.offer, self.is_greeted) = (Offer::NONE, false);
        self.release();
        Ok(())
    }

    /// Says MAIL with a path without its angle brackets and parameters separated by a space (RFC 5321 §4.1.1.2). SIZE and
    /// BODY are left out if the server does not offer their extensions: see that an 8BITMIME message does not go to such a server.
    ///
    /// # Errors
    /// [`Error::Full`], [`Error::OutOfOrder`], [`Error::Octets`].
    pub fn mail(&mut self, reverse_path: &[u8], params: &[u8]) -> Result<(), Error> {
        let space = if params.is_empty() { &b""[..] } else { b" " };
        self.put(Command::Mail, &[b"MAIL FROM:<", reverse_path, b">", space, params, b"\r\n"])?;
        self.outbox.mark_params(params.len().saturating_add(space.len()));
        if self.is_greeted {
            self.outbox.trim(self.offer);
        }
        self.release();
        Ok(())
    }

    /// Says RCPT with a path without its angle brackets and parameters separated by a space (RFC 5321 §4.1.1.3).
    ///
    /// # Errors
    /// [`Error::Full`], [`Error::OutOfOrder`], [`Error::Octets`].
    pub fn rcpt(&mut self, forward_path: &[u8], params: &[u8]) -> Result<(), Error> {
        let space = if params.is_empty() { &b""[..] } else { b" " };
        self.command(Command::Rcpt, &[b"RCPT TO:<", forward_path, b">", space, params, b"\r\n"])
    }

    /// Says DATA (RFC 5321 §4.1.1.4).
    ///
    /// # Errors
    /// [`Error::Full`], [`Error::OutOfOrder`].
    pub fn data(&mut self) -> Result<(), Error> {
        self.command(Command::Data, &[b"DATA\r\n"])?;
        self.phase = Phase::Data;
        Ok(())
    }

    /// Takes text, doubles its dots and repairs its line ends (RFC 5321 §4.5.2, §2.3.8); returns how many octets were taken.
    pub fn text(&mut self, octets: &[u8]) -> usize {
        if self.phase != Phase::Text {
            return 0;
        }
        if self.output().is_empty() {
            self.epoch = self.epoch.wrapping_add(1);
        }
        let taken = self.encoder.push(octets, self.outbox.text());
        self.release();
        taken
    }

    /// Octets of text that are taken for sure: each may grow to two.
    #[must_use]
    pub fn room(&self) -> usize {
        if self.phase == Phase::Text { self.outbox.room() / 2 } else { 0 }
    }

    /// Ends the text (RFC 5321 §4.1.1.4).
    ///
    /// # Errors
    /// [`Error::Full`], [`Error::OutOfOrder`].
    pub fn end_text(&mut self) -> Result<(), Error> {
        if self.phase != Phase::Text {
            return Err(Error::OutOfOrder);
        }
        if !self.encoder.end(self.outbox.text()) {
            return Err(Error::Full);
        }
        self.phase = Phase::Commands;
        let replies = if self.is_lmtp() { self.recipients } else { 1 };
        // DATA's reply has come and nothing was sent since: there is room for one. A server that let the text of nobody come owes
        // none (RFC 2033 §4.2).
        let _ = replies == 0 || self.order.push(Command::Message, replies);
        self.epoch = self.epoch.wrapping_add(1);
        self.outbox.end_text(replies);
        self.outbox.release(true, self.order.count());
        Ok(())
    }

    /// Ends the text, and says QUIT in the same write, whether PIPELINING was offered or not: a server that then owes replies to
    /// the text tells by its 221, or by its end, that none will come.
    ///
    /// # Errors
    /// [`Error::Full`] (nothing was done), [`Error::OutOfOrder`].
    pub fn end_session(&mut self) -> Result<(), Error> {
        const LONGEST_END: usize = b"\r\n.\r\nQUIT\r\n".len();
        if self.outbox.room() < LONGEST_END {
            return Err(Error::Full);
        }
        self.end_text()?;
        self.quit()?;
        self.outbox.release(true, self.order.count());
        Ok(())
    }

    /// Says RSET (RFC 5321 §4.1.1.5).
    ///
    /// # Errors
    /// [`Error::Full`], [`Error::OutOfOrder`].
    pub fn reset(&mut self) -> Result<(), Error> {
        self.command(Command::Reset, &[b"RSET\r\n"])
    }

    /// Says QUIT (RFC 5321 §4.1.1.10).
    ///
    /// # Errors
    /// [`Error::Full`], [`Error::OutOfOrder`].
    pub fn quit(&mut self) -> Result<(), Error> {
        self.command(Command::Quit, &[b"QUIT\r\n"])?;
        self.phase = Phase::Over;
        Ok(())
    }

    /// Reads one reply off the input.
    pub fn poll(&mut self, input: &mut &[u8]) -> Event<'_> {
        let is_early = matches!(self.reading, Reading::Early | Reading::BegunEarly);
        if self.is_read() {
            self.reader.clear();
            self.reply.release();
        }
        self.reading = if is_early { Reading::BegunEarly } else { Reading::Begun };
        loop {
            match self.reader.next(input, self.reply.view()) {
                ReplyProgress::Starved => return Event::Idle,
                ReplyProgress::Malformed => return self.broken(Error::NotSmtp),
                ReplyProgress::Line(begin) => self.keyword(begin),
                ReplyProgress::Complete(code) => match self.complete(code, is_early) {
                    Ok(Some(command)) => {
                        let is_early = !input.is_empty() && !self.outbox.is_asked();
                        self.reading = if is_early { Reading::Early } else { Reading::Done };
                        return Event::Reply(command, self.reader.reply(self.reply.octets()));
                    }
                    // HELO is said now.
                    Ok(None) => {
                        self.reader.clear();
                        self.reply.release();
                    }
                    Err(error) => return self.broken(error),
                },
            }
        }
    }

    /// The reply that the last `poll` brought, until the next one.
    #[must_use]
    pub fn reply(&self) -> Option<Reply<'_>> {
        self.is_read().then(|| self.reader.reply(self.reply.octets()))
    }

    /// Whether the reply in the storage was handed out.
    const fn is_read(&self) -> bool {
        matches!(self.reading, Reading::Done | Reading::Early)
    }

    /// Whether the server said yes to EHLO, HELO or LHLO.
    #[must_use]
    pub const fn is_greeted(&self) -> bool {
        self.is_greeted
    }

    /// The extensions that the server offered in its reply to EHLO, as far as they are known here.
    #[must_use]
    pub fn extensions(&self) -> Extensions {
        if self.is_greeted { self.offer.extensions } else { Extensions::NONE }
    }

    /// The greatest message that the server takes, in octets; 0: it did not say.
    #[must_use]
    pub fn size(&self) -> u32 {
        if self.is_greeted { self.offer.size } else { 0 }
    }

    /// Replies that have not come, those to the connection itself and to the end of the text among them.
    #[must_use]
    pub fn open(&self) -> u16 {
        self.order.count()
    }

    /// Whether text was begun and not ended: if the session ends now, the server gets no message.
    #[must_use]
    pub fn is_text(&self) -> bool {
        matches!(self.phase, Phase::Text | Phase::Data)
    }

    /// Whether the longest command fits.
    #[must_use]
    pub fn can_send(&self) -> bool {
        self.outbox.room() >= 512
    }

    /// What may be sent now.
    #[must_use]
    pub fn output(&self) -> &[u8] {
        self.outbox.octets()
    }

    /// Whether all that was given was sent: nothing waits for a reply before it may go.
    #[must_use]
    pub fn is_sent(&self) -> bool {
        self.outbox.is_empty()
    }

    /// The first `octets` of the output were sent.
    pub fn sent(&mut self, octets: usize) {
        // Who takes a command octet by octet buys no time for its reply.
        if self.outbox.sent(octets) && self.order.next().is_none() {
            self.epoch = self.epoch.wrapping_add(1);
        }
    }

    /// How long to wait for what the session waits for now: 0 seconds, for nothing. A command's time begins when all replies
    /// before its own have come, and with it what of the output has to be sent first.
    #[must_use]
    pub fn patience(&self) -> Patience {
        let timers = &self.timers;
        let secs = match self.order.next() {
            None if self.phase == Phase::Text && !self.output().is_empty() => timers.text,
            None => 0,
            Some(Command::Greeting) => timers.greeting,
            Some(Command::Hello | Command::Mail | Command::Reset | Command::Quit) => timers.mail,
            Some(Command::Rcpt) => timers.rcpt,
            Some(Command::Data) => timers.data,
            Some(Command::Message) => timers.message,
        };
        Patience { secs, epoch: self.epoch }
    }

    /// What the session waits for has its time from now on.
    pub(crate) const fn begin(&mut self) {
        self.epoch = self.epoch.wrapping_add(1);
    }

    const fn is_lmtp(&self) -> bool {
        #[cfg(feature = "lmtp")]
        return self.is_lmtp;
        #[cfg(not(feature = "lmtp"))]
        false
    }

    fn command(&mut self, command: Command, parts: &[&[u8]]) -> Result<(), Error> {
        self.put(command, parts)?;
        self.release();
        Ok(())
    }

    /// Adds a command to the output.
    fn put(&mut self, command: Command, parts: &[&[u8]]) -> Result<(), Error> {
        if self.phase != Phase::Commands {
            return Err(Error::OutOfOrder);
        }
        let (_, octets) = parts.split_last().unwrap_or((&&b""[..], &[]));
        let is_bare = matches!(command, Command::Data | Command::Reset | Command::Quit);
        if !is_bare && octets.iter().any(|part| part.iter().any(u8::is_ascii_control)) {
            return Err(Error::Octets);
        }
        let len = parts.iter().fold(0, |sum: usize, part| sum.saturating_add(part.len()));
        let is_first = self.order.next().is_none();
        if len > self.outbox.room() || !self.order.push(command, 1) {
            return Err(Error::Full);
        }
        if is_first {
            self.epoch = self.epoch.wrapping_add(1);
        }
        if self.outbox.push(parts) { Ok(()) } else { Err(Error::Full) }
    }

    /// Lets go of as much output as may be sent now.
    fn release(&mut self) {
        let is_free = self.phase == Phase::Text || self.extensions().contains(Extensions::PIPELINING);
        self.outbox.release(is_free, self.order.count());
    }

    /// A line of the reply that is not its last.
    fn keyword(&mut self, begin: usize) {
        if self.order.next() == Some(Command::Hello) && begin > 0 {
            self.extension(begin);
            self.reader.drop_line(begin, self.reply.view());
        }
    }

    /// A line of EHLO's reply begins there.
    fn extension(&mut self, begin: usize) {
        let line = self.reply.octets().get(begin..).unwrap_or(b"");
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        self.offer.read(line);
    }

    /// The reply is complete: which command it answers; none: the session itself goes on with HELO.
    ///
    /// # Errors
    /// It has no place here.
    fn complete(&mut self, code: u16, is_early: bool) -> Result<Option<Command>, Error> {
        let next = self.order.next();
        let is_asked = self.outbox.is_asked() && !is_early;
        if code == 421 {
            self.order.received();
            self.phase = Phase::Over;
            return Ok(Some(next.filter(|_| is_asked).unwrap_or(Command::Quit)));
        }
        let mut command = next.filter(|_| is_asked).ok_or(Error::Unasked)?;
        // Nothing else has this code (RFC 5321 §4.2.3): of the replies to the text and what follows it, no more will come.
        if code == 221 && command == Command::Message && self.phase == Phase::Over {
            while command != Command::Quit {
                self.outbox.received(self.order.give_up());
                command = self.order.next().ok_or(Error::Unasked)?;
            }
        }
        if !command.takes(code) {
            return Err(Error::Misplaced);
        }
        self.epoch = self.epoch.wrapping_add(1);
        self.order.received();
        self.outbox.received(1);
        let is_positive = code < 400;
        match command {
            Command::Hello if self.hello_answered(code) => return Ok(None),
            Command::Mail => self.recipients = 0,
            Command::Rcpt if is_positive => self.recipients = self.recipients.saturating_add(1),
            Command::Data if is_positive => {
                self.phase = Phase::Text;
                self.encoder = Encoder::new();
                self.outbox.begin_text();
            }
            Command::Data if self.phase == Phase::Data => self.phase = Phase::Commands,
            _ => {}
        }
        self.release();
        Ok(Some(command))
    }

    /// The greeting of ours was answered; true: not yet, for HELO is said in place of the EHLO that was refused.
    fn hello_answered(&mut self, code: u16) -> bool {
        if self.outbox.settle(code >= 500) {
            let _ = self.order.push_front(Command::Hello);
            self.offer = Offer::NONE;
            self.release();
            return true;
        }
        if let Some(at) = self.reply.octets().iter().rposition(|octet| *octet == b'\n') {
            self.extension(at.wrapping_add(1));
            self.reply.view().truncate(at);
        }
        self.is_greeted = code < 400;
        if !self.is_greeted {
            self.offer = Offer::NONE;
        }
        self.outbox.trim(self.offer);
        false
    }

    fn broken(&mut self, error: Error) -> Event<'_> {
        self.phase = Phase::Over;
        Event::Broken(error)
    }
}
