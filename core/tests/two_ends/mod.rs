//! MailmanProxy between a client and two servers in memory, on a clock of its own.
#![allow(dead_code, unreachable_pub, reason = "each test takes a part of it")]

pub mod far;

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hasher};
use std::net::SocketAddr;
use std::rc::Rc;
use std::task::Waker;

use crate::common::built;
use far::{Act, Far, Rules, State};
use smtpd_core::guard::Guard;
use smtpd_core::handlers::{Deliveries, End, Found, Lists, MailmanProxy};
use smtpd_core::relay::{Leg, Need, Relay};
use smtpd_core::server::{Config, Ending, Peer, Progress, Session, Watch, step};
use smtpd_core::wire::Mailbox;

pub const CUTS: [usize; 6] = [1, 2, 3, 7, 64, usize::MAX];

static CONFIG: Config<'_> = Config::new("mx.example.org");

pub const ANT: &str = "ant@lists.example";
pub const BEE: &str = "bee-keepers@lists.example";
pub const CAT: &str = "cat@lists.example";
pub const ONE: &str = "one@up.example";
pub const TWO: &str = "two@up.example";
pub const TEXT: &str = "Message-ID: <1@c.example>\r\nSubject: x\r\n\r\nHi\r\n..\r\n";
pub const NAMELESS: &str = "Subject: x\r\n\r\nHi\r\n";

pub const HI: &str = "250 2.1.0 ";
pub const OK: &str = "250 2.1.5 ";
pub const GO: &str = "354 ";
pub const DONE: &str = "250 2.0.0 ";
pub const AWAY: &str = "451 4.4.1 ";
pub const LOST: &str = "451 4.4.2 ";
pub const STRANGE: &str = "451 4.5.0 ";

#[derive(Debug)]
/// All at lists.example: `other` lives at another Mailman, of `unknown` nobody knows where.
pub struct Listed;

impl Lists for Listed {
    fn find(&mut self, mailbox: Mailbox<'_>) -> Found {
        let local: Vec<u8> = mailbox.plain_local_part().map(|octet| octet.to_ascii_lowercase()).collect();
        match (mailbox.domain(), &local[..]) {
            (domain, _) if !domain.eq_ignore_ascii_case(b"lists.example") => Found::Nothing,
            (_, b"unknown") => Found::Unknown,
            (_, b"other") => Found::Lmtp(([127, 0, 0, 1], 8025).into()),
            _ => Found::Lmtp(([127, 0, 0, 1], 8024).into()),
        }
    }
}

type Mail = (Vec<u8>, Vec<u8>, u64);
type Back = HashMap<(Vec<u8>, u64), u32>;

/// The memory without a digest: the mails themselves.
#[derive(Clone, Debug, Default)]
pub struct Remembered {
    pub all: Rc<RefCell<HashSet<Mail>>>,
    /// Senders' lists that stand back, and how often they were asked whether they do.
    pub back: Rc<RefCell<Back>>,
    sender: Vec<u8>,
    text: Vec<u8>,
    recipients: Vec<(End, u64)>,
}

impl Remembered {
    fn mails(&self, is_meant: impl Fn(End) -> bool) -> Vec<Mail> {
        let meant = self.recipients.iter().filter(|(end, _)| is_meant(*end));
        meant.map(|(_, recipient)| (self.sender.clone(), self.text.clone(), *recipient)).collect()
    }
}

impl Deliveries for Remembered {
    fn begin(&mut self, sender: &[u8]) {
        let (all, back) = (Rc::clone(&self.all), Rc::clone(&self.back));
        *self = Self { all, back, sender: sender.into(), ..Self::default() };
    }
    fn may_have(&self, list: u64) -> bool {
        self.all.borrow().iter().any(|(sender, _, served)| *sender == self.sender && *served == list)
    }
    /// Of other numbers than the trait's.
    fn number(&self, address: &mut dyn Iterator<Item = u8>) -> u64 {
        let mut hasher = DefaultHasher::new();
        address.for_each(|octet| hasher.write_u8(octet));
        hasher.finish()
    }
    fn stands_back(&mut self, list: u64) -> bool {
        let mut back = self.back.borrow_mut();
        let Some(asked) = back.get_mut(&(self.sender.clone(), list)) else { return false };
        *asked += 1;
        let mut coin = DefaultHasher::new();
        coin.write_u64(list);
        coin.write_u32(*asked);
        coin.finish() & 1 == 1
    }
    fn stand_back(&mut self) {
        for (_, list) in self.recipients.iter().filter(|(end, _)| *end == End::Mailman) {
            self.back.borrow_mut().entry((self.sender.clone(), *list)).or_default();
        }
    }
    fn recipient(&mut self, end: End, recipient: u64) {
        self.recipients.push((end, recipient));
    }
    fn text(&mut self, octets: &[u8]) {
        self.text.extend_from_slice(octets);
    }
    fn is_wanted(&self) -> bool {
        !self.all.borrow().is_empty()
    }
    fn is_known(&mut self, end: End) -> bool {
        self.mails(|own| own == end).iter().all(|mail| self.all.borrow().contains(mail))
    }
    fn failed(&mut self, recipient: u64) {
        self.recipients.retain(|(_, own)| *own != recipient);
    }
    fn remember(&mut self) {
        self.all.borrow_mut().extend(self.mails(|_| true));
    }
    fn forget(&mut self) {
        self.recipients.iter().for_each(|(_, own)| _ = self.back.borrow_mut().remove(&(self.sender.clone(), *own)));
        self.mails(|_| true).iter().for_each(|mail| _ = self.all.borrow_mut().remove(mail));
    }
}

