//! The store in flash: whatever a loss of power leaves, what was kept is there and nothing else is.
#![cfg(feature = "nor-flash")]

mod stores;

use std::cell::Cell;
use std::rc::Rc;

use embedded_storage::nor_flash::{
    ErrorType, NorFlash, NorFlashErrorKind, ReadNorFlash, check_erase, check_read, check_write,
};
use proptest::collection::vec;
use proptest::prelude::*;
use smtpd_core::handlers::spool::{Error, Flash, Store};
use stores::{Deed, Model, deeds, list, read};

/// A flash in memory, which loses power at a write or an erasure.
#[derive(Clone, Debug)]
struct Chip<const READ: usize, const WRITE: usize, const ERASE: usize> {
    octets: Vec<u8>,
    words: Vec<Word>,
    /// How often each page was erased.
    erased: Vec<u32>,
    power: Rc<Power>,
    tear: Tear,
    /// Does not say so when a write fails.
    lies: bool,
    chance: u64,
}

/// What can be asked and set while the store has the chip.
#[derive(Debug)]
struct Power {
    is_on: Cell<bool>,
    /// Words written and pages erased so far.
    deeds: Cell<usize>,
    /// The deed at which power is lost.
    dies_at: Cell<usize>,
    /// After how many deeds one fails, for once.
    stumbles: Cell<usize>,
    reads: Cell<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Word {
    Blank,
    Written,
    /// Alone: a mark.
    Mark,
    /// What is in it is undefined until its page is erased.
    Torn,
    /// And changes with every start.
    Wild,
}

/// What becomes of the word in whose writing power is lost.
#[derive(Clone, Copy, Debug)]
enum Tear {
    /// No trace.
    Nothing,
    /// All of it, and nobody heard so.
    All,
    /// Half of its octets.
    Half,
    /// Some of its bits.
    Bits,
    /// Anything.
    Any,
}

const TEARS: [Tear; 5] = [Tear::Nothing, Tear::All, Tear::Half, Tear::Bits, Tear::Any];

impl<const READ: usize, const WRITE: usize, const ERASE: usize> Chip<READ, WRITE, ERASE> {
    /// Holds anything at first.
    fn new(pages: usize) -> Self {
        let octets = pages * ERASE;
        let mut chip = Self {
            octets: vec![0; octets],
            words: vec![Word::Wild; octets / WRITE],
            erased: vec![0; pages],
            power: Rc::new(Power {
                is_on: Cell::new(true),
                deeds: Cell::new(0),
                dies_at: Cell::new(usize::MAX),
                stumbles: Cell::new(usize::MAX),
                reads: Cell::new(0),
            }),
            tear: Tear::Nothing,
            lies: false,
            chance: 1,
        };
        chip.restart();
        chip
    }

    /// Has power again.
    fn restart(&mut self) {
        self.power.dies_at.set(usize::MAX);
        self.power.is_on.set(true);
        for word in 0..self.words.len() {
            if self.words[word] == Word::Wild && self.some() & 1 == 1 {
                self.any(word);
            }
        }
    }

    fn some(&mut self) -> u64 {
        // Knuth's MMIX.
        self.chance = self.chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.chance >> 33
    }

    fn any(&mut self, word: usize) {
        for octet in word * WRITE..(word + 1) * WRITE {
            self.octets[octet] = self.some() as u8;
        }
    }

    fn is_dead(&self) -> bool {
        !self.power.is_on.get()
    }

    /// Counts a deed; whether it comes to its end.
    fn lasts(&mut self) -> bool {
        let deed = self.power.deeds.get();
        self.power.deeds.set(deed + 1);
        self.power.is_on.set(deed < self.power.dies_at.get());
        !self.is_dead() && !(deed + 1).is_multiple_of(self.power.stumbles.get())
    }

    fn tear(&mut self, word: usize, octets: &[u8]) {
        let at = word * WRITE;
        match self.tear {
            Tear::Nothing => {}
            Tear::All => self.octets[at..at + WRITE].copy_from_slice(octets),
            Tear::Half => self.octets[at..at + WRITE / 2].copy_from_slice(&octets[..WRITE / 2]),
            Tear::Bits => {
                for (octet, new) in octets.iter().enumerate() {
                    self.octets[at + octet] &= new | self.some() as u8;
                }
            }
            Tear::Any => self.any(word),
        }
    }
}

impl<const READ: usize, const WRITE: usize, const ERASE: usize> ErrorType for Chip<READ, WRITE, ERASE> {
    type Error = NorFlashErrorKind;
}

impl<const READ: usize, const WRITE: usize, const ERASE: usize> ReadNorFlash for Chip<READ, WRITE, ERASE> {
    const READ_SIZE: usize = READ;

