//! Client and server sessions, and a relay between them, as pairs in memory and in every cut.

mod common;
mod one_leg;

use std::task::Waker;

use common::built;
use one_leg::OneLeg;
use proptest::prelude::*;
use smtpd_core::client;
use smtpd_core::guard::Guard;
use smtpd_core::handlers::PureProxy;
use smtpd_core::relay::{Leg, Need, Relay};
use smtpd_core::server::{
    Answer, Config, Ending, Extensions, Flow, Handler, Mail, Peer, Progress, Rcpt, Session, step,
};
use smtpd_core::wire::Reply;

/// Notes what it hears. Refuses senders and recipients that begin with `no`, DATA from `half`, text that holds `z`.
#[derive(Default)]
struct Notes {
    heard: Vec<String>,
    text: Vec<u8>,
}

impl Handler for Notes {
    fn mail(&mut self, mail: Mail<'_>) -> Answer<'_> {
        let path = mail.reverse_path.as_octets();
        self.heard.push(format!("mail {}", path.escape_ascii()));
        match path.starts_with(b"no") {
            true => Answer::Reply(Reply::new(550, "Not from you").enhanced(7, 1)),
            false => Answer::Accept,
        }
    }
    fn rcpt(&mut self, rcpt: Rcpt<'_>) -> Answer<'_> {
        let path = rcpt.forward_path.as_octets();
        self.heard.push(format!("rcpt {}", path.escape_ascii()));
        match path.starts_with(b"no") {
            true => Answer::Reply(Reply::new(550, "No such\nuser here").enhanced(1, 1)),
            false => Answer::Accept,
        }
    }
    fn data(&mut self) -> Answer<'_> {
        match self.heard.iter().rfind(|call| call.starts_with("mail")) {
            Some(mail) if mail.starts_with("mail half") => Answer::Reply(Reply::new(451, "Not now")),
            _ => Answer::Accept,
        }
    }
    fn text(&mut self, octets: &[u8]) -> Flow<'_> {
        self.text.extend_from_slice(octets);
        Flow::Continue
    }
    fn message(&mut self, _: u16) -> Answer<'_> {
        self.heard.push(format!("message {}", self.text.escape_ascii()));
        let text = std::mem::take(&mut self.text);
        match text.contains(&b'z') {
            true => Answer::Reply(Reply::new(554, "No z here")),
            false => Answer::Accept,
        }
    }
    fn reset(&mut self) {
        self.text.clear();
        self.heard.push("reset".into());
    }
    fn closed(&mut self, why: Ending) {
        self.heard.push(format!("closed {why:?}"));
    }
}

/// A server's end in memory: what it was sent and has not read, and how much it reads at once.
struct End<'c, H> {
    session: Session<'c>,
    handler: H,
    input: Vec<u8>,
    is_closed: bool,
    /// Times at which it had said something and read on: round trips.
    trips: u32,
    has_spoken: bool,
}

impl<'c, H: Handler> End<'c, H> {
    fn new(config: &'c Config<'c>, handler: H) -> Self {
        let session = Session::new(config, Peer::default());
        Self { session, handler, input: Vec::new(), is_closed: false, trips: 0, has_spoken: false }
    }

    /// Steps until nothing moves, at most `cut` octets at a time; what it said.
    fn turn(&mut self, cut: usize) -> Vec<u8> {
        let mut said = Vec::new();
        loop {
            let piece: Vec<u8> = self.input.iter().copied().take(cut).collect();
            let mut input = &piece[..];
            let mut progress = Progress::Moved;
            while progress == Progress::Moved {
                progress = step(&mut self.session, &mut input, &mut self.handler, Waker::noop());
            }
            let taken = piece.len() - input.len();
            if taken > 0 && self.has_spoken {
                self.trips += 1;
                self.has_spoken = false;
            }
            self.input.drain(..taken);
            let output = self.session.output().to_vec();
            self.session.sent(output.len());
            said.extend_from_slice(&output);
            self.is_closed |= progress == Progress::Closed;
            if self.is_closed || (taken == 0 && output.is_empty()) {
                self.has_spoken |= !said.is_empty();
                return said;
            }
        }
    }
}

