//! What bad input gets: the table of mistakes, each in every cut, and that nothing of it is executed or echoed.

mod common;

use common::{Notes, Talk, built, final_codes};
use smtpd_core::server::{Config, Progress};

const UNKNOWN: &str = "500 5.5.1 Command not recognized\r\n";
const TOO_LONG: &str = "500 5.5.2 Line too long\r\n";
const CONTROL: &str = "500 5.5.2 Control octet in a command\r\n";
const NOT_ASCII: &str = "501 5.5.2 Octet above 127 in a command\r\n";
const ARGUMENT: &str = "501 5.5.4 Malformed argument\r\n";
const DOMAIN: &str = "501 Malformed domain\r\n";
const SENDER: &str = "501 5.1.7 Malformed reverse-path\r\n";
const RECIPIENT: &str = "501 5.1.3 Malformed forward-path\r\n";
const PARAMETER: &str = "555 5.5.4 Parameter not recognized or not offered\r\n";
const FOREIGN: &str = "421 4.7.0 This is SMTP, closing\r\n";
const OK: &str = "250 2.0.0 OK\r\n";
const BYE: &str = "221 2.0.0 Bye\r\n";
const SIZE: &str = "552 5.3.4 Message exceeds the size limit\r\n";

/// A line without its CRLF, sent after EHLO, and its reply.
#[rustfmt::skip]
const AFTER_EHLO: &[(&[u8], &str)] = &[
    // Not a command.
    (b"", UNKNOWN),
    (b"   ", UNKNOWN),
    (b"\t", UNKNOWN),
    (b"XYZZY", UNKNOWN),
    (b" NOOP", UNKNOWN),
    (b"NOOPS", UNKNOWN),
    (b"NOO", UNKNOWN),
    (b"N", UNKNOWN),
    (b"MAILFROM:<a@b.example>", UNKNOWN),
    (b"MAIL:FROM <a@b.example>", UNKNOWN),
    (b"DATA.", UNKNOWN),
    (b"STARTTLSX", UNKNOWN),
    (b"STARTTL", UNKNOWN),
    (b"\x21\x20%s%n", UNKNOWN),
    // RFC 5321 §2.4: verbs in any letter case; §4.1.1: white space before CRLF is tolerated.
    (b"noop", OK),
    (b"NoOp", OK),
    (b"NOOP ", OK),
    (b"NOOP\t", OK),
    (b"NOOP \t \t", OK),
    (b"RSET  ", OK),
    // Only ASCII's letters are letters: a bit less or more makes no verb.
    (b"NO/P", UNKNOWN),
    (b"QUI\x14", CONTROL),
    (b"\xceOOP", NOT_ASCII),
    (b"NOOP \xe2\x84\xaa", NOT_ASCII),
    // Control octets, bare CR and LF among them; NUL; DEL; with octets above 127 as well.
    (b"NOOP a\rb", CONTROL),
    (b"NOOP a\nb", CONTROL),
    (b"NOOP\nQUIT", CONTROL),
    (b"NOOP\rQUIT", CONTROL),
    (b"NOOP\r", CONTROL),
    (b"\nNOOP", CONTROL),
    (b"\rNOOP", CONTROL),
    (b"NOOP\0", CONTROL),
    (b"NOOP\tx", CONTROL),
    (b"NOOP \x7f", CONTROL),
    (b"NOOP \x1f", CONTROL),
    (b"NOOP \x80\x01", CONTROL),
    (b"NOOP \x80", NOT_ASCII),
    (b"NOOP \xff", NOT_ASCII),
    (b"MAIL FROM:<\xc3\xa9@b.example>", NOT_ASCII),
    (b"\xff\xf4\xff\xfd\x06", CONTROL),
    // Arguments that are missing, not allowed or not of the form.
    (b"EHLO", DOMAIN),
    (b"HELO ", DOMAIN),
    (b"EHLO a b", DOMAIN),
    (b"EHLO -a", DOMAIN),
    (b"EHLO a-", DOMAIN),
    (b"EHLO [1.2.3]", DOMAIN),
    (b"EHLO [1.2.3.4", DOMAIN),
    (b"EHLO a..b", DOMAIN),
    (b"DATA x", "503 5.5.1 Send MAIL first\r\n"),
    (b"RSET x", ARGUMENT),
    (b"QUIT x", ARGUMENT),
    (b"VRFY", ARGUMENT),
    (b"MAIL", ARGUMENT),
    (b"MAIL FROM", ARGUMENT),
    (b"MAIL FROM<a@b.example>", ARGUMENT),
    (b"MAIL FROM <a@b.example>", ARGUMENT),
    (b"MAIL TO:<a@b.example>", ARGUMENT),
    // Two differences of one kind are no equality.
    (b"MAIL GSOM:<a@b.example>", ARGUMENT),
    (b"MAIL <a@b.example>", ARGUMENT),
    (b"MAIL FROM:<a@b.example>SIZE=1", ARGUMENT),
    (b"MAIL FROM:<a@b.example>x", ARGUMENT),
    (b"MAIL FROM:<a@b.example>>", ARGUMENT),
    (b"MAIL FROM:<a@b.example> SIZE", ARGUMENT),
    (b"MAIL FROM:<a@b.example> SIZE=", ARGUMENT),
    (b"MAIL FROM:<a@b.example> SIZE=x", ARGUMENT),
    (b"MAIL FROM:<a@b.example> SIZE=1 SIZE=1", ARGUMENT),
    (b"MAIL FROM:<a@b.example> SIZE=1=2", ARGUMENT),
    (b"MAIL FROM:<a@b.example> =", ARGUMENT),
    (b"MAIL FROM:<a@b.example> BODY", ARGUMENT),
    (b"MAIL FROM:<a@b.example> BODY=", ARGUMENT),
    // RFC 3030 §3: BINARYMIME is another extension's.
    (b"MAIL FROM:<a@b.example> BODY=BINARYMIME", ARGUMENT),
    // Paths.
    (b"MAIL FROM:", SENDER),
    (b"MAIL FROM:a@b.example", SENDER),
    (b"MAIL FROM: <a@b.example>", SENDER),
    (b"MAIL FROM:<a@b.example", SENDER),
    (b"MAIL FROM:< a@b.example>", SENDER),
    (b"MAIL FROM:<a@b.example >", SENDER),
    (b"MAIL FROM:<<a@b.example>>", SENDER),
    (b"MAIL FROM:<a>", SENDER),
    (b"MAIL FROM:<@b.example>", SENDER),
    (b"MAIL FROM:<a@>", SENDER),
    (b"MAIL FROM:<a@b..example>", SENDER),
    (b"MAIL FROM:<Postmaster>", SENDER),
    (b"MAIL FROM:<a@b.example,c@d.example>", SENDER),
    // Parameters.
    (b"MAIL FROM:<a@b.example> X", PARAMETER),
    (b"MAIL FROM:<a@b.example> AUTH=<>", PARAMETER),
    (b"MAIL FROM:<a@b.example> RET=FULL", PARAMETER),
    (b"MAIL FROM:<a@b.example> SMTPUTF8", PARAMETER),
    (b"MAIL FROM:<a@b.example> SIZE=33554433", SIZE),
    // And what is right.
    (b"MAIL FROM:<>", "250 2.1.0 OK\r\n"),
    (b"mail from:<a@b.example> size=33554432 body=7bit", "250 2.1.0 OK\r\n"),
    (b"MAIL  FROM:<a@b.example>   SIZE=1  BODY=8BITMIME  ", "250 2.1.0 OK\r\n"),
    (b"MAIL FROM:<@r.example,@s.example:a@b.example>", "250 2.1.0 OK\r\n"),
];