    fn read(&mut self, offset: u32, octets: &mut [u8]) -> Result<(), NorFlashErrorKind> {
        check_read(self, offset, octets.len()).expect("a read of whole words");
        if self.is_dead() {
            return Err(NorFlashErrorKind::Other);
        }
        octets.copy_from_slice(&self.octets[offset as usize..][..octets.len()]);
        self.power.reads.set(self.power.reads.get() + 1);
        Ok(())
    }

    fn capacity(&self) -> usize {
        self.octets.len()
    }
}

impl<const READ: usize, const WRITE: usize, const ERASE: usize> NorFlash for Chip<READ, WRITE, ERASE> {
    const WRITE_SIZE: usize = WRITE;
    const ERASE_SIZE: usize = ERASE;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), NorFlashErrorKind> {
        check_erase(self, from, to).expect("an erasure of whole pages");
        for page in from as usize / ERASE..to as usize / ERASE {
            if self.is_dead() {
                return Err(NorFlashErrorKind::Other);
            }
            let lasts = self.lasts();
            self.erased[page] += 1;
            for word in page * ERASE / WRITE..(page + 1) * ERASE / WRITE {
                let is_erased = match (lasts, self.tear) {
                    (true, _) | (false, Tear::All) => true,
                    (false, Tear::Nothing) => false,
                    // The worst: all is as it was, but what was removed is there again.
                    (false, Tear::Half) => matches!(self.words[word], Word::Mark),
                    (false, Tear::Bits) => self.some() & 1 == 0,
                    (false, Tear::Any) => {
                        self.any(word);
                        false
                    }
                };
                if is_erased {
                    self.octets[word * WRITE..(word + 1) * WRITE].fill(0xff);
                }
                self.words[word] = if lasts {
                    Word::Blank
                } else if matches!(self.tear, Tear::Half) {
                    Word::Torn
                } else {
                    Word::Wild
                };
            }
            if !lasts {
                return Err(NorFlashErrorKind::Other);
            }
        }
        Ok(())
    }

    fn write(&mut self, offset: u32, octets: &[u8]) -> Result<(), NorFlashErrorKind> {
        check_write(self, offset, octets.len()).expect("a write of whole words");
        let is_alone = octets.len() == WRITE;
        for (word, octets) in (offset as usize / WRITE..).zip(octets.chunks(WRITE)) {
            if self.is_dead() {
                return Err(NorFlashErrorKind::Other);
            }
            // The one exception that the documentation names: zeros over a mark that was torn.
            let is_free = match self.words[word] {
                Word::Blank => true,
                Word::Torn => octets.iter().all(|octet| *octet == 0),
                Word::Written | Word::Mark | Word::Wild => false,
            };
            assert!(is_free, "a word is written twice");
            if !self.lasts() {
                self.words[word] = Word::Torn;
                self.tear(word, octets);
                if self.lies && !self.is_dead() {
                    continue;
                }
                return Err(NorFlashErrorKind::Other);
            }
            self.words[word] = if is_alone { Word::Mark } else { Word::Written };
            self.octets[word * WRITE..(word + 1) * WRITE].copy_from_slice(octets);
        }
        Ok(())
    }
}

/// A chip of few small pages, so that they are soon used again.
type Small = Chip<1, 4, 256>;
/// Three blocks on a page, with octets behind them that are not used.
type SmallFlash = Flash<Small, 12, 3, 76>;

/// What happens to a store between two losses of power: three sessions at once, messages of no octets, of one, of whole
/// blocks and of some, removed in order and out of it, as often as the pages go round.
fn scenario(rounds: usize) -> Vec<Deed> {
    let mut deeds = Vec::new();
    for round in 0..rounds {
        deeds.extend([Deed::Begin, Deed::Begin, Deed::Append(0, 30), Deed::Append(1, 45 + round), Deed::Append(0, 60)]);
        deeds.extend([Deed::Commit(1), Deed::Begin, Deed::Append(1, 44), Deed::Begin, Deed::Append(2, 88)]);
        deeds.extend([Deed::Commit(2), Deed::Append(0, 5), Deed::Commit(0), Deed::Take, Deed::Append(0, 1)]);
        deeds.extend([Deed::Begin, Deed::Commit(1), Deed::Commit(0), Deed::Remove(1), Deed::Begin]);
        deeds.extend([Deed::Append(0, 90), Deed::Abandon(0), Deed::Take, Deed::Take]);
    }
    deeds
}

