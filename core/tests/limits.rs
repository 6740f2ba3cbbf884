//! Limits, each at its edge: what is just within passes, one more gets its reply.

mod common;

use common::{Notes, OnDemand, Talk, Verdict, built, final_codes, say};
use heapless::Vec as Inline;
use smtpd_core::server::{Config, Peer, Progress, Session, State};

const TO_RCPT: [&str; 3] = ["EHLO c.example", "MAIL FROM:<a@b.example>", "RCPT TO:<c@d.example>"];
const TO_TEXT: [&str; 4] = ["EHLO c.example", "MAIL FROM:<a@b.example>", "RCPT TO:<c@d.example>", "DATA"];

fn config() -> Config<'static> {
    Config::new("mx.example.org")
}

/// A NOOP of so many octets, CRLF included.
fn noop(length: usize) -> String {
    format!("NOOP {}\r\n", "x".repeat(length - 7))
}

#[test]
fn a_line_counts_with_its_crlf_wherever_it_is_cut() {
    let config = config();
    let too_long = built("500 5.5.2 Line too long\r\n");
    let ok = built("250 2.0.0 OK\r\n");
    for length in [512, 1_000, 1_023, 1_024, 1_025, 1_026, 2_047, 2_048, 2_049, 10_000] {
        let expected = if length <= 1_024 { &ok } else { &too_long };
        // Its tail never runs, and the next line is a line again.
        let octets = noop(length) + "NOOP\r\n";
        let expected = format!("{expected}{ok}");
        for cut in (0..octets.len()).filter(|cut| *cut < 12 || octets.len() - cut < 12 || (1_015..1_035).contains(cut))
        {
            let mut talk = Talk::after(&config, Notes::new(), &[]);
            let said = talk.say(&octets[..cut]) + &talk.say(&octets[cut..]);
            assert_eq!(said, expected, "{length} cut at {cut}");
        }
        let mut talk = Talk::after(&config, Notes::new(), &[]);
        let said: String = octets.bytes().map(|octet| talk.say([octet])).collect();
        assert_eq!(said, expected, "{length} octet by octet");
    }
}

#[test]
fn the_tail_of_a_long_line_never_runs() {
    let config = config();
    for tail in ["\rQUIT\r\n", "\nQUIT\r\n", " \r\r\n", "\n\r\n"] {
        let octets = format!("NOOP {}{tail}", "x".repeat(2_000));
        for cut in [1, 7, 1_024, 2_005, 2_006, 2_007, octets.len()] {
            let mut talk = Talk::after(&config, Notes::new(), &[]);
            let said = octets.as_bytes().chunks(cut).map(|piece| talk.say(piece)).collect::<String>();
            assert_eq!(said, built("500 5.5.2 Line too long\r\n"), "{tail:?} in pieces of {cut}");
            assert_eq!(talk.code("NOOP"), 250);
        }
    }
}

#[test]
fn storage_smaller_than_the_limit_is_the_limit() {
    let config = config();
    let mut unlimited = config;
    unlimited.limits.line = 0;
    for config in [&config, &unlimited] {
        for (length, code) in [(512, 250), (513, 500)] {
            let session = Session::with(config, Peer::default(), Inline::<u8, 512>::new(), Inline::<u8, 512>::new());
            let mut talk = Talk::with(session, Notes::new());
            talk.say("");
            assert_eq!(final_codes(talk.say(noop(length)).as_bytes()), [code], "whole");
            let codes: Vec<u16> =
                noop(length).bytes().flat_map(|octet| final_codes(talk.say([octet]).as_bytes())).collect();
            assert_eq!(codes, [code], "octet by octet");
        }
    }
    for (length, code) in [(2_304, 250), (2_305, 500)] {
        let (line, output) = (OnDemand::<2304>::default(), OnDemand::<4096>::default());
        let mut talk = Talk::with(Session::with(&unlimited, Peer::default(), line, output), Notes::new());
        talk.say("");
        assert_eq!(final_codes(talk.say(noop(length)).as_bytes()), [code]);
        assert_eq!(final_codes((talk.say(&noop(length)[..9]) + &talk.say(&noop(length)[9..])).as_bytes()), [code]);
    }
}

