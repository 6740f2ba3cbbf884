//! What `tests/bench/run instructions` counts: sessions of smtpd-core in memory, driven as an adapter drives them.
//!
//! Callgrind collects only inside the function named `counted_...`; all else is preparation.

use std::hint::black_box;
use std::task::Waker;

use heapless::{Vec, VecView};
use smtpd_core::server::{Answer, Config, Flow, Handler, Peer, Progress, Rcpt, Session, step};
use smtpd_core::store::Store;

/// As the host's adapter reads.
const READ: usize = 65_536;

/// Of the long texts, up to the last whole line.
const TEXT: usize = 10 * 1_048_576;

/// 76 octets and CRLF: the longest line that RFC 5322 §2.1.1 recommends.
const USUAL: &[u8] = b"The quick brown fox jumps over the lazy dog and runs away through the fields\r\n";

fn main() {
    let what = std::env::args().nth(1).unwrap_or_default();
    let config = Config::new("mx.example.org");
    let (mut line, mut output) = (Storage::new(), Storage::new());
    let (mut sink, mut replies) = (Octets(0), Octets(0));
    let mut session = counted_construction(&config, Peer::default(), &mut line, &mut output);
    let text = text(line_of(&what), if matches!(&*what, "text" | "empty" | "dots") { TEXT } else { 1_024 });
    let mut texts: std::vec::Vec<&[u8]> = text.chunks(READ).collect();
    let mut drive = |inputs: &[&[u8]]| drive(&mut session, inputs, &mut sink, &mut replies);
    match what.as_str() {
        "construction" => return,
        // A client that waits for each reply.
        "session" => counted_session(&mut drive, &[b"", EHLO, MAIL, RCPT, DATA, &text, b".\r\n", b"QUIT\r\n"]),
        // A client that knows PIPELINING waits for the replies to EHLO and DATA, and for the last one.
        "pipelined" | "recipients" => {
            let rcpt = RCPT.repeat(if what == "recipients" { 100 } else { 1 });
            let (envelope, rest) = ([MAIL, &rcpt, DATA].concat(), [&text, &b".\r\nQUIT\r\n"[..]].concat());
            counted_session(&mut drive, &[b"", EHLO, &envelope, &rest]);
        }
        "text" | "dots" | "empty" => {
            drive(&[b"", EHLO, MAIL, RCPT, DATA]);
            counted_text(&mut drive, &texts);
            texts = vec![b".\r\n", b"QUIT\r\n"];
            drive(&texts);
        }
        _ => {
            eprintln!("instructions construction|session|pipelined|recipients|text|dots|empty");
            std::process::exit(2);
        }
    }
    // A session that refuses would be a fast one.
    let lines = text.len() / line_of(&what).len();
    let expected = if what == "dots" { text.len() - lines } else { text.len() };
    assert_eq!(sink.0, expected, "octets that the handler got");
    assert!(replies.0 > 200, "octets of replies: {}", replies.0);
    // What the count is to be divided by.
    println!("{} {lines}", text.len());
}

const EHLO: &[u8] = b"EHLO client.example.org\r\n";
const MAIL: &[u8] = b"MAIL FROM:<sender@client.example.org>\r\n";
const RCPT: &[u8] = b"RCPT TO:<recipient@mx.example.org>\r\n";
const DATA: &[u8] = b"DATA\r\n";

fn line_of(what: &str) -> &'static [u8] {
    match what {
        "dots" => b"..\r\n",
        "empty" => b"\r\n",
        _ => USUAL,
    }
}

fn text(line: &[u8], octets: usize) -> std::vec::Vec<u8> {
    line.repeat(octets / line.len())
}

type Subject<'c> = Session<'c, Lent<'c>, Lent<'c>>;

#[inline(never)]
fn counted_construction<'c>(
    config: &'c Config<'c>,
    peer: Peer,
    line: &'c mut Storage,
    output: &'c mut Storage,
) -> Subject<'c> {
    Session::with(config, peer, Lent(line), Lent(output))
}

#[inline(never)]
fn counted_session(drive: &mut impl FnMut(&[&[u8]]), inputs: &[&[u8]]) {
    drive(inputs);
}

#[inline(never)]
fn counted_text(drive: &mut impl FnMut(&[&[u8]]), inputs: &[&[u8]]) {
    drive(inputs);
}

/// A whole driver: steps through what each read brought, and writes once all that it caused.
fn drive(session: &mut Subject<'_>, inputs: &[&[u8]], sink: &mut Octets, replies: &mut Octets) {
    for input in inputs {
        let mut input = *input;
        loop {
            let progress = step(session, &mut input, sink, Waker::noop());
            if progress == Progress::Moved {
                continue;
            }
            let octets = black_box(session.output()).len();
            replies.0 += octets;
            session.sent(octets);
            if progress != Progress::Write {
                break;
            }
        }
    }
}

/// Counts octets; as a handler, the octets of text.
struct Octets(usize);

impl Handler for Octets {
    fn rcpt(&mut self, _: Rcpt<'_>) -> Answer<'_> {
        Answer::Accept
    }

    fn text(&mut self, octets: &[u8]) -> Flow<'_> {
        self.0 += octets.len();
        Flow::Continue
    }

    fn message(&mut self, _: u16) -> Answer<'_> {
        Answer::Accept
    }
}

/// As much as the host's adapter gives a line or output.
type Storage = Vec<u8, 4_096>;

/// Storage that lies elsewhere, as the host's does: to make a session is not to move its buffers.
struct Lent<'v>(&'v mut Storage);

impl Store for Lent<'_> {
    fn view(&mut self) -> &mut VecView<u8> {
        self.0
    }

    fn octets(&self) -> &[u8] {
        self.0
    }

    fn room(&self) -> usize {
        self.0.capacity() - self.0.len()
    }

    fn release(&mut self) {
        self.0.clear();
    }
}
