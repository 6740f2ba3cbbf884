//! The handler refuses within the text, or by 421; it lets questions stand open; it restricts what is offered.

mod common;

use common::{Notes, Talk, Verdict, built, final_codes, say};
use smtpd_core::server::{Answer, Config, Event, Extensions, Peer, Progress, Session, State};

const TO_TEXT: [&str; 4] = ["EHLO c.example", "MAIL FROM:<a@b.example>", "RCPT TO:<c@d.example>", "DATA"];

#[test]
fn the_reply_waits_for_the_last_octet() {
    let config = Config::new("mx.example.org");
    // A code that does not refuse becomes 451.
    for (code, heard) in [(554, 554), (450, 450), (599, 599), (250, 451), (354, 451), (199, 451), (600, 451), (0, 451)]
    {
        let mut talk = Talk::after(&config, Notes::new(), &TO_TEXT);
        talk.handler.refuses = Some((3, say(code)));
        assert_eq!(talk.say("abc"), "");
        assert_eq!((talk.handler.take().as_str(), talk.state()), ("refused abc; reset", State::Text));
        assert_eq!(talk.say("more\r\n.\nQUIT\r\n"), "", "the rest is no command");
        assert_eq!((talk.code("."), talk.state()), (heard, State::Ready), "{code}");
        assert_eq!((talk.handler.take().as_str(), talk.code("DATA")), ("", 503));
    }
    // In the last piece; and the reply is as long as replies may be, its lines all there.
    let mut talk = Talk::after(&config, Notes::new(), &TO_TEXT);
    talk.handler.refuses = Some((1, Verdict::Say(554, b"one\ntwo".to_vec())));
    assert_eq!(talk.say("abc\r\n.\r\nNOOP\r\n"), format!("554-one\r\n554 two\r\n{}", built("250 2.0.0 OK\r\n")));
}

#[cfg(feature = "lmtp")]
#[test]
fn lmtp_gives_every_recipient_the_refusal_and_the_verdict() {
    let mut config = Config::new("mx.example.org");
    config.lmtp = true;
    (config.limits.size, config.limits.drain) = (20, 100);
    let lines =
        ["LHLO c", "MAIL FROM:<>", "RCPT TO:<a@d.example>", "RCPT TO:<no@d.example>", "RCPT TO:<b@d.example>", "DATA"];
    let rule = |asked: &str| match asked {
        "rcpt no@d.example" | "message 1 Hi\\r\\n" => say(550),
        _ => Verdict::Yes,
    };
    // RFC 2033 §4.2: one reply for each accepted recipient.
    let mut talk = Talk::after(&config, Notes::by(rule), &lines);
    assert_eq!(final_codes(talk.say("Hi\r\n.\r\nNOOP\r\n").as_bytes()), [250, 550, 250]);
    assert_eq!(talk.handler.take(), "message 0 Hi\\r\\n; message 1 Hi\\r\\n");
    let mut talk = Talk::after(&config, Notes::by(rule), &lines);
    talk.handler.refuses = Some((1, say(554)));
    assert_eq!(final_codes(talk.say("Hi\r\n.\r\nNOOP\r\n").as_bytes()), [554, 554, 250]);
    assert_eq!(talk.handler.take(), "refused H; reset");
    let mut talk = Talk::after(&config, Notes::by(rule), &lines);
    assert_eq!(final_codes(talk.say("x".repeat(30) + "\r\n.\r\nNOOP\r\n").as_bytes()), [552, 552, 250]);
    // The verdict that says 421 is the last.
    let mut talk = Talk::after(
        &config,
        Notes::by(|asked| if asked.starts_with("message 0") { say(421) } else { rule(asked) }),
        &lines,
    );
    assert_eq!(final_codes(talk.say("Hi\r\n.\r\nNOOP\r\n").as_bytes()), [421]);
    assert_eq!(talk.handler.take(), "message 0 Hi\\r\\n; closed Refused");
}

