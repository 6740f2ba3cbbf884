//! Handlers that are listened to, and what is answered late.

use std::task::Waker;

use smtpd_core::server::{Answer, Ending, Extensions, Flow, Handler, Mail, Peer, Rcpt, Reply, Session};
use smtpd_mock::{Memory, Script, play};

fn script(text: &str) -> Script {
    Script::parse("a.txt", text).unwrap()
}

/// Answers MAIL and RCPT when it is asked again: the first MAIL by no, if it is so minded.
#[derive(Default)]
struct Late {
    refuses: bool,
    open: Vec<bool>,
}

impl Handler for Late {
    fn mail(&mut self, _: Mail<'_>) -> Answer<'_> {
        self.open.push(std::mem::take(&mut self.refuses));
        Answer::Later
    }
    fn rcpt(&mut self, _: Rcpt<'_>) -> Answer<'_> {
        self.open.push(false);
        Answer::Later
    }
    fn text(&mut self, _: &[u8]) -> Flow<'_> {
        Flow::Continue
    }
    fn message(&mut self, _: u16) -> Answer<'_> {
        Answer::Accept
    }
    fn backlog(&self) -> u16 {
        3
    }
    fn resume(&mut self, _: &Waker) -> Answer<'_> {
        // Not before all that may come has come.
        match self.open.len() {
            0 => Answer::Later,
            _ if self.open.remove(0) => {
                self.open.clear();
                Answer::Reply(Reply::new(451, "Not now"))
            }
            _ => Answer::Accept,
        }
    }
}

const GROUP: &str = "@ pipelined\n@ backlog 3\nS: 220 {*}\nC: EHLO a\nS: 250 {...}\n";
const ENVELOPE: &str = "C: MAIL FROM:<a@a>\nC: RCPT TO:<b@b>\nC: RCPT TO:<c@b>\n";
const REST: &str = "C: DATA\nS: 354 {*}\nB: Hi\\r\\n.\\r\\n\nS: 250 {*}\nC: QUIT\nS: 221 {*}\nH: mail *\nH: rcpt *\nH: rcpt *\n\
                    H: text \"Hi\\r\\n\"\nH: message 0\nH: closed Quit\n";

#[test]
fn transactions_of_late_answers() {
    let taken = "S: 250 {*}\nS: 250 {*}\nS: 250 {*}\n";
    script(&format!("{GROUP}{ENVELOPE}{taken}{REST}")).play(&mut Late::default()).unwrap();
    // What was refused was no transaction, and the next is the first.
    let refused = "S: 451 {*}\nS: 503 {*}\nS: 503 {*}\n";
    let calls = "H: mail *\nH?: rcpt *\nH?: rcpt *\n";
    let text = format!("{GROUP}{ENVELOPE}{calls}{refused}{ENVELOPE}{taken}{REST}");
    script(&text).play(&mut Late { refuses: true, ..Late::default() }).unwrap();
}

#[test]
fn the_scripts_handler_with_a_backlog() {
    for (answer, replies) in [("later*3", ["250", "250", "550"]), ("later*2 451 No", ["451", "503", "503"])] {
        let [mail, first, second] = replies.map(|code| format!("S: {code} {{*}}\n"));
        let text = format!(
            "{GROUP}{ENVELOPE}H: mail * => {answer}\nH: rcpt *\nH: rcpt * => 550 No\n{mail}{first}{second}!drop\nH: closed Lost\n"
        );
        play(&script(&text), &Memory::new(|config| Session::new(config, Peer::default()))).unwrap();
    }
}

/// Refuses each MAIL but the second, at once.
#[derive(Default)]
struct Second(u32);

impl Handler for Second {
    fn mail(&mut self, _: Mail<'_>) -> Answer<'_> {
        self.0 += 1;
        if self.0 == 2 { Answer::Accept } else { Answer::Reply(Reply::new(451, "Not now")) }
    }
    fn rcpt(&mut self, _: Rcpt<'_>) -> Answer<'_> {
        Answer::Accept
    }
    fn text(&mut self, _: &[u8]) -> Flow<'_> {
        Flow::Continue
    }
    fn message(&mut self, _: u16) -> Answer<'_> {
        Answer::Accept
    }
    fn closed(&mut self, why: Ending) {
        assert_eq!(why, Ending::Quit);
    }
}

#[test]
fn a_refused_mail_is_no_transaction() {
    let mail = "C: MAIL FROM:<a@a>\n";
    let text = format!(
        "S: 220 {{*}}\nC: HELO a\nS: 250 {{*}}\n{mail}S: 451 {{*}}\n{mail}S: 250 {{*}}\nC: RSET\nS: 250 {{*}}\n{mail}S: 451 \
         {{*}}\nC: QUIT\nS: 221 {{*}}\nH: {{...}}\nH: reset\nH: mail *\nH: closed Quit\n"
    );
    script(&text).play(&mut Second::default()).unwrap();
}

/// Takes two octets at a time, and no extension.
struct Narrow;

impl Handler for Narrow {
    fn rcpt(&mut self, _: Rcpt<'_>) -> Answer<'_> {
        Answer::Accept
    }
    fn text(&mut self, octets: &[u8]) -> Flow<'_> {
        assert!(octets.len() <= 2);
        Flow::Continue
    }
    fn message(&mut self, _: u16) -> Answer<'_> {
        Answer::Accept
    }
    fn room(&mut self, _: &Waker) -> usize {
        2
    }
    fn acts_on(&self) -> Extensions {
        Extensions::OWN
    }
}

#[test]
fn room_and_extensions_are_the_handlers() {
    let text = "S: 220 {*}\nC: EHLO a\nS: 250 {...}\nC: MAIL FROM:<>\nS: 250 {*}\nC: RCPT TO:<a@b>\nS: 250 {*}\n";
    let played =
        script(&format!("{text}C: DATA\nS: 354 {{*}}\nB: Hello\\r\\n.\\r\\n\nS: 250 {{*}}\n!drop\n")).play(&mut Narrow);
    let said = played.unwrap().said;
    assert!(!said.windows(8).any(|octets| octets == b"8BITMIME"));
    assert!(said.windows(4).any(|octets| octets == b"SIZE"));
}
