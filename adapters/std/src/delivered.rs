//! What a proxy remembers of mails whose clients were told to try again.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};
use smtpd_core::handlers::{Deliveries, End};

/// [`Deliveries`] in memory: each connection's proxy gets a clone, and clones share what they remember.
///
/// A mail is known by the SHA-256 of its sender and its text. A recipient is forgotten after a day, which is longer than most
/// clients wait between two tries, or when there are more than 10,000: the oldest first. After a restart nothing is
/// known; all that comes of that is a second copy of a mail for those who were served already. The same is all that a client gets who
/// makes it remember too much. From the answer to a RCPT clients may learn that a sender wrote to a list while Mailman was in trouble.
///
/// ```
/// use smtpd_std::{Delivered, Deliveries, End};
/// let delivered = Delivered::new();
/// let mail = |mut proxy: Delivered| {
///     proxy.begin(b"anne@example.net");
///     proxy.recipient(End::Upstream, 1);
///     proxy.text(b"Message-ID: <1@example.net>\r\n\r\nHi\r\n");
///     proxy
/// };
/// mail(delivered.clone()).remember();
/// assert!(mail(delivered).is_known(End::Upstream));
/// ```
#[derive(Clone)]
pub struct Delivered {
    memory: Arc<Mutex<Memory>>,
    clock: fn() -> Duration,
    /// With a secret, which clones share.
    hasher: RandomState,
    /// Of the mail under way.
    sender: Vec<u8>,
    digest: Sha256,
    recipients: Vec<(End, u64)>,
}

/// One recipient of a mail.
type Key = ([u8; 32], u64);

/// What stands for a sender and a list: that two of them have one only makes more transactions.
type Pair = u64;

/// What is remembered, numbered by age.
#[derive(Debug, Default)]
struct Memory {
    numbers: HashMap<Key, u64>,
    by_age: BTreeMap<u64, (Duration, Key, Option<Pair>)>,
    /// How many mails are remembered of each.
    pairs: HashMap<Pair, usize>,
    /// Those that stand back, and how often it was asked whether they do.
    back: HashMap<Pair, u64>,
    last: u64,
}

const AGE: Duration = Duration::from_secs(24 * 3_600);
const NUMBER: usize = 10_000;

impl Delivered {
    /// A memory in which nothing is.
    #[must_use]
    pub fn new() -> Self {
        Self::with_clock(since_start)
    }

    fn with_clock(clock: fn() -> Duration) -> Self {
        let (memory, hasher) = (Arc::default(), RandomState::new());
        Self { memory, clock, hasher, sender: Vec::new(), digest: Sha256::new(), recipients: Vec::new() }
    }

    /// The memory, without what is too old.
    fn memory(&self) -> MutexGuard<'_, Memory> {
        let now = (self.clock)();
        // What a panic left is still what was delivered.
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        while memory.by_age.first_key_value().is_some_and(|(_, (since, ..))| now.saturating_sub(*since) >= AGE) {
            memory.forget_oldest();
        }
        memory
    }

    /// The recipients of the mail under way, and whose they are.
    fn keys(&self) -> impl Iterator<Item = (End, Key)> {
        let digest = self.digest.clone().finalize().into();
        self.recipients.iter().map(move |(end, recipient)| (*end, (digest, *recipient)))
    }

    fn pair(&self, list: u64) -> Pair {
        self.hasher.hash_one((&self.sender, list))
    }
}

impl Memory {
    fn remember(&mut self, key: Key, pair: Option<Pair>, now: Duration) {
        self.forget(&key);
        self.last += 1;
        self.numbers.insert(key, self.last);
        self.by_age.insert(self.last, (now, key, pair));
        if let Some(pair) = pair {
            *self.pairs.entry(pair).or_default() += 1;
        }
        if self.numbers.len() > NUMBER {
            self.forget_oldest();
        }
    }

    fn forget(&mut self, key: &Key) {
        if let Some((_, _, pair)) = self.numbers.remove(key).and_then(|number| self.by_age.remove(&number)) {
            self.uncount(pair);
        }
    }

