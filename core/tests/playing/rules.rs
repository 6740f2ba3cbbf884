//! What must be true of each session, whatever was said.

use super::{Manners, Outcome};
use crate::common::{Verdict, final_codes};

/// With a backlog, recipients behind a MAIL that is refused, or behind a 421, may have been asked about or not: that is a
/// matter of time.
pub fn without_recipients_of_nobody(manners: &Manners, outcome: Outcome) -> Outcome {
    let mut is_over = false;
    let heard = outcome.heard.into_iter().filter(|asked| {
        let is_dropped = is_over && asked.starts_with("rcpt ");
        if asked.starts_with("mail ") {
            is_over = !manners.accepts(asked);
        }
        is_over |= matches!(manners.rule(asked), Verdict::Say(421, _));
        !is_dropped
    });
    Outcome { heard: heard.collect(), ..outcome }
}

/// Goes over the input as a client that knows only the wire: each command and each text has its reply, in order, up
/// to the one that closes, and nothing else has any.
pub fn hold_replies_against_input(input: &[u8], outcome: &Outcome, lmtp: bool, limit: usize) {
    let codes = final_codes(outcome.said.as_bytes());
    let mut codes = codes.iter().copied();
    let closes = |code: u16| code == 421 || code == 221;
    // Lines of texts too, which no reply is about.
    let too_long = lines(input).filter(|line| line.len() > limit).count();
    assert!(outcome.said.matches("Line too long").count() <= too_long, "a line was within the limit");
    let mut recipients = 0;
    let mut rest = input;
    let mut is_first = true;
    let greeting = codes.next().expect("a greeting");
    if closes(greeting) {
        return assert_eq!((codes.next(), outcome.is_closed), (None, true), "more than the last reply");
    }
    assert!(greeting == 220 || greeting >= 400);
    loop {
        if is_first && rest.first() == Some(&22) {
            assert_eq!((codes.next(), codes.next(), outcome.is_closed), (Some(421), None, true));
            return;
        }
        is_first = false;
        let Some(end) = rest.windows(2).position(|pair| pair == b"\r\n") else {
            return assert_eq!((codes.next(), outcome.is_closed), (None, false), "half a line is no command");
        };
        let (line, behind) = (&rest[..end], &rest[end + 2..]);
        let code = codes.next().unwrap_or_else(|| panic!("no reply to {}", line.escape_ascii()));
        if closes(code) {
            return assert_eq!((codes.next(), outcome.is_closed), (None, true), "more than the last reply");
        }
        assert!(end + 2 <= limit || code == 500, "a line over the limit was executed: {code}");
        rest = behind;
        match (line.get(..4).map(<[u8]>::to_ascii_uppercase).as_deref(), code) {
            (Some(b"MAIL"), 250) => recipients = 0,
            (Some(b"RCPT"), 250 | 251) => recipients += 1,
            (Some(b"DATA"), 354) => {
                let whole = [b"\r\n", rest].concat();
                let Some(end) = whole.windows(5).position(|five| five == b"\r\n.\r\n") else {
                    let last = codes.next();
                    assert_eq!((last.unwrap_or(421), codes.next(), outcome.is_closed), (421, None, last.is_some()));
                    return;
                };
                for _ in 0..if lmtp { recipients } else { 1 } {
                    let code = codes.next().expect("a reply to the text");
                    if closes(code) {
                        return assert_eq!((codes.next(), outcome.is_closed), (None, true));
                    }
                    assert!(code == 250 || code >= 400);
                }
                rest = &rest[end + 3..];
            }
            _ => assert_ne!(code, 354),
        }
    }
}

/// The lines, with their CRLF.
fn lines(octets: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = octets;
    std::iter::from_fn(move || {
        let end = rest.windows(2).position(|pair| pair == b"\r\n")? + 2;
        rest.split_off(..end)
    })
}

/// Each accepted MAIL ends in one of the last `message`, `reset`, `closed`; nothing comes behind `closed`.
pub fn hold_transactions(manners: &Manners, outcome: &Outcome, lmtp: bool) {
    let (mut is_open, mut recipients) = (false, 0);
    let (last, before) = outcome.heard.split_last().expect("at least the end is heard");
    assert!(last.starts_with("closed"), "{last}");
    for asked in before {
        match asked.split(' ').next() {
            Some("mail") => {
                assert!(!is_open, "{:?}", outcome.heard);
                (is_open, recipients) = (manners.accepts(asked), 0);
            }
            Some("rcpt") => recipients += u16::from(is_open && manners.accepts(asked)),
            Some("reset") => assert!(std::mem::take(&mut is_open), "{:?}", outcome.heard),
            Some("message") => {
                assert!(is_open && recipients > 0, "{:?}", outcome.heard);
                let number: u16 = asked.split(' ').nth(1).unwrap().parse().unwrap();
                is_open = lmtp && number + 1 < recipients;
            }
            Some("data" | "refused") => assert!(is_open && recipients > 0),
            Some("closed") => panic!("closed twice"),
            _ => {}
        }
    }
}

/// Each answer of the handler is a reply, and they come in the order of the questions.
pub fn hold_answers(manners: &Manners, outcome: &Outcome) {
    let codes = final_codes(outcome.said.as_bytes());
    let mut codes = codes.iter();
    let refusal = manners.refuses.map_or(0, |(_, code)| if code < 400 { 451 } else { code });
    for asked in &outcome.heard {
        let code = match asked.split(' ').next() {
            Some("reset" | "closed") => continue,
            Some("refused") => refusal,
            _ => manners.code(asked),
        };
        let is_said = codes.any(|said| *said == code);
        // The reply to a text that is refused waits for its end, which may never come.
        assert!(is_said || asked.starts_with("refused"), "{asked}: {code} is missing in {}", outcome.said);
    }
}
