//! Replies: in how many writes they go, and that none waits for a handler or for further input.

mod common;

use std::cell::RefCell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};

use common::{Act, Awaiting, Clock, Diary, LOOPS, Line, Loop, Verdict, octets, run};
use embedded_io::ErrorKind;
use smtpd_core::server::{Answer, Config, Ending, Flow, Handler, Mail, Peer, Rcpt, Session};
use smtpd_io::{serve_async, serve_plain};

fn hundred() -> String {
    let recipients: String = (0..100).map(|number| format!("RCPT TO:<c{number}@d.example>\r\n")).collect();
    format!("EHLO c.example\r\nMAIL FROM:<>\r\n{recipients}DATA\r\nHi\r\n.\r\nQUIT\r\n")
}

/// Writes that a hundred pipelined recipients cost, with this much room for output besides the session's own.
fn writes(by: Loop, output: usize, rule: fn(&str) -> Verdict) -> usize {
    let config = Config::new("mx.example.org");
    let mut session = Session::new(&config, Peer::default());
    let mut line = Line::saying(&hundred());
    let clock = line.clock.clone();
    let (mut buffer, mut output) = (vec![0; 8_192], vec![0; output]);
    let mut diary = Diary::new(&clock, rule);
    let ended = match by {
        Loop::Blocking => smtpd_io::serve(&mut line, &mut session, &mut diary, &clock, &mut buffer),
        Loop::Async => {
            run(serve_async(&mut line, &mut session, &mut Awaiting(&mut diary), &clock, &mut buffer, &mut output))
        }
        Loop::Plain => run(serve_plain(&mut line, &mut session, &mut diary, &clock, &mut buffer, &mut output)),
    };
    assert_eq!(ended, Ok(Ending::Quit));
    assert_eq!(line.said().matches("250 2.1.5 OK\r\n").count(), 100);
    line.written.get()
}

#[test]
fn a_hundred_recipients_cost_few_writes() {
    let yes = |_: &str| Verdict::Yes;
    // The greeting is one, for there is no input then; 1,700 octets follow.
    for (by, output, expected) in [
        (Loop::Blocking, 0, 5),
        (Loop::Async, 512, 5),
        (Loop::Async, 1_024, 3),
        (Loop::Async, 4_096, 2),
        (Loop::Plain, 1_024, 3),
        (Loop::Plain, 4_096, 2),
    ] {
        assert_eq!(writes(by, output, yes), expected, "{by:?}, {output}");
    }
    // A handler that is pending each time costs a write each: what was said must not wait for it.
    let slow = |asked: &str| if asked.starts_with("rcpt") { Verdict::Later(1) } else { Verdict::Yes };
    assert_eq!(writes(Loop::Async, 4_096, slow), 102);
}

#[test]
fn output_of_every_length() {
    for by in [Loop::Async, Loop::Plain] {
        for output in [1, 2, 100] {
            writes(by, output, |_| Verdict::Later(1));
        }
        let config = Config::new("mx.example.org");
        let mut session = Session::new(&config, Peer::default());
        let mut line = Line::saying("QUIT\r\n");
        let clock = line.clock.clone();
        let mut diary = Diary::new(&clock, |_| Verdict::Yes);
        let ended = match by {
            Loop::Async => {
                run(serve_async(&mut line, &mut session, &mut Awaiting(&mut diary), &clock, &mut [0; 9], &mut []))
            }
            _ => run(serve_plain(&mut line, &mut session, &mut diary, &clock, &mut [0; 9], &mut [])),
        };
        assert_eq!((ended, line.said().as_str()), (Ok(Ending::Fault), ""));
        assert_eq!(diary.heard, ["closed Fault"]);
    }
}

#[test]
fn replies_go_out_while_a_handler_awaits() {
    let config = Config::new("mx.example.org");
    for by in LOOPS {
        // It is asked about RCPT with the answer to MAIL still unsent, and never answers.
        let mut line = Line::saying("EHLO c.example\r\nMAIL FROM:<>\r\nRCPT TO:<c@d.example>\r\nDATA\r\n");
        let mut diary =
            Diary::new(&line.clock, |asked| if asked.starts_with("rcpt") { Verdict::Never } else { Verdict::Yes });
        assert_eq!(by.serve(&config, &mut line, &mut diary, &mut [0; 512]), Ok(Ending::Expired), "{by:?}");
        assert!(line.said().ends_with("250 2.1.0 OK\r\n421 4.4.2 Timeout, closing\r\n"), "{by:?}: {}", line.said());
        // The 421 was a write of its own, four minutes later.
        assert!(line.written.get() >= 3, "{by:?}");
    }
}

#[test]
fn a_write_that_was_begun_is_not_left_for_an_answer() {
    let config = Config::new("mx.example.org");
    for by in [Loop::Async, Loop::Plain] {
        // The write is slower than the handler: each takes some polls.
        let slow = (0..40).flat_map(|_| [Act::Tick(100), octets("xxxxxxx")]);
        let mut line =
            Line::saying("EHLO c.example\r\nMAIL FROM:<>\r\nRCPT TO:<c@d.example>\r\nQUIT\r\n").writing(slow);
        let mut diary = Diary::new(&line.clock, |_| Verdict::Later(2));
        assert_eq!(by.serve(&config, &mut line, &mut diary, &mut [0; 512]), Ok(Ending::Quit), "{by:?}");
        let said = line.said();
        assert!(said.starts_with("220 mx.example.org ESMTP\r\n250-mx.example.org\r\n"), "{by:?}: {said}");
        assert!(said.ends_with("250 HELP\r\n250 2.1.0 OK\r\n250 2.1.5 OK\r\n221 2.0.0 Bye\r\n"), "{by:?}: {said}");
    }
}

