//! What a proxy offers, passes on, adds and refuses.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use smtpd_core::guard::Guard;
use smtpd_core::handlers::PureProxy;
use smtpd_core::relay::Leg;
use smtpd_core::server::{Config, Extensions};
use smtpd_core::wire::Verb;
use smtpd_mock::{Clock, Link, Pieces, Wire};

use crate::keep::{All, Keep, Kept};
use crate::upstream::{Fault, Seen, Step, Upstream};
use crate::world::{Dial, Proxy, Server, World, settings};

/// What is behind the proxy; it can change.
struct Behind {
    /// None: it is away.
    config: Cell<Option<&'static Config<'static>>>,
    all: All,
    params: Rc<RefCell<Vec<String>>>,
    dials: Cell<usize>,
    sent: Rc<RefCell<Vec<u8>>>,
}

fn proxied(
    relay: PureProxy<'static>,
    there: Link,
    latency: u64,
    config: Option<&'static Config<'static>>,
) -> (World, Rc<Behind>) {
    let clock = Clock::new();
    let (mut world, end) = World::new(&clock, there, Link::new());
    let behind = Rc::new(Behind {
        config: Cell::new(config),
        all: All::default(),
        params: Rc::default(),
        dials: Cell::new(0),
        sent: Rc::default(),
    });
    let (born, server) = (Rc::clone(&world.born), Rc::clone(&behind));
    let dial = move |_| {
        let Some(config) = server.config.get() else { return Dial::Refused };
        server.dials.set(server.dials.get() + 1);
        let link = Link::new().latency(Duration::from_secs(latency));
        let (end, other) = Wire::pair(&clock, link.clone(), link);
        let mut keep = Keep::new(&server.all);
        keep.params = Rc::clone(&server.params);
        born.borrow_mut().push(Box::new(Server::new(config, keep, other, usize::MAX)));
        Dial::Open(end)
    };
    let front = settings("proxy.example", |_| {});
    let mut proxy = Proxy::new(Server::new(front, relay, end, usize::MAX), usize::MAX, dial);
    proxy.sent = Rc::clone(&behind.sent);
    world.add(proxy);
    (world, behind)
}

fn leg() -> Leg {
    Leg::new(([127, 0, 0, 1], 25).into(), "proxy.example")
}

fn open() -> PureProxy<'static> {
    PureProxy::new(leg(), Guard::OPEN)
}

fn offered(reply: &str) -> Vec<&str> {
    assert!(reply.starts_with("250"), "{reply}");
    reply.lines().skip(1).map(|line| &line[4..]).collect()
}

const ALL: [&str; 5] = ["PIPELINING", "SIZE 33554432", "8BITMIME", "ENHANCEDSTATUSCODES", "HELP"];
const AWAY: [&str; 3] = ["PIPELINING", "SIZE 33554432", "ENHANCEDSTATUSCODES"];

#[test]
fn what_is_offered_is_what_both_sides_offer() {
    let dropped = [
        Extensions::PIPELINING,
        Extensions::SIZE,
        Extensions::EIGHTBITMIME,
        Extensions::ENHANCEDSTATUSCODES,
        Extensions::HELP,
    ];
    for (at, dropped) in dropped.into_iter().enumerate() {
        let config = settings("keeps.example", |config| config.extensions = config.extensions.without(dropped));
        let (mut world, _) = proxied(open(), Link::new(), 0, Some(config));
        world.reply();
        let reply = world.ask("EHLO a.example");
        let expected: Vec<&str> = ALL.iter().enumerate().filter(|(other, _)| *other != at).map(|(_, it)| *it).collect();
        assert_eq!(offered(&reply), expected);
    }
    let sizes =
        [(1_000, "SIZE 1000"), (40_000_000, "SIZE 33554432"), (0, "SIZE 33554432"), (33_554_431, "SIZE 33554431")];
    for (size, expected) in sizes {
        let config = settings("keeps.example", |config| config.limits.size = size);
        let (mut world, _) = proxied(open(), Link::new(), 0, Some(config));
        world.reply();
        assert_eq!(offered(&world.ask("EHLO a.example"))[1], expected);
        // What it knows already it does not ask again.
        assert_eq!(offered(&world.ask("EHLO a.example"))[1], expected);
    }
}

