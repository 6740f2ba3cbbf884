//! Time and endings: whom the session waits for, when the timer starts anew, and what `end` says in every state.

mod common;

use std::task::Waker;

use common::{Notes, Talk, Verdict, built, say};
use heapless::Vec as Inline;
use smtpd_core::server::{Answer, Config, Ending, Event, Flow, Peer, Progress, Session, State, Watch, step};
use smtpd_core::wire::Reply;

const TO_TEXT: [&str; 4] = ["EHLO c.example", "MAIL FROM:<a@b.example>", "RCPT TO:<c@d.example>", "DATA"];

/// Each waiting time another number.
fn config() -> Config<'static> {
    let mut config = Config::new("mx.example.org");
    let timers = &mut config.timers;
    (timers.command, timers.text, timers.output, timers.answer, timers.data, timers.message) = (1, 2, 3, 4, 5, 6);
    config
}

#[test]
fn whom_it_waits_for() {
    let config = config();
    // The question that stays open, after so many of these lines; then who is waited for.
    let lines = ["EHLO c.example", "MAIL FROM:<>", "RCPT TO:<c@d.example>", "DATA", "Hi\r\n.", "VRFY c"];
    for (count, question, secs) in [
        (0, "connected", 4),
        (1, "hello", 4),
        (2, "mail", 4),
        (3, "rcpt", 4),
        (4, "data", 5),
        (5, "message", 6),
        (6, "verify", 4),
        // None: the client.
        (0, "?", 1),
        (1, "?", 1),
        (3, "?", 1),
        (4, "?", 2),
        (5, "?", 1),
    ] {
        let never = Notes::by(|asked| if asked.starts_with(question) { Verdict::Never } else { Verdict::Yes });
        let talk = Talk::after(&config, never, &lines[..count]);
        assert_eq!(talk.session.patience().secs, secs, "{question} after {count} lines");
    }
    // The client as a reader, in a transaction and in the text too; but an open question comes first.
    let mut session = Session::new(&config, Peer::default());
    let mut notes = Notes::new();
    let mut input: &[u8] = b"EHLO c\r\nMAIL FROM:<>\r\nRCPT TO:<c@d.example>\r\nDATA\r\n";
    for _ in 0..4 {
        assert!(matches!(
            session.poll(&mut input, 0),
            Event::Connected(_) | Event::Hello(_) | Event::Mail(_) | Event::Rcpt(_)
        ));
        assert_eq!(session.patience().secs, 4);
        assert!(session.answer(Answer::Accept));
        assert_eq!(session.patience().secs, 3);
    }
    while step(&mut session, &mut input, &mut notes, Waker::noop()) == Progress::Moved {}
    assert_eq!((session.state(), session.patience().secs), (State::Text, 3));
    session.sent(usize::MAX);
    assert_eq!(session.patience().secs, 2);
}

#[test]
fn single_octets_buy_no_time() {
    let config = config();
    let mut talk = Talk::after(&config, Notes::new(), &[]);
    let epoch = |talk: &Talk<'_, '_>| talk.session.patience().epoch;
    // A line, cut into octets, and one that is over every limit and never ends.
    let begun = epoch(&talk);
    for octet in "EHLO c.example\r".bytes() {
        talk.say([octet]);
        assert_eq!(epoch(&talk), begun);
    }
    talk.say("\n");
    let mut last = epoch(&talk);
    assert_ne!(last, begun, "a complete command");
    for _ in 0..5_000 {
        talk.say("x");
    }
    assert_eq!(epoch(&talk), last);
    talk.say("\r\n");
    assert_ne!(epoch(&talk), last, "a line that was too long has ended");
    for line in &TO_TEXT[1..] {
        last = epoch(&talk);
        talk.say(format!("{line}\r\n"));
        assert_ne!(epoch(&talk), last, "{line}");
    }
    // The text: 512 octets a time, the wanted and the unwanted, in pieces of one octet and of many.
    for is_refused in [false, true] {
        for piece in [1, 100, 511, 512] {
            let mut talk = Talk::after(&config, Notes::new(), &TO_TEXT);
            if is_refused {
                talk.handler.refuses = Some((1, say(554)));
                talk.say("x");
            }
            let begun = epoch(&talk);
            let mut changes = 0;
            let mut last = begun;
            for _ in 0..5_120 / piece {
                talk.say("x".repeat(piece));
                changes += u32::from(epoch(&talk) != last);
                last = epoch(&talk);
            }
            assert!((9..=10).contains(&changes), "{changes} changes in pieces of {piece}, refused: {is_refused}");
        }
    }
    // With a limit and without.
    for size in [config.limits.size, 0] {
        let mut config = config;
        config.limits.size = size;
        let mut talk = Talk::after(&config, Notes::new(), &TO_TEXT);
        let begun = epoch(&talk);
        talk.say("x".repeat(511));
        assert_eq!(epoch(&talk), begun);
        talk.say("x");
        assert_ne!(epoch(&talk), begun);
        let begun = epoch(&talk);
        talk.say("\r\n.\r\n");
        assert_ne!(epoch(&talk), begun, "the end");
    }
}

