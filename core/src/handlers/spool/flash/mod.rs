//! Flash: a store that outlives a loss of power, at any moment.
//!
//! # On the flash
//! The pages (what is erased at once) are a ring, used over and over in this order, so that all wear alike. Each use has a number
//! of its own, from 1 on: page `n` lies in place `n % pages`. A page is divided into blocks of `BLOCK` octets, which are
//! written one after the other; messages under way mix. What is left of the page behind them is not used.
//!
//! | octets of a block | what they are |
//! |---|---|
//! | 4 | the number of the page |
//! | 4 | the number of the oldest page that is still needed, when the block was written |
//! | 4 | the number of the newest message begun, at that time |
//! | 4 | the number of the message |
//! | 4 | the block's place in the message, from 0 on |
//! | 4 | how many octets of the message it holds; the topmost bit is set in the last block of a message |
//! | 4 | CRC-32 of the six above and of the octets, begun with the form of the ring |
//! | as many as fit | octets of the message, the last block's filled up with `ff` |
//! | `WRITE_SIZE` | the mark: anything but `ff` if the message was removed, in its last block |
//!
//! Numbers are little-endian. All blocks of a message but the last are full.
//!
//! # Why nothing is lost
//! - A message is there if its last block is whole and not marked, and it is written last: by `commit`.
//! - A block that power loss tore has a wrong checksum, or left no trace in what can be read. So after a restart the block
//!   behind the last one with a trace is left out, and marked before anything else is written: it has a trace then.
//! - A mark that was torn removes the message, or leaves no trace, and removal is said to be done only afterwards. When it is
//!   written again zeros come over zeros; nothing else is ever written twice.
//! - Each block and each mark is read back before anybody hears that it is there. A block that failed is marked.
//! - A page that is being erased may show anything, even messages that were removed from it. So it is erased only when a block on a newer
//!   page says that it is not needed, and then nobody looks at it; or when none of its own blocks was ever whole. To be able to
//!   say so there is always a page to spare.
//! - A page is erased right before it is written, whatever it seems to hold. A new flash needs no preparation.
//! - Numbers of messages go on, since every block has the newest.
//!
//! # What it does not do
//! It never moves a message. Pages are free again in the order in which they were written: a message that stays keeps all pages
//! behind it. Whoever takes the oldest messages first has no need to know.

mod block;
mod log;
mod mount;

use embedded_storage::nor_flash::NorFlash;

use self::block::{Block, HEADER};
use super::store::copy;
use super::{Error, Id, Store};

/// Keeps messages in the whole of a NOR flash, or of a part of one that shows itself as [`NorFlash`].
///
/// `MESSAGES` is how many messages it can have at once, those under way included; `SESSIONS` how many can be under way. `BLOCK`
/// is what is written at once: each message takes whole blocks, at least one, and 28 octets and a word of each are the store's.
/// 256 is a good size. In memory it needs `BLOCK` octets for each session and `BLOCK` more, and 44 for each message.
///
/// A room of two pages is never promised: one is spare, one may be half used. What `append` and `commit` need when they begin
/// another page is the time that the flash takes to erase it.
///
/// Does not compile if `BLOCK` is no multiple of `READ_SIZE` and `WRITE_SIZE`, exceeds a page, or has no room for an octet.
#[derive(Debug)]
pub struct Flash<F, const MESSAGES: usize, const SESSIONS: usize, const BLOCK: usize> {
    flash: F,
    pages: u32,
    /// What the form of the ring begins each checksum with.
    seed: u32,
    /// Where the next block is written; behind the end of a page, on the next one.
    head: Place,
    /// To be marked before anything is written.
    left_out: Option<Place>,
    /// The newest page with a block that is whole.
    proven: u32,
    /// The number of the newest message.
    number: u32,
    messages: [Message; MESSAGES],
    writers: [Writer<BLOCK>; SESSIONS],
    /// What was last read.
    read: [u8; BLOCK],
    /// Which block that is, if it is one of a message: number of the message, place in it, place on the flash.
    cursor: Option<(u32, u32, Place)>,
}

/// Where a block lies: the number of a page, and its place in there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    page: u32,
    at: u32,
}

#[derive(Clone, Copy, Debug)]
struct Message {
    /// 0: none.
    number: u32,
    state: State,
    /// All of its octets so far.
    length: u32,
    /// Blocks that are on the flash, the first of them and the last.
    blocks: u32,
    first: Option<Place>,
    last: Option<Place>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Under way, with this writer.
    Begun(usize),
    Kept,
}

