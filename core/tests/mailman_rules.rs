//! MailmanProxy where nothing is broken: what it asks whom, what a client may do, and what is refused before anybody has it.
#![cfg(feature = "lmtp")]

mod common;
mod two_ends;

use smtpd_core::guard::{Guard, Network};
use two_ends::far::Act::{Close, Hang, Say};
use two_ends::far::Far;
use two_ends::*;

const MAIL: &str = "MAIL FROM:<a@c.example>\r\n";
const TO_ANT: &str = "RCPT TO:<ant@lists.example>\r\n";
const TO_ONE: &str = "RCPT TO:<one@up.example>\r\n";

/// Nobody has anything, and Mailman has not seen the end of a text.
fn nothing_was_delivered(bench: &Bench<'_, '_>) {
    assert_eq!([bench.delivered(0), bench.delivered(1)], [[""; 0]; 2]);
    assert!(!bench.ends.iter().any(|end| end.heard.iter().any(|step| step == "dot")));
}

#[test]
fn two_posts_over_one_connection_pipelined() {
    for cut in CUTS {
        let mut bench = good(cut);
        let group = [MAIL, TO_ANT, TO_ONE, "DATA\r\n"].concat();
        assert_eq!(lines(&bench.say(&group)).len(), 4);
        // The second begins while Mailman has still to close.
        let replies = lines(&bench.say([TEXT, ".\r\n", &group].concat()));
        check(&replies, &[DONE, HI, OK, OK, GO], "");
        check(&lines(&bench.say([NAMELESS, ".\r\nQUIT\r\n"].concat())), &[DONE, "221"], "");
        bench.finish();
        for (number, to, connections) in [(0, ONE, 1), (1, ANT, 2)] {
            let copies = bench.ends[number].delivered.iter().map(|copy| (&copy.to[..], &copy.text[..]));
            assert!(copies.eq([(to, TEXT), (to, NAMELESS)]), "cut {cut}");
            let end = &bench.ends[number];
            assert_eq!(end.heard.iter().filter(|step| *step == "connect").count(), connections);
        }
    }
}

#[test]
fn mailman_hears_quit_with_the_end_of_the_text_and_nothing_else_waits_for_it() {
    for (rules, cut) in
        CUTS.into_iter().flat_map(|cut| [(&[][..], cut), (&[("QUIT", Hang)], cut), (&[("QUIT", Close)], cut)])
    {
        let mut bench = new(&Remembered::default(), by(&[]), by(rules), cut);
        check(&bench.post("a@c.example", &[ANT], TEXT), &[HI, OK, GO, DONE], "");
        assert_eq!(bench.now, 0);
        assert_eq!(
            bench.ends[1].heard,
            [
                "connect",
                "greeting",
                "LHLO proxy.example",
                "MAIL FROM:<a@c.example>",
                "RCPT TO:<ant@lists.example>",
                "DATA",
                "text",
                "dot",
                "reply 0",
                "QUIT",
                "end"
            ]
        );
    }
}

#[test]
fn a_transaction_that_is_left_leaves_nothing() {
    let parts = [MAIL, TO_ANT, TO_ONE, "DATA\r\n", "Subject: x\r\n", "\r\nHi\r\n"];
    for cut in CUTS {
        for count in 0..=parts.len() {
            let begin = |mut bench: Bench<'static, 'static>| {
                parts[..count].iter().for_each(|part| drop(bench.say(part)));
                bench
            };
            let mut bench = begin(good(cut));
            bench.lose();
            nothing_was_delivered(&bench);
            for end in &bench.ends {
                let has_left = end.heard.last().is_none_or(|step| step == "end");
                assert!(has_left, "{:?}", end.heard);
            }
            if count > 3 {
                continue;
            }
            for leaving in ["RSET\r\n", "EHLO c.example\r\n", "HELO c.example\r\n"] {
                let mut bench = begin(good(cut));
                assert!(bench.say(leaving).starts_with("250"));
                nothing_was_delivered(&bench);
                check(&bench.post("a@c.example", &[ONE, ANT], TEXT), &[HI, OK, OK, GO, DONE], leaving);
                assert_eq!([bench.delivered(0), bench.delivered(1)], [[ONE], [ANT]]);
            }
            let mut bench = begin(good(cut));
            assert!(bench.say("QUIT\r\n").starts_with("221"));
            bench.finish();
            nothing_was_delivered(&bench);
        }
    }
}

