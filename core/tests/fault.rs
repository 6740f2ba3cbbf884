//! Faults on purpose: what the client sees, and what the handler behind them hears.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Wake, Waker};

use common::{Notes, built, final_codes, say};
use smtpd_core::handlers::{At, Fault, Rule};
use smtpd_core::server::{Config, Ending, Handler, Peer, Progress, Reply, Session, State, step};

const REPLY: Reply<'static> = Reply::new(451, "On purpose").enhanced(3, 0);
const MAIL: &str = "MAIL FROM:<a@b.example>\r\n";
const RCPT: &str = "RCPT TO:<c@d.example>\r\n";

/// A session and its handler behind rules.
struct Talk<'c, 'r, const N: usize> {
    session: Session<'c>,
    handler: Fault<'r, Notes<'r>, N>,
    progress: Progress,
    waits: usize,
    wakes: Arc<Wakes>,
}

#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl<'c, 'r, const N: usize> Talk<'c, 'r, N> {
    fn new(config: &'c Config<'c>, notes: Notes<'r>, rules: [Rule<'r>; N]) -> Self {
        Self {
            session: Session::new(config, Peer::default()),
            handler: Fault::new(notes, rules),
            progress: Progress::Moved,
            waits: 0,
            wakes: Arc::default(),
        }
    }

    /// Steps until nothing moves, in waits 30 times more; counts waits and what woke it.
    fn say(&mut self, octets: &str) -> String {
        let waker = Waker::from(self.wakes.clone());
        self.wakes.0.store(0, Ordering::Relaxed);
        let (mut input, mut said) = (octets.as_bytes(), Vec::new());
        self.waits = 0;
        loop {
            self.progress = step(&mut self.session, &mut input, &mut self.handler, &waker);
            said.extend_from_slice(self.session.output());
            let len = self.session.output().len();
            self.session.sent(len);
            match self.progress {
                Progress::Moved => {}
                Progress::Wait { .. } if self.waits < 30 => self.waits += 1,
                _ if len > 0 => {}
                _ => break,
            }
        }
        let is_over = self.waits == 30 || self.progress == Progress::Closed;
        assert!(input.is_empty() || is_over, "input is left");
        String::from_utf8(said).expect("ASCII")
    }

    /// Says what comes before a question, and forgets what was heard of it.
    fn reach(&mut self, at: At, before: &str) {
        if at != At::Connected {
            self.say(before);
            self.heard();
        }
    }

    fn codes(&mut self, octets: &str) -> Vec<u16> {
        let said = self.say(octets);
        final_codes(said.as_bytes())
    }

    fn heard(&mut self) -> String {
        self.handler.handler().take()
    }

    fn woken(&self) -> usize {
        self.wakes.0.load(Ordering::Relaxed)
    }
}

fn with(mut notes: Notes<'_>, set: impl FnOnce(&mut Notes<'_>)) -> Notes<'_> {
    set(&mut notes);
    notes
}

const CONFIG: Config<'static> = Config::new("mx.example.org");

/// Each question: the place, what is said before, what asks it, what the handler hears of it, what the client if all is well.
const QUESTIONS: [(At, &str, &str, &str, u16); 8] = [
    (At::Connected, "", "", "connected", 220),
    (At::Hello, "", "EHLO a.example\r\n", "hello a.example", 250),
    (At::Mail, "HELO a\r\n", "MAIL FROM:<a@b.example>\r\n", "mail a@b.example", 250),
    (At::Rcpt, "HELO a\r\nMAIL FROM:<a@b.example>\r\n", "RCPT TO:<c@d.example>\r\n", "rcpt c@d.example", 250),
    (At::Data, "HELO a\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\n", "DATA\r\n", "data", 354),
    (
        At::Message,
        "HELO a\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\n",
        "Hi\r\n.\r\n",
        r"message 0 Hi\r\n",
        250,
    ),
    (
        At::Delivery,
        "HELO a\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\n",
        "Hi\r\n.\r\n",
        r"message 0 Hi\r\n",
        250,
    ),
    (At::Verify, "HELO a\r\n", "VRFY c\r\n", "verify c", 252),
];

