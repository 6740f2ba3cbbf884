//! One mail: its commands, its text, and which answer belongs to what.

use smtpd_core::client::{self, Command};
use smtpd_core::server::Extensions;
use tokio::io::{AsyncBufRead, AsyncRead, AsyncWrite};

use super::envelope::Envelope;
use super::link::{Link, Text, Trouble, Turn};
use super::{Error, Outcome, Reply, Sent};

/// A mail on its way.
pub(super) struct Transaction<'c, 'm, T, R> {
    link: &'c mut Link<T>,
    envelope: Envelope<'m, R>,
    options: Options,
    is_lmtp: bool,
    /// What is to be said next.
    next: Next,
    /// The answer to MAIL.
    mail: Option<Reply>,
    /// The answers to RCPT, in their order.
    rcpts: Vec<Reply>,
    /// The answer to DATA.
    data: Option<Reply>,
    /// What it leaves if it ends now.
    leaves: State,
}

/// How mails are sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Options {
    pub(super) all_or_none: bool,
    pub(super) eight_bit_as_is: bool,
}

/// What may be done with the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Ready,
    /// A transaction was begun and not ended: RSET comes before the next one.
    Begun,
    /// Nothing; and so it is while something is being done that may be given up.
    Closed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Reset,
    Mail,
    Rcpt(usize),
    Data,
    Nothing,
}

impl<'c, 'm, T: AsyncRead + AsyncWrite + Unpin, R: AsRef<str>> Transaction<'c, 'm, T, R> {
    pub(super) fn new(link: &'c mut Link<T>, envelope: Envelope<'m, R>, options: Options, is_lmtp: bool) -> Self {
        let rcpts = Vec::with_capacity(envelope.rcpt_tos.len());
        let (next, leaves) = (Next::Mail, State::Closed);
        Self { link, envelope, options, is_lmtp, next, mail: None, rcpts, data: None, leaves }
    }

    /// Sends it; `resets` an earlier one first.
    pub(super) async fn run(&mut self, resets: bool, text: &mut (impl AsyncBufRead + Unpin)) -> Result<Sent, Error> {
        if resets {
            self.next = Next::Reset;
        }
        self.introduce().await?;
        let refusal = self.refusal();
        match (&self.data, refusal) {
            (Some(data), Some(refusal)) if data.is_positive() => self.send_nothing(refusal).await,
            // A transaction that MAIL did not begin, or that DATA did not end.
            (_, Some(refusal)) => {
                let is_begun = self.mail.as_ref().is_some_and(Reply::is_positive);
                self.leaves = if is_begun { State::Begun } else { State::Ready };
                Err(refusal)
            }
            (_, None) => self.send_text(text).await,
        }
    }

    /// What may be done with the connection behind it.
    pub(super) const fn leaves(&self) -> State {
        self.leaves
    }

    /// Says everything up to DATA and hears all answers.
    async fn introduce(&mut self) -> Result<(), Error> {
        loop {
            self.give()?;
            if self.link.session.open() == 0 {
                return Ok(());
            }
            let waits_for = self.waits_for();
            let (command, reply) = match self.link.turn().await.map_err(|trouble| trouble.behind(waits_for))? {
                Turn::Sent => continue,
                Turn::Reply(command, reply) => (command, reply),
            };
            // The server goes: what else was said is not answered any more.
            if reply.code == 421 {
                return Err(Error::Refused(waits_for, reply));
            }
            match command {
                Command::Reset if reply.is_positive() => {}
                Command::Mail => {
                    if !reply.is_positive() {
                        self.next = Next::Nothing;
                    }
                    self.mail = Some(reply);
                }
                Command::Rcpt => self.rcpts.push(reply),
                Command::Data => self.data = Some(reply),
                _ => return Err(Error::Refused(waits_for, reply)),
            }
        }
    }

    /// Gives as many commands as may be given now and find room.
    fn give(&mut self) -> Result<(), Error> {
        let is_pipelined = self.link.session.extensions().contains(Extensions::PIPELINING);
        while self.next != Next::Nothing {
            let open = self.link.session.open();
            let waits = !is_pipelined || self.next == Next::Data && self.options.all_or_none;
            if open > 0 && (waits || !self.link.session.can_send()) {
                break;
            }
            if open == 0 && self.next == Next::Data && self.refusal().is_some() {
                self.next = Next::Nothing;
                break;
            }
            let Envelope { mail_from, rcpt_tos, params, .. } = &self.envelope;
            let session = &mut self.link.session;
            let (given, next) = match self.next {
                Next::Reset => (session.reset(), Next::Mail),
                Next::Mail => (session.mail(mail_from.as_bytes(), params.as_bytes()), Next::Rcpt(0)),
                Next::Rcpt(at) => match rcpt_tos.get(at) {
                    Some(path) => (session.rcpt(path.as_ref().as_bytes(), b""), Next::Rcpt(at + 1)),
                    None => (Ok(()), Next::Data),
                },
                Next::Data => (session.data(), Next::Nothing),
                Next::Nothing => break,
            };
            match given {
                Ok(()) => self.next = next,
                // More replies are under way than the session counts.
                Err(client::Error::Full) if open > 0 => break,
                Err(error) => return Err(Error::NotSmtp(self.waits_for(), error)),
            }
        }
        Ok(())
    }