/// The same within a transaction.
const AFTER_MAIL: &[(&[u8], &str)] = &[
    (b"RCPT", ARGUMENT),
    (b"RCPT T", ARGUMENT),
    (b"RCPT TO", ARGUMENT),
    (b"RCPT TO<a@b.example>", ARGUMENT),
    (b"RCPT FROM:<a@b.example>", ARGUMENT),
    (b"RCPT TO:<a@b.example>x", ARGUMENT),
    (b"RCPT TO:", RECIPIENT),
    (b"RCPT TO:<>", RECIPIENT),
    (b"RCPT TO: <a@b.example>", RECIPIENT),
    (b"RCPT TO:a@b.example", RECIPIENT),
    (b"RCPT TO:<a>", RECIPIENT),
    (b"RCPT TO:<\"a@b.example>", RECIPIENT),
    (b"RCPT TO:<a@b.example> X", PARAMETER),
    (b"RCPT TO:<a@b.example> NOTIFY=NEVER", PARAMETER),
    (b"RCPT TO:<a@b.example> SIZE=1", PARAMETER),
    (b"rcpt to:<POSTMASTER>", "250 2.1.5 OK\r\n"),
    (b"RCPT TO:<\"a b\"@b.example>", "250 2.1.5 OK\r\n"),
];

