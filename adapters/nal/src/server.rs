//! The server: a listening socket, places for connections, and whose turn it is.

use core::array;
use core::task::Waker;

use embedded_nal::{TcpFullStack, nb};
use heapless::Vec;
use smtpd_core::server::{Config, Ending, Handler, Peer};

use crate::connection::{Connection, Turn};

/// A server of at most `N` connections at a time.
///
/// `INPUT`, `LINE` and `OUTPUT` are octets of each connection's buffers: what was read and can't be taken yet (any size
/// will do), a command that came in pieces, and replies (at least 512 each). On a small device, with 1.6 KiB for each:
/// `Server<'_, Stack, Handler, 2, 256, 512, 512>`.
///
/// # How to drive it
/// 1. [`bind`](Self::bind), then call [`poll`](Self::poll) for ever; its result says for how long one may sleep.
/// 2. The stack is the caller's. If it has to be polled itself, as software stacks have, do that before and after.
/// 3. A handler serves its place's connections one after the other, each from `connected` to `closed` (to that alone, if
///    the server is stopped right away): what it keeps about one has to be gone then.
/// 4. To end in good order: [`stop`](Self::stop), then poll until there are no [`connections`](Self::connections). Handlers
///    of a server that is dropped hear nothing.
#[derive(Debug)]
pub struct Server<
    'c,
    S: TcpFullStack,
    H,
    const N: usize,
    const INPUT: usize = 512,
    const LINE: usize = 1024,
    const OUTPUT: usize = 1024,
> {
    config: &'c Config<'c>,
    listener: Option<S::TcpSocket>,
    handlers: [H; N],
    places: [Place<'c, S::TcpSocket, LINE, OUTPUT>; N],
    inputs: [[u8; INPUT]; N],
}

type Place<'c, T, const LINE: usize, const OUTPUT: usize> = Option<Connection<'c, T, Vec<u8, LINE>, Vec<u8, OUTPUT>>>;

/// When to poll again.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Next {
    /// At once: something moved.
    Now,
    /// As soon as the network or a handler has news; after so many milliseconds at the latest, if a timer runs. With
    /// [`Waker::noop`] a handler that owes an answer has to be asked again every now and then.
    Wait(Option<u32>),
}

impl<'c, S, H, const N: usize, const INPUT: usize, const LINE: usize, const OUTPUT: usize>
    Server<'c, S, H, N, INPUT, LINE, OUTPUT>
where
    S: TcpFullStack,
{
    /// A server that does not listen yet; each place has one of the handlers.
    #[must_use]
    pub fn new(config: &'c Config<'c>, handlers: [H; N]) -> Self {
        const { assert!(INPUT > 0, "without a buffer nothing can be read") };
        // Not `[const { None }; N]`: that lies in flash, as long as a connection.
        let places = array::from_fn(|_| None);
        Self { config, listener: None, handlers, places, inputs: [[0; INPUT]; N] }
    }

    /// Listens on a port of all the stack's addresses, and no longer on the one before.
    ///
    /// # Errors
    /// What the stack says; it does not listen then.
    pub fn bind(&mut self, stack: &mut S, port: u16) -> Result<(), S::Error> {
        self.close_listener(stack)?;
        let mut socket = stack.socket()?;
        match stack.bind(&mut socket, port).and_then(|()| stack.listen(&mut socket)) {
            Ok(()) => {
                self.listener = Some(socket);
                Ok(())
            }
            Err(error) => {
                let _ = stack.close(socket);
                Err(error)
            }
        }
    }

    /// Says 421 4.3.2 to every client, where one can still be heard, and listens no longer.
    ///
    /// # Errors
    /// What the stack says about closing; the sessions end all the same.
    pub fn stop(&mut self, stack: &mut S) -> Result<(), S::Error> {
        self.places.iter_mut().flatten().for_each(|connection| connection.end(Ending::Stopping));
        self.close_listener(stack)
    }

    /// The socket that listens.
    pub const fn listener(&self) -> Option<&S::TcpSocket> {
        self.listener.as_ref()
    }

    /// Connections that are open, those included whose session is over.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.places.iter().flatten().count()
    }

    /// The handlers, in the order in which they were given.
    pub const fn handlers(&mut self) -> &mut [H; N] {
        &mut self.handlers
    }

    fn close_listener(&mut self, stack: &mut S) -> Result<(), S::Error> {
        match self.listener.take() {
            Some(socket) => stack.close(socket),
            None => Ok(()),
        }
    }
}

impl<S, H, const N: usize, const INPUT: usize, const LINE: usize, const OUTPUT: usize>
    Server<'_, S, H, N, INPUT, LINE, OUTPUT>
where
    S: TcpFullStack,
    H: Handler,
{
    /// Gives each connection a turn: it reads once, does what can be done, and writes. Takes one more client if a place is
    /// free. `now` is in milliseconds from anywhere; it may wrap, and never goes back.
    ///
    /// # Errors
    /// What the stack says about accepting and closing. All connections had their turn; go on polling, but not at once if
    /// the error stays.
    pub fn poll(&mut self, stack: &mut S, now: u32, waker: &Waker) -> Result<Next, S::Error> {
        let mut next = Next::Wait(None);
        let mut result = Ok(());
        let handlers = self.handlers.iter_mut().zip(&mut self.inputs);
        for (place, (handler, input)) in self.places.iter_mut().zip(handlers) {
            let Some(connection) = place else { continue };
            match connection.turn(stack, handler, input, now, waker) {
                Turn::Moved => next = Next::Now,
                Turn::Waits(time) => next = next.or_within(time),
                Turn::Over => {
                    next = Next::Now;
                    if let Some(connection) = place.take()
                        && let Err(error) = stack.close(connection.socket)
                    {
                        result = Err(error);
                    }
                }
            }
        }
        if let (Some(listener), Some(place)) =
            (&mut self.listener, self.places.iter_mut().find(|place| place.is_none()))
        {
            match stack.accept(listener) {
                Ok((socket, address)) => {
                    *place = Some(Connection::new(self.config, socket, Peer::new(Some(address)), now));
                    next = Next::Now;
                }
                Err(nb::Error::WouldBlock) => {}
                Err(nb::Error::Other(error)) => result = Err(error),
            }
        }
        result.map(|()| next)
    }
}

/// How busy it is.
#[cfg(feature = "defmt")]
impl<S: TcpFullStack, H, const N: usize, const INPUT: usize, const LINE: usize, const OUTPUT: usize> defmt::Format
    for Server<'_, S, H, N, INPUT, LINE, OUTPUT>
{
    fn format(&self, to: defmt::Formatter<'_>) {
        defmt::write!(
            to,
            "Server {{ listens: {=bool}, connections: {=usize} of {=usize}, .. }}",
            self.listener.is_some(),
            self.connections(),
            N
        );
    }
}

impl Next {
    /// The earlier of the two.
    fn or_within(self, time: Option<u32>) -> Self {
        match (self, time) {
            (Self::Wait(Some(one)), Some(other)) => Self::Wait(Some(one.min(other))),
            (Self::Wait(None), time) => Self::Wait(time),
            _ => self,
        }
    }
}
