//! Sender: sends what a store keeps to a server.

use super::{Envelope, Error, Id, Store};
use crate::client::Command;
use crate::relay::{Heard, Leg};
use crate::server::Extensions;
use crate::store;
use crate::wire::Reply;

/// Sends the messages of a store to one server, the oldest first, and removes each when the server has said 250 to it, or will
/// never take it. Without I/O: it drives a [`Leg`], which an adapter connects.
///
/// - Whatever may be different another time (no connection, 4yz) is tried again, later and later: see [`Retry`]. Meanwhile the
///   messages behind it wait too, so they come in their order.
/// - A recipient that is refused for good (5yz) is left out. One that is refused for now holds its message back from all, so that
///   nobody gets it twice.
/// - A message whose 250 got lost on its way comes twice: no client can help it (RFC 1047), so give it a `Message-ID`.
/// - BODY is not said, so texts should be ASCII.
///
/// # How to drive it
/// 1. Give [`leg`](Self::leg) its turn in the adapter, as a relay's. Then [`poll`](Self::poll); and so on until that is
///    [`Event::Idle`].
/// 2. Do so again when the adapter wants it, when a message was added to the store, and when [`left`](Self::left) is over.
///
/// The clock counts milliseconds from anywhere and may wrap; it never goes back.
#[derive(Debug)]
pub struct Sender<O: store::Store> {
    leg: Leg<O>,
    retry: Retry,
    /// Of the random part of each delay.
    random: u32,
    /// Attempts in a row that came to nothing.
    failures: u8,
    state: State,
}

/// How long to wait behind an attempt that failed: at first so many seconds, then twice as long each time, up to `most`; of
/// each, a random part of the second half is left out, so that many devices behind one failure do not come back as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Retry {
    /// Behind the first one.
    pub first: u32,
    /// At most.
    pub most: u32,
}

impl Retry {
    /// A minute at first, half an hour at most (RFC 5321 §4.5.4.1 asks for that much at least, and sooner ones at first).
    pub const DEFAULT: Self = Self { first: 60, most: 1_800 };
}