#[test]
fn a_reply_at_each_question() {
    for (at, before, question, asked, _) in QUESTIONS {
        let mut talk = Talk::new(&CONFIG, Notes::new(), [Rule::reply(at, REPLY)]);
        talk.reach(at, before);
        let said = talk.say(question);
        let expected = if at == At::Hello { "451 On purpose\r\n".into() } else { built("451 4.3.0 On purpose\r\n") };
        assert!(said.ends_with(&expected), "{at:?}: {said}");
        let heard = match at {
            At::Message => "reset",
            At::Delivery => asked,
            _ => "",
        };
        assert_eq!(talk.heard(), heard, "{at:?}");
        talk.say("QUIT\r\n");
        assert_eq!(talk.heard(), "closed Quit", "{at:?}");
    }
}

#[test]
fn a_close_at_each_question() {
    for (at, before, question, asked, _) in QUESTIONS {
        let mut talk = Talk::new(&CONFIG, Notes::new(), [Rule::close(at)]);
        talk.reach(at, before);
        let said = talk.say(question);
        let expected = if at == At::Hello {
            "421 Closing on purpose\r\n".into()
        } else {
            built("421 4.3.0 Closing on purpose\r\n")
        };
        assert!(said.ends_with(&expected), "{at:?}: {said}");
        assert_eq!(talk.progress, Progress::Closed);
        let heard = match at {
            At::Delivery => format!("{asked}; closed Refused"),
            _ => "closed Refused".into(),
        };
        assert_eq!(talk.heard(), heard, "{at:?}");
    }
}

#[test]
fn a_late_answer_at_each_question_is_the_handlers_own() {
    for (at, before, question, asked, code) in QUESTIONS {
        for times in [0, 1, 2, 7] {
            // What the handler says itself, with a text that is not all of what it may be.
            for own in [None, Some(550)] {
                let rule = move |noted: &str| match own {
                    Some(code) if noted == asked => say(code),
                    _ => common::Verdict::Yes,
                };
                let mut talk = Talk::new(&CONFIG, Notes::by(rule), [Rule::later(at, times)]);
                talk.reach(at, before);
                let said = talk.say(question);
                let code = own.unwrap_or(code);
                assert_eq!(final_codes(said.as_bytes()).last(), Some(&code), "{at:?} {times}: {said}");
                if let Some(code) = own {
                    assert!(said.ends_with(&format!("{code} said\r\n")), "{said}");
                }
                assert_eq!(talk.waits, usize::from(times.max(1)) - 1, "{at:?}");
                assert_eq!(talk.woken(), talk.waits, "{at:?}");
                assert!(talk.heard().ends_with(asked), "{at:?}");
            }
        }
    }
}

#[test]
fn a_late_answer_waits_for_the_handlers_own_late_answer() {
    for (at, before, question, asked, code) in QUESTIONS {
        let notes = with(Notes::new(), |notes| {
            notes.defers = 3;
        });
        let mut talk = Talk::new(&CONFIG, notes, [Rule::later(at, 2)]);
        talk.reach(at, before);
        assert_eq!(talk.codes(question).last(), Some(&code), "{at:?}");
        assert!(talk.heard().ends_with(asked), "{at:?}");
        // Its own waits, and one of the rule's; where it is asked only then, its first answer is a wait as well.
        let first = usize::from(matches!(at, At::Connected | At::Data | At::Message));
        assert_eq!(talk.waits, 3 + 1 + first, "{at:?}");
    }
}

#[test]
fn an_answer_that_never_comes_ends_by_the_timer() {
    for (at, before, question, asked, _) in QUESTIONS {
        let mut talk = Talk::new(&CONFIG, Notes::new(), [Rule::never(at)]);
        talk.reach(at, before);
        talk.say(question);
        assert_eq!((talk.waits, talk.woken(), talk.session.open()), (30, 0, 1), "{at:?}");
        talk.session.end(Ending::Expired);
        assert_eq!(talk.codes(""), [421], "{at:?}");
        let heard = match at {
            At::Delivery => format!("{asked}; closed Expired"),
            _ => "closed Expired".into(),
        };
        assert_eq!(talk.heard(), heard, "{at:?}");
    }
}

#[test]
fn a_positive_code_is_not_believed() {
    for (at, before, question, _, code) in QUESTIONS {
        for said in [code, 250, 220, 354, 251] {
            let mut talk = Talk::new(&CONFIG, Notes::new(), [Rule::reply(at, Reply::new(said, "Of course"))]);
            talk.reach(at, before);
            let expected = if at == At::Connected { 421 } else { 451 };
            assert_eq!(talk.codes(question).last(), Some(&expected), "{at:?} {said}");
        }
    }
}

