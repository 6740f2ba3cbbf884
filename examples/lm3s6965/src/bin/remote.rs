//! For tests alone: a board whose handler is on the host, and whose time is the host's, so that a whole dialogue can be
//! played against it, timers included.
//!
//! It asks by semihosting, through the host's files `ask` and `answer` in QEMU's folder, which are FIFOs; the emulator
//! stands still meanwhile. A question is a letter, the length of what follows (16 bits, the lower octet first), and that;
//! so is an answer. tests/firmware/remote.rs is the other end.
#![no_std]
#![no_main]

use core::cell::RefCell;
use core::hint::black_box;
use core::mem::MaybeUninit;
use core::task::Waker;

use cortex_m_rt::entry;
use lm3s6965::clock;
use lm3s6965::ethernet::Frames;
use lm3s6965::network::{self, PORT, Sockets};
use semihosting::fs::File;
use semihosting::io::{Read, Write};
use smoltcp::time::{Duration, Instant};
use smtpd_core::heapless::Vec;
use smtpd_core::server::{Answer, Config, Ending, Extensions, Flow, Handler, Hello, Mail, Peer, Rcpt, Reply, Verify};
use smtpd_core::wire::{ForwardPath, ReversePath, split};
use smtpd_smoltcp::{Rings, Server};

type Dialogue = Server<'static, Remote<'static>, 1>;

#[entry]
fn main() -> ! {
    static mut FRAMES: Frames = Frames::new();
    static mut RINGS: Rings<1> = Rings::new();
    static mut SOCKETS: Sockets<1> = Sockets::new();
    static mut HOST: MaybeUninit<RefCell<Host>> = MaybeUninit::uninit();
    static mut SETTINGS: Vec<u8, FRAME> = Vec::new();
    static mut CONFIG: Config = Config::new("mx.example.org");
    static mut SERVER: MaybeUninit<Dialogue> = MaybeUninit::uninit();

    let host = HOST.write(RefCell::new(Host::open()));
    host.borrow_mut().ask(b'?', &[]);
    SETTINGS.extend_from_slice(&host.borrow().answer).expect("as long as an answer");
    let mut remote = Remote {
        host,
        reply: Vec::new(),
        asks_room: false,
        backlog: 1,
        acts_on: Extensions::OWN.with(Extensions::EIGHTBITMIME),
    };
    for setting in core::str::from_utf8(SETTINGS).expect("UTF-8").lines() {
        remote.setting(CONFIG, setting);
    }

    let (mut interface, mut ethernet) = network::start(FRAMES);
    let mut sockets = network::sockets(SOCKETS);
    let server = SERVER.write(Server::new(CONFIG, [remote], RINGS.add(&mut sockets)));
    server.listen(PORT);
    loop {
        let (now, order) = host.borrow_mut().turn(server.connections() as u8);
        match order {
            b's' => server.stop(),
            b'p' => panic!("as it was told to"),
            b'o' => overflow(0),
            _ => {}
        }
        server.poll(now, &mut interface, &mut ethernet, &mut sockets, Waker::noop());
        // A little while of the emulator's own time, in which frames may come.
        clock::sleep(Some(clock::now() + Duration::from_millis(1)), || ethernet.is_idle());
    }
}

/// Takes stack until there is none.
#[expect(unconditional_recursion, reason = "that is what it is for")]
fn overflow(depth: usize) {
    overflow(black_box([depth; 32])[0]);
}

/// Octets of the longest question or answer.
const FRAME: usize = 2_048;

/// The host's two files, and what it answered last.
struct Host {
    questions: File,
    answers: File,
    kind: u8,
    answer: Vec<u8, FRAME>,
}

impl Host {
    fn open() -> Self {
        let questions = File::create(c"ask").expect("a FIFO");
        let answers = File::open(c"answer").expect("a FIFO");
        Self { questions, answers, kind: 0, answer: Vec::new() }
    }

    fn ask(&mut self, kind: u8, parts: &[&[u8]]) {
        let length: usize = parts.iter().map(|part| part.len()).sum();
        let [low, high] = (length as u16).to_le_bytes();
        self.questions.write_all(&[kind, low, high]).expect("a host");
        for part in parts {
            self.questions.write_all(part).expect("a host");
        }
        let mut head = [0; 3];
        self.answers.read_exact(&mut head).expect("a host");
        let [kind, low, high] = head;
        self.kind = kind;
        self.answer.resize(u16::from_le_bytes([low, high]).into(), 0).expect("an answer that fits");
        self.answers.read_exact(&mut self.answer).expect("a host");
    }

    /// What time it is, and what to do.
    fn turn(&mut self, connections: u8) -> (Instant, u8) {
        self.ask(b'!', &[&[connections]]);
        let micros = self.answer.first_chunk().map_or(0, |micros| i64::from_le_bytes(*micros));
        (Instant::from_micros(micros), self.kind)
    }
}

/// The handler that is on the host.
struct Remote<'h> {
    host: &'h RefCell<Host>,
    reply: Vec<u8, FRAME>,
    asks_room: bool,
    backlog: u16,
    acts_on: Extensions,
}

