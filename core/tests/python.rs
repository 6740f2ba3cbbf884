//! The Python dialects: every row of what Python's smtpd says, in each state in which it may be said.
#![cfg(feature = "python")]

mod common;

use common::{Notes, Talk, Verdict, built, say};
use smtpd_core::server::{Answer, Config, Event, Extensions, Peer, Session, State, Texts};
use smtpd_core::wire::{ForwardPath, Reply};

const HOST: &str = "mx.example.org";
/// The states of 3.11 and the way to each.
const NEW: &[&str] = &[];
const HELO: &[&str] = &["HELO c"];
const EHLO: &[&str] = &["EHLO c"];
const MAIL: &[&str] = &["EHLO c", "MAIL FROM:<a@b>"];
const RCPT: &[&str] = &["EHLO c", "MAIL FROM:<a@b>", "RCPT TO:<c@d>"];
/// A transaction of a client that does not know EHLO.
const OLD: &[&str] = &["HELO c", "MAIL FROM:<a@b>"];

const OK: &str = "250 OK";
const HELO_FIRST: &str = "503 Error: send HELO first";
const DUPLICATE: &str = "503 Duplicate HELO/EHLO";
const NESTED: &str = "503 Error: nested MAIL command";
const NEED_MAIL: &str = "503 Error: need MAIL command";
const NEED_RCPT: &str = "503 Error: need RCPT command";
const SYNTAX: &str = "500 Error: bad syntax";
const MAIL_HELO: &str = "501 Syntax: MAIL FROM: <address>";
const MAIL_EHLO: &str = "501 Syntax: MAIL FROM: <address> [SP <mail-parameters>]";
const RCPT_HELO: &str = "501 Syntax: RCPT TO: <address>";
const RCPT_EHLO: &str = "501 Syntax: RCPT TO: <address> [SP <mail-parameters>]";
const COMMANDS: &str = "Supported commands: EHLO HELO MAIL RCPT DATA RSET NOOP QUIT VRFY";
const VRFY: &str = "252 Cannot VRFY user, but will accept message and attempt delivery";
const BODY: &str = "501 Error: BODY can only be one of 7BIT, 8BITMIME";
const TOO_BIG: &str = "552 Error: message size exceeds fixed maximum message size";
const MAIL_555: &str = "555 MAIL FROM parameters not recognized or not implemented";
const RCPT_555: &str = "555 RCPT TO parameters not recognized or not implemented";

/// What is said to a line behind these; no CRLF at its end.
fn said(config: &Config<'_>, way: &[&str], line: impl AsRef<[u8]>) -> String {
    let mut talk = Talk::after(config, Notes::new(), way);
    let said = talk.say([line.as_ref(), b"\r\n"].concat());
    said.strip_suffix("\r\n").unwrap_or(&said).to_owned()
}

fn check(config: &Config<'_>, ways: &[&[&str]], rows: &[(&str, &[&str])]) {
    for (line, expected) in rows {
        assert_eq!(ways.len(), expected.len());
        for (way, expected) in ways.iter().zip(*expected) {
            assert_eq!(said(config, way, line), *expected, "{line:?} behind {way:?}");
        }
    }
}

/// The same in all states.
fn everywhere(config: &Config<'_>, ways: &[&[&str]], rows: &[(&str, &str)]) {
    for (line, expected) in rows {
        for way in ways {
            assert_eq!(said(config, way, line), *expected, "{line:?} behind {way:?}");
        }
    }
}

#[test]
fn greetings() {
    for (config, greeting) in [
        (Config::python_3_11(HOST), "220 mx.example.org Python SMTP proxy version 0.3\r\n"),
        (Config::python_2_7(HOST), "220 mx.example.org Python SMTP proxy version 0.2\r\n"),
    ] {
        assert_eq!(Talk::new(&config, Notes::new()).say(""), greeting);
    }
}