/// The block of a message that is not yet full.
#[derive(Debug)]
struct Writer<const BLOCK: usize> {
    /// The message's number; 0: none.
    number: u32,
    /// Octets of the message in there.
    used: usize,
    octets: [u8; BLOCK],
}

impl Message {
    const NONE: Self = Self { number: 0, state: State::Kept, length: 0, blocks: 0, first: None, last: None };
}

impl<const BLOCK: usize> Writer<BLOCK> {
    const NONE: Self = Self { number: 0, used: 0, octets: [0; BLOCK] };
}

impl<F: NorFlash, const MESSAGES: usize, const SESSIONS: usize, const BLOCK: usize>
    Flash<F, MESSAGES, SESSIONS, BLOCK>
{
    const PAGE_BLOCKS: u32 = (F::ERASE_SIZE / BLOCK) as u32;
    /// Octets of a message in a block.
    const ROOM: usize = BLOCK - HEADER - F::WRITE_SIZE;
    const IS_SOUND: () = {
        assert!(BLOCK.is_multiple_of(F::READ_SIZE) && BLOCK.is_multiple_of(F::WRITE_SIZE), "a block is of whole words");
        assert!(BLOCK <= F::ERASE_SIZE, "a page has a block");
        assert!(BLOCK > HEADER + F::WRITE_SIZE, "a block has room for an octet");
        assert!(MESSAGES <= u16::MAX as usize, "messages are counted in 16 bits");
    };

    /// Opens the store that is on the flash; whatever else is there counts as an empty one. Reads all of it twice.
    ///
    /// # Errors
    /// [`Error::TooBig`] if the flash has fewer than three pages, so that no message would fit; [`Error::Full`] if it has more than
    /// `MESSAGES` messages.
    pub fn open(flash: F) -> Result<Self, Error> {
        const { Self::IS_SOUND };
        let pages = flash.capacity().checked_div(F::ERASE_SIZE).unwrap_or(0);
        let pages = u32::try_from(pages).unwrap_or(u32::MAX);
        if pages < 3 {
            return Err(Error::TooBig);
        }
        let form = [BLOCK as u32, F::ERASE_SIZE as u32, F::WRITE_SIZE as u32, pages];
        let mut store = Self {
            flash,
            pages,
            seed: block::seed(form),
            head: Place { page: 0, at: Self::PAGE_BLOCKS },
            left_out: None,
            proven: 0,
            number: 0,
            messages: [Message::NONE; MESSAGES],
            writers: [const { Writer::NONE }; SESSIONS],
            read: [0; BLOCK],
            cursor: None,
        };
        store.mount()?;
        Ok(store)
    }

    /// Gives the flash back. Messages under way are lost.
    pub fn release(self) -> F {
        self.flash
    }

    fn find(&self, id: Id) -> Option<(usize, Message)> {
        let place = usize::from(id.place());
        let message = self.messages.get(place).filter(|message| message.number == id.number() && message.number > 0)?;
        Some((place, *message))
    }

    fn find_kept(&self, id: Id) -> Option<(usize, Message)> {
        self.find(id).filter(|(_, message)| message.state == State::Kept)
    }

    fn find_begun(&self, id: Id) -> Option<(usize, Message, usize)> {
        let (place, message) = self.find(id)?;
        match message.state {
            State::Begun(writer) => Some((place, message, writer)),
            State::Kept => None,
        }
    }

    /// Forgets a message, as far as memory goes.
    fn forget(&mut self, place: usize) {
        let Some(message) = self.messages.get_mut(place) else { return };
        let message = core::mem::replace(message, Message::NONE);
        if let State::Begun(writer) = message.state
            && let Some(writer) = self.writers.get_mut(writer)
        {
            writer.number = 0;
        }
    }

    /// Adds octets to a message, for which there is room.
    fn add(&mut self, place: usize, writer: usize, mut octets: &[u8]) -> Result<(), Error> {
        while !octets.is_empty() {
            if self.writers.get(writer).is_some_and(|writer| writer.used >= Self::ROOM) {
                self.write(place, writer, false)?;
            }
            let own = self.writers.get_mut(writer).ok_or(Error::Broken)?;
            let room = Block::octets_mut(&mut own.octets, F::WRITE_SIZE).get_mut(own.used..).ok_or(Error::Broken)?;
            let copied = copy(room, octets);
            own.used = own.used.saturating_add(copied);
            octets = octets.get(copied..).unwrap_or_default();
        }
        Ok(())
    }
}

