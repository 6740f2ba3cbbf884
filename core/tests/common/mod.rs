//! What the tests share: a handler that notes what it hears and decides by a rule, and a driver in memory.
#![allow(dead_code, unreachable_pub, reason = "each test file takes a part of it")]

use std::collections::VecDeque;
use std::task::Waker;

use heapless::Vec as Inline;
use smtpd_core::server::{
    Answer, Config, Ending, Flow, Handler, Hello, Mail, Peer, Progress, Rcpt, Session, State, Verify, step,
};
use smtpd_core::store::Store;
use smtpd_core::wire::Reply;

/// Where LMTP is built in.
pub fn is_lmtp(config: &Config<'_>) -> bool {
    #[cfg(feature = "lmtp")]
    return config.lmtp;
    #[cfg(not(feature = "lmtp"))]
    matches!(config, _ if false)
}

/// What a rule says to a question.
#[derive(Clone, Debug)]
pub enum Verdict {
    Yes,
    Say(u16, Vec<u8>),
    Never,
}

/// A code with a short text.
pub fn say(code: u16) -> Verdict {
    Verdict::Say(code, b"said".to_vec())
}

/// Notes what it hears; a rule answers its questions, at once or after some calls of `resume`.
pub struct Notes<'r> {
    pub heard: Vec<String>,
    pub rule: Box<dyn Fn(&str) -> Verdict + 'r>,
    /// Calls of `resume` that each answer takes; 0: answers at once.
    pub defers: u8,
    pub backlog: u16,
    /// Octets of text it takes at once; 0 alternates with 1, as a buffer does that is emptied slowly.
    pub room: usize,
    /// Refuses the text with this verdict from this octet on.
    pub refuses: Option<(usize, Verdict)>,
    pub text: Vec<u8>,
    open: VecDeque<String>,
    waited: u8,
    reply: Vec<u8>,
    has_paused: bool,
}

impl<'r> Notes<'r> {
    /// Accepts everything at once.
    pub fn new() -> Self {
        Self::by(|_| Verdict::Yes)
    }

    /// Answers by a rule: it sees what is noted, such as `rcpt c@d.example`.
    pub fn by(rule: impl Fn(&str) -> Verdict + 'r) -> Self {
        Self {
            heard: Vec::new(),
            rule: Box::new(rule),
            defers: 0,
            backlog: 1,
            room: usize::MAX,
            refuses: None,
            text: Vec::new(),
            open: VecDeque::new(),
            waited: 0,
            reply: Vec::new(),
            has_paused: false,
        }
    }

    /// What was heard since the last call.
    pub fn take(&mut self) -> String {
        std::mem::take(&mut self.heard).join("; ")
    }

    fn ask(&mut self, question: String) -> Answer<'_> {
        self.heard.push(question.clone());
        if self.defers > 0 || !self.open.is_empty() {
            self.open.push_back(question);
            return Answer::Later;
        }
        self.give(&question)
    }

    fn give(&mut self, question: &str) -> Answer<'_> {
        match (self.rule)(question) {
            Verdict::Yes => Answer::Accept,
            Verdict::Never => {
                self.open.push_front(question.into());
                Answer::Later
            }
            Verdict::Say(code, text) => {
                if question.starts_with("mail") && code != 250 {
                    // The session answers the recipients behind it.
                    self.open.clear();
                }
                self.reply = text;
                Answer::Reply(Reply::from_octets(code, &self.reply))
            }
        }
    }
}