#[test]
fn python_3_11_in_each_state() {
    let config = Config::python_3_11(HOST);
    let ehlo = "250-mx.example.org\r\n250-SIZE 33554432\r\n250-8BITMIME\r\n250 HELP";
    check(
        &config,
        &[NEW, HELO, EHLO, OLD, MAIL, RCPT],
        &[
            ("HELO c", &["250 mx.example.org", DUPLICATE, DUPLICATE, DUPLICATE, DUPLICATE, DUPLICATE]),
            ("ehlo any thing (at) all", &[ehlo, DUPLICATE, DUPLICATE, DUPLICATE, DUPLICATE, DUPLICATE]),
            ("MAIL FROM:<a@b>", &[HELO_FIRST, OK, OK, NESTED, NESTED, NESTED]),
            // The address is looked at before the transaction, its parameters after; unless there may be none.
            ("MAIL", &[HELO_FIRST, MAIL_HELO, MAIL_EHLO, MAIL_HELO, MAIL_EHLO, MAIL_EHLO]),
            ("MAIL FROM:", &[HELO_FIRST, MAIL_HELO, MAIL_EHLO, MAIL_HELO, MAIL_EHLO, MAIL_EHLO]),
            ("MAIL <a@b>", &[HELO_FIRST, MAIL_HELO, MAIL_EHLO, MAIL_HELO, MAIL_EHLO, MAIL_EHLO]),
            ("MAIL FROM:<a@>", &[HELO_FIRST, MAIL_HELO, MAIL_EHLO, MAIL_HELO, MAIL_EHLO, MAIL_EHLO]),
            ("MAIL FROM:<a@b> SIZE=1", &[HELO_FIRST, MAIL_HELO, OK, MAIL_HELO, NESTED, NESTED]),
            ("MAIL FROM:<a@b> =", &[HELO_FIRST, MAIL_HELO, MAIL_EHLO, MAIL_HELO, NESTED, NESTED]),
            ("MAIL FROM:<a@b> BODY=9", &[HELO_FIRST, MAIL_HELO, BODY, MAIL_HELO, NESTED, NESTED]),
            // The transaction comes before the address.
            ("RCPT", &[HELO_FIRST, NEED_MAIL, NEED_MAIL, RCPT_HELO, RCPT_EHLO, RCPT_EHLO]),
            ("RCPT TO:", &[HELO_FIRST, NEED_MAIL, NEED_MAIL, RCPT_HELO, RCPT_EHLO, RCPT_EHLO]),
            ("RCPT TO:<c@d>", &[HELO_FIRST, NEED_MAIL, NEED_MAIL, OK, OK, OK]),
            ("RCPT TO:<c@d> A", &[HELO_FIRST, NEED_MAIL, NEED_MAIL, RCPT_HELO, RCPT_555, RCPT_555]),
            ("RCPT TO:<c@d> =", &[HELO_FIRST, NEED_MAIL, NEED_MAIL, RCPT_HELO, RCPT_EHLO, RCPT_EHLO]),
            ("DATA", &[HELO_FIRST, NEED_RCPT, NEED_RCPT, NEED_RCPT, NEED_RCPT, "354 End data with <CR><LF>.<CR><LF>"]),
            ("DATA 1", &[HELO_FIRST, NEED_RCPT, NEED_RCPT, NEED_RCPT, NEED_RCPT, "501 Syntax: DATA"]),
            (
                "HELP mail",
                &[
                    "250 Syntax: MAIL FROM: <address>",
                    "250 Syntax: MAIL FROM: <address>",
                    "250 Syntax: MAIL FROM: <address> [SP <mail-parameters>]",
                    "250 Syntax: MAIL FROM: <address>",
                    "250 Syntax: MAIL FROM: <address> [SP <mail-parameters>]",
                    "250 Syntax: MAIL FROM: <address> [SP <mail-parameters>]",
                ],
            ),
            (
                "HELP RCPT",
                &[
                    "250 Syntax: RCPT TO: <address>",
                    "250 Syntax: RCPT TO: <address>",
                    "250 Syntax: RCPT TO: <address> [SP <mail-parameters>]",
                    "250 Syntax: RCPT TO: <address>",
                    "250 Syntax: RCPT TO: <address> [SP <mail-parameters>]",
                    "250 Syntax: RCPT TO: <address> [SP <mail-parameters>]",
                ],
            ),
        ],
    );
}