#[test]
fn a_server_that_knows_only_helo_gets_mail() {
    let config = settings("keeps.example", |config| config.commands = config.commands.without(Verb::Ehlo));
    let (mut world, behind) = proxied(open(), Link::new(), 0, Some(config));
    world.reply();
    assert_eq!(world.ask("EHLO a.example"), "250 proxy.example\r\n");
    assert!(world.ask("MAIL FROM:<a@a.example> SIZE=10").starts_with("555 "));
    for line in ["MAIL FROM:<a@a.example>", "RCPT TO:<b@b.example>", "DATA", "Hi\r\n."] {
        assert!(world.ask(line).starts_with(['2', '3']), "{line}");
    }
    assert_eq!(behind.all.borrow().len(), 1);
}

#[test]
fn a_server_that_is_away_and_comes_back() {
    let config = settings("keeps.example", |_| {});
    let (mut world, behind) = proxied(open(), Link::new(), 0, None);
    assert!(world.reply().starts_with("220 "));
    assert_eq!(offered(&world.ask("EHLO a.example")), AWAY);
    for _ in 0..3 {
        assert_eq!(world.ask("MAIL FROM:<a@a.example> SIZE=9"), "451 4.4.1 Next server away, try again\r\n");
    }
    behind.config.set(Some(config));
    for line in [
        "MAIL FROM:<a@a.example> SIZE=9",
        "RCPT TO:<b@b.example>",
        "DATA",
        "Hi\r\n.",
        "MAIL FROM:<a@a.example>",
        "RSET",
    ] {
        let reply = world.ask(line);
        assert!(reply.starts_with(['2', '3']), "{line}: {reply}");
    }
    assert_eq!((behind.all.borrow().len(), behind.dials.get()), (1, 1));
    assert_eq!(offered(&world.ask("EHLO a.example")), ALL);
    assert_eq!(*behind.params.borrow(), ["SIZE=9", ""]);
}

#[test]
fn a_proxy_that_refuses_when_its_server_is_away() {
    let config = settings("keeps.example", |_| {});
    let (mut world, _) = proxied(open().refuse_when_away(), Link::new(), 0, None);
    assert_eq!(world.reply(), "421 4.4.1 Next server away, try again later\r\n");
    assert_eq!(world.reply(), "");
    let (mut world, behind) = proxied(open().refuse_when_away(), Link::new(), 0, Some(config));
    assert!(world.reply().starts_with("220 proxy.example"));
    assert_eq!(offered(&world.ask("EHLO a.example")), ALL);
    assert!(world.ask("MAIL FROM:<a@a.example>").starts_with("250 "));
    assert_eq!(behind.dials.get(), 1);
}

