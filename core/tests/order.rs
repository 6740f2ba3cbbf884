//! Which command may come when: every state with every command, against tables written from RFC 5321 by hand.

mod common;

use common::{Notes, Talk, Verdict, say};
use smtpd_core::server::{Config, Extensions, Order, State};
use smtpd_core::wire::Verb;

/// A state in which commands are taken: its name, what the session calls it, accepted recipients, the way there.
type Way = (&'static str, State, u16, Vec<&'static str>);

/// The four of them, where the client greets with `hello`.
fn ways(hello: &'static str) -> [Way; 4] {
    let (mail, rcpt) = ("MAIL FROM:<a@b.example>", "RCPT TO:<c@d.example>");
    [
        ("greeted", State::Start, 0, vec![]),
        ("ready", State::Ready, 0, vec![hello]),
        ("after MAIL", State::Transaction, 0, vec![hello, mail]),
        ("after RCPT", State::Transaction, 1, vec![hello, mail, rcpt]),
    ]
}

const EHLO: &str = "EHLO c.example";
const HELLO: &str = "hello c.example";
const MAIL: &str = "mail a@b.example";
const RCPT: &str = "rcpt c@d.example";

/// A command; in each of the four states its reply, the state afterwards and what the handler hears; where that is written.
type Row = (&'static str, [(u16, State, &'static str); 4], &'static str);

use State::{Ready, Start, Transaction};
const CLOSED: State = State::Closed;
const QUIT: (u16, State, &str) = (221, CLOSED, "closed Quit");
const NO: u16 = 503;
/// EXPN and HELP where they are not built in.
const HAS_HELP: bool = cfg!(feature = "expn-help");

#[rustfmt::skip]
const SMTP: [Row; 14] = [
    // Command                     greeted             ready               after MAIL                       after RCPT
    ("HELO c.example",            [(250, Ready, HELLO), (250, Ready, HELLO), (250, Ready, "hello c.example; reset"), (250, Ready, "hello c.example; reset")],
     "§4.1.4: HELO and EHLO may come at any time and reset; §4.1.1.1"),
    ("EHLO c.example",            [(250, Ready, HELLO), (250, Ready, HELLO), (250, Ready, "hello c.example; reset"), (250, Ready, "hello c.example; reset")],
     "§4.1.4, §4.1.1.1"),
    ("LHLO c.example",            [(500, Start, ""),    (500, Ready, ""),    (500, Transaction, ""),         (500, Transaction, "")],
     "RFC 2033 §4.1: LHLO is LMTP's; §4.2.4: 500 for a command that is not recognized"),
    ("MAIL FROM:<a@b.example>",   [(NO, Start, ""),     (250, Transaction, MAIL), (NO, Transaction, ""),     (NO, Transaction, "")],
     "§4.1.4: EHLO or HELO first; §4.1.4: MAIL must not come within a transaction, §3.3 503"),
    ("RCPT TO:<c@d.example>",     [(NO, Start, ""),     (NO, Ready, ""),     (250, Transaction, RCPT),       (250, Transaction, RCPT)],
     "§3.3: RCPT without MAIL gets 503; it may be repeated"),
    ("DATA",                      [(NO, Start, ""),     (NO, Ready, ""),     (NO, Transaction, ""),          (354, State::Text, "data")],
     "§3.3, §4.1.1.4: no MAIL or no RCPT: 503"),
    ("RSET",                      [(250, Start, ""),    (250, Ready, ""),    (250, Ready, "reset"),          (250, Ready, "reset")],
     "§4.1.1.5: any time, always 250; the greeting stands; §4.1.4: before EHLO too"),
    ("NOOP",                      [(250, Start, ""),    (250, Ready, ""),    (250, Transaction, ""),         (250, Transaction, "")],
     "§4.1.1.9: no effect on anything before; §4.1.4: before EHLO too"),
    ("QUIT",                      [QUIT, QUIT, QUIT, QUIT],
     "§4.1.1.10: any time, aborts a transaction"),
    ("VRFY c",                    [(252, Start, "verify c"), (252, Ready, "verify c"), (252, Transaction, "verify c"), (252, Transaction, "verify c")],
     "§4.1.4: before EHLO too; §4.1.1.6: no effect on the transaction; §3.5.3: 252"),
    ("EXPN c",                    [(250, Start, "expand c"), (250, Ready, "expand c"), (250, Transaction, "expand c"), (250, Transaction, "expand c")],
     "§4.1.4, §4.1.1.7"),
    ("HELP",                      [(214, Start, ""),    (214, Ready, ""),    (214, Transaction, ""),         (214, Transaction, "")],
     "§4.1.4, §4.1.1.8"),
    ("STARTTLS",                  [(502, Start, ""),    (502, Ready, ""),    (502, Transaction, ""),         (502, Transaction, "")],
     "§4.2.4: 502 for a command that is known and not implemented: here, not switched on"),
    ("XYZZY",                     [(500, Start, ""),    (500, Ready, ""),    (500, Transaction, ""),         (500, Transaction, "")],
     "§4.2.4"),
];

