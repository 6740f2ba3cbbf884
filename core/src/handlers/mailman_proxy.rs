//! Python's MailmanProxy: mail for lists goes to Mailman, all other mail to one other server.

use core::net::SocketAddr;
use core::task::Waker;

use heapless::Vec;

use super::passage::Passage;
use super::{Deliveries, Found, Lists};
use crate::client::{Command, Timers};
use crate::guard::Guard;
use crate::relay::{Heard, Leg, Relay};
use crate::server::{Answer, Body, Ending, Extensions, Flow, Handler, Hello, Mail, Peer, Rcpt};
use crate::store::Store;
use crate::wire::{ForwardPath, Mailbox, Reply};

/// Relays live, as [`PureProxy`](super::PureProxy) does, over two legs: recipients that [`Lists`] know go to Mailman by LMTP, all
/// others to the upstream server. Nothing is kept here: what is answered 250 is Mailman's and the server's.
///
/// - Who gets a recipient is decided at its RCPT, whose answer is that server's own. A server that can't be had is 451 for
///   its recipients alone; the address of a list never goes upstream. The [`Guard`] is for what goes upstream: mail for the lists is taken from anybody.
/// - Mailman's connection lasts a transaction; upstream's is kept. Both are made when the first recipient needs them, so the
///   client is offered our own extensions, and SIZE of at most 33,554,432, which is Mailman's: what one server can't take is refused at its RCPT
///   (554 5.6.3, 552 5.3.4).
/// - The text goes to both at once; DATA is answered 354 when both did. Upstream's dot is sent first, and only behind its yes Mailman's: a
///   server of lists multiplies second copies, so it is the last. If any of them says no before that, no list gets anything.
/// - All yes is 250. If Mailman then says 4yz, or is lost, the client hears 451, and [`Deliveries`] remember that
///   upstream has had its part: the next try goes to Mailman alone. That holds for texts with a Message-ID, for others may be equal and
///   still two. A 5yz of Mailman's is that, and says that others were served.
/// - Of a recipient that comes twice in a transaction, Mailman hears once.
///
/// Not for a server that itself speaks LMTP: there is one verdict for all recipients.
#[derive(Debug)]
pub struct MailmanProxy<'c, L: Lists, D: Deliveries = (), O: Store = Vec<u8, 2048>> {
    /// Upstream, and Mailman.
    legs: [Leg<O>; 2],
    lists: L,
    deliveries: D,
    guard: Guard<'c>,
    passage: Passage,
    transaction: Transaction,
    asked: Asked,
}

/// What the legs have of a transaction.
#[derive(Debug)]
struct Transaction {
    sender: Vec<u8, 256>,
    params: Vec<u8, 64>,
    size: u32,
    needed: Extensions,
    upstream: Stand,
    mailman: Stand,
    /// Which addresses of lists were accepted.
    known: Vec<u64, LISTS>,
    /// Octets of the line of text under way.
    line: u16,
    /// Whether its text is digested, so that it can be told from others.
    is_digested: bool,
}

/// How far one leg is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stand {
    /// It had its MAIL.
    is_asked: bool,
    /// Recipients that it accepted.
    accepted: u16,
    /// It said 354.
    is_ready: bool,
    /// Why it takes no more recipients.
    failure: Option<Failure>,
}

/// A refusal without its words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Failure {
    code: u16,
    subject: u8,
    detail: u16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Upstream,
    Mailman,
}

/// What the open question waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Nothing,
    /// That leg's answer to a recipient, whose address this stands for.
    Rcpt(End, u64),
    /// 354 of all.
    Data,
    /// Upstream's answer to the text.
    Upstream,
    /// Mailman's answers to the text.
    Mailman(Tally),
}

/// Mailman's answers to a text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Tally {
    all: u16,
    /// The first 4yz and the first 5yz.
    deferred: Option<Failure>,
    refused: Option<Failure>,
    accepted: u16,
}

/// Lists in a transaction.
const LISTS: usize = 64;
/// What Mailman takes (its LMTP runner's own limit).
const SIZE: u32 = 33_554_432;
/// Octets of a line of text that Mailman takes, line end not counted.
const LINE: u16 = 999;

const LOST: Failure = Failure::new(451, 4, 2);
const AWAY: Failure = Failure::new(451, 4, 1);
const UNFIT: Reply<'static> = Reply::new(554, "Next server takes no 8BITMIME").enhanced(6, 3);
const TOO_BIG: Reply<'static> = Reply::new(552, "Next server takes no message of this size").enhanced(3, 4);
const TOO_LONG: Reply<'static> = Reply::new(554, "Line of text too long for a list").enhanced(6, 0);
const NOT_KNOWN: Reply<'static> = Reply::new(451, "The lists are not known now, try again").enhanced(4, 3);
const ANOTHER: Reply<'static> = Reply::new(452, "Too many recipients, send this one again").enhanced(5, 3);