#[test]
fn the_server_behind_a_new_connection_can_do_less() {
    let first = settings("keeps.example", |config| config.timers.command = 60);
    let less = |extensions: Extensions| {
        settings("keeps.example", |config| config.extensions = config.extensions.without(extensions))
    };
    let without_8bit = less(Extensions::EIGHTBITMIME);
    let without_both = less(Extensions::EIGHTBITMIME.with(Extensions::SIZE));
    let helo_only = settings("keeps.example", |config| config.commands = config.commands.without(Verb::Ehlo));
    for second in [without_8bit, without_both, helo_only] {
        let (mut world, behind) = proxied(open(), Link::new(), 0, Some(first));
        world.reply();
        assert_eq!(offered(&world.ask("EHLO a.example")), ALL);
        assert!(world.ask("MAIL FROM:<a@a.example> BODY=8BITMIME SIZE=5").starts_with("250 "));
        assert!(world.ask("RSET").starts_with("250 "));
        // It says 421 and closes.
        world.pass(61);
        behind.config.set(Some(second));
        let before = behind.sent.borrow().len();
        let pipelined = "MAIL FROM:<a@a.example> BODY=8BITMIME SIZE=5\r\nRCPT TO:<b@b.example>";
        assert_eq!(world.ask(pipelined), "554 5.6.3 Next server takes no 8BITMIME\r\n");
        assert!(world.reply().starts_with("503 "));
        let sent = String::from_utf8(behind.sent.borrow()[before..].to_vec()).unwrap();
        assert!(!sent.contains("MAIL") && !sent.contains("RCPT"), "{sent}");
        // What needs no 8BITMIME goes on, with what the server knows.
        for line in ["MAIL FROM:<\"SIZE=1 >\"@a.example> SIZE=5 BODY=7BIT", "RCPT TO:<b@b.example>", "DATA", "Hi\r\n."]
        {
            let reply = world.ask(line);
            assert!(reply.starts_with(['2', '3']), "{line}: {reply}");
        }
        let expected = if std::ptr::eq(second, without_8bit) { "SIZE=5" } else { "" };
        assert_eq!(behind.params.borrow().last().unwrap(), expected);
        assert_eq!(behind.all.borrow()[0].from, "\"SIZE=1 >\"@a.example");
    }
}

#[test]
fn a_client_that_is_denied_hears_so_in_its_turn() {
    let config = settings("keeps.example", |_| {});
    let mut group = b"MAIL FROM:<a@a.example>\r\n".to_vec();
    for number in 0..20 {
        for domain in ["b.example", "elsewhere.example"] {
            let kind = if number % 3 == 0 { "no" } else { "ok" };
            group.extend_from_slice(format!("RCPT TO:<{kind}{number}@{domain}>\r\n").as_bytes());
        }
    }
    for pieces in [Pieces::Whole, Pieces::Octets(1), Pieces::Octets(7), Pieces::Octets(100)] {
        for (sender, head) in [("a@", ""), ("no@", "550")] {
            let relay = PureProxy::new(leg(), Guard::to_domains(&["b.example"]));
            let (mut world, behind) = proxied(relay, Link::new().pieces(pieces.clone()), 1, Some(config));
            world.reply();
            world.ask("EHLO a.example");
            let group = String::from_utf8(group.clone()).unwrap().replace("a@", sender);
            world.send(group.as_bytes());
            let first = world.reply();
            assert!(first.starts_with(if head.is_empty() { "250" } else { head }), "{first}");
            for number in 0..20 {
                for is_denied in [false, true] {
                    let expected = match (head.is_empty(), is_denied) {
                        (false, _) => "503 5.5.1 ",
                        (true, true) => "550 5.7.1 Relaying denied\r\n",
                        (true, false) if number % 3 == 0 => "550-5.1.1 No such\r\n550 5.1.1 user here\r\n",
                        (true, false) => "250 2.1.5 ",
                    };
                    let reply = world.reply();
                    assert!(reply.starts_with(expected), "{number} {is_denied} {pieces:?}: {reply}");
                }
            }
            // The next one is not disturbed.
            let denied = "RCPT TO:<x@elsewhere.example>";
            if head.is_empty() {
                world.ask("RSET");
            }
            for (line, expected) in [
                ("MAIL FROM:<a@a.example>", "250 "),
                (denied, "550 5.7.1 "),
                ("RCPT TO:<b@b.example>", "250 "),
                (denied, "550 5.7.1 "),
                ("DATA", "354 "),
                ("Hi\r\n.", "250 "),
            ] {
                let reply = world.ask(line);
                assert!(reply.starts_with(expected), "{line}: {reply}");
            }
            assert_eq!(behind.all.borrow()[0].to, ["b@b.example"]);
        }
    }
}

