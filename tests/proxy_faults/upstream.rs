//! A server that goes wrong at one step.

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;

use embedded_io::{Read, Write};
use smtpd_mock::Wire;

use crate::world::{Node, tried};

/// Where something goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Connect,
    Greeting,
    Ehlo,
    /// Behind an EHLO that was refused.
    Helo,
    Mail,
    /// The second of three.
    Rcpt,
    Data,
    /// Behind the first line.
    Text,
    Dot,
    Rset,
    /// Behind a message.
    Idle,
    Quit,
}

/// What goes wrong there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Refuses,
    Hangs,
    Closes,
    Resets,
    /// It says this in place of its reply, or behind it if that is what it should have said.
    Says(&'static str, &'static str),
    /// The same, and closes.
    SaysAndCloses(&'static str, &'static str),
    /// From then on it takes one octet each 20 s.
    Drips,
    /// A line without end.
    EndlessLine,
    /// Lines without end.
    EndlessLines,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Refuses => "refuses it",
            Self::Hangs => "hangs",
            Self::Closes => "closes",
            Self::Resets => "resets",
            Self::Drips => "takes octet by octet",
            Self::Says(name, _) | Self::SaysAndCloses(name, _) => name,
            Self::EndlessLine => "says a line without end",
            Self::EndlessLines => "says lines without end",
        })
    }
}

/// What a server saw.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Commands, and `.` for the end of a text.
    pub(crate) lines: Vec<String>,
    /// The texts that were ended, with the number of their recipients.
    pub(crate) messages: Vec<(usize, Vec<u8>)>,
    pub(crate) connections: usize,
}

pub(crate) struct Upstream {
    wire: Option<Wire>,
    fault: Option<(Step, Fault)>,
    /// Seconds that each reply takes.
    delay: fn(Step) -> u32,
    seen: Rc<RefCell<Seen>>,
    input: Vec<u8>,
    unsent: Vec<u8>,
    /// It says nothing before this moment.
    until: u32,
    is_new: bool,
    /// Turns until it goes wrong behind a message.
    idle: u8,
    is_stuck: bool,
    closes: bool,
    drips: bool,
    /// Recipients that were asked, and accepted.
    recipients: (usize, usize),
    text: Option<Vec<u8>>,
}

pub(crate) const OFFER: &str = "250-up.example\r\n250-PIPELINING\r\n250-SIZE 1000000\r\n250 8BITMIME\r\n";

impl Upstream {
    pub(crate) fn new(wire: Wire, fault: Option<(Step, Fault)>, seen: &Rc<RefCell<Seen>>) -> Self {
        wire.set_nonblocking(true);
        seen.borrow_mut().connections += 1;
        Self {
            wire: Some(wire),
            fault,
            delay: |_| 0,
            seen: Rc::clone(seen),
            input: Vec::new(),
            unsent: Vec::new(),
            until: 0,
            is_new: true,
            idle: 0,
            is_stuck: false,
            closes: false,
            drips: false,
            recipients: (0, 0),
            text: None,
        }
    }

    /// Takes so many seconds for its reply at a step.
    pub(crate) fn slow(self, delay: fn(Step) -> u32) -> Self {
        Self { delay, ..self }
    }

    /// Says this, unless something goes wrong here.
    fn say(&mut self, step: Step, reply: &str) {
        self.until += (self.delay)(step) * 1_000;
        let fault = self.fault.take_if(|(at, _)| *at == step).map(|(_, fault)| fault);
        match fault {
            None => self.unsent.extend_from_slice(reply.as_bytes()),
            Some(Fault::Drips) => {
                self.unsent.extend_from_slice(reply.as_bytes());
                self.drips = true;
            }
            Some(Fault::Hangs | Fault::Refuses) => self.is_stuck = true,
            Some(Fault::Closes) => self.closes = true,
            Some(Fault::Resets) => {
                if let Some(wire) = self.wire.take() {
                    wire.reset();
                }
            }
            Some(Fault::Says(_, octets)) => self.unsent.extend_from_slice(octets.as_bytes()),
            Some(Fault::SaysAndCloses(_, octets)) => {
                self.unsent.extend_from_slice(octets.as_bytes());
                self.closes = true;
            }
            Some(Fault::EndlessLine) => self.unsent.extend_from_slice(&[b"250 ".as_slice(), &[b'x'; 9_000]].concat()),
            Some(Fault::EndlessLines) => self.unsent.extend_from_slice(&b"250-x\r\n".repeat(2_000)),
        }
    }

