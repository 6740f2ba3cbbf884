//! What was delivered of mails that were not answered yes: so that their next try makes no second copy.

/// Remembers recipients that were served, while the client had to be told to try again because of others.
///
/// A mail is known by its sender and its text, of which [`text`](Self::text) gets every octet: what is remembered is best a
/// cryptographic digest of these, and the recipients. One memory serves all connections, for the next try comes over another;
/// whoever implements this is one connection's view of it. It forgets by age (a day is more than most clients take) and by
/// number; then the worst is a second copy.
///
/// For each mail the order is: `begin`, `may_have` for each recipient and `recipient` for each that was accepted, `text`, `is_known`, and once
/// there is a verdict `failed` for each that was not served and `remember`, or `forget`.
///
/// `()` remembers nothing: for devices, and for who prefers second copies to a memory.
pub trait Deliveries {
    /// A mail of this sender begins; it has no recipients yet.
    fn begin(&mut self, sender: &[u8]);

    /// Whether any mail of its sender is remembered for this recipient, by the number that stands for the address.
    fn may_have(&self, recipient: u64) -> bool;

    /// One more of its recipients, whom this server accepted.
    fn recipient(&mut self, end: End, recipient: u64);

    /// Further octets of its text.
    fn text(&mut self, octets: &[u8]);

    /// Whether anything is remembered: if not, nobody has to digest the texts of mails that only one server gets.
    fn is_wanted(&self) -> bool;

    /// Whether each of its recipients at this server was served.
    fn is_known(&mut self, end: End) -> bool;

    /// This one of its recipients was not served, and is none any more.
    fn failed(&mut self, recipient: u64);

    /// Its recipients were served, and the client tries again nevertheless.
    fn remember(&mut self);

    /// Its recipients have had their final answer.
    fn forget(&mut self);
}

/// One of the two servers that a [`MailmanProxy`](super::MailmanProxy) delivers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum End {
    /// The one for all recipients that are no lists.
    Upstream,
    /// The one for the lists.
    Mailman,
}

impl Deliveries for () {
    fn begin(&mut self, _: &[u8]) {}
    fn may_have(&self, _: u64) -> bool {
        false
    }
    fn recipient(&mut self, _: End, _: u64) {}
    fn text(&mut self, _: &[u8]) {}
    fn is_wanted(&self) -> bool {
        false
    }
    fn is_known(&mut self, _: End) -> bool {
        false
    }
    fn failed(&mut self, _: u64) {}
    fn remember(&mut self) {}
    fn forget(&mut self) {}
}

impl<D: Deliveries + ?Sized> Deliveries for &mut D {
    fn begin(&mut self, sender: &[u8]) {
        (**self).begin(sender);
    }
    fn may_have(&self, recipient: u64) -> bool {
        (**self).may_have(recipient)
    }
    fn recipient(&mut self, end: End, recipient: u64) {
        (**self).recipient(end, recipient);
    }
    fn text(&mut self, octets: &[u8]) {
        (**self).text(octets);
    }
    fn is_wanted(&self) -> bool {
        (**self).is_wanted()
    }
    fn is_known(&mut self, end: End) -> bool {
        (**self).is_known(end)
    }
    fn failed(&mut self, recipient: u64) {
        (**self).failed(recipient);
    }
    fn remember(&mut self) {
        (**self).remember();
    }
    fn forget(&mut self) {
        (**self).forget();
    }
}
