//! A relay is a handler with further ends: legs, each a client's session with an upstream server.
//!
//! It is sans-I/O like everything here. The adapter that drives the server's side looks at [`Relay::legs`] after
//! each step and does what each leg needs: connect, move octets, close. The relay itself gives commands to its legs
//! and answers with what they hear.

use core::net::SocketAddr;

use crate::client::{self, Command};
use crate::server::{Answer, Extensions, Handler};
use crate::wire::Reply;

/// A handler with upstream ends.
pub trait Relay: Handler {
    /// Its legs, always the same in number and order.
    fn legs(&mut self) -> &mut [Leg];
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
#[derive(Debug)]
pub struct Leg {
    address: SocketAddr,
    name: &'static str,
    client: client::Session,
    link: Link,
    /// The command whose reply waits for the relay.
    held: Option<Command>,
    /// Replies to a greeting and an EHLO of the leg's own that nobody asked for.
    own: u8,
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
    Unwanted,
    /// It broke, or could not be had.
    Lost,
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

/// To whatever was asked of a leg whose connection broke (RFC 5321 §4.2.4.2 leaves it to the client to retry).
const LOST: Reply<'static> = Reply::new(451, "Next server lost, try again").enhanced(4, 2);

impl Leg {
    /// A leg to the server at `address`, to which it calls itself `name`; no connection yet.
    #[must_use]
    pub fn new(address: SocketAddr, name: &'static str) -> Self {
        Self { address, name, client: client::Session::new(), link: Link::Idle, held: None, own: 0, stale: 0 }
    }

    /// Connects, if there is no connection; its greeting is an answer like all others.
    pub fn open(&mut self) {
        if self.is_idle() {
            self.client = client::Session::new();
            (self.link, self.held, self.own, self.stale) = (Link::Wanted, None, 0, 0);
        }
    }

    /// Says EHLO.
    pub fn hello(&mut self) {
        let name = self.name.as_bytes();
        self.give(|client| client.hello(name));
    }

    /// Says MAIL: path without angle brackets, parameters. A connection that is gone is made anew, and greeted.
    pub fn mail(&mut self, reverse_path: &[u8], params: &[u8]) {
        if self.is_idle() {
            self.open();
            self.hello();
            self.own = 2;
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
        if self.link == Link::Lost { usize::MAX } else { self.client.room() }
    }

    /// Takes text, at most what `room` said.
    pub fn text(&mut self, octets: &[u8]) {
        let taken = self.client.text(octets);
        if taken < octets.len() && self.link != Link::Lost {
            self.drop_connection();
        }
    }

    /// Ends the text.
    pub fn end_text(&mut self) {
        self.give(client::Session::end_text);
    }

    /// The transaction is over without a message. Text that was begun is not ended: the connection goes instead, so
    /// that the server keeps nothing of it.
    pub fn reset(&mut self) {
        if self.client.is_text() || self.client.reset().is_err() {
            self.drop_connection();
        }
    }

    /// The client is gone: says QUIT, or goes at once if text was begun.
    pub fn close(&mut self) {
        match self.link {
            Link::Open if !self.client.is_text() && self.client.quit().is_ok() => {
                (self.link, self.held) = (Link::Leaving, None);
            }
            _ => self.drop_connection(),
        }
    }

    /// The server's reply to the oldest command that the relay gave, or 451 if the connection is gone. A greeting and
    /// an EHLO that said yes are just accepted: their text is about the server itself.
    pub fn answer(&mut self) -> Answer<'_> {
        let held = self.held.take();
        let open = self.client.open();
        if let (Some(command), Some(reply)) = (held, self.client.reply()) {
            if command == Command::Mail && reply.code() != 250 {
                self.stale = open;
            }
            let is_about_itself = matches!(command, Command::Greeting | Command::Hello) && reply.is_positive();
            return if is_about_itself { Answer::Accept } else { Answer::Reply(reply) };
        }
        match self.link {
            Link::Lost | Link::Unwanted | Link::Idle => Answer::Reply(LOST),
            _ => Answer::Later,
        }
    }

    /// What the server offered.
    #[must_use]
    pub fn extensions(&self) -> Extensions {
        self.client.extensions()
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
        matches!(self.link, Link::Idle | Link::Lost)
    }

    /// What the connection has to do.
    pub fn need(&self) -> Need {
        match self.link {
            Link::Wanted => Need::Connect(self.address),
            Link::Unwanted => Need::Close,
            Link::Leaving if self.client.output().is_empty() => Need::Close,
            _ => Need::Nothing,
        }
    }

    /// The connection stands.
    pub fn connected(&mut self) {
        if self.link == Link::Wanted {
            self.link = Link::Open;
        }
    }

    /// The connection is gone, or could not be had. A reply that was received still counts.
    pub fn lost(&mut self) {
        self.link = match self.link {
            Link::Leaving | Link::Idle => Link::Idle,
            _ => Link::Lost,
        };
    }

    /// Takes one reply off what came from the server, unless one waits already.
    pub fn receive(&mut self, input: &mut &[u8]) {
        while self.held.is_none() && matches!(self.link, Link::Open | Link::Leaving) {
            match self.client.poll(input) {
                client::Event::Idle => return,
                client::Event::Broken(_) => return self.drop_connection(),
                client::Event::Reply(..) if self.link == Link::Leaving => {}
                client::Event::Reply(Command::Reset | Command::Quit, reply) => {
                    if reply.code() == 421 {
                        self.drop_connection();
                    }
                }
                client::Event::Reply(Command::Rcpt, reply) if self.stale > 0 && reply.code() != 421 => {
                    self.stale = self.stale.saturating_sub(1);
                }
                client::Event::Reply(_, reply) if self.own > 0 && reply.is_positive() => {
                    self.own = self.own.saturating_sub(1);
                }
                // The reply to MAIL would never come: this one says why.
                client::Event::Reply(command, reply) => {
                    let is_over = self.own > 0 || reply.code() == 421;
                    self.held = Some(command);
                    if is_over {
                        self.drop_connection();
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

    fn give(&mut self, command: impl FnOnce(&mut client::Session) -> Result<(), client::Error>) {
        if command(&mut self.client).is_err() {
            self.drop_connection();
        }
    }

    fn drop_connection(&mut self) {
        self.link = match self.link {
            Link::Idle | Link::Lost => self.link,
            Link::Wanted => Link::Lost,
            Link::Open | Link::Leaving | Link::Unwanted => Link::Unwanted,
        };
    }
}
