//! Block: what is written at once, and its checksum.

use super::copy;

/// Octets before those of the message.
pub(super) const HEADER: usize = 28;

/// The checksum's place in there.
const CHECKSUM: usize = 24;

/// In [`Block::length`]'s word: the last block of its message.
const LAST: u32 = 1 << 31;

/// What a block says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Block {
    /// The page that it is on.
    pub(super) page: u32,
    /// The oldest page that was needed when it was written.
    pub(super) oldest: u32,
    /// The newest message begun by then.
    pub(super) newest: u32,
    /// The message.
    pub(super) number: u32,
    /// Its place in the message.
    pub(super) index: u32,
    /// Octets of the message in it.
    pub(super) length: u32,
    pub(super) is_last: bool,
}

impl Block {
    /// Where the octets of a message lie; behind them, one word for the mark.
    pub(super) fn octets(block: &[u8], word: usize) -> &[u8] {
        block.get(HEADER..block.len().saturating_sub(word)).unwrap_or_default()
    }

    pub(super) fn octets_mut(block: &mut [u8], word: usize) -> &mut [u8] {
        let end = block.len().saturating_sub(word);
        block.get_mut(HEADER..end).unwrap_or_default()
    }

    /// Whether the message was removed, if this is its last block.
    pub(super) fn is_marked(block: &[u8], word: usize) -> bool {
        let mark = block.get(block.len().saturating_sub(word)..).unwrap_or_default();
        !is_blank(mark)
    }

    /// What stands there; whether it is whole, [`is_whole`] says.
    pub(super) fn parse(block: &[u8]) -> Option<Self> {
        let (words, _) = block.as_chunks::<4>();
        let [page, oldest, newest, number, index, length, ..] = words else { return None };
        let length = u32::from_le_bytes(*length);
        Some(Self {
            page: u32::from_le_bytes(*page),
            oldest: u32::from_le_bytes(*oldest),
            newest: u32::from_le_bytes(*newest),
            number: u32::from_le_bytes(*number),
            index: u32::from_le_bytes(*index),
            length: length & !LAST,
            is_last: length & LAST != 0,
        })
    }

    /// Writes it around the octets of the message that are in place.
    pub(super) fn put(&self, block: &mut [u8], word: usize, seed: u32) {
        let used = self.length as usize;
        Self::octets_mut(block, word).get_mut(used..).unwrap_or_default().fill(BLANK);
        let last = if self.is_last { LAST } else { 0 };
        let numbers = [self.page, self.oldest, self.newest, self.number, self.index, self.length | last];
        let (words, _) = block.as_chunks_mut::<4>();
        for (word, number) in words.iter_mut().zip(numbers) {
            *word = number.to_le_bytes();
        }
        let checksum = checksum(block, word, seed).to_le_bytes();
        if let Some(place) = block.get_mut(CHECKSUM..HEADER) {
            copy(place, &checksum);
        }
    }
}

/// What erased flash reads as.
const BLANK: u8 = 0xff;

/// Whether nothing was written there.
pub(super) fn is_blank(octets: &[u8]) -> bool {
    octets.iter().all(|octet| *octet == BLANK)
}

/// Whether the checksum is right.
pub(super) fn is_whole(block: &[u8], word: usize, seed: u32) -> bool {
    block.get(CHECKSUM..HEADER) == Some(checksum(block, word, seed).to_le_bytes().as_slice())
}

/// What the checksums of a ring of this form begin with, so that no other is taken for it.
pub(super) fn seed(form: [u32; 4]) -> u32 {
    // The first form of a block.
    let version = crc(u32::MAX, &1_u32.to_le_bytes());
    form.iter().fold(version, |seed, number| crc(seed, &number.to_le_bytes()))
}

fn checksum(block: &[u8], word: usize, seed: u32) -> u32 {
    let header = crc(seed, block.get(..CHECKSUM).unwrap_or_default());
    !crc(header, Block::octets(block, word))
}

/// CRC-32 as in Ethernet (ISO/IEC 8802-3), bit by bit: a table would take 1 KiB of flash.
fn crc(start: u32, octets: &[u8]) -> u32 {
    octets.iter().fold(start, |crc, octet| {
        (0..8).fold(crc ^ u32::from(*octet), |crc, _| (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_that_of_ethernet() {
        // The check value of CRC-32/ISO-HDLC.
        assert_eq!(!crc(u32::MAX, b"123456789"), 0xcbf4_3926);
    }

    #[test]
    fn a_block_is_read_as_it_was_written() {
        let (mut octets, seed) = ([7; 64], seed([64, 1024, 4, 3]));
        let block = Block { page: 1, oldest: 2, newest: 3, number: 4, index: 5, length: 6, is_last: true };
        block.put(&mut octets, 4, seed);
        assert_eq!((Block::parse(&octets), is_whole(&octets, 4, seed)), (Some(block), true));
        assert_eq!(Block::octets(&octets, 4)[..8], [7, 7, 7, 7, 7, 7, 0xff, 0xff]);
        for place in 0..60 {
            for bit in 0..8 {
                octets[place] ^= 1 << bit;
                assert!(!is_whole(&octets, 4, seed), "{place}, {bit}");
                octets[place] ^= 1 << bit;
            }
        }
        octets[60..].fill(0xff);
        assert!(is_whole(&octets, 4, seed) && !Block::is_marked(&octets, 4));
        octets[63] = 0xfe;
        assert!(is_whole(&octets, 4, seed) && Block::is_marked(&octets, 4));
        for form in [[65, 1024, 4, 3], [64, 1025, 4, 3], [64, 1024, 5, 3], [64, 1024, 4, 4]] {
            assert!(!is_whole(&octets, 4, super::seed(form)), "{form:?}");
        }
    }
}