#[test]
fn counts() {
    let nth = |rule: Rule<'static>| {
        let mut talk = Talk::new(&CONFIG, Notes::new(), [rule]);
        talk.say("HELO a\r\nMAIL FROM:<a@b.example>\r\n");
        talk.codes(&RCPT.repeat(4))
    };
    let rule = Rule::reply(At::Rcpt, REPLY);
    assert_eq!(nth(rule), [451, 451, 451, 451]);
    assert_eq!(nth(rule.nth(1)), [451, 250, 250, 250]);
    assert_eq!(nth(rule.nth(3)), [250, 250, 451, 250]);
    assert_eq!(nth(rule.nth(5)), [250, 250, 250, 250]);
    assert_eq!(nth(rule.nth(0)), [250, 250, 250, 250]);
    assert_eq!(nth(rule.since(3)), [250, 250, 451, 451]);
    assert_eq!(nth(rule.since(0)), [451, 451, 451, 451]);
    assert_eq!(nth(rule.since(2).nth(3)), [250, 250, 451, 250]);
    assert_eq!(nth(rule.nth(1).since(3)), [250, 250, 451, 451]);
}

#[test]
fn the_first_rule_that_holds_counts_and_all_count_uses() {
    let rules = [
        Rule::reply(At::Rcpt, Reply::new(450, "")).nth(2),
        Rule::reply(At::Rcpt, Reply::new(452, "")).since(2),
        Rule::reply(At::Mail, Reply::new(453, "")).nth(2),
        Rule::reply(At::Rcpt, Reply::new(550, "")).address("x@*").nth(2),
    ];
    let mut talk = Talk::new(&CONFIG, Notes::new(), rules);
    let said = talk.codes(&["HELO a\r\n", MAIL, RCPT, RCPT, RCPT, "RSET\r\n", MAIL, MAIL].concat());
    assert_eq!(said, [220, 250, 250, 250, 450, 452, 250, 453, 250]);
    let mut talk = Talk::new(&CONFIG, Notes::new(), [rules[3]]);
    let x = "RCPT TO:<x@d.example>\r\n";
    assert_eq!(talk.codes(&["HELO a\r\n", MAIL, RCPT, x, RCPT, x, x].concat())[3..], [250, 250, 250, 550, 250]);
}

#[test]
fn addresses() {
    let codes = |rule: Rule<'static>, lines: &str| {
        let mut talk = Talk::new(&CONFIG, Notes::new(), [rule]);
        talk.codes(&["HELO a.example\r\n", lines].concat())
    };
    let rcpt = Rule::reply(At::Rcpt, REPLY);
    let two = [MAIL, "RCPT TO:<C@d.example>\r\nRCPT TO:<c@D.EXAMPLE>\r\nRCPT TO:<postmaster>\r\n"].concat();
    assert_eq!(codes(rcpt.address("c@d.Example"), &two)[3..], [250, 451, 250]);
    assert_eq!(codes(rcpt.address("*@D.example"), &two)[3..], [451, 451, 250]);
    assert_eq!(codes(rcpt.address("Postmaster"), &two)[3..], [250, 250, 451]);
    let mail = Rule::reply(At::Mail, REPLY);
    assert_eq!(codes(mail.address(""), "MAIL FROM:<>\r\n")[2..], [451]);
    assert_eq!(codes(mail.address(""), MAIL)[2..], [250]);
    assert_eq!(codes(mail.address("*@b.example"), MAIL)[2..], [451]);
    let hello = Rule::reply(At::Hello, REPLY);
    assert_eq!(codes(hello.address("A.*"), ""), [220, 451]);
    assert_eq!(codes(hello.address("b.*"), ""), [220, 250]);
    let verify = Rule::reply(At::Verify, REPLY);
    assert_eq!(codes(verify.address("c@D.example"), "VRFY c@d.example\r\nVRFY d@d.example\r\n")[2..], [451, 252]);
    assert_eq!(
        codes(Rule::reply(At::Data, REPLY).address("*"), &[MAIL, RCPT, "DATA\r\n.\r\n"].concat())[4..],
        [354, 250]
    );
}

