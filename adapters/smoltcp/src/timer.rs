//! A time that runs out.

/// So many milliseconds since a moment, on a clock that may wrap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Timer {
    since: u32,
    millis: u32,
}

impl Timer {
    pub(crate) const fn new(millis: u32, now: u32) -> Self {
        Self { since: now, millis }
    }

    /// Milliseconds that are left; 0: it ran out.
    pub(crate) const fn left(self, now: u32) -> u32 {
        self.millis.saturating_sub(now.wrapping_sub(self.since))
    }

    /// Runs out so many milliseconds after it began, if that is sooner.
    pub(crate) fn shorten(&mut self, millis: u32) {
        self.millis = self.millis.min(millis);
    }
}

/// The earlier of two times that may not come.
pub(crate) fn earlier<T: Ord>(one: Option<T>, other: Option<T>) -> Option<T> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}
