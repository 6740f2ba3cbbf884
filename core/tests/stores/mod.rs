//! What a store has to hold, and what is done to one to see whether it does.
#![allow(dead_code, unreachable_pub, reason = "each test file takes a part of it")]

use std::collections::BTreeMap;

use proptest::prelude::*;
use smtpd_core::handlers::spool::{Error, Id, Store};

/// What is done to a store. Sessions and messages are counted modulo how many there are.
#[derive(Clone, Copy, Debug)]
pub enum Deed {
    Begin,
    /// Adds so many octets, in two pieces, to a session's message.
    Append(usize, usize),
    Commit(usize),
    Abandon(usize),
    /// Takes one of those that are kept.
    Remove(usize),
    /// Takes the oldest.
    Take,
    /// Fills a new message up to what `room` promises.
    Fill,
}

/// How far a message came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Begun,
    /// `commit` began, and no more is known.
    Committing,
    Kept,
    /// `remove` began, and no more is known.
    Removing,
    Gone,
}

/// What a store was told and what it said to it.
#[derive(Default)]
pub struct Model {
    messages: BTreeMap<u32, (Fate, Vec<u8>)>,
    /// Messages under way.
    sessions: Vec<Id>,
    /// Messages that are gone: their places may be those of others.
    gone: Vec<Id>,
    /// The newest that was ever seen to be kept.
    newest: u32,
    octet: u8,
}

impl Model {
    /// Does it; false when the store says that it is broken.
    pub fn does(&mut self, store: &mut impl Store, deed: Deed) -> bool {
        let result = match deed {
            Deed::Begin => self.begin(store),
            Deed::Append(session, length) => self.on(session, |own, id| own.append(store, id, length)),
            Deed::Commit(session) => self.on(session, |own, id| own.commit(store, id)),
            Deed::Abandon(session) => self.on(session, |own, id| {
                store.abandon(id);
                own.forget(id);
                Ok(())
            }),
            Deed::Remove(place) => {
                let kept: Vec<Id> = list(store);
                kept.get(place % kept.len().max(1)).map_or(Ok(()), |id| self.remove(store, *id))
            }
            Deed::Take => store.next(None).map_or(Ok(()), |id| self.remove(store, id)),
            Deed::Fill => self.fill(store),
        };
        result != Err(Error::Broken)
    }

    fn on(&mut self, session: usize, then: impl FnOnce(&mut Self, Id) -> Result<(), Error>) -> Result<(), Error> {
        match self.sessions.get(session % self.sessions.len().max(1)) {
            Some(id) => then(self, *id),
            None => Ok(()),
        }
    }

    fn begin(&mut self, store: &mut impl Store) -> Result<(), Error> {
        let has_room = store.room() > 0;
        let id = store.begin();
        assert_eq!(has_room, id.is_ok(), "{id:?}");
        let id = id?;
        assert!(id.number() > self.newest, "{id:?} after {}", self.newest);
        assert!(self.sessions.iter().all(|other| *other < id), "{id:?}");
        self.messages.insert(id.number(), (Fate::Begun, Vec::new()));
        self.sessions.push(id);
        Ok(())
    }

    fn append(&mut self, store: &mut impl Store, id: Id, length: usize) -> Result<(), Error> {
        let octets: Vec<u8> = std::iter::repeat_with(|| {
            self.octet = self.octet.wrapping_mul(5).wrapping_add(1);
            self.octet
        })
        .take(length)
        .collect();
        let (head, tail) = octets.split_at(length / 3);
        let message = &mut self.messages.get_mut(&id.number()).unwrap().1;
        let result = store.append(id, &[head, tail]);
        if result == Err(Error::Broken) {
            self.forget(id);
            return result;
        }
        let is_too_big = message.len() + length > store.capacity();
        assert_eq!(is_too_big, result == Err(Error::TooBig), "{result:?}");
        if result.is_ok() {
            message.extend_from_slice(&octets);
        }
        result
    }

    fn commit(&mut self, store: &mut impl Store, id: Id) -> Result<(), Error> {
        self.sessions.retain(|other| *other != id);
        self.set(id, Fate::Committing);
        let result = store.commit(id);
        if result == Err(Error::Full) {
            self.set(id, Fate::Gone);
        }
        result?;
        self.newest = self.newest.max(id.number());
        self.set(id, Fate::Kept);
        assert_eq!(store.commit(id), Err(Error::Broken), "kept twice");
        assert_eq!(store.append(id, &[b"x"]), Err(Error::Broken), "kept already");
        store.abandon(id);
        Ok(())
    }

    fn remove(&mut self, store: &mut impl Store, id: Id) -> Result<(), Error> {
        self.set(id, Fate::Removing);
        store.remove(id)?;
        self.set(id, Fate::Gone);
        self.gone.push(id);
        Ok(())
    }

    /// A promise is kept: a new message takes all the room, and no more. It is taken away at once, if all goes well.
    fn fill(&mut self, store: &mut impl Store) -> Result<(), Error> {
        let room = store.room();
        if room == 0 {
            return Ok(());
        }
        self.begin(store)?;
        let id = *self.sessions.last().unwrap();
        for piece in [room / 2, room - room / 2] {
            let result = self.append(store, id, piece);
            if result == Err(Error::Broken) {
                return result;
            }
            assert_eq!(result, Ok(()), "{piece} of {room}");
        }
        self.commit(store, id)?;
        self.holds(store);
        self.remove(store, id)
    }

