//! The ring of pages: where the next block goes, and where a block is found.

use embedded_storage::nor_flash::NorFlash;

use super::block::{Block, is_whole};
use super::{Error, Flash, Message, Place, State};

/// A page is begun while the one behind it is not needed, which its blocks say: that is the next one to be erased.
const SPARE: u32 = 2;

impl<F: NorFlash, const MESSAGES: usize, const SESSIONS: usize, const BLOCK: usize>
    Flash<F, MESSAGES, SESSIONS, BLOCK>
{
    /// Blocks that can be written, without the one that each message under way needs for its end.
    pub(super) fn free_blocks(&self) -> usize {
        let left = Self::PAGE_BLOCKS.saturating_sub(self.head.at);
        // Where a message begins that is the only one.
        let start = if left > 0 { self.head.page } else { self.head.page.saturating_add(1) };
        let oldest = self.oldest().unwrap_or(start);
        let pages = oldest.saturating_add(self.pages).saturating_sub(self.head.page.saturating_add(SPARE));
        let blocks = pages.saturating_mul(Self::PAGE_BLOCKS).saturating_add(left) as usize;
        let begun = self.messages.iter().filter(|message| matches!(message.state, State::Begun(_))).count();
        blocks.saturating_sub(begun)
    }

    /// The oldest page with a block of a message.
    fn oldest(&self) -> Option<u32> {
        self.messages.iter().filter_map(|message| message.first).map(|first| first.page).min()
    }

    /// Writes the block of a message that is under way, and looks whether it is there.
    pub(super) fn write(&mut self, message: usize, writer: usize, is_last: bool) -> Result<(), Error> {
        if let Some(place) = self.left_out {
            self.mark(place)?;
            self.left_out = None;
        }
        let place = self.claim()?;
        let address = self.address(place);
        // This block's page, if there is no other message.
        let oldest = self.oldest().unwrap_or(place.page);
        let (Some(message), Some(writer)) = (self.messages.get_mut(message), self.writers.get_mut(writer)) else {
            return Err(Error::Broken);
        };
        let block = Block {
            page: place.page,
            oldest,
            newest: self.number,
            number: message.number,
            index: message.blocks,
            length: u32::try_from(writer.used).unwrap_or(u32::MAX),
            is_last,
        };
        block.put(&mut writer.octets, F::WRITE_SIZE, self.seed);
        message.first = message.first.or(Some(place));
        message.last = Some(place);
        message.blocks = message.blocks.saturating_add(1);
        writer.used = 0;
        let octets = writer.octets.get(..BLOCK.saturating_sub(F::WRITE_SIZE)).unwrap_or_default();
        let is_written = self.flash.write(address, octets).is_ok();
        let is_whole = self.load(place, |found| *found == block).is_some();
        // Its page says what is needed, even if the flash says that this failed.
        if is_whole {
            self.proven = place.page;
        }
        if is_written && is_whole {
            return Ok(());
        }
        // What was not answered 250 must not turn up later; and a restart must see that something was here.
        let _ = self.mark(place);
        Err(Error::Broken)
    }

    /// Marks the last block of a message, so that it is there no more.
    pub(super) fn mark(&mut self, last: Place) -> Result<(), Error> {
        let address = self.address(last).saturating_add(const { (BLOCK - F::WRITE_SIZE) as u32 });
        self.cursor = None;
        let word = self.read.get_mut(..F::WRITE_SIZE).unwrap_or_default();
        word.fill(0);
        let _ = self.flash.write(address, word);
        // Whatever the flash said: if it is marked it is gone.
        self.fetch(last).ok_or(Error::Broken)?;
        if Block::is_marked(&self.read, F::WRITE_SIZE) { Ok(()) } else { Err(Error::Broken) }
    }

    /// The place for the next block, on a page that is erased now if it is a new one.
    fn claim(&mut self) -> Result<Place, Error> {
        let mut place = self.head;
        if place.at >= Self::PAGE_BLOCKS {
            // Only a block that is whole can say that the page which comes after its own is not needed.
            let next = if self.proven == place.page { place.page.checked_add(1) } else { Some(place.page) };
            place = Place { page: next.ok_or(Error::Broken)?, at: 0 };
            let oldest = self.oldest().unwrap_or(place.page);
            if place.page.saturating_add(SPARE) > oldest.saturating_add(self.pages) {
                return Err(Error::Full);
            }
            let address = self.address(place);
            let end = address.saturating_add(const { F::ERASE_SIZE as u32 });
            self.flash.erase(address, end).map_err(|_| Error::Broken)?;
        }
        self.head = Place { page: place.page, at: place.at.saturating_add(1) };
        Ok(place)
    }

    /// Reads a block of a message that was kept.
    pub(super) fn seek(&mut self, message: &Message, index: u32) -> Result<(), Error> {
        let last = message.last.ok_or(Error::Broken)?;
        let mut place = message.first.ok_or(Error::Broken)?;
        // The rule is to read on.
        match self.cursor {
            Some((number, at, _)) if (number, at) == (message.number, index) => return Ok(()),
            Some((number, at, found)) if number == message.number && at < index => place = self.behind(found),
            _ => {}
        }
        let is_wanted = |block: &Block| block.number == message.number && block.index == index;
        while self.load(place, is_wanted).is_none() {
            if place >= last {
                return Err(Error::Broken);
            }
            place = self.behind(place);
        }
        self.cursor = Some((message.number, index, place));
        Ok(())
    }

    fn behind(&self, place: Place) -> Place {
        let at = place.at.saturating_add(1);
        match at < Self::PAGE_BLOCKS {
            true => Place { at, ..place },
            false => Place { page: place.page.saturating_add(1), at: 0 },
        }
    }

    /// Reads a block, if it is whole and wanted.
    pub(super) fn load(&mut self, place: Place, is_wanted: impl Fn(&Block) -> bool) -> Option<Block> {
        self.fetch(place)?;
        let block = Block::parse(&self.read).filter(|block| block.page == place.page && is_wanted(block))?;
        is_whole(&self.read, F::WRITE_SIZE, self.seed).then_some(block)
    }

    /// Reads whatever is there. Flash that corrects errors may fail on what is torn.
    pub(super) fn fetch(&mut self, place: Place) -> Option<()> {
        self.cursor = None;
        let address = self.address(place);
        self.flash.read(address, &mut self.read).ok()
    }

    fn address(&self, place: Place) -> u32 {
        let page = place.page.checked_rem(self.pages).unwrap_or(0).saturating_mul(const { F::ERASE_SIZE as u32 });
        page.saturating_add(place.at.saturating_mul(const { BLOCK as u32 }))
    }
}
