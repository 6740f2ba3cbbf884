//! Ram: a store in memory, for as long as there is power.

use super::store::copy;
use super::{Error, Id, Store};

/// Keeps messages in `BLOCKS` blocks of `BLOCK` octets. A message takes whole blocks, at least one, wherever some are free:
/// messages may come in together and go in any order. Each block costs 16 octets more.
///
/// All zeros when it is new: a static of it takes no flash. Does not compile with more than 65,534 blocks, or none, or
/// with blocks without an octet.
#[derive(Debug)]
pub struct Ram<const BLOCKS: usize, const BLOCK: usize> {
    list: List,
    blocks: [Block; BLOCKS],
    octets: [[u8; BLOCK]; BLOCKS],
}

/// Which blocks are free.
#[derive(Debug)]
struct List {
    /// The number of the newest message.
    number: u32,
    /// Blocks that are not free.
    taken: u16,
    /// Blocks that were ever taken: the first ones.
    used: u16,
    /// The first of those that are free again.
    freed: Link,
}

/// A block, one more than its place; 0 is none.
type Link = u16;

/// What is known of a block. Of those of a message the first one says all, the others say only `next`.
#[derive(Clone, Copy, Debug)]
struct Block {
    next: Link,
    last: Link,
    state: State,
    number: u32,
    length: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Not the first one of a message.
    None,
    Begun,
    Kept,
}

impl<const BLOCKS: usize, const BLOCK: usize> Ram<BLOCKS, BLOCK> {
    /// Empty.
    #[must_use]
    pub const fn new() -> Self {
        const {
            assert!(BLOCKS > 0 && BLOCKS < u16::MAX as usize, "there are 1 to 65,534 blocks");
            assert!(BLOCK > 0, "a block has an octet");
        };
        Self {
            list: List { number: 0, taken: 0, used: 0, freed: 0 },
            blocks: [Block::NONE; BLOCKS],
            octets: [[0; BLOCK]; BLOCKS],
        }
    }

    fn view(&mut self) -> View<'_> {
        let octets = self.octets.as_flattened_mut();
        View { list: &mut self.list, blocks: &mut self.blocks, octets, size: BLOCK }
    }
}

impl<const BLOCKS: usize, const BLOCK: usize> Default for Ram<BLOCKS, BLOCK> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const BLOCKS: usize, const BLOCK: usize> Store for Ram<BLOCKS, BLOCK> {
    fn begin(&mut self) -> Result<Id, Error> {
        self.view().begin()
    }

    fn append(&mut self, id: Id, pieces: &[&[u8]]) -> Result<(), Error> {
        self.view().append(id, pieces)
    }

    fn commit(&mut self, id: Id) -> Result<(), Error> {
        let place = find(&self.blocks, id, State::Begun).ok_or(Error::Broken)?;
        if let Some(block) = self.blocks.get_mut(place) {
            block.state = State::Kept;
        }
        Ok(())
    }

    fn abandon(&mut self, id: Id) {
        let _ = self.view().free(id, State::Begun);
    }

    fn next(&self, after: Option<Id>) -> Option<Id> {
        next(&self.blocks, after)
    }

    fn len(&self, id: Id) -> Option<u32> {
        let place = find(&self.blocks, id, State::Kept)?;
        Some(self.blocks.get(place)?.length)
    }

    fn read(&mut self, id: Id, offset: u32, octets: &mut [u8]) -> Result<usize, Error> {
        self.view().read(id, offset, octets).ok_or(Error::Broken)
    }

    fn remove(&mut self, id: Id) -> Result<(), Error> {
        self.view().free(id, State::Kept).ok_or(Error::Broken)
    }

    fn room(&self) -> usize {
        BLOCKS.saturating_sub(usize::from(self.list.taken)).saturating_mul(BLOCK)
    }

    fn capacity(&self) -> usize {
        BLOCKS.saturating_mul(BLOCK)
    }
}

impl Block {
    const NONE: Self = Self { next: 0, last: 0, state: State::None, number: 0, length: 0 };
}

/// All of it, whatever its size: compiled once.
struct View<'r> {
    list: &'r mut List,
    blocks: &'r mut [Block],
    octets: &'r mut [u8],
    /// Octets of a block.
    size: usize,
}

