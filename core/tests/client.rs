//! The client's session against servers that say anything, in every cut.

mod calling;

use calling::{Act, new, play};
use proptest::prelude::*;
use smtpd_core::client::{Command, Error, Event, Session};
use smtpd_core::server::Extensions;
use smtpd_core::store::Store;

/// What a server may say, right and wrong.
const REPLIES: [&str; 20] = [
    "250 OK\r\n",
    "250 2.1.0 OK\r\n",
    "250-a\r\n250 b\r\n",
    "250-PIPELINING\r\n250-PIPELINING\r\n250 SIZE 10\r\n",
    "250-a\r\n250-8BITMIME\r\n250 PIPELINING\r\n",
    "220 hi\r\n",
    "354 go on\r\n",
    "450 later\r\n",
    "550-5.1.1 no\r\n550 5.1.1 such\r\n",
    "502 what?\r\n",
    "421 bye\r\n",
    "221 bye\r\n",
    "251 moved\r\n",
    "250\r\n",
    "250 OK\n",
    "",
    "250 OK\r\n250 OK\r\n",
    "250 OK\r\n421 bye\r\n",
    "354 go on\r\n550 no\r\n",
    "SSH-2.0\r\n",
];

fn act() -> impl Strategy<Value = Act> {
    let reply = proptest::sample::select(&REPLIES[..]).prop_map(|reply| reply.as_bytes().to_vec());
    let noise = proptest::collection::vec(any::<u8>(), 0..20);
    let octets = prop_oneof![20 => reply, 1 => noise];
    prop_oneof![
        2 => Just(Act::Hello),
        2 => prop_oneof![Just(""), Just("SIZE=3"), Just("BODY=8BITMIME SIZE=3"), Just("AUTH=<> SIZE=3")].prop_map(Act::Mail),
        4 => Just(Act::Rcpt),
        2 => Just(Act::Data),
        3 => prop_oneof![Just("."), Just("a\r\n.\r\n"), Just("\n"), Just("\r"), Just("x")].prop_map(Act::Text),
        3 => Just(Act::EndText),
        1 => Just(Act::EndSession),
        1 => Just(Act::Reset),
        1 => Just(Act::Quit),
        10 => prop_oneof![2 => Just(usize::MAX), 1 => 0_usize..40].prop_map(Act::Send),
        14 => (octets, 1_usize..9).prop_map(|(octets, cut)| Act::Hear(octets, cut)),
        1 => Just(Act::Restart),
    ]
}

/// What a caller hears who sends one mail, and the octets that it sent: the server says the next of these whenever something was
/// sent, and does so in pieces.
fn mail(replies: &[&str], cut: usize, is_lmtp: bool) -> (Vec<String>, Vec<u8>) {
    let mut client = new(is_lmtp);
    client.hello(b"a.example").unwrap();
    client.mail(b"a@a.example", b"SIZE=3 BODY=8BITMIME").unwrap();
    client.rcpt(b"b@b.example", b"").unwrap();
    client.rcpt(b"c@b.example", b"").unwrap();
    client.data().unwrap();
    let (mut heard, mut sent) = (Vec::new(), Vec::new());
    for reply in replies {
        for mut piece in reply.as_bytes().chunks(cut) {
            while !piece.is_empty() {
                match client.poll(&mut piece) {
                    Event::Idle => {}
                    Event::Reply(command, reply) => {
                        let code = reply.code();
                        heard.push(format!("{command:?} {code} {}", reply.text().escape_ascii()));
                        if code == 421 {
                            return (heard, sent);
                        }
                        if (command, code) == (Command::Data, 354) {
                            assert_eq!(client.text(b".x"), 2);
                            client.end_session().unwrap();
                        }
                    }
                    event => {
                        heard.push(format!("{event:?}"));
                        return (heard, sent);
                    }
                }
            }
        }
        sent.extend_from_slice(client.output());
        client.sent(client.output().len());
    }
    heard.push(format!("{} open", client.open()));
    (heard, sent)
}

