//! The spool: what sessions were told is what is in the store, in memory.

mod common;
mod stores;

use std::cell::{Cell, RefCell};
use std::task::Waker;

use common::{built, final_codes};
use proptest::collection::vec;
use proptest::prelude::*;
use smtpd_core::handlers::spool::{Envelope, Error, Id, Ram, Spool, Store};
use smtpd_core::server::{Config, Ending, Flow, Handler, Peer, Progress, Session, step};
use stores::{Model, deeds, list, read};

const CONFIG: Config<'static> = Config::new("mx.example.org");

/// A session before a store.
struct Talk<'s, S: Store> {
    session: Session<'s>,
    spool: Spool<'s, S>,
}

impl<'s, S: Store> Talk<'s, S> {
    /// Behind EHLO.
    fn new(store: &'s RefCell<S>) -> Self {
        Self::with(&CONFIG, store, "EHLO c.example\r\n")
    }

    fn with(config: &'s Config<'s>, store: &'s RefCell<S>, hello: &str) -> Self {
        let mut talk = Self { session: Session::new(config, Peer::default()), spool: Spool::new(store) };
        talk.say(hello);
        talk
    }

    /// Steps until nothing moves.
    fn say(&mut self, octets: impl AsRef<[u8]>) -> String {
        let (mut input, mut said) = (octets.as_ref(), Vec::new());
        loop {
            let progress = step(&mut self.session, &mut input, &mut self.spool, Waker::noop());
            if progress == Progress::Moved {
                continue;
            }
            let length = self.session.output().len();
            said.extend_from_slice(self.session.output());
            self.session.sent(length);
            if length == 0 {
                return String::from_utf8(said).expect("replies are ASCII");
            }
        }
    }

    /// Up to 354.
    fn reach_text(&mut self) {
        let said = self.say("MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\n");
        assert_eq!(final_codes(said.as_bytes()), [250, 250, 354]);
    }
}

/// All that is kept, each message whole.
fn kept(store: &RefCell<impl Store>) -> Vec<Vec<u8>> {
    let mut store = store.borrow_mut();
    list(&*store).into_iter().map(|id| read(&mut *store, id, 50)).collect()
}

/// The replies, with enhanced codes only where they are built in.
#[track_caller]
fn hears(said: &str, expected: &str) {
    assert_eq!(said, built(expected));
}

const FULL: &str = "452 4.3.1 No space left\r\n";
const TOO_BIG: &str = "552 5.3.4 Message too big for this server\r\n";
const BROKEN: &str = "451 4.3.0 Storage failed\r\n";

#[test]
fn a_message_is_kept_as_it_came() {
    let store = RefCell::new(Ram::<20, 16>::new());
    let mut talk = Talk::new(&store);
    assert_eq!(talk.spool.kept(), None);
    talk.say("MAIL FROM:<@r.example:a@b.example> SIZE=20 BODY=8BITMIME\r\nRCPT TO:<c@d.example>\r\n");
    talk.say("RCPT TO:<\"e \"@f.example>\r\nRCPT TO:<postMASTER>\r\nDATA\r\nSubject: x\r\n\r\n..\r\n.dot \u{e9}\r\nbare\nLF\r\n");
    assert_eq!(kept(&store), [b""; 0]);
    assert_eq!(final_codes(talk.say(".\r\n").as_bytes()), [250]);
    let text = "Subject: x\r\n\r\n.\r\ndot \u{e9}\r\nbare\nLF\r\n";
    let envelope = "<a@b.example>\r\n<c@d.example>\r\n<\"e \"@f.example>\r\n<postMASTER>\r\n\r\n";
    assert_eq!(kept(&store), [[envelope, text].concat().into_bytes()]);

    let id = talk.spool.kept().expect("kept");
    let (mut own, mut line, mut reader) = (store.borrow_mut(), [0; Envelope::LINE], Envelope::new(id));
    let paths = std::iter::from_fn(|| reader.next(&mut *own, &mut line).unwrap().map(<[u8]>::to_vec));
    assert_eq!(paths.collect::<Vec<_>>(), [&b"a@b.example"[..], b"c@d.example", b"\"e \"@f.example", b"postMASTER"]);
    assert_eq!(reader.next(&mut *own, &mut line), Ok(None));
    assert_eq!(reader.offset() as usize, envelope.len());
    let mut reader = Envelope::new(id);
    assert_eq!(reader.next(&mut *own, &mut line[..14]), Err(Error::TooBig));
    assert_eq!(reader.next(&mut *own, &mut line[..15]), Ok(Some(&b"a@b.example"[..])));
}