pub type Proxy<'c> = MailmanProxy<'c, Listed, Remembered>;

/// A client's connection through the proxy to upstream and Mailman.
pub struct Bench<'c, 'r> {
    pub session: Session<'c>,
    pub proxy: Proxy<'c>,
    pub ends: [Far<'r>; 2],
    /// Milliseconds that were waited.
    pub now: u32,
    pub is_closed: bool,
    /// Where Mailman was looked for.
    pub addresses: Vec<SocketAddr>,
    /// Whether time passes at all.
    pub has_time: bool,
    input: Vec<u8>,
    cut: usize,
    watches: [Watch; 3],
}

pub fn proxy<'c>(memory: &Remembered, guard: Guard<'c>) -> Proxy<'c> {
    let leg = || Leg::new(([127, 0, 0, 1], 25).into(), "proxy.example");
    MailmanProxy::new(leg(), leg(), Listed, memory.clone(), guard)
}

/// Follows the first rule for a step.
pub fn by(rules: Rules) -> impl FnMut(&str) -> Act {
    move |step| rules.iter().find(|(start, _)| step.starts_with(start)).map_or(Act::Go, |(_, act)| *act)
}

/// Follows each rule once.
pub fn once(rules: Rules) -> impl FnMut(&str) -> Act {
    let mut rules = rules.to_vec();
    move |step| match rules.iter().position(|(start, _)| step.starts_with(start)) {
        Some(at) => rules.remove(at).1,
        None => Act::Go,
    }
}

impl<'c, 'r> Bench<'c, 'r> {
    pub fn new(config: &'c Config<'c>, proxy: Proxy<'c>, upstream: Far<'r>, mailman: Far<'r>, cut: usize) -> Self {
        let peer = Peer::new(Some(([192, 0, 2, 1], 1025).into()));
        let session = Session::new(config, peer);
        let ends = [upstream, mailman];
        let (addresses, input) = (Vec::new(), Vec::new());
        let watches = [Watch::new(0); 3];
        Self { session, proxy, ends, now: 0, is_closed: false, addresses, has_time: true, input, cut, watches }
    }

    /// What the client hears when it has said this; time passes only while it waits for an answer.
    pub fn say(&mut self, octets: impl AsRef<[u8]>) -> String {
        self.input.extend_from_slice(octets.as_ref());
        let mut said = Vec::new();
        for turn in 0.. {
            assert!(turn < 1_000_000, "the relay spins");
            let (mut moved, progress) = self.client(&mut said);
            for number in 0..2 {
                moved |= self.server(number);
            }
            if moved {
                continue;
            }
            if !self.has_time || !matches!(progress, Progress::Wait { .. }) || !self.pass_time() {
                break;
            }
        }
        String::from_utf8(said).unwrap()
    }

    /// The client is gone.
    pub fn lose(&mut self) {
        self.session.end(Ending::Lost);
        self.say("");
        self.finish();
    }

    /// Nothing is left of the legs, once their servers have had time for QUIT.
    pub fn finish(&mut self) {
        assert!(self.is_closed);
        for _ in 0..4 {
            self.pass_time();
            self.say("");
        }
        let is_idle = self.proxy.legs().iter().all(Leg::is_idle);
        assert!(is_idle, "legs are left");
    }

    /// Steps with at most a piece of the input.
    fn client(&mut self, said: &mut Vec<u8>) -> (bool, Progress) {
        let piece: Vec<u8> = self.input.iter().copied().take(self.cut).collect();
        let mut input = &piece[..];
        let mut progress = Progress::Moved;
        let mut moved = false;
        while progress == Progress::Moved {
            progress = step(&mut self.session, &mut input, &mut self.proxy, Waker::noop());
            moved |= progress == Progress::Moved;
        }
        let taken = piece.len() - input.len();
        self.input.drain(..taken);
        let output = self.session.output().to_vec();
        self.session.sent(output.len());
        said.extend_from_slice(&output);
        moved |= taken > 0 || !output.is_empty();
        moved |= progress == Progress::Closed && !std::mem::replace(&mut self.is_closed, true);
        (moved, progress)
    }

