//! Scripts against handlers: what differs is shown well, and everything ends.

use std::cell::RefCell;
use std::rc::Rc;
use std::task::Waker;
use std::time::Duration;

use smtpd_core::handlers::Sink;
use smtpd_core::server::{Answer, Config, Ending, Flow, Handler, Peer, Progress, Rcpt, Session, step};
use smtpd_mock::{Act, Actor, Clock, Connection, Driver, Links, Memory, Mismatch, Played, Received, Script, play};

fn script(text: &str) -> Script {
    Script::parse("a.txt", text).unwrap()
}

/// The mismatch of a script that the sink does not follow.
fn mismatch(text: &str) -> Box<Mismatch> {
    script(text).play(&mut Sink).unwrap_err()
}

const TO_RCPT: &str = "\
S: 220 {*}
C: HELO a.example
S: 250 {*}
C: MAIL FROM:<a@a.example>
S: 250 {*}
C: RCPT TO:<b@b.example>
";

const TO_TEXT: &str = "S: 250 {*}\nC: DATA\nS: 354 {*}\n";

#[test]
fn a_difference_is_shown_side_by_side() {
    let shown = mismatch(&format!("{TO_RCPT}S: 250 2.1.5 Ok\nC: QUIT\n")).to_string();
    let expected = "\
a.txt:7 (whole reads)
    expected                                                 | got
    S: 220 {*}                                               | 220 mx.example.org ESMTP\\r\\n
    C: HELO a.example                                        |
    S: 250 {*}                                               | 250 mx.example.org\\r\\n
    C: MAIL FROM:<a@a.example>                               |
    S: 250 {*}                                               | 250 2.1.0 OK\\r\\n
    C: RCPT TO:<b@b.example>                                 |
  > 250 2.1.5 Ok\\r\\n                                         | 250 2.1.5 OK\\r\\n
               ^                                             |            ^
  the script waits for `S: 250 2.1.5 Ok` (line 7), the server waits for a command (Transaction)
  the handler heard:
    connected
    helo a.example
    mail <a@a.example>
    rcpt <b@b.example>
";
    assert_eq!(shown, expected);
    assert_eq!(format!("{:?}", mismatch(&format!("{TO_RCPT}S: 250 2.1.5 Ok\nC: QUIT\n"))), expected);
}

#[test]
fn a_long_line_is_shown_where_it_differs() {
    let greeting = "xy".repeat(60);
    let text = format!("@ greeting {greeting}\nS: 220 mx.example.org {greeting}z\n");
    let shown = mismatch(&text).to_string();
    let marks: Vec<usize> =
        shown.lines().find(|line| line.contains('^')).unwrap().match_indices('^').map(|(at, _)| at).collect();
    let line = shown.lines().find(|line| line.starts_with("  > ")).unwrap();
    assert_eq!([line.chars().nth(marks[0]), line.chars().nth(marks[1])], [Some('z'), Some('\\')], "{shown}");
    let long = format!("S: 220 {{*}}\nC: {0}\nS: 500 5.5.1 {0}b\n", "xy".repeat(150));
    let shown = script(&long).play(&mut Sink).unwrap_err().to_string();
    assert!(shown.lines().all(|line| line.chars().count() < 160), "{shown}");
}

#[test]
fn what_is_missing_or_too_much() {
    for (text, line, expected, got) in [
        ("S: 221 {*}\n", 1, "221 {*}\\r\\n", "220 mx.example.org ESMTP\\r\\n"),
        ("C: NOOP\n", 0, "nothing more", "220 mx.example.org ESMTP\\r\\n250 2.0.0 OK\\r\\n"),
        ("S: 220 {*}\nB: NOOP\\r\\nNOOP\\r\\n\nS: 250 {*}\nC: QUIT\n", 4, "nothing yet", "250 2.0.0 OK\\r\\n"),
        ("S: 220 {*}\nS: 220 {*}\n", 2, "220 {*}\\r\\n", "nothing"),
        ("S: 220 {*}\nC: NOOP\nS: 250 {*}\n", 0, "the end of the connection", "nothing"),
        ("S: 220 {*}\nC: QUIT\n", 0, "nothing more", "221 2.0.0 Bye\\r\\n and the end"),
        ("S: 220 {*}\nC: QUIT\nS: 221 {*}\nS: 220 {*}\n", 4, "220 {*}\\r\\n", "nothing, and the end"),
        ("S: 220 {*}\nC: NOOP {who}\n", 2, "a name that was heard before: NOOP {who}", "nothing"),
        ("S: 220 {*}\n@+300s\nC: NOOP\n", 3, "nothing yet", "421 4.4.2 Timeout, closing\\r\\n"),
    ] {
        let mismatch = mismatch(text);
        let seen = (mismatch.line, &mismatch.expected[..], &mismatch.got[..]);
        assert_eq!(seen, (line, expected, got), "{text}");
    }
}