/// What became of a message.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Event<'s> {
    /// Nothing: it waits for its leg, for the time, or for a message.
    Idle,
    /// Nothing yet, but something went on: give the leg a turn.
    Moved,
    /// The server has it; the store has it no more.
    Sent(Id),
    /// It will not be sent to one of its recipients: the server's reply.
    Refused(Id, Reply<'s>),
    /// It will not be sent to anybody, and the store has it no more: the server's reply, or what is wrong with the store.
    GivenUp(Id, Reply<'s>),
    /// It could not be sent now: why, and in how many milliseconds it is tried again.
    Later(Id, Reply<'s>, u32),
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// Looks for the oldest message.
    Ready,
    /// Hangs up, and does nothing for so many milliseconds.
    Waits {
        since: u32,
        millis: u32,
    },
    Sends(Sending),
}

/// A message under way.
#[derive(Clone, Copy, Debug)]
struct Sending {
    id: Id,
    envelope: Envelope,
    /// How far its text went.
    offset: u32,
    /// Somebody gets it.
    is_accepted: bool,
    /// There is no recipient behind the one that was said.
    is_last: bool,
    step: Step,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// The next recipient is to be said, or DATA.
    Recipient,
    Text,
    /// That was said, and has no reply.
    Said(Command),
}

/// Octets that are read from the store at a time.
const PIECE: usize = 64;

impl<O: store::Store> Sender<O> {
    /// Over a leg that nobody else uses. `seed` is of the random parts, and should be another one on each device.
    #[must_use]
    pub const fn new(leg: Leg<O>, retry: Retry, seed: u32) -> Self {
        Self { leg, retry, random: seed | 1, failures: 0, state: State::Ready }
    }

    /// The leg, for the adapter.
    pub const fn leg(&mut self) -> &mut Leg<O> {
        &mut self.leg
    }

    /// Milliseconds until the next attempt; none: it waits for something else.
    #[must_use]
    pub const fn left(&self, now: u32) -> Option<u32> {
        match self.state {
            State::Waits { since, millis } => Some(millis.saturating_sub(now.wrapping_sub(since))),
            _ => None,
        }
    }

    /// Goes on, as far as the leg lets it.
    pub fn poll(&mut self, store: &mut (impl Store + ?Sized), now: u32) -> Event<'_> {
        match self.state {
            State::Ready => match store.next(None) {
                Some(id) => self.begin(id, store),
                None => self.hang_up(),
            },
            State::Waits { .. } if self.left(now) != Some(0) || self.leg.is_up() => self.hang_up(),
            State::Waits { .. } => {
                self.state = State::Ready;
                Event::Moved
            }
            State::Sends(sending) => match sending.step {
                Step::Recipient => self.recipient(sending, store),
                Step::Text => self.text(sending, store),
                Step::Said(command) => self.hear(sending, command, store, now),
            },
        }
    }

    fn begin(&mut self, id: Id, store: &mut (impl Store + ?Sized)) -> Event<'_> {
        let (mut envelope, mut line) = (Envelope::new(id), [0; Envelope::LINE]);
        match envelope.next(store, &mut line) {
            Ok(Some(path)) => self.leg.mail(path, b"", Extensions::NONE),
            Ok(None) => return self.give_up(id, Error::Broken, store),
            Err(error) => return self.give_up(id, error, store),
        }
        let step = Step::Said(Command::Mail);
        self.state = State::Sends(Sending { id, envelope, offset: 0, is_accepted: false, is_last: false, step });
        Event::Moved
    }

    fn recipient(&mut self, mut sending: Sending, store: &mut (impl Store + ?Sized)) -> Event<'_> {
        let mut line = [0; Envelope::LINE];
        let said = match sending.envelope.next(store, &mut line) {
            Ok(Some(path)) => {
                self.leg.rcpt(path, b"");
                Command::Rcpt
            }
            Ok(None) => {
                self.leg.data();
                Command::Data
            }
            Err(error) => return self.give_up(sending.id, error, store),
        };
        sending.offset = sending.envelope.offset();
        let mut behind = sending.envelope;
        sending.is_last = !matches!(behind.next(store, &mut line), Ok(Some(_)));
        self.state = State::Sends(Sending { step: Step::Said(said), ..sending });
        Event::Moved
    }

    fn text(&mut self, mut sending: Sending, store: &mut (impl Store + ?Sized)) -> Event<'_> {
        let room = self.leg.room().min(PIECE);
        let mut piece = [0; PIECE];
        let read = match piece.get_mut(..room) {
            None | Some([]) => return Event::Idle,
            Some(piece) => store.read(sending.id, sending.offset, piece),
        };
        match read {
            Ok(0) => {
                self.leg.end_text();
                sending.step = Step::Said(Command::Message);
            }
            Ok(octets) => {
                self.leg.text(piece.get(..octets).unwrap_or_default());
                sending.offset = sending.offset.saturating_add(u32::try_from(octets).unwrap_or(u32::MAX));
            }
            // Its text is not ended, so the server keeps nothing of it.
            Err(error) => return self.give_up(sending.id, error, store),
        }
        self.state = State::Sends(sending);
        Event::Moved
    }

    fn hear(&mut self, mut sending: Sending, said: Command, store: &mut (impl Store + ?Sized), now: u32) -> Event<'_> {
        let Self { leg, state, failures, retry, random } = self;
        let id = sending.id;
        let (heard, reply) = match leg.heard() {
            Heard::Later => return Event::Idle,
            Heard::Reply(heard, reply) => (Some(heard), reply),
            Heard::Gone(reply) => (None, reply),
        };
        let is_only = sending.is_last && !sending.is_accepted;
        match (said, reply.code()) {
            (Command::Message, ..400) => {
                (*failures, *state) = (0, State::Ready);
                // What is lost with an error is gone as well.
                let _ = store.remove(id);
                Event::Sent(id)
            }
            (_, ..400) => {
                sending.is_accepted |= said == Command::Rcpt;
                sending.step = if said == Command::Data { Step::Text } else { Step::Recipient };
                *state = State::Sends(sending);
                Event::Moved
            }
            // A server's no to its clients is none to this message.
            (_, 500..) if heard == Some(said) && (said != Command::Rcpt || is_only) => {
                (*failures, *state) = (0, State::Waits { since: now, millis: 0 });
                let _ = store.remove(id);
                Event::GivenUp(id, reply)
            }
            (Command::Rcpt, 500..) if heard == Some(said) => {
                *state = State::Sends(Sending { step: Step::Recipient, ..sending });
                Event::Refused(id, reply)
            }
            _ => {
                let millis = retry.delay(*failures, random);
                (*failures, *state) = (failures.saturating_add(1), State::Waits { since: now, millis });
                Event::Later(id, reply, millis)
            }
        }
    }

    /// Says QUIT, if there is somebody to say it to.
    fn hang_up(&mut self) -> Event<'_> {
        if !self.leg.is_up() {
            return Event::Idle;
        }
        self.leg.close();
        Event::Moved
    }

    /// The store has no such message.
    fn give_up(&mut self, id: Id, error: Error, store: &mut (impl Store + ?Sized)) -> Event<'_> {
        let _ = store.remove(id);
        self.leg.close();
        self.state = State::Ready;
        Event::GivenUp(id, error.reply())
    }
}

impl Retry {
    /// Milliseconds behind an attempt that failed, as so many before it.
    fn delay(self, failures: u8, random: &mut u32) -> u32 {
        let secs = 1_u32.checked_shl(failures.into()).map_or(u32::MAX, |times| self.first.saturating_mul(times));
        let half = secs.min(self.most).saturating_mul(1_000) / 2;
        // Xorshift (Marsaglia 2003).
        *random ^= *random << 13;
        *random ^= *random >> 17;
        *random ^= *random << 5;
        half.saturating_add(random.checked_rem(half).unwrap_or(0))
    }
}