impl<'c, L: Lists, D: Deliveries, O: Store> MailmanProxy<'c, L, D, O> {
    /// A proxy that relays what `lists` know to Mailman over `mailman`, a leg that speaks LMTP, and what `guard` allows over
    /// `upstream`; `mailman` has [`Timers::LOCAL`] from now on, its address comes from the lists.
    #[must_use]
    pub fn new(upstream: Leg<O>, mailman: Leg<O>, lists: L, deliveries: D, guard: Guard<'c>) -> Self {
        let mailman = mailman.lmtp().timers(Timers::LOCAL);
        let (passage, transaction) = (Passage::new(), Transaction::new());
        Self { legs: [upstream, mailman], lists, deliveries, guard, passage, transaction, asked: Asked::Nothing }
    }

    /// Adds a `Received` field: see [`PureProxy::received`](super::PureProxy::received).
    #[must_use]
    pub fn received(mut self, now: fn() -> u32) -> Self {
        self.passage.now = Some(now);
        self
    }

    /// Gives a recipient to a leg.
    fn give(&mut self, end: End, path: &[u8], key: u64) -> Answer<'_> {
        let Self { legs, transaction, asked, .. } = self;
        let [upstream, mailman] = legs;
        let Transaction { sender, params, size, needed, .. } = transaction;
        let (leg, stand) = match end {
            End::Upstream => (upstream, &mut transaction.upstream),
            End::Mailman => (mailman, &mut transaction.mailman),
        };
        if let Some(failure) = stand.failure {
            return Answer::Reply(failure.reply("Next server takes nothing of this mail"));
        }
        if !stand.is_asked {
            if leg.is_up() && !leg.extensions().contains(*needed) {
                return Answer::Reply(UNFIT);
            }
            if leg.is_up() && leg.size() > 0 && *size > leg.size() {
                return Answer::Reply(TOO_BIG);
            }
            stand.is_asked = true;
            leg.mail(sender, params, *needed);
        }
        leg.rcpt(path, b"");
        *asked = Asked::Rcpt(end, key);
        Answer::Later
    }

    fn hear_rcpt(&mut self, end: End, key: u64) -> Answer<'_> {
        let Self { legs, transaction, asked, deliveries, .. } = self;
        let [upstream, mailman] = legs;
        let Transaction { known, .. } = transaction;
        let (leg, stand) = match end {
            End::Upstream => (upstream, &mut transaction.upstream),
            End::Mailman => (mailman, &mut transaction.mailman),
        };
        leg.skip(Command::Mail);
        let heard = leg.heard();
        if heard != Heard::Later {
            *asked = Asked::Nothing;
        }
        match heard {
            Heard::Later => Answer::Later,
            Heard::Reply(Command::Rcpt, reply) if reply.is_positive() => {
                stand.accepted = stand.accepted.saturating_add(1);
                match end {
                    End::Upstream => deliveries.digest(&key.to_le_bytes()),
                    // There is room: see `rcpt`.
                    End::Mailman => drop(known.push(key)),
                }
                Answer::Reply(reply)
            }
            // The next one has a chance of its own.
            Heard::Reply(Command::Rcpt, reply) if reply.code() != 421 => Answer::Reply(reply),
            Heard::Reply(Command::Greeting | Command::Hello, _) => {
                stand.failure = Some(AWAY);
                Answer::Reply(AWAY.reply("Next server away, try again"))
            }
            Heard::Reply(_, reply) => {
                stand.failure = Some(Failure::of(&reply));
                // The client's connection has nothing to do with that.
                Answer::Reply(if reply.code() == 421 { reply.recoded(451) } else { reply })
            }
            Heard::Gone(reply) => {
                stand.failure = Some(Failure::of(&reply));
                Answer::Reply(reply)
            }
        }
    }

    fn hear_data(&mut self) -> Answer<'_> {
        let mut failure = None;
        let Self { legs: [upstream, mailman], transaction, .. } = self;
        for (leg, stand) in [(upstream, &mut transaction.upstream), (mailman, &mut transaction.mailman)] {
            if stand.accepted == 0 || stand.is_ready {
                continue;
            }
            match leg.heard() {
                Heard::Later => {}
                Heard::Reply(_, reply) if reply.is_positive() => stand.is_ready = true,
                Heard::Reply(_, reply) => failure = failure.or(Some(Failure::of(&reply))),
                Heard::Gone(reply) => failure = failure.or(Some(Failure::of(&reply))),
            }
        }
        if let Some(failure) = failure {
            return self.give_up(failure);
        }
        let is_waiting = |stand: &Stand| stand.accepted > 0 && !stand.is_ready;
        if is_waiting(&self.transaction.upstream) || is_waiting(&self.transaction.mailman) {
            return Answer::Later;
        }
        self.asked = Asked::Nothing;
        Answer::Accept
    }

    /// No server gets anything of the transaction.
    fn give_up(&mut self, failure: Failure) -> Answer<'_> {
        self.asked = Asked::Nothing;
        self.abandon();
        let Transaction { upstream, mailman, .. } = &mut self.transaction;
        // The client may say DATA again.
        for stand in [upstream, mailman] {
            stand.failure = Some(LOST);
        }
        Answer::Reply(failure.reply("Next server takes no text now"))
    }

    /// Texts that were begun are not ended; upstream is ready for another transaction, if it can be.
    fn abandon(&mut self) {
        let Self { legs: [upstream, mailman], transaction, .. } = self;
        if transaction.upstream.is_asked {
            upstream.reset();
        }
        if transaction.mailman.is_asked {
            mailman.close();
        }
    }

    fn hear_upstream(&mut self) -> Answer<'_> {
        let Self { legs: [upstream, mailman], transaction, deliveries, asked, .. } = self;
        let (is_positive, reply) = match upstream.heard() {
            Heard::Later => return Answer::Later,
            Heard::Reply(_, reply) => (reply.is_positive(), reply),
            Heard::Gone(reply) => (false, reply),
        };
        let has_lists = transaction.mailman.accepted > 0;
        if is_positive && has_lists {
            mailman.end_session();
            *asked = Asked::Mailman(Tally::default());
            return Answer::Later;
        }
        *asked = Asked::Nothing;
        if has_lists {
            mailman.close();
        }
        if reply.code() >= 500 {
            deliveries.forget();
        }
        Answer::Reply(if reply.code() == 421 { reply.recoded(451) } else { reply })
    }

    fn hear_mailman(&mut self, mut tally: Tally) -> Answer<'_> {
        let Self { legs: [_, mailman], transaction, deliveries, passage, asked, .. } = self;
        if let Heard::Reply(Command::Message, reply) = mailman.heard() {
            tally.count(&reply);
        }
        let all = transaction.mailman.accepted;
        if tally.all < all && !mailman.is_gone() {
            *asked = Asked::Mailman(tally);
            return Answer::Later;
        }
        *asked = Asked::Nothing;
        mailman.close();
        let verdict = tally.verdict(all);
        let has_upstream = transaction.upstream.accepted > 0;
        match verdict {
            Some(failure) if failure.code < 500 => {
                if has_upstream && passage.has_message_id() {
                    deliveries.remember();
                }
                Answer::Reply(failure.reply("Mailman did not take it, try again"))
            }
            Some(failure) => {
                deliveries.forget();
                let is_served = has_upstream || tally.accepted > 0;
                let text = if is_served {
                    "Refused by Mailman; all other recipients were served"
                } else {
                    "Refused by Mailman"
                };
                Answer::Reply(failure.reply(text))
            }
            None => {
                deliveries.forget();
                Answer::Accept
            }
        }
    }

    fn used(&self, end: End) -> bool {
        match end {
            End::Upstream => self.transaction.upstream.accepted > 0,
            End::Mailman => self.transaction.mailman.accepted > 0,
        }
    }

    /// The text begins, unless it has.
    fn begin(&mut self) {
        let (to_upstream, to_mailman) = (self.used(End::Upstream), self.used(End::Mailman));
        let Self { legs: [upstream, mailman], passage, .. } = self;
        let host = upstream.name();
        passage.begin(host, |octets| {
            if to_upstream {
                upstream.text(octets);
            }
            if to_mailman {
                mailman.text(octets);
            }
        });
    }
}