    fn forget_oldest(&mut self) {
        if let Some((_, (_, key, pair))) = self.by_age.pop_first() {
            self.numbers.remove(&key);
            self.uncount(pair);
        }
    }

    fn uncount(&mut self, pair: Option<Pair>) {
        if let Some(Entry::Occupied(mut count)) = pair.map(|pair| self.pairs.entry(pair)) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}

impl Deliveries for Delivered {
    fn begin(&mut self, sender: &[u8]) {
        self.digest.reset();
        self.recipients.clear();
        self.sender.clear();
        self.sender.extend_from_slice(sender);
        self.digest.update(sender);
        // No sender holds one, so that what is behind it is text.
        self.digest.update([0]);
    }

    fn number(&self, address: &mut dyn Iterator<Item = u8>) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        address.for_each(|octet| hasher.write_u8(octet));
        hasher.finish()
    }

    fn may_have(&self, list: u64) -> bool {
        self.memory().pairs.contains_key(&self.pair(list))
    }

    fn stands_back(&mut self, list: u64) -> bool {
        let pair = self.pair(list);
        let mut memory = self.memory();
        let Some(asked) = memory.back.get_mut(&pair) else { return false };
        *asked += 1;
        self.hasher.hash_one((pair, *asked)) & 1 == 1
    }

    fn stand_back(&mut self) {
        let mut memory = self.memory();
        if memory.back.len() > NUMBER {
            // Who was first too long is so again.
            memory.back.clear();
        }
        for (_, list) in self.recipients.iter().filter(|(end, _)| *end == End::Mailman) {
            memory.back.entry(self.pair(*list)).or_default();
        }
    }

    fn recipient(&mut self, end: End, recipient: u64) {
        self.recipients.push((end, recipient));
    }

    fn text(&mut self, octets: &[u8]) {
        self.digest.update(octets);
    }

    fn is_wanted(&self) -> bool {
        !self.memory().numbers.is_empty()
    }

    fn is_known(&mut self, end: End) -> bool {
        let memory = self.memory();
        self.keys().all(|(own, key)| own != end || memory.numbers.contains_key(&key))
    }

    fn failed(&mut self, recipient: u64) {
        self.recipients.retain(|(_, own)| *own != recipient);
    }

    fn remember(&mut self) {
        let now = (self.clock)();
        let mut memory = self.memory();
        for (end, key) in self.keys() {
            let pair = (end == End::Mailman).then(|| self.pair(key.1));
            memory.remember(key, pair, now);
        }
    }

    fn forget(&mut self) {
        let mut memory = self.memory();
        for (_, key) in self.keys() {
            memory.forget(&key);
            memory.back.remove(&self.pair(key.1));
        }
    }
}

impl Default for Delivered {
    fn default() -> Self {
        Self::new()
    }
}

/// How much is remembered, not what.
impl fmt::Debug for Delivered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivered").field("number", &self.memory().numbers.len()).finish_non_exhaustive()
    }
}