#[test]
fn recipients() {
    for (limit, accepted) in [(1, 1), (3, 3), (0, 40)] {
        for backlog in [1, 3, 9] {
            let mut config = config();
            config.limits.recipients = limit;
            let mut talk = Talk::after(
                &config,
                Notes::by(|asked| if asked.contains("no@") { say(550) } else { Verdict::Yes }),
                &TO_RCPT[..2],
            );
            (talk.handler.backlog, talk.handler.defers) = (backlog, 1);
            // Those that were refused do not count, whether they are answered yet or not.
            let rcpts =
                "RCPT TO:<no@d.example>\r\nRCPT TO:<c@d.example>\r\n".repeat(accepted) + "RCPT TO:<c@d.example>\r\n";
            let mut expected = [550, 250].repeat(accepted);
            expected.push(if limit == 0 { 250 } else { 452 });
            let said = talk.say(&rcpts);
            assert_eq!(final_codes(said.as_bytes()), expected, "limit {limit}, backlog {backlog}");
            assert!(limit == 0 || said.ends_with(&built("452 4.5.3 Too many recipients\r\n")));
            // Those that were accepted get the message, and the next transaction begins at nothing.
            talk.handler.defers = 0;
            assert_eq!(
                (talk.code("DATA"), talk.code("."), talk.code("MAIL FROM:<>"), talk.code("RCPT TO:<c@d.example>")),
                (354, 250, 250, 250)
            );
        }
    }
}

#[test]
fn too_many_recipients_is_no_error() {
    let mut config = config();
    (config.limits.recipients, config.limits.errors) = (1, 1);
    let mut talk = Talk::after(&config, Notes::new(), &TO_RCPT);
    for _ in 0..5 {
        assert_eq!(talk.code("RCPT TO:<c@d.example>"), 452);
    }
    assert_eq!((talk.code("DATA"), talk.code(".")), (354, 250));
}

#[test]
fn size_is_counted_exactly() {
    let over = built("552 5.3.4 Message exceeds the size limit\r\n");
    let ok = built("250 2.0.0 OK\r\n");
    // Text on the wire without its end, and how many octets of text it is.
    for (wire, octets) in [
        ("12345678\r\n", 10),
        ("..2345678\r\n", 10),
        ("..\r\n..\r\n....\r\n", 11),
        ("\r\n\r\n\r\n", 6),
        ("12345\r\n..", 9),
        ("", 0),
    ] {
        // A text is not complete before CRLF: the one that belongs to the end counts if the text does not end with it.
        let (end, octets) = match wire {
            "" => (".\r\n", 0),
            wire if wire.ends_with("\r\n") => (".\r\n", octets),
            _ => ("\r\n.\r\n", octets + 1),
        };
        let wire = format!("{wire}{end}");
        for limit in 1..octets + 3 {
            let mut config = config();
            config.limits.size = limit;
            let expected = if octets > limit { &over } else { &ok };
            for cut in 0..=wire.len() {
                let mut talk = Talk::after(&config, Notes::new(), &TO_TEXT);
                let said = talk.say(&wire[..cut]) + &talk.say(&wire[cut..]);
                assert_eq!(&said, expected, "{wire:?}, limit {limit}, cut at {cut}");
                let heard = talk.handler.take();
                assert_eq!(heard == "reset", octets > limit, "{heard}");
                assert_eq!(talk.handler.text.len() as u32, octets.min(limit), "never more than the limit");
                // The transaction is over either way, and the connection goes on.
                assert_eq!((talk.code("RCPT TO:<c@d.example>"), talk.code("MAIL FROM:<>")), (503, 250));
            }
        }
    }
}