#[test]
fn a_421_closes_wherever_it_is_said() {
    let config = Config::new("mx.example.org");
    let lines = ["EHLO c.example", "MAIL FROM:<>", "RCPT TO:<c@d.example>", "DATA", "."];
    for (count, question) in [(0, "connected"), (1, "hello"), (2, "mail"), (3, "rcpt"), (4, "data"), (5, "message")] {
        for defers in [0, 1] {
            let mut notes = Notes::by(|asked| if asked.starts_with(question) { say(421) } else { Verdict::Yes });
            notes.defers = defers;
            let mut talk = Talk::new(&config, notes);
            let said = talk.say(lines[..count].join("\r\n") + "\r\nNOOP\r\n");
            assert_eq!(final_codes(said.as_bytes()).last(), Some(&421), "{question}: {said}");
            assert_eq!(talk.progress, Progress::Closed);
            assert!(talk.handler.take().ends_with("; closed Refused"));
        }
    }
    let mut talk = Talk::after(&config, Notes::new(), &TO_TEXT);
    talk.handler.refuses = Some((1, say(421)));
    assert_eq!((talk.say("text").as_str(), talk.progress), ("421 said\r\n", Progress::Closed));
    assert_eq!(talk.handler.take(), "refused t; closed Refused");
}

#[test]
fn sets_of_extensions() {
    let (size, pipelining) = (Extensions::SIZE, Extensions::PIPELINING);
    let both = size.with(pipelining);
    assert_eq!(both.intersection(size), size);
    assert_eq!(size.intersection(pipelining), Extensions::NONE);
    assert_eq!((both.without(size), both.with(size)), (pipelining, both));
    assert!(both.contains(size) && !size.contains(both));
}

#[test]
fn what_needs_a_handler_is_offered_only_if_it_acts_on_it() {
    let config = Config::new("mx.example.org");
    let own = Extensions::PIPELINING.with(Extensions::SIZE);
    for (acts_on, is_offered) in
        [(Extensions::OWN.with(Extensions::EIGHTBITMIME), true), (Extensions::OWN, false), (own, false)]
    {
        let mut session = Session::new(&config, Peer::default());
        let mut input: &[u8] = b"EHLO c\r\nMAIL FROM:<> SIZE=1\r\nRSET\r\nMAIL FROM:<> BODY=8BITMIME\r\n";
        assert!(matches!(session.poll(&mut input, 0), Event::Connected(_)) && session.answer(Answer::Accept));
        assert!(matches!(session.poll(&mut input, 0), Event::Hello(_)));
        session.restrict(acts_on, 7);
        // It only ever shrinks.
        session.restrict(Extensions::OWN.with(Extensions::EIGHTBITMIME), 0);
        session.restrict(Extensions::OWN.with(Extensions::EIGHTBITMIME), 9);
        assert!(session.answer(Answer::Accept));
        assert_eq!(session.offered().contains(Extensions::EIGHTBITMIME), is_offered);
        // What the session acts on itself stays.
        assert!(session.offered().contains(Extensions::PIPELINING.with(Extensions::SIZE)));
        let ehlo = String::from_utf8(session.output().to_vec()).unwrap();
        assert_eq!(ehlo.contains("8BITMIME"), is_offered, "{ehlo}");
        assert!(ehlo.contains("SIZE 7\r\n"), "{ehlo}");
        session.sent(usize::MAX);
        assert!(matches!(session.poll(&mut input, 0), Event::Mail(_)) && session.answer(Answer::Accept));
        assert_eq!(session.poll(&mut input, 0), Event::Reset);
        assert_eq!(matches!(session.poll(&mut input, 0), Event::Mail(_)), is_offered);
        // Offered anew by the next EHLO.
        if session.open() > 0 {
            assert!(session.answer(Answer::Accept));
        }
        input = b"EHLO c\r\n";
        assert!(matches!(session.poll(&mut input, 0), Event::Hello(_)) && session.answer(Answer::Accept));
        assert!(session.offered().contains(Extensions::EIGHTBITMIME));
    }
}

#[test]
fn a_refused_ehlo_offers_nothing_new_and_takes_nothing_away() {
    let config = Config::new("mx.example.org");
    let mut talk = Talk::after(&config, Notes::new(), &["EHLO c.example"]);
    let offered = talk.session.offered();
    talk.handler.rule = Box::new(|asked| if asked.starts_with("hello") { say(550) } else { Verdict::Yes });
    assert_eq!(
        (talk.say("EHLO c\r\nHELO c\r\n").as_str(), talk.session.offered()),
        ("550 said\r\n550 said\r\n", offered)
    );
    assert_eq!(talk.code("MAIL FROM:<> SIZE=1"), 250);
}

