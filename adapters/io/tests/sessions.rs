//! Sessions from beginning to end, the same by every loop: in all cuts, with every fault of the I/O, against the clock.

mod common;

use common::{Act, Diary, LOOPS, Line, Loop, Verdict, octets};
use embedded_io::ErrorKind;
use smtpd_core::server::{Config, Ending};

const MAIL: &str =
    "EHLO c.example\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\nHi\r\n..\r\n.\r\nQUIT\r\n";
const SAID: &str = "220 mx.example.org ESMTP\r\n250-mx.example.org\r\n250-PIPELINING\r\n250-SIZE 33554432\r\n250-8BITMIME\r\n\
    250-ENHANCEDSTATUSCODES\r\n250 HELP\r\n250 2.1.0 OK\r\n250 2.1.5 OK\r\n354 End data with <CR><LF>.<CR><LF>\r\n\
    250 2.0.0 OK\r\n221 2.0.0 Bye\r\n";
const HEARD: [&str; 8] = [
    "connected",
    "hello c.example",
    "mail a@b.example",
    "rcpt c@d.example",
    "data",
    "text Hi\\r\\n.\\r\\n",
    "message",
    "closed Quit",
];

fn yes(_: &str) -> Verdict {
    Verdict::Yes
}

/// Each waiting time another number.
fn config() -> Config<'static> {
    let mut config = Config::new("mx.example.org");
    let timers = &mut config.timers;
    (timers.command, timers.text, timers.output, timers.answer, timers.data, timers.message) =
        (300, 180, 200, 240, 100, 540);
    config
}

/// Serves, and looks at what holds for every session.
fn serve(by: Loop, line: &mut Line, rule: fn(&str) -> Verdict) -> (Result<Ending, ErrorKind>, Diary) {
    let mut diary = Diary::new(&line.clock, rule);
    let ended = by.serve(&config(), line, &mut diary, &mut [0; 512]);
    assert_eq!(diary.endings(), 1, "{by:?}: {:?}", diary.heard);
    assert!(diary.heard.last().is_some_and(|last| last.starts_with("closed")), "{by:?}: {:?}", diary.heard);
    (ended, diary)
}

fn seconds(line: &Line) -> u32 {
    line.clock.0.get() / 1_000
}

#[test]
fn a_mail_in_every_cut_by_buffers_of_every_size() {
    for by in LOOPS {
        for cut in [1, 2, 3, 7, 64, usize::MAX] {
            for size in [1, 2, 5, 64, 512] {
                let mut line = Line::saying(MAIL).cut(cut);
                let mut diary = Diary::new(&line.clock, yes);
                let ended = by.serve(&config(), &mut line, &mut diary, &mut vec![0; size]);
                assert_eq!((ended, line.said().as_str()), (Ok(Ending::Quit), SAID), "{by:?} {cut} {size}");
                assert_eq!(diary.heard, HEARD, "{by:?} {cut} {size}");
                assert!(line.is_flushed(), "{by:?}");
            }
        }
    }
}

#[test]
fn ticks_between_all_octets_change_nothing() {
    for by in LOOPS {
        let reads = MAIL.bytes().flat_map(|octet| [Act::Tick(10), Act::Octets(vec![octet]), Act::Tick(10)]);
        let mut line = Line::new(reads).writing((0..500).flat_map(|_| [Act::Tick(10), octets("x")]));
        let (ended, diary) = serve(by, &mut line, |_| Verdict::Later(3));
        assert_eq!((ended, line.said().as_str()), (Ok(Ending::Quit), SAID), "{by:?}");
        assert_eq!(diary.heard, HEARD, "{by:?}");
        assert!(line.is_flushed());
    }
}

#[test]
fn an_interrupted_call_is_made_again() {
    let mut line =
        Line::new([Act::Fail(ErrorKind::Interrupted), octets(MAIL)]).writing([Act::Fail(ErrorKind::Interrupted)]);
    let (ended, _) = serve(Loop::Blocking, &mut line, yes);
    assert_eq!((ended, line.said().as_str()), (Ok(Ending::Quit), SAID));
}

