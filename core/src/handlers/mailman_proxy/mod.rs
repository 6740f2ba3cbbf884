//! Python's MailmanProxy: mail for lists goes to Mailman, all other mail to one other server.

mod hear;
mod measure;
mod tally;
mod transaction;

use core::net::SocketAddr;
use core::task::Waker;

use heapless::Vec;

use self::hear::Asked;
use self::measure::Measure;
use self::transaction::{Failure, Stand, Transaction};
use super::passage::Passage;
use super::{Deliveries, End, Found, Lists};
use crate::client::Timers;
use crate::guard::Guard;
use crate::relay::{Leg, Relay, UNFIT};
use crate::server::{Answer, Ending, Flow, Handler, Hello, Mail, Peer, Rcpt};
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
/// - All yes is 250. If Mailman then says 4yz, or is lost, the client hears 451, and [`Deliveries`] remember who was served:
///   the next try goes to all others alone. Lists that may have been served, and others, take two transactions (452 4.5.3):
///   the kind of the first list comes first, but where that fails again not each time. All of this holds for texts with a
///   Message-ID, for others may be equal and still two. A 5yz of Mailman's is that, and says that others were served; to a
///   mail for one list alone its answer goes through as it is.
/// - What Mailman would refuse once it has the text, as too big or for its long lines, is refused before upstream has it.
/// - Of a list's address that comes twice in a transaction, Mailman hears once.
///
/// Not for a server that itself speaks LMTP: there is one verdict for all recipients.
///
#[doc = include_str!("failures.md")]
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

/// What Mailman takes (its LMTP runner's own limit).
const SIZE: u32 = 33_554_432;