#[test]
fn answers_and_output_that_is_all_sent_start_the_timer_anew() {
    let config = config();
    let mut session = Session::new(&config, Peer::default());
    let mut last = session.patience().epoch;
    let mut is_new =
        |session: &Session<'_>| std::mem::replace(&mut last, session.patience().epoch) != session.patience().epoch;
    assert!(matches!(session.poll(&mut &b""[..], 0), Event::Connected(_)));
    assert!(session.answer(Answer::Later) && !is_new(&session));
    assert!(session.answer(Answer::Accept) && is_new(&session));
    // A client that reads an octet at a time buys no time either.
    for _ in 1..session.output().len() {
        session.sent(1);
        assert!(!is_new(&session));
    }
    session.sent(0);
    assert!(!is_new(&session));
    session.sent(1);
    assert!(is_new(&session));
    assert!(session.output().is_empty() && session.poll(&mut &b""[..], 0) == Event::Idle && !is_new(&session));
    assert!(session.poll(&mut &b"NOOP\r\n"[..], 0) == Event::Handled && is_new(&session));
}

#[test]
fn the_end_in_every_state() {
    let config = config();
    let lines = ["EHLO c.example", "MAIL FROM:<>", "RCPT TO:<c@d.example>", "DATA", "Hi\r\n.", "VRFY c"];
    for (why, said) in [
        (Ending::Expired, "421 4.4.2 Timeout, closing\r\n"),
        (Ending::Stopping, "421 4.3.2 Service stops, closing\r\n"),
        (Ending::Fault, "421 4.3.0 Internal error, closing\r\n"),
        (Ending::Limit, "421 4.7.0 Limit exceeded, closing\r\n"),
        (Ending::Lost, ""),
        (Ending::Refused, ""),
        (Ending::Quit, ""),
    ] {
        for (count, question) in [
            (0, "connected"),
            (0, "?"),
            (1, "hello"),
            (1, "?"),
            (2, "mail"),
            (2, "?"),
            (3, "rcpt"),
            (3, "?"),
            (4, "data"),
            (4, "?"),
            (5, "message"),
            (6, "verify"),
        ] {
            let never = Notes::by(|asked| if asked.starts_with(question) { Verdict::Never } else { Verdict::Yes });
            let mut talk = Talk::after(&config, never, &lines[..count]);
            if question == "?" && count == 3 {
                talk.say("RSE");
            }
            talk.session.end(why);
            assert_eq!(talk.session.open(), 0);
            assert_eq!(talk.say(""), built(said), "{why:?}, {question} after {count} lines");
            assert_eq!(talk.progress, Progress::Closed);
            // Even what would have been the end of the text.
            assert_eq!(talk.say("T\r\n.\r\nQUIT\r\n"), "");
            assert_eq!(talk.handler.take(), format!("closed {why:?}"));
        }
        // Before anything was said.
        let mut session = Session::new(&config, Peer::default());
        session.end(why);
        assert_eq!(session.output(), built(said).as_bytes());
    }
}

#[cfg(feature = "starttls")]
#[test]
fn the_end_within_a_handshake() {
    let mut config = config();
    config.extensions = config.extensions.with(smtpd_core::server::Extensions::STARTTLS);
    for why in
        [Ending::Expired, Ending::Stopping, Ending::Fault, Ending::Limit, Ending::Lost, Ending::Refused, Ending::Quit]
    {
        // Only TLS may be said now.
        let mut talk = Talk::after(&config, Notes::new(), &["EHLO c.example"]);
        while step(&mut talk.session, &mut &b"STARTTLS\r\n"[..], &mut talk.handler, Waker::noop()) == Progress::Moved {}
        assert_eq!(talk.state(), State::Tls);
        talk.session.sent(usize::MAX);
        talk.session.end(why);
        assert_eq!(talk.session.output(), b"", "{why:?}");
        assert_eq!(talk.session.poll(&mut &b""[..], 0), Event::Closed(why));
    }
}

#[test]
fn the_first_end_counts_and_the_output_decides() {
    let config = config();
    // Lost drops what nobody will read; every other end leaves it.
    for (why, is_left) in [(Ending::Lost, false), (Ending::Stopping, true), (Ending::Quit, true)] {
        let mut session = Session::new(&config, Peer::default());
        assert!(matches!(session.poll(&mut &b""[..], 0), Event::Connected(_)) && session.answer(Answer::Accept));
        session.end(why);
        assert_eq!(session.output().starts_with(b"220 "), is_left);
        session.end(Ending::Fault);
        assert_eq!(session.ending(), None);
        assert_eq!(session.poll(&mut &b""[..], 0), Event::Closed(why));
        assert_eq!(session.ending(), Some(why));
        assert_eq!(session.poll(&mut &b""[..], 0), Event::Idle);
    }
    // Output that is full has no room for a 421; half an answer to EHLO must not be followed by one.
    let mut session = Session::with(&config, Peer::default(), Inline::<u8, 512>::new(), Inline::<u8, 512>::new());
    let mut notes = Notes::new();
    let mut input: &[u8] = b"EHLO c.example\r\n";
    for _ in 0..20 {
        let _ = step(&mut session, &mut input, &mut notes, Waker::noop());
        if session.output().starts_with(b"220") {
            session.sent(usize::MAX);
        }
    }
    assert_eq!(session.output(), b"250-mx.example.org\r\n");
    session.end(Ending::Stopping);
    assert_eq!(session.output(), b"250-mx.example.org\r\n");
    assert_eq!(session.poll(&mut &b""[..], 0), Event::Closed(Ending::Stopping));
}