/// The parameters of MAIL that a server with this offer is sent.
fn kept<'p>(params: &[&'p str], offer: Extensions) -> Vec<&'p str> {
    let is_kept = |param: &&&str| {
        let keyword = param.split('=').next().unwrap().to_ascii_uppercase();
        match keyword.as_str() {
            "SIZE" => offer.contains(Extensions::SIZE),
            "BODY" => offer.contains(Extensions::EIGHTBITMIME),
            _ => true,
        }
    };
    params.iter().filter(is_kept).copied().collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn each_reply_is_that_of_its_command(acts in proptest::collection::vec(act(), 0..60), is_lmtp: bool) {
        play(&acts, is_lmtp);
    }

    #[test]
    fn a_cut_changes_nothing(
        replies in proptest::collection::vec(proptest::sample::select(&REPLIES[..]), 0..12),
        cut in 1_usize..20,
        is_lmtp: bool,
    ) {
        let replies: Vec<&str> = ["220 hi\r\n"].into_iter().chain(replies).collect();
        prop_assert_eq!(mail(&replies, cut, is_lmtp), mail(&replies, usize::MAX, is_lmtp));
        prop_assert_eq!(mail(&replies, 1, is_lmtp), mail(&replies, usize::MAX, is_lmtp));
    }

    #[test]
    fn a_mail_that_waits_is_said_with_what_the_server_knows(
        path in proptest::sample::select(&["a@a.example", "", "\"a> SIZE=1\"@a.example", "\"\\\" BODY=7BIT\"@a.example"][..]),
        params in proptest::collection::vec(
            proptest::sample::select(&["SIZE=3", "size=44", "BODY=8BITMIME", "BODY=7BIT", "AUTH=<>", "X=a>b", "SIZES=1"][..]), 0..5),
        offer in proptest::sample::select(&["", "SIZE", "8BITMIME", "SIZE 9\r\n250-8BITMIME\r\n250-PIPELINING", "PIPELINING"][..]),
        waits: bool,
        cut in 1_usize..40,
    ) {
        let mut client = Session::new();
        client.hello(b"a.example").unwrap();
        let given = params.join(" ");
        if waits {
            client.mail(path.as_bytes(), given.as_bytes()).unwrap();
            client.rcpt(b"\"b SIZE=1\"@b.example", b"").unwrap();
        }
        let mut sent = Vec::new();
        for reply in ["220 hi\r\n".to_owned(), format!("250-hi\r\n250-{offer}\r\n250 OK\r\n")] {
            for mut piece in reply.as_bytes().chunks(cut) {
                while let Event::Reply(..) = client.poll(&mut piece) {}
            }
            sent.extend_from_slice(client.output());
            client.sent(client.output().len());
        }
        if !waits {
            client.mail(path.as_bytes(), given.as_bytes()).unwrap();
            client.rcpt(b"\"b SIZE=1\"@b.example", b"").unwrap();
            sent.extend_from_slice(client.output());
            client.sent(client.output().len());
        }
        let words = kept(&params, client.extensions());
        let line = format!("MAIL FROM:<{path}>{}{}\r\n", if words.is_empty() { "" } else { " " }, words.join(" "));
        let rcpt = if client.extensions().contains(Extensions::PIPELINING) { "RCPT TO:<\"b SIZE=1\"@b.example>\r\n" } else { "" };
        prop_assert_eq!(String::from_utf8(sent).unwrap(), format!("EHLO a.example\r\n{line}{rcpt}"));
    }
}

/// What a client hears of a server that says these, one after the other, once all was sent.
fn told<L: Store, O: Store>(client: &mut Session<L, O>, replies: &[&str], cut: usize) -> Vec<(Command, u16)> {
    let mut heard = Vec::new();
    for reply in replies {
        client.sent(client.output().len());
        for mut piece in reply.as_bytes().chunks(cut) {
            while let Event::Reply(command, reply) = client.poll(&mut piece) {
                heard.push((command, reply.code()));
            }
        }
    }
    heard
}