#[cfg(feature = "backlog")]
mod backlog {
    use std::task::Waker;

    use super::*;
    use smtpd_core::server::{Flow, Handler, Mail, Rcpt, step};
    use smtpd_core::wire::Reply;

    const GROUP: &str =
        "MAIL FROM:<no@b.example>\r\nRCPT TO:<a@d.example>\r\nRCPT TO:<b@d.example>\r\nDATA\r\nNOOP\r\n";

    #[test]
    fn recipients_behind_a_refused_mail_get_503_one_by_one() {
        let config = Config::new("mx.example.org");
        let notes = Notes::by(|asked| match asked {
            "mail no@b.example" => Verdict::Say(550, vec![b'x'; 600]),
            _ => Verdict::Yes,
        });
        let session =
            Session::with(&config, Peer::default(), heapless::Vec::<u8, 512>::new(), heapless::Vec::<u8, 512>::new());
        let mut talk = Talk::with(session, notes);
        talk.say("EHLO c.example\r\n");
        (talk.handler.backlog, talk.handler.defers) = (5, 2);
        talk.handler.take();
        // All three are asked, and none behind.
        let mut input = GROUP.as_bytes();
        for _ in 0..3 {
            assert_eq!(step(&mut talk.session, &mut input, &mut talk.handler, Waker::noop()), Progress::Moved);
        }
        assert_eq!((talk.session.open(), input), (3, &b"DATA\r\nNOOP\r\n"[..]));
        while talk.session.open() > 0 {
            let _ = step(&mut talk.session, &mut input, &mut talk.handler, Waker::noop());
        }
        // The refusal fills the output. Until all that is due is out, no command is taken.
        assert_eq!((talk.session.output().len(), talk.session.can_answer()), (512, false));
        for count in 1..=2 {
            talk.session.sent(usize::MAX);
            assert_eq!(talk.session.poll(&mut input, 0), Event::Idle, "{count}");
            assert_eq!(talk.session.output(), built("503 5.5.1 Send MAIL first\r\n").as_bytes());
            assert_eq!(input, b"DATA\r\nNOOP\r\n");
        }
        talk.left = input.to_vec();
        assert_eq!(final_codes(talk.say("").as_bytes()), [503, 503, 250]);
        assert_eq!(talk.handler.take(), "mail no@b.example; rcpt a@d.example; rcpt b@d.example");
        // The verdicts were dropped: the next question gets its own answer.
        assert_eq!((talk.code("MAIL FROM:<a@b.example>"), talk.code("RCPT TO:<c@d.example>")), (250, 250));
    }

    #[test]
    fn errors_are_counted_for_them_too() {
        let mut config = Config::new("mx.example.org");
        config.limits.errors = 1;
        for backlog in [1, 2, 5] {
            let mut talk = Talk::after(
                &config,
                Notes::by(|asked| if asked.starts_with("mail") { say(550) } else { Verdict::Yes }),
                &["EHLO c"],
            );
            (talk.handler.backlog, talk.handler.defers) = (backlog, 1);
            assert_eq!(final_codes(talk.say(GROUP).as_bytes()), [550, 503, 421], "backlog {backlog}");
            assert_eq!(talk.progress, Progress::Closed);
            assert!(talk.handler.take().ends_with("closed Limit"));
        }
    }

    #[test]
    fn only_recipients_are_asked_behind_a_question() {
        let config = Config::new("mx.example.org");
        for line in [
            "NOOP",
            "DATA",
            "RSET",
            "QUIT",
            "MAIL FROM:<>",
            "EHLO c",
            "XYZZY",
            "RCPT TO:<bad",
            "RCPT TO:<a@b> X=Y",
            "RCPT \x01",
            &"x".repeat(1_100),
        ] {
            for cut in [false, true] {
                let mut talk = Talk::after(
                    &config,
                    Notes::by(|asked| if asked.starts_with("mail") { Verdict::Never } else { Verdict::Yes }),
                    &["EHLO c"],
                );
                talk.handler.backlog = 9;
                let octets = format!("MAIL FROM:<>\r\nRCPT TO:<a@d.example>\r\n{line}\r\nRCPT TO:<b@d.example>\r\n");
                let cut = if cut { octets.len() - 26 } else { 0 };
                assert_eq!(talk.say(&octets[..cut]) + &talk.say(&octets[cut..]), "");
                assert_eq!(talk.handler.take(), "mail ; rcpt a@d.example", "{line}");
                assert_eq!(talk.progress, Progress::Wait { read: false }, "{line}");
                talk.handler.rule = Box::new(|_| Verdict::Yes);
                assert!(final_codes(talk.say("").as_bytes()).starts_with(&[250, 250]));
                assert!(talk.left.is_empty() || talk.progress == Progress::Closed, "{line}");
            }
        }
    }

