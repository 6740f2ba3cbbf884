//! What the servers have of a transaction.

use heapless::Vec;

use super::measure::Measure;
use crate::server::{Extensions, Mail};
use crate::wire::Reply;

/// Recipients that are lists' in one transaction.
const LISTS: usize = 64;

/// The transaction under way.
#[derive(Debug)]
pub(super) struct Transaction {
    pub(super) sender: Vec<u8, 256>,
    pub(super) params: Vec<u8, 64>,
    pub(super) size: u32,
    pub(super) needed: Extensions,
    /// Upstream's, and Mailman's.
    pub(super) stands: [Stand; 2],
    /// Which addresses of lists were accepted.
    pub(super) known: Vec<u64, LISTS>,
    /// Whether these may have the mail, by an earlier try: they all do, or none.
    pub(super) may_have: bool,
    /// Whether other lists have to wait for another transaction because of that.
    pub(super) has_turned_away: bool,
    /// Of the text that goes to Mailman.
    pub(super) measure: Measure,
    /// Whether its text is digested, so that it can be told from others.
    pub(super) is_digested: bool,
}

/// How far one server is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stand {
    /// It had its MAIL.
    pub(super) is_asked: bool,
    /// Recipients that it accepted.
    pub(super) accepted: u16,
    /// It said 354.
    pub(super) is_ready: bool,
    /// Why it takes nothing more of this mail.
    pub(super) failure: Option<Failure>,
}

/// A refusal without its words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    code: u16,
    subject: u8,
    detail: u16,
}

impl Transaction {
    pub(super) const fn new() -> Self {
        Self {
            sender: Vec::new(),
            params: Vec::new(),
            size: 0,
            needed: Extensions::NONE,
            stands: [Stand::NEW; 2],
            known: Vec::new(),
            may_have: false,
            has_turned_away: false,
            measure: Measure::new(0),
            is_digested: false,
        }
    }

    /// Begins with MAIL; false: it is too long.
    #[must_use]
    pub(super) fn begin(&mut self, mail: &Mail<'_>) -> bool {
        *self = Self::new();
        self.size = mail.size.unwrap_or(0);
        self.needed = mail.needs();
        self.sender.extend_from_slice(mail.reverse_path.as_octets()).is_ok()
            && self.params.extend_from_slice(mail.params.as_octets()).is_ok()
    }
}

impl Stand {
    pub(super) const NEW: Self = Self { is_asked: false, accepted: 0, is_ready: false, failure: None };

    /// Whether it gets the text.
    pub(super) const fn is_used(&self) -> bool {
        self.accepted > 0
    }
}

impl Failure {
    pub(super) const LOST: Self = Self::new(451, 4, 2);
    pub(super) const AWAY: Self = Self::new(451, 4, 1);

    const fn new(code: u16, subject: u8, detail: u16) -> Self {
        Self { code, subject, detail }
    }

    /// That of a server's reply. A 421 ends the server's connection, not the client's.
    pub(super) fn of(reply: &Reply<'_>) -> Self {
        let code = if reply.code() == 421 { 451 } else { reply.code() };
        #[cfg(feature = "enhanced")]
        let (subject, detail) = reply.enhanced_code().map_or((0, 0), |enhanced| (enhanced.subject, enhanced.detail));
        #[cfg(not(feature = "enhanced"))]
        let (subject, detail) = (0, 0);
        Self { code, subject, detail }
    }

    /// Whether another try is of no use.
    pub(super) const fn is_final(self) -> bool {
        self.code >= 500
    }

    pub(super) const fn reply(self, text: &'static str) -> Reply<'static> {
        Reply::new(self.code, text).enhanced(self.subject, self.detail)
    }
}
