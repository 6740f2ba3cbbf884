//! A spool's sender: what is sent, what is sent again, and when.

use smtpd_core::handlers::spool::{Event, Ram, Retry, Sender, Store};
use smtpd_core::heapless::Vec as Octets;
use smtpd_core::relay::{Leg, Need};

const RETRY: Retry = Retry { first: 10, most: 60 };

/// A sender, its store, and the server's end of its connection.
struct World {
    sender: Sender<Octets<u8, 1024>>,
    store: Ram<32, 64>,
    now: u32,
    /// What the server heard, and has to say.
    heard: Vec<String>,
    unsent: Vec<u8>,
    unread: Vec<u8>,
    is_text: bool,
    connections: usize,
}

/// What the server says to a line: `connect`, `greeting`, a command, or `.`; nothing: it closes. Empty: as servers do.
type Rule<'r> = &'r mut dyn FnMut(&str) -> Option<&'static str>;

const YES: fn(&str) -> Option<&'static str> = |_| Some("");

impl World {
    fn new(now: u32) -> Self {
        let leg = Leg::with("192.0.2.1:25".parse().unwrap(), "a.example", Octets::new());
        let (heard, unsent, unread) = (Vec::new(), Vec::new(), Vec::new());
        let sender = Sender::new(leg, RETRY, 7);
        Self { sender, store: Ram::new(), now, heard, unsent, unread, is_text: false, connections: 0 }
    }

    fn keep(&mut self, to: &[&str], text: &str) {
        let id = self.store.begin().unwrap();
        self.store.append(id, &[b"<a@b.example>\r\n"]).unwrap();
        for to in to {
            self.store.append(id, &[b"<", to.as_bytes(), b">\r\n"]).unwrap();
        }
        self.store.append(id, &[b"\r\n", text.as_bytes()]).unwrap();
        self.store.commit(id).unwrap();
    }

    /// How many messages are kept.
    fn kept(&self) -> usize {
        std::iter::successors(self.store.next(None), |id| self.store.next(Some(*id))).count()
    }

    fn say(&mut self, line: &str, rule: Rule<'_>) {
        self.heard.push(line.into());
        let Some(said) = rule(line) else {
            self.unsent.clear();
            return self.sender.leg().lost();
        };
        let usual = match line.split(' ').next().unwrap() {
            "greeting" => "220 up.example",
            "DATA" => "354 go on",
            "QUIT" => "221 bye",
            _ => "250 yes",
        };
        let said = if said.is_empty() { usual } else { said };
        self.is_text = said.starts_with("354");
        self.unsent.extend([said.as_bytes(), b"\r\n"].concat());
    }

    /// Until nothing moves any more: the events.
    fn play(&mut self, rule: Rule<'_>) -> Vec<String> {
        let mut events = Vec::new();
        for _ in 0..10_000 {
            match self.sender.leg().need() {
                Need::Connect(_) if rule("connect").is_some() => {
                    self.connections += 1;
                    (self.is_text, self.unread, self.unsent) = (false, Vec::new(), Vec::new());
                    self.sender.leg().connected();
                    self.say("greeting", rule);
                }
                Need::Connect(_) | Need::Close => self.sender.leg().lost(),
                Need::Nothing => {}
            }
            let output = self.sender.leg().output().to_vec();
            self.sender.leg().sent(output.len());
            self.unread.extend_from_slice(&output);
            loop {
                let mark = if self.is_text { "\r\n.\r\n" } else { "\r\n" };
                let text = String::from_utf8(self.unread.clone()).unwrap();
                // An empty text has no line end before its dot.
                let Some(end) = text.find(mark) else { break };
                self.unread.drain(..end + mark.len());
                if std::mem::take(&mut self.is_text) {
                    self.heard.push(text[..end].into());
                    self.say(".", rule);
                } else {
                    self.say(&text[..end], rule);
                }
            }
            let mut input = &self.unsent[..];
            self.sender.leg().receive(&mut input);
            self.unsent = input.to_vec();
            let event = match self.sender.poll(&mut self.store, self.now) {
                Event::Idle => None,
                Event::Moved => continue,
                Event::Sent(id) => Some(format!("sent {}", id.number())),
                Event::Refused(id, reply) => Some(format!("refused {} {}", id.number(), reply.code())),
                Event::GivenUp(id, reply) => Some(format!("given up {} {}", id.number(), reply.code())),
                Event::Later(id, reply, _) => Some(format!("later {} {}", id.number(), reply.code())),
            };
            let leg = self.sender.leg();
            let is_quiet = event.is_none() && leg.output().is_empty() && leg.need() == Need::Nothing;
            events.extend(event);
            if is_quiet {
                return events;
            }
        }
        panic!("it spins: {events:?}, {:?}", self.heard);
    }
}

#[test]
fn messages_go_in_their_order_over_one_connection() {
    let mut world = World::new(0);
    world.keep(&["one@example.org", "two@example.org"], "..\r\nHi\r\n");
    world.keep(&["Postmaster"], &"0123456789\r\n".repeat(30));
    assert_eq!(world.play(&mut { YES }), ["sent 1", "sent 2"]);
    let text = "0123456789\r\n".repeat(30);
    let expected = [
        "greeting",
        "EHLO a.example",
        "MAIL FROM:<a@b.example>",
        "RCPT TO:<one@example.org>",
        "RCPT TO:<two@example.org>",
        "DATA",
        "...\r\nHi",
        ".",
        "MAIL FROM:<a@b.example>",
        "RCPT TO:<Postmaster>",
        "DATA",
        text.trim_end(),
        ".",
        "QUIT",
    ];
    assert_eq!(world.heard, expected);
    assert_eq!((world.kept(), world.sender.left(0)), (0, None));
    // Nothing more, until there is another one.
    assert_eq!(world.play(&mut { YES }), [""; 0]);
    world.keep(&["three@example.org"], "Hi\r\n");
    assert_eq!(world.play(&mut { YES }), ["sent 3"]);
    assert_eq!(world.connections, 2);
}