#[test]
fn python_3_11_in_all_states() {
    let commands = format!("250 {COMMANDS}");
    let topics = format!("501 {COMMANDS}");
    everywhere(
        &Config::python_3_11(HOST),
        &[NEW, HELO, EHLO, OLD, MAIL, RCPT],
        &[
            ("HELO", "501 Syntax: HELO hostname"),
            ("HELO  ", "501 Syntax: HELO hostname"),
            ("EHLO", "501 Syntax: EHLO hostname"),
            ("RSET", OK),
            ("rset ", OK),
            ("RSET 1", "501 Syntax: RSET"),
            ("NOOP", OK),
            ("NOOP  \t ", OK),
            ("NOOP 1", "501 Syntax: NOOP"),
            ("QUIT", "221 Bye"),
            ("QUIT now", "221 Bye"),
            ("QUIT \u{7f}", "221 Bye"),
            ("VRFY", "501 Syntax: VRFY <address>"),
            ("VRFY a", VRFY),
            ("VRFY <a@b> c", VRFY),
            ("VRFY \"\"", "502 Could not VRFY \"\""),
            ("VRFY @a", "502 Could not VRFY @a"),
            ("EXPN", "502 EXPN not implemented"),
            ("expn a", "502 EXPN not implemented"),
            ("HELP", &commands),
            ("HELP helo", "250 Syntax: HELO hostname"),
            ("HELP EHLO", "250 Syntax: EHLO hostname"),
            ("HELP DATA", "250 Syntax: DATA"),
            ("HELP RSET", "250 Syntax: RSET"),
            ("HELP NOOP", "250 Syntax: NOOP"),
            ("HELP QUIT", "250 Syntax: QUIT"),
            ("HELP VRFY", "250 Syntax: VRFY <address>"),
            ("HELP HELP", &topics),
            ("HELP EXPN", &topics),
            ("HELP MAIL RCPT", &topics),
            ("HELP STARTTLS", &topics),
            ("", SYNTAX),
            (" ", "500 Error: command \"\" not recognized"),
            (" NOOP", "500 Error: command \"\" not recognized"),
            ("foo bar", "500 Error: command \"FOO\" not recognized"),
            ("100%s", "500 Error: command \"100%S\" not recognized"),
            ("STARTTLS", "500 Error: command \"STARTTLS\" not recognized"),
            ("LHLO c", "500 Error: command \"LHLO\" not recognized"),
            ("NOOP\t", "500 Error: command \"NOOP?\" not recognized"),
            ("\u{1b}[2J", "500 Error: command \"?[2J\" not recognized"),
            ("FOO\nNOOP", "500 Error: command \"FOO?NOOP\" not recognized"),
            ("HELO a\nb", SYNTAX),
            ("HELO a\rb", SYNTAX),
            ("HELO \u{e9}", SYNTAX),
            ("MAIL FROM:<a@b>\u{1}", SYNTAX),
            ("Host: a", "421 This is SMTP, closing"),
        ],
    );
}