#[test]
fn what_is_added_is_added_at_the_same_place_in_every_cut() {
    let config = settings("keeps.example", |_| {});
    let received = "Received: from a.example ([192.0.2.7])\r\n\tby proxy.example with ESMTP;\r\n\tThu, 01 Jan 1970 00:00:09 +0000\r\n";
    let peer = "X-Peer: 192.0.2.7\r\n";
    for (text, head, body) in [
        ("Subject: x\r\n\r\nHi\r\n", "Subject: x\r\n", "\r\nHi\r\n"),
        ("Subject: x\r\n\r\n..\r\n\r\n", "Subject: x\r\n", "\r\n.\r\n\r\n"),
        ("Subject: x\r\nTo: y\r\n", "Subject: x\r\nTo: y\r\n", ""),
        ("\r\nHi\r\n", "", "\r\nHi\r\n"),
        ("", "", ""),
        ("\n\r\n", "", "\r\n\r\n"),
        ("Hi\r\n", "Hi\r\n", ""),
        (" a: b\r\n\r\n", " a: b\r\n", "\r\n"),
        ("a: b\n\nHi\rho\r\n", "a: b\r\n", "\r\nHi\r\nho\r\n"),
        // A bare CR ends a line for the server, so the field stands where that sees the header section.
        ("a: b\r\n\rc\r\n", "a: b\r\n", "\r\nc\r\n"),
        ("a: b\r\rc: d\r\n\r\n", "a: b\r\n", "\r\nc: d\r\n\r\n"),
    ] {
        let octets = format!(
            "EHLO a.example\r\nMAIL FROM:<a@a.example>\r\nRCPT TO:<b@b.example>\r\nDATA\r\n{text}.\r\nQUIT\r\n"
        );
        let text_begins = octets.len() - text.len() - 9;
        let cuts = (text_begins..octets.len()).map(|at| Pieces::At(vec![at])).chain([1, 2, 3, 7].map(Pieces::Octets));
        for pieces in cuts {
            for (has_received, has_peer) in [(true, true), (true, false), (false, true), (false, false)] {
                let relay = if has_received { open().received(|| 9) } else { open() };
                let relay = if has_peer { relay.x_peer() } else { relay };
                let (mut world, behind) = proxied(relay, Link::new().pieces(pieces.clone()), 0, Some(config));
                world.send(octets.as_bytes());
                world.run();
                // A body at once stays one behind a field.
                let is_body = has_received && (text.starts_with("Hi") || text.starts_with(' '));
                let (head, body) = if is_body { ("", ["\r\n", head, body].concat()) } else { (head, body.to_owned()) };
                let parts = [if has_received { received } else { "" }, head, if has_peer { peer } else { "" }, &body];
                let expected = parts.concat();
                let all = behind.all.borrow();
                let [Kept { text: kept, .. }] = &all[..] else { panic!("{text:?}, {pieces:?}: {}", world.heard()) };
                assert_eq!(String::from_utf8_lossy(kept), expected, "{text:?}, {pieces:?}");
            }
        }
    }
}

#[test]
fn a_mail_that_goes_in_circles_is_stopped_at_its_hundredth_hop() {
    let config = settings("keeps.example", |_| {});
    for (hops, expected) in [(99, "250 2.0.0 "), (100, "554 5.4.6 "), (101, "554 5.4.6 ")] {
        for is_folded in [false, true] {
            let (mut world, behind) = proxied(open().received(|| 9), Link::new(), 0, Some(config));
            world.reply();
            for line in ["EHLO a.example", "MAIL FROM:<a@a.example>", "RCPT TO:<b@b.example>", "DATA"] {
                world.ask(line);
            }
            let field = if is_folded { "rEceived :\r\n by x\r\n" } else { "Received: by x\r\n" };
            let reply = world.ask(&format!("{}\r\nReceived: is no field here\r\n.", field.repeat(hops)));
            assert!(reply.starts_with(expected), "{hops}: {reply}");
            assert_eq!(behind.all.borrow().len(), usize::from(hops == 99), "{hops}");
            // The next mail has a connection of its own, or the old one; pipelined or not.
            let next = "MAIL FROM:<a@a.example>\r\nRCPT TO:<b@b.example>\r\nDATA";
            assert!(world.ask(next).starts_with("250 2.1.0"));
            assert!(world.reply().starts_with("250 2.1.5"));
            assert!(world.reply().starts_with("354 "));
            assert!(world.ask(".").starts_with("250 2.0.0"));
        }
    }
}

