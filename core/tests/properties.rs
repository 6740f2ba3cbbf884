//! What holds for any input, any cut of it, any handler and any storage.

mod common;

use std::task::Waker;

use common::{Notes, OnDemand, Verdict, final_codes};
use heapless::Vec as Inline;
use proptest::collection::vec;
use proptest::prelude::*;
use smtpd_core::client;
use smtpd_core::server::{Answer, Config, Ending, Event, Flow, Peer, Progress, Session, State, Texts, step};
use smtpd_core::store::Store;
use smtpd_core::wire::{MAX_REPLY, Reply, ReplyProgress, ReplyReader};

/// How a driver reads and writes.
#[derive(Clone, Debug)]
struct Ways {
    /// Octets of each read, over and over.
    reads: Vec<usize>,
    /// Octets of a write when the output is full.
    write: usize,
    /// Which of `STORAGES`.
    storage: usize,
}

/// Octets of line and output: the least, the default, a host's.
const STORAGES: [(usize, usize); 4] = [(512, 512), (1024, 1024), (2304, 4096), (512, 4096)];

/// What came of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Outcome {
    said: String,
    heard: Vec<String>,
    is_closed: bool,
}

fn play(config: &Config<'_>, input: &[u8], ways: &Ways, notes: Notes<'_>) -> Outcome {
    let peer = Peer::default();
    match ways.storage {
        0 => drive(Session::with(config, peer, Inline::<u8, 512>::new(), Inline::<u8, 512>::new()), input, ways, notes),
        1 => drive(Session::new(config, peer), input, ways, notes),
        2 => {
            let (line, output) = (OnDemand::<2304>::default(), OnDemand::<4096>::default());
            drive(Session::with(config, peer, line, output), input, ways, notes)
        }
        _ => drive(
            Session::with(config, peer, Inline::<u8, 512>::new(), OnDemand::<4096>::default()),
            input,
            ways,
            notes,
        ),
    }
}

/// Drives a session to the end of the input and loses the connection there; holds it to the loop's contract meanwhile.
fn drive<L: Store, O: Store>(
    mut session: Session<'_, L, O>,
    input: &[u8],
    ways: &Ways,
    mut notes: Notes<'_>,
) -> Outcome {
    let mut said = Vec::new();
    let mut reads = ways.reads.iter().cycle();
    let (mut from, mut to) = (0, 0);
    // Liveness: a bound for each octet, with room for handlers that defer and for slow writes.
    let bound = 200 + input.len() * 20;
    for steps in 0.. {
        assert!(steps < bound + said.len(), "the session spins");
        let mut piece = &input[from..to];
        let progress = step(&mut session, &mut piece, &mut notes, Waker::noop());
        let taken = to - from - piece.len();
        from += taken;
        let output = session.output();
        let send = match progress {
            Progress::Moved => 0,
            Progress::Write => ways.write.min(output.len()),
            _ => output.len(),
        };
        assert!(progress != Progress::Write || send > 0, "nothing to write");
        said.extend_from_slice(&output[..send]);
        session.sent(send);
        match progress {
            Progress::Closed => break,
            Progress::Read if from < to => assert!(taken > 0 || send > 0, "input is left and nothing to wait for"),
            Progress::Read | Progress::Wait { read: true } if to < input.len() => {
                to = input.len().min(to + reads.next().copied().unwrap_or(1));
            }
            Progress::Read => break,
            Progress::Moved | Progress::Write | Progress::Wait { .. } => {}
            Progress::StartTls => unreachable!("not switched on"),
        }
    }
    let is_closed = session.state() == State::Closed;
    session.end(Ending::Lost);
    while step(&mut session, &mut &b""[..], &mut notes, Waker::noop()) != Progress::Closed {}
    // There is nothing behind the end.
    for why in [Ending::Stopping, Ending::Expired] {
        session.end(why);
        session.flow(Flow::Refuse(Reply::new(421, "late")));
        assert!(!session.answer(Answer::Accept));
        assert_eq!(session.poll(&mut &b"NOOP\r\n"[..], 9), Event::Idle);
        assert_eq!(step(&mut session, &mut &b"NOOP\r\n"[..], &mut notes, Waker::noop()), Progress::Closed);
    }
    assert_eq!(session.output(), b"");
    let said = String::from_utf8(said).expect("replies are ASCII");
    Outcome { said, heard: notes.heard, is_closed }
}