const TOO_BIG: Reply<'static> = Reply::new(552, "Next server takes no message of this size").enhanced(3, 4);
const NOT_KNOWN: Reply<'static> = Reply::new(451, "The lists are not known now, try again").enhanced(4, 3);
const ANOTHER: Reply<'static> = Reply::new(452, "Too many recipients, send this one again").enhanced(5, 3);
const LOST: Reply<'static> = Failure::LOST.reply("Next server lost, try again");

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

    /// Gives a recipient to a server.
    fn give(&mut self, end: End, path: &[u8], number: u64) -> Answer<'_> {
        let Self { legs, transaction, asked, .. } = self;
        let Transaction { sender, params, size, needed, stands, .. } = transaction;
        let (leg, stand) = (of(legs, end), of(stands, end));
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
        *asked = Asked::Rcpt(end, number);
        Answer::Later
    }

    /// Whether one more list, whose Mailman is there, has a place in this transaction.
    fn takes(&mut self, address: SocketAddr, number: u64) -> bool {
        let leg = of(&mut self.legs, End::Mailman);
        if *of(&mut self.transaction.stands, End::Mailman) == Stand::NEW {
            leg.set_address(address);
        }
        address == leg.address() && !self.transaction.known.is_full() && self.goes_along(number)
    }

    /// Whether a list is of the kind of those before it, which may have the mail or may not, and does not stand back this time.
    fn goes_along(&mut self, number: u64) -> bool {
        let Self { transaction, deliveries, .. } = self;
        let may_have = deliveries.may_have(number);
        if !transaction.known.is_empty() && transaction.may_have != may_have {
            transaction.has_turned_away = true;
            return false;
        }
        transaction.may_have = may_have;
        !deliveries.stands_back(number)
    }

    /// Whether a server gets the text.
    const fn uses(&self, end: End) -> bool {
        let [upstream, mailman] = &self.transaction.stands;
        match end {
            End::Upstream => upstream.is_used(),
            End::Mailman => mailman.is_used(),
        }
    }

    /// Whether a server that gets the text is gone.
    fn is_broken(&self) -> bool {
        let Self { legs, transaction, .. } = self;
        let is_gone = |(leg, stand): (&Leg<O>, &Stand)| stand.is_used() && (stand.failure.is_some() || leg.is_gone());
        legs.iter().zip(&transaction.stands).any(is_gone)
    }

    /// The text begins, unless it has.
    fn begin(&mut self) {
        let Self { legs, passage, transaction, .. } = self;
        let host = legs.first().map_or("", Leg::name);
        passage.begin(host, |octets| send(legs, transaction, octets));
    }

    /// No server gets anything of the transaction: texts that were begun are not ended, and upstream is ready for another
    /// transaction, if it can be.
    fn abandon(&mut self) {
        self.asked = Asked::Nothing;
        let Self { legs: [upstream, mailman], transaction, .. } = self;
        let [to_upstream, to_mailman] = &transaction.stands;
        if to_upstream.is_asked {
            upstream.reset();
        }
        if to_mailman.is_asked {
            mailman.close();
        }
    }

    /// The same, and the client hears why: again, if it says DATA once more.
    fn give_up(&mut self, reply: Reply<'static>) -> Answer<'_> {
        self.abandon();
        for stand in &mut self.transaction.stands {
            stand.failure = Some(Failure::LOST);
        }
        Answer::Reply(reply)
    }

    /// Whether an earlier try got the mail to all recipients of a server.
    fn has_served(&mut self, end: End) -> bool {
        self.uses(end) && self.transaction.is_digested && self.deliveries.is_known(end)
    }

    /// The recipients have their final answer, or one that no memory is of use for.
    fn forget(&mut self) {
        if self.transaction.is_digested {
            self.deliveries.forget();
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
        if !self.transaction.begin(&mail) {
            return Answer::Reply(TOO_LONG);
        }
        self.deliveries.begin(mail.reverse_path.as_octets());
        Answer::Accept
    }

    fn rcpt(&mut self, rcpt: Rcpt<'_>) -> Answer<'_> {
        let path = rcpt.forward_path;
        let octets = path.as_octets();
        let found = match path {
            ForwardPath::Mailbox(mailbox) => self.lists.find(mailbox),
            ForwardPath::Postmaster(_) => Found::Nothing,
        };
        let number = match (found, path) {
            (Found::Lmtp(_), ForwardPath::Mailbox(mailbox)) => self.deliveries.number(&mut of_list(mailbox)),
            _ => self.deliveries.number(&mut octets.iter().copied()),
        };
        match found {
            Found::Nothing if !self.guard.allows(self.passage.trace.peer(), path) => Answer::Reply(Guard::DENIED),
            Found::Nothing => self.give(End::Upstream, octets, number),
            Found::Unknown => Answer::Reply(NOT_KNOWN),
            Found::Lmtp(_) if self.transaction.known.contains(&number) => Answer::Accept,
            Found::Lmtp(address) if self.takes(address, number) => self.give(End::Mailman, octets, number),
            Found::Lmtp(_) => Answer::Reply(ANOTHER),
        }
    }

    fn data(&mut self) -> Answer<'_> {
        self.passage.restart();
        if self.is_broken() {
            return self.give_up(LOST);
        }
        let Self { legs: [upstream, mailman], transaction, deliveries, asked, .. } = self;
        let [to_upstream, to_mailman] = &transaction.stands;
        let may_be_served_partly = to_mailman.accepted > 1 || (to_mailman.is_used() && to_upstream.is_used());
        transaction.is_digested = may_be_served_partly || deliveries.is_wanted();
        transaction.measure = Measure::new(if mailman.size() > 0 { mailman.size() } else { SIZE });
        match (to_upstream.is_used(), to_upstream.is_asked) {
            (true, _) => upstream.data(),
            (false, true) => upstream.reset(),
            (false, false) => {}
        }
        match (to_mailman.is_used(), to_mailman.is_asked) {
            (true, _) => mailman.data(),
            (false, true) => mailman.close(),
            (false, false) => {}
        }
        *asked = Asked::Data;
        Answer::Later
    }

    fn text(&mut self, octets: &[u8]) -> Flow<'_> {
        self.begin();
        let Self { legs, passage, transaction, deliveries, .. } = self;
        if transaction.is_digested {
            deliveries.text(octets);
        }
        passage.pass(octets, |octets| send(legs, transaction, octets));
        if passage.has_too_many_hops() {
            return Flow::Refuse(Passage::TOO_MANY_HOPS);
        }
        transaction.measure.refusal().map_or(Flow::Continue, Flow::Refuse)
    }

    fn message(&mut self, _: u16) -> Answer<'_> {
        self.begin();
        // As long as nobody has anything.
        if self.is_broken() {
            return self.give_up(LOST);
        }
        let Self { legs, passage, transaction, .. } = self;
        passage.end(|octets| send(legs, transaction, octets));
        if self.has_served(End::Upstream) {
            // Without its dot.
            of(&mut self.legs, End::Upstream).reset();
        } else if self.uses(End::Upstream) {
            of(&mut self.legs, End::Upstream).end_text();
            self.asked = Asked::Upstream;
            return Answer::Later;
        }
        if self.uses(End::Mailman) {
            return self.end_mailman();
        }
        self.forget();
        Answer::Accept
    }

    fn reset(&mut self) {
        self.abandon();
    }

    fn closed(&mut self, _: Ending) {
        if let Asked::Mailman(tally) = self.asked {
            // The client is gone, and tries again.
            self.keep(tally);
        }
        self.asked = Asked::Nothing;
        for leg in &mut self.legs {
            leg.close();
        }
    }

    fn size(&self) -> u32 {
        SIZE
    }

    fn room(&mut self, _: &Waker) -> usize {
        // Of what is free then.
        self.begin();
        let Self { legs, transaction, .. } = self;
        let used = legs.iter().zip(&transaction.stands).filter(|(_, stand)| stand.is_used());
        self.passage.room(used.map(|(leg, _)| leg.room()).min().unwrap_or(0))
    }

    fn resume(&mut self, _: &Waker) -> Answer<'_> {
        self.hear()
    }
}

impl<L: Lists, D: Deliveries, O: Store> Relay for MailmanProxy<'_, L, D, O> {
    type Output = O;

    fn legs(&mut self) -> &mut [Leg<O>] {
        &mut self.legs
    }
}

/// That of both which is the server's.
const fn of<T>(both: &mut [T; 2], end: End) -> &mut T {
    let [upstream, mailman] = both;
    match end {
        End::Upstream => upstream,
        End::Mailman => mailman,
    }
}

/// Octets of the text, to whom it goes.
fn send<O: Store>(legs: &mut [Leg<O>; 2], transaction: &mut Transaction, octets: &[u8]) {
    let Transaction { stands: [to_upstream, to_mailman], measure, .. } = transaction;
    let [upstream, mailman] = legs;
    if to_upstream.is_used() {
        upstream.text(octets);
    }
    if to_mailman.is_used() {
        measure.count(octets);
        mailman.text(octets);
    }
}

/// A list's address, letter case and quotes aside.
fn of_list(mailbox: Mailbox<'_>) -> impl Iterator<Item = u8> {
    let domain = core::iter::once(b'@').chain(mailbox.domain().iter().copied());
    mailbox.plain_local_part().chain(domain).map(|octet| octet.to_ascii_lowercase())
}
