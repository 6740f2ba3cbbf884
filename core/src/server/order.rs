//! The order of things: which command may come when, and what an answer changes (RFC 5321 §4.1.4).
//!
//! Knows no octets: a command is a [`Verb`] here, a recipient is a number.

use super::{Config, Ending};
use crate::wire::{Reply, Verb};

/// Where a session stands between two commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum State {
    /// Nothing was said yet.
    New,
    /// The greeting said no: only QUIT is left (RFC 5321 §3.1).
    Refused,
    /// Greeted; the client did not say HELO or EHLO yet.
    Start,
    /// No transaction is under way.
    Ready,
    /// MAIL was accepted.
    Transaction,
    /// DATA was accepted: the text comes.
    Text,
    /// The text is complete; so many recipients were asked about.
    Complete(u16),
    /// A new HELO or EHLO ended a transaction, which the handler has to hear.
    Aborted,
    /// STARTTLS was accepted: nothing is read until TLS stands.
    #[cfg(feature = "starttls")]
    Tls,
    /// The end has come, which the handler has to hear.
    Closing(Ending),
    /// It is over.
    Closed,
}

/// What was asked and not answered yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Question {
    /// Nothing.
    None,
    /// The greeting.
    Connected,
    /// HELO (not extended), EHLO or LHLO.
    Hello {
        /// Whether extensions are asked for.
        extended: bool,
    },
    /// MAIL, if it is open, and so many RCPT behind it.
    Envelope {
        /// Whether MAIL itself is open.
        mail: bool,
        /// Open RCPT commands.
        recipients: u16,
    },
    /// DATA.
    Data,
    /// The message, for the recipient of this number.
    Message(u16),
    /// VRFY or EXPN.
    Verify,
}

/// How the client greeted, whatever came since.
#[cfg(feature = "python")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(crate) enum Greeted {
    /// Not yet.
    No,
    /// HELO.
    Helo,
    /// EHLO.
    Ehlo,
}

/// Whether more than one question may be open.
const BACKLOG: bool = cfg!(feature = "backlog");

/// State, open questions and counts of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Order {
    /// Where the session stands.
    pub(crate) state: State,
    /// What is open.
    pub(crate) question: Question,
    #[cfg(feature = "python")]
    pub(crate) greeted: Greeted,
    /// Accepted recipients of this transaction.
    recipients: u16,
    errors: u16,
    commands: u32,
    transactions: u32,
}

impl Order {
    /// A session to which nothing was said yet.
    #[must_use]
    pub const fn new() -> Self {
        let (state, question) = (State::New, Question::None);
        Self {
            state,
            question,
            #[cfg(feature = "python")]
            greeted: Greeted::No,
            recipients: 0,
            errors: 0,
            commands: 0,
            transactions: 0,
        }
    }

    /// An order that stands at `state`, with `recipients` accepted: to look at the table.
    #[must_use]
    pub const fn at(state: State, recipients: u16) -> Self {
        Self { state, recipients, ..Self::new() }
    }

    /// Where the session stands.
    #[must_use]
    pub const fn state(&self) -> State {
        self.state
    }

