//! Store: where messages lie.

use crate::wire::Reply;

/// The name of a message in its store: a number that rises with every message, in flash also over a restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Id {
    number: u32,
    /// Where its store finds it at once; it is where it says as long as it is there at all.
    place: u16,
}

impl Id {
    /// For a store of one's own: `number` rises with every message, `place` is the store's business.
    #[must_use]
    pub const fn new(number: u32, place: u16) -> Self {
        Self { number, place }
    }

    /// The number, from 1 on.
    #[must_use]
    pub const fn number(self) -> u32 {
        self.number
    }

    /// What the store said of its place.
    #[must_use]
    pub const fn place(self) -> u16 {
        self.place
    }
}

/// Why a store does not do what it was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Error {
    /// There is no room now: 452 4.3.1.
    Full,
    /// There never will be, even when nothing else is in the store: 552 5.3.4.
    TooBig,
    /// It failed, or has no such message: 451 4.3.0.
    Broken,
}

impl Error {
    /// What a client hears.
    #[must_use]
    pub const fn reply(self) -> Reply<'static> {
        match self {
            Self::Full => Reply::new(452, "No space left").enhanced(3, 1),
            Self::TooBig => Reply::new(552, "Message too big for this server").enhanced(3, 4),
            Self::Broken => Reply::new(451, "Storage failed").enhanced(3, 0),
        }
    }
}

/// Keeps messages, several of which may be under way at once: one for each session.
///
/// A message is begun, gets octets, and then is kept or abandoned. Only those that are kept are there for `next`,
/// `len`, `read` and `remove`. What the three other methods get an [`Id`] for must be under way, else it is
/// [`Error::Broken`].
pub trait Store {
    /// A new message.
    ///
    /// # Errors
    /// [`Error::Full`], [`Error::Broken`].
    fn begin(&mut self) -> Result<Id, Error>;

    /// Adds octets to a message under way, piece after piece: all of them, or none on [`Error::Full`] and [`Error::TooBig`].
    /// After [`Error::Broken`] the message is lost.
    ///
    /// # Errors
    /// All.
    fn append(&mut self, id: Id, pieces: &[&[u8]]) -> Result<(), Error>;

    /// The message is complete. Kept from here on, whatever happens; after an error it is lost.
    ///
    /// # Errors
    /// All.
    fn commit(&mut self, id: Id) -> Result<(), Error>;

    /// Forgets a message under way; does nothing if there is no such message.
    fn abandon(&mut self, id: Id);

    /// The oldest message kept, or the one behind `after`, which need not be there any more.
    ///
    /// Messages are in the order in which they were begun: one may turn up before another that is known already.
    fn next(&self, after: Option<Id>) -> Option<Id>;

    /// Octets of a message kept.
    fn len(&self, id: Id) -> Option<u32>;

    /// Reads octets of a message kept, from `offset` on: as many as there are and fit, 0 behind its end.
    ///
    /// # Errors
    /// [`Error::Broken`].
    fn read(&mut self, id: Id, offset: u32, octets: &mut [u8]) -> Result<usize, Error>;

    /// Takes a message that was kept away: gone from here on, whatever happens.
    ///
    /// # Errors
    /// [`Error::Broken`].
    fn remove(&mut self, id: Id) -> Result<(), Error>;

    /// Octets that a new message could take now, if it were the only one; 0 if none can be begun.
    fn room(&self) -> usize;

    /// Octets that a message can take in an empty store.
    fn capacity(&self) -> usize;
}

/// Copies as many octets as there are and fit; says how many.
pub(super) fn copy(to: &mut [u8], from: &[u8]) -> usize {
    let length = to.len().min(from.len());
    if let (Some(to), Some(from)) = (to.get_mut(..length), from.get(..length)) {
        to.copy_from_slice(from);
    }
    length
}