#[test]
fn python_3_11_addresses() {
    let config = Config::python_3_11(HOST);
    for (address, heard) in [
        ("<a@b>", "a@b"),
        (" <a@b>", "a@b"),
        ("\u{20}\u{20}a@b ", "a@b"),
        ("a@b", "a@b"),
        ("<a>", "a"),
        ("root", "root"),
        ("<a@b", "a@b"),
        ("<postmaster>", "postmaster"),
        ("<a..b@c>", "a..b@c"),
        ("<@x:a@[1.2.3.4]>", "a@[1.2.3.4]"),
        ("<\"a b\"@c_d>", "\\\"a b\\\"@c_d"),
        ("<>", ""),
        (&format!("<{}@{}>", "a".repeat(100), "b".repeat(300)), &format!("{}@{}", "a".repeat(100), "b".repeat(300))),
    ] {
        let mut talk = Talk::after(&config, Notes::new(), HELO);
        assert_eq!(
            talk.say(format!("MAIL from:{address}\r\nRCPT to:{address}\r\n")),
            "250 OK\r\n250 OK\r\n",
            "{address}"
        );
        assert_eq!(talk.handler.take(), format!("mail {heard}; rcpt {heard}"));
    }
    for address in ["", "<", "< >", "@b", "<a@>", "a@b@c", "a @b", "(c) a@b", "<a@b>x", "\"\"", "\"a"] {
        assert_eq!(said(&config, HELO, format!("MAIL FROM:{address}")), MAIL_HELO, "{address}");
        assert_eq!(said(&config, OLD, format!("RCPT TO:{address}")), RCPT_HELO, "{address}");
    }
}

#[test]
fn postmaster_is_itself() {
    let config = Config::python_3_11(HOST);
    let mut session = Session::new(&config, Peer::default());
    let mut input: &[u8] = b"HELO c\r\nMAIL FROM:a\r\nRCPT TO:PostMaster\r\n";
    loop {
        match session.poll(&mut input, 0) {
            Event::Rcpt(rcpt) => break assert_eq!(rcpt.forward_path, ForwardPath::Postmaster(b"PostMaster")),
            Event::Idle => panic!("nothing is asked"),
            _ => session.answer(Answer::Accept),
        };
    }
}

#[test]
fn python_3_11_parameters() {
    let mut config = Config::python_3_11(HOST);
    config.limits.size = 1000;
    for (params, expected) in [
        ("BODY=8BITMIME", OK),
        ("body=7bit size=1000", OK),
        ("SIZE=0", OK),
        (" SIZE=1  BODY=7BIT ", OK),
        ("BODY=9", BODY),
        ("BODY", BODY),
        ("BODY=8BITMIME=", BODY),
        ("SIZE=1001", TOO_BIG),
        ("SIZE=99999999999999999999999999", TOO_BIG),
        ("SIZE=1k", MAIL_EHLO),
        ("SIZE=-1", MAIL_EHLO),
        ("SIZE", MAIL_EHLO),
        ("SIZE=", MAIL_EHLO),
        ("BODY=", MAIL_EHLO),
        ("=1", MAIL_EHLO),
        ("X-Y=1", MAIL_EHLO),
        ("FOO", MAIL_555),
        ("FOO=1=2", MAIL_555),
        ("RET=FULL", MAIL_555),
        ("SMTPUTF8", MAIL_555),
        ("AUTH=<>", MAIL_555),
        // BODY is looked at first, then SIZE, then what is left.
        ("FOO SIZE=1k BODY=9", BODY),
        ("FOO SIZE=1k", MAIL_EHLO),
        ("FOO SIZE=1001", TOO_BIG),
        ("= BODY=9", MAIL_EHLO),
        // The last one counts in Python.
        ("SIZE=1 SIZE=1001", TOO_BIG),
        ("SIZE=1001 SIZE=1", MAIL_EHLO),
    ] {
        assert_eq!(said(&config, EHLO, format!("MAIL FROM:<a@b> {params}")), expected, "{params}");
    }
    // A space is nothing to Python's parser.
    assert_eq!(said(&config, EHLO, "MAIL FROM:<a@b>SIZE=1001"), TOO_BIG);
    // Without a limit no size is announced, and any is accepted.
    config.limits.size = 0;
    assert_eq!(said(&config, NEW, "EHLO c"), "250-mx.example.org\r\n250-8BITMIME\r\n250 HELP");
    assert_eq!(said(&config, EHLO, "MAIL FROM:<a@b> SIZE=99999999999"), OK);
    // As Python where its texts are decoded.
    config.extensions = config.extensions.without(Extensions::EIGHTBITMIME);
    assert_eq!(said(&config, EHLO, "MAIL FROM:<a@b> BODY=8BITMIME"), MAIL_555);
}