#[test]
fn no_sender_and_no_text() {
    let store = RefCell::new(Ram::<20, 16>::new());
    let mut talk = Talk::new(&store);
    let said = talk.say("MAIL FROM:<>\r\nRCPT TO:<c@d.example>\r\nDATA\r\n.\r\n");
    assert_eq!(final_codes(said.as_bytes()), [250, 250, 354, 250]);
    assert_eq!(kept(&store), [b"<>\r\n<c@d.example>\r\n\r\n"]);
    let mut own = store.borrow_mut();
    let (mut line, mut reader) = ([0; Envelope::LINE], Envelope::new(talk.spool.kept().unwrap()));
    assert_eq!(reader.next(&mut *own, &mut line), Ok(Some(&b""[..])));
    // Not put there by a spool.
    let id = own.begin().unwrap();
    own.append(id, &[b"a@b.example\r\n\r\n"]).unwrap();
    own.commit(id).unwrap();
    assert_eq!(Envelope::new(id).next(&mut *own, &mut line), Err(Error::Broken));
    let id = own.begin().unwrap();
    own.append(id, &[b"<a@b.example>"]).unwrap();
    own.commit(id).unwrap();
    assert_eq!(Envelope::new(id).next(&mut *own, &mut line), Err(Error::Broken));
}

#[test]
fn what_cannot_fit_is_refused_at_mail() {
    let store = RefCell::new(Ram::<4, 64>::new());
    let mut talk = Talk::new(&store);
    hears(&talk.say("MAIL FROM:<a@b.example> SIZE=257\r\n"), TOO_BIG);
    hears(&talk.say("MAIL FROM:<a@b.example> SIZE=256\r\n"), "250 2.1.0 OK\r\n");
    // One block of the other's is taken.
    let mut other = Talk::new(&store);
    hears(&other.say("MAIL FROM:<a@b.example> SIZE=193\r\n"), FULL);
    hears(&other.say("MAIL FROM:<a@b.example> SIZE=257\r\n"), TOO_BIG);
    hears(&other.say("MAIL FROM:<a@b.example> SIZE=192\r\n"), "250 2.1.0 OK\r\n");
    let mut others = [Talk::new(&store), Talk::new(&store), Talk::new(&store)];
    hears(&others[0].say("MAIL FROM:<>\r\n"), "250 2.1.0 OK\r\n");
    hears(&others[1].say("MAIL FROM:<>\r\n"), "250 2.1.0 OK\r\n");
    hears(&others[2].say("MAIL FROM:<>\r\n"), FULL);
    others[1].say("RSET\r\n");
    hears(&others[2].say("MAIL FROM:<>\r\n"), "250 2.1.0 OK\r\n");
    // A path that no store could hold takes no block with it.
    let tiny = RefCell::new(Ram::<1, 8>::new());
    let mut talk = Talk::new(&tiny);
    hears(&talk.say("MAIL FROM:<a@b.example>\r\n"), TOO_BIG);
    assert_eq!(tiny.borrow().room(), 8);
    hears(&talk.say("MAIL FROM:<>\r\n"), "250 2.1.0 OK\r\n");
}

#[test]
fn recipients_without_room_do_not_end_the_transaction() {
    let store = RefCell::new(Ram::<2, 32>::new());
    let mut talk = Talk::new(&store);
    hears(&talk.say("MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\n"), "250 2.1.0 OK\r\n250 2.1.5 OK\r\n");
    let mut other = Talk::new(&store);
    hears(&other.say("MAIL FROM:<>\r\n"), "250 2.1.0 OK\r\n");
    // Later there will be room; and no store of this size has any for so long a path.
    hears(&talk.say("RCPT TO:<e@f.example>\r\n"), FULL);
    let long = format!("RCPT TO:<{}@f.example>\r\n", "e".repeat(30));
    hears(&talk.say(&long), "452 4.5.3 Too many recipients\r\n");
    assert_eq!(final_codes(talk.say("DATA\r\n.\r\n").as_bytes()), [354, 250]);
    assert_eq!(kept(&store), [b"<a@b.example>\r\n<c@d.example>\r\n\r\n"]);
}