/// What the client hears through the proxy, what the server heard, and the trips that it took. It is the same through the least
/// relay, whose greeting waits for the server's.
fn relayed(octets: &[u8], cut: usize, config: &Config<'_>, upstream: &Config<'_>) -> (String, Vec<String>, u32) {
    let leg = || Leg::new(([127, 0, 0, 1], 25).into(), "relay.example");
    let proxied = through(PureProxy::new(leg(), Guard::OPEN), octets, cut, config, upstream);
    let least = through(OneLeg(leg()), octets, cut, config, upstream);
    assert_eq!((&proxied.0, &proxied.1), (&least.0, &least.1), "cut {cut}");
    proxied
}

fn through<R: Relay>(
    relay: R,
    octets: &[u8],
    cut: usize,
    config: &Config<'_>,
    upstream: &Config<'_>,
) -> (String, Vec<String>, u32) {
    let mut front = End::new(config, relay);
    let mut back = End::new(upstream, Notes::default());
    let mut from_back: Vec<u8> = Vec::new();
    front.input.extend_from_slice(octets);
    let mut said = Vec::new();
    for turn in 0.. {
        assert!(turn < 100_000, "the relay spins");
        let reply = front.turn(cut);
        let mut moved = !reply.is_empty();
        said.extend_from_slice(&reply);
        let leg = &mut front.handler.legs()[0];
        match leg.need() {
            Need::Connect(_) => {
                leg.connected();
                moved = true;
            }
            Need::Close => {
                leg.lost();
                back.session.end(Ending::Lost);
                back.turn(cut);
                moved = true;
            }
            Need::Nothing => {}
        }
        let output = leg.output().to_vec();
        leg.sent(output.len());
        back.input.extend_from_slice(&output);
        from_back.extend_from_slice(&back.turn(cut));
        let mut input = &from_back[..cut.min(from_back.len())];
        let before = input.len();
        leg.receive(&mut input);
        let taken = before - input.len();
        from_back.drain(..taken);
        moved |= taken > 0 || !output.is_empty();
        if !moved {
            break;
        }
    }
    (String::from_utf8(said).unwrap(), back.handler.heard, back.trips)
}

#[test]
fn a_relay_passes_verdicts_on_in_every_cut() {
    let config = Config::new("mx.example.org");
    let mail = b"EHLO a.example\r\nMAIL FROM:<a@a.example>\r\nRCPT TO:<b@b.example>\r\nRCPT TO:<no@b.example>\r\n\
        RCPT TO:<c@b.example>\r\nDATA\r\nHi\r\n..dot\r\n.\r\nMAIL FROM:<>\r\nRSET\r\nQUIT\r\n";
    for cut in [1, 2, 3, 7, 64, 512, 10_000] {
        let (said, heard, _) = relayed(mail, cut, &config, &config);
        assert_eq!(
            said,
            built(
                "220 mx.example.org ESMTP\r\n250-mx.example.org\r\n250-PIPELINING\r\n250-SIZE 33554432\r\n\
             250-8BITMIME\r\n250-ENHANCEDSTATUSCODES\r\n250 HELP\r\n250 2.1.0 OK\r\n250 2.1.5 OK\r\n\
             550-5.1.1 No such\r\n550 5.1.1 user here\r\n250 2.1.5 OK\r\n\
             354 End data with <CR><LF>.<CR><LF>\r\n250 2.0.0 OK\r\n250 2.1.0 OK\r\n250 2.0.0 OK\r\n\
             221 2.0.0 Bye\r\n"
            ),
            "cut {cut}"
        );
        assert_eq!(
            heard,
            [
                "mail a@a.example",
                "rcpt b@b.example",
                "rcpt no@b.example",
                "rcpt c@b.example",
                "message Hi\\r\\n.dot\\r\\n",
                "mail ",
                "reset",
                "closed Quit"
            ],
            "cut {cut}"
        );
    }
}

#[cfg(feature = "backlog")]
#[test]
fn a_hundred_pipelined_recipients_cost_the_upstream_at_most_four_round_trips() {
    let config = Config::new("mx.example.org");
    let mut mail = b"EHLO a.example\r\nMAIL FROM:<a@a.example>\r\n".to_vec();
    let without = relayed(&mail, 512, &config, &config).2;
    for number in 0..100 {
        mail.extend_from_slice(format!("RCPT TO:<user{number}@b.example>\r\n").as_bytes());
    }
    for cut in [512, 1_000, 1_460, 4_096, 65_536] {
        let (said, heard, trips) = relayed(&mail, cut, &config, &config);
        assert_eq!(said.matches(built("250 2.1.5 OK").as_str()).count(), 100, "cut {cut}");
        assert_eq!(heard.len(), 101);
        assert!(trips <= without + 4, "cut {cut}: {trips} trips, {without} without recipients");
    }
}

