//! An account of the text that is held in memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// How many octets of text may be held at once by all messages that share this; copies are the same account.
#[derive(Clone, Debug)]
pub struct Memory(Arc<Account>);

#[derive(Debug)]
struct Account {
    limit: usize,
    held: AtomicUsize,
}

impl Memory {
    /// At most so many octets; 0: no limit.
    #[must_use]
    pub fn new(octets: usize) -> Self {
        Self(Arc::new(Account { limit: if octets == 0 { usize::MAX } else { octets }, held: AtomicUsize::new(0) }))
    }
}

/// What one message holds; it is given back when this is dropped.
#[derive(Debug, Default)]
pub(crate) struct Share {
    memory: Option<Memory>,
    octets: usize,
}

impl Share {
    pub(crate) const NONE: Self = Self { memory: None, octets: 0 };

    /// A share that holds nothing yet.
    pub(crate) fn of(memory: Memory) -> Self {
        Self { memory: Some(memory), octets: 0 }
    }

    /// Another one of the same account.
    pub(crate) fn another(&self) -> Self {
        Self { memory: self.memory.clone(), octets: 0 }
    }

    /// Takes so many octets more; false: there are not as many left.
    pub(crate) fn grow(&mut self, octets: usize) -> bool {
        let Some(Memory(account)) = &self.memory else { return true };
        let grown = |held: usize| held.checked_add(octets).filter(|held| *held <= account.limit);
        let is_there = account.held.fetch_update(Ordering::Relaxed, Ordering::Relaxed, grown).is_ok();
        self.octets += if is_there { octets } else { 0 };
        is_there
    }

    /// Gives all of it back.
    pub(crate) fn release(&mut self) {
        if let Some(Memory(account)) = &self.memory {
            account.held.fetch_sub(std::mem::take(&mut self.octets), Ordering::Relaxed);
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.release();
    }
}

/// The copy of a message is its owner's matter.
impl Clone for Share {
    fn clone(&self) -> Self {
        Self::NONE
    }
}

/// What a message holds is not what it is.
impl PartialEq for Share {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Share {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_comes_back() {
        let memory = Memory::new(10);
        let held = || memory.0.held.load(Ordering::Relaxed);
        let (mut one, mut other) = (Share::of(memory.clone()), Share::of(memory.clone()));
        assert!(one.grow(6) && !other.grow(5) && other.grow(4) && !one.grow(1));
        assert_eq!(held(), 10);
        other.release();
        assert!(one.clone().grow(100), "no share of this account");
        assert!(one.grow(4) && !one.another().grow(1));
        drop((one, other));
        assert_eq!(held(), 0);
        assert!(Share::of(Memory::new(0)).grow(usize::MAX) && Share::default().grow(1));
    }
}
