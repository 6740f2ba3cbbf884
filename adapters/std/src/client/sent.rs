//! What became of a mail, for each of its recipients.

use smtpd_core::client::Command;

use super::Reply;

/// A mail that at least one of its recipients gets. Look at the others: [`refused`](Self::refused).
#[must_use = "some recipients may have been refused"]
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Sent {
    /// What became of each recipient, in the order in which they were given.
    pub outcomes: Vec<Outcome>,
}

/// What the server said about one recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Outcome {
    /// As it was given.
    pub recipient: String,
    /// What the reply answers: [`Command::Rcpt`], or the text ([`Command::Message`]).
    pub command: Command,
    /// The reply. To the text it is one for all recipients, with LMTP one for each.
    pub reply: Reply,
}

impl Sent {
    /// Who gets it.
    pub fn accepted(&self) -> impl Iterator<Item = &Outcome> {
        self.outcomes.iter().filter(|outcome| outcome.is_accepted())
    }

    /// Who does not get it.
    pub fn refused(&self) -> impl Iterator<Item = &Outcome> {
        self.outcomes.iter().filter(|outcome| !outcome.is_accepted())
    }
}

impl Outcome {
    /// Whether the recipient gets the mail: the server took the text for it.
    #[must_use]
    pub const fn is_accepted(&self) -> bool {
        matches!(self.command, Command::Message) && self.reply.is_positive()
    }
}