/// Answers when another task wakes it.
#[derive(Clone, Default)]
struct Elsewhere(Rc<RefCell<(Option<Waker>, bool)>>);

impl Handler for Elsewhere {
    fn rcpt(&mut self, _: Rcpt<'_>) -> Answer<'_> {
        Answer::Later
    }
    fn text(&mut self, _: &[u8]) -> Flow<'_> {
        Flow::Continue
    }
    fn message(&mut self, _: u16) -> Answer<'_> {
        Answer::Accept
    }
    fn resume(&mut self, waker: &Waker) -> Answer<'_> {
        let mut shared = self.0.borrow_mut();
        shared.0 = Some(waker.clone());
        if shared.1 { Answer::Accept } else { Answer::Later }
    }
}

#[test]
fn a_plain_handler_is_asked_again_when_it_wakes_the_task() {
    let config = Config::new("mx.example.org");
    let mut session = Session::new(&config, Peer::default());
    let mut line = Line::saying("EHLO c.example\r\nMAIL FROM:<>\r\nRCPT TO:<c@d.example>\r\nQUIT\r\n");
    let mut handler = Elsewhere::default();
    let other = handler.clone();
    let said = line.clone();
    let ended = run(async {
        let (mut buffer, mut output) = ([0; 512], [0; 512]);
        let mut served =
            std::pin::pin!(serve_plain(&mut line, &mut session, &mut handler, &(), &mut buffer, &mut output));
        // Until it waits for its handler, and for nothing else.
        let polled = poll_fn(|cx| Poll::Ready(served.as_mut().poll(cx))).await;
        assert!(polled.is_pending());
        assert!(said.said().ends_with("250 2.1.0 OK\r\n"));
        other.0.borrow_mut().1 = true;
        other.0.borrow_mut().0.take().expect("a waker").wake();
        served.await
    });
    assert_eq!(ended, Ok(Ending::Quit));
    assert!(said.said().ends_with("250 2.1.5 OK\r\n221 2.0.0 Bye\r\n"));
}

/// Says yes to MAIL when it is asked for the tenth time.
struct Backlog(u32);

impl Handler for Backlog {
    fn mail(&mut self, _: Mail<'_>) -> Answer<'_> {
        Answer::Later
    }
    fn rcpt(&mut self, _: Rcpt<'_>) -> Answer<'_> {
        Answer::Later
    }
    fn text(&mut self, _: &[u8]) -> Flow<'_> {
        Flow::Continue
    }
    fn message(&mut self, _: u16) -> Answer<'_> {
        Answer::Accept
    }
    fn backlog(&self) -> u16 {
        5
    }
    fn resume(&mut self, _: &Waker) -> Answer<'_> {
        self.0 += 1;
        if self.0 < 10 { Answer::Later } else { Answer::Accept }
    }
}

#[test]
fn nothing_is_read_while_an_answer_is_open() {
    // A read would block, so that nobody asks for the answer.
    let config = Config::new("mx.example.org");
    let mut session = Session::new(&config, Peer::default());
    let end = Act::Fail(ErrorKind::ConnectionReset);
    let mut line = Line::new([octets("EHLO c.example\r\nMAIL FROM:<>\r\n"), end]);
    let clock = line.clock.clone();
    let ended = smtpd_io::serve(&mut line, &mut session, &mut Backlog(0), &clock, &mut [0; 64]);
    assert_eq!(ended, Err(ErrorKind::ConnectionReset));
    assert!(line.said().ends_with("250 2.1.0 OK\r\n"), "{}", line.said());
}

#[test]
fn the_loop_rests_while_nothing_moves() {
    let config = Config::new("mx.example.org");
    let mut line = Line::saying("EHLO c.example\r\nQUIT\r\n");
    let Clock(_, rests) = line.clock.clone();
    let mut diary = Diary::new(&line.clock, |_| Verdict::Yes);
    assert_eq!(Loop::Blocking.serve(&config, &mut line, &mut diary, &mut [0; 64]), Ok(Ending::Quit));
    assert_eq!(rests.get(), 0, "nothing was waited for");
    let mut line =
        Line::new([Act::Tick(1), Act::Tick(1), octets("EHLO c.example\r\nQUIT\r\n")]).writing([Act::Tick(1)]);
    let Clock(_, rests) = line.clock.clone();
    let mut diary =
        Diary::new(&line.clock, |asked| if asked == "hello c.example" { Verdict::Later(3) } else { Verdict::Yes });
    assert_eq!(Loop::Blocking.serve(&config, &mut line, &mut diary, &mut [0; 64]), Ok(Ending::Quit));
    assert_eq!(rests.get(), 5, "twice for input, once for output, twice for the handler");
}