#[test]
fn a_mail_right_behind_one_that_was_refused_here_is_not_lost_with_its_connection() {
    let config = settings("keeps.example", |_| {});
    for pieces in [Pieces::Whole, Pieces::Octets(1), Pieces::Octets(100)] {
        let (mut world, behind) = proxied(open(), Link::new().pieces(pieces), 0, Some(config));
        let mail = |text: &str| format!("MAIL FROM:<a@a.example>\r\nRCPT TO:<b@b.example>\r\nDATA\r\n{text}\r\n.\r\n");
        let hops = "Received: by x\r\n".repeat(100);
        world.send(format!("EHLO a.example\r\n{}{}QUIT\r\n", mail(&hops), mail("Hi")).as_bytes());
        let heard: Vec<String> =
            std::iter::repeat_with(|| world.reply()).take_while(|reply| !reply.is_empty()).collect();
        let codes: Vec<&str> = heard.iter().map(|reply| &reply[..3]).collect();
        assert_eq!(codes, ["220", "250", "250", "250", "354", "554", "250", "250", "354", "250", "221"], "{heard:?}");
        assert_eq!((behind.all.borrow().len(), behind.dials.get()), (1, 2));
    }
}

#[test]
fn what_the_server_says_is_what_the_client_hears() {
    let replies = [
        "450 4.2.0 Later\r\n",
        "450 Later\r\n",
        "571 5.7.1 Never\r\n",
        "552-5.3.4 Too\r\n552-5.3.4 much\r\n552 5.3.4 of it\r\n",
        "552-Too\r\n552 much\r\n",
        "599 What is this?\r\n",
        "550 5.7.509 Long detail\r\n",
        "421 4.7.0 Too many\r\n",
        "451 4.4.2 Not ours\r\n",
    ];
    for step in [Step::Mail, Step::Rcpt, Step::Data, Step::Dot] {
        let forwarded = ["251 2.1.5 Forwarded\r\n", "251-2.1.5 Forwarded\r\n251 2.1.5 to there\r\n", "250 Fine\r\n"];
        for reply in replies.iter().chain(if step == Step::Rcpt { &forwarded[..] } else { &[] }) {
            let clock = Clock::new();
            let (mut world, end) = World::new(&clock, Link::new(), Link::new());
            let seen = Rc::new(RefCell::new(Seen::default()));
            let (born, fault) = (Rc::clone(&world.born), Fault::Says("", reply));
            let dial = move |_| {
                let (end, other) = Wire::pair(&clock, Link::new(), Link::new());
                born.borrow_mut().push(Box::new(Upstream::new(other, Some((step, fault)), &seen)));
                Dial::Open(end)
            };
            let front = settings("proxy.example", |_| {});
            world.add(Proxy::new(Server::new(front, open(), end, usize::MAX), usize::MAX, dial));
            world.reply();
            world.ask("EHLO a.example");
            let lines = [
                (Step::Mail, "MAIL FROM:<a@a.example>"),
                (Step::Connect, "RCPT TO:<b@b.example>"),
                (Step::Rcpt, "RCPT TO:<c@b.example>"),
                (Step::Data, "DATA"),
                (Step::Dot, "Hi\r\n."),
            ];
            for (at, line) in lines {
                let said = world.ask(line);
                if at == step {
                    assert_eq!(said, *reply, "{step:?}");
                    break;
                }
                assert!(said.starts_with(['2', '3']), "{said}");
            }
        }
    }
}

