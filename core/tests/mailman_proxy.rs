//! MailmanProxy between a client, an upstream server and a Mailman, each of which goes wrong at each step, in every cut.
#![cfg(feature = "lmtp")]

mod common;
mod two_ends;

use two_ends::far::Act::{Close, Hang, KeepAndClose, Say, SayAndClose};
use two_ends::far::Rules;
use two_ends::*;

/// What goes wrong, once.
struct Row {
    to: &'static [&'static str],
    upstream: Rules,
    mailman: Rules,
    /// What the client hears from MAIL on.
    says: &'static [&'static str],
    /// Who has a copy then: by upstream, by Mailman.
    has: [&'static [&'static str]; 2],
    /// Who has one once the client has tried again what it was told to.
    gets: [&'static [&'static str]; 2],
}

fn play(rows: &[Row], text: &str) {
    for (number, row) in rows.iter().enumerate() {
        for cut in CUTS {
            let what = format!("row {number} in cuts of {cut}: {:?} {:?}", row.upstream, row.mailman);
            let memory = Remembered::default();
            let mut bench = new(&memory, once(row.upstream), once(row.mailman), cut);
            let replies = bench.post("a@c.example", row.to, text);
            check(&replies, row.says, &what);
            assert_eq!([bench.delivered(0), bench.delivered(1)], row.has, "{what}");
            assert!(!bench.is_closed, "{what}");
            let hangs = [row.upstream, row.mailman].concat().iter().any(|(_, act)| *act == Hang);
            assert_eq!(bench.now > 0, hangs, "{what}");
            try_again(&mut bench, row.to, text, &replies);
            assert_eq!([bench.delivered(0), bench.delivered(1)], row.gets, "{what}");
            assert!(memory.all.borrow().is_empty(), "{what}");
            let mut copies = bench.ends.iter().flat_map(|end| &end.delivered);
            assert!(copies.all(|copy| copy.text == text && copy.from == "a@c.example"), "{what}");
            assert_eq!(lines(&bench.say("QUIT\r\n"))[0][..3], *"221", "{what}");
            bench.finish();
        }
    }
}

#[test]
fn mail_goes_to_whom_it_is_for() {
    let rows = [
        (&[ANT, BEE][..], [&[][..], &[ANT, BEE]]),
        (&[ONE, TWO], [&[ONE, TWO], &[]]),
        (&[ANT, ONE, BEE, TWO], [&[ONE, TWO], &[ANT, BEE]]),
    ];
    for (to, has) in rows {
        for cut in CUTS {
            let mut bench = good(cut);
            let oks = vec![OK; to.len()];
            check(&bench.post("a@c.example", to, TEXT), &[&[HI], &oks[..], &[GO, DONE]].concat(), "");
            assert_eq!([bench.delivered(0), bench.delivered(1)], has);
            // Whom it is not for hears nothing.
            assert_eq!([0, 1].map(|end| bench.ends[end].heard.is_empty()), has.map(<[_]>::is_empty));
        }
    }
}

/// A row whose client hears this about the first of two recipients, which is tried again.
macro_rules! first {
    ($end:ident: $($step:literal $act:expr => $reply:expr;)*) => {
        &[$(first!(@ $end $step $act, $reply)),*]
    };
    (@ mailman $step:literal $act:expr, $reply:expr) => {
        Row {
            to: &[ANT, ONE],
            upstream: &[],
            mailman: &[($step, $act)],
            says: &[HI, $reply, OK, GO, DONE],
            has: [&[ONE], &[]],
            gets: [&[ONE], &[ANT]],
        }
    };
    (@ upstream $step:literal $act:expr, $reply:expr) => {
        Row {
            to: &[ONE, ANT],
            upstream: &[($step, $act)],
            mailman: &[],
            says: &[HI, $reply, OK, GO, DONE],
            has: [&[], &[ANT]],
            gets: [&[ONE], &[ANT]],
        }
    };
}

/// A row whose client hears this about DATA, and tries all again.
macro_rules! data {
    ($end:ident: $($step:literal $act:expr => $reply:expr;)*) => {
        &[$(data!(@ $end [($step, $act)] [HI, OK, OK, $reply])),*]
    };
    (text $end:ident: $($step:literal $act:expr => $reply:expr;)*) => {
        &[$(data!(@ $end [($step, $act)] [HI, OK, OK, GO, $reply])),*]
    };
    (@ mailman [$rule:expr] [$($says:expr),*]) => { data!(@@ &[], &[$rule], [$($says),*]) };
    (@ upstream [$rule:expr] [$($says:expr),*]) => { data!(@@ &[$rule], &[], [$($says),*]) };
    (@@ $upstream:expr, $mailman:expr, [$($says:expr),*]) => {
        Row {
            to: &[ANT, ONE],
            upstream: $upstream,
            mailman: $mailman,
            says: &[$($says),*],
            has: [&[], &[]],
            gets: [&[ONE], &[ANT]],
        }
    };
}