#[test]
fn helo_stands_in_for_an_ehlo_that_is_refused_in_every_cut() {
    for cut in 1..30 {
        for refusal in ["502 no\r\n", "500-5.5.1 what\r\n500-SIZE 9\r\n500-5.5.1 PIPELINING\r\n500 5.5.1 no\r\n"] {
            let mut client = Session::new();
            client.hello(b"a.example").unwrap();
            client.mail(b"a@a.example", b"SIZE=3").unwrap();
            assert_eq!(told(&mut client, &["220 hi\r\n", refusal], cut), [(Command::Greeting, 220)]);
            assert_eq!(client.output(), b"HELO a.example\r\n");
            assert!(!client.is_greeted());
            assert_eq!(told(&mut client, &["250 hi\r\n"], cut), [(Command::Hello, 250)]);
            assert_eq!((client.is_greeted(), client.extensions()), (true, Extensions::NONE));
            assert_eq!(client.output(), b"MAIL FROM:<a@a.example>\r\n");
            assert_eq!(told(&mut client, &["250 ok\r\n"], cut), [(Command::Mail, 250)]);
        }
    }
}

#[test]
fn a_second_hello_waits_for_the_reply_to_the_first() {
    let mut client = Session::new();
    client.hello(b"a.example").unwrap();
    assert_eq!(client.hello(b"a.longer.example"), Err(Error::OutOfOrder));
    // Nor while HELO stands in for it.
    assert_eq!(told(&mut client, &["220 hi\r\n", "502 what\r\n"], 99).len(), 1);
    assert_eq!(client.hello(b"a.longer.example"), Err(Error::OutOfOrder));
    assert_eq!(told(&mut client, &["250 hi\r\n"], 99).len(), 1);
    assert_eq!((client.open(), client.output()), (0, &b""[..]));
    assert_eq!(client.hello(b"a.longer.example"), Ok(()));
    assert_eq!(client.output(), b"EHLO a.longer.example\r\n");
}

#[test]
fn yes_is_not_go_on_nor_the_other_way_round() {
    for code in [200, 250, 299, 300, 353, 354, 355, 399, 400, 450, 499, 500, 554, 599] {
        for command in [Command::Mail, Command::Data] {
            let mut client = Session::new();
            client.hello(b"a.example").unwrap();
            client.mail(b"a@a.example", b"").unwrap();
            let mut replies = vec!["220 hi\r\n", "250 hi\r\n"];
            let mut fits = !(300..400).contains(&code);
            if command == Command::Data {
                client.rcpt(b"b@b.example", b"").unwrap();
                client.data().unwrap();
                replies.extend(["250 ok\r\n"; 2]);
                fits = code == 354 || code >= 400;
            }
            assert_eq!(told(&mut client, &replies, 99).len(), replies.len());
            client.sent(client.output().len());
            match client.poll(&mut format!("{code} x\r\n").as_bytes()) {
                Event::Reply(to, reply) => {
                    assert!(fits && to == command && reply.code() == code, "{code} to {command:?}");
                }
                event => assert!(!fits && event == Event::Broken(Error::Misplaced), "{code} to {command:?}: {event:?}"),
            }
        }
    }
}

/// A client that may send its text.
fn writing() -> Session<heapless::Vec<u8, 512>, heapless::Vec<u8, 512>> {
    let mut client = Session::with(heapless::Vec::new(), heapless::Vec::new());
    client.hello(b"a.example").unwrap();
    let replies: [&[&str]; 3] = [&["220 hi\r\n", "250 hi\r\n"], &["250 ok\r\n"; 2], &["354 go on\r\n"]];
    begin(&mut client, replies);
    client
}

/// Begins a mail, between these replies.
fn begin<L: Store, O: Store>(client: &mut Session<L, O>, [hello, mail, data]: [&[&str]; 3]) {
    assert_eq!(told(client, hello, 99).len(), hello.len());
    client.mail(b"a@a.example", b"").unwrap();
    client.rcpt(b"b@b.example", b"").unwrap();
    assert_eq!(told(client, mail, 99).len(), mail.len());
    client.data().unwrap();
    assert_eq!(told(client, data, 99), [(Command::Data, 354)]);
}

