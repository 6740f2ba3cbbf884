//! What holds for any input, any cut of it, any handler and any storage.

mod common;
mod playing;

use common::{Notes, Verdict, final_codes};
use heapless::Vec as Inline;
use playing::{
    Manners, STORAGES, Ways, hold_answers, hold_replies_against_input, hold_transactions, line_limit, play,
    without_recipients_of_nobody,
};
use proptest::collection::vec;
use proptest::prelude::*;
use smtpd_core::client;
use smtpd_core::server::{Answer, Config, Event, Peer, Session, Texts};
use smtpd_core::wire::{MAX_REPLY, Reply, ReplyProgress, ReplyReader};

fn line() -> impl Strategy<Value = Vec<u8>> {
    let name =
        prop_oneof![Just("a"), Just("no"), Just("full"), Just("far"), Just("odd"), Just("yes"), Just("\"q \\\"\"")];
    let rare = prop_oneof![Just("gone"), Just("a")];
    let valid = prop_oneof![
        4 => prop_oneof![Just("EHLO c.example"), Just("HELO c"), Just("ehlo no.example"), Just("LHLO c.example")].prop_map(String::from),
        6 => name.clone().prop_map(|name| format!("MAIL FROM:<{name}@d.example>")),
        1 => (0_u64..300).prop_map(|size| format!("MAIL FROM:<> SIZE={size} BODY=8BITMIME")),
        12 => name.prop_map(|name| format!("RCPT TO:<{name}@d.example>")),
        1 => rare.prop_map(|name| format!("RCPT TO:<{name}@d.example>")),
        5 => Just("DATA".into()),
        4 => prop_oneof![Just("RSET"), Just("NOOP x "), Just("VRFY c"), Just("EXPN c"), Just("HELP")].prop_map(String::from),
    ];
    let broken = prop_oneof![
        vec(any::<u8>(), 0..20),
        vec(prop_oneof![Just(b'\r'), Just(b'\n'), Just(b' '), Just(b'\t'), Just(b'.'), 0_u8..128], 0..9),
        Just(b"MAIL FROM: <a@b>".to_vec()),
        Just(b"RCPT TO:<a@b> NOTIFY=NEVER".to_vec()),
        Just(b"DATA now".to_vec()),
        Just(b"NO\rOP".to_vec()),
        Just(b"VRFY \xc3\xa9".to_vec()),
        prop_oneof![490_usize..530, 1000_usize..1040, 2280_usize..2330].prop_map(|length| vec![b'x'; length]),
        (480_usize..2400).prop_map(|length| [b"NOOP ".to_vec(), vec![22; length]].concat()),
        (480_usize..2400).prop_map(|length| [b"NOOP ".to_vec(), vec![b'\r'; length]].concat()),
    ];
    prop_oneof![12 => valid.prop_map(String::into_bytes), 2 => broken].prop_map(|mut line| {
        line.extend_from_slice(b"\r\n");
        line
    })
}

fn text() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        3 => Just(b"\r\n".to_vec()),
        2 => Just(b".".to_vec()),
        1 => prop_oneof![Just(b"\r".to_vec()), Just(b"\n".to_vec()), Just(b"\n.\r\n".to_vec()), Just(b"\r\n.\n".to_vec())],
        1 => prop_oneof![Just(b"554".to_vec()), Just(b"!".to_vec())],
        4 => vec(any::<u8>(), 0..40),
    ];
    vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