#[test]
fn without_mailman_its_recipients_are_put_off_and_all_others_served() {
    play(
        first! { mailman:
            "connect" Close => AWAY;
            "connect" Hang => AWAY;
            "greeting" Close => LOST;
            "greeting" Hang => LOST;
            "greeting" Say("451 4.3.0 busy") => AWAY;
            "greeting" Say("554 5.3.0 no") => AWAY;
            "greeting" SayAndClose("421 4.3.2 off") => AWAY;
            "greeting" Say("SSH-2.0") => STRANGE;
            "LHLO" Close => LOST;
            "LHLO" Hang => LOST;
            "LHLO" Say("500 what?") => AWAY;
            "LHLO" SayAndClose("421 4.3.2 off") => AWAY;
            "MAIL" Close => LOST;
            "MAIL" Hang => LOST;
            "MAIL" Say("451 4.3.0 not now") => "451 4.3.0 ";
            "MAIL" SayAndClose("421 4.3.2 off") => "451 4.3.2 ";
            "MAIL" Say("354 what?") => STRANGE;
            "RCPT" Close => LOST;
            "RCPT" Hang => LOST;
            "RCPT" Say("451 4.3.0 not now") => "451 4.3.0 ";
            "RCPT" SayAndClose("421 4.3.2 off") => "451 4.3.2 ";
        },
        TEXT,
    );
}

#[test]
fn without_upstream_its_recipients_are_put_off_and_the_lists_served() {
    play(
        first! { upstream:
            "connect" Close => AWAY;
            "connect" Hang => AWAY;
            "greeting" Close => LOST;
            "greeting" Hang => LOST;
            "greeting" Say("451 4.3.0 busy") => AWAY;
            "greeting" Say("554 5.3.0 no") => AWAY;
            "greeting" SayAndClose("421 4.3.2 off") => AWAY;
            "greeting" Say("SSH-2.0") => STRANGE;
            "EHLO" Close => LOST;
            "EHLO" Hang => LOST;
            // HELO is not known there, either.
            "EHLO" Say("500 what?") => AWAY;
            "EHLO" SayAndClose("421 4.3.2 off") => AWAY;
            "MAIL" Close => LOST;
            "MAIL" Hang => LOST;
            "MAIL" Say("451 4.3.0 not now") => "451 4.3.0 ";
            "MAIL" SayAndClose("421 4.3.2 off") => "451 4.3.2 ";
            "MAIL" Say("354 what?") => STRANGE;
            "RCPT" Close => LOST;
            "RCPT" Hang => LOST;
            "RCPT" Say("451 4.3.0 not now") => "451 4.3.0 ";
            "RCPT" SayAndClose("421 4.3.2 off") => "451 4.3.2 ";
        },
        TEXT,
    );
}

#[test]
fn nobody_gets_a_text_that_one_does_not_want_to_begin() {
    play(
        data! { mailman:
            "DATA" Close => LOST;
            "DATA" Hang => LOST;
            "DATA" Say("451 4.3.0 not now") => "451 4.3.0 ";
            "DATA" SayAndClose("421 4.3.2 off") => "451 4.3.2 ";
            "DATA" Say("250 what?") => STRANGE;
        },
        TEXT,
    );
    play(
        data! { upstream:
            "DATA" Close => LOST;
            "DATA" Hang => LOST;
            "DATA" Say("451 4.3.0 not now") => "451 4.3.0 ";
            "DATA" SayAndClose("421 4.3.2 off") => "451 4.3.2 ";
            "DATA" Say("250 what?") => STRANGE;
        },
        TEXT,
    );
}

#[test]
fn nobody_gets_a_text_within_which_one_is_lost() {
    let long = TEXT.to_owned() + &"Where the proxy has to wait for both.\r\n".repeat(200);
    let mailman = data! { text mailman:
        "text" Close => LOST;
        "text" Hang => LOST;
        "text" Say("451 4.3.0 what now?") => LOST;
        "text" SayAndClose("421 4.3.2 off") => LOST;
    };
    play(mailman, &long);
    let upstream = data! { text upstream:
        "text" Close => LOST;
        "text" Hang => LOST;
        "text" Say("451 4.3.0 what now?") => LOST;
        "text" SayAndClose("421 4.3.2 off") => LOST;
    };
    play(upstream, &long);
}

