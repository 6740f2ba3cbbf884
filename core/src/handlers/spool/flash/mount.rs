//! What is on a flash after a restart.

use embedded_storage::nor_flash::NorFlash;

use super::block::{Block, is_blank};
use super::{Error, Flash, Message, Place, State};

impl<F: NorFlash, const MESSAGES: usize, const SESSIONS: usize, const BLOCK: usize>
    Flash<F, MESSAGES, SESSIONS, BLOCK>
{
    pub(super) fn mount(&mut self) -> Result<(), Error> {
        let oldest = self.find_head();
        self.each_block(oldest, |store, place, block| {
            match block.is_last && !Block::is_marked(&store.read, F::WRITE_SIZE) {
                true => store.list(place, &block),
                false => Ok(()),
            }
        })?;
        self.each_block(oldest, |store, place, block| {
            store.count(place, &block);
            Ok(())
        })?;
        for message in &mut self.messages {
            let room = u32::try_from(Self::ROOM).unwrap_or(u32::MAX);
            let blocks = message.length.saturating_sub(1).checked_div(room).unwrap_or(0).saturating_add(1);
            if message.blocks != blocks {
                *message = Message::NONE;
            }
        }
        Ok(())
    }

    /// Finds the newest page, and where it goes on; gives the oldest that is needed.
    fn find_head(&mut self) -> u32 {
        let mut oldest = 0;
        for slot in 0..self.pages {
            for at in 0..Self::PAGE_BLOCKS {
                let Some(page) = self.page_of(Place { page: slot, at }) else { continue };
                if page.checked_rem(self.pages) == Some(slot)
                    && let Some(block) = self.load(Place { page, at }, |_| true)
                {
                    oldest = block.oldest.max(oldest);
                    self.number = self.number.max(block.newest);
                    self.head.page = self.head.page.max(block.page);
                }
            }
        }
        let page = self.head.page;
        if page == 0 {
            return oldest;
        }
        self.proven = page;
        let is_used = |at: &u32| self.fetch(Place { page, at: *at }).is_none() || !is_blank(&self.read);
        let used = (0..Self::PAGE_BLOCKS).rev().find(is_used).unwrap_or(0);
        let behind = used.saturating_add(1);
        if behind < Self::PAGE_BLOCKS {
            self.left_out = Some(Place { page, at: behind });
        }
        self.head.at = behind.saturating_add(1);
        oldest
    }

    /// The page that the block in this place claims to be on.
    fn page_of(&mut self, place: Place) -> Option<u32> {
        self.fetch(place)?;
        Block::parse(&self.read).map(|block| block.page)
    }

    /// Calls `then` with each whole block on the pages from the `oldest` on, in the order in which they were written.
    fn each_block(
        &mut self,
        oldest: u32,
        mut then: impl FnMut(&mut Self, Place, Block) -> Result<(), Error>,
    ) -> Result<(), Error> {
        for page in oldest..=self.head.page {
            for at in 0..Self::PAGE_BLOCKS {
                let place = Place { page, at };
                if let Some(block) = self.load(place, |_| true) {
                    then(self, place, block)?;
                }
            }
        }
        Ok(())
    }

    /// A message that was kept ends with this block.
    fn list(&mut self, place: Place, block: &Block) -> Result<(), Error> {
        let free = self.messages.iter_mut().find(|message| message.number == 0).ok_or(Error::Full)?;
        let room = u32::try_from(Self::ROOM).unwrap_or(u32::MAX);
        let length = block.index.saturating_mul(room).saturating_add(block.length);
        *free = Message { number: block.number, length, last: Some(place), state: State::Kept, ..Message::NONE };
        Ok(())
    }

    /// Counts a block of a message that was kept, if those before it are there.
    fn count(&mut self, place: Place, block: &Block) {
        let is_next = |message: &&mut Message| message.number == block.number && message.blocks == block.index;
        if let Some(message) = self.messages.iter_mut().find(is_next) {
            message.blocks = message.blocks.saturating_add(1);
            message.first = message.first.or(Some(place));
        }
    }
}