/// A conversation in which most transactions get somewhere.
fn conversation() -> impl Strategy<Value = Vec<u8>> {
    let transaction = (vec(line(), 0..3), text(), any::<bool>()).prop_map(|(lines, text, is_ended)| {
        let begin = b"EHLO c.example\r\nLHLO c.example\r\nMAIL FROM:<yes@d.example>\r\nRCPT TO:<a@d.example>\r\nRCPT TO:<no@d.example>\r\n";
        let end: &[u8] = if is_ended { b"\r\n.\r\n" } else { b"" };
        [begin, &lines.concat()[..], b"DATA\r\n", &text, end].concat()
    });
    let group = (0_u8..12).prop_map(|count| {
        let mut group = b"MAIL FROM:<no@d.example>\r\n".to_vec();
        for _ in 0..count {
            group.extend_from_slice(b"RCPT TO:<a@d.example>\r\n");
        }
        group
    });
    let first = prop_oneof![
        8 => Just(&b""[..]),
        8 => Just(&b"EHLO c.example\r\n"[..]),
        1 => Just(&b"\x16\x03\x01\x00\xa5\x01"[..]),
        1 => Just(&b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"[..]),
    ];
    let last = prop_oneof![3 => Just(&b""[..]), 1 => Just(&b"QUIT\r\nNOOP\r\n"[..]), 1 => Just(&b"NOO"[..])];
    let middle = prop_oneof![6 => line(), 4 => transaction, 2 => group, 1 => text()];
    (first, vec(middle, 0..14), last).prop_map(|(first, middle, last)| [first, &middle.concat(), last].concat())
}

fn ways() -> impl Strategy<Value = Ways> {
    let read = prop_oneof![3 => Just(1_usize), 3 => 1_usize..20, 2 => 1_usize..600];
    let write = prop_oneof![Just(1_usize), 1_usize..600, Just(usize::MAX)];
    (vec(read, 1..8), write).prop_map(|(reads, write)| Ways { reads, write, storage: 0 })
}

fn manners() -> impl Strategy<Value = Manners> {
    let room = prop_oneof![2 => Just(usize::MAX), 1 => Just(0_usize), 1 => Just(1_usize), 1 => Just(7_usize)];
    let text = prop_oneof![3 => Just(b"said".to_vec()), 1 => vec(any::<u8>(), 0..700), 1 => vec(prop_oneof![Just(b'\n'), Just(b'a')], 0..300)];
    let code = prop_oneof![4 => Just(554_u16), 2 => Just(450_u16), 1 => Just(250_u16), 1 => Just(421_u16)];
    let chance = proptest::option::weighted(0.3, any::<u8>());
    (0_u8..3, 1_u16..5, room, proptest::option::weighted(0.3, (1_usize..60, code)), text, chance).prop_map(
        |(defers, backlog, room, refuses, text, chance)| Manners { defers, backlog, room, refuses, text, chance },
    )
}

/// Limits that are reached often, and none at all.
fn config() -> impl Strategy<Value = Config<'static>> {
    let limits = (
        prop_oneof![Just(0_u16), Just(512), Just(1_000)],
        prop_oneof![Just(0_u16), Just(1), Just(3)],
        prop_oneof![2 => Just(0_u32), 1 => 1_u32..60, 1 => Just(300)],
        prop_oneof![Just(0_u32), 1_u32..60],
        prop_oneof![3 => Just(0_u32), 1 => 1_u32..40],
        prop_oneof![3 => Just(0_u16), 1 => 1_u16..5],
        prop_oneof![3 => Just(0_u32), 1 => Just(2_u32)],
    );
    (limits, any::<bool>(), any::<bool>(), 0..6).prop_map(|(limits, lmtp, need_hello, dialect)| {
        let mut config = in_dialect(dialect);
        // Only the RFC's has LMTP.
        let lmtp = lmtp && dialect > 1;
        config.need_hello = need_hello;
        #[cfg(feature = "lmtp")]
        {
            config.lmtp = lmtp;
        }
        let _ = lmtp;
        let own = &mut config.limits;
        (own.line, own.recipients, own.size, own.drain, own.commands, own.errors, own.transactions) = limits;
        config
    })
}

/// Each Python dialect once, all other numbers being the RFC's.
fn in_dialect(number: i32) -> Config<'static> {
    const HOST: &str = "mx.example.org";
    match number {
        #[cfg(feature = "python")]
        0 => Config::python_3_11(HOST),
        #[cfg(feature = "python")]
        1 => Config::python_2_7(HOST),
        _ => Config::new(HOST),
    }
}