#[test]
fn lists_get_nothing_that_upstream_does_not_take() {
    play(
        data! { text upstream:
            "reply 0" Say("451 4.7.1 grey") => "451 4.7.1 grey";
            "reply 0" SayAndClose("421 4.3.2 off") => "451 4.3.2 off";
            "dot" Close => LOST;
            "dot" Hang => LOST;
            "dot" Say("354 what?") => STRANGE;
        },
        TEXT,
    );
    let refused = Row {
        to: &[ANT, ONE],
        upstream: &[("reply 0", Say("554 5.7.1 spam"))],
        mailman: &[],
        says: &[HI, OK, OK, GO, "554 5.7.1 spam"],
        has: [&[], &[]],
        gets: [&[], &[]],
    };
    // Upstream had it and was lost before it could say so: RFC 1047's second copy, but not to the list.
    let doubtful = Row {
        upstream: &[("reply 0", KeepAndClose)],
        says: &[HI, OK, OK, GO, LOST],
        has: [&[ONE], &[]],
        gets: [&[ONE, ONE], &[ANT]],
        ..refused
    };
    play(&[refused, doubtful], TEXT);
}

#[test]
fn behind_upstreams_yes_only_mailman_is_tried_again() {
    let refused = Row {
        to: &[ANT, ONE],
        upstream: &[],
        mailman: &[("reply 0", Say("451 4.3.0 locked"))],
        says: &[HI, OK, OK, GO, "451 4.3.0 Mailman did not take it"],
        has: [&[ONE], &[]],
        gets: [&[ONE], &[ANT]],
    };
    play(
        &[
            Row {
                mailman: &[("reply 0", SayAndClose("421 4.3.2 off"))],
                says: &[HI, OK, OK, GO, "451 4.3.2 "],
                ..refused
            },
            Row { mailman: &[("dot", Close)], says: &[HI, OK, OK, GO, LOST], ..refused },
            Row { mailman: &[("dot", Hang)], says: &[HI, OK, OK, GO, LOST], ..refused },
            Row { mailman: &[("dot", Say("what?"))], says: &[HI, OK, OK, GO, LOST], ..refused },
            // It had it and was lost before it could say so: nobody knows.
            Row {
                mailman: &[("dot", KeepAndClose)],
                says: &[HI, OK, OK, GO, LOST],
                has: [&[ONE], &[ANT]],
                gets: [&[ONE], &[ANT, ANT]],
                ..refused
            },
            // For good, and the client hears that this is not about all.
            Row {
                mailman: &[("reply 0", Say("550 5.7.1 no"))],
                says: &[HI, OK, OK, GO, "550 5.7.1 Refused by Mailman; all other recipients were served"],
                gets: [&[ONE], &[]],
                ..refused
            },
            Row {
                mailman: &[("dot", Say("500 5.6.0 Line too long"))],
                says: &[HI, OK, OK, GO, "500 5.6.0 Refused by Mailman; all other recipients were served"],
                gets: [&[ONE], &[]],
                ..refused
            },
            refused,
        ],
        TEXT,
    );
}

#[test]
fn mailman_speaks_for_itself_where_nobody_else_was_served() {
    let refused = Row {
        to: &[ANT],
        upstream: &[],
        mailman: &[("reply 0", Say("550 5.7.1 not here"))],
        says: &[HI, OK, GO, "550 5.7.1 not here"],
        has: [&[], &[]],
        gets: [&[], &[]],
    };
    let put_off = Row { gets: [&[], &[ANT]], ..refused };
    play(
        &[
            Row {
                mailman: &[("reply 0", Say("451 4.3.0 locked"))],
                says: &[HI, OK, GO, "451 4.3.0 locked"],
                ..put_off
            },
            Row {
                mailman: &[("reply 0", SayAndClose("421 4.3.2 off"))],
                says: &[HI, OK, GO, "451 4.3.2 off"],
                ..put_off
            },
            refused,
        ],
        TEXT,
    );
}