#[test]
fn a_client_that_goes_while_a_server_owes_an_answer_leaves_nothing() {
    let steps = ["connect", "greeting", "LHLO", "EHLO", "MAIL", "RCPT", "DATA", "text"];
    let long = "Where the proxy has to wait.\r\n".repeat(200);
    for (cut, step) in CUTS.into_iter().flat_map(|cut| steps.map(|step| (cut, step))) {
        for hung in 0..2 {
            let rule = |number: usize| {
                move |heard: &str| if number == hung && heard.starts_with(step) { Hang } else { two_ends::far::Act::Go }
            };
            let mut bench = new(&Remembered::default(), rule(0), rule(1), cut);
            bench.has_time = false;
            bench.say([MAIL, TO_ANT, TO_ONE, "DATA\r\n"].concat());
            bench.say(&long);
            bench.lose();
            nothing_was_delivered(&bench);
        }
    }
}

#[test]
fn a_server_that_refused_all_recipients_knows_nothing_of_them_by_the_next_mail() {
    for cut in CUTS {
        let no = || once(&[("RCPT", Say("550 5.1.1 no"))]);
        let refused = "550 5.1.1 no";
        let mut bench = new(&Remembered::default(), no(), no(), cut);
        check(&bench.post("a@c.example", &[ANT, BEE, ONE], TEXT), &[HI, refused, OK, refused, GO, DONE], "");
        check(&bench.post("a@c.example", &[ANT, ONE], TEXT), &[HI, OK, OK, GO, DONE], "");
        let mut bench = new(&Remembered::default(), no(), no(), cut);
        check(&bench.post("a@c.example", &[ANT, ONE, TWO], TEXT), &[HI, refused, refused, OK, GO, DONE], "");
        check(&bench.post("a@c.example", &[ANT, ONE], TEXT), &[HI, OK, OK, GO, DONE], "");
        assert_eq!([bench.delivered(0), bench.delivered(1)], [&[TWO, ONE][..], &[ANT]]);
    }
}

#[test]
fn data_once_more_is_refused_once_more() {
    for cut in CUTS {
        let mut bench = new(&Remembered::default(), once(&[("DATA", Say("451 4.3.0 not now"))]), by(&[]), cut);
        check(&bench.begin("a@c.example", &[ANT, ONE]), &[HI, OK, OK, "451 4.3.0 "], "");
        check(&lines(&bench.say([TO_ONE, "DATA\r\nRSET\r\n"].concat())), &[LOST, LOST, DONE], "");
        nothing_was_delivered(&bench);
        check(&bench.post("a@c.example", &[ANT, ONE], TEXT), &[HI, OK, OK, GO, DONE], "");
        // Upstream, which had said no, kept its connection.
        assert_eq!(bench.ends[0].heard.iter().filter(|step| *step == "connect").count(), 1);
    }
}

#[test]
fn mailman_that_goes_before_the_end_of_the_text_stops_upstream() {
    for cut in CUTS {
        let mut bench = good(cut);
        bench.begin("a@c.example", &[ANT, ONE]);
        bench.say(TEXT);
        bench.ends[1].state = two_ends::far::State::Closed;
        bench.say("");
        check(&lines(&bench.say(".\r\n")), &[LOST], "");
        nothing_was_delivered(&bench);
    }
}