/// How a table's row stands where EXPN and HELP are not built in.
fn as_built(line: &str, cell: (u16, State, &'static str), at: State) -> (u16, State, &'static str) {
    match line.split(' ').next() {
        Some("EXPN" | "HELP") if !HAS_HELP => (500, at, ""),
        Some("STARTTLS") if cfg!(not(feature = "starttls")) => (500, at, ""),
        _ => cell,
    }
}

fn expands() -> Notes<'static> {
    Notes::by(|question| if question.starts_with("expand") { say(250) } else { Verdict::Yes })
}

fn check(config: &Config<'_>, table: &[Row], ways: &[Way; 4]) {
    for (line, cells, clause) in table {
        for ((name, at, recipients, way), cell) in ways.iter().zip(cells) {
            let expected = as_built(line, *cell, *at);
            let mut talk = Talk::after(config, expands(), way);
            assert_eq!(talk.state(), *at, "{name}");
            let code = talk.code(line);
            let heard = talk.handler.take();
            assert_eq!((code, talk.state(), heard.as_str()), expected, "{line}, {name}: {clause}");
            let Some(verb) = verb(line) else { continue };
            // The table of the code itself, without a session.
            let admitted = Order::at(*at, *recipients).admit(verb, config).map_err(|reply| reply.code());
            let refused = if code >= 500 { Err(code) } else { Ok(()) };
            assert_eq!(admitted, refused, "{line}, {name}: {clause}");
        }
    }
}

fn verb(line: &str) -> Option<Verb> {
    Some(match line.split(' ').next()? {
        "HELO" => Verb::Helo,
        "EHLO" => Verb::Ehlo,
        #[cfg(feature = "lmtp")]
        "LHLO" => Verb::Lhlo,
        "MAIL" => Verb::Mail,
        "RCPT" => Verb::Rcpt,
        "DATA" => Verb::Data,
        "RSET" => Verb::Rset,
        "NOOP" => Verb::Noop,
        "QUIT" => Verb::Quit,
        "VRFY" => Verb::Vrfy,
        #[cfg(feature = "expn-help")]
        "EXPN" => Verb::Expn,
        #[cfg(feature = "expn-help")]
        "HELP" => Verb::Help,
        #[cfg(feature = "starttls")]
        "STARTTLS" => Verb::StartTls,
        _ => return None,
    })
}

#[test]
fn every_command_in_every_state() {
    check(&Config::new("mx.example.org"), &SMTP, &ways(EHLO));
}

#[test]
fn helo_opens_the_same_door_as_ehlo() {
    check(&Config::new("mx.example.org"), &SMTP, &ways("HELO c.example"));
}

#[test]
fn without_need_of_hello_mail_comes_first() {
    let mut config = Config::new("mx.example.org");
    config.need_hello = false;
    let mut table = SMTP;
    // MAIL needs no EHLO (some devices); RCPT and DATA still need what §3.3 says.
    table[3].1[0] = (250, Transaction, MAIL);
    check(&config, &table, &ways(EHLO));
    // A reset or a message leads to where EHLO leads, so that the next MAIL may come.
    let mut talk = Talk::after(&config, Notes::new(), &["MAIL FROM:<>", "RSET"]);
    assert_eq!((talk.state(), talk.code("MAIL FROM:<>"), talk.code("DATA")), (Ready, 250, 503));
}

#[cfg(feature = "lmtp")]
#[test]
fn lmtp_has_lhlo_in_place_of_helo_and_ehlo() {
    let mut config = Config::new("mx.example.org");
    config.lmtp = true;
    let mut table = SMTP;
    // RFC 2033 §4.1: HELO and EHLO must not be taken, 500; LHLO is EHLO.
    for row in [0, 1] {
        table[row].1 = [(500, Start, ""), (500, Ready, ""), (500, Transaction, ""), (500, Transaction, "")];
    }
    table[2].1 = SMTP[1].1;
    check(&config, &table, &ways("LHLO c.example"));
}

#[test]
fn each_command_can_be_switched_off() {
    for (line, ..) in &SMTP {
        let Some(verb) = verb(line) else { continue };
        let mut config = Config::new("mx.example.org");
        config.commands = config.commands.without(verb);
        for (name, at, recipients, way) in ways(EHLO) {
            let admitted = Order::at(at, recipients).admit(verb, &config).map_err(|reply| reply.code());
            assert_eq!(admitted, Err(502), "{line}, {name}");
            // A way can't be gone without the command that it needs.
            if way.iter().any(|step| step[..4] == line[..4]) {
                continue;
            }
            let mut talk = Talk::after(&config, expands(), &way);
            assert_eq!(talk.say(format!("{line}\r\n")), common::built("502 5.5.1 Command not implemented\r\n"));
            assert_eq!((talk.state(), talk.handler.take().as_str()), (at, ""), "{line}, {name}");
        }
    }
}