#[test]
fn calls_are_compared_if_the_script_has_any() {
    let with = |calls: &str| {
        let text = format!("{TO_RCPT}{TO_TEXT}B: Hi\\r\\n.\\r\\n\nS: 250 {{*}}\nC: QUIT\nS: 221 {{*}}\n{calls}");
        script(&text).play(&mut Sink).map_err(|mismatch| (mismatch.expected.clone(), mismatch.got.clone()))
    };
    let all = "H: mail <a@a.example>\nH: rcpt <b@b.example>\nH: text \"Hi\\r\\n\"\nH: message 0\nH: closed Quit\n";
    for calls in [
        "",
        all,
        "H: {...}\n",
        "H: {...}\nH: message 0\nH: {...}\n",
        "H: {...}\nH: text \"Hi\\r\\n\"\nH: {...}\nH: closed *\n",
        "H?: helo x\nH: mail *\nH: rcpt *\nH: text \"H\"\nH: text \"i\\r\\n\"\nH: message 0\nH: closed Quit\n",
    ] {
        assert!(with(calls).is_ok(), "{calls}: {:?}", with(calls));
    }
    for (calls, expected, got) in [
        (all.replace("a@a", "b@a"), "H: mail <b@a.example>", "H: mail <a@a.example>"),
        (all.replace("Hi", "Ho"), "H: text \"Ho\\r\\n\"", "H: text \"Hi\\r\\n\""),
        (all.replace("Quit", "Lost"), "H: closed Lost", "H: closed Quit"),
        (all.replace("H: message 0\n", ""), "H: closed Quit", "H: message 0"),
        (format!("{all}H: reset\n"), "H: reset", "H: nothing more"),
        (all.replace("H: closed Quit\n", ""), "H: nothing more", "H: closed Quit"),
        ("H: {...}\nH: text \"Hi\"\nH: message 0\n".into(), "H: message 0", "H: text \"\\r\\n\""),
        ("H: {...}\nH: reset\nH: {...}\n".into(), "H: reset", "H: nothing more"),
    ] {
        assert_eq!(with(&calls), Err((expected.into(), got.into())), "{calls}");
    }
}

#[test]
fn a_connection_that_breaks_gives_a_beginning() {
    let with = |end: &str| script(&format!("{TO_RCPT}{TO_TEXT}B: Hi\\r\\n\n{end}")).play(&mut Sink).map(drop);
    let calls = "H: mail <a@a.example>\nH: rcpt <b@b.example>\n";
    for end in [
        "!drop\n".into(),
        format!("!drop\n{calls}H: text \"Hi\\r\\n\"\nH: message 0\n"),
        format!("!drop\n{calls}H: text \"Hi\\r\\nHo\\r\\n\"\nH: message 0\n"),
        format!("!drop\n{calls}H: text \"Hi\\r\\nHo\\r\\n\"\nH: message 0\nH: closed Lost\n"),
        format!("{calls}H: text \"Hi\\r\\n\"\n!reset\nH: closed Lost\n"),
        format!("{calls}H: text \"Hi\\r\\n\"\n!stall\nS: 421 {{*}}\nH: closed Expired\n"),
    ] {
        assert!(with(&end).is_ok(), "{end}{:?}", with(&end));
    }
    for end in [
        format!("!drop\n{calls}H: text \"Ho\\r\\n\"\n"),
        format!("!drop\n{calls}H: message 0\n"),
        format!("!drop\n{calls}H: text \"Hi\\r\\n\"\nH: closed Quit\n"),
        format!("{calls}H: text \"Hi\\r\\nHo\"\n!drop\n"),
        format!("{calls}H: text \"Hi\\r\\n\"\nH: message 0\n!drop\n"),
    ] {
        assert!(with(&end).is_err(), "{end}");
    }
}

/// Owes the answer to RCPT for ever, or panics.
struct Bad {
    panics: bool,
}

impl Handler for Bad {
    fn rcpt(&mut self, _: Rcpt<'_>) -> Answer<'_> {
        assert!(!self.panics, "no more room in {:?}", "list");
        Answer::Later
    }
    fn text(&mut self, _: &[u8]) -> Flow<'_> {
        Flow::Continue
    }
    fn message(&mut self, _: u16) -> Answer<'_> {
        Answer::Accept
    }
    fn resume(&mut self, _: &Waker) -> Answer<'_> {
        Answer::Later
    }
}

#[test]
fn a_panic_names_the_place() {
    let mismatch = script(&format!("{TO_RCPT}S: 250 {{*}}\n")).play(&mut Bad { panics: true }).unwrap_err();
    assert_eq!((mismatch.line, &mismatch.got[..]), (7, "a panic: no more room in \"list\""), "{mismatch}");
}