/// PROPTEST_CASES=5000 for a long look.
fn cases() -> ProptestConfig {
    let standard = ProptestConfig::default();
    ProptestConfig { cases: standard.cases * 4, failure_persistence: None, ..standard }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn cuts_do_not_matter_and_every_command_has_its_reply(
        config in config(),
        input in conversation(),
        ways in ways(),
        manners in manners(),
        storage in 0..STORAGES.len(),
    ) {
        let mut config = config;
        if manners.refuses.is_some() {
            // A handler refuses the piece that it was given: what is thrown away behind it depends on its length.
            config.limits.drain = 0;
        }
        let whole = Ways { reads: vec![usize::MAX / 2], write: usize::MAX, storage };
        let once = play(&config, &input, &whole, manners.notes());
        hold_replies_against_input(&input, &once, common::is_lmtp(&config), line_limit(&config, storage));
        hold_transactions(&manners, &once, common::is_lmtp(&config));
        let once = without_recipients_of_nobody(&manners, once);
        hold_answers(&manners, &once);
        for reads in [ways.reads.clone(), vec![1]] {
            let ways = Ways { reads, storage, ..ways.clone() };
            let cut = play(&config, &input, &ways, manners.notes());
            hold_transactions(&manners, &cut, common::is_lmtp(&config));
            prop_assert_eq!(&without_recipients_of_nobody(&manners, cut), &once);
        }
        if config.limits.line == 512 {
            // Nor does the storage, where it holds the longest line.
            for storage in 0..STORAGES.len() {
                let other = play(&config, &input, &Ways { storage, ..whole.clone() }, manners.notes());
                prop_assert_eq!(&without_recipients_of_nobody(&manners, other), &once);
            }
        }
    }

    #[test]
    fn replies_are_well_formed_whatever_their_texts_hold(
        text in vec(any::<u8>(), 0..700),
        host in any::<String>(),
        greeting in "\\PC{0,300}|[\r\n a]{0,40}",
        input in conversation(),
        code in prop_oneof![any::<u16>(), 400_u16..600],
        storage in 0..STORAGES.len(),
    ) {
        let texts = long_texts(&text);
        let mut config = Config::new(&host);
        (config.greeting, config.texts) = (&greeting, &texts);
        let notes = Notes::by(|asked| match asked.split(' ').next() {
            Some("mail" | "rcpt" | "message" | "verify" | "data") if asked.len() % 3 == 0 => Verdict::Say(code, text.clone()),
            _ => Verdict::Yes,
        });
        let ways = Ways { reads: vec![7], write: usize::MAX, storage };
        let outcome = play(&config, &input, &ways, notes);
        hold_replies_against_input(&input, &outcome, false, STORAGES[storage].0.min(1024));
    }

    #[test]
    fn what_a_reply_says_is_read_back(
        code in 200_u16..600,
        enhanced in proptest::option::of((0_u8..10, 0_u16..1000)),
        lines in vec("[a-zA-Z][ -~]{0,60}", 1..12),
        reads in vec(1_usize..40, 1..5),
    ) {
        let text = lines.join("\n");
        let reply = Reply::new(code, &text);
        let reply = match enhanced {
            Some((subject, detail)) => reply.enhanced(subject, detail),
            None => reply,
        };
        let mut wire = Inline::<u8, MAX_REPLY>::new();
        reply.write(&mut wire, true);
        prop_assert_eq!(final_codes(&wire), vec![code]);
        let (mut reader, mut buffer) = (ReplyReader::default(), Inline::<u8, 1024>::new());
        let (mut from, mut reads) = (0, reads.iter().cycle());
        let read = loop {
            let to = wire.len().min(from + reads.next().copied().unwrap_or(1));
            let mut input = &wire[from..to];
            let progress = reader.next(&mut input, &mut buffer);
            from = to - input.len();
            match progress {
                ReplyProgress::Complete(code) => break code,
                ReplyProgress::Malformed => panic!("{}", wire.escape_ascii()),
                _ => {}
            }
        };
        prop_assert_eq!((read, from), (code, wire.len()));
        let read = reader.reply(&buffer);
        // A text that did not fit was left out at the end.
        prop_assert!(text.as_bytes().starts_with(read.text()), "{:?}", read.text().escape_ascii());
        #[cfg(feature = "enhanced")]
        if !(300..400).contains(&code) {
            let read = read.enhanced_code().map(|code| (code.subject, code.detail));
            prop_assert_eq!(read, enhanced);
        }
    }

    #[test]
    fn what_a_client_writes_a_server_reads(
        local in "[a-z!#$%&'*+/=?^_`{|}~-]{1,10}(\\.[a-z0-9]{1,5}){0,3}|\"([ !#-\\[\\]-~]|\\\\[ -~]){0,20}\"",
        domain in "[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?(\\.[a-z]{1,8}){0,3}|\\[1\\.2\\.3\\.[0-9]\\]|\\[IPv6:2001:db8::[0-9a-f]{1,4}\\]|\\[x-y:[!-Z^-~]{1,9}\\]",
        size in proptest::option::of(0_u32..1000),
    ) {
        let path = format!("{local}@{domain}");
        let params = size.map_or(String::new(), |size| format!("SIZE={size}"));
        let mut client = client::Session::new();
        prop_assert!(client.hello(b"c.example").is_ok());
        for mut reply in [&b"220 mx\r\n"[..], b"250-mx\r\n250-SIZE\r\n250 PIPELINING\r\n"] {
            while client.poll(&mut reply) != client::Event::Idle {}
            client.sent(client.output().len());
        }
        prop_assert!(client.mail(path.as_bytes(), params.as_bytes()).is_ok());
        prop_assert!(client.rcpt(path.as_bytes(), b"").is_ok());
        let wire = [b"EHLO c.example\r\n", client.output()].concat();
        let config = Config::new("mx.example.org");
        let mut session = Session::new(&config, Peer::default());
        let mut input = &wire[..];
        let mut read = Vec::new();
        loop {
            match session.poll(&mut input, 0) {
                Event::Idle => break,
                Event::Mail(mail) => {
                    prop_assert_eq!(mail.size, size);
                    read.push(mail.reverse_path.as_octets().to_vec());
                }
                Event::Rcpt(rcpt) => read.push(rcpt.forward_path.as_octets().to_vec()),
                _ => {}
            }
            session.answer(Answer::Accept);
        }
        prop_assert_eq!(read, vec![path.as_bytes().to_vec(); 2], "{}", wire.escape_ascii());
    }
}

/// Every text that answers a mistake, replaced by one of any length and content.
fn long_texts(text: &[u8]) -> Texts<'_> {
    let mut texts = Texts::STANDARD;
    texts.ok = Reply::from_octets(250, text).enhanced(0, 0);
    texts.mail = Reply::from_octets(250, text).enhanced(1, 0);
    texts.message = Reply::from_octets(250, text);
    texts.bye = Reply::from_octets(221, text);
    texts.unrecognized = Reply::from_octets(500, text).enhanced(5, 1);
    texts.need_mail = Reply::from_octets(503, text).enhanced(5, 1);
    texts.limit = Reply::from_octets(421, text).enhanced(7, 999);
    texts.fault = Reply::from_octets(451, text);
    texts
}