/// Does what can be done before anything fails; whether that was all.
fn lives(store: &mut impl Store, model: &mut Model, deeds: &[Deed]) -> bool {
    deeds.iter().all(|deed| model.does(store, *deed))
}

#[test]
fn power_is_lost_at_every_write_and_erasure() {
    let deeds = scenario(3);
    let mut store = SmallFlash::open(Small::new(4)).unwrap();
    assert!(lives(&mut store, &mut Model::default(), &deeds));
    let chip = store.release();

    assert!(chip.erased.iter().all(|count| *count >= 2), "the pages go round: {:?}", chip.erased);
    for tear in TEARS {
        for dies_at in 0..chip.power.deeds.get() {
            let (mut chip, mut model) = (Small::new(4), Model::default());
            (chip.tear, chip.chance) = (tear, dies_at as u64);
            chip.power.dies_at.set(dies_at);
            let mut store = SmallFlash::open(chip).unwrap();
            assert!(!lives(&mut store, &mut model, &deeds), "{tear:?}, {dies_at}");
            // Once more before anything is done, and then some of it without a loss.
            for lives_on in [false, true] {
                let mut chip = store.release();
                chip.restart();
                model.restart();
                store = SmallFlash::open(chip).unwrap();
                model.holds(&mut store);
                assert!(!lives_on || lives(&mut store, &mut model, &scenario(1)), "{tear:?}, {dies_at}");
                model.holds(&mut store);
            }
            model.ends(&mut store);
        }
    }
}

/// A message of 100 octets, and the chip that it is on.
fn with_a_message() -> (SmallFlash, Model) {
    let (mut store, mut model) = (SmallFlash::open(Small::new(4)).unwrap(), Model::default());
    assert!(lives(&mut store, &mut model, &[Deed::Begin, Deed::Append(0, 100), Deed::Commit(0)]));
    model.holds(&mut store);
    (store, model)
}

#[test]
#[should_panic = "1 was kept, and is not there"]
fn a_lost_message_is_noticed() {
    let (store, mut model) = with_a_message();
    let mut chip = store.release();
    chip.octets[256 + 40] ^= 1;
    model.holds(&mut SmallFlash::open(chip).unwrap());
}

#[test]
#[should_panic = "1 is there, and Gone"]
fn a_message_that_comes_back_is_noticed() {
    let (mut store, mut model) = with_a_message();
    assert!(model.does(&mut store, Deed::Take));
    let mut chip = store.release();
    // The mark of its third block.
    chip.octets[256 + 2 * 76 + 72..][..4].fill(0xff);
    model.holds(&mut SmallFlash::open(chip).unwrap());
}

#[test]
fn a_flash_that_says_no_loses_only_what_was_under_way() {
    let (mut store, mut model) = with_a_message();
    let id = store.begin().unwrap();
    store.append(id, &[b"x"]).unwrap();
    let chip = store.release();
    chip.power.dies_at.set(chip.power.deeds.get());
    let mut store = SmallFlash::open(chip).unwrap();
    assert_eq!(list(&store).len(), 1);
    let id = store.begin().unwrap();
    assert_eq!(store.append(id, &[&[0; 100]]), Err(Error::Broken));
    assert_eq!(store.append(id, &[b"x"]), Err(Error::Broken));
    assert_eq!(store.commit(id), Err(Error::Broken));
    let mut chip = store.release();
    chip.restart();
    model.holds(&mut SmallFlash::open(chip).unwrap());
}

#[test]
fn writes_that_leave_no_trace() {
    let message = [Deed::Begin, Deed::Append(0, 9), Deed::Commit(0)];
    // The mark of the block that is left out, and the first word of the one behind it.
    for dies_at in [0, 1] {
        let (mut store, mut model) = (SmallFlash::open(Small::new(4)).unwrap(), Model::default());
        assert!(lives(&mut store, &mut model, &message));
        for _ in 0..2 {
            let chip = store.release();
            chip.power.dies_at.set(chip.power.deeds.get() + dies_at);
            store = SmallFlash::open(chip).unwrap();
            assert!(!lives(&mut store, &mut model, &message));
            let mut chip = store.release();
            chip.restart();
            model.restart();
            store = SmallFlash::open(chip).unwrap();
            model.holds(&mut store);
        }
        // The chip notices if a word is written twice.
        assert!(lives(&mut store, &mut model, &message));
        model.holds(&mut store);
    }
}

