//! Tests of a handler without a network: `cargo run --example mock_session`. In your own crate these are `#[test]` functions,
//! and smtpd-mock is a dev-dependency.

use smtpd_core::server::{Answer, Flow, Handler, Mail, Rcpt, Reply};
use smtpd_mock::{Bounds, Failure, Script, Side, explore};

/// The handler to be tested: a mailbox for one person, with room for few octets.
#[derive(Default)]
struct Mailbox {
    text: Vec<u8>,
    kept: Vec<Vec<u8>>,
}

impl Handler for Mailbox {
    fn mail(&mut self, _: Mail<'_>) -> Answer<'_> {
        self.text.clear();
        Answer::Accept
    }

    fn rcpt(&mut self, rcpt: Rcpt<'_>) -> Answer<'_> {
        match rcpt.forward_path.as_octets() {
            b"me@device.example" => Answer::Accept,
            _ => Answer::Reply(Reply::new(550, "No such user here").enhanced(1, 1)),
        }
    }

    fn text(&mut self, octets: &[u8]) -> Flow<'_> {
        if self.text.len() + octets.len() > 40 {
            return Flow::Refuse(Reply::new(552, "Mailbox full").enhanced(2, 2));
        }
        self.text.extend_from_slice(octets);
        Flow::Continue
    }

    fn message(&mut self, _recipient: u16) -> Answer<'_> {
        self.kept.push(std::mem::take(&mut self.text));
        Answer::Accept
    }
}

/// `C:` is said to the session, `S:` has to be its answer; `{*}` is whatever you like, `250 {...}` a reply of any lines.
const MAIL: &str = r"
S: 220 {*}
C: EHLO a.example
S: 250 {...}
C: MAIL FROM:<a@a.example>
S: 250 {*}
C: RCPT TO:<you@device.example>
S: 550 5.1.1 No such user here
C: RCPT TO:<me@device.example>
S: 250 {*}
C: DATA
S: 354 {*}
B: Subject: hi\r\n\r\n..\r\n.\r\n
S: 250 {*}
C: QUIT
S: 221 {*}
";

/// A client that goes silent inside a text that is too long; the five minutes take no time.
const TOO_LONG: &str = r"
S: 220 {*}
C: HELO a.example
S: 250 {*}
C: MAIL FROM:<a@a.example>
S: 250 {*}
C: RCPT TO:<me@device.example>
S: 250 {*}
C: DATA
S: 354 {*}
B: \(50:x)\r\n
@+2m
B: .\r\n
S: 552 5.2.2 Mailbox full
@+5m
S: 421 4.4.2 Timeout, closing
";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let script = Script::parse("mail", MAIL)?;
    let mut mailbox = Mailbox::default();
    script.play(&mut mailbox)?;
    assert_eq!(mailbox.kept, [b"Subject: hi\r\n\r\n.\r\n"]);
    println!("a mail arrives as it was sent");

    let mut mailbox = Mailbox::default();
    let played = Script::parse("too long", TOO_LONG)?.play(&mut mailbox)?;
    assert!(mailbox.kept.is_empty());
    println!("one that is too long does not, {} s later", played.took.as_secs());

    // Wherever the mail is cut, the connection breaks or an octet is damaged: what was answered 250 is kept, nothing else.
    let runs = explore(&script, Side::Client, Bounds::default(), is_kept_if_accepted)?;
    println!("and so it is in {runs} other ways to send the mail");
    Ok(())
}

fn is_kept_if_accepted(script: &Script) -> Result<(), Failure> {
    let mut mailbox = Mailbox::default();
    let played = script.play(&mut mailbox)?;
    let accepted = played.heard.iter().filter(|call| call.starts_with("message")).count();
    match mailbox.kept.len() == accepted {
        true => Ok(()),
        false => Err(format!("{accepted} were accepted, and {} are kept", mailbox.kept.len()).into()),
    }
}