#[test]
fn handlers_get_the_parameters() {
    let config = Config::python_3_11(HOST);
    let mut session = Session::new(&config, Peer::default());
    let mut input: &[u8] = b"EHLO c\r\nMAIL FROM:<a@b>Size=1  BODY=8bitmime\r\n";
    loop {
        match session.poll(&mut input, 0) {
            Event::Mail(mail) => {
                assert_eq!((mail.size, mail.params.as_octets()), (Some(1), &b"Size=1  BODY=8bitmime"[..]));
                assert_eq!(mail.params.iter().count(), 2);
                break;
            }
            Event::Idle => panic!("nothing is asked"),
            _ => session.answer(Answer::Accept),
        };
    }
}

#[test]
fn python_3_11_lines() {
    const LONG: &str = "500 Error: line too long";
    let mut config = Config::python_3_11(HOST);
    let of =
        |start: &str, octets: usize, end: &str| start.to_owned() + &"a".repeat(octets - start.len() - end.len()) + end;
    for way in [NEW, HELO, EHLO, RCPT] {
        for (start, fits) in [("NOOP ", "501 Syntax: NOOP"), ("QUIT ", "221 Bye")] {
            assert_eq!(said(&config, way, of(start, 512, "")), fits);
            assert_eq!(said(&config, way, of(start, 513, "")), LONG);
            assert_eq!(said(&config, way, of(start, 5_000, "")), LONG);
        }
        assert_eq!(said(&config, way, of("", 513, "")), LONG);
        assert_eq!(
            said(&config, way, of("", 512, "")),
            format!("500 Error: command \"{}\" not recognized", "A".repeat(474))
        );
        let quote = "a".repeat(490);
        assert_eq!(said(&config, way, format!("VRFY @{}", "a".repeat(506))), format!("502 Could not VRFY @{quote}"));
    }
    for (way, limit, ok) in [(NEW, 512, HELO_FIRST), (HELO, 512, OK), (EHLO, 538, OK), (RCPT, 538, NESTED)] {
        assert_eq!(said(&config, way, of("MAIL FROM:<", limit, "@b>")), ok);
        assert_eq!(said(&config, way, of("MAIL FROM:<", limit + 1, "@b>")), LONG);
    }
    config.limits.size = 0;
    assert_eq!(said(&config, EHLO, of("MAIL FROM:<", 512, "@b>")), OK);
    assert_eq!(said(&config, EHLO, of("MAIL FROM:<", 513, "@b>")), LONG);
}

/// Wherever the line is cut.
#[test]
fn cuts_change_nothing() {
    let config = Config::python_3_11(HOST);
    let text = b"\r\nfoo\r\nEHLO c\r\nVRFY @\r\nMAIL FROM:a SIZE=1\r\nRCPT TO:<b\r\nDATA\r\n.\r\nQUIT x\r\n";
    let whole = Talk::new(&config, Notes::new()).say(text);
    for octets in [1, 2, 3, 7] {
        let mut talk = Talk::new(&config, Notes::new());
        let said: String = text.chunks(octets).map(|piece| talk.say(piece)).collect();
        assert_eq!(said, whole);
    }
    assert_eq!(
        whole,
        "220 mx.example.org Python SMTP proxy version 0.3\r\n500 Error: bad syntax\r\n\
         500 Error: command \"FOO\" not recognized\r\n\
         250-mx.example.org\r\n250-SIZE 33554432\r\n250-8BITMIME\r\n250 HELP\r\n502 Could not VRFY @\r\n\
         250 OK\r\n250 OK\r\n354 End data with <CR><LF>.<CR><LF>\r\n250 OK\r\n221 Bye\r\n"
    );
}