impl Handler for Notes<'_> {
    fn connected(&mut self, _: Peer) -> Answer<'_> {
        self.ask("connected".into())
    }
    fn hello(&mut self, hello: Hello<'_>) -> Answer<'_> {
        self.ask(format!("hello {}", hello.name.escape_ascii()))
    }
    fn mail(&mut self, mail: Mail<'_>) -> Answer<'_> {
        self.ask(format!("mail {}", mail.reverse_path.as_octets().escape_ascii()))
    }
    fn rcpt(&mut self, rcpt: Rcpt<'_>) -> Answer<'_> {
        self.ask(format!("rcpt {}", rcpt.forward_path.as_octets().escape_ascii()))
    }
    fn data(&mut self) -> Answer<'_> {
        self.text.clear();
        self.ask("data".into())
    }
    fn text(&mut self, octets: &[u8]) -> Flow<'_> {
        assert!(!octets.is_empty() && octets.len() <= self.room.max(1));
        self.text.extend_from_slice(octets);
        match &self.refuses {
            Some((from, Verdict::Say(code, text))) if self.text.len() >= *from => {
                // How much it saw beyond that octet is an accident of the cut.
                self.text.truncate(*from);
                self.heard.push(format!("refused {}", self.text.escape_ascii()));
                self.reply.clone_from(text);
                Flow::Refuse(Reply::from_octets(*code, &self.reply))
            }
            _ => Flow::Continue,
        }
    }
    fn message(&mut self, recipient: u16) -> Answer<'_> {
        let question = format!("message {recipient} {}", self.text.escape_ascii());
        self.ask(question)
    }
    fn verify(&mut self, verify: Verify<'_>) -> Answer<'_> {
        let verb = if verify.expand { "expand" } else { "verify" };
        self.ask(format!("{verb} {}", verify.string.escape_ascii()))
    }
    fn reset(&mut self) {
        self.heard.push("reset".into());
    }
    fn closed(&mut self, why: Ending) {
        self.heard.push(format!("closed {why:?}"));
    }
    fn room(&mut self, _: &Waker) -> usize {
        self.has_paused = !self.has_paused;
        if self.room == 0 { usize::from(!self.has_paused) } else { self.room }
    }
    fn backlog(&self) -> u16 {
        self.backlog
    }
    fn resume(&mut self, _: &Waker) -> Answer<'_> {
        if self.waited < self.defers {
            self.waited += 1;
            return Answer::Later;
        }
        match self.open.pop_front() {
            Some(question) => {
                self.waited = 0;
                self.give(&question)
            }
            None => Answer::Later,
        }
    }
}

/// A session and its handler, spoken to line by line.
pub struct Talk<'c, 'r, L: Store = Inline<u8, 1024>, O: Store = Inline<u8, 1024>> {
    pub session: Session<'c, L, O>,
    pub handler: Notes<'r>,
    /// What the session left of the input.
    pub left: Vec<u8>,
    /// What the last step said.
    pub progress: Progress,
}

impl<'c, 'r> Talk<'c, 'r> {
    /// Nothing was said yet.
    pub fn new(config: &'c Config<'c>, handler: Notes<'r>) -> Self {
        Self::with(Session::new(config, Peer::default()), handler)
    }

    /// After the greeting and these lines, with what was heard forgotten.
    pub fn after(config: &'c Config<'c>, handler: Notes<'r>, lines: &[&str]) -> Self {
        let mut talk = Self::new(config, handler);
        talk.say("");
        for line in lines {
            talk.say(format!("{line}\r\n"));
        }
        talk.handler.take();
        talk
    }
}

impl<'c, 'r, L: Store, O: Store> Talk<'c, 'r, L, O> {
    pub fn with(session: Session<'c, L, O>, handler: Notes<'r>) -> Self {
        Self { session, handler, left: Vec::new(), progress: Progress::Moved }
    }

    /// Steps until nothing moves; what the session says to it.
    pub fn say(&mut self, octets: impl AsRef<[u8]>) -> String {
        self.left.extend_from_slice(octets.as_ref());
        let (mut said, mut waits) = (Vec::new(), 0);
        for steps in 0.. {
            assert!(steps < 1_000 + 50 * octets.as_ref().len(), "the session spins");
            let mut input = &self.left[..];
            self.progress = step(&mut self.session, &mut input, &mut self.handler, Waker::noop());
            let len = input.len();
            let taken = self.left.len() - len;
            self.left.drain(..taken);
            if self.progress == Progress::Moved {
                waits = 0;
                continue;
            }
            let output = self.session.output();
            let is_pending = !output.is_empty();
            said.extend_from_slice(output);
            let len = output.len();
            self.session.sent(len);
            match self.progress {
                #[cfg(feature = "starttls")]
                Progress::StartTls => self.session.tls_started(&mut &[][..], smtpd_core::server::Tls::default()),
                Progress::Wait { .. } if waits < 20 => waits += 1,
                Progress::Wait { .. } | Progress::Closed => break,
                _ if !is_pending && taken == 0 => break,
                _ => {}
            }
        }
        String::from_utf8(said).expect("replies are ASCII")
    }

