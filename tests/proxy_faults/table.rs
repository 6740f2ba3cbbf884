//! The table of what a fault at each step comes to, in PureProxy's docs: made from what happens.

use std::cell::RefCell;
use std::fmt::Write;
use std::rc::Rc;

use smtpd_core::guard::Guard;
use smtpd_core::handlers::PureProxy;
use smtpd_core::relay::Leg;
use smtpd_mock::{Clock, Link, Wire};

use crate::upstream::{Fault, Seen, Step, Upstream};
use crate::world::{Dial, Proxy, Server, World, settings};

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/core/src/handlers/pure_proxy.md");
const BEGIN: &str = "<!-- The table is written by `SMTPD_WRITE_TABLE=1 cargo test --test proxy_faults`. -->\n";

/// Whose mistake it is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Whose {
    /// The server's, on the connection that EHLO made.
    Server(Step, Fault),
    /// The server's, on the connection that MAIL made anew.
    Again(Step, Fault),
    /// The client's, which closes or resets.
    Client(Step, bool),
}

/// What came of it.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    hears: String,
    keeps: String,
    next: String,
}

const SLOW: &str = "says 4yz";
const NEVER: &str = "says 5yz";
const CLOSING: &str = "says 421 and closes";
const NONSENSE: &str = "says what is not SMTP";
const EXTRA: &str = "says one reply too many";
const OFFERED_TWICE: &str = "250-up.example\r\n250-PIPELINING\r\n250-SIZE 1000000\r\n250 8BITMIME\r\n250 OK\r\n";
const MISPLACED: &str = "says 354";

fn rows() -> Vec<(String, Vec<Whose>)> {
    use Fault::{Closes, EndlessLine, EndlessLines, Hangs, Refuses, Resets, Says, SaysAndCloses};
    use Step::{Connect, Data, Dot, Ehlo, Greeting, Helo, Idle, Mail, Quit, Rcpt, Rset, Text};
    let broken = [Hangs, Closes, Resets];
    let replies = |extra: &'static str| {
        [
            SaysAndCloses(CLOSING, "421 4.3.2 Closing\r\n"),
            Says(SLOW, "450 4.2.0 Later\r\n"),
            Says(NEVER, "571 5.7.1 Never\r\n"),
            Says(NONSENSE, "SSH-2.0-x\r\n"),
            EndlessLine,
            EndlessLines,
            Says(EXTRA, extra),
        ]
    };
    let all = |extra, misplaced: &[Fault]| [&broken[..], &replies(extra), misplaced].concat();
    let go_on = [Says(MISPLACED, "354 Go on\r\n")];
    let yes = [Says("says 250", "250 2.0.0 OK\r\n")];
    let twice = "250 2.1.0 OK\r\n250 2.1.0 OK\r\n";
    let steps = [
        (Connect, vec![Refuses, Hangs]),
        (Greeting, all("220 up.example\r\n250 up.example\r\n", &go_on)),
        (Ehlo, all(OFFERED_TWICE, &go_on)),
        (Helo, all("250 up.example\r\n250 up.example\r\n", &go_on)),
        (Mail, all(twice, &go_on)),
        (Rcpt, all(twice, &[&go_on[..], &[Says("says 251", "251 2.1.5 Forwarded\r\n")]].concat())),
        (Data, all("354 Go on\r\n250 2.0.0 OK\r\n", &yes)),
        (Text, [&broken[..], &replies("250 2.0.0 OK\r\n")].concat()),
        (Dot, all(twice, &go_on)),
        (Idle, [&broken[..], &replies("250 2.0.0 OK\r\n")].concat()),
        (Rset, all(twice, &go_on)),
        (Quit, all("221 2.0.0 Bye\r\n250 2.0.0 OK\r\n", &go_on)),
    ];
    let mut rows = Vec::new();
    for (step, faults) in &steps {
        rows.push((name(*step).into(), faults.iter().map(|fault| Whose::Server(*step, *fault)).collect()));
    }
    for (step, faults) in &steps[..4] {
        let name = format!("{}, of MAIL's connection", name(*step));
        rows.push((name, faults.iter().map(|fault| Whose::Again(*step, *fault)).collect()));
    }
    for step in [Ehlo, Mail, Rcpt, Data, Text, Dot, Idle, Rset] {
        rows.push((name(step).into(), [false, true].map(|resets| Whose::Client(step, resets)).into()));
    }
    rows
}

fn name(step: Step) -> &'static str {
    match step {
        Step::Connect => "connecting",
        Step::Greeting => "greeting",
        Step::Ehlo => "EHLO",
        Step::Helo => "HELO, for EHLO was refused",
        Step::Mail => "MAIL",
        Step::Rcpt => "RCPT, the second of three",
        Step::Data => "DATA",
        Step::Text => "text",
        Step::Dot => "the dot",
        Step::Rset => "RSET",
        Step::Idle => "behind a message",
        Step::Quit => "QUIT",
    }
}

