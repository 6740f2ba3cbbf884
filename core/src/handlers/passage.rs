//! A text on its way through a relay: what is added to it, and what is seen of it.

use super::trace::Trace;
use super::{Head, Part};
use crate::wire::Reply;

/// Passes the texts of a connection on, one after the other.
#[derive(Debug)]
pub(crate) struct Passage {
    pub(crate) trace: Trace,
    /// The clock for `Received`, if that is added.
    pub(crate) now: Option<fn() -> u32>,
    pub(crate) adds_x_peer: bool,
    /// The text under way, once something of it went out.
    head: Option<Head>,
}

/// Received fields of a message that goes in circles (RFC 5321 §6.3).
const HOPS: u8 = 100;

impl Passage {
    pub(crate) const TOO_MANY_HOPS: Reply<'static> = Reply::new(554, "Too many hops").enhanced(4, 6);

    /// Octets of text for which there is always room at the end of a piece: for an X-Peer field and what the head may add.
    pub(crate) const RESERVE: usize = 64;

    pub(crate) const fn new() -> Self {
        Self { trace: Trace::new(), now: None, adds_x_peer: false, head: None }
    }

    /// The next octets are those of a new text.
    pub(crate) fn restart(&mut self) {
        self.head = None;
    }

    /// The text begins, unless it has: with a line of our own.
    pub(crate) fn begin(&mut self, host: &str, mut out: impl FnMut(&[u8])) {
        if self.head.is_none() {
            self.head = Some(Head::new());
            if let Some(now) = self.now {
                out(&self.trace.received(host, now()));
            }
        }
    }

    /// Octets of the text.
    pub(crate) fn pass(&mut self, octets: &[u8], mut out: impl FnMut(&[u8])) {
        let Self { trace, adds_x_peer, head: Some(head), .. } = self else { return };
        let mut octets = octets;
        while let Some(part) = head.next(&mut octets) {
            match part {
                Part::Octets(octets) => out(octets),
                Part::End if *adds_x_peer => out(&trace.x_peer()),
                Part::End => {}
            }
        }
    }

    /// The text is over.
    pub(crate) fn end(&mut self, mut out: impl FnMut(&[u8])) {
        let Self { trace, adds_x_peer: true, head: Some(head), .. } = self else { return };
        while let Some(part) = head.end() {
            match part {
                Part::Octets(octets) => out(octets),
                Part::End => out(&trace.x_peer()),
            }
        }
    }

    /// Whether it goes in circles.
    pub(crate) fn has_too_many_hops(&self) -> bool {
        self.head.as_ref().is_some_and(|head| head.received() >= HOPS)
    }

    /// Whether it can be told from others.
    #[cfg(feature = "lmtp")]
    pub(crate) fn has_message_id(&self) -> bool {
        self.head.as_ref().is_some_and(Head::has_message_id)
    }

    /// Of what a leg takes, what a client may send now.
    pub(crate) const fn room(room: usize) -> usize {
        match room {
            usize::MAX => room,
            // Not ever smaller pieces.
            room if room < 2 * Self::RESERVE => 0,
            room => room.wrapping_sub(Self::RESERVE),
        }
    }
}