#[test]
fn a_block_that_is_whole_though_it_failed() {
    // Its page is erased next, unless it counts: with its mark, and power is lost.
    let first = [Deed::Begin, Deed::Commit(0), Deed::Begin, Deed::Commit(0), Deed::Remove(0)].to_vec();
    let second = [Deed::Begin, Deed::Begin, Deed::Commit(0), Deed::Remove(0), Deed::Commit(0), Deed::Fill].to_vec();
    let lives = [Life { deeds: first, tear: 0, left: 99 }, Life { deeds: second, tear: 2, left: 96 }];
    dies::<4, 8, 512, 512>(&lives, 3, (97, false));
}

#[test]
fn all_pages_wear_alike() {
    let (mut store, mut model) = (SmallFlash::open(Small::new(4)).unwrap(), Model::default());
    for _ in 0..200 {
        assert!(lives(&mut store, &mut model, &[Deed::Begin, Deed::Append(0, 100), Deed::Commit(0), Deed::Take]));
    }
    let erased = store.release().erased;
    let (least, most) = (erased.iter().min().unwrap(), erased.iter().max().unwrap());
    // 200 messages of three blocks, three on a page.
    assert!(*least == 50 && *most == 50, "{erased:?}");
}

#[test]
fn numbers_go_on_after_a_restart() {
    let mut store = SmallFlash::open(Small::new(4)).unwrap();
    // Two that were begun before others came and went, and whose blocks are then the only ones.
    let (one, two) = (store.begin().unwrap(), store.begin().unwrap());
    let mut newest = 0;
    for _ in 0..3 {
        let id = store.begin().unwrap();
        store.append(id, &[&[7; 100]]).unwrap();
        store.commit(id).unwrap();
        store.remove(id).unwrap();
        newest = id.number();
    }
    store.append(one, &[&[8; 200]]).unwrap();
    store.commit(one).unwrap();
    store.remove(one).unwrap();
    store.append(two, &[&[8; 264]]).unwrap();
    store.commit(two).unwrap();
    let mut store = SmallFlash::open(store.release()).unwrap();
    store.remove(list(&store)[0]).unwrap();
    assert!(store.begin().unwrap().number() > newest);
}

#[test]
fn a_page_that_failed_is_tried_again() {
    // One block on a page.
    let mut chip = Chip::<4, 8, 512>::new(3);
    chip.tear = Tear::Half;
    let power = chip.power.clone();
    let (mut store, mut model) = (Flash::<_, 4, 2, 512>::open(chip).unwrap(), Model::default());
    let message = [Deed::Begin, Deed::Append(0, 9), Deed::Commit(0)];
    // The second page says that the first one is needed, before both messages are removed.
    assert!(lives(&mut store, &mut model, &[&message[..], &message, &[Deed::Take, Deed::Take]].concat()));
    power.stumbles.set(power.deeds.get() + 5);
    assert!(!lives(&mut store, &mut model, &message));
    model.goes_on();
    // The third page says nothing. If the first one were erased next, its message could come back now.
    power.dies_at.set(power.deeds.get());
    assert!(!lives(&mut store, &mut model, &message));
    let mut chip = store.release();
    chip.restart();
    model.restart();
    model.holds(&mut Flash::<_, 4, 2, 512>::open(chip).unwrap());
}

#[test]
fn who_reads_on_reads_each_block_once() {
    let chip = Small::new(9);
    let power = chip.power.clone();
    let mut store = SmallFlash::open(chip).unwrap();
    let (one, two) = (store.begin().unwrap(), store.begin().unwrap());
    // Their blocks take turns.
    for _ in 0..5 {
        store.append(one, &[&[1; 44]]).unwrap();
        store.append(two, &[&[2; 44]]).unwrap();
    }
    store.commit(one).unwrap();
    store.commit(two).unwrap();
    power.reads.set(0);
    let mut buffer = [0; 7];
    for offset in (0..220).step_by(7) {
        store.read(one, offset, &mut buffer).unwrap();
    }
    // Five of its own, and four of the other's between them.
    assert!(power.reads.get() <= 9, "{}", power.reads.get());
}