/// A text of ten octets under a rule, in all cuts; the codes behind RCPT, and what the handler heard.
fn text(rule: Rule<'_>, expected: &[u16], heard: &str) {
    for cut in 1..14 {
        let mut talk = Talk::new(&CONFIG, Notes::new(), [rule]);
        talk.say(&["HELO a\r\n", MAIL, RCPT].concat());
        talk.heard();
        let mut codes = talk.codes("DATA\r\n");
        let (one, two) = "12345678\r\n.\r\n".split_at(cut.min(13));
        codes.extend(talk.codes(one));
        codes.extend(talk.codes(two));
        let octets = talk.handler.handler().text.escape_ascii().to_string();
        assert_eq!(codes, expected, "cut at {cut}");
        assert_eq!(format!("{octets}; {}", talk.heard()), heard, "cut at {cut}");
    }
}

#[test]
fn a_text_is_refused_behind_so_many_octets() {
    let rule = |octets| Rule::reply(At::Text(octets), REPLY);
    text(rule(0), &[354, 451], "; data; reset");
    text(rule(3), &[354, 451], "123; data; reset");
    text(rule(9), &[354, 451], r"12345678\r; data; reset");
    text(rule(10), &[354, 250], r"12345678\r\n; data; message 0 12345678\r\n");
    text(rule(3).nth(2), &[354, 250], r"12345678\r\n; data; message 0 12345678\r\n");
    text(Rule::close(At::Text(3)), &[354, 421], "123; data; closed Refused");
    text(Rule::reply(At::Text(3), Reply::new(250, "")), &[354, 451], "123; data; reset");
}

#[test]
fn the_handlers_own_refusal_of_a_text_comes_first() {
    let notes = with(Notes::new(), |notes| {
        notes.refuses = Some((2, say(552)));
    });
    let mut talk = Talk::new(&CONFIG, notes, [Rule::reply(At::Text(3), REPLY)]);
    talk.say(&["HELO a\r\n", MAIL, RCPT].concat());
    assert_eq!(talk.codes("DATA\r\nabcdef\r\n.\r\n"), [354, 552]);
}

#[test]
fn a_text_rule_counts_texts() {
    let mut talk = Talk::new(&CONFIG, Notes::new(), [Rule::reply(At::Text(1), REPLY).nth(2)]);
    let mail = [MAIL, RCPT, "DATA\r\nHi\r\n.\r\n"].concat();
    talk.say("HELO a\r\n");
    assert_eq!(talk.codes(&mail), [250, 250, 354, 250]);
    assert_eq!(talk.codes(&mail), [250, 250, 354, 451]);
    assert_eq!(talk.codes(&mail), [250, 250, 354, 250]);
}

#[test]
fn a_text_is_paused() {
    for room in [usize::MAX, 2] {
        let notes = with(Notes::new(), |notes| {
            notes.room = room;
        });
        let mut talk = Talk::new(&CONFIG, notes, [Rule::later(At::Text(3), 4)]);
        talk.say(&["HELO a\r\n", MAIL, RCPT].concat());
        assert_eq!(talk.codes("DATA\r\nabcdef\r\n.\r\n"), [354, 250]);
        assert_eq!((talk.waits, talk.woken()), (4, 4));
        assert!(talk.heard().ends_with(r"message 0 abcdef\r\n"));
    }
    let mut talk = Talk::new(&CONFIG, Notes::new(), [Rule::never(At::Text(3))]);
    talk.say(&["HELO a\r\n", MAIL, RCPT].concat());
    talk.heard();
    assert_eq!(talk.codes("DATA\r\nabcdef\r\n.\r\n"), [354]);
    assert_eq!((talk.progress, talk.session.state()), (Progress::Wait { read: false }, State::Text));
    assert_eq!(talk.handler.handler().text, b"abc");
    talk.session.end(Ending::Expired);
    assert_eq!(talk.codes(""), [421]);
    assert_eq!(talk.heard(), "data; closed Expired");
}