    fn server(&mut self, number: usize) -> bool {
        let leg = &mut self.proxy.legs()[number];
        let far = &mut self.ends[number];
        match leg.need() {
            Need::Connect(_) if far.state == State::Deaf => return false,
            Need::Connect(address) => {
                self.addresses.push(address);
                if !far.connect() {
                    leg.lost();
                } else if far.is_connected() {
                    leg.connected();
                }
                return true;
            }
            Need::Close => {
                // QUIT may be on its way; nothing else may.
                let output = leg.output().to_vec();
                assert!(output.is_empty() || output.ends_with(b"QUIT\r\n"), "{}", output.escape_ascii());
                far.take(&output);
                far.end();
                leg.lost();
                return true;
            }
            Need::Nothing => {}
        }
        if far.is_over() {
            far.end();
            leg.lost();
            return true;
        }
        let output: Vec<u8> = leg.output().iter().copied().take(self.cut).collect();
        // A server that hangs does not read, either.
        let is_hung = far.state == State::Hung;
        if !output.is_empty() && !is_hung {
            leg.sent(output.len());
            far.take(&output);
        }
        let mut input = &far.output[..self.cut.min(far.output.len())];
        let before = input.len();
        leg.receive(&mut input);
        let taken = before - input.len();
        far.output.drain(..taken);
        taken > 0 || (!output.is_empty() && !is_hung)
    }

    /// Whose time is up first? False: nobody waits.
    fn pass_time(&mut self) -> bool {
        let Self { session, proxy, watches: [client, first, second], now, .. } = self;
        let legs = proxy.legs();
        let left = [
            client.left(session, *now),
            first.left_of(legs[0].patience(), *now),
            second.left_of(legs[1].patience(), *now),
        ];
        let Some(least) = left.into_iter().flatten().min() else { return false };
        *now += least;
        if left[0] == Some(least) {
            session.end(Ending::Expired);
        }
        for (leg, left) in legs.iter_mut().zip(&left[1..]) {
            if *left == Some(least) {
                leg.expire();
            }
        }
        true
    }

    /// EHLO, greeting included.
    pub fn hello(&mut self) -> String {
        self.say("EHLO c.example\r\n")
    }

    /// Posts a text, pipelined as far as it may be; the last lines of the replies.
    pub fn post(&mut self, from: &str, to: &[&str], text: &str) -> Vec<String> {
        let mut replies = self.begin(from, to);
        if replies.last().is_some_and(|reply| reply.starts_with("354")) {
            replies.extend(lines(&self.say(text.to_owned() + ".\r\n")));
        }
        replies
    }

    /// The same up to DATA.
    pub fn begin(&mut self, from: &str, to: &[&str]) -> Vec<String> {
        let rcpts: String = to.iter().map(|to| format!("RCPT TO:<{to}>\r\n")).collect();
        lines(&self.say(format!("MAIL FROM:<{from}>\r\n{rcpts}DATA\r\n")))
    }

    /// Recipients of the copies that a server has.
    pub fn delivered(&self, number: usize) -> Vec<&str> {
        self.ends[number].delivered.iter().map(|copy| copy.to.as_str()).collect()
    }
}

/// The last line of each reply.
pub fn lines(said: &str) -> Vec<String> {
    said.split_terminator("\r\n").filter(|line| line.as_bytes()[3] == b' ').map(Into::into).collect()
}

pub fn new<'r>(
    memory: &Remembered,
    upstream: impl FnMut(&str) -> Act + 'r,
    mailman: impl FnMut(&str) -> Act + 'r,
    cut: usize,
) -> Bench<'static, 'r> {
    with(proxy(memory, Guard::OPEN), Far::new(false, upstream), Far::new(true, mailman), cut)
}

/// After EHLO.
pub fn with<'r>(proxy: Proxy<'static>, upstream: Far<'r>, mailman: Far<'r>, cut: usize) -> Bench<'static, 'r> {
    let mut bench = Bench::new(&CONFIG, proxy, upstream, mailman, cut);
    bench.hello();
    bench
}

/// Nothing goes wrong.
pub fn good(cut: usize) -> Bench<'static, 'static> {
    new(&Remembered::default(), by(&[]), by(&[]), cut)
}

pub fn check(replies: &[String], expected: &[&str], what: &str) {
    let begins = |(reply, expected): (&String, &&str)| reply.starts_with(built(&format!("{expected}\r\n")).trim_end());
    let is_right = replies.len() == expected.len() && replies.iter().zip(expected).all(begins);
    assert!(is_right, "{what}: {replies:#?}\nexpected {expected:#?}");
}

/// Of these recipients, those that the client has to try again.
pub fn left<'t>(to: &[&'t str], replies: &[String]) -> Vec<&'t str> {
    let is_later = |reply: &String| reply.starts_with('4');
    let end = replies[to.len() + 1..].iter().find(|reply| !reply.starts_with("354"));
    let is_end_later = end.is_some_and(is_later);
    let rcpts = to.iter().zip(&replies[1..]);
    rcpts.filter(|(_, reply)| is_later(reply) || (reply.starts_with('2') && is_end_later)).map(|(to, _)| *to).collect()
}

/// Tries again until nothing is left.
pub fn try_again(bench: &mut Bench<'_, '_>, to: &[&'static str], text: &str, replies: &[String]) {
    let mut to = left(to, replies);
    for _ in 0..3 {
        if to.is_empty() {
            return;
        }
        bench.say("RSET\r\n");
        let replies = bench.post("a@c.example", &to, text);
        to = left(&to, &replies);
    }
    panic!("left: {to:?}");
}