#[test]
fn a_text_without_room_is_refused_at_its_end_and_makes_room_at_once() {
    let store = RefCell::new(Ram::<4, 32>::new());
    let line = "0123456789 0123456789 0123456\r\n";
    let mut talk = Talk::new(&store);
    talk.reach_text();
    assert_eq!(store.borrow().room(), 96);
    let text = line.repeat(3);
    assert_eq!(talk.say(&text), "");
    assert_eq!(store.borrow().room(), 0);
    assert_eq!(talk.say(line), "");
    assert_eq!(store.borrow().room(), 128, "the rest of the text is not for the store");
    hears(&talk.say([line, ".\r\n"].concat()), TOO_BIG);
    // For a handler around it too that does not refuse yet.
    talk.reach_text();
    assert!(matches!(talk.spool.text(&[0; 256]), Flow::Refuse(_)));
    assert_eq!(store.borrow().room(), 128);
    talk.say(".\r\n");
    talk.reach_text();
    assert_eq!(final_codes(talk.say([&text, ".\r\n"].concat()).as_bytes()), [250]);
    hears(&talk.say("MAIL FROM:<>\r\n"), FULL);

    let id = talk.spool.kept();
    assert_eq!(id, None, "another one begins");
    let id = list(&*store.borrow())[0];
    store.borrow_mut().remove(id).unwrap();
    talk.reach_text();
    let mut other = Talk::new(&store);
    other.reach_text();
    assert_eq!((talk.say(&text[..60]), store.borrow().room()), (String::new(), 0));
    assert_eq!((other.say(line), store.borrow().room()), (String::new(), 32));
    assert_eq!(final_codes(talk.say("\r\n.\r\n").as_bytes()), [250]);
    hears(&other.say(".\r\n"), FULL);
    assert_eq!(kept(&store).len(), 1);
}

#[test]
fn the_end_of_the_envelope_needs_room_too() {
    // The envelope without its last line fills the store.
    let store = RefCell::new(Ram::<2, 15>::new());
    let mut talk = Talk::new(&store);
    talk.reach_text();
    hears(&talk.say(".\r\n"), TOO_BIG);
    assert_eq!((kept(&store).len(), store.borrow().room()), (0, 30));
}

#[test]
fn what_ends_without_a_message_leaves_nothing() {
    for end in ["RSET\r\n", "EHLO c.example\r\n", "QUIT\r\n"] {
        let store = RefCell::new(Ram::<4, 32>::new());
        let mut talk = Talk::new(&store);
        talk.say("MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\n");
        assert_eq!(store.borrow().room(), 96);
        talk.say(end);
        assert_eq!((kept(&store).len(), store.borrow().room()), (0, 128), "{end}");
    }
    let store = RefCell::new(Ram::<4, 32>::new());
    let mut talk = Talk::new(&store);
    talk.reach_text();
    talk.say("some text\r\n");
    talk.session.end(Ending::Lost);
    talk.say("");
    assert_eq!((kept(&store).len(), store.borrow().room()), (0, 128));
    // An async driver that is dropped calls nothing.
    let mut talk = Talk::new(&store);
    talk.reach_text();
    assert_eq!(store.borrow().room(), 96);
    drop(talk);
    assert_eq!(store.borrow().room(), 128);
}

