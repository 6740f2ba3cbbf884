//! A cable between two stacks, as bad as one likes.

use std::cell::RefCell;
use std::rc::Rc;

use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::time::{Duration, Instant};

/// What a cable does to frames; each chance is one in so many, 0: never.
#[derive(Clone, Copy, Debug)]
pub struct Faults {
    pub loss: u64,
    pub duplication: u64,
    /// How often a frame is late, and others pass it.
    pub reordering: u64,
    /// Milliseconds that each frame takes.
    pub delay: u64,
    /// Octets of the greatest packet.
    pub mtu: usize,
    pub medium: Medium,
}

impl Faults {
    /// A good one.
    pub const NONE: Self = Self { loss: 0, duplication: 0, reordering: 0, delay: 0, mtu: 576, medium: Medium::Ip };
    /// One that is out.
    pub const CUT: Self = Self { loss: 1, ..Self::NONE };

    /// One of all kinds.
    pub fn any(chance: &mut Chance) -> Self {
        Self {
            loss: chance.one_of(&[0, 50, 20, 7]),
            duplication: chance.one_of(&[0, 20, 5]),
            reordering: chance.one_of(&[0, 20, 4]),
            delay: chance.one_of(&[0, 1, 30]),
            mtu: chance.one_of(&[576, 1_500]),
            medium: chance.one_of(&[Medium::Ip, Medium::Ethernet]),
        }
    }
}

/// One end of a cable.
pub struct Plug {
    cable: Rc<RefCell<Cable>>,
    is_first: bool,
    /// It can send nothing, as a device whose queue is full.
    pub is_mute: bool,
}

struct Cable {
    faults: Faults,
    chance: Chance,
    /// When they arrive, at which end, and what: in no order.
    frames: Vec<(Instant, bool, Vec<u8>)>,
}

/// Both ends of a cable.
pub fn cable(faults: Faults, seed: u64) -> (Plug, Plug) {
    let cable = Rc::new(RefCell::new(Cable { faults, chance: Chance::new(seed), frames: Vec::new() }));
    let plug = |is_first| Plug { cable: cable.clone(), is_first, is_mute: false };
    (plug(true), plug(false))
}

impl Plug {
    /// Frames that are under way to this end.
    pub fn waiting(&self) -> usize {
        self.cable.borrow().frames.iter().filter(|(_, end, _)| *end == self.is_first).count()
    }

    /// When the next frame arrives, at either end.
    pub fn next(&self) -> Option<Instant> {
        self.cable.borrow().frames.iter().map(|(at, ..)| *at).min()
    }

    /// Puts a frame on the cable, towards the other end.
    pub fn send(&self, frame: &[u8], now: Instant) {
        self.cable.borrow_mut().carry(frame, !self.is_first, now);
    }

    /// The frames that have arrived here, in place of a stack.
    pub fn take(&self, now: Instant) -> Vec<Vec<u8>> {
        std::iter::from_fn(|| self.cable.borrow_mut().arrived(self.is_first, now)).collect()
    }

    pub fn set_faults(&self, faults: Faults) {
        self.cable.borrow_mut().faults = faults;
    }
}

impl Cable {
    fn carry(&mut self, frame: &[u8], to_first: bool, now: Instant) {
        let (faults, chance) = (self.faults, &mut self.chance);
        if chance.one_in(faults.loss) {
            return;
        }
        for _ in 0..=usize::from(chance.one_in(faults.duplication)) {
            let late = if chance.one_in(faults.reordering) { chance.below(40) + 1 } else { 0 };
            self.frames.push((now + Duration::from_millis(faults.delay + late), to_first, frame.to_owned()));
        }
    }

    fn arrived(&mut self, at_first: bool, now: Instant) -> Option<Vec<u8>> {
        let here = self.frames.iter().enumerate().filter(|(_, (at, end, _))| *end == at_first && *at <= now);
        // Of several at the same time, the one that was sent first.
        let index = here.min_by_key(|(_, (at, ..))| *at)?.0;
        Some(self.frames.remove(index).2)
    }
}

impl Device for Plug {
    type RxToken<'a> = Received;
    type TxToken<'a> = Sending<'a>;

    fn receive(&mut self, now: Instant) -> Option<(Received, Sending<'_>)> {
        let frame = self.cable.borrow_mut().arrived(self.is_first, now)?;
        Some((Received(frame), Sending(self, now)))
    }

    fn transmit(&mut self, now: Instant) -> Option<Sending<'_>> {
        (!self.is_mute).then_some(Sending(self, now))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let faults = self.cable.borrow().faults;
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = faults.medium;
        capabilities.max_transmission_unit = match faults.medium {
            Medium::Ethernet => faults.mtu + 14,
            _ => faults.mtu,
        };
        capabilities
    }
}

pub struct Received(Vec<u8>);

impl RxToken for Received {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(&self.0)
    }
}

pub struct Sending<'p>(&'p Plug, Instant);

impl TxToken for Sending<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        let mut frame = vec![0; len];
        let result = f(&mut frame);
        self.0.send(&frame, self.1);
        result
    }
}

/// Numbers that look random and are the same each time.
#[derive(Clone, Debug)]
pub struct Chance(u64);

impl Chance {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }

    pub fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    pub fn one_in(&mut self, number: u64) -> bool {
        number > 0 && self.below(number) == 0
    }

    pub fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u64) as usize]
    }
}