#[test]
fn the_reply_to_too_much_text_comes_after_all_of_it() {
    let mut config = config();
    config.limits.size = 5;
    let mut talk = Talk::after(&config, Notes::new(), &TO_TEXT);
    assert_eq!(talk.say("123456"), "");
    assert_eq!(talk.handler.take(), "reset", "the handler knows at once");
    assert_eq!(talk.say("\r\nQUIT\r\n.\nNOOP\r\n"), "");
    assert_eq!(talk.code("."), 552);
    assert_eq!((talk.state(), talk.handler.take().as_str()), (State::Ready, ""));
}

#[test]
fn a_declared_size() {
    for (limit, value, code) in [
        (1_000_u32, "0", 250),
        (1_000, "999", 250),
        (1_000, "1000", 250),
        (1_000, "1001", 552),
        (1_000, "4294967295", 552),
        (1_000, "4294967296", 552),
        (1_000, "4294968000", 552),
        (1_000, "99999999999999999999", 552),
        (1_000, "100000000000000000000", 501),
        (1_000, "", 501),
        (1_000, "-1", 501),
        (1_000, "1k", 501),
        (0, "0", 250),
        (0, "4294967295", 250),
        (0, "99999999999999999999", 250),
        (u32::MAX, "4294967295", 250),
    ] {
        let mut config = config();
        config.limits.size = limit;
        let mut talk = Talk::new(&config, Notes::new());
        talk.say("");
        // RFC 1870 §3: SIZE with the limit, 0 for none.
        assert!(talk.say("EHLO c.example\r\n").contains(&format!("250-SIZE {limit}\r\n")));
        assert_eq!(talk.code(&format!("MAIL FROM:<a@b.example> SIZE={value}")), code, "{value} within {limit}");
    }
}

#[test]
fn commands() {
    let mut config = config();
    config.limits.commands = 3;
    for backlog in [1, 4] {
        let mut talk = Talk::after(&config, Notes::new(), &["EHLO c.example"]);
        (talk.handler.backlog, talk.handler.defers) = (backlog, 1);
        let said = talk.say("MAIL FROM:<>\r\nRCPT TO:<c@d.example>\r\nRCPT TO:<c@d.example>\r\nNOOP\r\n");
        assert_eq!(said, built("250 2.1.0 OK\r\n250 2.1.5 OK\r\n421 4.7.0 Limit exceeded, closing\r\n"));
        assert_eq!(talk.handler.take(), "mail ; rcpt c@d.example; closed Limit");
    }
    // Whatever it is: a line too long counts too, QUIT as well.
    let mut talk = Talk::after(&config, Notes::new(), &["NOOP", "XYZZY"]);
    talk.say(noop(2_000));
    assert_eq!((talk.code("QUIT"), talk.progress), (421, Progress::Closed));
    config.limits.commands = 0;
    let mut talk = Talk::after(&config, Notes::new(), &[]);
    assert_eq!(final_codes(talk.say("NOOP\r\n".repeat(2_000)).as_bytes()).len(), 2_000);
}

