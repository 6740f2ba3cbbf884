//! The client's session: commands in, octets out; octets in, replies out.

use heapless::Vec;

use super::Command;
use super::order::Order;
use crate::server::Extensions;
use crate::store::Store;
use crate::wire::{Encoder, Reply, ReplyProgress, ReplyReader, number};

/// A client's session with one server, without I/O.
///
/// Commands may be given ahead of the replies: they wait in the output until they may be sent (after the greeting,
/// after EHLO, and one by one unless the server offered PIPELINING). `L` keeps the reply that is being read, `O`
/// what is to be sent; both hold at least 512 octets. 2,048 octets of output pass 100 pipelined recipients on in two or
/// three writes.
///
/// # How to drive it
/// 1. Send [`output`](Self::output) and say so by [`sent`](Self::sent); hand what arrives to [`poll`](Self::poll).
/// 2. Every event but [`Event::Idle`] consumed input. A reply stays in its storage until the next `poll`.
/// 3. Text may be given from a positive reply to DATA on; its end is `end_text`.
#[derive(Debug)]
pub struct Session<L: Store = Vec<u8, 512>, O: Store = Vec<u8, 2048>> {
    order: Order,
    reader: ReplyReader,
    /// The reply in the storage was handed out.
    is_read: bool,
    encoder: Encoder,
    phase: Phase,
    extensions: Extensions,
    /// The size that the server announced (RFC 1870); 0: none.
    size: u32,
    reply: L,
    output: O,
    sent: usize,
    /// Output up to here may be sent.
    released: usize,
    /// Commands that were released and not answered.
    in_flight: u16,
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

/// What came from the server.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Event<'s> {
    /// The input is used up.
    Idle,
    /// The reply to the oldest command that had none. EHLO's text is its first line only.
    Reply(Command, Reply<'s>),
    /// The session is over: what the server sent is not SMTP, or was not asked for. Close the connection.
    Broken(Error),
}

/// Why a command can't be given, or what the server did wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Error {
    /// The output has no room for the command now: send first.
    Full,
    /// The command may not come now.
    OutOfOrder,
    /// A name, path or parameter holds octets that no command may hold.
    Octets,
    /// The server sent what is not a reply (RFC 5321 §4.2).
    NotSmtp,
    /// The server sent a reply that nothing asked for.
    Unasked,
}

impl core::fmt::Display for Error {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Full => "the output has no room for the command",
            Self::OutOfOrder => "the command may not come now",
            Self::Octets => "the command holds octets that no command may hold",
            Self::NotSmtp => "the server sent what is not a reply",
            Self::Unasked => "the server sent a reply that nothing asked for",
        })
    }
}