#[test]
fn eight_bit_mail_goes_only_where_it_is_taken() {
    let plain = "250-there\r\n250 SIZE 1000";
    for cut in CUTS {
        let far = |is_lmtp: bool, has_it: bool| {
            let mut far = Far::new(is_lmtp, by(&[]));
            if !has_it {
                far.offer = plain;
            }
            far
        };
        let to = [TO_ANT, TO_ANT, TO_ONE, TO_ONE, "DATA\r\n"].concat();
        let mail = "MAIL FROM:<a@c.example> BODY=8BITMIME\r\n".to_owned() + &to;
        let memory = Remembered::default();
        let mut bench = with(proxy(&memory, Guard::OPEN), far(false, true), far(true, false), cut);
        let unfit = "554 5.6.3 ";
        check(&lines(&bench.say(&mail)), &[HI, unfit, unfit, OK, OK, GO], "");
        check(&lines(&bench.say("\u{e4}\r\n.\r\n")), &[DONE], "");
        assert_eq!([bench.delivered(0), bench.delivered(1)], [&[ONE, ONE][..], &[]]);

        let mut bench = with(proxy(&memory, Guard::OPEN), far(false, false), far(true, true), cut);
        check(&lines(&bench.say(&mail)), &[HI, OK, OK, unfit, unfit, GO], "");
        check(&lines(&bench.say("\u{e4}\r\n.\r\n")), &[DONE], "");
        // Once upstream is there, the same.
        check(&bench.post("a@c.example", &[ONE], TEXT), &[HI, OK, GO, DONE], "");
        check(&lines(&bench.say(&mail)), &[HI, OK, OK, unfit, unfit, GO], "");
        check(&lines(&bench.say("\u{e4}\r\n.\r\n")), &[DONE], "");
        assert_eq!([bench.delivered(0), bench.delivered(1)], [&[ONE][..], &[ANT, ANT]]);
        // What is not offered is not said.
        assert!(bench.ends[0].heard.iter().all(|step| !step.contains("BODY")));
        assert!(bench.ends[1].heard.contains(&"MAIL FROM:<a@c.example> BODY=8BITMIME".into()));
    }
}

#[test]
fn big_mail_goes_only_where_it_is_taken() {
    let small = "250-there\r\n250-SIZE 1000\r\n250 8BITMIME";
    let too_big = "552 5.3.4 ";
    for cut in CUTS {
        let is_small = &[("MAIL FROM:<a@c.example> SIZE=1001", Say("552 5.3.4 too big"))];
        let (mut upstream, mut mailman) = (Far::new(false, by(&[])), Far::new(true, by(is_small)));
        (upstream.offer, mailman.offer) = (small, small);
        let mut bench = with(proxy(&Remembered::default(), Guard::OPEN), upstream, mailman, cut);
        // As it says beforehand: Mailman itself judges, for it is asked anew; upstream's word is known once it is there.
        check(&bench.post("a@c.example", &[ONE], TEXT), &[HI, OK, GO, DONE], "");
        for (size, expected) in [(1_000, [OK, OK]), (1_001, [too_big, too_big])] {
            let said = format!("MAIL FROM:<a@c.example> SIZE={size}\r\n{TO_ANT}{TO_ONE}RSET\r\n");
            check(&lines(&bench.say(said)), &[HI, expected[0], expected[1], DONE], "");
        }
        // Without a word before, Mailman's is seen on the way: nobody has anything.
        let [fits, too_long] = ["12345678\r\n", "123456789\r\n"].map(|last| "x\r\n".repeat(330) + last);
        assert_eq!((fits.len(), too_long.len()), (1_000, 1_001));
        let count = bench.ends[0].delivered.len();
        check(&bench.post("a@c.example", &[ANT, ONE], &too_long), &[HI, OK, OK, GO, too_big], "");
        assert_eq!([bench.delivered(0).len(), bench.delivered(1).len()], [count, 0]);
        check(&bench.post("a@c.example", &[ANT, ONE], &fits), &[HI, OK, OK, GO, DONE], "");
        assert_eq!([bench.delivered(0).len(), bench.delivered(1).len()], [count + 1, 1]);
    }
}