/// A client with its mail, and what it hears of it.
struct Client {
    world: World,
    hears: Vec<String>,
    /// It goes here.
    gone: Option<(Step, bool)>,
    is_gone: bool,
}

impl Client {
    /// Says this and notes the reply, unless it is as it should be; whether it is a yes.
    fn ask(&mut self, step: Step, verb: &str, line: &str, usual: &str) -> bool {
        if self.is_gone {
            return false;
        }
        if self.world.is_closed {
            return false;
        }
        self.world.send(format!("{line}\r\n").as_bytes());
        if self.goes(step) {
            return false;
        }
        let began = self.world.clock.now();
        let reply = self.world.reply();
        let secs = (self.world.clock.now() - began).as_secs();
        if !reply.starts_with(usual) || secs > 0 {
            let after = if secs > 0 { format!(" after {secs} s") } else { String::new() };
            self.hears.push(format!("{verb}: {}{after}", code(&reply)));
        }
        reply.starts_with(['2', '3'])
    }

    fn goes(&mut self, step: Step) -> bool {
        let Some((_, resets)) = self.gone.filter(|(at, _)| *at == step) else { return false };
        if resets {
            self.world.reset();
        } else {
            self.world.leave();
        }
        self.is_gone = true;
        true
    }

    /// A mail to three; whether something of it was begun.
    fn send(&mut self) -> bool {
        if !self.ask(Step::Mail, "MAIL", "MAIL FROM:<a@a.example>", "250 2.1.0 OK") {
            return false;
        }
        let mut is_any = false;
        for number in 1..4 {
            let step = if number == 2 { Step::Rcpt } else { Step::Connect };
            is_any |= self.ask(step, "RCPT", &format!("RCPT TO:<b{number}@b.example>"), "250 2.1.5 OK");
        }
        if !is_any || !self.ask(Step::Data, "DATA", "DATA", "354 ") {
            return true;
        }
        self.world.send(b"Subject: x\r\n");
        if self.goes(Step::Text) {
            return true;
        }
        // What a server does within the text comes then, and not with its end.
        self.world.run();
        if self.ask(Step::Dot, "dot", "\r\n..\r\n.", "250 2.0.0 Kept") {
            self.goes(Step::Idle);
            return false;
        }
        true
    }
}

fn code(reply: &str) -> String {
    if reply.starts_with("250") {
        let keywords: Vec<&str> = reply.lines().skip(1).map(|line| &line[4..]).collect();
        return if keywords.is_empty() { "`250`".into() } else { format!("`250 {}`", keywords.join("`, `")) };
    }
    let words: Vec<&str> = reply.split_whitespace().take(2).collect();
    match words[..] {
        [] => "nothing, and the end".into(),
        [code, enhanced] if enhanced.contains('.') => format!("`{code} {enhanced}`"),
        [code, ..] => format!("`{code}`"),
    }
}

/// What the proxy offers of what this server does.
const USUAL: &str = "250-proxy.example\r\n250-PIPELINING\r\n250-SIZE 1000000\r\n250 8BITMIME\r\n";