    /// The same for one line, CRLF added; its reply's code.
    pub fn code(&mut self, line: &str) -> u16 {
        code(&self.say(line.to_owned() + "\r\n"))
    }

    pub fn state(&self) -> State {
        self.session.state()
    }
}

/// The code of the one reply in there; 0 for none.
pub fn code(said: &str) -> u16 {
    let codes = final_codes(said.as_bytes());
    assert!(codes.len() < 2, "more than one reply: {said}");
    codes.first().copied().unwrap_or(0)
}

/// The codes of all replies, in order; every line is held to RFC 5321 §4.2.
pub fn final_codes(said: &[u8]) -> Vec<u16> {
    let mut codes = Vec::new();
    let mut within = None;
    let mut rest = said;
    while !rest.is_empty() {
        let end = rest.windows(2).position(|pair| pair == b"\r\n").expect("a line ends with CRLF");
        let (line, behind) = rest.split_at(end);
        rest = &behind[2..];
        assert!(line.len() + 2 <= 512, "a line has {} octets", line.len() + 2);
        assert!(line.iter().all(|octet| matches!(octet, b' '..=b'~')), "{}", line.escape_ascii());
        assert!(line.len() >= 4, "{}", line.escape_ascii());
        let (code, text) = (&line[..3], &line[3..]);
        assert!(matches!(code, [b'2'..=b'5', b'0'..=b'9', b'0'..=b'9']), "{}", line.escape_ascii());
        assert!(within.is_none_or(|within| within == code), "the code changes within a reply");
        match text[0] {
            b'-' => within = Some(code),
            b' ' => {
                within = None;
                codes.push(std::str::from_utf8(code).unwrap().parse().unwrap());
            }
            _ => panic!("{}", line.escape_ascii()),
        }
    }
    assert_eq!(within, None, "a reply has no last line");
    codes
}

/// What a server says that was built without enhanced codes, EXPN and HELP, if this one was.
pub fn built(text: &str) -> String {
    let mut lines: Vec<String> = text.split_inclusive("\r\n").map(Into::into).collect();
    if !cfg!(feature = "enhanced") {
        lines.retain(|line| !line.contains("ENHANCEDSTATUSCODES"));
        for line in &mut lines {
            let code = line.get(4..).and_then(|text| text.split(' ').next()).unwrap_or("");
            let is_enhanced =
                code.split('.').count() == 3 && code.bytes().all(|octet| octet == b'.' || octet.is_ascii_digit());
            if is_enhanced {
                line.replace_range(4..4 + code.len() + 1, "");
            }
        }
    }
    if !cfg!(feature = "expn-help")
        && let Some(at) = lines.iter().position(|line| line == "250 HELP\r\n")
    {
        lines.remove(at);
        lines[at - 1].replace_range(3..4, " ");
    }
    lines.concat()
}

/// Storage as a host has it: made while it is needed, given back when it is not.
#[derive(Debug, Default)]
pub struct OnDemand<const N: usize>(pub Option<Box<Inline<u8, N>>>);

impl<const N: usize> Store for OnDemand<N> {
    fn view(&mut self) -> &mut heapless::VecView<u8> {
        &mut **self.0.get_or_insert_default()
    }
    fn octets(&self) -> &[u8] {
        self.0.as_deref().map_or(&[], |octets| octets)
    }
    fn room(&self) -> usize {
        N - self.octets().len()
    }
    fn release(&mut self) {
        self.0 = None;
    }
}