#[test]
fn the_handlers_transactions_stay_whole() {
    let rules = [
        Rule::reply(At::Mail, REPLY).nth(1),
        Rule::reply(At::Rcpt, REPLY).nth(1),
        Rule::reply(At::Data, REPLY).nth(1),
        Rule::reply(At::Message, REPLY).nth(1),
        Rule::reply(At::Delivery, REPLY).nth(1),
    ];
    let mut talk = Talk::new(&CONFIG, Notes::new(), rules);
    talk.say("HELO a\r\n");
    talk.heard();
    let said = talk.codes(&[MAIL, MAIL, RCPT, RCPT, "DATA\r\nDATA\r\nHi\r\n.\r\n"].concat());
    assert_eq!(said, [451, 250, 451, 250, 451, 354, 451]);
    assert_eq!(talk.heard(), "mail a@b.example; rcpt c@d.example; data; reset");
    assert_eq!(talk.codes(&[MAIL, RCPT, "DATA\r\nHi\r\n.\r\n"].concat()), [250, 250, 354, 451]);
    assert_eq!(talk.heard(), r"mail a@b.example; rcpt c@d.example; data; message 0 Hi\r\n");
    assert_eq!(talk.codes("NOOP\r\nQUIT\r\n"), [250, 221]);
    assert_eq!(talk.heard(), "closed Quit");
}

#[test]
fn a_replaced_delivery_leaves_the_handlers_own_refusal() {
    let rule = |question: &str| if question.starts_with("message") { say(554) } else { common::Verdict::Yes };
    for defers in [0, 2] {
        let notes = with(Notes::by(rule), |notes| {
            notes.defers = defers;
        });
        let mut talk = Talk::new(&CONFIG, notes, [Rule::reply(At::Delivery, REPLY)]);
        let said = talk.codes(&["HELO a\r\n", MAIL, RCPT, "DATA\r\n.\r\n"].concat());
        assert_eq!(said.last(), Some(&554));
        let notes = with(Notes::new(), |notes| {
            notes.defers = defers;
        });
        let mut talk = Talk::new(&CONFIG, notes, [Rule::reply(At::Delivery, REPLY)]);
        let said = talk.codes(&["HELO a\r\n", MAIL, RCPT, "DATA\r\n.\r\nNOOP\r\n"].concat());
        assert_eq!(said[5..], [451, 250]);
    }
}

#[test]
fn a_delivery_is_replaced_whatever_the_handler_accepts_it_with() {
    let rule = |question: &str| if question.starts_with("message") { say(250) } else { common::Verdict::Yes };
    let mut talk = Talk::new(&CONFIG, Notes::by(rule), [Rule::reply(At::Delivery, REPLY)]);
    assert_eq!(talk.codes(&["HELO a\r\n", MAIL, RCPT, "DATA\r\n.\r\n"].concat()).last(), Some(&451));
}

#[test]
fn extensions_are_the_handlers() {
    let handler = Fault::new(Notes::new(), [Rule::close(At::Mail)]);
    assert_eq!(handler.acts_on(), Notes::new().acts_on());
    assert!(!handler.acts_on().is_empty());
}

#[test]
fn message_and_delivery_may_both_be_late() {
    let rules = [Rule::later(At::Message, 3), Rule::later(At::Delivery, 4)];
    let mut talk = Talk::new(&CONFIG, Notes::new(), rules);
    talk.say(&["HELO a\r\n", MAIL, RCPT].concat());
    assert_eq!(talk.codes("DATA\r\n.\r\n"), [354, 250]);
    assert_eq!(talk.waits, 2 + 1 + 3);
}

#[test]
fn a_handler_with_a_backlog_is_asked_one_at_a_time() {
    let notes = with(Notes::new(), |notes| {
        notes.backlog = 8;
        notes.defers = 2;
    });
    let mut talk = Talk::new(&CONFIG, notes, [Rule::later(At::Rcpt, 2).nth(2), Rule::reply(At::Rcpt, REPLY).nth(3)]);
    assert_eq!(talk.handler.backlog(), 1);
    talk.say("HELO a\r\n");
    assert_eq!(talk.codes(&[MAIL, &RCPT.repeat(4), "DATA\r\n.\r\n"].concat()), [250, 250, 250, 451, 250, 354, 250]);
}

#[test]
fn a_late_reply_is_cut_where_it_gets_long() {
    let rule = |question: &str| match question {
        "rcpt c@d.example" => common::Verdict::Say(550, vec![b'x'; 200]),
        _ => common::Verdict::Yes,
    };
    let mut talk = Talk::new(&CONFIG, Notes::by(rule), [Rule::later(At::Rcpt, 1)]);
    talk.say(&["HELO a\r\n", MAIL].concat());
    assert_eq!(talk.say(RCPT), format!("550 {}\r\n", "x".repeat(128)));
}