fn outcome(whose: Whose) -> Outcome {
    let clock = Clock::new();
    let (mut world, server_end) = World::new(&clock, Link::new(), Link::new());
    let seen = Rc::new(RefCell::new(Seen::default()));
    let dials = Rc::new(RefCell::new(0));
    let faulty = match whose {
        Whose::Server(step, fault) => Some((1, step, fault)),
        Whose::Again(step, fault) => Some((2, step, fault)),
        Whose::Client(..) => None,
    };
    let is_again = matches!(whose, Whose::Again(..));
    let (born, sees, dialled, time) = (Rc::clone(&world.born), Rc::clone(&seen), Rc::clone(&dials), clock.clone());
    let dial = move |is_new: bool| {
        *dialled.borrow_mut() += u32::from(is_new);
        let count = *dialled.borrow();
        if is_again && count == 1 {
            return Dial::Refused;
        }
        let fault = faulty.filter(|(number, ..)| *number == count).map(|(_, step, fault)| (step, fault));
        match fault {
            Some((Step::Connect, Fault::Refuses)) => return Dial::Refused,
            Some((Step::Connect, _)) => return Dial::Hangs,
            _ => {}
        }
        let (end, upstream) = Wire::pair(&time, Link::new(), Link::new());
        born.borrow_mut().push(Box::new(Upstream::new(upstream, fault, &sees)));
        Dial::Open(end)
    };
    let config = settings("proxy.example", |_| {});
    let relay = PureProxy::new(Leg::new(([127, 0, 0, 1], 25).into(), "proxy.example"), Guard::OPEN);
    world.add(Proxy::new(Server::new(config, relay, server_end, usize::MAX), usize::MAX, dial));

    let gone = if let Whose::Client(step, resets) = whose { Some((step, resets)) } else { None };
    let mut client = Client { world, hears: Vec::new(), gone, is_gone: false };
    assert!(client.world.reply().starts_with("220 "));
    let usual = if is_again { "250-proxy.example\r\n250-PIPELINING\r\n250-SIZE" } else { USUAL };
    client.ask(Step::Ehlo, "EHLO", "EHLO a.example", usual);
    let at = match whose {
        Whose::Server(step, _) | Whose::Client(step, _) => step,
        Whose::Again(..) => Step::Mail,
    };
    let mut is_begun = false;
    match at {
        // The mail is the next one.
        Step::Connect | Step::Greeting | Step::Ehlo | Step::Helo => {}
        Step::Rset => {
            client.ask(Step::Connect, "MAIL", "MAIL FROM:<a@a.example>", "250 2.1.0 OK");
            client.ask(Step::Rset, "RSET", "RSET", "250");
        }
        _ => is_begun = client.send(),
    }
    if at == Step::Quit {
        client.ask(Step::Quit, "QUIT", "QUIT", "221 ");
        client.world.pass(600);
        assert!(client.world.is_closed);
    }
    let messages = seen.borrow().messages.len();
    if gone.is_some() {
        // The proxy ends its session with the server, within the time that it has for its step.
        client.world.pass(600);
        let messages = seen.borrow().messages.len();
        let seen = seen.borrow();
        let last = seen.lines.last().cloned().unwrap_or_default();
        let next = if last == "QUIT" { "the server hears QUIT" } else { "the connection is closed" };
        return Outcome { hears: String::new(), keeps: keeps(&seen, messages), next: next.into() };
    }
    let hears = if client.hears.is_empty() { "nothing of it".into() } else { client.hears.join(", ") };
    client.hears.clear();
    let count = *dials.borrow();
    let next = if at == Step::Quit {
        "there is none".into()
    } else if client.world.is_closed {
        "another client's".into()
    } else {
        if is_begun {
            assert!(client.ask(Step::Connect, "RSET", "RSET", "250"), "{hears}");
        }
        client.send();
        match (&client.hears[..], *dials.borrow() > count) {
            ([], true) => "is sent, on a new connection".into(),
            ([], false) => "is sent".into(),
            (hears, _) => hears.join(", "),
        }
    };
    if !client.world.is_closed {
        client.hears.clear();
        client.ask(Step::Quit, "QUIT", "QUIT", "221 ");
        assert_eq!(client.hears, [""; 0]);
        client.world.pass(600);
        assert!(client.world.is_closed);
    }
    let seen = seen.borrow();
    Outcome { hears, keeps: keeps(&seen, messages), next }
}

/// What the server keeps of the first mail.
fn keeps(seen: &Seen, messages: usize) -> String {
    // Of no text anything but the whole of it.
    assert!(seen.messages.iter().all(|(_, text)| text == b"Subject: x\r\n\r\n.\r\n"), "{:?}", seen.messages);
    match seen.messages[..messages] {
        [] => "nothing".into(),
        [(3, _)] => "the message".into(),
        [(count, _)] => format!("the message, for {count}"),
        _ => panic!("{:?}", seen.messages),
    }
}

fn table() -> String {
    let mut text = String::from(
        "| at | the server | the client hears | the server keeps | the next MAIL |\n|---|---|---|---|---|\n",
    );
    let mut gone = String::from("\n| at | the client | the server keeps | and then |\n|---|---|---|---|\n");
    for (at, faults) in rows() {
        let mut outcomes: Vec<(Vec<String>, Outcome)> = Vec::new();
        for whose in faults {
            let name = match whose {
                Whose::Server(_, fault) | Whose::Again(_, fault) => fault.to_string(),
                Whose::Client(_, false) => "closes".into(),
                Whose::Client(_, true) => "resets".into(),
            };
            let outcome = outcome(whose);
            match outcomes.iter_mut().find(|(_, other)| *other == outcome) {
                Some((names, _)) => names.push(name),
                None => outcomes.push((vec![name], outcome)),
            }
            if matches!(whose, Whose::Client(..)) {
                assert_eq!(outcomes.last().unwrap().1.hears, "");
            }
        }
        for (names, Outcome { hears, keeps, next }) in outcomes {
            let names = names.join(", ");
            if hears.is_empty() {
                writeln!(gone, "| {at} | {names} | {keeps} | {next} |").unwrap();
            } else {
                writeln!(text, "| {at} | {names} | {hears} | {keeps} | {next} |").unwrap();
            }
        }
    }
    text + &gone
}

#[test]
fn each_row_of_the_table_is_what_happens() {
    let table = table();
    if std::env::var_os("SMTPD_WRITE_TABLE").is_some() {
        let file = std::fs::read_to_string(FILE).unwrap();
        let (head, _) = file.split_once(BEGIN).unwrap();
        std::fs::write(FILE, format!("{head}{BEGIN}{table}")).unwrap();
    }
    let file = std::fs::read_to_string(FILE).unwrap();
    let (_, written) = file.split_once(BEGIN).unwrap();
    for (written, row) in written.lines().zip(table.lines()) {
        assert_eq!(written, row);
    }
    assert_eq!(written.len(), table.len());
}