#[test]
fn a_hundred_pipelined_recipients_cost_four_round_trips() {
    let config = settings("keeps.example", |_| {});
    let mut group = b"MAIL FROM:<a@a.example>\r\n".to_vec();
    for number in 0..100 {
        group.extend_from_slice(format!("RCPT TO:<user{number}@b.example>\r\n").as_bytes());
    }
    for pieces in [Pieces::Whole, Pieces::Octets(512), Pieces::Octets(1_460)] {
        let (mut world, _) = proxied(open(), Link::new().pieces(pieces.clone()), 1, Some(config));
        world.reply();
        world.ask("EHLO a.example");
        let began = world.clock.now();
        world.send(&group);
        for number in 0..101 {
            let reply = world.reply();
            assert!(reply.starts_with("250 2.1."), "{number}: {reply}");
        }
        // A way takes a second.
        let trips = (world.clock.now() - began).as_secs() / 2;
        assert!(trips <= 4, "{pieces:?}: {trips}");
    }
}

#[test]
fn one_connection_for_all_that_a_client_does() {
    let config = settings("keeps.example", |_| {});
    let (mut world, behind) = proxied(open(), Link::new(), 0, Some(config));
    world.reply();
    let greeting = world.ask("EHLO a.example");
    for number in 0..5 {
        for line in ["MAIL FROM:<a@a.example>", "RCPT TO:<b@b.example>"] {
            assert!(world.ask(line).starts_with("250 "), "{line}");
        }
        // A transaction that is given up, in one way or another.
        match number % 3 {
            0 => assert_eq!(world.ask("RSET"), "250 2.0.0 OK\r\n"),
            1 => assert_eq!(world.ask("EHLO b.example"), greeting),
            _ => assert_eq!(world.ask("HELO b.example"), "250 proxy.example\r\n"),
        }
        assert!(world.ask("RCPT TO:<b@b.example>").starts_with("503 "));
        for line in ["MAIL FROM:<a@a.example>", "RCPT TO:<c@b.example>", "DATA", "Hi\r\n.", "NOOP", "VRFY x"] {
            let reply = world.ask(line);
            assert!(reply.starts_with(['2', '3']), "{line}: {reply}");
        }
    }
    assert!(world.ask("QUIT").starts_with("221 "));
    world.run();
    assert_eq!((behind.all.borrow().len(), behind.dials.get()), (5, 1));
    assert!(behind.all.borrow().iter().all(|kept| kept.to == ["c@b.example"]));
    assert!(behind.sent.borrow().ends_with(b"QUIT\r\n"));
}

#[test]
fn a_client_is_not_read_while_its_server_takes_nothing() {
    let clock = Clock::new();
    let (mut world, end) = World::new(&clock, Link::new().window(4_096), Link::new());
    let seen = Rc::new(RefCell::new(Seen::default()));
    let (born, sees) = (Rc::clone(&world.born), Rc::clone(&seen));
    let dial = move |_| {
        let (end, other) = Wire::pair(&clock, Link::new().window(1_024), Link::new());
        let fault = (sees.borrow().connections == 0).then_some((Step::Text, Fault::Hangs));
        born.borrow_mut().push(Box::new(Upstream::new(other, fault, &sees)));
        Dial::Open(end)
    };
    let front = settings("proxy.example", |_| {});
    world.add(Proxy::new(Server::new(front, open().received(|| 9).x_peer(), end, 1_024), 1_024, dial));
    world.reply();
    for line in ["EHLO a.example", "MAIL FROM:<a@a.example>", "RCPT TO:<b@b.example>", "DATA"] {
        world.ask(line);
    }
    let text = "a line of text\r\n".repeat(100_000);
    world.send(text.as_bytes());
    world.send(b".\r\n");
    world.run();
    // Both windows, what the leg holds, and a read's worth.
    let waits = world.unsent();
    assert!(text.len() - waits < 4_096 + 1_024 + 2_048 + 2 * 1_024, "{}", text.len() - waits);
    world.pass(119);
    assert_eq!(world.unsent(), waits);
    // Then the rest is read, and answered.
    assert_eq!(world.reply(), "451 4.4.2 Next server too slow, try again\r\n");
    assert_eq!((world.unsent(), seen.borrow().messages.len()), (0, 0));
    assert!(world.ask("MAIL FROM:<a@a.example>").starts_with("250 "));
}