#[test]
fn verdicts_behind_a_refused_mail_answer_nothing_else() {
    let config = Config::new("mx.example.org");
    let mail = b"EHLO a.example\r\nMAIL FROM:<no@a.example>\r\nRCPT TO:<b@b.example>\r\nRCPT TO:<c@b.example>\r\n\
        MAIL FROM:<a@a.example>\r\nRCPT TO:<no@b.example>\r\nRCPT TO:<d@b.example>\r\nDATA\r\nHi\r\n.\r\nQUIT\r\n";
    for cut in [1, 2, 3, 7, 64, 512, 10_000] {
        let (said, heard, _) = relayed(mail, cut, &config, &config);
        let codes = common::final_codes(said.as_bytes());
        assert_eq!(codes, [220, 250, 550, 503, 503, 250, 550, 250, 354, 250, 221], "cut {cut}: {said}");
        let message = ["mail a@a.example", "rcpt no@b.example", "rcpt d@b.example", "message Hi\\r\\n", "closed Quit"];
        assert_eq!(heard[1..], message, "cut {cut}");
    }
}

#[test]
fn text_that_was_begun_and_given_up_is_never_ended_upstream() {
    let mut config = Config::new("mx.example.org");
    config.limits.size = 10;
    let mut upstream = Config::new("mx.example.org");
    upstream.limits.size = 0;
    let mail = b"EHLO a.example\r\nMAIL FROM:<a@a.example>\r\nRCPT TO:<b@b.example>\r\nDATA\r\n0123456789AB\r\n.\r\n";
    for cut in [1, 7, 64, 512] {
        let (said, heard, _) = relayed(mail, cut, &config, &upstream);
        assert!(said.contains("552 "), "cut {cut}: {said}");
        assert_eq!(heard.last().map(String::as_str), Some("closed Lost"), "cut {cut}: {heard:?}");
        assert!(!heard.iter().any(|call| call.starts_with("message")), "cut {cut}: {heard:?}");
    }
}

#[test]
fn a_client_session_plays_with_a_server_session_in_every_cut() {
    use client::Command::{Data, Greeting, Hello, Mail, Message, Quit, Rcpt};
    let config = Config::new("mx.example.org");
    for cut in [1, 2, 3, 7, 64, 4_096] {
        let mut server = End::new(&config, Notes::default());
        let mut client = client::Session::new();
        client.hello(b"a.example").unwrap();
        client.mail(b"a@a.example", b"SIZE=20").unwrap();
        client.rcpt(b"b@b.example", b"").unwrap();
        client.rcpt(b"no@b.example", b"").unwrap();
        client.data().unwrap();
        assert_eq!(client.rcpt(b"late@b.example", b""), Err(client::Error::OutOfOrder));
        let mut replies = Vec::new();
        let mut from_server = Vec::new();
        while !(server.is_closed && from_server.is_empty()) {
            let output: Vec<u8> = client.output().iter().copied().take(cut).collect();
            client.sent(output.len());
            server.input.extend_from_slice(&output);
            from_server.extend_from_slice(&server.turn(cut));
            let mut input = &from_server[..cut.min(from_server.len())];
            let before = input.len();
            match client.poll(&mut input) {
                client::Event::Reply(command, reply) => {
                    replies.push((command, reply.code()));
                    if (command, reply.code()) == (Data, 354) {
                        assert_eq!(client.text(b".a\nb\rc\r\n."), 9);
                        client.end_text().unwrap();
                        client.quit().unwrap();
                    }
                }
                client::Event::Idle => {}
                event => panic!("{event:?}"),
            }
            let taken = before - input.len();
            from_server.drain(..taken);
        }
        let expected = [
            (Greeting, 220),
            (Hello, 250),
            (Mail, 250),
            (Rcpt, 250),
            (Rcpt, 550),
            (Data, 354),
            (Message, 250),
            (Quit, 221),
        ];
        assert_eq!(replies, expected, "cut {cut}");
        assert_eq!(server.handler.heard[3], "message .a\\r\\nb\\r\\nc\\r\\n.\\r\\n", "cut {cut}");
        assert!(client.extensions().contains(Extensions::PIPELINING.with(Extensions::EIGHTBITMIME)));
        assert_eq!(client.size(), 33_554_432);
    }
}

