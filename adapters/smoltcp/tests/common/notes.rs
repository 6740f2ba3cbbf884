//! A handler that notes what it hears, and sees to it that clients come one after the other.

use std::collections::VecDeque;
use std::task::Waker;

use smtpd_core::server::{Answer, Ending, Flow, Handler, Mail, Peer, Rcpt};

/// Notes what it hears; what it heard of one client must not be left for the next.
#[derive(Default)]
pub struct Notes {
    pub heard: Vec<String>,
    /// The texts of the messages that it accepted.
    pub kept: Vec<Vec<u8>>,
    /// Messages get no answer until it is set back.
    pub is_later: bool,
    /// Octets of text that it takes at once; none: any number.
    pub room: Option<usize>,
    /// What `room` says in turn, again and again, in place of that.
    pub rooms: VecDeque<usize>,
    text: Vec<u8>,
    is_connected: bool,
}

impl Notes {
    /// What it heard since the last call.
    pub fn take(&mut self) -> String {
        std::mem::take(&mut self.heard).join("; ")
    }

    /// How many clients it heard of, each of which it has to have heard the end of.
    pub fn clients(&self) -> usize {
        assert!(!self.is_connected, "connected, and never closed");
        self.heard.iter().filter(|heard| *heard == "connected").count()
    }
}

impl Handler for Notes {
    fn connected(&mut self, _: Peer) -> Answer<'_> {
        assert!(!self.is_connected, "connected twice");
        assert!(self.text.is_empty(), "another client's text");
        self.is_connected = true;
        self.heard.push("connected".into());
        Answer::Accept
    }
    fn mail(&mut self, mail: Mail<'_>) -> Answer<'_> {
        self.heard.push(format!("mail {}", mail.reverse_path.as_octets().escape_ascii()));
        Answer::Accept
    }
    fn rcpt(&mut self, _: Rcpt<'_>) -> Answer<'_> {
        Answer::Accept
    }
    fn room(&mut self, _: &Waker) -> usize {
        self.rooms.rotate_left(usize::from(!self.rooms.is_empty()));
        self.rooms.back().copied().or(self.room).unwrap_or(usize::MAX)
    }
    fn text(&mut self, octets: &[u8]) -> Flow<'_> {
        self.text.extend_from_slice(octets);
        Flow::Continue
    }
    fn message(&mut self, _: u16) -> Answer<'_> {
        self.heard.push(format!("message {}", self.text.len()));
        if self.is_later { Answer::Later } else { self.keep() }
    }
    fn resume(&mut self, _: &Waker) -> Answer<'_> {
        if self.is_later { Answer::Later } else { self.keep() }
    }
    fn reset(&mut self) {
        self.text.clear();
        self.heard.push("reset".into());
    }
    fn closed(&mut self, why: Ending) {
        // A server that stops ends who has not been greeted, too.
        assert!(self.is_connected || why == Ending::Stopping, "closed twice, or never connected");
        self.is_connected = false;
        self.text.clear();
        self.heard.push(format!("closed {why:?}"));
    }
}

impl Notes {
    fn keep(&mut self) -> Answer<'_> {
        self.kept.push(std::mem::take(&mut self.text));
        Answer::Accept
    }
}
