//! Time: which of a leg's timers runs when, and that the client never hears the 421 of a session whose handler took too long.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use smtpd_core::guard::Guard;
use smtpd_core::handlers::PureProxy;
use smtpd_core::relay::Leg;
use smtpd_mock::{Clock, Link, Wire};

use crate::upstream::{Fault, OFFER, Seen, Step, Upstream};
use crate::world::{Dial, Proxy, Server, World, settings};

/// A client at a proxy before a server with this fault, that answers so slowly; what the proxy says goes to the server
/// through `link`.
fn world(fault: Option<(Step, Fault)>, delay: fn(Step) -> u32, link: &Link, back: Link) -> (World, Rc<RefCell<Seen>>) {
    let clock = Clock::new();
    let (mut world, server_end) = World::new(&clock, Link::new(), back);
    let seen = Rc::new(RefCell::new(Seen::default()));
    let (born, sees, link) = (Rc::clone(&world.born), Rc::clone(&seen), link.clone());
    let mut began = Duration::ZERO;
    let dial = move |is_new: bool| {
        if is_new {
            began = clock.now();
        }
        if clock.now() - began < Duration::from_secs(delay(Step::Connect).into()) {
            return Dial::Hangs;
        }
        let (end, upstream) = Wire::pair(&clock, link.clone(), Link::new());
        let fault = fault.filter(|_| sees.borrow().connections == 0);
        born.borrow_mut().push(Box::new(Upstream::new(upstream, fault, &sees).slow(delay)));
        Dial::Open(end)
    };
    let relay = PureProxy::new(Leg::new(([127, 0, 0, 1], 25).into(), "proxy.example"), Guard::OPEN);
    let front = Server::new(settings("proxy.example", |_| {}), relay, server_end, usize::MAX);
    world.add(Proxy::new(front, usize::MAX, dial));
    assert!(world.reply().starts_with("220 "));
    (world, seen)
}

/// Asks, and says how many seconds that took.
fn timed(world: &mut World, line: &str) -> (String, u64) {
    let began = world.clock.now();
    let reply = world.ask(line);
    (reply, (world.clock.now() - began).as_secs())
}

#[test]
fn a_server_that_uses_nearly_all_of_its_time_at_each_step_is_waited_for() {
    let delay = |step| match step {
        Step::Connect => 19,
        Step::Greeting => 44,
        Step::Ehlo | Step::Helo | Step::Mail | Step::Rset | Step::Quit => 29,
        Step::Rcpt => 59,
        Step::Data => 89,
        Step::Text | Step::Idle => 0,
        Step::Dot => 449,
    };
    let helo_only = Some((Step::Helo, Fault::Says("", "250 up.example\r\n")));
    let (mut world, seen) = world(helo_only, delay, &Link::new(), Link::new());
    assert_eq!(timed(&mut world, "EHLO a.example"), ("250 proxy.example\r\n".into(), 121));
    for _ in 0..2 {
        for (line, reply, secs) in [
            ("MAIL FROM:<a@a.example>", "250 2.1.0 OK\r\n", 29),
            ("RCPT TO:<b@b.example>", "250 2.1.5 OK\r\n", 19),
            ("RCPT TO:<c@b.example>", "250 2.1.5 OK\r\n", 59),
            ("DATA", "354 Go on\r\n", 89),
            ("Hi\r\n.", "250 2.0.0 Kept\r\n", 449),
        ] {
            assert_eq!(timed(&mut world, line), (reply.into(), secs), "{line}");
        }
    }
    // MAIL behind a RSET that the server has not answered.
    assert_eq!(timed(&mut world, "MAIL FROM:<a@a.example>"), ("250 2.1.0 OK\r\n".into(), 29));
    assert_eq!(timed(&mut world, "RSET"), ("250 2.0.0 OK\r\n".into(), 0));
    assert_eq!(timed(&mut world, "MAIL FROM:<a@a.example>"), ("250 2.1.0 OK\r\n".into(), 58));
    assert_eq!(seen.borrow().messages.len(), 2);
    assert_eq!(seen.borrow().connections, 1);
}

#[test]
fn a_server_that_takes_no_text_has_the_time_of_a_block() {
    let window = Link::new().window(64);
    let (mut world, seen) = world(Some((Step::Text, Fault::Hangs)), |_| 0, &window, Link::new());
    for line in ["EHLO a.example", "MAIL FROM:<a@a.example>", "RCPT TO:<b@b.example>", "DATA"] {
        assert!(world.ask(line).starts_with(['2', '3']), "{line}");
    }
    let text = "a line of text\r\n".repeat(1_000);
    let (reply, secs) = timed(&mut world, &format!("{text}."));
    assert!(reply.starts_with("451 4.4.2 "), "{reply}");
    assert_eq!(secs, 120);
    assert_eq!(seen.borrow().messages, []);
    assert!(world.ask("MAIL FROM:<a@a.example>").starts_with("250 "));
}

#[test]
fn octet_by_octet_a_server_buys_no_time() {
    // At MAIL, at RCPT, at the end of a text that waits whole in the leg.
    for (step, at, secs) in [(Step::Ehlo, 1, 30), (Step::Mail, 2, 60), (Step::Data, 4, 450)] {
        let (mut world, seen) = world(Some((step, Fault::Drips)), |_| 0, &Link::new().window(1), Link::new());
        let lines = [
            "EHLO a.example",
            "MAIL FROM:<a@a.example>",
            "RCPT TO:<b@b.example>",
            "DATA",
            "Subject: a line\r\n\r\nof text\r\n.",
        ];
        for (number, line) in lines.iter().enumerate().take(at + 1) {
            let (reply, took) = timed(&mut world, line);
            if number == at {
                assert!(reply.starts_with("451 4.4.2 "), "{line}: {reply}");
                assert_eq!(took, secs, "{line}");
            } else {
                assert!(reply.starts_with(['2', '3']), "{line}: {reply}");
            }
        }
        assert_eq!(seen.borrow().messages, []);
    }
}

#[test]
fn a_write_that_would_block_behind_a_long_rest_costs_nothing() {
    for nth in 2..5 {
        let (mut world, seen) = world(None, |_| 0, &Link::new().would_block(nth), Link::new());
        assert!(world.ask("EHLO a.example").starts_with("250"));
        for _ in 0..4 {
            world.pass(200);
            for line in ["MAIL FROM:<a@a.example>", "RCPT TO:<b@b.example>", "DATA"] {
                assert!(world.ask(line).starts_with(['2', '3']), "{nth}: {line}");
            }
            // The text, too, may come late.
            world.pass(150);
            assert!(world.ask("Hi\r\n.").starts_with("250 "), "{nth}");
        }
        assert_eq!((seen.borrow().messages.len(), seen.borrow().connections), (4, 1));
    }
}

#[test]
fn a_client_that_does_not_read_does_not_use_up_the_servers_time() {
    let (mut world, seen) = world(None, |_| 0, &Link::new(), Link::new().window(64));
    assert!(world.ask("EHLO a.example").starts_with("250"));
    world.is_deaf = true;
    world.send(b"MAIL FROM:<a@a.example>\r\n");
    world.send(&b"RCPT TO:<b@b.example>\r\n".repeat(100));
    world.pass(200);
    world.is_deaf = false;
    for number in 0..101 {
        let reply = world.reply();
        assert!(reply.starts_with("250 "), "{number}: {reply}");
    }
    assert_eq!(seen.borrow().connections, 1);
    assert!(OFFER.contains("PIPELINING"));
}
