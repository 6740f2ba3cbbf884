//! The contract of the loop, rule by rule as `Session` documents it; where the rule is the driver's, a driver breaks it.

mod common;

use std::task::Waker;

use common::{Notes, OnDemand, Talk, Verdict, built, say};
use heapless::Vec as Inline;
use smtpd_core::handlers::Sink;
use smtpd_core::server::{Answer, Config, Ending, Event, Flow, Handler, Peer, Progress, Session, State, step};
use smtpd_core::wire::Reply;

const DIALOGUE: &[u8] = b"NOOP\r\nEHLO c.example\r\nXYZZY\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\n\
    RCPT TO:<bad\r\nDATA\r\nHi\r\n..dot\r\n.\r\nMAIL FROM:<>\r\nRSET\r\nMAIL FROM:<>\r\nEHLO c.example\r\nVRFY c\r\nQUIT\r\n";
const TO_TEXT: [&str; 4] = ["EHLO c.example", "MAIL FROM:<a@b.example>", "RCPT TO:<c@d.example>", "DATA"];

/// Accepts a question, if the event is one.
fn accept(event: Event<'_>) -> bool {
    use Event::{Connected, Data, Hello, Mail, Message, Rcpt, Verify};
    matches!(event, Connected(_) | Hello(_) | Mail(_) | Rcpt(_) | Data | Message(_) | Verify(_))
}

#[test]
fn rule_1_every_event_but_idle_moves_something() {
    let config = Config::new("mx.example.org");
    for cut in [1, 2, 3, 7, 64, DIALOGUE.len()] {
        let mut session = Session::new(&config, Peer::default());
        let mut events = 0;
        for piece in DIALOGUE.chunks(cut) {
            let mut input = piece;
            loop {
                let before = (input, format!("{session:?}"));
                let event = session.poll(&mut input, usize::MAX);
                let (is_idle, is_question) = (event == Event::Idle, accept(event));
                if is_idle {
                    // Nothing more comes of it, however often it is asked.
                    assert_eq!(session.poll(&mut input, usize::MAX), Event::Idle);
                    break;
                }
                assert_ne!(before, (input, format!("{session:?}")), "cut {cut}: a driver would spin");
                events += 1;
                if is_question {
                    assert!(session.answer(Answer::Accept));
                }
                let len = session.output().len();
                session.sent(len);
            }
            assert_eq!(input, b"", "cut {cut}: what is not needed is kept, what is needed is taken");
        }
        assert!(session.ending().is_some());
        assert!(events <= 40, "{events} events");
    }
}

#[test]
fn rule_2_idle_with_output_pending_means_send_first() {
    let config = Config::new("mx.example.org");
    let noops = "NOOP\r\n".repeat(50);
    let session = Session::with(&config, Peer::default(), Inline::<u8, 512>::new(), Inline::<u8, 512>::new());
    let mut talk = Talk::with(session, Notes::new());
    talk.say("");
    // A driver that does not send: one reply, and then nothing moves although there is input.
    let mut input = noops.as_bytes();
    while step(&mut talk.session, &mut input, &mut talk.handler, Waker::noop()) == Progress::Moved {}
    let stuck = input.len();
    for _ in 0..3 {
        assert_eq!(step(&mut talk.session, &mut input, &mut talk.handler, Waker::noop()), Progress::Write);
    }
    assert_eq!((input.len(), talk.session.can_answer()), (stuck, false));
    // One that does: each command gets its reply.
    talk.left = input.to_vec();
    assert_eq!(common::final_codes(talk.say("").as_bytes()), [250; 50]);
}

#[test]
fn rule_2_idle_with_a_question_open_means_wait() {
    let config = Config::new("mx.example.org");
    let never = Notes::by(|asked| if asked.starts_with("mail") { Verdict::Never } else { Verdict::Yes });
    let mut talk = Talk::after(&config, never, &["EHLO c.example"]);
    // A driver that reads on regardless: what it read is not taken, and nothing is said out of turn.
    talk.say("MAIL FROM:<>\r\nNOOP\r\nNO");
    assert_eq!((talk.progress, &talk.left[..]), (Progress::Wait { read: false }, &b"NOOP\r\nNO"[..]));
    assert_eq!(talk.say("OP\r\n"), "");
    assert_eq!(talk.left, b"NOOP\r\nNOOP\r\n");
    talk.handler.rule = Box::new(|_| Verdict::Yes);
    assert_eq!(common::final_codes(talk.say("").as_bytes()), [250; 3]);
}