#[test]
fn fewer_answers_of_mailman_than_recipients() {
    let one = Row {
        to: &[ANT, BEE, CAT],
        upstream: &[],
        mailman: &[("dot", Say("501 5.6.0 Message has defects"))],
        says: &[HI, OK, OK, OK, GO, "501 5.6.0 Refused by Mailman"],
        has: [&[], &[]],
        gets: [&[], &[]],
    };
    // What it kept without a word comes twice, what it said yes to does not.
    let yes = Row {
        mailman: &[("dot", Say("250 2.0.0 ok"))],
        says: &[HI, OK, OK, OK, GO, LOST],
        has: [&[], &[ANT, BEE, CAT]],
        gets: [&[], &[ANT, BEE, CAT, BEE, CAT]],
        ..one
    };
    let between = Row {
        mailman: &[("reply 1", Close)],
        says: &[HI, OK, OK, OK, GO, LOST],
        has: [&[], &[ANT]],
        gets: [&[], &[ANT, BEE, CAT]],
        ..one
    };
    play(
        &[
            Row { mailman: &[("dot", SayAndClose("501 5.6.0 Message has defects"))], ..one },
            Row {
                mailman: &[("dot", Say("452 4.3.1 full"))],
                says: &[HI, OK, OK, OK, GO, "452 4.3.1 "],
                gets: [&[], &[ANT, BEE, CAT]],
                ..one
            },
            Row { mailman: &[("dot", SayAndClose("250 2.0.0 ok"))], ..yes },
            Row { mailman: &[("reply 1", Hang)], ..between },
            Row {
                mailman: &[("reply 1", SayAndClose("421 4.3.2 off"))],
                says: &[HI, OK, OK, OK, GO, "451 4.3.2 "],
                ..between
            },
            Row {
                mailman: &[("reply 1", Say("550 5.7.1 no"))],
                says: &[HI, OK, OK, OK, GO, "550 5.7.1 Refused by Mailman; all other recipients were served"],
                has: [&[], &[ANT, CAT]],
                gets: [&[], &[ANT, CAT]],
                ..one
            },
            one,
            yes,
            between,
        ],
        TEXT,
    );
}

#[test]
fn one_of_several_recipients_is_refused() {
    let list = Row {
        to: &[ANT, BEE, ONE],
        upstream: &[],
        mailman: &[("RCPT TO:<bee", Say("550 5.1.1 no such list"))],
        says: &[HI, OK, "550 5.1.1 no such list", OK, GO, DONE],
        has: [&[ONE], &[ANT]],
        gets: [&[ONE], &[ANT]],
    };
    play(
        &[
            Row {
                to: &[BEE, ONE],
                says: &[HI, "550 5.1.1 no such list", OK, GO, DONE],
                has: [&[ONE], &[]],
                gets: [&[ONE], &[]],
                ..list
            },
            Row {
                to: &[ONE, TWO, ANT],
                upstream: &[("RCPT TO:<two", Say("550 5.1.1 no such user"))],
                mailman: &[],
                says: &[HI, OK, "550 5.1.1 no such user", OK, GO, DONE],
                ..list
            },
            Row {
                to: &[TWO, ANT],
                upstream: &[("RCPT TO:<two", Say("550 5.1.1 no such user"))],
                mailman: &[],
                says: &[HI, "550 5.1.1 no such user", OK, GO, DONE],
                has: [&[], &[ANT]],
                gets: [&[], &[ANT]],
            },
            // A server that is away is asked once in a transaction.
            Row {
                mailman: &[("connect", Close)],
                says: &[HI, AWAY, AWAY, OK, GO, DONE],
                has: [&[ONE], &[]],
                gets: [&[ONE], &[ANT, BEE]],
                ..list
            },
            Row {
                mailman: &[("greeting", Say("554 5.3.0 no"))],
                says: &[HI, AWAY, AWAY, OK, GO, DONE],
                has: [&[ONE], &[]],
                gets: [&[ONE], &[ANT, BEE]],
                ..list
            },
            Row {
                mailman: &[("MAIL", Say("552 5.3.4 too big"))],
                says: &[HI, "552 5.3.4 ", "552 5.3.4 ", OK, GO, DONE],
                has: [&[ONE], &[]],
                gets: [&[ONE], &[]],
                ..list
            },
            // One that is lost behind its yes gets nothing, so nobody does.
            Row {
                mailman: &[("RCPT TO:<bee", Close)],
                says: &[HI, OK, LOST, OK, LOST],
                has: [&[], &[]],
                gets: [&[ONE], &[ANT, BEE]],
                ..list
            },
            Row {
                to: &[ONE, TWO, ANT],
                upstream: &[("RCPT TO:<two", SayAndClose("421 4.3.2 off"))],
                mailman: &[],
                says: &[HI, OK, "451 4.3.2 ", OK, LOST],
                has: [&[], &[]],
                gets: [&[ONE, TWO], &[ANT]],
            },
            list,
        ],
        TEXT,
    );
}
