//! Mailman's answers to a text.

use super::transaction::Failure;
use crate::wire::Reply;

/// Counts them: there should be one for each recipient (RFC 2033 §4.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    all: u16,
    /// A bit for each, the first one's is the lowest.
    accepted: u64,
    /// The first 4yz and the first 5yz.
    deferred: Option<Failure>,
    refused: Option<Failure>,
}

impl Tally {
    pub(super) fn count(&mut self, reply: &Reply<'_>) {
        let own = 1_u64.checked_shl(u32::from(self.all)).unwrap_or(0);
        self.all = self.all.saturating_add(1);
        match reply.code() {
            0..400 => self.accepted |= own,
            400..500 => self.deferred = self.deferred.or(Some(Failure::of(reply))),
            _ => self.refused = self.refused.or(Some(Failure::of(reply))),
        }
    }

    /// How many there are.
    pub(super) const fn all(self) -> u16 {
        self.all
    }

    /// Whether any was yes.
    pub(super) const fn has_accepted(self) -> bool {
        self.accepted > 0
    }

    /// Whether each was yes, and then for ever no: of as many as there are recipients, and of more.
    pub(super) fn accepted(self) -> impl Iterator<Item = bool> {
        (0..u64::BITS).map(move |number| self.accepted >> number & 1 == 1)
    }

    /// Of so many recipients; none: all were served. A single refusal is for all of them (Mailman refuses some texts as a whole,
    /// against the RFC); otherwise nobody knows what became of those without an answer.
    pub(super) fn verdict(self, recipients: u16) -> Option<Failure> {
        let is_sole = self.all == 1 && self.refused.is_some();
        match self.deferred {
            Some(failure) => Some(failure),
            None if self.all < recipients && !is_sole => Some(Failure::LOST),
            None => self.refused,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdicts() {
        // Recipients, the codes that came, the verdict.
        let rows: &[(u16, &[u16], u16)] = &[
            (1, &[250], 250),
            (3, &[250, 250, 250], 250),
            (1, &[451], 451),
            (1, &[550], 550),
            (2, &[250, 451], 451),
            (2, &[550, 452], 452),
            (2, &[552, 250], 552),
            (2, &[552, 550], 552),
            (3, &[501], 501),
            (3, &[452], 452),
            (3, &[250], 451),
            (3, &[], 451),
            (3, &[550, 550], 451),
            (3, &[250, 550], 451),
            (3, &[421], 451),
            (1, &[421], 451),
        ];
        for (recipients, codes, expected) in rows {
            let mut tally = Tally::default();
            codes.iter().for_each(|code| tally.count(&Reply::new(*code, "")));
            let verdict = tally.verdict(*recipients).map_or(250, |failure| failure.reply("").code());
            assert_eq!(verdict, *expected, "{recipients} {codes:?}");
        }
    }
}
