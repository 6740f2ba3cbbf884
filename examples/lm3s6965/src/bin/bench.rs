//! How many instructions core takes on this CPU, without any network: printed by semihosting, the same at every run.
//!
//! Counts only in QEMU, where an instruction takes 32 ns of the board's time: `-icount shift=5,sleep=off,align=off`, as
//! `./run bench` has it. The status is 1 if a count differs when it is made again, or if a text does not
//! arrive whole.
#![no_std]
#![no_main]

use core::fmt::Write as _;
use core::hint::black_box;
use core::task::Waker;

use cortex_m_rt::entry;
use lm3s6965::{clock, console};
use smtpd_core::heapless::Vec;
use smtpd_core::server::{Answer, Config, Flow, Handler, Peer, Progress, Rcpt, Session, step};

static CONFIG: Config = Config::new("board.example.org");

#[entry]
fn main() -> ! {
    clock::start();
    let mut is_exact = true;
    let mut say = |what: &str, octets: u32, run: &mut dyn FnMut()| {
        let instructions = count(run);
        is_exact &= instructions == count(run);
        let _ = write!(console::Text, "{what}: {instructions} instructions");
        if octets > 0 {
            let hundredths = u64::from(instructions) * 100 / u64::from(octets);
            let _ = write!(console::Text, ", {}.{:02} per octet", hundredths / 100, hundredths % 100);
        }
        let _ = writeln!(console::Text);
    };

    let mut handler = Count::default();
    for (what, text) in [
        ("text, lines of 76 octets", &TEXT),
        ("text, lines that begin with a dot", &DOTS),
        ("text, empty lines", &EMPTY),
    ] {
        in_text(&mut handler, |session, handler| say(what, PIECES * PIECE, &mut || pieces(session, text, handler)));
    }
    say("a session with a mail of 1 KiB, command by command", 0, &mut || {
        in_text(&mut handler, |session, handler| {
            serve(session, black_box(&TEXT[..MAIL]), handler);
        });
    });
    say("a session that says QUIT at once", 0, &mut || {
        let mut session = session();
        serve(&mut session, b"", &mut handler);
        serve(&mut session, b"QUIT\r\n", &mut handler);
    });
    // Twice each text, without its dots, and twice the mail: a session that has refused something counts nothing.
    is_exact &= handler.octets == 2 * (3 * PIECES * PIECE - PIECES * PIECE / 78 + MAIL as u32);
    console::exit(if is_exact { 0 } else { 1 })
}

/// As many octets as a socket's ring gives at once.
const PIECE: u32 = 2_028;
const PIECES: u32 = 16;

/// As many of whole lines as there are in 1 KiB.
const MAIL: usize = 1_014;

const OPENING: [&[u8]; 5] = [
    b"",
    b"EHLO client.example.org\r\n",
    b"MAIL FROM:<sender@client.example.org>\r\n",
    b"RCPT TO:<board@board.example.org>\r\n",
    b"DATA\r\n",
];
const CLOSING: [&[u8]; 2] = [b".\r\n", b"QUIT\r\n"];

static TEXT: [u8; PIECE as usize] = lines(b'a', 76);
static DOTS: [u8; PIECE as usize] = lines(b'.', 76);
static EMPTY: [u8; PIECE as usize] = lines(b'\r', 0);

/// Lines of so many octets and CRLF, whole ones, that begin with `first`.
const fn lines(first: u8, octets: usize) -> [u8; PIECE as usize] {
    let mut text = [b'x'; PIECE as usize];
    let mut at = 0;
    while at < text.len() {
        text[at] = first;
        text[at + octets] = b'\r';
        text[at + octets + 1] = b'\n';
        at += octets + 2;
    }
    text
}

/// With the least storage.
type Small<'c> = Session<'c, Vec<u8, 512>, Vec<u8, 512>>;

fn session<'c>() -> Small<'c> {
    Session::with(black_box(&CONFIG), Peer::default(), Vec::new(), Vec::new())
}

/// A whole session, with `text` where the text comes.
#[inline(never)]
fn in_text(handler: &mut Count, text: impl FnOnce(&mut Small<'_>, &mut Count)) {
    let mut session = session();
    OPENING.iter().for_each(|octets| serve(&mut session, octets, handler));
    text(&mut session, handler);
    CLOSING.iter().for_each(|octets| serve(&mut session, octets, handler));
}

fn pieces(session: &mut Small<'_>, text: &[u8], handler: &mut Count) {
    for _ in 0..PIECES {
        serve(session, text, handler);
    }
}

/// What a driver does with octets that came. What is said goes nowhere.
#[inline(never)]
fn serve(session: &mut Small<'_>, octets: &[u8], handler: &mut Count) {
    let mut input = black_box(octets);
    loop {
        let progress = step(session, &mut input, handler, Waker::noop());
        if progress == Progress::Moved {
            continue;
        }
        session.sent(black_box(session.output()).len());
        // Full output is no reason to read.
        if progress != Progress::Write {
            return;
        }
    }
}

/// Counts the text.
#[derive(Default)]
struct Count {
    octets: u32,
}

impl Handler for Count {
    fn rcpt(&mut self, _: Rcpt<'_>) -> Answer<'_> {
        Answer::Accept
    }

    fn text(&mut self, octets: &[u8]) -> Flow<'_> {
        self.octets = self.octets.wrapping_add(octets.len() as u32);
        Flow::Continue
    }

    fn message(&mut self, _: u16) -> Answer<'_> {
        Answer::Accept
    }
}

/// Instructions of `run`, less what it takes to count none.
fn count(run: &mut dyn FnMut()) -> u32 {
    counted(run) - counted(&mut || {})
}

#[inline(never)]
fn counted(run: &mut dyn FnMut()) -> u32 {
    let start = instructions();
    run();
    instructions() - start
}

/// Instructions since the clock was started: at the end of each, 32 ns are over, and one tick is 20 ns.
fn instructions() -> u32 {
    (clock::ticks() as u32 * 5).div_ceil(8)
}

const _: () = assert!(clock::HZ == 50_000_000);