impl<F: NorFlash, const MESSAGES: usize, const SESSIONS: usize, const BLOCK: usize> Store
    for Flash<F, MESSAGES, SESSIONS, BLOCK>
{
    fn begin(&mut self) -> Result<Id, Error> {
        let number = self.number.checked_add(1).ok_or(Error::Broken)?;
        let place = self.messages.iter().position(|message| message.number == 0).ok_or(Error::Full)?;
        let writer = self.writers.iter().position(|writer| writer.number == 0).ok_or(Error::Full)?;
        if self.free_blocks() == 0 {
            return Err(Error::Full);
        }
        if let (Some(message), Some(own)) = (self.messages.get_mut(place), self.writers.get_mut(writer)) {
            *message = Message { number, state: State::Begun(writer), ..Message::NONE };
            (own.number, own.used) = (number, 0);
        }
        self.number = number;
        Ok(Id::new(number, u16::try_from(place).unwrap_or(u16::MAX)))
    }

    fn append(&mut self, id: Id, pieces: &[&[u8]]) -> Result<(), Error> {
        let (place, message, writer) = self.find_begun(id).ok_or(Error::Broken)?;
        let more = pieces.iter().fold(0_usize, |sum, piece| sum.saturating_add(piece.len()));
        let length = (message.length as usize).saturating_add(more);
        if length > self.capacity() {
            return Err(Error::TooBig);
        }
        let used = self.writers.get(writer).map_or(0, |writer| writer.used);
        // A block is written when an octet comes that it has no room for.
        let full = used.saturating_add(more).saturating_sub(1).checked_div(Self::ROOM).unwrap_or(0);
        if full > self.free_blocks() {
            return Err(Error::Full);
        }
        for piece in pieces {
            if self.add(place, writer, piece).is_err() {
                self.forget(place);
                return Err(Error::Broken);
            }
        }
        if let Some(message) = self.messages.get_mut(place) {
            message.length = u32::try_from(length).unwrap_or(u32::MAX);
        }
        Ok(())
    }

    fn commit(&mut self, id: Id) -> Result<(), Error> {
        let (place, _, writer) = self.find_begun(id).ok_or(Error::Broken)?;
        let written = self.write(place, writer, true);
        match (written, self.messages.get_mut(place), self.writers.get_mut(writer)) {
            (Ok(()), Some(message), Some(writer)) => {
                message.state = State::Kept;
                writer.number = 0;
            }
            _ => self.forget(place),
        }
        written
    }

    fn abandon(&mut self, id: Id) {
        if let Some((place, ..)) = self.find_begun(id) {
            self.forget(place);
        }
    }

    fn next(&self, after: Option<Id>) -> Option<Id> {
        let after = after.map_or(0, Id::number);
        let kept = |message: &Message| message.state == State::Kept && message.number > after;
        let messages = self.messages.iter().zip(0..).filter(|(message, _)| kept(message));
        messages.map(|(message, place)| Id::new(message.number, place)).min()
    }

    fn len(&self, id: Id) -> Option<u32> {
        self.find_kept(id).map(|(_, message)| message.length)
    }

    fn read(&mut self, id: Id, offset: u32, octets: &mut [u8]) -> Result<usize, Error> {
        let (_, message) = self.find_kept(id).ok_or(Error::Broken)?;
        let left = message.length.saturating_sub(offset) as usize;
        let wanted = octets.len().min(left);
        let mut rest = octets.get_mut(..wanted).ok_or(Error::Broken)?;
        let room = u32::try_from(Self::ROOM).unwrap_or(u32::MAX);
        let mut index = offset.checked_div(room).unwrap_or(0);
        let mut from = offset.checked_rem(room).unwrap_or(0) as usize;
        while !rest.is_empty() {
            self.seek(&message, index)?;
            let stored = Block::octets(&self.read, F::WRITE_SIZE).get(from..).unwrap_or_default();
            let copied = copy(rest, stored);
            rest = rest.get_mut(copied..).unwrap_or_default();
            index = index.saturating_add(1);
            from = 0;
        }
        Ok(wanted)
    }

    fn remove(&mut self, id: Id) -> Result<(), Error> {
        let (place, message) = self.find_kept(id).ok_or(Error::Broken)?;
        self.mark(message.last.ok_or(Error::Broken)?)?;
        self.forget(place);
        Ok(())
    }

    fn room(&self) -> usize {
        let is_full = self.messages.iter().all(|message| message.number > 0)
            || self.writers.iter().all(|writer| writer.number > 0);
        if is_full { 0 } else { self.free_blocks().saturating_mul(Self::ROOM).min(self.capacity()) }
    }

    fn capacity(&self) -> usize {
        let blocks = self.pages.saturating_sub(2).saturating_mul(Self::PAGE_BLOCKS);
        (blocks as usize).saturating_mul(Self::ROOM)
    }
}