impl core::error::Error for Error {}

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
            order: Order::new(),
            reader: ReplyReader::default(),
            is_read: false,
            encoder: Encoder::new(),
            phase: Phase::Commands,
            extensions: Extensions::NONE,
            size: 0,
            reply,
            output,
            sent: 0,
            released: 0,
            in_flight: 1,
        }
    }

    /// Says EHLO (RFC 5321 §4.1.1.1).
    ///
    /// # Errors
    /// [`Error::Full`], [`Error::OutOfOrder`], [`Error::Octets`].
    pub fn hello(&mut self, name: &[u8]) -> Result<(), Error> {
        self.command(Command::Hello, &[b"EHLO ", name, b"\r\n"])?;
        (self.extensions, self.size) = (Extensions::NONE, 0);
        Ok(())
    }

    /// Says MAIL with a path without its angle brackets and parameters separated by a space (RFC 5321 §4.1.1.2).
    ///
    /// # Errors
    /// [`Error::Full`], [`Error::OutOfOrder`], [`Error::Octets`].
    pub fn mail(&mut self, reverse_path: &[u8], params: &[u8]) -> Result<(), Error> {
        let space = if params.is_empty() { &b""[..] } else { b" " };
        self.command(Command::Mail, &[b"MAIL FROM:<", reverse_path, b">", space, params, b"\r\n"])
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

    /// Takes text, doubles its dots and repairs its line ends; returns how many octets were taken.
    pub fn text(&mut self, octets: &[u8]) -> usize {
        if self.phase != Phase::Text {
            return 0;
        }
        let taken = self.encoder.push(octets, self.output.view());
        self.release();
        taken
    }

    /// Octets of text that are taken for sure: each may grow to two.
    #[must_use]
    pub fn room(&self) -> usize {
        if self.phase == Phase::Text { self.output.room() / 2 } else { 0 }
    }

    /// Ends the text (RFC 5321 §4.1.1.4).
    ///
    /// # Errors
    /// [`Error::Full`], [`Error::OutOfOrder`].
    pub fn end_text(&mut self) -> Result<(), Error> {
        if self.phase != Phase::Text {
            return Err(Error::OutOfOrder);
        }
        if !self.encoder.end(self.output.view()) {
            return Err(Error::Full);
        }
        self.phase = Phase::Commands;
        // DATA's reply has come and nothing was sent since: there is room for one.
        let _ = self.order.sent(Command::Message);
        self.in_flight = self.in_flight.saturating_add(1);
        self.released = self.output.octets().len();
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
        if self.is_read {
            self.reader.clear();
            self.reply.release();
            self.is_read = false;
        }
        if input.is_empty() {
            return Event::Idle;
        }
        loop {
            let command = self.order.next();
            match self.reader.next(input, self.reply.view()) {
                ReplyProgress::Starved => return Event::Idle,
                ReplyProgress::Malformed => return self.broken(Error::NotSmtp),
                ReplyProgress::Line(begin) => self.keyword(command, begin),
                ReplyProgress::Complete(code) => {
                    let Some(command) = command.or((code == 421).then_some(Command::Quit)) else {
                        return self.broken(Error::Unasked);
                    };
                    self.complete(command, code);
                    return Event::Reply(command, self.reader.reply(self.reply.octets()));
                }
            }
        }
    }

    /// The reply that the last `poll` brought, until the next one.
    #[must_use]
    pub fn reply(&self) -> Option<Reply<'_>> {
        self.is_read.then(|| self.reader.reply(self.reply.octets()))
    }

    /// The extensions that the server offered in its reply to EHLO, as far as they are known here.
    #[must_use]
    pub const fn extensions(&self) -> Extensions {
        self.extensions
    }

    /// The greatest message that the server takes, in octets; 0: it did not say.
    #[must_use]
    pub const fn size(&self) -> u32 {
        self.size
    }

    /// Commands, the connection itself and the end of the text among them, whose replies have not come.
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
        self.output.room() >= 512
    }

    /// What may be sent now.
    #[must_use]
    pub fn output(&self) -> &[u8] {
        self.output.octets().get(self.sent..self.released).unwrap_or(b"")
    }

    /// The first `octets` of the output were sent.
    pub fn sent(&mut self, octets: usize) {
        self.sent = self.sent.saturating_add(octets);
        if self.sent >= self.output.octets().len() {
            self.output.release();
            (self.sent, self.released) = (0, 0);
        }
    }

    fn command(&mut self, command: Command, parts: &[&[u8]]) -> Result<(), Error> {
        if self.phase != Phase::Commands {
            return Err(Error::OutOfOrder);
        }
        let octets = parts.split_last().map_or(&[][..], |(_, parts)| parts);
        if octets.iter().any(|part| part.iter().any(|octet| octet.is_ascii_control()))
            && !matches!(command, Command::Data | Command::Reset | Command::Quit)
        {
            return Err(Error::Octets);
        }
        let len = parts.iter().fold(0, |sum: usize, part| sum.saturating_add(part.len()));
        if len > self.output.room() || !self.order.sent(command) {
            return Err(Error::Full);
        }
        for part in parts {
            let _ = self.output.view().extend_from_slice(part);
        }
        self.release();
        Ok(())
    }

    /// Lets go of as much output as may be sent now.
    fn release(&mut self) {
        let all = self.output.octets().len();
        let is_free = self.phase == Phase::Text || self.extensions.contains(Extensions::PIPELINING);
        if is_free {
            self.released = all;
            self.in_flight = self.order.count();
            return;
        }
        if self.in_flight > 0 || self.released == all {
            return;
        }
        let waiting = self.output.octets().get(self.released..).unwrap_or(b"");
        let line = waiting.iter().position(|octet| *octet == b'\n').map_or(waiting.len(), |at| at.saturating_add(1));
        self.released = self.released.saturating_add(line);
        self.in_flight = 1;
    }

    /// A line of the reply that is not its last.
    fn keyword(&mut self, command: Option<Command>, begin: usize) {
        if command == Some(Command::Hello) && begin > 0 {
            self.extension(begin);
            self.reader.drop_line(begin, self.reply.view());
        }
    }

    /// A line of EHLO's reply: `SIZE 1000`.
    fn extension(&mut self, begin: usize) {
        let line = self.reply.octets().get(begin..).unwrap_or(b"");
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let mut words = line.split(|octet| *octet == b' ');
        let extension = words.next().map_or(Extensions::NONE, Extensions::from_keyword);
        self.extensions = self.extensions.with(extension);
        if extension == Extensions::SIZE {
            self.size = words.next().and_then(number).unwrap_or(0);
        }
    }

    fn complete(&mut self, command: Command, code: u16) {
        self.is_read = true;
        self.order.received();
        self.in_flight = self.in_flight.saturating_sub(1);
        if command == Command::Hello
            && let Some(at) = self.reply.octets().iter().rposition(|octet| *octet == b'\n')
        {
            self.extension(at.saturating_add(1));
            self.reply.view().truncate(at);
        }
        match (command, code) {
            (_, 421) => self.phase = Phase::Over,
            (Command::Hello, 400..) => (self.extensions, self.size) = (Extensions::NONE, 0),
            (Command::Data, 354) => {
                self.phase = Phase::Text;
                self.encoder = Encoder::new();
            }
            (Command::Data, _) if self.phase == Phase::Data => self.phase = Phase::Commands,
            _ => {}
        }
        self.release();
    }

    fn broken(&mut self, error: Error) -> Event<'_> {
        self.phase = Phase::Over;
        Event::Broken(error)
    }
}