#[test]
fn a_buffer_of_no_length_is_a_fault() {
    for by in LOOPS {
        let mut line = Line::saying(MAIL);
        let mut diary = Diary::new(&line.clock, yes);
        let ended = by.serve(&config(), &mut line, &mut diary, &mut []);
        assert_eq!(ended, Ok(Ending::Fault), "{by:?}");
        assert_eq!(line.said(), "421 4.3.0 Internal error, closing\r\n", "{by:?}");
        assert_eq!(diary.heard, ["closed Fault"], "{by:?}");
    }
}

#[test]
fn a_client_that_says_nothing_has_five_minutes() {
    for by in LOOPS {
        for said in ["", "EHL", "EHLO c.example\r\nMAIL FROM:<>\r\nNO"] {
            let mut line = Line::new([octets(said)].into_iter().filter(|_| !said.is_empty()));
            let (ended, _) = serve(by, &mut line, yes);
            assert_eq!(ended, Ok(Ending::Expired), "{by:?}");
            assert!(line.said().ends_with("\r\n421 4.4.2 Timeout, closing\r\n"), "{by:?}: {}", line.said());
            assert!((300..=301).contains(&seconds(&line)), "{by:?}: {} s", seconds(&line));
            assert!(line.is_flushed());
        }
    }
}

#[test]
fn single_octets_buy_no_time() {
    for by in LOOPS {
        // One each ten seconds, for ever; always ready when it is asked.
        let mut line = Line::new((0..1_000).flat_map(|_| [Act::Tick(9_999), octets("x")]));
        let (ended, _) = serve(by, &mut line, yes);
        assert_eq!(ended, Ok(Ending::Expired), "{by:?}");
        assert!((300..=310).contains(&seconds(&line)), "{by:?}: {} s", seconds(&line));
    }
}

#[test]
fn text_has_a_time_of_its_own() {
    for by in LOOPS {
        let (start, _) = MAIL.split_at(MAIL.find("..").unwrap());
        let mut line = Line::saying(start);
        let (ended, diary) = serve(by, &mut line, yes);
        assert_eq!(ended, Ok(Ending::Expired), "{by:?}");
        assert!((180..=181).contains(&seconds(&line)), "{by:?}: {} s", seconds(&line));
        assert!(line.said().ends_with("354 End data with <CR><LF>.<CR><LF>\r\n421 4.4.2 Timeout, closing\r\n"));
        assert_eq!(diary.heard[5..], ["text Hi\\r\\n", "closed Expired"], "{by:?}");
    }
}

