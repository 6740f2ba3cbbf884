//! What was delivered of mails that were not answered yes: so that their next try makes no second copy.

/// Remembers mails that one of a relay's servers took, while the client had to be told to try again because of another.
///
/// A mail is known by its sender, its recipients there and its text, of which [`digest`](Self::digest) gets every octet: what is
/// remembered is best a cryptographic digest of these. One memory serves all connections: the next try comes over another.
/// It forgets by age (a day is more than most clients take) and by number; then the worst is a second copy.
///
/// `()` remembers nothing: for devices, and for who prefers second copies to a memory.
pub trait Deliveries {
    /// Another mail begins.
    fn begin(&mut self);

    /// Further octets that tell it from others.
    fn digest(&mut self, octets: &[u8]);

    /// Whether any mail is remembered: if not, nobody has to digest the texts of mails that only one server gets.
    fn is_wanted(&self) -> bool;

    /// Whether the mail, of which all octets were digested, is remembered.
    fn is_known(&mut self) -> bool;

    /// Remembers it.
    fn remember(&mut self);

    /// It has had its final answer.
    fn forget(&mut self);
}

impl Deliveries for () {
    fn begin(&mut self) {}
    fn digest(&mut self, _: &[u8]) {}
    fn is_wanted(&self) -> bool {
        false
    }
    fn is_known(&mut self) -> bool {
        false
    }
    fn remember(&mut self) {}
    fn forget(&mut self) {}
}
