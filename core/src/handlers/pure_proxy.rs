//! Python's PureProxy: everything goes to one other server, and what that says is what the client hears.

use core::task::Waker;

use heapless::{Deque, Vec};

use super::passage::Passage;
use crate::client::Command;
use crate::guard::Guard;
use crate::relay::{Heard, Leg, Relay};
use crate::server::{Answer, Ending, Extensions, Flow, Handler, Hello, Mail, Peer, Rcpt};
use crate::store::Store;
use crate::wire::Reply;

/// Relays all mail to one server, live: commands go on as they come, what the client pipelines stays pipelined, and each answer
/// is that server's own, with code, enhanced code and text. The text streams through and is nowhere whole. Nothing is kept here,
/// so nothing can be lost: 250 is the other server's word.
///
/// - Offered to the client is what both sides offer. If the server is away at EHLO, that is PIPELINING, SIZE and
///   ENHANCEDSTATUSCODES, and MAIL tries again; see [`refuse_when_away`](Self::refuse_when_away).
/// - One connection for each client's, from its EHLO to its end, made anew for a MAIL if it is gone by then.
/// - A server that can't be reached, is lost, too slow or not understood is 451 (4.4.1, 4.4.2, 4.5.0) to whatever was asked.
///   Text whose client goes, or that is refused here, is never ended there: its connection is closed instead.
/// - A message with 100 `Received` fields is refused (554 5.4.6).
///
/// ```
/// use smtpd_core::guard::Guard;
/// use smtpd_core::handlers::PureProxy;
/// use smtpd_core::relay::Leg;
/// let leg = Leg::new("192.0.2.25:25".parse().unwrap(), "relay.example.org");
/// // Who may relay has to be said: here, whoever is on the same host.
/// let proxy = PureProxy::new(leg, Guard::LOOPBACK);
/// ```
///
#[doc = include_str!("pure_proxy.md")]
#[derive(Debug)]
pub struct PureProxy<'c, O: Store = Vec<u8, 2048>> {
    leg: Leg<O>,
    guard: Guard<'c>,
    refuses: bool,
    passage: Passage,
    asked: Asked,
}

/// What the oldest open question is.
#[derive(Clone, Debug)]
enum Asked {
    /// Nothing, or what is in the order in which it came.
    Turns(Turns),
    /// The greeting.
    Connected,
    /// EHLO or HELO.
    Hello,
}

/// Whose answers come next, as runs: their memory does not grow with recipients.
type Turns = Deque<(Turn, u16), 8>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    /// The server's, to MAIL.
    Mail,
    /// The server's.
    Server,
    /// The guard's, to RCPT.
    Denied,
}

const AWAY: Reply<'static> = Reply::new(421, "Next server away, try again later").enhanced(4, 1);

impl<'c, O: Store> PureProxy<'c, O> {
    /// A proxy that relays over `leg` what `guard` allows; the others' RCPT gets 550 5.7.1.
    #[must_use]
    pub const fn new(leg: Leg<O>, guard: Guard<'c>) -> Self {
        let asked = Asked::Turns(Turns::new());
        Self { leg, guard, refuses: false, passage: Passage::new(), asked }
    }

    /// Adds a `Received` field at the top of each message, as a relay has to (RFC 5321 §4.4): `now` gives the seconds since 1970, by
    /// the name of the leg. Without a clock there is no such field. In front of a message that begins with its body an empty line
    /// follows it: the body would be read as a part of the header section, or of the field.
    #[must_use]
    pub const fn received(mut self, now: fn() -> u32) -> Self {
        self.passage.now = Some(now);
        self
    }

    /// Adds Python's `X-Peer: ADDRESS` at the end of each message's header section.
    #[must_use]
    pub const fn x_peer(mut self) -> Self {
        self.passage.adds_x_peer = true;
        self
    }

    /// Greets with 421 if the other server is away, so that clients go elsewhere. Otherwise they are told by their first MAIL.
    #[must_use]
    pub const fn refuse_when_away(mut self) -> Self {
        self.refuses = true;
        self
    }

    /// The leg.
    #[must_use]
    pub const fn leg(&self) -> &Leg<O> {
        &self.leg
    }

    fn ask(&mut self, turn: Turn) {
        let Asked::Turns(turns) = &mut self.asked else { return };
        match turns.back_mut() {
            Some((last, count)) if *last == turn => *count = count.saturating_add(1),
            // `backlog` saw that there is room.
            _ => drop(turns.push_back((turn, 1))),
        }
    }

    /// How many questions are open.
    fn open(&self) -> u16 {
        match &self.asked {
            Asked::Turns(turns) => turns.iter().fold(0, |sum: u16, (_, count)| sum.saturating_add(*count)),
            _ => 1,
        }
    }

    /// The text begins, unless it has.
    fn begin(&mut self) {
        let Self { leg, passage, .. } = self;
        passage.begin(leg.name(), |octets| leg.text(octets));
    }