#[test]
fn what_is_not_asked_for_or_not_smtp_breaks_the_client() {
    let mut client = client::Session::new();
    let mut input: &[u8] = b"220 hi\r\n250 what\r\n";
    assert!(matches!(client.poll(&mut input), client::Event::Reply(client::Command::Greeting, _)));
    assert_eq!(client.poll(&mut input), client::Event::Broken(client::Error::Unasked));
    let mut client = client::Session::new();
    assert_eq!(client.poll(&mut &b"SSH-2.0\r\n"[..]), client::Event::Broken(client::Error::NotSmtp));
    let mut client = client::Session::new();
    assert_eq!(client.mail(b"a@b>\r\nRSET", b""), Err(client::Error::Octets));
    assert_eq!(client.text(b"early"), 0);
}

/// What a client hears of these replies, to each of which it has sent what it may.
fn told(client: &mut client::Session, replies: &[u8]) -> Vec<u16> {
    let mut codes = Vec::new();
    for line in replies.split_inclusive(|octet| *octet == b'\n') {
        client.sent(client.output().len());
        match client.poll(&mut &line[..]) {
            client::Event::Reply(_, reply) => codes.push(reply.code()),
            client::Event::Idle => {}
            event => panic!("{event:?}"),
        }
    }
    codes
}

#[test]
fn a_client_goes_on_after_data_was_refused() {
    let mut client = client::Session::new();
    client.hello(b"a.example").unwrap();
    client.data().unwrap();
    assert_eq!(client.mail(b"", b""), Err(client::Error::OutOfOrder));
    assert_eq!(told(&mut client, b"220 hi\r\n250 hi\r\n"), [220, 250]);
    assert_eq!(told(&mut client, b"503 no\r\n"), [503]);
    assert_eq!((client.text(b"x"), client.end_text()), (0, Err(client::Error::OutOfOrder)));
    assert_eq!((client.mail(b"", b""), client.data()), (Ok(()), Ok(())));
}

#[test]
fn a_client_forgets_what_a_refused_ehlo_offered() {
    let mut client = client::Session::new();
    client.hello(b"a.example").unwrap();
    assert_eq!(told(&mut client, b"220 hi\r\n250-hi\r\n250-SIZE 9\r\n250 PIPELINING\r\n"), [220, 250]);
    assert_eq!((client.extensions(), client.size()), (Extensions::PIPELINING.with(Extensions::SIZE), 9));
    // However many there are: one line of the reply's storage is enough for them.
    client.hello(b"a.example").unwrap();
    let long =
        [b"250-hi\r\n".as_slice(), &b"250-XUNKNOWN with parameters\r\n".repeat(99), b"250-8BITMIME\r\n250 SIZE 7\r\n"]
            .concat();
    client.sent(client.output().len());
    match client.poll(&mut &long[..]) {
        client::Event::Reply(client::Command::Hello, reply) => assert_eq!(reply.text(), b"hi"),
        event => panic!("{event:?}"),
    }
    assert_eq!((client.extensions(), client.size()), (Extensions::EIGHTBITMIME.with(Extensions::SIZE), 7));
    client.hello(b"a.example").unwrap();
    assert_eq!(told(&mut client, b"450-no\r\n450-SIZE 9\r\n450 PIPELINING\r\n"), [450]);
    assert_eq!((client.extensions(), client.size()), (Extensions::NONE, 0));
}

#[test]
fn a_421_is_the_end_of_a_client() {
    let mut client = client::Session::new();
    assert_eq!(told(&mut client, b"220 hi\r\n"), [220]);
    client.mail(b"", b"").unwrap();
    assert_eq!(told(&mut client, b"421 bye\r\n"), [421]);
    assert_eq!(
        (client.mail(b"", b""), client.quit()),
        (Err(client::Error::OutOfOrder), Err(client::Error::OutOfOrder))
    );
}