#[test]
fn after_a_greeting_that_says_no_only_quit_is_left() {
    // RFC 5321 §3.1: 554 in place of the greeting, then 503 to everything but QUIT.
    let mut config = Config::new("mx.example.org");
    config.need_hello = false;
    #[cfg(feature = "starttls")]
    {
        config.extensions = config.extensions.with(Extensions::STARTTLS);
    }
    let refuses = || Notes::by(|question| if question == "connected" { say(554) } else { Verdict::Yes });
    for (line, ..) in &SMTP {
        let Some(verb) = verb(line) else { continue };
        let mut talk = Talk::new(&config, refuses());
        assert_eq!((talk.say("").as_str(), talk.state()), ("554 said\r\n", State::Refused));
        talk.handler.take();
        let after = (talk.code(line), talk.state(), talk.handler.take());
        let expected = match verb {
            Verb::Quit => (221, CLOSED, "closed Quit".into()),
            _ => (503, State::Refused, String::new()),
        };
        assert_eq!(after, expected, "{line}");
        let admitted = Order::at(State::Refused, 0).admit(verb, &config).map_err(|reply| reply.code());
        assert_eq!(admitted, if verb == Verb::Quit { Ok(()) } else { Err(503) }, "{line}");
    }
}

#[test]
fn while_a_question_is_open_no_command_is_taken() {
    let config = Config::new("mx.example.org");
    let whole = ["EHLO c.example", "MAIL FROM:<a@b.example>", "RCPT TO:<c@d.example>", "DATA", "Hi\r\n.", "VRFY c"];
    // Lines until the question is open, and what it is.
    for (lines, question) in
        [(0, "connected"), (1, HELLO), (2, MAIL), (3, RCPT), (4, "data"), (5, "message 0 Hi\\r\\n"), (6, "verify c")]
    {
        let never = Notes::by(|asked| if asked == question { Verdict::Never } else { Verdict::Yes });
        let talk = Talk::after(&config, never, &whole[..lines]);
        let at = talk.state();
        assert_eq!(talk.session.open(), 1, "{question}");
        for (line, ..) in &SMTP {
            let never = Notes::by(|asked| if asked == question { Verdict::Never } else { Verdict::Yes });
            let mut talk = Talk::after(&config, never, &whole[..lines]);
            assert_eq!(talk.say(format!("{line}\r\n")), "", "{line} behind {question}");
            assert_eq!((talk.state(), talk.session.open()), (at, 1), "{line} behind {question}");
            assert_eq!(talk.handler.take(), "", "{line} behind {question}");
            assert_eq!(talk.left, format!("{line}\r\n").as_bytes(), "not even read");
            // Answered, the command comes and gets what it gets in the state that is reached.
            talk.handler.rule = Box::new(|_| Verdict::Yes);
            assert_eq!(common::final_codes(talk.say("").as_bytes()).len(), if question == "data" { 1 } else { 2 });
        }
    }
}

#[test]
fn within_the_text_no_line_is_a_command() {
    let config = Config::new("mx.example.org");
    for (line, ..) in &SMTP {
        let mut talk = Talk::after(&config, Notes::new(), &ways(EHLO)[3].3);
        assert_eq!(talk.code("DATA"), 354);
        talk.handler.take();
        assert_eq!((talk.code(line), talk.state()), (0, State::Text), "{line}");
        assert_eq!((talk.code("."), talk.state()), (250, Ready), "{line}");
        assert_eq!(talk.handler.take(), format!("message 0 {line}\\r\\n"));
    }
}

#[test]
fn after_quit_nothing_is_a_command() {
    let config = Config::new("mx.example.org");
    for (line, ..) in &SMTP {
        let mut talk = Talk::after(&config, Notes::new(), &["QUIT"]);
        assert_eq!((talk.code(line), talk.state(), talk.handler.take().as_str()), (0, CLOSED, ""), "{line}");
    }
}

