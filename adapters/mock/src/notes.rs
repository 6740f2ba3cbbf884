//! What a handler in a script heard, and where that differs: to be read while the handler is elsewhere.

use alloc::string::String;
use alloc::vec::Vec;

use crate::shared::Shared;

/// What a handler in a script heard; it can be read while the handler is elsewhere.
#[derive(Clone, Debug, Default)]
pub struct Notes(Shared<Heard>);

#[derive(Debug, Default)]
struct Heard {
    calls: Vec<String>,
    difference: Option<Difference>,
    is_gone: bool,
}

/// Where what was heard differs from the script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Difference {
    /// The place among the script's entries; none: its end.
    pub(crate) at: Option<usize>,
    pub(crate) expected: String,
    pub(crate) got: String,
    /// The end came in another way, or something was not heard: the cause may lie elsewhere.
    pub(crate) is_late: bool,
}

impl Notes {
    pub(crate) fn note(&self, call: &str) {
        self.0.with(|heard| heard.calls.push(call.into()));
    }

    /// Nothing will be heard any more.
    pub(crate) fn end(&self) {
        self.0.with(|heard| heard.is_gone = true);
        self.0.notify();
    }

    /// All that was heard, as text. The pieces of a text are those of the script.
    #[must_use]
    pub fn calls(&self) -> Vec<String> {
        self.0.with(|heard| heard.calls.clone())
    }

    pub(crate) fn difference(&self) -> Option<Difference> {
        self.0.with(|heard| heard.difference.clone())
    }

    /// Waits until the handler heard `closed` or was dropped; false: that did not happen in time.
    #[cfg(feature = "std")]
    #[must_use]
    pub fn wait(&self, time: core::time::Duration) -> bool {
        self.0.wait_while(time, |heard| !heard.is_gone)
    }

    /// Whether the handler heard `closed` or was dropped.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        self.0.with(|heard| heard.is_gone)
    }

    /// Keeps the first difference; something missing only until there is another.
    pub(crate) fn differ(&self, difference: Difference) {
        self.0.with(|heard| match &heard.difference {
            Some(first) if !first.is_late || difference.is_late => {}
            _ => heard.difference = Some(difference),
        });
    }
}
