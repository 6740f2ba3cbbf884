//! Unimplemented: Python's bare SMTPServer, which has nobody to give a message to.

use crate::server::{Answer, Flow, Handler, Rcpt};
use crate::wire::Reply;

/// Takes part in every dialogue and refuses each message at its end with 554 5.3.0.
#[derive(Clone, Copy, Debug, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Unimplemented;

const REFUSAL: Reply<'static> = Reply::new(554, "This server processes no messages").enhanced(3, 0);

impl Handler for Unimplemented {
    fn rcpt(&mut self, _: Rcpt<'_>) -> Answer<'_> {
        Answer::Accept
    }

    fn text(&mut self, _: &[u8]) -> Flow<'_> {
        Flow::Continue
    }

    fn message(&mut self, _: u16) -> Answer<'_> {
        Answer::Reply(REFUSAL)
    }
}