#[test]
fn what_the_handler_refuses_leaves_the_state_as_it_was() {
    let config = Config::new("mx.example.org");
    // RFC 5321 §4.1.4 (a refused EHLO), §3.3 and §4.1.1.4 (a command that failed changes no buffer).
    for (way, line, question, after) in [
        (0, "EHLO c.example", "hello", Start),
        (1, "EHLO c.example", "hello", Ready),
        (2, "HELO c.example", "hello", Transaction),
        (3, "EHLO c.example", "hello", Transaction),
        (1, "MAIL FROM:<a@b.example>", "mail", Ready),
        (2, "RCPT TO:<c@d.example>", "rcpt", Transaction),
        (3, "RCPT TO:<c@d.example>", "rcpt", Transaction),
        (3, "DATA", "data", Transaction),
        (3, "VRFY c", "verify", Transaction),
    ] {
        for code in [450, 550, 599] {
            let mut talk = Talk::after(&config, Notes::new(), &ways(EHLO)[way].3);
            talk.handler.rule =
                Box::new(move |asked| if asked.starts_with(question) { say(code) } else { Verdict::Yes });
            assert_eq!((talk.code(line), talk.state()), (code, after), "{line} refused");
            talk.handler.take();
            // DATA tells whether recipients were counted: the table's own rows.
            let data = talk.code("DATA");
            let expected = match (line, way) {
                ("DATA", _) => code,
                (_, 3) => 354,
                _ => 503,
            };
            assert_eq!(data, expected, "{line} refused in {way}");
        }
    }
    // A message that was refused is over all the same (§4.1.1.4).
    let refuses = Notes::by(|asked| if asked.starts_with("message") { say(554) } else { Verdict::Yes });
    let mut talk = Talk::after(&config, refuses, &ways(EHLO)[3].3);
    talk.say("DATA\r\n");
    assert_eq!((talk.code("."), talk.state(), talk.code("RCPT TO:<c@d.example>")), (554, Ready, 503));
}

#[test]
fn a_new_ehlo_ends_the_transaction_and_what_was_offered() {
    let config = Config::new("mx.example.org");
    let mut talk = Talk::after(&config, Notes::new(), &ways(EHLO)[3].3);
    assert_eq!(
        talk.say("EHLO c.example\r\nDATA\r\n").lines().last(),
        Some(common::built("503 5.5.1 Send MAIL first").as_str())
    );
    assert_eq!(talk.handler.take(), "hello c.example; reset");
    // Recipients of the old transaction do not count in the new one.
    assert_eq!((talk.code("MAIL FROM:<a@b.example>"), talk.code("DATA")), (250, 503));
    assert_eq!((talk.code("RSET"), talk.code("HELO c.example"), talk.code("MAIL FROM:<> SIZE=1")), (250, 250, 555));
    assert_eq!((talk.session.offered(), talk.code("MAIL FROM:<>")), (Extensions::NONE, 250));
}

#[cfg(feature = "starttls")]
#[test]
fn starttls_where_it_is_switched_on() {
    let mut config = Config::new("mx.example.org");
    config.extensions = config.extensions.with(Extensions::STARTTLS);
    let mut table = SMTP;
    // RFC 3207 §4: offered by EHLO, so EHLO first; §4.2: afterwards the client has said nothing yet.
    table[12].1 = [(NO, Start, ""), (220, Start, ""), (NO, Transaction, ""), (NO, Transaction, "")];
    check(&config, &table, &ways(EHLO));
    let mut talk = Talk::after(&config, Notes::new(), &["EHLO c.example", "STARTTLS"]);
    assert!(talk.session.peer().tls);
    assert_eq!((talk.session.offered(), talk.code("MAIL FROM:<>")), (Extensions::NONE, 503));
    let ehlo = talk.say("EHLO c.example\r\n");
    assert!(!ehlo.contains("STARTTLS"), "RFC 3207 §4.2: not offered again: {ehlo}");
    assert_eq!((talk.code("STARTTLS"), talk.state()), (502, Ready), "and not taken again");
}

#[cfg(feature = "starttls")]
#[test]
fn no_command_slips_in_before_tls() {
    // RFC 3207 §4.2: what stands in the input behind STARTTLS was sent in the clear and is thrown away.
    let mut config = Config::new("mx.example.org");
    config.extensions = config.extensions.with(Extensions::STARTTLS);
    for cut in [false, true] {
        let mut talk = Talk::after(&config, Notes::new(), &["EHLO c.example"]);
        let mut input: &[u8] =
            if cut { b"STARTTLS\r\nMAIL FROM:<" } else { b"STARTTLS\r\nMAIL FROM:<evil@b.example>\r\n" };
        while smtpd_core::server::step(&mut talk.session, &mut input, &mut talk.handler, std::task::Waker::noop())
            == smtpd_core::server::Progress::Moved
        {}
        assert_eq!(talk.state(), State::Tls);
        // Nothing else happens until it stands.
        let progress =
            smtpd_core::server::step(&mut talk.session, &mut input, &mut talk.handler, std::task::Waker::noop());
        assert_eq!(progress, smtpd_core::server::Progress::StartTls);
        talk.session.tls_started(&mut input, smtpd_core::server::Tls::default());
        assert_eq!((input, talk.state()), (&b""[..], Start));
        talk.session.sent(usize::MAX);
        assert_eq!(talk.code("EHLO c.example"), 250);
        assert_eq!(talk.handler.take(), "hello c.example");
    }
}