#[test]
fn rule_2_otherwise_read() {
    let config = Config::new("mx.example.org");
    let mut talk = Talk::new(&config, Notes::new());
    talk.say("");
    assert_eq!(talk.progress, Progress::Read);
    for part in ["EH", "LO c.example\r", "\nMAIL FROM:<>\r\nRCPT TO:<c@d.example>\r\nDATA\r\nH", "i\r\n.", "\r", "\n"] {
        talk.say(part);
        assert_eq!((talk.progress, talk.left.len()), (Progress::Read, 0), "{part:?}");
    }
    assert_eq!(talk.state(), State::Ready);
}

#[test]
fn rule_2_text_does_not_wait_for_room_in_the_output() {
    let config = Config::new("mx.example.org");
    let session = Session::with(&config, Peer::default(), Inline::<u8, 512>::new(), Inline::<u8, 512>::new());
    let mut talk = Talk::with(session, Notes::new());
    for line in &TO_TEXT[..3] {
        talk.say(line.to_string() + "\r\n");
    }
    let mut input: &[u8] = b"DATA\r\nHi";
    let mut progress = Progress::Moved;
    while progress == Progress::Moved {
        progress = step(&mut talk.session, &mut input, &mut talk.handler, Waker::noop());
    }
    assert_eq!((progress, input, talk.session.can_answer()), (Progress::Write, &b""[..], false));
    assert_eq!(talk.handler.text, b"Hi");
}

#[test]
fn rule_3_after_closed_there_is_nothing_more() {
    let config = Config::new("mx.example.org");
    let mut talk = Talk::after(&config, Notes::new(), &["EHLO c.example"]);
    let mut input: &[u8] = b"QUIT\r\nNOOP\r\n";
    while step(&mut talk.session, &mut input, &mut talk.handler, Waker::noop()) != Progress::Closed {}
    // A driver that closes the transport now loses this.
    assert_eq!(talk.session.output(), built("221 2.0.0 Bye\r\n").as_bytes());
    for why in [Ending::Stopping, Ending::Expired, Ending::Fault, Ending::Limit, Ending::Quit, Ending::Refused] {
        talk.session.end(why);
        assert_eq!(talk.session.poll(&mut input, 1), Event::Idle);
        assert_eq!(step(&mut talk.session, &mut input, &mut talk.handler, Waker::noop()), Progress::Closed);
        assert!(!talk.session.answer(Answer::Accept));
        talk.session.flow(Flow::Refuse(Reply::new(421, "late")));
    }
    assert_eq!(talk.session.output(), built("221 2.0.0 Bye\r\n").as_bytes(), "nothing is said behind it");
    assert_eq!((input, talk.handler.take().as_str()), (&b"NOOP\r\n"[..], "closed Quit"));
    talk.session.end(Ending::Lost);
    assert_eq!(talk.session.output(), b"", "nobody is there to hear it");
}

#[test]
fn rule_4_a_ring_gives_its_input_in_two_parts() {
    let config = Config::new("mx.example.org");
    let whole = Talk::new(&config, Notes::new()).say(DIALOGUE);
    for cut in 0..DIALOGUE.len() {
        let (first, second) = DIALOGUE.split_at(cut);
        let mut talk = Talk::new(&config, Notes::new());
        // What a driver has after the first part alone, it has to go on from, or the client waits for ever.
        let mut said = talk.say(first);
        assert_ne!(talk.progress, Progress::Closed);
        said += &talk.say(second);
        assert_eq!((said.as_str(), talk.progress), (whole.as_str(), Progress::Closed), "cut at {cut}");
    }
}

#[test]
fn rule_5_a_positive_code_of_the_wrong_kind_becomes_451() {
    let config = Config::new("mx.example.org");
    let lines = ["", "EHLO c.example", "MAIL FROM:<a@b.example>", "RCPT TO:<c@d.example>", "DATA", "."];
    for (at, question, right) in [
        (1, "hello", &[250][..]),
        (2, "mail", &[250]),
        (3, "rcpt", &[250, 251]),
        (4, "data", &[354]),
        (5, "message", &[250]),
    ] {
        for code in
            [0, 1, 99, 100, 199, 200, 211, 214, 220, 221, 235, 250, 251, 252, 253, 300, 334, 354, 399, 600, 999, 65_535]
        {
            let rule = move |asked: &str| if asked.starts_with(question) { say(code) } else { Verdict::Yes };
            let mut talk = Talk::after(&config, Notes::by(rule), &lines[1..at]);
            let before = talk.state();
            let heard = talk.code(lines[at]);
            assert_eq!(heard, if right.contains(&code) { code } else { 451 }, "{code} to {question}");
            let expected = match (heard, question) {
                (451, "message") => State::Ready,
                (451, _) => before,
                (_, "mail" | "rcpt") => State::Transaction,
                (_, "data") => State::Text,
                _ => State::Ready,
            };
            assert_eq!(talk.state(), expected, "{code} to {question}");
        }
    }
    // Before the greeting there is no state to go on from.
    for code in [0, 199, 250, 221, 354, 600] {
        let mut talk = Talk::new(&config, Notes::by(move |_| say(code)));
        assert_eq!(talk.say("EHLO c.example\r\n"), built("421 4.3.0 Internal error, closing\r\n"), "{code}");
        assert_eq!(talk.handler.take(), "connected; closed Fault");
    }
    for code in [220, 421, 450, 554] {
        assert_eq!(common::code(&Talk::new(&config, Notes::by(move |_| say(code))).say("")), code);
    }
    // VRFY has more answers (RFC 5321 §3.5.3).
    for (code, heard) in [(250, 250), (251, 251), (252, 252), (253, 451), (354, 451), (550, 550), (600, 451)] {
        assert_eq!(
            Talk::after(
                &config,
                Notes::by(move |asked| if asked == "verify c" { say(code) } else { Verdict::Yes }),
                &[]
            )
            .code("VRFY c"),
            heard
        );
    }
}