#[cfg(feature = "lmtp")]
#[test]
fn lmtp_keeps_a_message_once() {
    let config = {
        let mut config = CONFIG;
        config.lmtp = true;
        config
    };
    let store = RefCell::new(Ram::<4, 32>::new());
    let mut talk = Talk::with(&config, &store, "LHLO c.example\r\n");
    let envelope =
        "MAIL FROM:<>\r\nRCPT TO:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nRCPT TO:<e@f.example>\r\nDATA\r\n";
    assert_eq!(
        final_codes(talk.say([envelope, "x\r\n.\r\n"].concat()).as_bytes()),
        [250, 250, 250, 250, 354, 250, 250, 250]
    );
    assert_eq!(kept(&store), [b"<>\r\n<a@b.example>\r\n<c@d.example>\r\n<e@f.example>\r\n\r\nx\r\n"]);
    let id = talk.spool.kept().unwrap();
    store.borrow_mut().remove(id).unwrap();
    talk.say(envelope);
    let text = "0123456789\r\n".repeat(9);
    hears(&talk.say([&text, ".\r\n"].concat()), &TOO_BIG.repeat(3));
    assert_eq!((store.borrow().room(), talk.spool.kept()), (128, None));
}

/// Fails at a deed of its own choice.
#[derive(Default)]
struct Failing {
    ram: Ram<8, 32>,
    append: Cell<bool>,
    commit: Cell<bool>,
}

impl Store for Failing {
    fn begin(&mut self) -> Result<Id, Error> {
        self.ram.begin()
    }
    fn append(&mut self, id: Id, pieces: &[&[u8]]) -> Result<(), Error> {
        if self.append.get() { Err(Error::Broken) } else { self.ram.append(id, pieces) }
    }
    fn commit(&mut self, id: Id) -> Result<(), Error> {
        if self.commit.get() { Err(Error::Broken) } else { self.ram.commit(id) }
    }
    fn abandon(&mut self, id: Id) {
        self.ram.abandon(id);
    }
    fn next(&self, after: Option<Id>) -> Option<Id> {
        self.ram.next(after)
    }
    fn len(&self, id: Id) -> Option<u32> {
        self.ram.len(id)
    }
    fn read(&mut self, id: Id, offset: u32, octets: &mut [u8]) -> Result<usize, Error> {
        self.ram.read(id, offset, octets)
    }
    fn remove(&mut self, id: Id) -> Result<(), Error> {
        self.ram.remove(id)
    }
    fn room(&self) -> usize {
        self.ram.room()
    }
    fn capacity(&self) -> usize {
        self.ram.capacity()
    }
}

#[test]
fn a_store_that_fails() {
    let store = RefCell::new(Failing::default());
    let mut talk = Talk::new(&store);
    talk.reach_text();
    store.borrow().commit.set(true);
    hears(&talk.say("x\r\n.\r\n"), BROKEN);
    assert_eq!((store.borrow().room(), talk.spool.kept()), (256, None));
    store.borrow().commit.set(false);
    talk.reach_text();
    store.borrow().append.set(true);
    hears(&talk.say("x\r\n.\r\n"), BROKEN);
    assert_eq!(store.borrow().room(), 256);
    hears(&talk.say("MAIL FROM:<>\r\n"), BROKEN);
    assert_eq!(store.borrow().room(), 256);
    store.borrow().append.set(false);
    talk.say("MAIL FROM:<>\r\n");
    store.borrow().append.set(true);
    hears(&talk.say("RCPT TO:<c@d.example>\r\n"), BROKEN);
    store.borrow().append.set(false);
    talk.say("RSET\r\n");
    talk.reach_text();
    assert_eq!(final_codes(talk.say("x\r\n.\r\n").as_bytes()), [250]);
    assert_eq!(kept(&store).len(), 1);
}

#[test]
fn a_store_that_somebody_holds() {
    let store = RefCell::new(Ram::<4, 32>::new());
    let mut talk = Talk::new(&store);
    let held = store.borrow_mut();
    hears(&talk.say("MAIL FROM:<>\r\n"), BROKEN);
    drop(held);
    talk.reach_text();
    let held = store.borrow_mut();
    hears(&talk.say("x\r\n.\r\n"), BROKEN);
    // It could not even be abandoned.
    assert_eq!(held.room(), 96);
    drop(held);
    talk.reach_text();
    assert_eq!(store.borrow().room(), 96);
    assert_eq!(final_codes(talk.say("x\r\n.\r\n").as_bytes()), [250]);
    assert_eq!(kept(&store).len(), 1);
}