/// As all late answers, with the enhanced code that it had.
#[test]
fn a_late_reply_keeps_its_enhanced_code() {
    let inner = Fault::new(Notes::new(), [Rule::reply(At::Rcpt, Reply::new(550, "No").enhanced(1, 1))]);
    let mut session = Session::new(&CONFIG, Peer::default());
    let mut handler = Fault::new(inner, [Rule::later(At::Rcpt, 2)]);
    let input = ["HELO a\r\n", MAIL, RCPT].concat();
    let mut input = input.as_bytes();
    for _ in 0..50 {
        let _ = step(&mut session, &mut input, &mut handler, Waker::noop());
    }
    let said = String::from_utf8_lossy(session.output());
    assert!(said.ends_with(&built("550 5.1.1 No\r\n")), "{said}");
}

#[cfg(feature = "lmtp")]
mod lmtp {
    use super::*;

    const LMTP: Config<'static> = {
        let mut config = CONFIG;
        config.lmtp = true;
        config
    };

    fn deliver<const N: usize>(notes: Notes<'_>, rules: [Rule<'_>; N]) -> (Vec<u16>, String) {
        let mut talk = Talk::new(&LMTP, notes, rules);
        talk.say(&["LHLO a\r\n", MAIL, &RCPT.repeat(3), "DATA\r\n"].concat());
        talk.heard();
        let codes = talk.codes("Hi\r\n.\r\nNOOP\r\n");
        assert_eq!(codes.last(), Some(&250));
        (codes[..codes.len() - 1].to_vec(), talk.heard())
    }

    const ALL: &str = r"message 0 Hi\r\n; message 1 Hi\r\n; message 2 Hi\r\n";

    #[test]
    fn a_refused_message_is_refused_for_all() {
        for defers in [0, 2] {
            let notes = with(Notes::new(), |notes| {
                notes.defers = defers;
            });
            let refused = deliver(notes, [Rule::reply(At::Message, REPLY)]);
            assert_eq!(refused, (vec![451; 3], "reset".into()));
        }
    }

    #[test]
    fn one_recipient_hears_something_else() {
        for defers in [0, 2] {
            for n in 1..=3 {
                let notes = with(Notes::new(), |notes| {
                    notes.defers = defers;
                });
                let (codes, heard) = deliver(notes, [Rule::reply(At::Delivery, REPLY).nth(n)]);
                let expected: Vec<u16> = (1..=3).map(|k| if k == n { 451 } else { 250 }).collect();
                assert_eq!((codes, heard.as_str()), (expected, ALL));
            }
        }
    }

    #[test]
    fn late_answers() {
        for at in [At::Message, At::Delivery] {
            let rule = |question: &str| if question.starts_with("message 1") { say(550) } else { common::Verdict::Yes };
            let (codes, heard) = deliver(Notes::by(rule), [Rule::later(at, 3)]);
            assert_eq!((codes, heard.as_str()), (vec![250, 550, 250], ALL), "{at:?}");
        }
    }

    #[test]
    fn the_next_message_is_a_new_one() {
        let mut talk = Talk::new(&LMTP, Notes::new(), [Rule::reply(At::Message, REPLY).nth(1)]);
        let mail = [MAIL, &RCPT.repeat(2), "DATA\r\nHi\r\n.\r\n"].concat();
        talk.say("LHLO a\r\n");
        assert_eq!(talk.codes(&mail)[4..], [451, 451]);
        assert_eq!(talk.codes(&mail)[4..], [250, 250]);
    }

    #[test]
    fn a_close_within_the_answers() {
        let mut talk = Talk::new(&LMTP, Notes::new(), [Rule::close(At::Delivery).nth(2)]);
        talk.say(&["LHLO a\r\n", MAIL, &RCPT.repeat(3), "DATA\r\n"].concat());
        talk.heard();
        assert_eq!(talk.codes("Hi\r\n.\r\n"), [250, 421]);
        assert_eq!(talk.heard(), r"message 0 Hi\r\n; message 1 Hi\r\n; closed Refused");
    }
}