#[test]
fn a_text_has_no_answer_before_its_last_octet_was_sent() {
    const TEXT: &[u8] = b"To: b\r\n\r\nLines\r\nof text.\r\n";
    let end = TEXT.len() + b".\r\n".len();
    for at_once in [true, false] {
        for sent in 0..=end {
            let mut client = writing();
            let mut first = 0;
            assert_eq!(client.text(TEXT), TEXT.len());
            if !at_once {
                // What is gone has begun the text all the same.
                first = sent.min(TEXT.len());
                client.sent(first);
            }
            client.end_session().unwrap();
            client.sent(sent - first);
            let what = format!("{sent} of {end} octets, at once: {at_once}");
            match client.poll(&mut b"250 ok\r\n".as_slice()) {
                Event::Reply(Command::Message, reply) => assert!(sent == end && reply.code() == 250, "{what}"),
                event => assert!(sent < end && event == Event::Broken(Error::Unasked), "{what}: {event:?}"),
            }
            if sent < end {
                continue;
            }
            client.sent(b"QUIT\r".len());
            assert_eq!(client.output(), b"\n", "{what}");
            assert_eq!(client.poll(&mut b"221 bye\r\n".as_slice()), Event::Broken(Error::Unasked), "{what}");
        }
    }
}

#[test]
fn a_second_mail_goes_as_the_first() {
    let mut client = writing();
    for _ in 0..3 {
        assert_eq!(client.text(&b"A line.\r\n".repeat(20)), 180);
        client.sent(100);
        client.end_text().unwrap();
        assert_eq!(told(&mut client, &["250 ok\r\n"], 99), [(Command::Message, 250)]);
        begin(&mut client, [&[], &["250 ok\r\n"; 2], &["354 go on\r\n"]]);
    }
}

#[test]
fn what_does_not_fit_is_said_so() {
    // EHLO and HELO, of 7 octets each beside the name.
    for (octets, expected) in [(249, Ok(())), (250, Err(Error::Full))] {
        let mut client =
            Session::<heapless::Vec<u8, 512>, heapless::Vec<u8, 512>>::with(heapless::Vec::new(), heapless::Vec::new());
        assert_eq!(client.hello(&b"a".repeat(octets)), expected);
    }
    // CRLF, dot CRLF, QUIT CRLF.
    for (octets, expected) in [(501, Ok(())), (502, Err(Error::Full))] {
        let mut client = writing();
        assert_eq!(client.text(&b"a".repeat(octets)), octets);
        assert_eq!(client.end_session(), expected);
        assert_eq!(client.is_text(), expected.is_err());
    }
}

#[test]
fn a_server_that_has_gone_is_told_nothing_more() {
    let mut client = Session::new();
    client.hello(b"a.example").unwrap();
    client.mail(b"a@a.example", b"").unwrap();
    client.rcpt(b"b@b.example", b"").unwrap();
    client.data().unwrap();
    let replies = ["220 hi\r\n", "250-hi\r\n250 PIPELINING\r\n", "250 ok\r\n421 bye\r\n503 what\r\n"];
    assert_eq!(told(&mut client, &replies, 99).last(), Some(&(Command::Data, 503)));
    assert_eq!(client.mail(b"a@a.example", b""), Err(Error::OutOfOrder));
}

#[test]
fn no_to_hello_is_no_greeting() {
    for (code, greeted) in [(250, true), (299, true), (400, false), (450, false)] {
        let mut client = Session::new();
        client.hello(b"a.example").unwrap();
        told(&mut client, &["220 hi\r\n", &format!("{code}-hi\r\n{code} PIPELINING\r\n")], 99);
        assert_eq!((client.is_greeted(), client.extensions() != Extensions::NONE), (greeted, greeted), "{code}");
    }
}