#[test]
fn what_may_be_different_another_time_is_sent_again() {
    let steps =
        ["connect", "greeting", "EHLO a.example", "MAIL FROM:<a@b.example>", "RCPT TO:<c@d.example>", "DATA", "."];
    for step in steps {
        for says in [None, Some("451 not now"), Some("421 not now"), Some("550 never")] {
            let mut world = World::new(0);
            world.keep(&["c@d.example"], "Hi\r\n");
            world.keep(&["c@d.example"], "Hi, too\r\n");
            let events = world.play(&mut |line| if line == step { says } else { Some("") });
            let is_refused = step == "connect" && says.is_some();
            // EHLO's 550 leads to HELO; a server's no to all clients is none to a message.
            let is_told = !["connect", "greeting", "EHLO a.example"].contains(&step);
            let case = format!("{step} {says:?} {events:?}");
            match says {
                _ if is_refused => assert_eq!(events, ["sent 1", "sent 2"], "{case}"),
                Some("550 never") if step == "EHLO a.example" => assert_eq!(events, ["sent 1", "sent 2"], "{case}"),
                Some("550 never") if is_told => {
                    assert_eq!(events, ["given up 1 550", "given up 2 550"], "{case}");
                    // What was begun on the first is over.
                    assert_eq!(world.connections, 2, "{case}");
                }
                Some("550 never") => assert_eq!(events, ["later 1 550"], "{case}"),
                says => {
                    let code = says.map_or("451", |says| &says[..3]);
                    assert_eq!(events, [format!("later 1 {code}")], "{case}");
                    let left = world.sender.left(0).unwrap();
                    assert!((5_000..10_000).contains(&left), "{left}: {case}");
                    world.now = left - 1;
                    assert_eq!(world.play(&mut { YES }), [""; 0], "{case}");
                    world.now = left;
                    assert_eq!(world.play(&mut { YES }), ["sent 1", "sent 2"], "{case}");
                }
            }
            assert!(world.sender.leg().is_idle(), "{case}");
        }
    }
}

#[test]
fn each_time_later_but_not_for_ever() {
    // The clock wraps meanwhile.
    let mut world = World::new(u32::MAX - 30_000);
    world.keep(&["c@d.example"], "Hi\r\n");
    for most in [10_000, 20_000, 40_000, 60_000, 60_000, 60_000] {
        assert_eq!(world.play(&mut |_| None), ["later 1 451"]);
        let left = world.sender.left(world.now).unwrap();
        assert!((most / 2..most).contains(&left), "{left} of {most}");
        world.now = world.now.wrapping_add(left);
    }
    assert_eq!(world.play(&mut { YES }), ["sent 1"]);
    // Then anew.
    world.keep(&["c@d.example"], "Hi\r\n");
    assert_eq!(world.play(&mut |_| None), ["later 2 451"]);
    assert!(world.sender.left(world.now).unwrap() < 10_000);
}

#[test]
fn recipients() {
    let to = ["one@example.org", "two@example.org", "three@example.org"];
    let rows: [([&'static str; 3], &[&str], bool); 5] = [
        (["", "550 no", ""], &["refused 1 550", "sent 1"], true),
        (["", "", "550 no"], &["refused 1 550", "sent 1"], true),
        (["550 no", "551 no", ""], &["refused 1 550", "refused 1 551", "sent 1"], true),
        // For now, so nobody gets it now.
        (["", "450 later", ""], &["later 1 450"], false),
        (["550 no", "551 no", "552 no"], &["refused 1 550", "refused 1 551", "given up 1 552"], false),
    ];
    for (says, events, has_text) in rows {
        let mut world = World::new(0);
        world.keep(&to, "Hi\r\n");
        let mut rule = |line: &str| {
            let recipient = to.iter().position(|to| line == format!("RCPT TO:<{to}>"));
            Some(recipient.map_or("", |recipient| says[recipient]))
        };
        assert_eq!(world.play(&mut rule), events);
        assert_eq!(world.heard.iter().any(|line| line == "DATA"), has_text, "{says:?}");
        assert_eq!(world.kept(), usize::from(events == ["later 1 450"]));
    }
}

#[test]
fn a_message_that_is_gone_while_it_is_sent_has_no_end() {
    let mut world = World::new(0);
    world.keep(&["c@d.example"], "Hi\r\n");
    let id = world.store.next(None).unwrap();
    // Between DATA's reply and its first octet: the store is not ours alone.
    let mut events = Vec::new();
    for _ in 0..60 {
        let Need::Nothing = world.sender.leg().need() else {
            world.sender.leg().connected();
            world.say("greeting", &mut { YES });
            continue;
        };
        let output = world.sender.leg().output().to_vec();
        world.sender.leg().sent(output.len());
        for line in String::from_utf8(output).unwrap().lines() {
            world.say(line, &mut { YES });
        }
        if world.is_text && world.store.len(id).is_some() {
            world.store.remove(id).unwrap();
        }
        let mut input = &world.unsent[..];
        world.sender.leg().receive(&mut input);
        world.unsent = input.to_vec();
        match world.sender.poll(&mut world.store, 0) {
            Event::GivenUp(id, reply) => events.push((id.number(), reply.code())),
            Event::Sent(_) => panic!("sent"),
            _ => {}
        }
        if !events.is_empty() {
            break;
        }
    }
    assert_eq!(events, [(1, 451)]);
    assert_eq!(world.sender.leg().need(), Need::Close);
}