#[test]
fn rule_6_a_dot_at_once_is_an_empty_message() {
    let config = Config::new("mx.example.org");
    let mut talk = Talk::after(&config, Notes::new(), &TO_TEXT);
    assert_eq!((talk.code("."), talk.handler.take().as_str()), (250, "message 0 "));
    // The second message of a connection stands there as well.
    for line in &TO_TEXT[1..] {
        talk.code(line);
    }
    talk.handler.take();
    assert_eq!((talk.code("."), talk.handler.take().as_str()), (250, "message 0 "));
}

#[test]
fn rule_7_room_0_stops_text_only() {
    let config = Config::new("mx.example.org");
    let mut talk = Talk::after(&config, Notes::new(), &TO_TEXT);
    let mut input: &[u8] = b"Hi\r\n.\r\nNOOP\r\n";
    for _ in 0..3 {
        assert_eq!(talk.session.poll(&mut input, 0), Event::Idle, "a driver that reads on here fills its memory");
        assert_eq!(input, b"Hi\r\n.\r\nNOOP\r\n");
    }
    assert_eq!(talk.session.poll(&mut input, 3), Event::Text(b"Hi\r"));
    assert_eq!(talk.session.poll(&mut input, 0), Event::Idle);
    assert_eq!(talk.session.poll(&mut input, 1), Event::Text(b"\n"));
    // The end is no text, a question is none, a command is none.
    assert_eq!(talk.session.poll(&mut input, 0), Event::Message(0));
    assert!(talk.session.answer(Answer::Accept));
    assert_eq!(talk.session.poll(&mut input, 0), Event::Handled);
    assert_eq!((talk.session.poll(&mut input, 0), input), (Event::Handled, &b""[..]));
    // A handler that has room now and then: wait, and do not read.
    let mut talk = Talk::after(&config, Notes::new(), &TO_TEXT);
    talk.handler.room = 0;
    // It has room for one octet every other time that it is asked: now.
    assert_eq!(step(&mut talk.session, &mut &b""[..], &mut talk.handler, Waker::noop()), Progress::Read);
    let mut input: &[u8] = b"Hi";
    for left in ["Hi", "i", ""] {
        let progress = step(&mut talk.session, &mut input, &mut talk.handler, Waker::noop());
        let expected = if left.is_empty() { Progress::Read } else { Progress::Wait { read: false } };
        assert_eq!((progress, input), (expected, left.as_bytes()));
    }
    assert_eq!((talk.code("\r\n."), talk.handler.take().as_str()), (250, "message 0 Hi\\r\\n"));
}

#[test]
fn rule_8_the_end_is_decided_on_the_octets_as_they_came() {
    let config = Config::new("mx.example.org");
    // What follows 354, and the text that is heard if it ended there.
    for (octets, text) in [
        (&b"a\r\n.\r\n"[..], Some("a\\r\\n")),
        (b"a\n.\r\n", None),
        (b"a\n.\n", None),
        (b"a\r\n.\n", None),
        (b"a\r.\r\n", None),
        (b"a\r\n.\r", None),
        (b"a\r.\r", None),
        (b".\r\n", Some("")),
        (b"..x\r\n.y\r\n.\r\n", Some(".x\\r\\ny\\r\\n")),
        (b"a\n.\r\nMAIL FROM:<evil@b.example>\r\n.\r\n", Some("a\\n.\\r\\nMAIL FROM:<evil@b.example>\\r\\n")),
    ] {
        for cut in 0..=octets.len() {
            let mut talk = Talk::after(&config, Notes::new(), &TO_TEXT);
            let said = talk.say(&octets[..cut]) + &talk.say(&octets[cut..]);
            let heard = talk.handler.take();
            match text {
                Some(text) => assert_eq!((said, heard), (built("250 2.0.0 OK\r\n"), format!("message 0 {text}"))),
                None => assert_eq!((said.as_str(), heard.as_str(), talk.state()), ("", "", State::Text)),
            }
        }
    }
}

