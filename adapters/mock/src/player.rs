//! One side of a script, without I/O: says what comes next, compares what it hears.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::time::Duration;

use crate::mismatch::{Mismatch, Row, cut};
use crate::pattern::{Match, Names, line_end};
use crate::{Act, Mode, Played, Said, Script, Side, What, escape};

/// A side of a script that is being played.
#[derive(Debug)]
pub(crate) struct Player {
    script: Script,
    side: Side,
    mode: Mode,
    /// The next entry.
    next: usize,
    /// What this side says before this entry has been said.
    said: usize,
    /// What the other side said and no entry took yet.
    heard: Vec<u8>,
    /// All that the other side said.
    all: Vec<u8>,
    /// All that this side said.
    told: Vec<u8>,
    names: Names,
    rows: Vec<Row>,
    /// The other side will say nothing any more.
    is_closed: bool,
    is_stalled: bool,
    /// This side closed its end before the script's.
    is_gone: bool,
    /// The other side says nothing behind the script's end.
    is_quiet: bool,
    /// Since the last dot the client said DATA, and the server 354, one way or the other: a text's letters are its own.
    has_data: bool,
    has_354: bool,
}

/// What the player does next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Say(Vec<u8>),
    Pass(Duration),
    Act(Act),
    /// It waits for what the other side says, or for its end.
    Listen,
    Done,
}

impl Player {
    pub(crate) fn new(script: &Script, side: Side) -> Self {
        Self {
            script: script.clone(),
            side,
            mode: script.mode,
            next: 0,
            said: 0,
            heard: Vec::new(),
            all: Vec::new(),
            told: Vec::new(),
            names: Names::new(),
            rows: Vec::new(),
            is_closed: false,
            is_stalled: false,
            is_gone: false,
            is_quiet: false,
            has_data: false,
            has_354: false,
        }
    }

    pub(crate) fn script(&self) -> &Script {
        &self.script
    }

    /// The other side said something.
    pub(crate) fn hear(&mut self, octets: &[u8]) {
        self.heard.extend_from_slice(octets);
        self.all.extend_from_slice(octets);
    }

    /// The other side closed its end.
    pub(crate) fn closed(&mut self) {
        self.is_closed = true;
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.is_closed
    }

    /// What was said by both sides, and the time that it took.
    pub(crate) fn played(&self, took: Duration) -> Played {
        Played { said: self.all.clone(), told: self.told.clone(), took, ..Played::default() }
    }

    /// Whether all that this side says can be said: known before it begins.
    pub(crate) fn check(&mut self) -> Result<(), Box<Mismatch>> {
        for (at, entry) in self.script.entries.iter().enumerate() {
            if let What::Says(side, said) = &entry.what
                && *side == self.side
                && said.is_open()
            {
                self.next = at;
                let part = if self.side == Side::Client { "client" } else { "server" };
                return Err(self.fails(format!("octets to say, for the script plays the {part}"), said.to_string()));
            }
        }
        Ok(())
    }

    /// Whether all was said and heard.
    pub(crate) fn is_at_end(&self) -> bool {
        self.next == self.script.entries.len()
    }

    /// What comes next.
    pub(crate) fn step(&mut self) -> Result<Step, Box<Mismatch>> {
        loop {
            let folds = self.folds();
            let Some(entry) = self.script.entries.get(self.next) else { return self.end() };
            match &entry.what {
                What::Hears(_) => self.next += 1,
                What::Says(side, said) if *side == self.side => {
                    if self.next < self.said || self.is_stalled {
                        self.next += 1;
                        continue;
                    }
                    // Clients may send ahead, servers may not.
                    if self.side == Side::Client && self.mode == Mode::LockStep && !self.heard.is_empty() {
                        return Err(self.differs(0, "nothing yet".into()));
                    }
                    let octets = said
                        .octets(&self.names)
                        .ok_or_else(|| self.differs(0, format!("a name that was heard before: {said}")))?;
                    return Ok(Step::Say(self.say(octets)));
                }
                What::Says(_, Said::Lines) => {
                    if !self.skip_lines() {
                        return Ok(Step::Listen);
                    }
                }
                What::Says(_, said) => match said.find(&self.heard, &mut self.names, folds) {
                    Match::Whole(len) => {
                        let got: Vec<u8> = self.heard.drain(..len).collect();
                        self.has_data = got.eq_ignore_ascii_case(b"DATA\r\n") || self.has_data && got != b".\r\n";
                        self.has_354 &= got != b".\r\n";
                        self.rows.push(Row { at: self.next, got });
                        self.next += 1;
                    }
                    Match::Begun if !self.is_closed => return Ok(Step::Listen),
                    Match::Begun => return Err(self.nothing()),
                    Match::Not(octet) => return Err(self.differs(octet, said.shown())),
                },
                What::Pass(time) => {
                    let time = *time;
                    self.next += 1;
                    return Ok(Step::Pass(time));
                }
                What::Act(act) => {
                    let act = *act;
                    self.is_stalled |= act == Act::Stall;
                    self.is_gone = matches!(act, Act::Drop | Act::Reset);
                    self.next = if self.is_gone { self.script.entries.len() } else { self.next + 1 };
                    return Ok(Step::Act(act));
                }
            }
        }
    }