#[test]
fn nothing_sent_buys_no_time() {
    let mut client = writing();
    client.text(b"a");
    let patience = client.patience();
    assert!(patience.secs > 0);
    client.sent(0);
    assert_eq!(client.patience(), patience);
    client.sent(1);
    assert_ne!(client.patience(), patience);
}

#[test]
fn each_error_says_what_it_is() {
    let errors = [Error::Full, Error::OutOfOrder, Error::Octets, Error::NotSmtp, Error::Unasked, Error::Misplaced]
        .map(|error| error.to_string());
    for (at, error) in errors.iter().enumerate() {
        assert!(error.starts_with("the ") && !errors[..at].contains(error), "{error}");
    }
}

#[test]
fn half_a_reply_too_many_is_still_one_when_the_rest_comes() {
    for cut in 1..30 {
        let mut client = Session::new();
        let mut heard = Vec::new();
        for mut piece in b"220 hi\r\n421 closing\r\n".chunks(cut) {
            while !piece.is_empty() {
                match client.poll(&mut piece) {
                    Event::Reply(command, reply) => heard.push((command, reply.code())),
                    event => assert_eq!(event, Event::Idle, "cut {cut}"),
                }
            }
        }
        assert_eq!(heard, [(Command::Greeting, 220), (Command::Quit, 421)], "cut {cut}");
    }
    // What has been asked for in the meantime is not what it answers.
    let mut client = Session::new();
    client.hello(b"a.example").unwrap();
    let mut piece = b"220 hi\r\n250 he".as_slice();
    assert!(matches!(client.poll(&mut piece), Event::Reply(Command::Greeting, _)));
    assert_eq!(client.poll(&mut piece), Event::Idle);
    client.sent(client.output().len());
    assert_eq!(client.poll(&mut b"l".as_slice()), Event::Idle);
    assert_eq!(client.poll(&mut b"lo\r\n".as_slice()), Event::Broken(Error::Unasked));
}

#[cfg(feature = "lmtp")]
#[test]
fn with_lmtp_refused_recipients_have_none_and_each_mail_its_own() {
    let mut client = Session::new().lmtp();
    client.hello(b"a.example").unwrap();
    told(&mut client, &["220 hi\r\n", "250-hi\r\n250 PIPELINING\r\n"], 99);
    for verdicts in
        [&["250 a\r\n", "400 b\r\n", "599 c\r\n", "251 d\r\n"][..], &["450 a\r\n", "250 b\r\n"], &["250 a\r\n"; 3]]
    {
        let accepted = verdicts.iter().filter(|verdict| verdict.starts_with('2')).count();
        client.mail(b"a@a.example", b"").unwrap();
        verdicts.iter().for_each(|_| client.rcpt(b"b@b.example", b"").unwrap());
        client.data().unwrap();
        told(&mut client, &["250 ok\r\n", &verdicts.concat(), "354 go on\r\n"], 99);
        client.end_text().unwrap();
        assert_eq!(usize::from(client.open()), accepted, "{verdicts:?}");
        assert_eq!(told(&mut client, &["250 ok\r\n".repeat(accepted).as_str()], 99).len(), accepted, "{verdicts:?}");
        assert_eq!(client.open(), 0, "{verdicts:?}");
    }
}