#[test]
fn errors() {
    let mut config = config();
    config.limits.errors = 2;
    let mut talk = Talk::after(&config, Notes::new(), &TO_RCPT);
    assert_eq!((talk.code("XYZZY"), talk.code("MAIL FROM:<>"), talk.code("NOOP")), (500, 503, 250));
    // An accepted message sets the count back; a refused one does not.
    talk.handler.rule = Box::new(|asked| if asked.starts_with("message") { say(554) } else { Verdict::Yes });
    assert_eq!((talk.code("DATA"), talk.code(".")), (354, 554));
    talk.handler.rule = Box::new(|_| Verdict::Yes);
    for line in &TO_RCPT[1..] {
        assert_eq!(talk.code(line), 250);
    }
    assert_eq!((talk.code("DATA"), talk.code(".")), (354, 250));
    assert_eq!((talk.code("RCPT TO:<c"), talk.code("DATA x")), (503, 503));
    talk.handler.take();
    assert_eq!(talk.say("HELO\r\n"), built("421 4.7.0 Limit exceeded, closing\r\n"));
    assert_eq!((talk.progress, talk.handler.take().as_str()), (Progress::Closed, "closed Limit"));
    // What the handler refuses is no error of the session's count; the default allows 20.
    let standard = Config::new("mx.example.org");
    let mut talk = Talk::after(&standard, Notes::new(), &[]);
    talk.handler.rule = Box::new(|_| say(550));
    for _ in 0..50 {
        assert_eq!(talk.code("VRFY c"), 550);
    }
    for _ in 0..20 {
        assert_eq!(talk.code("XYZZY"), 500);
    }
    assert_eq!(talk.code("XYZZY"), 421);
    // 0 is no limit.
    config.limits.errors = 0;
    let mut talk = Talk::after(&config, Notes::new(), &[]);
    assert_eq!(final_codes(talk.say("X\r\n".repeat(500)).as_bytes()), [500; 500]);
}

#[test]
fn transactions() {
    let mut config = config();
    config.limits.transactions = 2;
    let mut talk = Talk::after(
        &config,
        Notes::by(|asked| if asked == "mail no@b.example" { say(550) } else { Verdict::Yes }),
        &["EHLO c.example"],
    );
    // Refused ones do not count, reset ones do.
    assert_eq!((talk.code("MAIL FROM:<no@b.example>"), talk.code("MAIL FROM:<>"), talk.code("RSET")), (550, 250, 250));
    assert_eq!((talk.code("MAIL FROM:<>"), talk.code("RSET")), (250, 250));
    assert_eq!((talk.code("MAIL FROM:<>"), talk.progress), (421, Progress::Closed));
}

#[test]
fn text_behind_a_refusal_is_drained_up_to_the_limit() {
    let limit = built("421 4.7.0 Limit exceeded, closing\r\n");
    // Octets behind the piece that is refused, its CRLF included, against a limit of 10.
    for (more, is_within) in [(8, true), (9, false)] {
        let mut config = config();
        config.limits.drain = 10;
        let mut talk = Talk::after(&config, Notes::new(), &TO_TEXT);
        talk.handler.refuses = Some((1, say(554)));
        assert_eq!(talk.say("x"), "");
        let said = talk.say(format!("{}\r\n.\r\nNOOP\r\n", "y".repeat(more)));
        if is_within {
            assert_eq!(said, format!("554 said\r\n{}", built("250 2.0.0 OK\r\n")));
            assert_eq!(talk.handler.take(), "refused x; reset");
        } else {
            assert_eq!((said.as_str(), talk.progress), (limit.as_str(), Progress::Closed));
            assert_eq!(talk.handler.take(), "refused x; reset; closed Limit");
        }
    }
    // 0 is no limit.
    let mut config = config();
    (config.limits.size, config.limits.drain) = (5, 0);
    let mut talk = Talk::after(&config, Notes::new(), &TO_TEXT);
    assert_eq!(final_codes(talk.say("y".repeat(100_000) + "\r\n.\r\nNOOP\r\n").as_bytes()), [552, 250]);
    // And behind one that is too big, wherever it is cut.
    for (more, code) in [(8, 552), (9, 421)] {
        (config.limits.size, config.limits.drain) = (5, 10);
        let octets = format!("12345{}\r\n.\r\n", "y".repeat(more));
        for cut in 0..octets.len() {
            let mut talk = Talk::after(&config, Notes::new(), &TO_TEXT);
            let said = talk.say(&octets[..cut]) + &talk.say(&octets[cut..]);
            assert_eq!(final_codes(said.as_bytes()), [code], "{more} more, cut at {cut}");
        }
    }
}