#[test]
fn a_421_within_the_text_waits_for_room() {
    // With the least storage, the reply to DATA that was not sent yet leaves no room for the longest reply.
    let config = config();
    for handler_says in [true, false] {
        let mut own = config;
        (own.limits.size, own.limits.drain) = if handler_says { (0, 0) } else { (1, 1) };
        let session = Session::with(&own, Peer::default(), Inline::<u8, 512>::new(), Inline::<u8, 512>::new());
        let mut talk = Talk::with(session, Notes::new());
        for line in &TO_TEXT[..3] {
            talk.say(format!("{line}\r\n"));
        }
        if handler_says {
            talk.handler.refuses = Some((1, say(421)));
        }
        let said = talk.say("DATA\r\nText\r\nmore\r\n");
        assert_eq!(common::final_codes(said.as_bytes()).last(), Some(&421), "{said}");
        assert_eq!(talk.progress, Progress::Closed);
    }
    // If the client never reads, the adapter's end still closes.
    let session = Session::with(&config, Peer::default(), Inline::<u8, 512>::new(), Inline::<u8, 512>::new());
    let mut talk = Talk::with(session, Notes::new());
    for line in &TO_TEXT[..3] {
        talk.say(format!("{line}\r\n"));
    }
    let mut input: &[u8] = b"DATA\r\nText";
    assert_eq!(talk.session.poll(&mut input, 9), Event::Data);
    assert!(talk.session.answer(Answer::Accept));
    assert_eq!(talk.session.poll(&mut input, 9), Event::Text(b"Text"));
    talk.session.flow(Flow::Refuse(Reply::new(421, "no")));
    assert_eq!(talk.session.poll(&mut input, 9), Event::Idle);
    assert_eq!(step(&mut talk.session, &mut input, &mut talk.handler, Waker::noop()), Progress::Write);
    talk.session.end(Ending::Expired);
    assert_eq!(talk.session.poll(&mut input, 9), Event::Closed(Ending::Refused));
    assert_eq!(talk.session.output(), b"354 End data with <CR><LF>.<CR><LF>\r\n");
}

#[test]
fn a_watch_counts_from_the_last_change_and_from_the_beginning() {
    let mut config = Config::new("mx.example.org");
    (config.timers.command, config.timers.session) = (10, 25);
    // A clock that wraps within the session.
    let begin = u32::MAX - 4_000;
    let at = |millis: u32| begin.wrapping_add(millis);
    let mut session = Session::new(&config, Peer::default());
    let mut watch = Watch::new(begin);
    assert_eq!(watch.left(&session, at(0)), Some(10_000));
    assert_eq!(watch.left(&session, at(9_999)), Some(1));
    assert_eq!(watch.left(&session, at(10_000)), Some(0));
    assert_eq!(watch.left(&session, at(4_000_000)), Some(0), "never less than nothing");
    assert!(matches!(session.poll(&mut &b""[..], 0), Event::Connected(_)));
    assert!(session.answer(Answer::Accept));
    session.sent(session.output().len());
    assert_eq!(watch.left(&session, at(8_000)), Some(10_000));
    assert_eq!(session.poll(&mut &b"NOO"[..], 0), Event::Idle);
    assert_eq!(watch.left(&session, at(17_000)), Some(1_000), "single octets buy no time");
    assert_eq!(session.poll(&mut &b"P\r\n"[..], 0), Event::Handled);
    assert_eq!(watch.left(&session, at(17_000)), Some(8_000), "the whole session's time comes first");
    assert_eq!(watch.left(&session, at(25_000)), Some(0));
    // A question that is asked now, whatever the session waited for before.
    assert_eq!(watch.left_for(3, session.timers(), at(17_000)), Some(3_000));
    assert_eq!(watch.left_for(30, session.timers(), at(17_000)), Some(8_000));
    assert_eq!(watch.left_for(0, session.timers(), at(17_000)), Some(8_000));
    // Without limits, and with one that is longer than the clock goes.
    for secs in [0, 5_000_000] {
        (config.timers.command, config.timers.session) = (secs, secs);
        let session = Session::new(&config, Peer::default());
        assert_eq!(Watch::new(0).left(&session, u32::MAX), None);
    }
    config.timers.session = 3;
    let session = Session::new(&config, Peer::default());
    assert_eq!(Watch::new(0).left(&session, 1_000), Some(2_000));
}