impl Remote<'_> {
    /// A setting of the script's: see smtpd-mock's settings.rs.
    fn setting(&mut self, config: &mut Config<'static>, setting: &'static str) {
        let (name, value) = setting.split_once(' ').unwrap_or((setting, ""));
        let number = || value.parse::<u32>().expect("a number");
        let limits = &mut config.limits;
        match name {
            "host" => config.host = value,
            "greeting" => config.greeting = value,
            "size" => limits.size = number(),
            "drain" => limits.drain = number(),
            "line" => limits.line = number() as u16,
            "recipients" => limits.recipients = number() as u16,
            "commands" => limits.commands = number(),
            "errors" => limits.errors = number() as u16,
            "transactions" => limits.transactions = number(),
            "timer" => {
                let (name, secs) = value.split_once(' ').expect("a name and a number");
                let timers = &mut config.timers;
                let timer = match name {
                    "command" => &mut timers.command,
                    "text" => &mut timers.text,
                    "output" => &mut timers.output,
                    "answer" => &mut timers.answer,
                    "data" => &mut timers.data,
                    "message" => &mut timers.message,
                    "session" => &mut timers.session,
                    _ => panic!("a timer that is not known"),
                };
                *timer = secs.parse().expect("a number");
            }
            "lmtp" => config.lmtp = true,
            "no_hello_needed" => config.need_hello = false,
            "disable" => match split(value.as_bytes()) {
                Ok((Some(verb), _)) => config.commands = config.commands.without(verb),
                _ => panic!("a command that is not known"),
            },
            "without" => {
                config.extensions = config.extensions.without(Extensions::from_keyword(value.as_bytes()));
            }
            "room" => self.asks_room = true,
            "backlog" => self.backlog = number() as u16,
            "acts_on" => self.acts_on = Extensions::OWN,
            _ => panic!("a setting that is not known"),
        }
    }

    /// A call of the script's, and its answer.
    fn ask(&mut self, kind: u8, parts: &[&[u8]]) -> Answer<'_> {
        let host = &mut *self.host.borrow_mut();
        host.ask(kind, parts);
        if host.kind == b'l' {
            return Answer::Later;
        }
        if host.kind == b'a' {
            return Answer::Accept;
        }
        let (head, text) = host.answer.split_first_chunk().expect("a reply");
        let [code_low, code_high, is_enhanced, subject, low, high] = *head;
        self.reply.clear();
        self.reply.extend_from_slice(text).expect("as long as an answer");
        let reply = Reply::from_octets(u16::from_le_bytes([code_low, code_high]), &self.reply);
        Answer::Reply(if is_enhanced == 1 { reply.enhanced(subject, u16::from_le_bytes([low, high])) } else { reply })
    }

    fn with_params(&mut self, word: &[u8], path: &[u8], params: &[u8]) -> Answer<'_> {
        self.ask(b'c', &[word, b" <", path, b">", if params.is_empty() { b"" } else { b" " }, params])
    }
}

impl Handler for Remote<'_> {
    fn connected(&mut self, _: Peer) -> Answer<'_> {
        self.ask(b'c', &[b"connected"])
    }

    fn hello(&mut self, hello: Hello<'_>) -> Answer<'_> {
        self.ask(b'c', &[if hello.extended { b"ehlo " } else { b"helo " }, hello.name])
    }

    fn mail(&mut self, mail: Mail<'_>) -> Answer<'_> {
        let path = match mail.reverse_path {
            ReversePath::Null => b"",
            ReversePath::Mailbox(mailbox) => mailbox.as_octets(),
        };
        self.with_params(b"mail", path, mail.params.as_octets())
    }

    fn rcpt(&mut self, rcpt: Rcpt<'_>) -> Answer<'_> {
        let path = match rcpt.forward_path {
            ForwardPath::Postmaster(word) => word,
            ForwardPath::Mailbox(mailbox) => mailbox.as_octets(),
        };
        self.with_params(b"rcpt", path, rcpt.params.as_octets())
    }

    fn data(&mut self) -> Answer<'_> {
        self.ask(b'c', &[b"data"])
    }

    fn text(&mut self, octets: &[u8]) -> Flow<'_> {
        match self.ask(b't', &[octets]) {
            Answer::Reply(reply) => Flow::Refuse(reply),
            _ => Flow::Continue,
        }
    }

    fn message(&mut self, recipient: u16) -> Answer<'_> {
        self.ask(b'm', &[&recipient.to_le_bytes()])
    }

    fn verify(&mut self, verify: Verify<'_>) -> Answer<'_> {
        self.ask(b'c', &[if verify.expand { b"expand " } else { b"verify " }, verify.string])
    }

    fn reset(&mut self) {
        let _ = self.ask(b'r', &[]);
    }

    fn closed(&mut self, why: Ending) {
        let why = match why {
            Ending::Quit => b"quit",
            Ending::Refused => b"refu",
            Ending::Limit => b"limi",
            Ending::Lost => b"lost",
            Ending::Expired => b"expi",
            Ending::Stopping => b"stop",
            _ => b"faul",
        };
        let _ = self.ask(b'e', &[why]);
    }

    fn acts_on(&self) -> Extensions {
        self.acts_on
    }

    fn room(&mut self, _: &Waker) -> usize {
        if !self.asks_room {
            return usize::MAX;
        }
        let host = &mut *self.host.borrow_mut();
        host.ask(b'o', &[]);
        host.answer.first_chunk().map_or(0, |room| u32::from_le_bytes(*room) as usize)
    }

    fn backlog(&self) -> u16 {
        self.backlog
    }

    fn resume(&mut self, _: &Waker) -> Answer<'_> {
        self.ask(b'u', &[])
    }
}
