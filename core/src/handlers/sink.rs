//! Sink: takes every message and keeps none.

use crate::server::{Answer, Flow, Handler, Rcpt};

/// Accepts everything and throws it away: for load tests, and as a place to begin.
#[derive(Clone, Copy, Debug, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Sink;

impl Handler for Sink {
    fn rcpt(&mut self, _: Rcpt<'_>) -> Answer<'_> {
        Answer::Accept
    }

    fn text(&mut self, _: &[u8]) -> Flow<'_> {
        Flow::Continue
    }

    fn message(&mut self, _: u16) -> Answer<'_> {
        Answer::Accept
    }
}