#[cfg(feature = "lmtp")]
#[test]
fn with_lmtp_each_accepted_recipient_has_a_reply() {
    let head = ["220 hi\r\n", "250-hi\r\n250 PIPELINING\r\n"];
    // Of three recipients: the replies to them, those behind the text, and what the caller hears then.
    for (verdicts, replies, expected) in [
        ("250 a\r\n550 b\r\n251 c\r\n", "250 a\r\n450 c\r\n221 bye\r\n", &[250, 450, 221][..]),
        ("250 a\r\n250 b\r\n250 c\r\n", "250 a\r\n221 bye\r\n", &[250, 221]),
        ("250 a\r\n250 b\r\n250 c\r\n", "221 bye\r\n", &[221]),
        ("550 a\r\n550 b\r\n250 c\r\n", "250 c\r\n221 bye\r\n", &[250, 221]),
        // Who takes the text of nobody owes nothing for it.
        ("550 a\r\n550 b\r\n450 c\r\n", "221 bye\r\n", &[221]),
    ] {
        for cut in 1..40 {
            let mut client = Session::new().lmtp();
            client.hello(b"a.example").unwrap();
            client.mail(b"a@a.example", b"").unwrap();
            for _ in 0..3 {
                client.rcpt(b"b@b.example", b"").unwrap();
            }
            client.data().unwrap();
            assert_eq!(told(&mut client, &head, cut).len(), 2);
            let begun = told(&mut client, &[&format!("250 ok\r\n{verdicts}354 go\r\n")], cut);
            assert_eq!(begun.last(), Some(&(Command::Data, 354)));
            assert_eq!(client.text(b"Hi\r\n"), 4);
            client.end_session().unwrap();
            assert_eq!(client.output(), b"Hi\r\n.\r\nQUIT\r\n");
            let heard = told(&mut client, &[replies], cut);
            let codes: Vec<u16> = heard.iter().map(|(_, code)| *code).collect();
            assert_eq!(codes, expected, "{verdicts:?}, cut {cut}");
            assert_eq!(heard.last(), Some(&(Command::Quit, 221)), "{verdicts:?}, cut {cut}");
            assert_eq!((client.open(), client.patience().secs), (0, 0), "{verdicts:?}, cut {cut}");
        }
    }
    // So it is if a whole mail was given behind the text.
    let mut client = Session::new().lmtp();
    client.hello(b"a.example").unwrap();
    for _ in 0..2 {
        client.mail(b"a@a.example", b"").unwrap();
        client.rcpt(b"b@b.example", b"").unwrap();
        if !client.is_text() && client.open() == 4 {
            client.data().unwrap();
            told(&mut client, &[head[0], head[1], "250 ok\r\n250 ok\r\n354 go\r\n"], 99);
            client.end_text().unwrap();
        }
    }
    client.quit().unwrap();
    assert_eq!(told(&mut client, &["221 bye\r\n"], 99), [(Command::Quit, 221)]);
    assert_eq!(client.open(), 0);
    // Between two mails, too.
    let mut client = Session::new().lmtp();
    client.hello(b"a.example").unwrap();
    client.mail(b"a@a.example", b"").unwrap();
    client.data().unwrap();
    told(&mut client, &[head[0], head[1], "250 ok\r\n354 go\r\n"], 99);
    client.end_text().unwrap();
    assert_eq!(client.open(), 0);
    client.reset().unwrap();
    assert_eq!(told(&mut client, &["250 reset\r\n"], 99), [(Command::Reset, 250)]);
}

#[test]
fn time_begins_with_each_command_and_not_with_its_octets() {
    let mut client = Session::new();
    client.hello(b"a.example").unwrap();
    told(&mut client, &["220 hi\r\n", "250-hi\r\n250 PIPELINING\r\n"], 99);
    let rest = client.patience();
    assert_eq!(rest.secs, 0);
    client.mail(b"a@a.example", b"").unwrap();
    let first = client.patience();
    assert_ne!(first.epoch, rest.epoch);
    client.rcpt(b"b@b.example", b"").unwrap();
    client.sent(1);
    client.sent(10);
    assert_eq!(client.patience(), first);
    client.data().unwrap();
    told(&mut client, &["250 ok\r\n"], 99);
    assert_ne!(client.patience().epoch, first.epoch);
    told(&mut client, &["250 ok\r\n354 go\r\n"], 99);
    let rest = client.patience();
    assert_eq!(rest.secs, 0);
    // The time of a block begins with it, and with each part of it that is taken.
    client.text(b"Hi\r\n");
    let block = client.patience();
    assert!(block.secs == 180 && block.epoch != rest.epoch);
    client.sent(1);
    assert_ne!(client.patience().epoch, block.epoch);
    client.end_text().unwrap();
    let end = client.patience();
    assert_eq!(end.secs, 600);
    client.sent(1);
    assert_eq!(client.patience(), end);
}