impl Transaction {
    const fn new() -> Self {
        Self {
            sender: Vec::new(),
            params: Vec::new(),
            size: 0,
            needed: Extensions::NONE,
            upstream: Stand::NEW,
            mailman: Stand::NEW,
            known: Vec::new(),
            line: 0,
            is_digested: false,
        }
    }
}

impl Stand {
    const NEW: Self = Self { is_asked: false, accepted: 0, is_ready: false, failure: None };
}

impl Failure {
    const fn new(code: u16, subject: u8, detail: u16) -> Self {
        Self { code, subject, detail }
    }

    fn of(reply: &Reply<'_>) -> Self {
        let code = if reply.code() == 421 { 451 } else { reply.code() };
        #[cfg(feature = "enhanced")]
        let (subject, detail) = reply.enhanced_code().map_or((0, 0), |enhanced| (enhanced.subject, enhanced.detail));
        #[cfg(not(feature = "enhanced"))]
        let (subject, detail) = (0, 0);
        Self { code, subject, detail }
    }

    const fn reply(self, text: &'static str) -> Reply<'static> {
        Reply::new(self.code, text).enhanced(self.subject, self.detail)
    }
}

impl Tally {
    fn count(&mut self, reply: &Reply<'_>) {
        self.all = self.all.saturating_add(1);
        match reply.code() {
            0..400 => self.accepted = self.accepted.saturating_add(1),
            400..500 => self.deferred = self.deferred.or(Some(Failure::of(reply))),
            _ => self.refused = self.refused.or(Some(Failure::of(reply))),
        }
    }

