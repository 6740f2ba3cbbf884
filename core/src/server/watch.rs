//! A session's time, on the caller's clock.

use super::{Patience, Session, Timers};
use crate::store::Store;

/// Says when a session's time is up, for adapters without timers of their own.
///
/// The clock counts milliseconds from anywhere and may wrap; it is looked at before each wait, and never goes back.
///
/// ```
/// use smtpd_core::server::{Config, Ending, Peer, Session, Watch};
/// let config = Config::new("mx.example.org");
/// let mut session = Session::new(&config, Peer::default());
/// let mut watch = Watch::new(7);
/// assert_eq!(watch.left(&session, 7), Some(300_000));
/// if watch.left(&session, 300_007) == Some(0) {
///     session.end(Ending::Expired);
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Watch {
    began: u32,
    since: u32,
    epoch: u32,
}

impl Watch {
    /// For a session that begins `now`.
    #[must_use]
    pub const fn new(now: u32) -> Self {
        Self { began: now, since: now, epoch: 0 }
    }

    /// Milliseconds until the session's time is up: 0, end it with [`Ending::Expired`](super::Ending::Expired); none, it
    /// may take for ever.
    pub fn left<L: Store, O: Store>(&mut self, session: &Session<'_, L, O>, now: u32) -> Option<u32> {
        let left = self.left_of(session.patience(), now);
        self.sooner(left, session.timers(), now)
    }

    /// The same for another end with patience, such as a relay's [`Leg`](crate::relay::Leg).
    pub fn left_of(&mut self, patience: Patience, now: u32) -> Option<u32> {
        if patience.epoch != self.epoch {
            (self.epoch, self.since) = (patience.epoch, now);
        }
        left(patience.secs, self.since, now)
    }

    /// Milliseconds that a question which is asked `now` may wait for its answer, if `secs` is what
    /// [`Timers`] gives it: for who awaits a handler while an event lends the session.
    #[must_use]
    pub fn left_for(&self, secs: u32, timers: &Timers, now: u32) -> Option<u32> {
        self.sooner(left(secs, now, now), timers, now)
    }

    /// That time, or what is left of the whole session's.
    fn sooner(&self, step: Option<u32>, timers: &Timers, now: u32) -> Option<u32> {
        let whole = left(timers.session, self.began, now);
        match (step, whole) {
            (Some(step), Some(whole)) => Some(step.min(whole)),
            (step, whole) => step.or(whole),
        }
    }
}

/// Milliseconds that are left of `secs`, none for 0; what is too long for the clock's 49 days stands for ever.
fn left(secs: u32, since: u32, now: u32) -> Option<u32> {
    if secs == 0 {
        return None;
    }
    Some(secs.checked_mul(1_000)?.saturating_sub(now.wrapping_sub(since)))
}