#[test]
fn rule_9_answers_are_to_the_oldest_question_and_need_room() {
    let config = Config::new("mx.example.org");
    let mut session = Session::with(&config, Peer::default(), Inline::<u8, 512>::new(), Inline::<u8, 512>::new());
    let mut input: &[u8] = b"";
    assert!(!session.answer(Answer::Accept), "nothing was asked");
    assert!(matches!(session.poll(&mut input, 0), Event::Connected(_)));
    assert_eq!(session.poll(&mut input, 0), Event::Idle);
    assert!(session.answer(Answer::Later) && session.open() == 1);
    assert!(session.answer(Answer::Accept) && session.open() == 0);
    assert!(!session.answer(Answer::Accept), "nothing is open any more");
    if cfg!(not(feature = "backlog")) {
        return;
    }
    session.sent(usize::MAX);
    input = b"EHLO c.example\r\nMAIL FROM:<>\r\nRCPT TO:<c@d.example>\r\nRCPT TO:<e@f.example>\r\n";
    assert!(matches!(session.poll(&mut input, 0), Event::Hello(_)) && session.answer(Answer::Accept));
    while !session.output().is_empty() {
        session.sent(usize::MAX);
        assert_eq!(session.poll(&mut &b""[..], 0), Event::Idle);
    }
    assert!(matches!(session.poll(&mut input, 0), Event::Mail(_)));
    assert!(matches!(session.poll(&mut input, 0), Event::Rcpt(_)));
    assert!(matches!(session.poll(&mut input, 0), Event::Rcpt(_)));
    assert_eq!(session.open(), 3);
    assert!(session.answer(Answer::Accept));
    assert_eq!((session.output(), session.open()), (built("250 2.1.0 OK\r\n").as_bytes(), 2));
    // A driver that answers without looking at `can_answer`: the answer is not taken, rather than lost or cut.
    let long = "x".repeat(490);
    assert!(!session.can_answer() && !session.answer(Answer::Reply(Reply::new(550, &long))));
    assert_eq!((session.output().len(), session.open()), (built("250 2.1.0 OK\r\n").len(), 2));
    session.sent(usize::MAX);
    assert!(session.answer(Answer::Reply(Reply::new(550, &long))) && session.open() == 1);
    assert_eq!(session.output().len(), 496);
}

#[test]
fn storage_on_demand_is_given_back() {
    let config = Config::new("mx.example.org");
    let session = Session::with(&config, Peer::default(), OnDemand::<2304>::default(), OnDemand::<4096>::default());
    let mut talk = Talk::with(session, Notes::new());
    let idle = |talk: &Talk<'_, '_, OnDemand<2304>, OnDemand<4096>>| {
        let session = format!("{:?}", talk.session);
        session.matches("OnDemand(None)").count()
    };
    talk.say("");
    assert_eq!(idle(&talk), 2);
    talk.say("EHLO c.ex");
    assert_eq!(idle(&talk), 1, "a cut line");
    talk.say("ample\r\n");
    assert_eq!(idle(&talk), 2);
    // A line that lies whole in the input is read there, and not kept while its question is open.
    talk.handler.rule = Box::new(|_| Verdict::Never);
    talk.say("MAIL FROM:<a@b.example>\r\n");
    assert_eq!((idle(&talk), talk.session.open()), (2, 1));
    talk.handler.rule = Box::new(|_| Verdict::Yes);
    talk.say("");
    talk.say("RCPT TO:<c@d.example>\r\nDA");
    talk.say("TA\r\nText");
    assert_eq!(idle(&talk), 2, "nothing is kept of the line within the text");
}

#[test]
fn a_handler_may_be_the_least_or_borrowed() {
    // What no reply shows. Sink has what it must have, and no more.
    fn call(mut handler: impl Handler) -> (usize, u16) {
        handler.reset();
        handler.closed(Ending::Lost);
        (handler.room(Waker::noop()), handler.backlog())
    }
    assert_eq!(call(Sink), (usize::MAX, 1));
    let mut notes = Notes::new();
    (notes.room, notes.backlog) = (7, 3);
    assert_eq!(call(&mut notes), (7, 3));
    assert_eq!(notes.take(), "reset; closed Lost");
}

#[test]
fn what_hello_is_answered_has_no_enhanced_code() {
    let config = Config::new("mx.example.org");
    let wrong = Notes::by(|asked| if asked.starts_with("hello") { say(354) } else { Verdict::Yes });
    assert_eq!(Talk::after(&config, wrong, &[]).say("EHLO a\r\n"), "451 Internal error\r\n");
    assert_eq!(Talk::after(&config, Notes::new(), &[]).say("EHLO -\r\n"), "501 Malformed domain\r\n");
}
