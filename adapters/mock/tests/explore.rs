//! `explore` finds what goes wrong in one way only, and shows it by a script that is small, true, and can be played again.

use std::io::{Read, Write};

use smtpd_core::server::{Answer, Flow, Handler, Rcpt};
use smtpd_mock::{Act, Bounds, Failure, Found, Reads, Script, Side, What, Wire, explore};

const MAIL: &str = "\
S: 220 {*}
C: HELO me
S: 250 {*}
C: MAIL FROM:<a@b.example>
S: 250 {*}
C: RCPT TO:<c@d.example>
S: 250 {*}
C: DATA
S: 354 {*}
B: Hi\\r\\n..\\r\\n.\\r\\n
S: 250 {*}
C: QUIT
S: 221 {*}
";

/// Keeps texts, wrongly in one of these ways.
#[derive(Default)]
struct Keeper {
    wrong: &'static str,
    text: Vec<u8>,
    pieces: usize,
    kept: Vec<Vec<u8>>,
}

impl Handler for Keeper {
    fn rcpt(&mut self, _: Rcpt<'_>) -> Answer<'_> {
        (self.text, self.pieces) = (Vec::new(), 0);
        Answer::Accept
    }
    fn text(&mut self, octets: &[u8]) -> Flow<'_> {
        self.pieces += 1;
        if self.wrong != "only the first piece" || self.pieces == 1 {
            self.text.extend_from_slice(octets);
        }
        Flow::Continue
    }
    fn message(&mut self, _: u16) -> Answer<'_> {
        self.kept.push(std::mem::take(&mut self.text));
        Answer::Accept
    }
    fn closed(&mut self, _: smtpd_core::server::Ending) {
        if self.wrong == "what is not complete" && !self.text.is_empty() {
            self.kept.push(std::mem::take(&mut self.text));
        }
    }
}

fn run(wrong: &'static str, bounds: Bounds) -> Result<u32, Box<Found>> {
    let script = Script::parse("mail.txt", MAIL).unwrap();
    explore(&script, Side::Client, bounds, |script| {
        let mut keeper = Keeper { wrong, ..Keeper::default() };
        let played = script.play(&mut keeper)?;
        let texts: Vec<&String> = played.heard.iter().filter(|call| call.starts_with("message")).collect();
        assert_eq!(keeper.kept.len(), texts.len(), "messages that are kept");
        match is_whole(script) && keeper.kept != [b"Hi\r\n.\r\n"] {
            true => Err(Failure::from("the text is not whole")),
            false => Ok(()),
        }
    })
}

/// Whether a script says all of the mail.
fn is_whole(script: &Script) -> bool {
    let breaks =
        script.entries.iter().any(|entry| matches!(entry.what, What::Act(Act::Drop | Act::Reset | Act::Stall)));
    !breaks && script.to_string().contains(r"B: Hi\r\n..\r\n.\r\n")
}

#[test]
fn what_is_right_passes() {
    // 80 octets in six turns: two modes of six reads and 79 cuts each, three ends at each octet and behind each turn, seven
    // damages of each octet.
    assert_eq!(run("", Bounds::default()).unwrap(), 2 * (6 + 79) + 10 * 80 + 3 * 6);
    let mut bounds = Bounds::default();
    (bounds.cuts, bounds.ends, bounds.damage) = (false, false, false);
    assert_eq!(run("", bounds).unwrap(), 12);
    // Fewer octets are spread over all of it.
    bounds = Bounds::default();
    bounds.octets = 10;
    assert_eq!(run("", bounds).unwrap(), 2 * (6 + 10) + 10 * 10 + 3 * 6);
}

#[test]
fn a_fault_of_a_cut_is_found() {
    let found = run("only the first piece", Bounds::default()).unwrap_err();
    assert!(found.to_string().contains("the text is not whole"), "{found}");
    assert_eq!(Script::parse("again.txt", &found.script.to_string()).unwrap().to_string(), found.script.to_string());
}

#[test]
fn a_fault_of_an_end_is_found() {
    let found = run("what is not complete", Bounds::default()).unwrap_err();
    assert!(matches!(&found.failure, Failure::Broken(why) if why.contains("messages that are kept")), "{found}");
    // All that is needed for a text, a piece of it, and the end.
    let text = found.script.to_string();
    assert!(text.ends_with("!drop\n") && found.script.entries.len() <= 8, "{found}");
    // It is as wrong as the first, and a handler that does right passes it.
    let play = |wrong| {
        let mut keeper = Keeper { wrong, ..Keeper::default() };
        found.script.play(&mut keeper).map(|_| keeper.kept.len())
    };
    assert_eq!((play("what is not complete").unwrap(), play("").unwrap()), (1, 0));
}

#[test]
fn a_server_that_ends_and_lies_is_met() {
    /// Says what the server said last, if it closed in order.
    fn client(mut wire: Wire) -> Option<Vec<u8>> {
        let mut said = Vec::new();
        wire.write_all(b"QUIT\r\n").ok()?;
        wire.read_to_end(&mut said).ok().map(|_| said)
    }
    let script = Script::parse("quit.txt", "S: 220 hi\nC: QUIT\nS: 221 bye\n").unwrap();
    let (mut ends, mut whole, mut others) = (0, 0, 0);
    let runs = explore(&script, Side::Server, Bounds::default(), |script| {
        let (said, played) = script.serve(client)?;
        match said {
            None => ends += 1,
            Some(said) if said == b"220 hi\r\n221 bye\r\n" => whole += 1,
            Some(_) => others += 1,
        }
        assert_eq!(played.said, if script.octets_of(Side::Server) > 0 { &b"QUIT\r\n"[..] } else { &played.said });
        Ok(())
    });
    // 17 octets, and a turn before QUIT: reads and cuts are whole, and a CR or LF that is turned into one; stalls and resets are none; drops and
    // damages are others.
    assert_eq!(runs.unwrap(), 6 + 16 + 17 * 10 + 3);
    assert_eq!((whole, ends), (6 + 16 + 4, 2 * 17 + 2), "{others} others");
}

#[test]
fn what_fails_at_once_is_shown_whole() {
    let script = Script::parse("mail.txt", &MAIL.replace("S: 354 {*}", "S: 250 {*}")).unwrap();
    let found = explore(&script, Side::Client, Bounds::default(), |script| {
        Ok(script.play(&mut Keeper::default()).map(drop)?)
    })
    .unwrap_err();
    let Failure::Mismatch(mismatch) = &found.failure else { panic!("{found}") };
    assert_eq!((&mismatch.expected[..], &mismatch.got[..4]), ("250 {*}\\r\\n", "354 "));
    assert_eq!(found.script.reads, Reads::Of(usize::MAX));
    assert_eq!(mismatch.line, found.script.to_string().lines().position(|line| line == "S: 250 {*}").unwrap() + 1);
    assert!(format!("{found:?}").starts_with("mail.txt fails: whole reads (run 1;"), "{found}");
}
