//! A relay is a handler with further ends: legs, each a client's session with an upstream server.
//!
//! It is sans-I/O like everything here. The adapter that drives the server's side looks at [`Relay::legs`] after
//! each step and does what each leg needs: connect, move octets, close. The relay itself gives commands to its legs
//! and answers with what they hear. Ready to use are [`PureProxy`](crate::handlers::PureProxy), for one server, and
//! [`MailmanProxy`](crate::handlers::MailmanProxy); smtpd-std's `Server::run_relay`, smtpd-io's `serve_relay` and smtpd-smoltcp's
//! `Server::poll_relay` drive them.
//!
//! A relay around another one, with rules of its own, hands on all methods of [`Handler`] and [`Relay::legs`]. If it refuses
//! recipients itself, its [`backlog`](Handler::backlog) is 1: a refusal has no place before older answers.

use core::net::SocketAddr;

use heapless::Vec;

use crate::client::{self, Command, Timers};
use crate::server::{Answer, Extensions, Handler, Patience};
use crate::store::Store;
use crate::wire::Reply;

/// A handler with upstream ends.
pub trait Relay: Handler {
    /// Where its legs keep what they have to send.
    type Output: Store;

    /// Its legs, always the same in number and order.
    fn legs(&mut self) -> &mut [Leg<Self::Output>];
}

impl<R: Relay + ?Sized> Relay for &mut R {
    type Output = R::Output;

    fn legs(&mut self) -> &mut [Leg<Self::Output>] {
        (**self).legs()
    }
}

/// One upstream end.
///
/// # How an adapter drives it
/// 1. [`need`](Self::need) says what the connection has to do; it goes on saying so until it was told that it
///    happened: [`connected`](Self::connected), or [`lost`](Self::lost) for whatever ended it, asked for or not.
/// 2. [`output`](Self::output) and [`sent`](Self::sent), [`receive`](Self::receive) move octets.
/// 3. Go on after the server's side closed until the leg [is idle](Self::is_idle): it says QUIT first.
/// 4. A reply waits in the leg until the relay took it: `receive` then leaves the input alone. Step the server's side
///    after each `receive` that took something.
/// 5. [`patience`](Self::patience) says how long to wait, for the connection too; when that is over, [`expire`](Self::expire),
///    and step the server's side.
#[derive(Debug)]
pub struct Leg<O: Store = Vec<u8, 2048>> {
    address: SocketAddr,
    name: &'static str,
    connect: u32,
    client: Session<O>,
    link: Link,
    /// The command whose reply waits for the relay.
    held: Option<Command>,
    /// Replies to a greeting and an EHLO of the leg's own that nobody asked for.
    own: u8,
    /// Extensions that the MAIL behind that EHLO needs.
    needed: Extensions,
    /// Replies to RCPT commands behind a refused MAIL: the session has answered those itself.
    stale: u16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Link {
    /// No connection, and none wanted.
    Idle,
    /// A connection is wanted.
    Wanted,
    /// It stands.
    Open,
    /// It stands; QUIT was said.
    Leaving,
    /// It stands and has to go.
    Unwanted(Loss),
    /// It stands and has to go, and another one is wanted then.
    Outdated,
    /// It is gone, or could not be had.
    Lost(Loss),
}

/// Why a connection is gone: what whoever asks then hears (RFC 5321 §4.2.4.2 leaves it to the client to retry).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Loss {
    /// It could not be had.
    Away,
    /// It broke, or was given up.
    Broken,
    /// It took too long.
    Late,
    /// What came was not SMTP, or had no place.
    Nonsense,
    /// An 8BITMIME message would go to a server without 8BITMIME.
    Unfit,
}

/// What a leg needs of its connection.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Need {
    /// Nothing but octets moved.
    Nothing,
    /// Connect to this address.
    Connect(SocketAddr),
    /// Close, at once and without waiting for anything.
    Close,
}