#[test]
fn what_does_not_fit_is_said() {
    assert_eq!(SmallFlash::open(Small::new(2)).err(), Some(Error::TooBig));
    let mut store = SmallFlash::open(Small::new(4)).unwrap();
    // Two pages of three blocks with 44 octets.
    assert_eq!((store.capacity(), store.room()), (264, 264));
    let id = store.begin().unwrap();
    store.commit(id).unwrap();
    assert_eq!((store.len(id), store.room()), (Some(0), 264));
    store.remove(id).unwrap();
    assert_eq!(store.room(), 264);
    let id = store.begin().unwrap();
    assert_eq!(store.append(id, &[&[0; 265]]), Err(Error::TooBig));
    assert_eq!(store.append(id, &[&[1; 264]]), Ok(()));
    assert_eq!(store.append(id, &[b"x"]), Err(Error::TooBig));
    assert_eq!(store.commit(id), Ok(()));
    // The rest of the page on which it ends.
    assert_eq!(store.room(), 88);
    let other = store.begin().unwrap();
    assert_eq!((store.append(other, &[&[2; 89]]), store.append(other, &[&[2; 88]])), (Err(Error::Full), Ok(())));
    assert_eq!((store.room(), store.begin()), (0, Err(Error::Full)));
    store.abandon(other);
    assert_eq!(read(&mut store, id, 264), [1; 264]);
    store.remove(id).unwrap();
    assert_eq!(store.room(), 264);
    // No more at once than there are sessions.
    let ids = [store.begin().unwrap(), store.begin().unwrap(), store.begin().unwrap()];
    assert_eq!((store.begin(), store.room()), (Err(Error::Full), 0));
    for id in ids {
        store.commit(id).unwrap();
    }
    // More messages than another one would have.
    assert_eq!(Flash::<_, 2, 1, 76>::open(store.release()).err(), Some(Error::Full));
}

#[test]
fn another_form_is_another_store() {
    let (store, _) = with_a_message();
    let chip = store.release();
    let store = Flash::<_, 12, 3, 80>::open(chip.clone()).unwrap();
    assert_eq!(list(&store), []);
    let store = Flash::<_, 5, 1, 76>::open(chip).unwrap();
    assert_eq!(list(&store).len(), 1);
}

/// From one start to the next.
#[derive(Clone, Debug)]
struct Life {
    deeds: Vec<Deed>,
    tear: usize,
    /// Deeds of the chip until power is lost.
    left: usize,
}

fn life() -> impl Strategy<Value = Life> {
    (deeds(80), 0..TEARS.len(), 0_usize..1_500).prop_map(|(deeds, tear, left)| Life { deeds, tear, left })
}

/// After how many deeds one fails, and whether the chip says so.
type Failures = (usize, bool);

/// Deeds, until power is lost at a moment, and again.
fn dies<const READ: usize, const WRITE: usize, const ERASE: usize, const BLOCK: usize>(
    lives: &[Life],
    pages: usize,
    (stumbles, lies): Failures,
) {
    let (mut chip, mut model) = (Chip::<READ, WRITE, ERASE>::new(pages), Model::default());
    for Life { deeds, tear, left } in lives {
        (chip.tear, chip.lies) = (TEARS[*tear], lies);
        let power = chip.power.clone();
        power.dies_at.set(power.deeds.get() + left);
        power.stumbles.set(stumbles);
        let mut store = Flash::<_, 9, 4, BLOCK>::open(chip).unwrap();
        model.holds(&mut store);
        for deed in deeds {
            if model.does(&mut store, *deed) {
                continue;
            }
            if !power.is_on.get() {
                break;
            }
            model.goes_on();
            model.holds(&mut store);
        }
        chip = store.release();
        chip.restart();
        model.restart();
    }
    chip.power.stumbles.set(usize::MAX);
    let mut store = Flash::<_, 9, 4, BLOCK>::open(chip).unwrap();
    model.holds(&mut store);
    model.ends(&mut store);
}

/// The forms of words, pages and blocks that are tried.
const FORMS: [fn(&[Life], usize, Failures); 5] = [
    dies::<1, 1, 128, 64>,
    dies::<4, 4, 256, 76>,
    dies::<8, 16, 512, 96>,
    dies::<1, 32, 1024, 256>,
    dies::<4, 8, 512, 512>,
];
/// Not so often that the mark fails too by which a block that failed is taken back.
const FAILURES: [Failures; 3] = [(usize::MAX, true), (97, false), (97, true)];

/// PROPTEST_CASES=5000 for a long look.
fn cases() -> ProptestConfig {
    let standard = ProptestConfig::default();
    ProptestConfig { cases: standard.cases * 2, failure_persistence: None, ..standard }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn whatever_fails(
        lives in vec(life(), 1..6),
        pages in 3_usize..9,
        form in 0..FORMS.len(),
        failures in 0..FAILURES.len(),
    ) {
        FORMS[form](&lives, pages, FAILURES[failures]);
    }
}