#[test]
fn python_2_7_in_each_state() {
    const OK: &str = "250 Ok";
    const MAIL: &str = "501 Syntax: MAIL FROM:<address>";
    let config = Config::python_2_7(HOST);
    let (new, helo): (&[&str], &[&str]) = (NEW, HELO);
    let (mail, rcpt): (&[&str], &[&str]) = (&["MAIL FROM:<a@b>"], &["HELO c", "MAIL FROM:<a@b>", "RCPT TO:<c@d>"]);
    let ways = [new, helo, mail, rcpt];
    check(
        &config,
        &ways,
        &[
            ("HELO any thing", &["250 mx.example.org", DUPLICATE, "250 mx.example.org", DUPLICATE]),
            ("MAIL FROM: a@b", &[OK, OK, NESTED, NESTED]),
            ("MAIL", &[MAIL, MAIL, MAIL, MAIL]),
            ("MAIL FROM:<a@b> SIZE=99999999999", &[OK, OK, NESTED, NESTED]),
            ("MAIL FROM:<a@b> =", &[MAIL, MAIL, MAIL, MAIL]),
            ("MAIL FROM:a b@c", &[MAIL, MAIL, MAIL, MAIL]),
            ("MAIL FROM:a b", &[MAIL, MAIL, MAIL, MAIL]),
            ("MAIL FROM:<a@b@c>", &[OK, OK, NESTED, NESTED]),
            ("RCPT TO:@b", &[NEED_MAIL, NEED_MAIL, OK, OK]),
            ("RCPT TO:<>", &[NEED_MAIL, NEED_MAIL, OK, OK]),
            ("RCPT TO:<c@d> NOTIFY=NEVER", &[NEED_MAIL, NEED_MAIL, OK, OK]),
            ("RCPT <c@d>", &[NEED_MAIL, NEED_MAIL, RCPT_HELO, RCPT_HELO]),
            ("DATA", &[NEED_RCPT, NEED_RCPT, NEED_RCPT, "354 End data with <CR><LF>.<CR><LF>"]),
            ("DATA 1", &[NEED_RCPT, NEED_RCPT, NEED_RCPT, "501 Syntax: DATA"]),
        ],
    );
    everywhere(
        &config,
        &ways,
        &[
            ("HELO", "501 Syntax: HELO hostname"),
            ("EHLO c", "502 Error: command \"EHLO\" not implemented"),
            ("HELP", "502 Error: command \"HELP\" not implemented"),
            ("VRFY a", "502 Error: command \"VRFY\" not implemented"),
            ("VRFY", "502 Error: command \"VRFY\" not implemented"),
            ("expn a", "502 Error: command \"EXPN\" not implemented"),
            ("foo", "502 Error: command \"FOO\" not implemented"),
            (" NOOP", "502 Error: command \"\" not implemented"),
            ("", SYNTAX),
            ("RSET", OK),
            ("RSET 1", "501 Syntax: RSET"),
            ("NOOP", OK),
            ("NOOP 1", "501 Syntax: NOOP"),
            ("QUIT 1", "221 Bye"),
        ],
    );
    // Lines are as long as in every dialect.
    assert_eq!(said(&config, HELO, format!("MAIL FROM:{}@b", "a".repeat(1000))), OK);
    assert_eq!(said(&config, HELO, format!("NOOP {}", "a".repeat(1020))), "500 Error: line too long");
}