/// What a leg has for its relay.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard<'r> {
    /// Nothing yet.
    Later,
    /// The reply to the oldest command that had none.
    Reply(Command, Reply<'r>),
    /// The connection is gone, or was never made: what whoever asked hears.
    Gone(Reply<'static>),
}

/// To an 8BITMIME message for a server without 8BITMIME.
pub(crate) const UNFIT: Reply<'static> = Reply::new(554, "Next server takes no 8BITMIME").enhanced(6, 3);

/// Octets of text that are worth a piece.
const WORTHWHILE: usize = 64;

type Session<O> = client::Session<Vec<u8, 512>, O>;

impl Loss {
    const fn reply(self) -> Reply<'static> {
        match self {
            Self::Away => Reply::new(451, "Next server away, try again").enhanced(4, 1),
            Self::Broken => Reply::new(451, "Next server lost, try again").enhanced(4, 2),
            Self::Late => Reply::new(451, "Next server too slow, try again").enhanced(4, 2),
            Self::Nonsense => Reply::new(451, "Next server not understood, try again").enhanced(5, 0),
            Self::Unfit => UNFIT,
        }
    }
}

impl Leg {
    /// A leg to the server at `address`, to which it calls itself `name`; no connection yet. Its timers are
    /// [`Timers::RELAY`].
    #[must_use]
    pub fn new(address: SocketAddr, name: &'static str) -> Self {
        Self::with(address, name, Vec::new())
    }
}

impl<O: Store> Leg<O> {
    /// As `new`, with storage for what is to be sent: at least 1,024 octets, empty. Text goes out in pieces of half of it.
    #[must_use]
    pub fn with(address: SocketAddr, name: &'static str, output: O) -> Self {
        let client = Session::with(Vec::new(), output).timers(Timers::RELAY);
        let (link, held, own, stale, needed) = (Link::Idle, None, 0, 0, Extensions::NONE);
        Self { address, name, connect: Timers::RELAY.connect, client, link, held, own, needed, stale }
    }

    /// With these timers: each sum of what one step waits for has to be less than what the server's side has time for.
    #[must_use]
    pub fn timers(mut self, timers: Timers) -> Self {
        self.connect = timers.connect;
        self.client = self.client.timers(timers);
        self
    }

    /// To a server that speaks LMTP: an answer for each accepted recipient behind the text.
    #[cfg(feature = "lmtp")]
    #[must_use]
    pub fn lmtp(mut self) -> Self {
        self.client = self.client.lmtp();
        self
    }

    /// How it calls itself.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// The next connection goes to this address.
    pub const fn set_address(&mut self, address: SocketAddr) {
        self.address = address;
    }

    /// Where the next connection goes.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Connects, if there is no connection or only one that has to go; its greeting is an answer like all others.
    pub fn open(&mut self) {
        let link = match self.link {
            Link::Idle | Link::Lost(_) => Link::Wanted,
            Link::Leaving | Link::Unwanted(_) => Link::Outdated,
            Link::Wanted | Link::Open | Link::Outdated => return,
        };
        self.client.restart();
        (self.link, self.held, self.own, self.stale) = (link, None, 0, 0);
        self.needed = Extensions::NONE;
    }

    /// Says EHLO (or HELO, if that is refused), or LHLO.
    pub fn hello(&mut self) {
        let name = self.name.as_bytes();
        self.give(|client| client.hello(name));
    }

    /// Says MAIL: path without angle brackets, parameters. A connection that is gone is made anew, and greeted; if that server
    /// then lacks 8BITMIME and `needed` holds it, MAIL is answered 554 5.6.3.
    pub fn mail(&mut self, reverse_path: &[u8], params: &[u8], needed: Extensions) {
        if !matches!(self.link, Link::Wanted | Link::Open | Link::Outdated) {
            self.open();
            self.hello();
            (self.own, self.needed) = (2, needed);
        }
        self.give(|client| client.mail(reverse_path, params));
    }

    /// Says RCPT: path without angle brackets, parameters.
    pub fn rcpt(&mut self, forward_path: &[u8], params: &[u8]) {
        self.give(|client| client.rcpt(forward_path, params));
    }

    /// Says DATA.
    pub fn data(&mut self) {
        self.give(client::Session::data);
    }

    /// Octets of text that it takes now.
    #[must_use]
    pub fn room(&self) -> usize {
        // Of a leg that is gone, the text is gone too: its end is answered with that.
        if self.is_gone() {
            return usize::MAX;
        }
        match self.client.room() {
            // Not ever smaller pieces while what is before them is sent.
            0..WORTHWHILE => 0,
            room => room,
        }
    }