/// How a handler behaves.
#[derive(Clone, Debug)]
struct Manners {
    defers: u8,
    backlog: u16,
    room: usize,
    refuses: Option<(usize, u16)>,
    text: Vec<u8>,
}

impl Manners {
    fn notes(&self) -> Notes<'_> {
        let mut notes = Notes::by(|asked| self.rule(asked));
        (notes.defers, notes.backlog, notes.room) = (self.defers, self.backlog, self.room);
        notes.refuses = self.refuses.map(|(from, code)| (from, Verdict::Say(code, self.text.clone())));
        notes
    }

    /// Decides by what is asked alone, so that neither time nor number matter.
    fn rule(&self, asked: &str) -> Verdict {
        let say = |code| Verdict::Say(code, self.text.clone());
        match asked.split_once(' ').unwrap_or((asked, "")) {
            ("mail" | "rcpt" | "hello", "no@d.example" | "no.example") => say(550),
            ("rcpt", "full@d.example") => say(452),
            ("rcpt", "far@d.example") => say(251),
            ("rcpt" | "mail", "odd@d.example") => say(354),
            ("rcpt", "gone@d.example") => say(421),
            ("mail", "yes@d.example") => say(250),
            ("verify", "c") => say(250),
            ("message", text) if text.contains("554") => say(554),
            ("message", text) if text.contains('!') => say(250),
            _ => Verdict::Yes,
        }
    }

    fn accepts(&self, asked: &str) -> bool {
        match self.rule(asked) {
            Verdict::Yes => true,
            Verdict::Say(code, _) => code == 250 || code == 251,
            Verdict::Never => false,
        }
    }
}

/// With a backlog, recipients behind a MAIL that is refused, or behind a 421, may have been asked about or not: that is a
/// matter of time.
fn without_recipients_of_nobody(manners: &Manners, outcome: Outcome) -> Outcome {
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
fn hold_replies_against_input(input: &[u8], outcome: &Outcome, lmtp: bool, limit: usize) {
    let codes = final_codes(outcome.said.as_bytes());
    let mut codes = codes.iter().copied();
    let closes = |code: u16| code == 421 || code == 221;
    let mut recipients = 0;
    let mut rest = input;
    let mut is_first = true;
    let greeting = codes.next();
    assert_eq!(greeting, Some(220));
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

/// Each accepted MAIL ends in one of the last `message`, `reset`, `closed`; nothing comes behind `closed`.
fn hold_transactions(manners: &Manners, outcome: &Outcome, lmtp: bool) {
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
    (0_u8..3, 1_u16..5, room, proptest::option::weighted(0.3, (1_usize..60, code)), text)
        .prop_map(|(defers, backlog, room, refuses, text)| Manners { defers, backlog, room, refuses, text })
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
        let limit = match config.limits.line { 0 => STORAGES[storage].0, line => STORAGES[storage].0.min(line.into()) };
        hold_replies_against_input(&input, &once, common::is_lmtp(&config), limit);
        hold_transactions(&manners, &once, common::is_lmtp(&config));
        let once = without_recipients_of_nobody(&manners, once);
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
        let mut replies: &[u8] = b"220 mx\r\n250-mx\r\n250 PIPELINING\r\n";
        prop_assert!(client.hello(b"c.example").is_ok());
        while client.poll(&mut replies) != client::Event::Idle {}
        prop_assert!(client.mail(path.as_bytes(), params.as_bytes()).is_ok());
        prop_assert!(client.rcpt(path.as_bytes(), b"").is_ok());
        let wire = client.output().to_vec();
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