    /// Of `all` recipients; none: all were served. A single refusal is for all of them (Mailman refuses some texts as a whole, against RFC 2033 §4.2);
    /// otherwise nobody knows what became of those without a reply.
    fn verdict(self, all: u16) -> Option<Failure> {
        let is_sole = self.all == 1 && self.accepted == 0;
        match self.deferred {
            Some(failure) => Some(failure),
            None if self.all < all && !is_sole => Some(LOST),
            None => self.refused,
        }
    }
}

impl<L: Lists, D: Deliveries, O: Store> Handler for MailmanProxy<'_, L, D, O> {
    fn connected(&mut self, peer: Peer) -> Answer<'_> {
        self.passage.trace.connected(peer);
        self.asked = Asked::Nothing;
        Answer::Accept
    }

    fn hello(&mut self, hello: Hello<'_>) -> Answer<'_> {
        self.passage.trace.hello(hello);
        Answer::Accept
    }

    fn mail(&mut self, mail: Mail<'_>) -> Answer<'_> {
        const TOO_LONG: Reply<'static> = Reply::new(501, "Sender or parameters too long").enhanced(5, 4);
        self.transaction = Transaction::new();
        let Transaction { sender, params, size, needed, .. } = &mut self.transaction;
        let path = mail.reverse_path.as_octets();
        if sender.extend_from_slice(path).is_err() || params.extend_from_slice(mail.params.as_octets()).is_err() {
            return Answer::Reply(TOO_LONG);
        }
        *size = mail.size.unwrap_or(0);
        if mail.body == Some(Body::EightBitMime) {
            *needed = Extensions::EIGHTBITMIME;
        }
        self.deliveries.begin();
        self.deliveries.digest(path);
        Answer::Accept
    }

    fn rcpt(&mut self, rcpt: Rcpt<'_>) -> Answer<'_> {
        let path = rcpt.forward_path;
        let found = match path {
            ForwardPath::Mailbox(mailbox) => (self.lists.find(mailbox), key(mailbox)),
            _ => (Found::Nothing, 0),
        };
        match found {
            (Found::Nothing, _) if !self.guard.allows(self.passage.trace.peer(), path) => Answer::Reply(Guard::DENIED),
            (Found::Nothing, key) => self.give(End::Upstream, path.as_octets(), key),
            (Found::Unknown, _) => Answer::Reply(NOT_KNOWN),
            (Found::Lmtp(_), key) if self.transaction.known.contains(&key) => Answer::Accept,
            (Found::Lmtp(address), key) if self.takes(address) => self.give(End::Mailman, path.as_octets(), key),
            (Found::Lmtp(_), _) => Answer::Reply(ANOTHER),
        }
    }

    fn data(&mut self) -> Answer<'_> {
        self.passage.restart();
        self.transaction.line = 0;
        self.transaction.is_digested =
            self.used(End::Upstream) && (self.used(End::Mailman) || self.deliveries.is_wanted());
        let Self { legs: [upstream, mailman], transaction, .. } = self;
        let mut is_broken = false;
        for (leg, stand, end) in
            [(upstream, &transaction.upstream, End::Upstream), (mailman, &transaction.mailman, End::Mailman)]
        {
            match (stand.accepted > 0, end) {
                (true, _) => {
                    is_broken |= stand.failure.is_some() || leg.is_gone();
                    leg.data();
                }
                (false, _) if !stand.is_asked => {}
                (false, End::Upstream) => leg.reset(),
                (false, End::Mailman) => leg.close(),
            }
        }
        if is_broken {
            return self.give_up(LOST);
        }
        self.asked = Asked::Data;
        Answer::Later
    }

    fn text(&mut self, octets: &[u8]) -> Flow<'_> {
        const GONE: Reply<'static> = LOST.reply("Next server lost, try again");
        self.begin();
        let (to_upstream, to_mailman) = (self.used(End::Upstream), self.used(End::Mailman));
        if self.transaction.is_digested {
            self.deliveries.digest(octets);
        }
        if to_mailman && is_too_long(&mut self.transaction.line, octets) {
            return Flow::Refuse(TOO_LONG);
        }
        let Self { legs: [upstream, mailman], passage, .. } = self;
        passage.pass(octets, |octets| {
            if to_upstream {
                upstream.text(octets);
            }
            if to_mailman {
                mailman.text(octets);
            }
        });
        if passage.has_too_many_hops() {
            return Flow::Refuse(Passage::TOO_MANY_HOPS);
        }
        if (to_upstream && upstream.is_gone()) || (to_mailman && mailman.is_gone()) {
            return Flow::Refuse(GONE);
        }
        Flow::Continue
    }

    fn message(&mut self, _: u16) -> Answer<'_> {
        self.begin();
        let (to_upstream, to_mailman) = (self.used(End::Upstream), self.used(End::Mailman));
        let is_served = self.transaction.is_digested && self.passage.has_message_id() && self.deliveries.is_known();
        let Self { legs: [upstream, mailman], deliveries, asked, .. } = self;
        if to_upstream && is_served {
            // Without its dot.
            upstream.reset();
            if !to_mailman {
                deliveries.forget();
                return Answer::Accept;
            }
        } else if to_upstream {
            upstream.end_text();
            *asked = Asked::Upstream;
            return Answer::Later;
        }
        mailman.end_session();
        *asked = Asked::Mailman(Tally::default());
        Answer::Later
    }

    fn reset(&mut self) {
        self.abandon();
        self.asked = Asked::Nothing;
    }

    fn closed(&mut self, _: Ending) {
        for leg in &mut self.legs {
            leg.close();
        }
    }

    fn size(&self) -> u32 {
        SIZE
    }

    fn room(&mut self, _: &Waker) -> usize {
        self.begin();
        let (to_upstream, to_mailman) = (self.used(End::Upstream), self.used(End::Mailman));
        let [upstream, mailman] = &self.legs;
        let upstream = if to_upstream { upstream.room() } else { usize::MAX };
        let mailman = if to_mailman { mailman.room() } else { usize::MAX };
        Passage::room(upstream.min(mailman))
    }

    fn resume(&mut self, _: &Waker) -> Answer<'_> {
        match self.asked {
            Asked::Nothing => Answer::Later,
            Asked::Rcpt(end, key) => self.hear_rcpt(end, key),
            Asked::Data => self.hear_data(),
            Asked::Upstream => self.hear_upstream(),
            Asked::Mailman(tally) => self.hear_mailman(tally),
        }
    }
}