impl View<'_> {
    fn begin(&mut self) -> Result<Id, Error> {
        let number = self.list.number.checked_add(1).ok_or(Error::Broken)?;
        let link = self.take().ok_or(Error::Full)?;
        if let Some(block) = place(link).and_then(|place| self.blocks.get_mut(place)) {
            *block = Block { last: link, state: State::Begun, number, ..Block::NONE };
        }
        self.list.number = number;
        Ok(Id::new(number, link))
    }

    fn append(&mut self, id: Id, pieces: &[&[u8]]) -> Result<(), Error> {
        let first = find(self.blocks, id, State::Begun).ok_or(Error::Broken)?;
        let head = *self.blocks.get(first).ok_or(Error::Broken)?;
        let more = pieces.iter().fold(0_usize, |sum, piece| sum.saturating_add(piece.len()));
        let length = (head.length as usize).saturating_add(more);
        if length > self.octets.len() {
            return Err(Error::TooBig);
        }
        let mut used = match (head.length as usize).checked_rem(self.size) {
            Some(0) if head.length > 0 => self.size,
            used => used.unwrap_or(0),
        };
        let free = self.blocks.len().saturating_sub(usize::from(self.list.taken)).saturating_mul(self.size);
        if more > free.saturating_add(self.size).saturating_sub(used) {
            return Err(Error::Full);
        }
        let mut last = head.last;
        for piece in pieces {
            let mut rest = *piece;
            while !rest.is_empty() {
                if used == self.size {
                    last = self.add_behind(last).ok_or(Error::Full)?;
                    used = 0;
                }
                let copied = self.octets_of(last, used).map_or(0, |octets| copy(octets, rest));
                used = used.saturating_add(copied);
                rest = rest.get(copied..).unwrap_or_default();
            }
        }
        if let Some(block) = self.blocks.get_mut(first) {
            block.last = last;
            block.length = u32::try_from(length).unwrap_or(u32::MAX);
        }
        Ok(())
    }

    fn read(&mut self, id: Id, offset: u32, octets: &mut [u8]) -> Option<usize> {
        let first = find(self.blocks, id, State::Kept)?;
        let left = self.blocks.get(first)?.length.saturating_sub(offset) as usize;
        let wanted = octets.len().min(left);
        let (mut link, mut skipped) = (id.place(), offset as usize);
        let mut rest = octets.get_mut(..wanted)?;
        while !rest.is_empty() {
            let mut copied = 0;
            if skipped < self.size {
                copied = copy(rest, self.octets_of(link, skipped)?);
            }
            skipped = skipped.saturating_sub(self.size);
            rest = rest.get_mut(copied..)?;
            link = self.blocks.get(place(link)?)?.next;
        }
        Some(wanted)
    }

    /// Takes all blocks of a message back, if there is one in this state.
    fn free(&mut self, id: Id, state: State) -> Option<()> {
        let first = find(self.blocks, id, state)?;
        self.blocks.get_mut(first)?.state = State::None;
        let mut link = id.place();
        while let Some(block) = place(link).and_then(|place| self.blocks.get_mut(place)) {
            let next = core::mem::replace(&mut block.next, self.list.freed);
            self.list.freed = link;
            self.list.taken = self.list.taken.saturating_sub(1);
            link = next;
        }
        Some(())
    }

    /// Takes a free block.
    fn take(&mut self) -> Option<Link> {
        let link = match self.list.freed {
            0 => self.list.used.saturating_add(1),
            freed => freed,
        };
        let block = self.blocks.get_mut(place(link)?)?;
        match self.list.freed {
            0 => self.list.used = link,
            _ => self.list.freed = block.next,
        }
        *block = Block::NONE;
        self.list.taken = self.list.taken.saturating_add(1);
        Some(link)
    }

    /// Takes a free block for the message whose last one this is.
    fn add_behind(&mut self, last: Link) -> Option<Link> {
        let link = self.take()?;
        self.blocks.get_mut(place(last)?)?.next = link;
        Some(link)
    }

    /// What a block holds, from an octet of it on.
    fn octets_of(&mut self, link: Link, from: usize) -> Option<&mut [u8]> {
        let start = place(link)?.checked_mul(self.size)?;
        self.octets.get_mut(start..)?.get_mut(..self.size)?.get_mut(from..)
    }
}

/// Where in its array a block is.
fn place(link: Link) -> Option<usize> {
    usize::from(link).checked_sub(1)
}

/// The first block of a message.
fn find(blocks: &[Block], id: Id, state: State) -> Option<usize> {
    let place = place(id.place())?;
    let block = blocks.get(place)?;
    (block.number == id.number() && block.state == state).then_some(place)
}

fn next(blocks: &[Block], after: Option<Id>) -> Option<Id> {
    let after = after.map_or(0, Id::number);
    let ids = blocks.iter().zip(1..).filter(|(block, _)| block.state == State::Kept && block.number > after);
    ids.map(|(block, link)| Id::new(block.number, link)).min()
}