#[test]
fn a_mailman_that_names_no_size_takes_what_all_of_them_do() {
    for cut in CUTS {
        let (upstream, mut mailman) = (Far::new(false, by(&[])), Far::new(true, by(&[])));
        mailman.offer = "250-there\r\n250 8BITMIME";
        let mut bench = with(proxy(&Remembered::default(), Guard::OPEN), upstream, mailman, cut);
        check(&bench.post("a@c.example", &[ANT, ONE], TEXT), &[HI, OK, OK, GO, DONE], "");
        assert_eq!([bench.delivered(0), bench.delivered(1)], [&[ONE], &[ANT]]);
    }
}

#[test]
fn lines_longer_than_mailman_takes_are_refused_before_anybody_has_them() {
    let line = |dots: &str, octets: usize| format!("Subject: x\r\n\r\n{dots}{}\r\nend\r\n", "x".repeat(octets));
    for cut in CUTS {
        let mut bench = good(cut);
        for (text, is_taken) in
            [(line("", 999), true), (line("", 1_000), false), (line("..", 997), true), (line("..", 998), false)]
        {
            let before = [bench.delivered(0).len(), bench.delivered(1).len()];
            let expected = if is_taken { DONE } else { "554 5.6.0 Line of text too long for a list" };
            check(&bench.post("a@c.example", &[ONE, ANT], &text), &[HI, OK, OK, GO, expected], "");
            let after = before.map(|count| count + usize::from(is_taken));
            assert_eq!([bench.delivered(0).len(), bench.delivered(1).len()], after);
            // That is for the lists alone.
            check(&bench.post("a@c.example", &[ONE], &text), &[HI, OK, GO, DONE], "");
        }
    }
}

#[test]
fn a_list_that_comes_twice_gets_one_copy() {
    for cut in CUTS {
        let mut bench = good(cut);
        let to = [ANT, "ANT@Lists.Example", "\"ant\"@lists.example", "\"a\\nt\"@lists.example", ONE, ONE];
        check(&bench.post("a@c.example", &to, TEXT), &[HI, OK, OK, OK, OK, OK, OK, GO, DONE], "");
        assert_eq!([bench.delivered(0), bench.delivered(1)], [&[ONE, ONE][..], &[ANT]]);
        // One that was refused is asked again.
        let refusing = once(&[("RCPT", Say("451 4.3.0 not now"))]);
        let mut bench = new(&Remembered::default(), by(&[]), refusing, cut);
        check(&bench.post("a@c.example", &[ANT, ANT], TEXT), &[HI, "451 4.3.0 ", OK, GO, DONE], "");
        assert_eq!(bench.delivered(1), [ANT]);
    }
}

#[test]
fn no_more_lists_than_have_a_place() {
    let names: Vec<String> = (0..66).map(|number| format!("list{number}@lists.example")).collect();
    let to: Vec<&str> = names.iter().map(String::as_str).collect();
    for cut in CUTS {
        let mut bench = good(cut);
        let replies = bench.post("a@c.example", &[&to[..], &[ONE, to[0]]].concat(), TEXT);
        let expected = [&[HI][..], &[OK; 64], &["452 4.5.3 ", "452 4.5.3 ", OK, OK, GO, DONE]].concat();
        check(&replies, &expected, "");
        assert_eq!([bench.delivered(0), bench.delivered(1)], [&[ONE][..], &to[..64]]);
    }
}

#[test]
fn lists_of_two_mailmans_take_two_transactions() {
    let other = "other@lists.example";
    for cut in CUTS {
        let mut bench = good(cut);
        check(&bench.post("a@c.example", &[ANT, other, BEE], TEXT), &[HI, OK, "452 4.5.3 ", OK, GO, DONE], "");
        check(&bench.post("a@c.example", &[other], TEXT), &[HI, OK, GO, DONE], "");
        assert_eq!(bench.delivered(1), [ANT, BEE, other]);
        assert_eq!(bench.addresses.iter().map(std::net::SocketAddr::port).collect::<Vec<_>>(), [8_024, 8_025]);
    }
}