#[test]
fn a_client_takes_commands_whole_or_not_at_all_and_text_as_it_promised() {
    let mut client = client::Session::new();
    client.hello(b"a.example").unwrap();
    told(&mut client, b"220 hi\r\n250-hi\r\n250 PIPELINING\r\n");
    client.sent(client.output().len());
    let mut count = 0;
    while client.rcpt(&[b'x'; 99], b"").is_ok() {
        count += 1;
    }
    let line = [b"RCPT TO:<".as_slice(), &[b'x'; 99], b">\r\n"].concat();
    assert_eq!((client.output(), count), (&line.repeat(count)[..], 2_048 / line.len()));
    // One that fits to the octet is taken, one octet more is not.
    let left = 2_048 - line.len() * count - b"RCPT TO:<>\r\n".len();
    assert_eq!(client.rcpt(&vec![b'y'; left + 1], b""), Err(client::Error::Full));
    assert_eq!(client.rcpt(&vec![b'y'; left], b""), Ok(()));
    assert_eq!(client.output().len(), 2_048);
    client.sent(2_048);
    assert_eq!(told(&mut client, "250 OK\r\n".repeat(count + 1).as_bytes()).len(), count + 1);
    client.data().unwrap();
    assert_eq!(told(&mut client, b"354 go\r\n"), [354]);
    while client.room() > 0 {
        // The worst that each octet can grow to.
        let text = "\n".repeat(client.room());
        assert_eq!(client.text(text.as_bytes()), text.len());
    }
    assert_eq!(client.end_text(), Err(client::Error::Full));
    client.sent(client.output().len());
    assert_eq!(client.end_text(), Ok(()));
}

#[test]
fn a_leg_says_quit_before_it_closes() {
    let mut leg = Leg::new(([127, 0, 0, 1], 25).into(), "relay.example");
    assert_eq!(leg.need(), Need::Nothing);
    leg.open();
    assert_eq!(leg.need(), Need::Connect(([127, 0, 0, 1], 25).into()));
    leg.connected();
    leg.receive(&mut &b"220 hi\r\n"[..]);
    assert_eq!(leg.answer(), Answer::Accept);
    leg.close();
    assert_eq!((leg.output(), leg.need()), (&b"QUIT\r\n"[..], Need::Nothing));
    leg.sent(4);
    assert_eq!(leg.need(), Need::Nothing);
    leg.sent(2);
    assert_eq!(leg.need(), Need::Close);
    leg.lost();
    assert_eq!(leg.need(), Need::Nothing);
}

fn conversation() -> impl Strategy<Value = String> {
    // Bare CR and LF are repaired on the way out, so there are none.
    let text = "([a-z.]{0,6}\r\n){0,5}";
    let piece = prop_oneof![
        2 => prop_oneof![Just("a"), Just("no"), Just("half")].prop_map(|name| format!("MAIL FROM:<{name}@a.example> SIZE=9\r\n")),
        5 => prop_oneof![Just("b"), Just("no"), Just("\"q q\"")].prop_map(|name| format!("RCPT TO:<{name}@b.example>\r\n")),
        2 => prop_oneof![Just("RSET\r\n"), Just("NOOP\r\n"), Just("EHLO b.example\r\n"), Just("XYZZY\r\n")].prop_map(String::from),
        1 => Just("DATA\r\n".into()),
        2 => text.prop_map(|text| format!("DATA\r\n{text}.\r\n")),
    ];
    proptest::collection::vec(piece, 0..20).prop_map(|pieces| format!("EHLO a.example\r\n{}QUIT\r\n", pieces.concat()))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_relay_says_what_the_server_behind_it_would_have_said(octets in conversation(), cut in 1_usize..200) {
        let mut config = Config::new("mx.example.org");
        config.limits.errors = 0;
        let mut direct = End::new(&config, Notes::default());
        direct.input.extend_from_slice(octets.as_bytes());
        let said = String::from_utf8(direct.turn(usize::MAX)).unwrap();
        for cut in [cut, 1, 100_000] {
            let relayed = relayed(octets.as_bytes(), cut, &config, &config);
            prop_assert_eq!(&relayed.0, &said, "cut {}", cut);
            prop_assert_eq!(&relayed.1, &direct.handler.heard, "cut {}", cut);
        }
    }
}
