//! Storage that belongs to the owner of a session: where a cut line and pending output lie.

use heapless::{Vec, vec::VecView};

use crate::wire::MAX_REPLY;

/// A buffer of octets that its owner provides: inline on a device, on demand on a host.
///
/// `view` and `octets` are two methods so that borrows can be split. A `Store` holds at least 512 octets, the
/// most that one reply may take: with less, a session waits for ever.
pub trait Store {
    /// The buffer itself, made first if it does not exist.
    fn view(&mut self) -> &mut VecView<u8>;

    /// What is in it; empty if it does not exist.
    fn octets(&self) -> &[u8];

    /// How many octets can still be added, made or not.
    fn room(&self) -> usize;

    /// Nothing in it is needed any more: empties it, and gives it back where it came from.
    fn release(&mut self);
}

/// Does not compile with less than 512 octets.
impl<const N: usize> Store for Vec<u8, N> {
    fn view(&mut self) -> &mut VecView<u8> {
        self
    }

    fn octets(&self) -> &[u8] {
        self
    }

    fn room(&self) -> usize {
        const { assert!(N >= MAX_REPLY, "a store holds at least 512 octets") };
        N.wrapping_sub(self.len())
    }

    fn release(&mut self) {
        self.clear();
    }
}

/// For a device: what has its buffers elsewhere is small enough to be made on a stack of a few kilobytes.
impl<S: Store + ?Sized> Store for &mut S {
    fn view(&mut self) -> &mut VecView<u8> {
        (**self).view()
    }

    fn octets(&self) -> &[u8] {
        (**self).octets()
    }

    fn room(&self) -> usize {
        (**self).room()
    }

    fn release(&mut self) {
        (**self).release();
    }
}