    /// Takes text, at most what `room` said.
    pub fn text(&mut self, octets: &[u8]) {
        let taken = self.client.text(octets);
        if taken < octets.len() {
            self.drop_connection(Loss::Broken);
        }
    }

    /// Ends the text.
    pub fn end_text(&mut self) {
        self.give(client::Session::end_text);
    }

    /// Ends the text and the session, in one write: what the server has not answered when it closes, it never will.
    pub fn end_session(&mut self) {
        self.give(client::Session::end_session);
    }

    /// The transaction is over without a message. Text that was begun is not ended: the connection goes instead, so
    /// that the server keeps nothing of it.
    pub fn reset(&mut self) {
        if self.client.is_text() || self.client.reset().is_err() {
            self.drop_connection(Loss::Broken);
        }
    }

    /// The client is gone: says QUIT, or goes at once if text was begun.
    pub fn close(&mut self) {
        match self.link {
            Link::Open if !self.client.is_text() && self.client.quit().is_ok() => {
                (self.link, self.held) = (Link::Leaving, None);
            }
            _ => self.drop_connection(Loss::Broken),
        }
    }

    /// The server's reply to the oldest command that the relay gave, or 451 if the connection is gone. A greeting and
    /// an EHLO that said yes are just accepted: their text is about the server itself.
    pub fn answer(&mut self) -> Answer<'_> {
        match self.heard() {
            Heard::Later => Answer::Later,
            Heard::Gone(reply) => Answer::Reply(reply),
            Heard::Reply(Command::Greeting | Command::Hello, reply) if reply.is_positive() => Answer::Accept,
            Heard::Reply(_, reply) => Answer::Reply(reply),
        }
    }

    /// Takes the reply that waits, if it says yes to `command`; whether it did.
    pub fn skip(&mut self, command: Command) -> bool {
        let is_yes = self.held == Some(command) && self.client.reply().is_some_and(|reply| reply.is_positive());
        if is_yes {
            self.held = None;
        }
        is_yes
    }

    /// As `answer`, for who has to know which it is.
    pub fn heard(&mut self) -> Heard<'_> {
        let open = self.client.open();
        if self.held.is_some() {
            // The time that the relay took for this one is not the server's.
            self.client.begin();
        }
        if let (Some(command), Some(reply)) = (self.held.take(), self.client.reply()) {
            if command == Command::Mail && !reply.is_positive() {
                self.stale = open;
            }
            // A client goes by the first digit (RFC 5321 §4.2.1), and this one is a server as well.
            let is_usual =
                !reply.is_positive() || reply.code() == 354 || (command, reply.code()) == (Command::Rcpt, 251);
            return Heard::Reply(command, if is_usual { reply } else { reply.recoded(250) });
        }
        match self.link {
            Link::Lost(loss) | Link::Unwanted(loss) => Heard::Gone(loss.reply()),
            Link::Idle => Heard::Gone(Loss::Broken.reply()),
            _ => Heard::Later,
        }
    }

    /// The reply that was just heard, until the leg receives another.
    #[cfg(feature = "lmtp")]
    #[must_use]
    pub(crate) fn last(&self) -> Option<Reply<'_>> {
        self.client.reply()
    }

    /// What the server offered.
    #[must_use]
    pub fn extensions(&self) -> Extensions {
        self.client.extensions()
    }

    /// The greatest message that the server takes, in octets; 0: it did not say.
    #[must_use]
    pub fn size(&self) -> u32 {
        self.client.size()
    }

    /// How many questions the relay may let stand open: one more than now while the leg has room for a command.
    #[must_use]
    pub fn backlog(&self) -> u16 {
        let open = self.client.open().saturating_sub(self.stale).saturating_add(u16::from(self.held.is_some()));
        if self.client.can_send() { open.saturating_add(1) } else { open }
    }

    /// Whether there is no connection and none is wanted: a leg whose session is over, too, is done.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        matches!(self.link, Link::Idle | Link::Lost(_))
    }

    /// Whether the server greeted, and said what it can do.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.link == Link::Open && self.client.is_greeted()
    }

    /// Whether it takes another command now.
    #[must_use]
    pub fn can_send(&self) -> bool {
        self.client.can_send()
    }

    /// Whether the connection that the relay had asked for is gone, or was given up.
    #[must_use]
    pub const fn is_gone(&self) -> bool {
        matches!(self.link, Link::Lost(_) | Link::Unwanted(_))
    }

    /// What the connection has to do.
    pub fn need(&self) -> Need {
        match self.link {
            Link::Wanted => Need::Connect(self.address),
            Link::Unwanted(_) | Link::Outdated => Need::Close,
            Link::Leaving if self.client.is_sent() => Need::Close,
            _ => Need::Nothing,
        }
    }

    /// How long to wait for what the leg waits for now: 0 seconds, for nothing.
    #[must_use]
    pub fn patience(&self) -> Patience {
        let patience = self.client.patience();
        match self.link {
            Link::Wanted | Link::Outdated => Patience { secs: self.connect, ..patience },
            Link::Open | Link::Leaving if self.held.is_none() => patience,
            _ => Patience { secs: 0, ..patience },
        }
    }

    /// What it waited for took too long.
    pub fn expire(&mut self) {
        let is_there = matches!(self.link, Link::Open | Link::Leaving);
        self.drop_connection(if is_there { Loss::Late } else { Loss::Away });
    }

    /// The connection stands.
    pub fn connected(&mut self) {
        if self.link == Link::Wanted {
            self.link = Link::Open;
            self.client.begin();
        }
    }

    /// The connection is gone, or could not be had. A reply that was received still counts.
    pub fn lost(&mut self) {
        self.link = match self.link {
            Link::Leaving | Link::Idle => Link::Idle,
            Link::Outdated => Link::Wanted,
            Link::Wanted => Link::Lost(Loss::Away),
            Link::Open => Link::Lost(Loss::Broken),
            Link::Unwanted(loss) | Link::Lost(loss) => Link::Lost(loss),
        };
    }

    /// Takes one reply off what came from the server, unless one waits already.
    pub fn receive(&mut self, input: &mut &[u8]) {
        while self.held.is_none() && matches!(self.link, Link::Open | Link::Leaving) {
            match self.client.poll(input) {
                client::Event::Idle => return,
                client::Event::Broken(_) => return self.drop_connection(Loss::Nonsense),
                client::Event::Reply(..) if self.link == Link::Leaving => {}
                client::Event::Reply(Command::Reset, reply) if reply.code() != 421 => {}
                client::Event::Reply(Command::Reset | Command::Quit, _) => return self.drop_connection(Loss::Broken),
                client::Event::Reply(Command::Rcpt, reply) if self.stale > 0 && reply.code() != 421 => {
                    self.stale = self.stale.saturating_sub(1);
                }
                client::Event::Reply(command, reply) if self.own > 0 && reply.is_positive() => {
                    self.own = self.own.saturating_sub(1);
                    if command == Command::Hello && !self.client.extensions().contains(self.needed) {
                        return self.drop_connection(Loss::Unfit);
                    }
                }
                // The reply to MAIL would never come: this one says why.
                client::Event::Reply(command, reply) => {
                    let is_over = self.own > 0 || reply.code() == 421;
                    self.held = Some(command);
                    if is_over {
                        self.drop_connection(Loss::Broken);
                    }
                }
            }
        }
    }

    /// What is to be sent to the server.
    #[must_use]
    pub fn output(&self) -> &[u8] {
        match self.link {
            Link::Open | Link::Leaving => self.client.output(),
            _ => b"",
        }
    }

    /// The first `octets` of the output were sent.
    pub fn sent(&mut self, octets: usize) {
        self.client.sent(octets);
    }

    fn give(&mut self, command: impl FnOnce(&mut Session<O>) -> Result<(), client::Error>) {
        if command(&mut self.client).is_err() {
            self.drop_connection(Loss::Broken);
        }
    }

    fn drop_connection(&mut self, loss: Loss) {
        self.link = match self.link {
            Link::Wanted | Link::Open | Link::Leaving | Link::Outdated => Link::Unwanted(loss),
            link => link,
        };
    }
}
