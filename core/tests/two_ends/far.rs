//! A server behind a relay that follows rules, and goes wrong where they say so. It shares no code with what is tested.

use std::fmt::Write;

/// What it does at a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// What a good server does.
    Go,
    /// Says this.
    Say(&'static str),
    /// Says this, and closes.
    SayAndClose(&'static str),
    /// Closes.
    Close,
    /// Closes, and keeps the message.
    KeepAndClose,
    /// Never says or does anything more.
    Hang,
}

/// Which step it is about: its beginning, and what is done.
pub type Rules = &'static [(&'static str, Act)];

/// One copy of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copy {
    pub from: String,
    pub to: String,
    pub text: String,
}

/// The server.
///
/// Its steps: `connect`, `greeting`, each command line, `text` (its first octets), `dot` (before any reply; what it says then is
/// its only reply), `reply N` for each reply to the text.
pub struct Far<'r> {
    pub is_lmtp: bool,
    pub rule: Box<dyn FnMut(&str) -> Act + 'r>,
    /// The reply to EHLO or LHLO.
    pub offer: &'static str,
    /// Its steps.
    pub heard: Vec<String>,
    pub delivered: Vec<Copy>,
    /// Octets that it was sent of the text under way.
    pub text: Vec<u8>,
    /// What it says.
    pub output: Vec<u8>,
    pub state: State,
    input: Vec<u8>,
    is_begun: bool,
    from: String,
    to: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// There is no connection.
    Off,
    /// It does not take the connection.
    Deaf,
    Lines,
    Text,
    Hung,
    /// It has closed, when its output is read.
    Closed,
}

impl<'r> Far<'r> {
    pub fn new(is_lmtp: bool, rule: impl FnMut(&str) -> Act + 'r) -> Self {
        Self {
            is_lmtp,
            rule: Box::new(rule),
            offer: if is_lmtp {
                "250-localhost\r\n250-SIZE 33554432\r\n250-8BITMIME\r\n250 HELP"
            } else {
                "250-upstream.example\r\n250-PIPELINING\r\n250-SIZE 40000000\r\n250-ENHANCEDSTATUSCODES\r\n250 8BITMIME"
            },
            heard: Vec::new(),
            delivered: Vec::new(),
            text: Vec::new(),
            output: Vec::new(),
            state: State::Off,
            input: Vec::new(),
            is_begun: false,
            from: String::new(),
            to: Vec::new(),
        }
    }

    /// Somebody connects; false: it can't be had.
    pub fn connect(&mut self) -> bool {
        self.input.clear();
        self.output.clear();
        self.clear();
        match self.at("connect") {
            Act::Go => {}
            Act::Hang => {
                self.state = State::Deaf;
                return true;
            }
            _ => return false,
        }
        self.state = State::Lines;
        self.do_at("greeting", "220 there");
        true
    }

    /// The other end closed.
    pub fn end(&mut self) {
        if self.state != State::Off {
            self.heard.push("end".into());
            self.state = State::Off;
        }
    }

    pub fn is_connected(&self) -> bool {
        !matches!(self.state, State::Off | State::Deaf)
    }

    /// Whether it closed, and all that it said is read.
    pub fn is_over(&self) -> bool {
        self.state == State::Closed && self.output.is_empty()
    }

    pub fn take(&mut self, octets: &[u8]) {
        self.input.extend_from_slice(octets);
        loop {
            let end: &[u8] = match self.state {
                State::Lines => b"\r\n",
                State::Text => {
                    if self.text.is_empty() && !self.input.is_empty() {
                        self.do_at("text", "");
                    }
                    if self.state == State::Text {
                        let from = self.text.len().saturating_sub(4);
                        self.text.append(&mut self.input);
                        self.end_of_text(from);
                    }
                    if self.state == State::Text {
                        return;
                    }
                    continue;
                }
                _ => {
                    self.input.clear();
                    return;
                }
            };
            let Some(at) = self.input.windows(2).position(|two| two == end) else { return };
            let line: Vec<u8> = self.input.drain(..at + 2).collect();
            self.command(std::str::from_utf8(&line[..at]).unwrap());
        }
    }