    fn set(&mut self, id: Id, fate: Fate) {
        self.messages.get_mut(&id.number()).unwrap().0 = fate;
    }

    fn forget(&mut self, id: Id) {
        self.sessions.retain(|other| *other != id);
        self.set(id, Fate::Gone);
        self.gone.push(id);
    }

    /// It was broken, and still has power: what it failed to keep must not be there.
    pub fn goes_on(&mut self) {
        for (fate, _) in self.messages.values_mut() {
            if *fate == Fate::Committing {
                *fate = Fate::Gone;
            }
        }
    }

    /// Without power for a while: what was under way is gone.
    pub fn restart(&mut self) {
        self.gone.clear();
        for id in std::mem::take(&mut self.sessions) {
            self.set(id, Fate::Gone);
        }
    }

    /// All that was kept is there whole, and nothing else is.
    pub fn holds(&mut self, store: &mut impl Store) {
        let listed = list(store);
        for (number, (fate, octets)) in &mut self.messages {
            let id = listed.iter().find(|id| id.number() == *number);
            match (*fate, id) {
                (Fate::Kept | Fate::Committing | Fate::Removing, Some(id)) => {
                    assert_eq!(store.len(*id), Some(octets.len() as u32), "{number}");
                    assert!(read(store, *id, 61) == *octets, "{number} is not what it was");
                    self.newest = self.newest.max(*number);
                    if *fate == Fate::Committing {
                        *fate = Fate::Kept;
                    }
                }
                (Fate::Kept, None) => panic!("{number} was kept, and is not there"),
                (Fate::Committing | Fate::Removing, None) => *fate = Fate::Gone,
                (Fate::Begun | Fate::Gone, Some(_)) => panic!("{number} is there, and {fate:?}"),
                (Fate::Begun | Fate::Gone, None) => {}
            }
        }
        assert!(listed.iter().all(|id| self.messages.contains_key(&id.number())), "there is more");
        for id in self.gone.iter().chain(&self.sessions) {
            assert_eq!(store.len(*id), None, "{id:?}");
            assert_eq!(store.read(*id, 0, &mut [0]), Err(Error::Broken), "{id:?}");
            assert_eq!(store.remove(*id), Err(Error::Broken), "{id:?}");
        }
        for id in &self.gone {
            store.abandon(*id);
            assert_eq!(store.append(*id, &[b"x"]), Err(Error::Broken), "{id:?}");
            assert_eq!(store.commit(*id), Err(Error::Broken), "{id:?}");
        }
    }

    /// An empty store has the room that it promises.
    pub fn ends(&mut self, store: &mut impl Store) {
        for id in std::mem::take(&mut self.sessions) {
            store.abandon(id);
            self.set(id, Fate::Gone);
        }
        while let Some(id) = store.next(None) {
            self.remove(store, id).unwrap();
        }
        assert!(store.capacity() > 0);
        assert_eq!(store.room(), store.capacity());
        assert!(self.does(store, Deed::Fill));
        self.holds(store);
    }
}

/// All that are kept, oldest first.
pub fn list(store: &impl Store) -> Vec<Id> {
    let ids: Vec<Id> = std::iter::successors(store.next(None), |id| store.next(Some(*id))).collect();
    assert!(ids.is_sorted_by(|one, other| one < other), "{ids:?}");
    ids
}

/// A message, read in pieces; from its end and from its middle too.
pub fn read(store: &mut impl Store, id: Id, piece: usize) -> Vec<u8> {
    let mut octets = Vec::new();
    let mut buffer = vec![0; piece];
    loop {
        match store.read(id, octets.len() as u32, &mut buffer).unwrap() {
            0 => break,
            length => octets.extend_from_slice(&buffer[..length]),
        }
    }
    let middle = octets.len() / 2;
    let mut rest = vec![0; octets.len() + 1];
    assert_eq!(store.read(id, middle as u32, &mut rest), Ok(octets.len() - middle));
    assert!(rest.starts_with(&octets[middle..]), "read from the middle");
    assert_eq!(store.read(id, u32::MAX, &mut rest), Ok(0));
    octets
}

/// Deeds as they come, most of them small.
pub fn deeds(most: usize) -> impl Strategy<Value = Vec<Deed>> {
    let length = prop_oneof![3 => 0_usize..20, 3 => 0_usize..200, 1 => 0_usize..2_000];
    let deed = prop_oneof![
        4 => Just(Deed::Begin),
        8 => (0_usize..8, length).prop_map(|(session, length)| Deed::Append(session, length)),
        4 => (0_usize..8).prop_map(Deed::Commit),
        1 => (0_usize..8).prop_map(Deed::Abandon),
        1 => (0_usize..8).prop_map(Deed::Remove),
        2 => Just(Deed::Take),
        1 => Just(Deed::Fill),
    ];
    proptest::collection::vec(deed, 0..most)
}