/// What is one word is an address; the others would be more than one behind the next server's brackets.
#[test]
fn python_2_7_addresses() {
    let config = Config::python_2_7(HOST);
    for (address, heard) in [
        ("<a@b>", "a@b"),
        ("<a@b> SIZE=1", "a@b"),
        ("a@b@c", "a@b@c"),
        ("<a@b@c> X SIZE=1", "a@b@c"),
        ("< a@b >", "a@b"),
        ("@b", "@b"),
        ("<a@>", "a@"),
        ("<a@.b..c.", "a@.b..c."),
        ("\"\"", "\\\"\\\""),
        ("<@x:a@b>", "a@b"),
    ] {
        let mut talk = Talk::after(&config, Notes::new(), NEW);
        assert_eq!(
            talk.say(format!("MAIL FROM:{address}\r\nRCPT TO:{address}\r\n")),
            "250 Ok\r\n250 Ok\r\n",
            "{address}"
        );
        assert_eq!(talk.handler.take(), format!("mail {heard}; rcpt {heard}"));
    }
    for address in [
        "",
        "<",
        "< >",
        ">",
        "a@b>",
        "a@>",
        "a@b@c SIZE=1",
        "a @b",
        "<@b> =",
        "<a@>x=",
        "<a@b>,<c@d>",
        "a@b,c@d",
        "a@b;",
        "@x:a@b",
        "<@x,a@b>",
        "<a@>>",
        "<a@<b>",
        "<a@[1.2.3.4>",
        "<a@\"b>",
        "<\"a@b>",
        "<a@(b>",
        "<a@\\b>",
    ] {
        assert_eq!(said(&config, NEW, format!("MAIL FROM:{address}")), "501 Syntax: MAIL FROM:<address>", "{address}");
        let way = &["MAIL FROM:<a@b>"];
        assert_eq!(said(&config, way, format!("RCPT TO:{address}")), RCPT_HELO, "{address}");
    }
}

/// RSET and a message leave the greeting as it is, or that there was none.
#[test]
fn the_greeting_stands() {
    let config = Config::python_2_7(HOST);
    let mut talk = Talk::after(&config, Notes::new(), &["MAIL FROM:a", "RCPT TO:b", "DATA"]);
    assert_eq!(
        talk.say("x\r\n.\r\nHELO c\r\nRSET\r\nHELO c\r\n"),
        "250 Ok\r\n250 mx.example.org\r\n250 Ok\r\n503 Duplicate HELO/EHLO\r\n"
    );
    let config = Config::python_3_11(HOST);
    let mut talk = Talk::after(&config, Notes::new(), EHLO);
    assert_eq!(
        talk.say("RSET\r\nEHLO c\r\nMAIL FROM:a SIZE=1\r\nRSET\r\nRCPT TO:b\r\n"),
        "250 OK\r\n503 Duplicate HELO/EHLO\r\n250 OK\r\n250 OK\r\n503 Error: need MAIL command\r\n"
    );
    assert_eq!(talk.handler.take(), "mail a; reset");
    // A handler that refuses HELO leaves all as it was.
    let shy = Notes::by(|question| if question.starts_with("hello") { say(550) } else { Verdict::Yes });
    let mut talk = Talk::after(&config, shy, &[]);
    assert_eq!(
        talk.say("EHLO c\r\nMAIL FROM:a\r\nEHLO c\r\n"),
        "550 said\r\n503 Error: send HELO first\r\n550 said\r\n"
    );
}

#[test]
fn a_text_over_the_limit_ends_its_transaction() {
    let mut config = Config::python_3_11(HOST);
    config.limits.size = 4;
    let mut talk = Talk::after(&config, Notes::new(), RCPT);
    assert_eq!(talk.say("DATA\r\n"), "354 End data with <CR><LF>.<CR><LF>\r\n");
    assert_eq!(talk.say("hello\r\n.\r\nNOOP\r\n"), "552 Error: Too much mail data\r\n250 OK\r\n");
    assert_eq!(talk.state(), State::Ready);
}