/// Sends a line in one piece and in every cut of two; the reply is this one, and a command behind it works.
fn check(config: &Config<'_>, way: &[&str], line: &[u8], reply: &str) {
    let octets = [line, b"\r\n"].concat();
    for cut in 0..octets.len() {
        let mut talk = Talk::after(config, Notes::new(), way);
        let said = talk.say(&octets[..cut]) + &talk.say(&octets[cut..]);
        assert_eq!(said, built(reply), "{} cut at {cut}", line.escape_ascii());
        let heard = talk.handler.take();
        assert_eq!(heard.is_empty(), !reply.contains(" 2.1."), "{}: {heard}", line.escape_ascii());
        assert_eq!(talk.code("NOOP"), 250);
    }
}

#[test]
fn lines_after_ehlo() {
    let config = Config::new("mx.example.org");
    for (line, reply) in AFTER_EHLO {
        check(&config, &["EHLO c.example"], line, reply);
    }
}

#[test]
fn lines_within_a_transaction() {
    let config = Config::new("mx.example.org");
    let way = ["EHLO c.example", "MAIL FROM:<a@b.example>"];
    for (line, reply) in AFTER_MAIL {
        check(&config, &way, line, reply);
    }
    let way = [&way[..], &["RCPT TO:<c@d.example>"]].concat();
    check(&config, &way, b"DATA x", ARGUMENT);
}

#[test]
fn parameters_need_ehlo() {
    // RFC 5321 §4.1.1.11, §3.2: a client that said HELO was offered nothing.
    let config = Config::new("mx.example.org");
    for param in ["SIZE=1", "BODY=8BITMIME", "X"] {
        check(&config, &["HELO c.example"], format!("MAIL FROM:<> {param}").as_bytes(), PARAMETER);
    }
    // Nor can it use what is switched off.
    let mut bare = config;
    bare.extensions = smtpd_core::server::Extensions::NONE;
    let mut talk = Talk::after(&bare, Notes::new(), &[]);
    assert_eq!(talk.say("EHLO c.example\r\n"), "250 mx.example.org\r\n");
    assert_eq!(
        talk.say("MAIL FROM:<> SIZE=1\r\nQUIT\r\n"),
        "555 Parameter not recognized or not offered\r\n221 Bye\r\n"
    );
}

#[test]
fn nothing_is_echoed() {
    let config = Config::new("mx.example.org");
    for line in ["XECHO", "MAIL FROM:<XECHO", "RCPT TO:<XECHO@d.example>", "EHLO XECHO XECHO", "MAIL FROM:<> XECHO"] {
        let mut talk = Talk::after(&config, Notes::new(), &["EHLO c.example"]);
        assert!(!talk.say(format!("{line}\r\n")).contains("ECHO"), "{line}");
    }
}