    /// May a command come now? The whole table of RFC 5321 §4.1.4 and §3.1.
    ///
    /// # Errors
    /// The reply that refuses it: 503, 502 if it is switched off, 500 where the protocol has no such command.
    pub fn admit<'c>(&self, verb: Verb, config: &Config<'c>) -> Result<(), &'c Reply<'c>> {
        use State::{Ready, Start, Transaction};
        let texts = config.texts;
        if self.state == State::Refused && verb != Verb::Quit {
            return Err(&texts.refused);
        }
        if !config.commands.contains(verb) {
            return Err(&texts.not_implemented);
        }
        match (verb, self.state) {
            (Verb::Helo | Verb::Ehlo, _) if config.is_lmtp() => Err(&texts.unrecognized),
            #[cfg(feature = "lmtp")]
            (Verb::Lhlo, _) if !config.lmtp => Err(&texts.unrecognized),
            (Verb::Mail | Verb::Rcpt | Verb::Data, Start) if config.need_hello => Err(&texts.need_hello),
            (Verb::Mail, Transaction) => Err(&texts.nested_mail),
            (Verb::Rcpt | Verb::Data, Start | Ready) => Err(&texts.need_mail),
            (Verb::Data, Transaction) if self.recipients == 0 => Err(&texts.need_rcpt),
            #[cfg(feature = "starttls")]
            (Verb::StartTls, _) if !config.extensions.contains(super::Extensions::STARTTLS) => {
                Err(&texts.not_implemented)
            }
            #[cfg(feature = "starttls")]
            (Verb::StartTls, Start) => Err(&texts.need_hello),
            #[cfg(feature = "starttls")]
            (Verb::StartTls, Transaction) => Err(&texts.in_transaction),
            _ => Ok(()),
        }
    }

    /// Whether one more recipient is within the limit, those that are still open counted as accepted.
    pub(crate) fn has_room(&self, limit: u16) -> bool {
        let open = match self.question {
            Question::Envelope { recipients, .. } if BACKLOG => recipients,
            _ => 0,
        };
        let limit = if limit == 0 { u16::MAX } else { limit };
        self.recipients.saturating_add(open) < limit
    }

    /// Whether a recipient was accepted.
    #[cfg(feature = "python")]
    pub(crate) const fn has_recipients(&self) -> bool {
        self.recipients > 0
    }

    /// Whether one more command is within the limit.
    pub(crate) fn may_command(&self, limit: u32) -> bool {
        limit == 0 || self.commands < limit
    }

    /// One more command came.
    pub(crate) fn count_command(&mut self) {
        self.commands = self.commands.saturating_add(1);
    }

    /// One more error was made; false: that is one too many.
    pub(crate) fn count_error(&mut self, limit: u16) -> bool {
        self.errors = self.errors.saturating_add(1);
        limit == 0 || self.errors <= limit
    }

    /// The session itself answered a command with `reply`: what that changes, and what it says instead if that was one
    /// error too many.
    pub(crate) fn count_reply<'c>(&mut self, reply: &'c Reply<'c>, config: &Config<'c>) -> &'c Reply<'c> {
        // 4yz is a limit, not a mistake of the client's.
        let is_over = reply.code() >= 500 && !self.count_error(config.limits.errors);
        if is_over || reply.code() == 421 {
            self.close(Ending::Limit);
        }
        if is_over { &config.texts.limit } else { reply }
    }

    /// The end comes, unless it came before.
    #[cfg_attr(target_os = "none", inline(never))]
    pub(crate) fn close(&mut self, why: Ending) {
        if !matches!(self.state, State::Closing(_) | State::Closed) {
            self.state = State::Closing(why);
            self.question = Question::None;
        }
    }

    /// Whether one more transaction is within the limit.
    pub(crate) fn may_begin(&self, limit: u32) -> bool {
        limit == 0 || self.transactions < limit
    }

    /// Whether the first command is still to come.
    pub(crate) fn is_fresh(&self) -> bool {
        self.commands == 0
    }

    /// How many questions are open.
    #[must_use]
    pub const fn open(&self) -> u16 {
        match self.question {
            Question::None => 0,
            Question::Envelope { mail, recipients } => recipients.saturating_add(mail as u16),
            _ => 1,
        }
    }

    /// Whether RCPT may be asked behind what is open.
    pub(crate) const fn takes_more(&self) -> bool {
        BACKLOG && matches!(self.question, Question::Envelope { recipients, .. } if recipients < u16::MAX)
    }

    /// MAIL is open.
    pub(crate) fn ask_mail(&mut self) {
        self.recipients = 0;
        self.question = Question::Envelope { mail: true, recipients: 0 };
    }

    /// One more RCPT is open.
    pub(crate) fn ask_rcpt(&mut self) {
        let (mail, recipients) = match self.question {
            Question::Envelope { mail, recipients } if BACKLOG => (mail, recipients),
            _ => (false, 0),
        };
        self.question = Question::Envelope { mail, recipients: recipients.saturating_add(1) };
    }

    /// The recipient that the end of the text has to be asked about next; none: the transaction is over.
    pub(crate) fn next_message(&mut self, asked: u16, lmtp: bool) -> Option<u16> {
        let all = if lmtp { self.recipients } else { 1 };
        if asked < all {
            self.state = State::Complete(asked.saturating_add(1));
            self.question = Question::Message(asked);
            return Some(asked);
        }
        self.state = State::Ready;
        None
    }

    /// How many replies the text that is over has to get.
    pub(crate) const fn replies(&self, lmtp: bool) -> u16 {
        if lmtp { self.recipients } else { 1 }
    }

    /// The transaction is over without a message.
    pub(crate) fn reset(&mut self) {
        self.state = match self.state {
            State::Transaction | State::Text | State::Aborted => State::Ready,
            state => state,
        };
    }

    /// The oldest question was answered: what that changes. Returns how many RCPT commands stand behind a
    /// refused MAIL; each gets its 503 from the session.
    pub(crate) fn proceed(&mut self, positive: bool) -> u16 {
        let question = self.question;
        self.question = Question::None;
        #[cfg(feature = "python")]
        if let (Question::Hello { extended }, true) = (question, positive) {
            self.greeted = if extended { Greeted::Ehlo } else { Greeted::Helo };
        }
        match (question, positive) {
            (Question::Connected, true) => self.state = State::Start,
            (Question::Connected, false) => self.state = State::Refused,
            (Question::Hello { .. }, true) => {
                self.state = match self.state {
                    State::Transaction => State::Aborted,
                    _ => State::Ready,
                }
            }
            (Question::Envelope { mail: true, recipients }, true) => {
                self.state = State::Transaction;
                self.recipients = 0;
                self.transactions = self.transactions.saturating_add(1);
                self.wait_for(recipients);
            }
            (Question::Envelope { mail: true, recipients }, false) => return recipients,
            (Question::Envelope { mail: false, recipients }, _) => {
                self.recipients = self.recipients.saturating_add(u16::from(positive));
                self.wait_for(recipients.saturating_sub(1));
            }
            (Question::Data, true) => self.state = State::Text,
            (Question::Message(_), true) => self.errors = 0,
            // RFC 5321 §4.1.4: after a refused EHLO the state is what it was before.
            (Question::Hello { .. } | Question::Data | Question::Message(_), false)
            | (Question::Verify | Question::None, _) => {}
        }
        0
    }

    fn wait_for(&mut self, recipients: u16) {
        if BACKLOG && recipients > 0 {
            self.question = Question::Envelope { mail: false, recipients };
        }
    }
}

impl Default for Order {
    fn default() -> Self {
        Self::new()
    }
}