/// Python sends what `process_message` returns.
#[test]
fn what_a_handler_says_goes_out_as_it_is() {
    let config = Config::python_3_11(HOST);
    for line in ["550 5.7.1 Not here", "550 Not here", "250 2.0.0 Queued", "451 Later"] {
        let mut session = Session::new(&config, Peer::default());
        let mut input: &[u8] = b"HELO c\r\nMAIL FROM:a\r\nRCPT TO:b\r\n";
        loop {
            match session.poll(&mut input, 0) {
                Event::Rcpt(_) => break assert!(session.answer(Answer::Reply(Reply::from_line(line.as_bytes())))),
                Event::Idle => panic!("nothing is asked"),
                _ => session.answer(Answer::Accept),
            };
        }
        let expected = built(&format!("{line}\r\n"));
        assert!(session.output().ends_with(format!("\r\n{expected}").as_bytes()));
    }
    // 250 to DATA is a fault.
    let wrong = Notes::by(|question| if question == "data" { say(250) } else { Verdict::Yes });
    let mut talk = Talk::after(&config, wrong, RCPT);
    assert_eq!(talk.say("DATA\r\n"), "451 Internal confusion\r\n");
}

/// RCPT and DATA that come behind a MAIL which is refused in the end.
#[cfg(feature = "backlog")]
#[test]
fn behind_a_refused_mail() {
    let config = Config::python_3_11(HOST);
    let mut never = Notes::by(|question| if question.starts_with("mail") { say(550) } else { Verdict::Yes });
    (never.backlog, never.defers) = (10, 2);
    let mut talk = Talk::after(&config, never, EHLO);
    assert_eq!(
        talk.say("MAIL FROM:a\r\nRCPT TO:b\r\nRCPT\r\nDATA\r\n"),
        "550 said\r\n503 Error: need MAIL command\r\n503 Error: need MAIL command\r\n503 Error: need RCPT command\r\n"
    );
}

/// Only recipients are asked about while MAIL is not answered.
#[cfg(feature = "backlog")]
#[test]
fn behind_an_open_mail() {
    let config = Config::python_3_11(HOST);
    for (line, expected) in [
        ("QUIT", "221 Bye"),
        ("DATA", "354 End data with <CR><LF>.<CR><LF>"),
        ("VRFY a", VRFY),
        ("EHLO c", DUPLICATE),
        ("RSET", OK),
        ("MAIL FROM:a", NESTED),
    ] {
        let mut slow = Notes::new();
        (slow.backlog, slow.defers) = (10, 2);
        let mut talk = Talk::after(&config, slow, EHLO);
        let said = talk.say(format!("MAIL FROM:a\r\nRCPT TO:b\r\n{line}\r\n"));
        assert_eq!(said, format!("250 OK\r\n250 OK\r\n{expected}\r\n"));
    }
}

#[test]
fn limits_and_refusals_are_as_in_every_dialect() {
    let mut config = Config::python_3_11(HOST);
    config.limits.errors = 1;
    config.limits.recipients = 1;
    config.limits.transactions = 1;
    assert_eq!(said(&config, RCPT, "RCPT TO:e"), "452 Too many recipients");
    assert_eq!(said(&config, &["HELO c", "MAIL FROM:a", "RSET"], "MAIL FROM:a"), "421 Limit exceeded, closing");
    assert_eq!(said(&config, &["foo"], "foo"), "421 Limit exceeded, closing");
    let refuses = Notes::by(|question| if question == "connected" { say(554) } else { Verdict::Yes });
    let mut talk = Talk::after(&config, refuses, &[]);
    assert_eq!(talk.say("HELO c\r\nQUIT\r\n"), "503 No service here, send QUIT\r\n221 Bye\r\n");
}

/// A command that is switched off is none; texts may be others.
#[test]
fn switches_and_texts() {
    use smtpd_core::wire::Verb;
    let mut texts = Texts::PYTHON_3_11;
    texts.unrecognized = Reply::new(500, "What is %s?");
    let mut config = Config::python_3_11(HOST);
    config.texts = &texts;
    config.commands = config.commands.without(Verb::Vrfy);
    assert_eq!(said(&config, NEW, "vrfy a"), "500 What is VRFY?");
    assert_eq!(said(&config, NEW, "foo a"), "500 What is FOO?");
    // In the RFC's own dialect the sign means nothing.
    let mut config = Config::new(HOST);
    config.texts = &texts;
    assert_eq!(said(&config, NEW, "foo a"), "500 What is %s?");
}
