//! What was delivered of mails that were not answered yes: so that their next try makes no second copy.

/// Remembers recipients that were served, while the client had to be told to try again because of others.
///
/// A mail is known by its sender and its text, of which [`text`](Self::text) gets every octet: what is remembered is best a
/// cryptographic digest of these, and the recipients. One memory serves all connections, for the next try comes over another;
/// whoever implements this is one connection's view of it. It forgets by age (a day is more than most clients take) and by
/// number; then the worst is a second copy.
///
/// For each mail the order is: `begin`, `number` for each recipient, `may_have` and `stands_back` for each list and `recipient`
/// for each that was accepted, `text`, `is_known`, and once there is a verdict `stand_back`, `failed` for each that was not
/// served and `remember`, or `forget`.
///
/// `()` remembers nothing: for devices, and for who prefers second copies to a memory.
pub trait Deliveries {
    /// A mail of this sender begins; it has no recipients yet.
    fn begin(&mut self, sender: &[u8]);

    /// The number that stands for an address from now on.
    ///
    /// Two addresses with one number are taken for one: so the numbers are best made with a secret. These are without (FNV-1a), and
    /// whoever may choose the name of a list can find one whose number another list has: then a mail to both gets to the first alone.
    fn number(&self, address: &mut dyn Iterator<Item = u8>) -> u64 {
        const PRIME: u64 = 0x100_0000_01b3;
        const BASIS: u64 = 0xcbf2_9ce4_8422_2325;
        address.fold(BASIS, |number, octet| (number ^ u64::from(octet)).wrapping_mul(PRIME))
    }

    /// Whether any mail of its sender is remembered for this list.
    fn may_have(&self, list: u64) -> bool;

    /// Whether this list has to stand back for others this time: see [`stand_back`](Self::stand_back).
    fn stands_back(&mut self, list: u64) -> bool;

    /// One more of its recipients, whom this server accepted.
    fn recipient(&mut self, end: End, recipient: u64);

    /// Further octets of its text.
    fn text(&mut self, octets: &[u8]);

    /// Whether anything is remembered: if not, nobody has to digest the texts of mails that only one server gets.
    fn is_wanted(&self) -> bool;

    /// Whether each of its recipients at this server was served.
    fn is_known(&mut self, end: End) -> bool;

    /// Its lists kept others waiting, and failed: until a mail of its sender is forgotten that is for them, they stand back every
    /// other time or so, so that the others come first. In no order that tries of other mails could be in step with.
    fn stand_back(&mut self);

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
    fn stands_back(&mut self, _: u64) -> bool {
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
    fn stand_back(&mut self) {}
    fn failed(&mut self, _: u64) {}
    fn remember(&mut self) {}
    fn forget(&mut self) {}
}

impl<D: Deliveries + ?Sized> Deliveries for &mut D {
    fn begin(&mut self, sender: &[u8]) {
        (**self).begin(sender);
    }
    fn number(&self, address: &mut dyn Iterator<Item = u8>) -> u64 {
        (**self).number(address)
    }
    fn stands_back(&mut self, list: u64) -> bool {
        (**self).stands_back(list)
    }
    fn stand_back(&mut self) {
        (**self).stand_back();
    }
    fn may_have(&self, list: u64) -> bool {
        (**self).may_have(list)
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