    fn command(&mut self, line: &str) {
        let path = || line[line.find('<').unwrap() + 1..line.find('>').unwrap()].to_owned();
        let offer = self.offer;
        let verb = line.split(' ').next().unwrap();
        match verb {
            "EHLO" if !self.is_lmtp => drop(self.do_at(line, offer)),
            "LHLO" if self.is_lmtp => drop(self.do_at(line, offer)),
            "MAIL" if self.is_begun => drop(self.do_at(line, "503 nested")),
            "MAIL" => {
                if self.do_at(line, "250 2.1.0 ok") {
                    self.is_begun = true;
                    self.from = path();
                }
            }
            "RCPT" => {
                if self.do_at(line, "250 2.1.5 ok") {
                    self.to.push(path());
                }
            }
            "DATA" if self.to.is_empty() => drop(self.do_at(line, "503 need RCPT")),
            "DATA" => {
                if self.do_at(line, "354 go on") {
                    self.text.clear();
                    self.state = State::Text;
                }
            }
            "RSET" => {
                self.clear();
                self.do_at(line, "250 2.0.0 ok");
            }
            "QUIT" => {
                self.do_at(line, "221 bye");
                if self.state == State::Lines {
                    self.state = State::Closed;
                }
            }
            _ => drop(self.do_at(line, "500 what?")),
        }
    }

    /// Looks for it from there on.
    fn end_of_text(&mut self, from: usize) {
        let end = match self.text[from..].windows(5).position(|five| five == b"\r\n.\r\n") {
            Some(at) => from + at + 2,
            None if self.text.starts_with(b".\r\n") => 0,
            None => return,
        };
        self.input = self.text.split_off(end + 3);
        self.text.truncate(end);
        self.state = State::Lines;
        self.is_begun = false;
        let to = std::mem::take(&mut self.to);
        match self.at("dot") {
            Act::Go => {}
            Act::KeepAndClose => {
                to.iter().for_each(|to| self.deliver(to));
                return self.state = State::Closed;
            }
            act => {
                if matches!(act, Act::Say(said) | Act::SayAndClose(said) if said.starts_with('2')) {
                    to.iter().for_each(|to| self.deliver(to));
                }
                self.act(act, "");
                return;
            }
        }
        if !self.is_lmtp {
            if self.reply("reply 0") {
                to.iter().for_each(|to| self.deliver(to));
            }
            return;
        }
        for (number, to) in to.iter().enumerate() {
            if self.state == State::Lines && self.reply(&format!("reply {number}")) {
                self.deliver(to);
            }
        }
    }

    /// Whether it keeps the message.
    fn reply(&mut self, step: &str) -> bool {
        match self.at(step) {
            Act::KeepAndClose => {
                self.state = State::Closed;
                true
            }
            act => self.act(act, "250 2.0.0 queued"),
        }
    }

    fn deliver(&mut self, to: &str) {
        let text = String::from_utf8(self.text.clone()).unwrap();
        self.delivered.push(Copy { from: self.from.clone(), to: to.into(), text });
    }

    fn clear(&mut self) {
        self.is_begun = false;
        self.from.clear();
        self.to.clear();
        self.text.clear();
    }

    fn at(&mut self, step: &str) -> Act {
        self.heard.push(step.into());
        (self.rule)(step)
    }

    fn do_at(&mut self, step: &str, good: &str) -> bool {
        let act = self.at(step);
        self.act(act, good)
    }

    /// Whether it said yes.
    fn act(&mut self, act: Act, good: &str) -> bool {
        let said = match act {
            Act::Go => good,
            Act::Say(said) => said,
            Act::SayAndClose(said) => {
                self.state = State::Closed;
                said
            }
            Act::Close | Act::KeepAndClose => {
                self.state = State::Closed;
                return false;
            }
            Act::Hang => {
                self.state = State::Hung;
                return false;
            }
        };
        if !said.is_empty() {
            let mut line = String::new();
            let _ = write!(line, "{said}\r\n");
            self.output.extend_from_slice(line.as_bytes());
        }
        matches!(said.as_bytes().first(), Some(b'2' | b'3'))
    }
}