#[test]
fn a_tls_client_hears_at_once_what_this_is() {
    let config = Config::new("mx.example.org");
    for hello in [&b"\x16"[..], b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"\x16\r\n"] {
        let mut talk = Talk::after(&config, Notes::new(), &[]);
        assert_eq!((talk.say(hello), talk.progress), (built(FOREIGN), Progress::Closed));
        assert_eq!(talk.handler.take(), "closed Limit");
    }
    // Anywhere else it is a control octet like others: inside the first line, even a long one that is cut there, and later.
    for way in [&b"XYZZY"[..], b"NOOP\r\n", &[b'x'; 1_024], &[b'x'; 1_023], &[b'x'; 3_000]] {
        let octets = [way, b"\x16\x16\r\nNOOP\r\n"].concat();
        let mut talk = Talk::after(&config, Notes::new(), &[]);
        let whole = talk.say(&octets);
        assert!(whole.ends_with(&built(OK)) && whole.contains("500"), "{whole}");
        for cut in [way.len(), way.len() + 1, way.len() + 2] {
            let mut talk = Talk::after(&config, Notes::new(), &[]);
            assert_eq!(talk.say(&octets[..cut]) + &talk.say(&octets[cut..]), whole, "cut at {cut}");
        }
    }
}

#[test]
fn a_browser_is_answered_no_further_than_to_its_first_header() {
    let config = Config::new("mx.example.org");
    let long = format!("POST /{} HTTP/1.1", "a".repeat(2_000));
    for (request, reply) in [
        ("GET / HTTP/1.1", UNKNOWN),
        ("get / HTTP/1.1 ", UNKNOWN),
        // A page chooses the method and the length of the request.
        ("NOOP / HTTP/1.1", OK),
        (&long, TOO_LONG),
    ] {
        for header in ["Host: a", "host:  a", "X-Y:", "X-Y: ", ":"] {
            for way in [&[][..], &["EHLO c.example", "MAIL FROM:<>"]] {
                let mut talk = Talk::after(&config, Notes::new(), way);
                let said = talk.say(format!("{request}\r\n{header}\r\n\r\nRCPT TO:<evil@b.example>\r\n"));
                assert_eq!((said, talk.progress), (built(reply) + &built(FOREIGN), Progress::Closed), "{request}");
                assert_eq!(talk.handler.take(), "closed Limit");
            }
        }
    }
    // Only the first word says so, and only where it is no command.
    check(&config, &["EHLO c.example"], b"NOOP a: b", OK);
    check(&config, &["EHLO c.example"], b"GET http://a/", UNKNOWN);
    check(&config, &["EHLO c.example"], b"MAILFROM:<a@b.example>", UNKNOWN);
}

#[test]
fn binary_ends_at_the_limit_of_errors() {
    let config = Config::new("mx.example.org");
    let mut octets = Vec::new();
    for number in 0..30_000_u32 {
        octets.push((number.wrapping_mul(2_654_435_761) >> 13) as u8 | 1);
        if number % 500 == 499 {
            octets.extend_from_slice(b"\r\n");
        }
    }
    octets[0] = b'x';
    let mut talk = Talk::after(&config, Notes::new(), &[]);
    let codes = final_codes(talk.say(&octets).as_bytes());
    assert_eq!((codes.len(), codes.last(), talk.progress), (21, Some(&421), Progress::Closed));
    assert!(codes[..20].iter().all(|code| matches!(code, 500 | 501)));
}

#[test]
fn quit_is_the_last_word() {
    let config = Config::new("mx.example.org");
    let mut talk = Talk::after(&config, Notes::new(), &[]);
    assert_eq!(talk.say("QUIT \r\nNOOP\r\nMAIL FROM:<>\r\n"), built(BYE));
    assert_eq!(talk.left, b"NOOP\r\nMAIL FROM:<>\r\n");
}
