//! A leg by itself: which connection its commands take, and how many may stand open.

use smtpd_core::relay::{Leg, Need};
use smtpd_core::server::{Answer, Extensions};

/// What the server says to all that the leg has to say by now; how many answers the relay then has.
fn hears(leg: &mut Leg, replies: &str) -> usize {
    leg.sent(leg.output().len());
    let (mut input, mut answers) = (replies.as_bytes(), 0);
    while !input.is_empty() {
        let before = input.len();
        leg.receive(&mut input);
        answers += usize::from(!matches!(leg.answer(), Answer::Later));
        if input.len() == before {
            break;
        }
    }
    answers
}

/// A leg whose server took a MAIL.
fn begun() -> Leg {
    let mut leg = Leg::new(([192, 0, 2, 25], 25).into(), "relay.example");
    leg.open();
    leg.hello();
    assert!(matches!(leg.need(), Need::Connect(_)));
    leg.connected();
    assert_eq!(hears(&mut leg, "220 hi\r\n"), 1);
    assert_eq!(hears(&mut leg, "250-hi\r\n250 PIPELINING\r\n"), 1);
    leg.mail(b"a@a.example", b"", Extensions::NONE);
    assert_eq!(hears(&mut leg, "250 ok\r\n"), 1);
    leg
}

#[test]
fn a_server_that_answers_rset_with_421_is_called_anew() {
    for (reply, is_kept) in [("250 ok\r\n", true), ("550 no\r\n", true), ("421 bye\r\n", false)] {
        let mut leg = begun();
        leg.reset();
        assert_eq!(leg.output(), b"RSET\r\n");
        assert_eq!(hears(&mut leg, reply), usize::from(!is_kept), "{reply:?}");
        assert_eq!(leg.need(), if is_kept { Need::Nothing } else { Need::Close }, "{reply:?}");
        if !is_kept {
            leg.lost();
        }
        leg.mail(b"b@b.example", b"", Extensions::NONE);
        assert_eq!(matches!(leg.need(), Need::Connect(_)), !is_kept, "{reply:?}");
        assert_eq!(leg.output(), if is_kept { &b"MAIL FROM:<b@b.example>\r\n"[..] } else { b"" }, "{reply:?}");
    }
}

#[test]
fn one_more_question_may_stand_open_while_there_is_room() {
    let mut leg = begun();
    for open in 0..40 {
        assert_eq!(leg.backlog(), open + 1);
        leg.rcpt(b"c@c.example", b"");
    }
    assert_eq!(hears(&mut leg, &"250 ok\r\n".repeat(30)), 30);
    assert_eq!(leg.backlog(), 11);
    // The longest command does not fit any more.
    while leg.can_send() {
        leg.rcpt(&b"c".repeat(400), b"");
    }
    let open = leg.backlog();
    leg.sent(leg.output().len());
    assert_eq!(leg.backlog(), open + 1);
}