#[test]
fn what_would_wait_for_ever_ends_at_the_limit() {
    let with =
        |settings: &str, end: &str| script(&format!("{settings}{TO_RCPT}{end}")).play(&mut Bad { panics: false });
    // The session's own timer comes first.
    let played = with("", "S: 421 4.4.2 {*}\n").unwrap();
    assert_eq!(played.took.as_secs(), 240);
    // Without it, the script's limit does; both sides are named.
    for settings in ["@ timer answer 0\n", "@ limit 3m\n"] {
        let mismatch = with(settings, "S: 250 {*}\n").unwrap_err();
        let waits = "the script waits for `S: 250 {*}` (line 8), the server waits for its handler's answer (1 open, Transaction)";
        assert_eq!((mismatch.line, &mismatch.got[..], &mismatch.waits[..]), (8, "nothing", waits), "{settings}");
    }
}

#[test]
fn names_stand_for_the_same_everywhere() {
    let text = "S: 220 {host} {*}\nC: HELO {host}\nS: 250 {host}\nC: EHLO {host}\nS: 250 {...}\nC: QUIT\nS: 221 {*}\n";
    let played = script(text).play(&mut Sink).unwrap();
    assert_eq!(played.heard, ["connected", "helo mx.example.org", "ehlo mx.example.org", "closed Quit"]);
    assert!(played.said.starts_with(b"220 mx.example.org ESMTP\r\n250 mx.example.org\r\n250-mx"));
    let mismatch = mismatch("S: 220 {host} ESMTP\nC: HELO a.example\nS: 250 {host}.org\n");
    assert_eq!(mismatch.line, 3);
}

#[test]
fn a_handler_of_the_callers_gives_its_own_answers() {
    let text = format!("{TO_RCPT}H: rcpt <b@b.example> => 550 No\nS: 550 {{*}}\n");
    let mismatch = script(&text).play(&mut Sink).unwrap_err();
    assert_eq!((mismatch.line, mismatch.got.ends_with("=> 550 No")), (7, true));
}

#[test]
fn a_script_is_as_it_is_written() {
    let text = "\
@ size 100
@ not tcp: reasons
@ limit 2h
@ reads 7
@ pipelined
S: 220 {*} {name}
C: NOOP {name}
S: 250 {...}
B: \\x00\\r\\n.\\r\\n
SB: 250\\r\\n
S: {...}
@+1500ms
@+90s
!stop
H: rcpt <a@b> => later*3 550 5.1.1 No\\nno
H?: text \"a\\\"b\" => 552 No
H: mail <> => later*1
H: {...}
!drop
";
    assert_eq!(script(text).to_string(), text);
    let cut = text.replace("@ reads 7", "@ cut 9");
    assert_eq!(script(&cut).to_string(), cut);
    let numbered = script("C*3: NOOP {n}\nSB*2: {n}");
    assert_eq!(numbered.to_string(), "C: NOOP 1\nC: NOOP 2\nC: NOOP 3\nSB: 1\nSB: 2\n");
}

#[test]
fn files_are_read() {
    let path = std::env::temp_dir().join(format!("smtpd-mock-{}.txt", std::process::id()));
    std::fs::write(&path, "S: 220 {*}\n\n# comment\nX: y\n").unwrap();
    let error = Script::read(&path).unwrap_err().to_string();
    assert!(error.contains(".txt:4: expected `C: `") && error.ends_with("\n    X: y"), "{error}");
    std::fs::write(&path, "S: 220 {*}\nC: QUIT\nS: 221 {*}\n").unwrap();
    Script::read(&path).unwrap().play(&mut Sink).unwrap();
    std::fs::remove_file(&path).unwrap();
    assert!(Script::read(&path).unwrap_err().to_string().contains("smtpd-mock-"));
}

/// A server whose session is out of its mind: it calls the handler in this way.
struct Mad(fn(&mut Actor));

impl Driver for Mad {
    fn name(&self) -> &'static str {
        "mad"
    }
    fn connect<'s>(&self, _: &'s Script, mut actor: Actor) -> Box<dyn Connection + 's> {
        (self.0)(&mut actor);
        Box::new(Silent)
    }
}

struct Silent;

impl Connection for Silent {
    fn send(&mut self, _: &[u8]) {}
    fn receive(&mut self, _: &mut Vec<u8>) -> Received {
        Received::End
    }
    fn act(&mut self, _: Act) {}
}