    /// The server greeted, and said what it can do.
    fn hear_hello(&mut self) -> Answer<'_> {
        self.leg.skip(Command::Greeting);
        match self.leg.heard() {
            Heard::Later => return Answer::Later,
            Heard::Reply(_, reply) if reply.is_positive() => {}
            // Its next MAIL says why.
            Heard::Reply(..) | Heard::Gone(_) => self.leg.close(),
        }
        self.asked = Asked::Turns(Turns::new());
        Answer::Accept
    }

    fn hear_greeting(&mut self) -> Answer<'_> {
        let is_up = match self.leg.heard() {
            Heard::Later => return Answer::Later,
            Heard::Reply(_, reply) => reply.is_positive(),
            Heard::Gone(_) => false,
        };
        self.asked = Asked::Turns(Turns::new());
        if is_up { Answer::Accept } else { Answer::Reply(AWAY) }
    }
}

impl<O: Store> Handler for PureProxy<'_, O> {
    fn connected(&mut self, peer: Peer) -> Answer<'_> {
        self.passage.trace.connected(peer);
        self.asked = Asked::Turns(Turns::new());
        if self.refuses {
            self.leg.open();
            self.asked = Asked::Connected;
            return Answer::Later;
        }
        Answer::Accept
    }

    fn hello(&mut self, hello: Hello<'_>) -> Answer<'_> {
        self.passage.trace.hello(hello);
        // What it offered, it still does.
        if self.leg.is_up() {
            return Answer::Accept;
        }
        self.leg.open();
        self.leg.hello();
        self.asked = Asked::Hello;
        Answer::Later
    }

    fn mail(&mut self, mail: Mail<'_>) -> Answer<'_> {
        self.leg.mail(mail.reverse_path.as_octets(), mail.params.as_octets(), mail.needs());
        self.ask(Turn::Mail);
        Answer::Later
    }

    fn rcpt(&mut self, rcpt: Rcpt<'_>) -> Answer<'_> {
        let is_allowed = self.guard.allows(self.passage.trace.peer(), rcpt.forward_path);
        if is_allowed {
            self.leg.rcpt(rcpt.forward_path.as_octets(), rcpt.params.as_octets());
        } else if self.open() == 0 {
            return Answer::Reply(Guard::DENIED);
        }
        self.ask(if is_allowed { Turn::Server } else { Turn::Denied });
        Answer::Later
    }

    fn data(&mut self) -> Answer<'_> {
        self.leg.data();
        self.ask(Turn::Server);
        self.passage.restart();
        Answer::Later
    }

    fn text(&mut self, octets: &[u8]) -> Flow<'_> {
        self.begin();
        let Self { leg, passage, .. } = self;
        passage.pass(octets, |octets| leg.text(octets));
        if passage.has_too_many_hops() {
            return Flow::Refuse(Passage::TOO_MANY_HOPS);
        }
        Flow::Continue
    }

    fn message(&mut self, _: u16) -> Answer<'_> {
        self.begin();
        let Self { leg, passage, .. } = self;
        passage.end(|octets| leg.text(octets));
        self.leg.end_text();
        self.ask(Turn::Server);
        Answer::Later
    }

    fn reset(&mut self) {
        self.leg.reset();
    }

    fn closed(&mut self, _: Ending) {
        self.leg.close();
    }

    fn acts_on(&self) -> Extensions {
        if self.leg.is_up() {
            return self.leg.extensions();
        }
        let own = Extensions::PIPELINING.with(Extensions::SIZE);
        #[cfg(feature = "enhanced")]
        let own = own.with(Extensions::ENHANCEDSTATUSCODES);
        own
    }

    fn size(&self) -> u32 {
        if self.leg.is_up() { self.leg.size() } else { 0 }
    }

    fn room(&mut self, _: &Waker) -> usize {
        // Of what is free then.
        self.begin();
        self.passage.room(self.leg.room())
    }

    fn backlog(&self) -> u16 {
        let open = self.open();
        let has_room = matches!(&self.asked, Asked::Turns(turns) if !turns.is_full());
        if has_room && self.leg.can_send() { open.saturating_add(1) } else { open }
    }

    fn resume(&mut self, _: &Waker) -> Answer<'_> {
        match self.asked {
            Asked::Connected => return self.hear_greeting(),
            Asked::Hello => return self.hear_hello(),
            Asked::Turns(_) => {}
        }
        let Self { leg, asked: Asked::Turns(turns), .. } = self else { return Answer::Later };
        let Some((turn, count)) = turns.front_mut() else { return Answer::Later };
        let turn = *turn;
        let reply = match turn {
            Turn::Denied => Guard::DENIED,
            _ => match leg.heard() {
                Heard::Later => return Answer::Later,
                Heard::Reply(_, reply) | Heard::Gone(reply) => reply,
            },
        };
        *count = count.saturating_sub(1);
        if turn == Turn::Mail && !reply.is_positive() {
            turns.clear();
        } else if *count == 0 {
            turns.pop_front();
        }
        Answer::Reply(reply)
    }
}

impl<O: Store> Relay for PureProxy<'_, O> {
    type Output = O;

    fn legs(&mut self) -> &mut [Leg<O>] {
        core::slice::from_mut(&mut self.leg)
    }
}