impl<L: Lists, D: Deliveries, O: Store> MailmanProxy<'_, L, D, O> {
    /// Whether one more list, whose Mailman is there, has a place in this transaction.
    fn takes(&mut self, address: SocketAddr) -> bool {
        let Self { legs: [_, mailman], transaction, .. } = self;
        if transaction.mailman == Stand::NEW {
            mailman.set_address(address);
        }
        address == mailman.address() && !transaction.known.is_full()
    }
}

impl<L: Lists, D: Deliveries, O: Store> Relay for MailmanProxy<'_, L, D, O> {
    type Output = O;

    fn legs(&mut self) -> &mut [Leg<O>] {
        &mut self.legs
    }
}

/// What stands for an address, letter case and quotes aside (FNV-1a): a client that finds two addresses with one key is
/// answered yes for both, and one of them gets nothing of its own mail.
fn key(mailbox: Mailbox<'_>) -> u64 {
    const PRIME: u64 = 0x100_0000_01b3;
    let mut key: u64 = 0xcbf2_9ce4_8422_2325;
    let mut add = |octet: u8| key = (key ^ u64::from(octet.to_ascii_lowercase())).wrapping_mul(PRIME);
    mailbox.plain_local_part().for_each(&mut add);
    add(b'@');
    mailbox.domain().iter().copied().for_each(&mut add);
    key
}

/// Whether a line is longer than Mailman takes; `line` are the octets of the line under way.
fn is_too_long(line: &mut u16, octets: &[u8]) -> bool {
    for piece in octets.split_inclusive(|octet| *octet == b'\n') {
        let len = u16::try_from(piece.len()).unwrap_or(u16::MAX);
        *line = line.saturating_add(len);
        // With its line end.
        if *line > LINE.saturating_add(2) {
            return true;
        }
        if piece.ends_with(b"\n") {
            *line = 0;
        }
    }
    false
}