/// A mail with so many recipients and a text of so many lines.
fn mail(recipients: usize, lines: usize, number: usize) -> (String, String, Vec<u8>) {
    let mut envelope = format!("MAIL FROM:<{number}@b.example>\r\n");
    let mut stored = format!("<{number}@b.example>\r\n");
    for recipient in 0..recipients {
        envelope += &format!("RCPT TO:<{recipient}@d.example>\r\n");
        stored += &format!("<{recipient}@d.example>\r\n");
    }
    let text: String = (0..lines).map(|line| format!("line {line} of {number}\r\n")).collect();
    stored += "\r\n";
    stored += &text;
    (envelope, text, stored.into_bytes())
}

/// Three sessions, a few octets of each at a time; what is kept is what was answered 250, and whoever was not heard why.
fn talk_at_once<const BLOCKS: usize, const BLOCK: usize>(mails: &[(usize, usize)], cuts: &[usize]) {
    let store = RefCell::new(Ram::<BLOCKS, BLOCK>::new());
    let mut talks = [Talk::new(&store), Talk::new(&store), Talk::new(&store)];
    let mails: Vec<_> =
        mails.iter().enumerate().map(|(number, (recipients, lines))| mail(*recipients, *lines, number)).collect();
    // Each says one command or one text, and reads the answer: a client that waits can do without DATA if it was refused.
    let mut expected: Vec<Vec<u8>> = Vec::new();
    for group in mails.chunks(3) {
        let mut rest: Vec<(Vec<u8>, String)> = Vec::new();
        for (talk, (envelope, _, _)) in talks.iter_mut().zip(group) {
            let said = talk.say(envelope);
            rest.push((Vec::new(), said));
        }
        for (own, (_, text, _)) in rest.iter_mut().zip(group) {
            if final_codes(own.1.as_bytes()).iter().all(|code| *code == 250) {
                own.0 = ["DATA\r\n", text, ".\r\n"].concat().into_bytes();
            } else {
                own.0 = b"RSET\r\n".to_vec();
            }
            own.1.clear();
        }
        let mut turn = 0;
        while rest.iter().any(|(octets, _)| !octets.is_empty()) {
            for (talk, (octets, said)) in talks.iter_mut().zip(&mut rest) {
                let length = cuts[turn % cuts.len()].min(octets.len());
                turn += 1;
                *said += &talk.say(octets.drain(..length).collect::<Vec<u8>>());
            }
        }
        for (talk, ((_, said), (_, _, stored))) in talks.iter().zip(rest.iter().zip(group)) {
            match final_codes(said.as_bytes())[..] {
                [354, 250] => {
                    assert!(talk.spool.kept().is_some());
                    expected.push(stored.clone());
                }
                [354, 452 | 552] | [250] => assert!(talk.spool.kept().is_none()),
                _ => panic!("{said}"),
            }
        }
    }
    let mut found = kept(&store);
    found.sort();
    expected.sort();
    assert!(found == expected);
    let ids = list(&*store.borrow());
    for id in ids {
        store.borrow_mut().remove(id).unwrap();
    }
    assert_eq!(store.borrow().room(), BLOCKS * BLOCK);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn sessions_at_once(mails in vec((1_usize..6, 0_usize..30), 1..10), cuts in vec(1_usize..90, 1..8)) {
        talk_at_once::<64, 32>(&mails, &cuts);
        talk_at_once::<3, 200>(&mails, &cuts);
        talk_at_once::<400, 1>(&mails, &cuts);
        talk_at_once::<1, 300>(&mails, &cuts);
    }

    #[test]
    fn whatever_is_done_to_memory(deeds in deeds(120)) {
        does::<12, 50>(&deeds);
        does::<1, 700>(&deeds);
        does::<300, 1>(&deeds);
        does::<3, 64>(&deeds);
    }
}

fn does<const BLOCKS: usize, const BLOCK: usize>(deeds: &[stores::Deed]) {
    let (mut store, mut model) = (Ram::<BLOCKS, BLOCK>::new(), Model::default());
    for deed in deeds {
        assert!(model.does(&mut store, *deed), "{deed:?}");
        model.holds(&mut store);
    }
    model.ends(&mut store);
}