#[test]
fn what_may_be_a_list_never_goes_upstream() {
    for cut in CUTS {
        let mut bench = good(cut);
        let to = ["unknown@lists.example", ANT];
        check(&bench.post("a@c.example", &to, TEXT), &[HI, "451 4.4.3 ", OK, GO, DONE], "");
        assert!(bench.ends[0].heard.is_empty());
    }
}

#[test]
fn the_guard_is_for_upstream_alone() {
    let networks: &'static [Network] = Box::leak(Box::new([Network::parse(b"198.51.100.0/24").unwrap()]));
    for cut in CUTS {
        let guarded = proxy(&Remembered::default(), Guard::from_networks(networks));
        let mut bench = with(guarded, Far::new(false, by(&[])), Far::new(true, by(&[])), cut);
        let to = [ONE, ANT, "Postmaster", "postmaster@up.example"];
        check(&bench.post("a@c.example", &to, TEXT), &[HI, "550 5.7.1 ", OK, OK, "550 5.7.1 ", GO, DONE], "");
        assert_eq!([bench.delivered(0), bench.delivered(1)], [["Postmaster"], [ANT]]);
    }
}

#[test]
fn both_get_a_received_field() {
    for cut in CUTS {
        let proxy = proxy(&Remembered::default(), Guard::OPEN).received(|| 1);
        let mut bench = with(proxy, Far::new(false, by(&[])), Far::new(true, by(&[])), cut);
        for text in [TEXT, ""] {
            check(&bench.post("a@c.example", &[ANT, ONE], text), &[HI, OK, OK, GO, DONE], "");
            for end in &bench.ends {
                let expected = "Received: from c.example ([192.0.2.1])\r\n\tby proxy.example with ESMTP;\r\n\t\
                    Thu, 01 Jan 1970 00:00:01 +0000\r\n";
                assert_eq!(end.delivered.last().unwrap().text, expected.to_owned() + text);
            }
        }
    }
}

#[test]
fn mail_that_goes_in_circles_reaches_nobody() {
    for cut in CUTS {
        let mut bench = good(cut);
        let text = |count| "Received: by a.example\r\n".repeat(count) + TEXT;
        check(&bench.post("a@c.example", &[ANT, ONE], &text(100)), &[HI, OK, OK, GO, "554 5.4.6 "], "");
        nothing_was_delivered(&bench);
        check(&bench.post("a@c.example", &[ANT, ONE], &text(99)), &[HI, OK, OK, GO, DONE], "");
    }
}

#[test]
fn how_long_each_server_may_take() {
    // Upstream's times and Mailman's, in seconds.
    let rows = [
        ("connect", 20, 5),
        ("greeting", 45, 30),
        ("EHLO", 30, 0),
        ("LHLO", 0, 30),
        ("MAIL", 30, 30),
        ("RCPT", 60, 30),
        ("DATA", 90, 30),
        ("text", 120, 60),
        ("dot", 450, 60),
    ];
    let long = TEXT.to_owned() + &"Where the proxy has to wait.\r\n".repeat(400);
    for (step, upstream, mailman) in rows {
        for (number, secs) in [upstream, mailman].into_iter().enumerate() {
            let rule = |end: usize| {
                move |heard: &str| if end == number && heard.starts_with(step) { Hang } else { two_ends::far::Act::Go }
            };
            let mut bench = new(&Remembered::default(), rule(0), rule(1), usize::MAX);
            let text = if step == "text" { &long } else { TEXT };
            let replies = bench.post("a@c.example", &[ANT, ONE], text);
            assert_eq!(bench.now, secs * 1_000, "{step} {number}: {replies:?}");
            assert!(!bench.is_closed && !replies.iter().any(|reply| reply.starts_with("421")), "{step}: {replies:?}");
        }
    }
}