    #[test]
    fn further_recipients_are_read_while_there_is_room_for_questions() {
        let config = Config::new("mx.example.org");
        let mut talk = Talk::after(
            &config,
            Notes::by(|asked| if asked.starts_with("mail") { Verdict::Never } else { Verdict::Yes }),
            &["EHLO c"],
        );
        talk.handler.backlog = 3;
        for (octets, read, open) in [
            ("MAIL FROM:<>\r\nRC", true, 1),
            ("PT TO:<a@d.example>\r\n", true, 2),
            ("RCPT TO:<b@d.example>\r\n", false, 3),
            ("RCPT TO:<c@d.example>\r\n", false, 3),
        ] {
            assert_eq!(talk.say(octets), "");
            assert_eq!((talk.progress, talk.session.open()), (Progress::Wait { read }, open), "{octets}");
        }
        assert_eq!(talk.left, b"RCPT TO:<c@d.example>\r\n");
        talk.handler.rule = Box::new(|_| Verdict::Yes);
        assert_eq!(final_codes(talk.say("").as_bytes()), [250; 4]);
    }

    /// Answers a recipient while MAIL is open, which is against the rules; MAIL itself gets `mail` later.
    struct OutOfTurn {
        mail: u16,
        asked: u16,
        is_known: bool,
    }

    impl Handler for OutOfTurn {
        fn mail(&mut self, _: Mail<'_>) -> Answer<'_> {
            Answer::Later
        }
        fn rcpt(&mut self, _: Rcpt<'_>) -> Answer<'_> {
            self.asked += 1;
            if self.asked == 2 { Answer::Accept } else { Answer::Later }
        }
        fn text(&mut self, _: &[u8]) -> Flow<'_> {
            Flow::Continue
        }
        fn message(&mut self, _: u16) -> Answer<'_> {
            Answer::Accept
        }
        fn backlog(&self) -> u16 {
            9
        }
        fn resume(&mut self, _: &Waker) -> Answer<'_> {
            if self.is_known { Answer::Reply(Reply::new(self.mail, "late")) } else { Answer::Later }
        }
    }

    #[test]
    fn an_answer_out_of_turn_becomes_451() {
        let config = Config::new("mx.example.org");
        for (mail, codes) in [(250, &[250, 250, 451, 250][..]), (550, &[550, 503, 503, 250]), (421, &[421])] {
            let mut handler = OutOfTurn { mail, asked: 0, is_known: false };
            let mut session = Session::with(
                &config,
                Peer::default(),
                heapless::Vec::<u8, 512>::new(),
                heapless::Vec::<u8, 512>::new(),
            );
            let mut input: &[u8] = b"HELO c\r\nMAIL FROM:<>\r\nRCPT TO:<a@d.example>\r\nRCPT TO:<b@d.example>\r\nRCPT TO:<c@d.example>\r\nNOOP\r\n";
            let mut said = Vec::new();
            let mut turn = |session: &mut Session<'_, _, _>, input: &mut &[u8], handler: &mut OutOfTurn| {
                for _ in 0..200 {
                    let progress = step(session, input, handler, Waker::noop());
                    if progress != Progress::Moved {
                        said.extend_from_slice(session.output());
                        session.sent(usize::MAX);
                    }
                }
                std::mem::take(&mut said)
            };
            assert_eq!(final_codes(&turn(&mut session, &mut input, &mut handler)), [220, 250]);
            // Nothing is asked behind it, and nothing is lost.
            assert_eq!((session.open(), handler.asked, session.takes_more()), (3, 2, false));
            assert_eq!(input, b"RCPT TO:<c@d.example>\r\nNOOP\r\n");
            handler.is_known = true;
            input = b"NOOP\r\n";
            assert_eq!(final_codes(&turn(&mut session, &mut input, &mut handler)), codes);
        }
    }
}
