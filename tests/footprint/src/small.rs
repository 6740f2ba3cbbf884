//! The handler of the measured sessions, which counts as little as what drives them.

// Not all that is measured has a use for all of it.
#![allow(dead_code)]

use core::hint::black_box;

use smtpd_core::server::{Answer, Flow, Handler, Rcpt, Reply};

/// Answers in all ways; keeps nothing.
pub struct Small;

pub const REFUSAL: Reply<'static> = Reply::new(550, "No").enhanced(7, 1);

impl Handler for Small {
    fn rcpt(&mut self, rcpt: Rcpt<'_>) -> Answer<'_> {
        match black_box(&rcpt).params.is_empty() {
            true => Answer::Accept,
            false => Answer::Reply(REFUSAL),
        }
    }
    fn text(&mut self, octets: &[u8]) -> Flow<'_> {
        match black_box(octets) {
            [] => Flow::Refuse(REFUSAL),
            _ => Flow::Continue,
        }
    }
    fn message(&mut self, recipient: u16) -> Answer<'_> {
        if black_box(recipient) == 0 { Answer::Accept } else { Answer::Later }
    }
}
