//! One connection with a relay: the client's, and those of the relay's legs. One task drives them all.

use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use smtpd_core::relay::Relay;
use smtpd_core::server::{Config, Ending, Peer};
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::connection::{Connection, Driven, caught};
use crate::dial::{Calls, Dial};
use crate::pool::RELAYED;
use crate::upstream::{Turn, Upstream};

/// A client's connection, and what is behind it.
pub(crate) struct RelayConnection<'c, R, D> {
    client: Connection<'c, R>,
    /// The far ends of the relay's legs, in their order; none once the relay has panicked.
    upstreams: Box<[Upstream]>,
    dial: Arc<Calls<D>>,
}

impl<'c, R: Relay, D: Dial> RelayConnection<'c, R, D> {
    /// # Errors
    /// The relay panicked when it was asked for its legs.
    pub(crate) fn new(
        stream: TcpStream,
        config: &'c Config<'c>,
        peer: Peer,
        mut relay: R,
        dial: Arc<Calls<D>>,
        at_once: usize,
    ) -> Result<Self, (TcpStream, Ending)> {
        let upstreams = match caught(|| relay.legs().iter().map(|_| Upstream::default()).collect()) {
            Ok(upstreams) => upstreams,
            Err(why) => return Err((stream, why)),
        };
        Ok(Self { client: Connection::new(stream, config, peer, relay, at_once.min(RELAYED)), upstreams, dial })
    }

    /// The client's stream, and what is left to say to the servers, once the session is over.
    pub(crate) fn parts(&mut self) -> (&mut TcpStream, Farewell<'_, R, D>) {
        let (stream, relay) = self.client.parts();
        (stream, Farewell { relay, upstreams: &mut self.upstreams, dial: &self.dial })
    }

    /// Moves octets and steps until nothing moves.
    fn drive(&mut self, cx: &mut Context<'_>) {
        loop {
            let has_moved = caught(|| self.turn(cx)).unwrap_or_else(|_| {
                self.client.fault();
                false
            });
            if self.client.is_faulty() {
                // A text that was begun has no end then, and the server no message.
                self.upstreams = Box::default();
            }
            if !has_moved {
                return;
            }
        }
    }

    /// Each end in turn, the client first; true if anything moved that another may have waited for.
    fn turn(&mut self, cx: &mut Context<'_>) -> bool {
        let is_text = self.client.is_text();
        // Text that can't go on is not read at all: it would only be kept.
        let is_held = is_text && self.upstreams.iter().any(|upstream| upstream.is_blocked);
        let mut has_moved = self.client.turn(cx, is_held);
        for number in 0..self.upstreams.len() {
            if self.client.is_faulty() {
                break;
            }
            has_moved |= self.turn_leg(cx, number, is_text);
        }
        has_moved
    }

    fn turn_leg(&mut self, cx: &mut Context<'_>, number: usize, is_text: bool) -> bool {
        let Some(upstream) = self.upstreams.get_mut(number) else { return false };
        let Some(leg) = self.client.handler().legs().get_mut(number) else { return false };
        match upstream.turn(cx, number, leg, &self.dial) {
            Turn::Nothing => false,
            Turn::Moved => true,
            // Nothing but text waits for room.
            Turn::Sent => is_text,
            Turn::Input(buffer, filled) => {
                let (octets, _) = buffer.split_at(filled);
                let taken = self.receive(number, octets, cx.waker());
                if let Some(upstream) = self.upstreams.get_mut(number) {
                    upstream.keep(octets.split_at(taken).1);
                }
                true
            }
            Turn::Kept(octets) => {
                let taken = self.receive(number, &octets, cx.waker());
                if let Some(upstream) = self.upstreams.get_mut(number) {
                    upstream.put_back(octets, taken);
                }
                taken > 0
            }
        }
    }

    /// Hands octets to a leg, reply after reply, and steps behind each, so that one write holds what all of them cause;
    /// returns how much was taken.
    fn receive(&mut self, number: usize, octets: &[u8], waker: &Waker) -> usize {
        let mut input = octets;
        while !input.is_empty() && !self.client.is_faulty() {
            let Some(leg) = self.client.handler().legs().get_mut(number) else { break };
            let before = input.len();
            leg.receive(&mut input);
            if input.len() == before {
                break;
            }
            self.client.go_on(waker);
        }
        octets.len() - input.len()
    }

    /// Ready when a leg's patience is over (none: it heard so), or the session's.
    fn poll_timer(&mut self, cx: &mut Context<'_>) -> Poll<Option<Ending>> {
        let mut first = None::<Instant>;
        if !self.upstreams.is_empty() {
            for (upstream, leg) in self.upstreams.iter_mut().zip(self.client.handler().legs()) {
                let due = upstream.due(leg);
                first = Some(first.map_or(due, |first| first.min(due)));
            }
        }
        ready!(self.client.poll_timer(cx, first));
        let now = Instant::now();
        if first.is_none_or(|first| first > now) {
            return Poll::Ready(Some(Ending::Expired));
        }
        for (upstream, leg) in self.upstreams.iter_mut().zip(self.client.handler().legs()) {
            if upstream.due(leg) <= now {
                leg.expire();
            }
        }
        Poll::Ready(None)
    }
}

impl<R: Relay, D: Dial> Driven for RelayConnection<'_, R, D> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            self.drive(cx);
            if self.client.is_over() {
                return Poll::Ready(());
            }
            let why = match self.client.must_stop() {
                true => Some(Ending::Stopping),
                false => match caught(|| self.poll_timer(cx)) {
                    Ok(rung) => ready!(rung),
                    Err(why) => Some(why),
                },
            };
            match why {
                None => {}
                Some(Ending::Fault) => self.client.fault(),
                // What was said last had its time.
                Some(_) if self.client.is_closed() => return Poll::Ready(()),
                Some(why) => {
                    self.client.end(why);
                    // Not left to `drive`: the client may not read, so that nothing can be sent any more.
                    self.client.go_on(cx.waker());
                }
            }
        }
    }

    fn stop(&mut self) {
        self.client.stop();
    }

    fn end(&mut self, why: Ending) {
        self.client.end(why);
    }
}

/// What is left to say to the servers once the client's session is over: QUIT.
pub(crate) struct Farewell<'l, R, D> {
    relay: &'l mut R,
    upstreams: &'l mut Box<[Upstream]>,
    dial: &'l Arc<Calls<D>>,
}

impl<R: Relay, D: Dial> Farewell<'_, R, D> {
    /// Ready when no leg has a connection any more.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.upstreams.is_empty() {
            return Poll::Ready(());
        }
        caught(|| self.drive(cx)).unwrap_or(Poll::Ready(()))
    }

    fn drive(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut is_idle = true;
        for (number, (upstream, leg)) in self.upstreams.iter_mut().zip(self.relay.legs()).enumerate() {
            loop {
                match upstream.turn(cx, number, leg, self.dial) {
                    Turn::Nothing => break,
                    Turn::Moved | Turn::Sent => {}
                    Turn::Input(buffer, filled) => leg.receive(&mut buffer.split_at(filled).0),
                    Turn::Kept(octets) => leg.receive(&mut &octets[..]),
                }
                if leg.is_idle() {
                    break;
                }
            }
            is_idle &= leg.is_idle();
        }
        if is_idle { Poll::Ready(()) } else { Poll::Pending }
    }
}