/// A clock that nobody sets.
fn since_start() -> Duration {
    static START: std::sync::LazyLock<Instant> = std::sync::LazyLock::new(Instant::now);
    START.elapsed()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    thread_local!(static NOW: Cell<u64> = const { Cell::new(0) });

    fn new() -> Delivered {
        NOW.set(0);
        Delivered::with_clock(|| Duration::from_secs(NOW.get()))
    }

    fn mail(delivered: &Delivered, sender: &str, recipients: &[u64], pieces: &[&str]) -> Delivered {
        let mut mail = delivered.clone();
        mail.begin(sender.as_bytes());
        recipients.iter().for_each(|recipient| mail.recipient(End::Upstream, *recipient));
        pieces.iter().for_each(|piece| mail.text(piece.as_bytes()));
        mail
    }

    fn number(delivered: &Delivered) -> usize {
        let memory = delivered.memory();
        assert_eq!(memory.numbers.len(), memory.by_age.len());
        let pairs = memory.by_age.values().filter(|(_, _, pair)| pair.is_some()).count();
        assert_eq!(pairs, memory.pairs.values().sum::<usize>());
        assert!(memory.pairs.values().all(|count| *count > 0));
        memory.numbers.len()
    }

    #[test]
    fn a_mail_is_known_by_sender_recipients_and_text() {
        let all = new();
        assert!(!all.is_wanted() && !mail(&all, "a", &[1, 2], &["text"]).is_known(End::Upstream));
        mail(&all, "a", &[1, 2], &["te", "xt"]).remember();
        assert!(all.is_wanted());
        let rows: &[(&str, &[u64], &[&str], bool)] = &[
            ("a", &[1, 2], &["text"], true),
            ("a", &[2, 1, 1], &["t", "ext"], true),
            ("a", &[2], &["text"], true),
            ("a", &[1, 2, 3], &["text"], false),
            ("a", &[3], &["text"], false),
            ("b", &[1, 2], &["text"], false),
            ("", &[1, 2], &["text"], false),
            ("at", &[1, 2], &["ext"], false),
            ("a", &[1, 2], &["text\n"], false),
            ("a", &[1, 2], &[], false),
        ];
        for (sender, recipients, pieces, expected) in rows {
            let mut mail = mail(&all, sender, recipients, pieces);
            assert_eq!(mail.is_known(End::Upstream), *expected, "{sender} {recipients:?} {pieces:?}");
            // A connection has many of them, one after the other.
            mail.begin(b"a");
            mail.recipient(End::Upstream, 1);
            mail.text(b"text");
            assert!(mail.is_known(End::Upstream));
        }
        assert_eq!(format!("{all:?}"), "Delivered { number: 2, .. }");
    }

    #[test]
    fn with_its_final_answer_it_is_forgotten() {
        let all = new();
        mail(&all, "a", &[1, 2], &["text"]).remember();
        mail(&all, "b", &[1], &["text"]).remember();
        mail(&all, "a", &[2, 3], &["text"]).forget();
        assert!(
            mail(&all, "a", &[1], &["text"]).is_known(End::Upstream)
                && !mail(&all, "a", &[2], &["text"]).is_known(End::Upstream)
        );
        mail(&all, "a", &[1], &["text"]).forget();
        mail(&all, "b", &[1], &["text"]).forget();
        assert_eq!(number(&all), 0);
        assert!(!all.is_wanted());
    }

    #[test]
    fn recipients_are_one_servers() {
        let all = new();
        let mail = || {
            let mut mail = mail(&all, "a", &[1], &["text"]);
            [2, 3].into_iter().for_each(|list| mail.recipient(End::Mailman, list));
            mail
        };
        let known = || [End::Upstream, End::Mailman].map(|end| mail().is_known(end));
        let mut first = mail();
        first.failed(3);
        first.remember();
        assert_eq!(number(&all), 2);
        assert_eq!(known(), [true, false]);
        let mut second = mail();
        second.failed(1);
        second.remember();
        assert_eq!(known(), [true, true]);
        mail().forget();
        assert_eq!(number(&all), 0);
    }

    #[test]
    fn lists_that_may_have_a_mail() {
        let all = new();
        let may_have = |sender, list| mail(&all, sender, &[], &[]).may_have(list);
        let mail = |sender, lists: &[u64], text| {
            let mut mail = mail(&all, sender, &[7], &[text]);
            lists.iter().for_each(|list| mail.recipient(End::Mailman, *list));
            mail
        };
        mail("a", &[1], "text").remember();
        mail("a", &[1, 2], "other").remember();
        mail("b", &[3], "text").remember();
        assert!(may_have("a", 1) && may_have("a", 2) && may_have("b", 3));
        assert!(!may_have("a", 3) && !may_have("b", 1) && !may_have("", 1));
        assert!(!may_have("a", 7), "it is no list");
        mail("a", &[1], "text").forget();
        assert!(may_have("a", 1), "of the other text");
        mail("a", &[1], "other").forget();
        assert!(!may_have("a", 1) && may_have("a", 2));
        NOW.set(86_400);
        assert!(!may_have("a", 2) && !may_have("b", 3));
        assert_eq!(number(&all), 0);
    }

    #[test]
    fn numbers_have_a_secret() {
        let number = |delivered: &Delivered, address: &str| delivered.number(&mut address.bytes());
        // Two that have one by FNV-1a.
        let (one, two) = ("saa5cdyx5nktn@lists.example", "huc2sx6p6hr7h@lists.example");
        assert_eq!(().number(&mut one.bytes()), ().number(&mut two.bytes()));
        let all = new();
        assert_eq!(number(&all, one), number(&all.clone(), one));
        assert_ne!(number(&all, one), number(&all, two));
        assert_ne!(number(&all, one), number(&new(), one));
    }

    #[test]
    fn lists_stand_back_now_and_then() {
        let all = new();
        let mut mail = mail(&all, "a", &[1], &[]);
        [2, 3].into_iter().for_each(|list| mail.recipient(End::Mailman, list));
        let often = |sender: &str, list| {
            let mut mail = all.clone();
            mail.begin(sender.as_bytes());
            (0..1_000).filter(|_| mail.stands_back(list)).count()
        };
        assert_eq!(often("a", 2), 0);
        mail.stand_back();
        for list in [2, 3] {
            assert!((400..600).contains(&often("a", list)));
        }
        // It fails each time.
        let count = (0..1_000).filter(|_| {
            mail.stand_back();
            mail.stands_back(2)
        });
        assert!((400..600).contains(&count.count()));
        assert_eq!([often("a", 1), often("b", 2)], [0, 0]);
        // With its final answer it is over.
        mail.failed(3);
        mail.forget();
        assert_eq!(often("a", 2), 0);
        assert!(often("a", 3) > 0);
        // Of too many, all are forgotten.
        for list in 0..20_100 {
            mail.begin(b"a");
            mail.recipient(End::Mailman, list);
            mail.stand_back();
            assert!(mail.memory().back.len() <= NUMBER + 1);
        }
        assert!(often("a", 20_099) > 0);
    }

    #[test]
    fn what_is_a_day_old_is_forgotten() {
        let all = new();
        mail(&all, "a", &[1], &[]).remember();
        NOW.set(40_000);
        mail(&all, "b", &[1], &[]).remember();
        let known = || ["a", "b"].map(|sender| mail(&all, sender, &[1], &[]).is_known(End::Upstream));
        NOW.set(86_399);
        assert_eq!(known(), [true, true]);
        NOW.set(86_400);
        assert_eq!(known(), [false, true]);
        assert_eq!(number(&all), 1);
        // Another try that failed makes it young again.
        mail(&all, "b", &[1], &[]).remember();
        NOW.set(40_000 + 86_400);
        assert_eq!(known(), [false, true]);
        NOW.set(2 * 86_400);
        assert!(!all.is_wanted());
        assert_eq!(number(&all), 0);
    }

    #[test]
    fn of_too_many_the_oldest_are_forgotten() {
        let all = new();
        for recipient in 0..10_000 {
            mail(&all, "a", &[recipient], &[]).remember();
        }
        assert_eq!(number(&all), 10_000);
        assert!(mail(&all, "a", &[0], &[]).is_known(End::Upstream));
        mail(&all, "a", &[1], &[]).remember();
        assert_eq!(number(&all), 10_000);
        mail(&all, "a", &[10_000, 10_001], &[]).remember();
        assert_eq!(number(&all), 10_000);
        let known =
            [0, 1, 2, 3, 10_000, 10_001].map(|recipient| mail(&all, "a", &[recipient], &[]).is_known(End::Upstream));
        assert_eq!(known, [false, true, false, true, true, true]);
    }

    #[test]
    fn all_connections_share_it() {
        let all = Delivered::new();
        std::thread::scope(|scope| {
            for number in 0..4 {
                let all = &all;
                scope.spawn(move || {
                    for recipient in 0..500 {
                        mail(all, "a", &[number * 500 + recipient], &["text"]).remember();
                    }
                });
            }
        });
        assert!(mail(&all, "a", &(0..2_000).collect::<Vec<_>>(), &["text"]).is_known(End::Upstream));
        let panics = std::panic::catch_unwind(|| {
            let _memory = all.memory();
            panic!("while it is held");
        });
        assert!(panics.is_err() && all.is_wanted(), "what is remembered is still there");
    }
}
