//! What was delivered of mails that were not answered yes: so that their next try makes no second copy.

/// Remembers recipients that one of a relay's servers served, while the client had to be told to try again because of another.
///
/// A mail is known by its sender and its text, of which [`text`](Self::text) gets every octet: what is remembered is best a
/// cryptographic digest of these, and the recipients. One memory serves all connections, for the next try comes over another;
/// whoever implements this is one connection's view of it. It forgets by age (a day is more than most clients take) and by
/// number; then the worst is a second copy.
///
/// It is the upstream server's part that is remembered: what Mailman had of a mail is not told from what it had not, for its servers
/// answer for one list and not for another only when they are in trouble.
///
/// For each mail the order is: `begin`, `recipient` for each that upstream accepted, `text`, `is_known`, and `remember` or `forget` once
/// there is a verdict.
///
/// `()` remembers nothing: for devices, and for who prefers second copies to a memory.
pub trait Deliveries {
    /// A mail of this sender begins; it has no recipients yet.
    fn begin(&mut self, sender: &[u8]);

    /// One more of its recipients, by a number that stands for the address.
    fn recipient(&mut self, recipient: u64);

    /// Further octets of its text.
    fn text(&mut self, octets: &[u8]);

    /// Whether anything is remembered: if not, nobody has to digest the texts of mails that only one server gets.
    fn is_wanted(&self) -> bool;

    /// Whether each of its recipients was served.
    fn is_known(&mut self) -> bool;

    /// Its recipients were served, and the client tries again nevertheless.
    fn remember(&mut self);

    /// Its recipients have had their final answer.
    fn forget(&mut self);
}

impl Deliveries for () {
    fn begin(&mut self, _: &[u8]) {}
    fn recipient(&mut self, _: u64) {}
    fn text(&mut self, _: &[u8]) {}
    fn is_wanted(&self) -> bool {
        false
    }
    fn is_known(&mut self) -> bool {
        false
    }
    fn remember(&mut self) {}
    fn forget(&mut self) {}
}

impl<D: Deliveries + ?Sized> Deliveries for &mut D {
    fn begin(&mut self, sender: &[u8]) {
        (**self).begin(sender);
    }
    fn recipient(&mut self, recipient: u64) {
        (**self).recipient(recipient);
    }
    fn text(&mut self, octets: &[u8]) {
        (**self).text(octets);
    }
    fn is_wanted(&self) -> bool {
        (**self).is_wanted()
    }
    fn is_known(&mut self) -> bool {
        (**self).is_known()
    }
    fn remember(&mut self) {
        (**self).remember();
    }
    fn forget(&mut self) {
        (**self).forget();
    }
}