#[test]
fn a_handler_that_never_answers_costs_its_time_and_no_more() {
    type Case = (&'static str, fn(&str) -> Verdict, u32);
    let cases: [Case; 4] = [
        ("connected", |asked| if asked == "connected" { Verdict::Never } else { Verdict::Yes }, 240),
        ("rcpt c@d.example", |asked| if asked.starts_with("rcpt") { Verdict::Never } else { Verdict::Yes }, 240),
        ("data", |asked| if asked == "data" { Verdict::Never } else { Verdict::Yes }, 100),
        ("message", |asked| if asked == "message" { Verdict::Never } else { Verdict::Yes }, 540),
    ];
    for by in LOOPS {
        for (question, rule, secs) in cases {
            let mut line = Line::saying(MAIL);
            let (ended, diary) = serve(by, &mut line, rule);
            assert_eq!(ended, Ok(Ending::Expired), "{by:?} {question}");
            assert!((secs..=secs + 1).contains(&seconds(&line)), "{by:?} {question}: {} s", seconds(&line));
            assert!(line.said().ends_with("421 4.4.2 Timeout, closing\r\n"), "{by:?} {question}: {}", line.said());
            assert!(line.is_flushed(), "{by:?} {question}");
            assert_eq!(diary.heard[diary.heard.len() - 2..], [question, "closed Expired"], "{by:?}");
            assert_eq!(diary.dropped.get(), usize::from(by == Loop::Async), "{by:?} {question}");
        }
    }
}

#[test]
fn the_whole_session_has_its_time_too() {
    for by in LOOPS {
        let mut config = config();
        config.timers.session = 50;
        // The greeting goes, and what comes before DATA; the 421 finds the line busy, and still goes.
        let whole = || octets(&" ".repeat(999));
        let mut line = Line::saying(MAIL).writing([whole(), whole(), Act::Tick(1_000)]);
        let mut diary = Diary::new(&line.clock, |asked| if asked == "data" { Verdict::Never } else { Verdict::Yes });
        assert_eq!(by.serve(&config, &mut line, &mut diary, &mut [0; 64]), Ok(Ending::Expired), "{by:?}");
        assert!((50..=52).contains(&seconds(&line)), "{by:?}: {} s", seconds(&line));
        assert!(line.said().ends_with("250 2.1.5 OK\r\n421 4.4.2 Timeout, closing\r\n"), "{by:?}: {}", line.said());
    }
}

#[test]
fn a_client_that_reads_nothing_is_given_up() {
    for by in LOOPS {
        for taken in ["", "xxxxx"] {
            let writes = (0..3_000).map(|_| Act::Tick(1_000));
            let mut line =
                Line::saying(MAIL).writing([octets(taken)].into_iter().filter(|_| !taken.is_empty()).chain(writes));
            let (ended, diary) = serve(by, &mut line, yes);
            assert_eq!(ended, Ok(Ending::Expired), "{by:?}");
            assert!((200..=202).contains(&seconds(&line)), "{by:?}: {} s", seconds(&line));
            assert_eq!(diary.heard, ["connected", "closed Expired"], "{by:?}");
            assert_eq!(line.said().len(), taken.len(), "{by:?}");
        }
    }
}

#[test]
fn the_last_reply_is_waited_for_but_not_for_ever() {
    for by in LOOPS {
        for (ticks, is_heard) in [(9, true), (20, false)] {
            // The greeting goes at once; then the client is slow.
            let slow = (0..ticks).map(|_| Act::Tick(1_000));
            let mut line = Line::saying("QUIT\r\n").writing([octets(&" ".repeat(99))].into_iter().chain(slow));
            let (ended, _) = serve(by, &mut line, yes);
            assert_eq!(ended, Ok(Ending::Quit), "{by:?}");
            assert_eq!(line.said().ends_with("221 2.0.0 Bye\r\n"), is_heard, "{by:?} {ticks}: {}", line.said());
            assert!(line.is_flushed());
        }
    }
}

#[test]
fn the_end_of_what_can_be_read_loses_the_client() {
    for by in LOOPS {
        let (start, _) = MAIL.split_at(MAIL.find("..").unwrap());
        for said in ["", "EHLO c.example\r\nMAIL FROM:<a@b.example>\r\nRCP", start] {
            for last in [Act::Zero, Act::Fail(ErrorKind::ConnectionReset)] {
                let reads = [octets(said)].into_iter().filter(|_| !said.is_empty()).chain([last.clone()]);
                let mut line = Line::new(reads);
                let (ended, diary) = serve(by, &mut line, yes);
                let expected = match last {
                    Act::Fail(kind) => Err(kind),
                    _ => Ok(Ending::Lost),
                };
                assert_eq!(ended, expected, "{by:?} {said:?}");
                assert_eq!(diary.heard.last().map(String::as_str), Some("closed Lost"), "{by:?}");
                assert!(!diary.heard.contains(&"message".into()));
                assert!(!line.said().contains("421"));
                assert_eq!(seconds(&line), 0);
            }
        }
    }
}

#[test]
fn what_was_said_before_the_end_is_answered() {
    for by in LOOPS {
        let mut line = Line::new([octets("EHLO c.example\r\nVRFY c\r\n"), Act::Zero]);
        let (ended, _) = serve(by, &mut line, |_| Verdict::Later(2));
        assert_eq!(ended, Ok(Ending::Lost), "{by:?}");
        assert!(line.said().contains("\r\n252 "), "{by:?}: {}", line.said());
    }
}

#[test]
fn a_write_that_fails_loses_the_client() {
    for by in LOOPS {
        for (at, fault) in
            [0, 1, 3].into_iter().flat_map(|at| [(at, Act::Zero), (at, Act::Fail(ErrorKind::BrokenPipe))])
        {
            let before = (0..at).map(|_| octets("xxxx"));
            let mut line = Line::saying(MAIL).writing(before.chain([fault.clone()]));
            let (ended, diary) = serve(by, &mut line, yes);
            let expected = match fault {
                Act::Fail(kind) => Err(kind),
                _ => Ok(Ending::Lost),
            };
            assert_eq!(ended, expected, "{by:?} {at}");
            assert_eq!(line.said().len(), 4 * at, "{by:?}: nothing behind the fault");
            assert_eq!(diary.heard.last().map(String::as_str), Some("closed Lost"), "{by:?} {at}");
        }
    }
}

#[test]
fn a_flush_may_take_its_time_or_fail() {
    for by in LOOPS {
        let mut line = Line::saying(MAIL);
        line.flushing.borrow_mut().extend([Act::Tick(1_000), Act::Tick(1_000)]);
        let (ended, _) = serve(by, &mut line, yes);
        assert_eq!((ended, line.said().as_str(), line.is_flushed()), (Ok(Ending::Quit), SAID, true), "{by:?}");
        let mut line = Line::saying(MAIL);
        line.flushing.borrow_mut().push_back(Act::Fail(ErrorKind::BrokenPipe));
        let (ended, diary) = serve(by, &mut line, yes);
        assert_eq!(ended, Err(ErrorKind::BrokenPipe), "{by:?}");
        assert_eq!(diary.heard, ["connected", "closed Lost"], "{by:?}");
        // One that never ends is a client that reads nothing.
        let mut line = Line::saying(MAIL);
        line.flushing.borrow_mut().extend((0..3_000).map(|_| Act::Tick(1_000)));
        let (ended, _) = serve(by, &mut line, yes);
        assert_eq!(ended, Ok(Ending::Expired), "{by:?}");
        // To the blocking loop it is written, so the next command is due; and the 421 finds the same.
        assert!((200..=313).contains(&seconds(&line)), "{by:?}: {} s", seconds(&line));
    }
}

#[test]
fn an_error_behind_the_end_does_not_change_how_it_ended() {
    for by in LOOPS {
        // The greeting goes.
        let mut line = Line::saying("QUIT\r\n").writing([octets(&" ".repeat(99)), Act::Fail(ErrorKind::BrokenPipe)]);
        let (ended, diary) = serve(by, &mut line, yes);
        assert_eq!(ended, Err(ErrorKind::BrokenPipe), "{by:?}");
        assert_eq!(diary.heard.last().map(String::as_str), Some("closed Quit"), "{by:?}: {:?}", diary.heard);
    }
}

#[test]
fn starttls_that_is_announced_by_mistake_is_a_fault() {
    for by in LOOPS {
        let mut config = config();
        config.extensions = config.extensions.with(smtpd_core::server::Extensions::STARTTLS);
        let mut line = Line::saying("EHLO c.example\r\nSTARTTLS\r\nNOOP\r\n");
        let mut diary = Diary::new(&line.clock, yes);
        assert_eq!(by.serve(&config, &mut line, &mut diary, &mut [0; 64]), Ok(Ending::Fault), "{by:?}");
        assert_eq!(diary.heard.last().map(String::as_str), Some("closed Fault"), "{by:?}");
        assert!(line.said().ends_with("220 2.0.0 Start TLS\r\n"), "{by:?}: {}", line.said());
    }
}

#[test]
fn a_refusal_reaches_the_client() {
    for by in LOOPS {
        let mut line = Line::saying(MAIL);
        let (ended, _) =
            serve(by, &mut line, |asked| if asked.starts_with("rcpt") { Verdict::No } else { Verdict::Yes });
        assert_eq!(ended, Ok(Ending::Quit), "{by:?}");
        assert!(line.said().contains("550 5.7.1 No\r\n503 "), "{by:?}: {}", line.said());
    }
}

#[test]
fn a_transaction_that_comes_to_nothing_is_heard() {
    for by in LOOPS {
        let mut line = Line::saying("EHLO c.example\r\nMAIL FROM:<>\r\nRSET\r\nVRFY c\r\nQUIT\r\n");
        let (ended, diary) = serve(by, &mut line, |_| Verdict::Later(1));
        assert_eq!(ended, Ok(Ending::Quit), "{by:?}");
        assert_eq!(diary.heard, ["connected", "hello c.example", "mail ", "reset", "closed Quit"], "{by:?}");
    }
}

#[test]
fn without_a_clock_nothing_expires() {
    use smtpd_core::server::{Peer, Session};
    let reads = (0..500).map(|_| Act::Tick(1_000_000)).chain([octets(MAIL)]);
    let (config, mut line) = (config(), Line::new(reads));
    let mut diary = Diary::new(&line.clock, |_| Verdict::Later(9));
    let mut session = Session::new(&config, Peer::default());
    assert_eq!(smtpd_io::serve(&mut line, &mut session, &mut diary, &(), &mut [0; 9]), Ok(Ending::Quit));
    assert_eq!(line.said(), SAID);
}