    /// The other side will say nothing more as things stand: a run of any lines is over. False: that changes nothing.
    pub(crate) fn quiet(&mut self) -> bool {
        if self.is_at_end() && self.side == Side::Server && !self.is_stalled && !self.is_quiet {
            self.is_quiet = true;
            return true;
        }
        let is_lines =
            matches!(self.script.entries.get(self.next).map(|entry| &entry.what), Some(What::Says(_, Said::Lines)));
        if is_lines && self.is_a_say_next() {
            self.heard.clear();
            self.next += 1;
            return true;
        }
        false
    }

    /// Whether letters may be in either case, as those of commands may (RFC 5321 §2.4).
    fn folds(&self) -> bool {
        self.side == Side::Server && !(self.has_data && self.has_354)
    }

    /// What the player waits for, as an entry of the script.
    pub(crate) fn waits_for(&self) -> String {
        match self.script.entries[self.next.min(self.script.entries.len())..].first() {
            Some(entry) => format!("`{}` (line {})", cut(&entry.to_string(), 0), entry.line),
            None => "the end of the connection".into(),
        }
    }

    /// A difference at this octet of what was heard and not taken.
    pub(crate) fn differs(&self, octet: usize, expected: String) -> Box<Mismatch> {
        let (heard, rest) = self.heard.split_at(self.heard.len().min(octet + 300));
        let got = match heard {
            [] if self.is_closed => "nothing, and the end".into(),
            [] => "nothing".into(),
            _ if rest.is_empty() && self.is_closed => format!("{} and the end", escape(heard)),
            _ => escape(heard),
        };
        let is_marked = !matches!(heard, []) && expected != "nothing yet" && expected != "nothing more";
        Mismatch::new(&self.script, Some(self.next), expected, got, &self.rows)
            .marked(is_marked.then(|| escape(&self.heard[..octet.min(self.heard.len())]).len()))
    }

    /// The other side says nothing, or not enough.
    pub(crate) fn nothing(&self) -> Box<Mismatch> {
        let expected = match self.script.entries.get(self.next).map(|entry| &entry.what) {
            Some(What::Says(_, said)) => said.shown(),
            _ => "the end of the connection".into(),
        };
        self.differs(self.heard.len(), expected)
    }

    /// A difference that is none of octets.
    pub(crate) fn fails(&self, expected: String, got: String) -> Box<Mismatch> {
        Mismatch::new(&self.script, Some(self.next), expected, got, &self.rows)
    }

    /// `octets`, and what this side says right behind it.
    fn say(&mut self, mut octets: Vec<u8>) -> Vec<u8> {
        self.next += 1;
        let mut at = self.next;
        while let Some(entry) = self.script.entries.get(at) {
            match &entry.what {
                What::Says(side, said) if *side == self.side => match said.octets(&self.names) {
                    Some(more) => octets.extend(more),
                    None => break,
                },
                What::Hears(_) => {}
                What::Says(..) if self.mode == Mode::Pipelined && self.side == Side::Client => {}
                _ => break,
            }
            at += 1;
        }
        self.said = at;
        self.told.extend_from_slice(&octets);
        self.has_354 |= octets.split(|octet| *octet == b'\n').any(|line| line.starts_with(b"354"));
        octets
    }

    /// Takes lines off what was heard, up to one that the script names next; false: more have to come.
    fn skip_lines(&mut self) -> bool {
        let next = self.script.entries[self.next + 1..].iter().find_map(|entry| match &entry.what {
            What::Hears(_) => None,
            What::Says(side, said) if *side != self.side => Some(Some(said.clone())),
            _ => Some(None),
        });
        loop {
            if let Some(Some(said)) = &next
                && let Match::Whole(_) = said.find(&self.heard, &mut self.names.clone(), self.folds())
            {
                self.next += 1;
                return true;
            }
            match line_end(&self.heard) {
                Some(end) => {
                    self.heard.drain(..end + 2);
                }
                None if self.is_closed => {
                    self.heard.clear();
                    self.next += 1;
                    return true;
                }
                None => return false,
            }
        }
    }

    /// Whether this side goes on behind a run of any lines.
    fn is_a_say_next(&self) -> bool {
        let behind = self.script.entries.get(self.next + 1..).unwrap_or(&[]);
        let next = behind.iter().map(|entry| &entry.what).find(|what| !matches!(what, What::Hears(_)));
        match next {
            None => false,
            Some(What::Says(side, _)) => *side == self.side && !self.is_stalled,
            Some(_) => true,
        }
    }

    /// All was said and heard. Whoever has something to say now says too much; a server that hears nothing closes.
    fn end(&mut self) -> Result<Step, Box<Mismatch>> {
        if self.is_gone {
            return Ok(Step::Done);
        }
        // Who stalls does not read.
        if !self.heard.is_empty() && !self.is_stalled {
            return Err(self.differs(0, "nothing more".into()));
        }
        match self.side {
            Side::Client if !self.is_closed => Ok(Step::Listen),
            Side::Server if !self.is_closed && (self.is_stalled || !self.is_quiet) => Ok(Step::Listen),
            _ => Ok(Step::Done),
        }
    }
}
