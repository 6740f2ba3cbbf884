//! What waits to be sent: commands, of which only some may go before their replies, and text.

use super::offer::Offer;
use crate::store::Store;
use crate::wire::put;

/// Octets to send. They are never moved once they may go: `sent` counts what is gone, and the storage starts anew when all is.
#[derive(Debug)]
pub(crate) struct Outbox<O> {
    store: O,
    sent: usize,
    /// Up to here they may be sent.
    released: usize,
    /// Octets of the HELO that waits behind an EHLO for its refusal.
    spare: usize,
    /// Where the parameters of the newest MAIL begin.
    params: usize,
    text: Text,
    /// Replies to what may be sent that have not come.
    in_flight: u16,
    /// Replies to what was sent, whole, that have not come.
    asked: u16,
}

/// Which of the octets are text, so that its line ends are no commands'.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Text {
    None,
    /// All.
    Open,
    /// All before this place, whose end gets so many replies.
    Ends(usize, u16),
}

impl<O: Store> Outbox<O> {
    /// With a greeting under way.
    pub(crate) const fn new(store: O) -> Self {
        Self { store, sent: 0, released: 0, spare: 0, params: 0, text: Text::None, in_flight: 1, asked: 1 }
    }

    /// For a new connection.
    pub(crate) fn restart(&mut self) {
        self.text = Text::None;
        self.empty();
        (self.in_flight, self.asked) = (1, 1);
    }

    /// What may be sent now.
    pub(crate) fn octets(&self) -> &[u8] {
        self.store.octets().get(self.sent..self.released).unwrap_or(b"")
    }

    pub(crate) fn room(&self) -> usize {
        self.store.room()
    }

    /// Whether nothing waits, be it that it may be sent or not.
    pub(crate) fn is_empty(&self) -> bool {
        self.sent >= self.store.octets().len()
    }

    /// Whether a reply may come.
    pub(crate) const fn is_asked(&self) -> bool {
        self.asked > 0
    }

    /// Adds a line, whole or not at all.
    #[must_use]
    pub(crate) fn push(&mut self, parts: &[&[u8]]) -> bool {
        let len = parts.iter().fold(0, |sum: usize, part| sum.saturating_add(part.len()));
        if len > self.room() {
            return false;
        }
        let out = self.store.view();
        for part in parts {
            put(out, part);
        }
        true
    }

    /// The line that was just added is a MAIL with so many octets of parameters, the spaces before them included.
    pub(crate) fn mark_params(&mut self, octets: usize) {
        self.params = self.store.octets().len().saturating_sub(2).saturating_sub(octets);
    }

    /// Whether a line waits for the refusal of the one before it.
    pub(crate) const fn has_spare(&self) -> bool {
        self.spare > 0
    }

    /// The line that was just added waits for the refusal of the one before it.
    pub(crate) const fn spare_last(&mut self, octets: usize) {
        self.spare = octets;
    }

    /// The EHLO was answered: the line behind it is said next (true), or nobody's any more.
    pub(crate) fn settle(&mut self, is_refused: bool) -> bool {
        let spare = core::mem::take(&mut self.spare);
        if is_refused && spare > 0 {
            return true;
        }
        self.released = self.released.saturating_add(spare);
        self.advance(spare);
        false
    }

    /// Takes the parameters that the server did not offer out of the newest MAIL, if it waits.
    pub(crate) fn trim(&mut self, offer: Offer) {
        if self.params <= self.released {
            return;
        }
        let out = self.store.view();
        let Some(waiting) = out.get_mut(self.params..) else { return };
        let Some(end) = waiting.iter().position(|octet| *octet == b'\r') else { return };
        let (mut to, mut from) = (0_usize, 0_usize);
        while from < end {
            let word = waiting.get(from.wrapping_add(1)..end).unwrap_or(b"");
            let word = crate::wire::cut(word, b' ').0;
            let (is_allowed, len) = (offer.allows(word), word.len().wrapping_add(1));
            let next = from.wrapping_add(len);
            if is_allowed {
                move_down(waiting, from, to, next.min(end));
                to = to.wrapping_add(len);
            }
            from = next;
        }
        move_down(waiting, end, to, usize::MAX);
        let cut = end.saturating_sub(to);
        let len = out.len().saturating_sub(cut);
        out.truncate(len);
    }

    /// Lets go of as much as may be sent now: with PIPELINING and within texts all, else a line once nothing is in flight.
    /// `open` replies have not come.
    pub(crate) fn release(&mut self, is_free: bool, open: u16) {
        let all = self.store.octets().len();
        if is_free {
            (self.released, self.in_flight) = (all, open);
        } else if self.in_flight == 0 && self.released < all {
            let waiting = self.store.octets().get(self.released..).unwrap_or(b"");
            let line = waiting.iter().position(|octet| *octet == b'\n').map_or(waiting.len(), |at| at.wrapping_add(1));
            self.released = self.released.saturating_add(line);
            self.in_flight = 1;
        }
    }

    /// Text begins.
    pub(crate) const fn begin_text(&mut self) {
        self.text = Text::Open;
    }

    /// Where text is written to.
    pub(crate) fn text(&mut self) -> &mut heapless::vec::VecView<u8> {
        self.store.view()
    }

    /// Text was written to its end, which gets so many replies.
    pub(crate) fn end_text(&mut self, replies: u16) {
        self.text = Text::Ends(self.store.octets().len(), replies);
    }

    /// The first `octets` of what may be sent were sent; false: none.
    pub(crate) fn sent(&mut self, octets: usize) -> bool {
        let sent = self.octets().get(..octets).unwrap_or(self.octets());
        let until = self.sent.saturating_add(sent.len());
        let commands = match self.text {
            Text::None => sent,
            Text::Open => b"",
            Text::Ends(end, _) => self.store.octets().get(end.max(self.sent)..until).unwrap_or(b""),
        };
        let lines = commands.iter().filter(|octet| **octet == b'\n').fold(0, |sum: u16, _| sum.saturating_add(1));
        let replies = match self.text {
            Text::Ends(end, replies) if self.sent < end && until >= end => replies,
            _ => 0,
        };
        let len = sent.len();
        self.asked = self.asked.saturating_add(lines).saturating_add(replies);
        self.advance(len);
        len > 0
    }

    /// So many replies came, or will never come.
    pub(crate) const fn received(&mut self, replies: u16) {
        self.in_flight = self.in_flight.saturating_sub(replies);
        self.asked = self.asked.saturating_sub(replies);
    }

    fn advance(&mut self, octets: usize) {
        self.sent = self.sent.saturating_add(octets);
        if self.is_empty() {
            self.empty();
        }
    }

    fn empty(&mut self) {
        self.store.release();
        (self.sent, self.released, self.spare, self.params) = (0, 0, 0, 0);
        // Further text has its own beginning.
        if self.text != Text::Open {
            self.text = Text::None;
        }
    }
}

/// Copies what is from `from` on, before `end`, down to `to`. By hand, for no linker sees that `copy_within` can't panic here.
fn move_down(octets: &mut [u8], from: usize, to: usize, end: usize) {
    for (from, to) in (from..end.min(octets.len())).zip(to..) {
        let octet = octets.get(from).copied().unwrap_or_default();
        if let Some(place) = octets.get_mut(to) {
            *place = octet;
        }
    }
}
