//! A client's session whose caller and server do anything, and what has to be true then. Also used by ../../../tests/fuzz.
#![allow(unreachable_pub)]

use std::collections::VecDeque;

use smtpd_core::client::{Command, Error, Event, Session};

/// What the caller does.
#[derive(Clone, Debug)]
pub enum Act {
    Hello,
    Mail(&'static str),
    Rcpt,
    Data,
    Text(&'static str),
    EndText,
    EndSession,
    Reset,
    Quit,
    /// Sends so many octets.
    Send(usize),
    /// The server says this, cut so.
    Hear(Vec<u8>, usize),
    Restart,
}

/// What is known of a session from outside.
#[derive(Default)]
struct Model {
    is_lmtp: bool,
    /// Commands without a reply, the oldest first.
    owed: VecDeque<Command>,
    accepted: usize,
    /// Nothing can be said any more.
    is_over: bool,
    has_quit: bool,
}

impl Model {
    /// A session, with LMTP if that is built in.
    pub fn new(is_lmtp: bool) -> Self {
        Self { is_lmtp, owed: VecDeque::from([Command::Greeting]), ..Self::default() }
    }

    fn gives(&mut self, command: Command, result: Result<(), Error>) {
        match (command, result) {
            (_, Err(error)) => assert!(matches!(error, Error::OutOfOrder | Error::Full), "{command:?}: {error:?}"),
            (_, Ok(())) if self.is_over || self.has_quit => panic!("{command:?} behind the end"),
            (Command::Message, Ok(())) if self.is_lmtp => {
                self.owed.extend(std::iter::repeat_n(Command::Message, self.accepted));
            }
            (_, Ok(())) => self.owed.push_back(command),
        }
        self.has_quit |= command == Command::Quit && result.is_ok();
    }

    fn hears(&mut self, command: Command, code: u16) {
        if code == 421 {
            assert!(self.owed.front() == Some(&command) || command == Command::Quit, "{command:?}");
            self.is_over = true;
            return;
        }
        if code == 221 && command == Command::Quit && self.owed.front() == Some(&Command::Message) {
            // Of the text and what follows it, nothing more will be heard.
            self.owed = VecDeque::from([Command::Quit]);
        }
        assert_eq!(self.owed.pop_front(), Some(command));
        match command {
            Command::Mail => self.accepted = 0,
            Command::Rcpt if code < 400 => self.accepted += 1,
            _ => {}
        }
        let is_right = if command == Command::Data { code == 354 || code >= 400 } else { !(300..400).contains(&code) };
        assert!(is_right, "{command:?} {code}");
    }
}

/// A session, with LMTP if that is built in.
pub fn new(is_lmtp: bool) -> Session {
    #[cfg(feature = "lmtp")]
    if is_lmtp {
        return Session::new().lmtp();
    }
    let _ = is_lmtp;
    Session::new()
}

/// Does all of this, and holds what the session says and sends against what is known from outside.
pub fn play(acts: &[Act], is_lmtp: bool) {
    let is_lmtp = is_lmtp && cfg!(feature = "lmtp");
    let (mut client, mut model) = (new(is_lmtp), Model::new(is_lmtp));
    let mut sent = Vec::new();
    for act in acts {
        match act {
            Act::Hello => model.gives(Command::Hello, client.hello(b"a.example")),
            Act::Mail(params) => model.gives(Command::Mail, client.mail(b"a@a.example", params.as_bytes())),
            Act::Rcpt => model.gives(Command::Rcpt, client.rcpt(b"b@b.example", b"")),
            Act::Data => model.gives(Command::Data, client.data()),
            Act::Text(text) => assert!(client.text(text.as_bytes()) <= text.len()),
            Act::EndText => model.gives(Command::Message, client.end_text()),
            Act::EndSession => {
                let result = client.end_session();
                model.gives(Command::Message, result);
                if result.is_ok() {
                    model.gives(Command::Quit, result);
                }
            }
            Act::Reset => model.gives(Command::Reset, client.reset()),
            Act::Quit => model.gives(Command::Quit, client.quit()),
            Act::Send(octets) => {
                let octets = client.output().len().min(*octets);
                sent.extend_from_slice(&client.output()[..octets]);
                client.sent(octets);
            }
            Act::Restart => {
                client.restart();
                model = Model::new(is_lmtp);
                sent.clear();
            }
            Act::Hear(octets, cut) => {
                for mut piece in octets.chunks(*cut) {
                    while !piece.is_empty() && !model.is_over {
                        let before = piece.len();
                        match client.poll(&mut piece) {
                            Event::Idle => assert!(piece.is_empty()),
                            Event::Reply(command, reply) => {
                                assert!(piece.len() < before);
                                let (code, text) = (reply.code(), reply.text().to_vec());
                                assert_eq!(client.reply().map(|reply| reply.text()), Some(&text[..]));
                                model.hears(command, code);
                            }
                            Event::Broken(_) => model.is_over = true,
                            event => panic!("{event:?}"),
                        }
                    }
                }
            }
        }
        // What is owed has its time; what is not has none, but for text that has to be taken.
        let owed = model.owed.len();
        if !model.is_over {
            assert_eq!(usize::from(client.open()), owed, "{act:?}");
            let is_text = client.is_text() && !client.output().is_empty();
            assert_eq!(client.patience().secs > 0, owed > 0 || is_text, "{act:?}");
        }
        let bare = sent.windows(2).any(|pair| (pair[0] == b'\r') != (pair[1] == b'\n'));
        assert!(!bare, "{}", sent.escape_ascii());
    }
}