    /// What is answered next, before the text.
    fn waits_for(&self) -> Command {
        match self.mail {
            None => Command::Mail,
            Some(_) if self.rcpts.len() < self.envelope.rcpt_tos.len() => Command::Rcpt,
            Some(_) => Command::Data,
        }
    }

    /// Why the text is not sent, once all is answered.
    fn refusal(&self) -> Option<Error> {
        if let Some(mail) = self.mail.as_ref().filter(|mail| !mail.is_positive()) {
            return Some(Error::Refused(Command::Mail, mail.clone()));
        }
        let accepted = self.rcpts.iter().filter(|reply| reply.is_positive()).count();
        if accepted == 0 {
            return Some(Error::RecipientsRefused(self.outcomes(&[])));
        }
        if self.options.all_or_none && accepted < self.rcpts.len() {
            return Some(Error::SomeRefused(self.outcomes(&[])));
        }
        let data = self.data.as_ref().filter(|data| !data.is_positive());
        data.map(|data| Error::Refused(Command::Data, data.clone()))
    }

    /// The server wants a text that goes to nobody: it gets the end of one, and refuses it (RFC 2920 §3.1).
    async fn send_nothing(&mut self, refusal: Error) -> Result<Sent, Error> {
        // An answer for each of no recipients is none.
        if !self.is_lmtp && self.link.session.end_text().is_ok() && self.link.reply().await.is_ok() {
            self.leaves = State::Ready;
        }
        Err(refusal)
    }

    async fn send_text(&mut self, text: &mut (impl AsyncBufRead + Unpin)) -> Result<Sent, Error> {
        let is_eight_bit = self.envelope.is_eight_bit || self.options.eight_bit_as_is;
        let lost = |trouble: Trouble| trouble.behind(Command::Message);
        match self.link.text(text, is_eight_bit).await.map_err(lost)? {
            Text::Whole => {}
            Text::Interrupted(reply) => return Err(Error::Refused(Command::Message, reply)),
            Text::Unreadable(error) => return Err(Error::Text(error)),
            Text::EightBit => return Err(Error::EightBit),
        }
        while self.link.session.end_text() == Err(client::Error::Full) {
            if let Turn::Reply(_, reply) = self.link.turn().await.map_err(lost)? {
                return Err(Error::Refused(Command::Message, reply));
            }
        }
        let accepted = self.rcpts.iter().filter(|reply| reply.is_positive()).count();
        let expected = if self.is_lmtp { accepted } else { 1 };
        let mut replies: Vec<Reply> = Vec::new();
        while replies.len() < expected {
            match self.link.reply().await {
                Ok((_, reply)) if reply.code == 421 => {
                    // There is no more where it came from.
                    replies.resize(expected, reply);
                    return self.end(&replies);
                }
                Ok((_, reply)) => replies.push(reply),
                // Before its last octet was sent the server has no mail.
                Err(trouble) if !self.link.session.is_sent() => return Err(lost(trouble)),
                Err(trouble) => return Err(self.in_doubt(&replies, lost(trouble))),
            }
        }
        self.leaves = State::Ready;
        self.end(&replies)
    }

    fn end(&self, replies: &[Reply]) -> Result<Sent, Error> {
        if let ([reply], false) = (replies, self.is_lmtp)
            && !reply.is_positive()
        {
            return Err(Error::Refused(Command::Message, reply.clone()));
        }
        let outcomes = self.outcomes(replies);
        if outcomes.iter().any(Outcome::is_accepted) {
            Ok(Sent { outcomes })
        } else {
            Err(Error::RecipientsRefused(outcomes))
        }
    }

    /// The text was sent, and these replies are all that came.
    fn in_doubt(&self, replies: &[Reply], cause: Error) -> Error {
        let is_open = |outcome: &Outcome| outcome.command == Command::Rcpt && outcome.reply.is_positive();
        let (open, outcomes) = self.outcomes(replies).into_iter().partition::<Vec<_>, _>(is_open);
        let recipients = open.into_iter().map(|outcome| outcome.recipient).collect();
        Error::InDoubt { outcomes, recipients, cause: Box::new(cause) }
    }

    /// What is known of each recipient: the answer to RCPT, or behind it to the text. With LMTP, the replies are those of the accepted
    /// recipients in their order; else there is one for all.
    fn outcomes(&self, replies: &[Reply]) -> Vec<Outcome> {
        let mut behind = replies.iter();
        let mut outcome = |(path, rcpt): (&R, &Reply)| {
            let message = match rcpt.is_positive() {
                true if self.is_lmtp => behind.next(),
                true => replies.first(),
                false => None,
            };
            let (command, reply) = message.map_or((Command::Rcpt, rcpt), |reply| (Command::Message, reply));
            Outcome { recipient: path.as_ref().to_owned(), command, reply: reply.clone() }
        };
        self.envelope.rcpt_tos.iter().zip(&self.rcpts).map(&mut outcome).collect()
    }
}