    fn line(&mut self, line: &[u8]) {
        if let Some(text) = &mut self.text {
            if line != b".\r\n" {
                text.extend_from_slice(line.strip_prefix(b".").unwrap_or(line));
                return self.say(Step::Text, "");
            }
            let text = self.text.take().unwrap();
            self.seen.borrow_mut().lines.push(".".into());
            self.say(Step::Dot, "250 2.0.0 Kept\r\n");
            if !self.unsent.starts_with(b"4") && !self.unsent.starts_with(b"5") {
                self.seen.borrow_mut().messages.push((self.recipients.1, text));
            }
            self.idle = 9;
            return;
        }
        let line = String::from_utf8(line.to_vec()).unwrap();
        self.seen.borrow_mut().lines.push(line.trim_end().into());
        match line.split([' ', '\r']).next().unwrap() {
            "EHLO" if self.fault.is_some_and(|(at, _)| at == Step::Helo) => self.say(Step::Ehlo, "502 5.5.1 What?\r\n"),
            "EHLO" => self.say(Step::Ehlo, OFFER),
            "HELO" => self.say(Step::Helo, "250 up.example\r\n"),
            "MAIL" => {
                self.recipients = (0, 0);
                self.say(Step::Mail, "250 2.1.0 OK\r\n");
            }
            "RCPT" => {
                self.recipients.0 += 1;
                let is_second = self.recipients.0 == 2;
                let had = self.unsent.len();
                self.say(if is_second { Step::Rcpt } else { Step::Connect }, "250 2.1.5 OK\r\n");
                self.recipients.1 += usize::from(self.unsent[had..].starts_with(b"2"));
            }
            "DATA" => {
                self.say(Step::Data, "354 Go on\r\n");
                self.text = self.unsent.ends_with(b"354 Go on\r\n").then(Vec::new);
            }
            "RSET" => self.say(Step::Rset, "250 2.0.0 OK\r\n"),
            "QUIT" => {
                self.say(Step::Quit, "221 2.0.0 Bye\r\n");
                self.closes |= !self.is_stuck;
            }
            _ => self.unsent.extend_from_slice(b"500 5.5.1 What?\r\n"),
        }
    }
}

impl Node for Upstream {
    fn turn(&mut self, now: u32) -> bool {
        let mut has_moved = false;
        if now < self.until {
            return false;
        }
        self.until = now;
        if self.idle > 0 {
            self.idle -= 1;
            has_moved = true;
            if self.idle == 0 {
                self.say(Step::Idle, "");
            }
        }
        if std::mem::take(&mut self.is_new) {
            self.say(Step::Greeting, "220 up.example ESMTP\r\n");
            return true;
        }
        let Some(wire) = &mut self.wire else { return has_moved };
        if !self.unsent.is_empty() {
            match tried(wire.write(&self.unsent)) {
                Ok(octets) => {
                    self.unsent.drain(..octets);
                    has_moved |= octets > 0;
                }
                Err(_) => self.wire = None,
            }
        }
        if self.closes && self.unsent.is_empty() {
            self.wire = None;
            return true;
        }
        let Some(wire) = &mut self.wire else { return true };
        if self.is_stuck {
            return has_moved;
        }
        let mut octets = [0; 512];
        let most = if self.drips { 1 } else { octets.len() };
        match wire.read(&mut octets[..most]) {
            Ok(0) => self.wire = None,
            Ok(count) => {
                self.input.extend_from_slice(&octets[..count]);
                has_moved = true;
                if self.drips {
                    self.until = now + 20_000;
                }
            }
            Err(_) => return has_moved,
        }
        while let Some(end) = self.input.iter().position(|octet| *octet == b'\n')
            && !self.is_stuck
            && !self.closes
            && (self.until <= now || self.drips)
            && self.wire.is_some()
        {
            let line: Vec<u8> = self.input.drain(..=end).collect();
            self.line(&line);
        }
        has_moved || self.wire.is_none()
    }
}