#[test]
fn a_transaction_ends_once() {
    let mail = |actor: &mut Actor| {
        // Only a session can make a MAIL that is well-formed.
        let config = Config::new("mx.example.org");
        let mut session = Session::new(&config, Peer::default());
        let mut input: &[u8] = b"HELO a\r\nMAIL FROM:<>\r\n";
        while step(&mut session, &mut input, actor, Waker::noop()) == Progress::Moved {}
    };
    let mistakes: [fn(&mut Actor); 5] = [
        |actor| actor.reset(),
        |actor| {
            let _ = actor.message(0);
        },
        |actor| {
            let _ = actor.message(1);
        },
        |actor| {
            let _ = actor.message(0);
            actor.reset();
        },
        |_| {},
    ];
    let answered = |played: Result<Played, Box<Mismatch>>| played.map_err(|mismatch| mismatch.expected.clone());
    let script = script("");
    for mistake in &mistakes[..4] {
        assert_eq!(answered(play(&script, &Mad(*mistake))), Err("H: a transaction that ends once".into()));
    }
    assert!(play(&script, &Mad(mistakes[4])).is_ok());
    type Mistake = fn(&mut Actor);
    let others: [(Mistake, &str); 3] = [
        (
            |actor| {
                let _ = actor.text(b"a");
            },
            "H: a transaction that ends once",
        ),
        (
            |actor| {
                let _ = actor.text(b"");
            },
            "H: text that there is room for",
        ),
        (
            |actor| [Ending::Quit, Ending::Lost].into_iter().for_each(|why| actor.closed(why)),
            "H: a session that ends once",
        ),
    ];
    for (mistake, expected) in others {
        assert_eq!(answered(play(&script, &Mad(mistake))), Err(expected.into()));
    }
    let mut actor = Actor::new(&script);
    let notes = actor.notes();
    mail(&mut actor);
    let _ = actor.message(0);
    assert_eq!(notes.calls(), ["connected", "helo a", "mail <>", "message 0"]);
    assert!(!notes.is_gone());
    drop(actor);
    assert!(notes.is_gone());
}

#[test]
fn answers_of_the_scripts_handler() {
    let text = "\
S: 220 {*}
C: HELO a
S: 250 {*}
C: MAIL FROM:<a@a.example>
H: mail <a@a.example> => later*3
S: 250 {*}
C: RCPT TO:<no@b.example>
H: rcpt <no@b.example> => 550 5.1.1 No\\nnever
S: 550-5.1.1 No
S: 550 5.1.1 never
!drop
H: closed Lost
";
    play(&script(text), &Memory::new(|config| Session::new(config, Peer::default()))).unwrap();
}

#[test]
fn the_greatest_numbers_are_numbers() {
    let longest = "S: 220 {*}\n@+1s\n@+18446744073709551615s\nS: 421 {*}\n";
    assert_eq!(script(longest).play(&mut Sink).unwrap().took.as_secs(), u64::MAX);
    script(&format!("@ limit 18446744073709551615s\n{longest}")).play(&mut Sink).unwrap();
    let clock = Clock::new();
    clock.advance(Duration::from_secs(1));
    let served = script("@ limit 18446744073709551615s\n@+18446744073709551615s\n")
        .serve_over(Links { clock, ..Links::default() }, |mut wire| std::io::Read::read(&mut wire, &mut [0]));
    assert_eq!(served.map(drop).unwrap_err().got, "nothing until the script's limit");
    let later = script("S: 220 {*}\nC: HELO a\nH: helo a => later*4294967295\nS: 421 4.4.2 {*}\n");
    let memory = Memory::new(|config| Session::new(config, Peer::default())).later(2);
    assert_eq!(play(&later, &memory).map(drop).unwrap_err().got, "H: closed Expired");
}

/// Keeps what was sent at once, and answers nothing.
struct Sent(Rc<RefCell<Vec<String>>>);

impl Connection for Sent {
    fn send(&mut self, octets: &[u8]) {
        self.0.borrow_mut().push(String::from_utf8_lossy(octets).into());
    }
    fn receive(&mut self, said: &mut Vec<u8>) -> Received {
        said.extend_from_slice(b"250 x\r\n");
        Received::More
    }
    fn act(&mut self, _: Act) {}
}

impl Driver for Sent {
    fn name(&self) -> &'static str {
        "sent"
    }
    fn connect<'s>(&self, _: &'s Script, _: Actor) -> Box<dyn Connection + 's> {
        Box::new(Self(Rc::clone(&self.0)))
    }
}

#[test]
fn a_pipelined_client_says_all_at_once() {
    let text = "S: 250 x\nC: A\nS: 250 x\nB: B\nC: \nH: data\nS: 250 x\nC: {name}\n@+1s\n";
    for (settings, expected) in [("@ pipelined\n", &["A\r\nB\r\n"][..]), ("", &["A\r\n", "B\r\n"])] {
        let sent = Sent(Rc::default());
        assert!(play(&script(&format!("{settings}{text}")), &sent).is_err());
        assert_eq!(*sent.0.borrow(), expected);
    }
}
