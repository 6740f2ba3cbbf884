//! The loop of a relay: a client at one end, servers at the others.

use core::net::SocketAddr;
use core::ops::Range;

use embedded_io::{Error, Read, Write};
use smtpd_core::relay::{Leg, Need, Relay};
use smtpd_core::server::{Ending, Session, Watch};
use smtpd_core::store::Store;

use crate::Timer;
use crate::client::{Client, LAST_WORDS, Turn, is_tick};

/// Makes the connections of a relay's legs.
pub trait Connect {
    /// A connection to a server: as [`serve_relay`] says, it does not block.
    type Io: Read + Write;

    /// Why there is no connection.
    type Error: Error;

    /// Connects leg number `leg` to `address`, or goes on doing so: asked again as long as it fails with `TimedOut` or
    /// `Interrupted`.
    ///
    /// # Errors
    /// Any other error: the relay hears that the server is lost.
    fn connect(&mut self, leg: usize, address: SocketAddr) -> Result<Self::Io, Self::Error>;

    /// That leg's connection is over; its last octets were written unless it broke, and flushed if that could be done at
    /// once. Drops it.
    fn closed(&mut self, leg: usize, io: Self::Io) {
        let _ = (leg, io);
    }
}

/// One upstream end: its connection, while there is one, and the buffer that is read into.
#[derive(Debug)]
pub struct Upstream<'b, T> {
    io: Option<T>,
    buffer: &'b mut [u8],
    unread: Range<usize>,
    is_flushed: bool,
    watch: Watch,
}

impl<'b, T: Read + Write> Upstream<'b, T> {
    /// An end without a connection; `buffer` is of any length but 0.
    #[must_use]
    pub const fn new(buffer: &'b mut [u8]) -> Self {
        Self { io: None, buffer, unread: 0..0, is_flushed: true, watch: Watch::new(0) }
    }

    /// Does what the leg needs; true if anything moved.
    fn turn<O: Store>(
        &mut self,
        number: usize,
        leg: &mut Leg<O>,
        connect: &mut impl Connect<Io = T>,
        now: u32,
    ) -> bool {
        let has_moved = self.serve(number, leg, connect);
        if self.watch.left_of(leg.patience(), now) == Some(0) {
            leg.expire();
            return true;
        }
        has_moved
    }

    fn serve<O: Store>(&mut self, number: usize, leg: &mut Leg<O>, connect: &mut impl Connect<Io = T>) -> bool {
        match leg.need() {
            Need::Nothing => match self.exchange(leg) {
                Ok(has_moved) => return has_moved,
                Err(Broken) => self.close(number, leg, connect),
            },
            Need::Close => {
                // QUIT may be on its way.
                let _ = self.flush();
                self.close(number, leg, connect);
            }
            Need::Connect(_) if self.buffer.is_empty() => leg.lost(),
            Need::Connect(address) => match connect.connect(number, address) {
                Ok(io) => {
                    (self.io, self.unread, self.is_flushed) = (Some(io), 0..0, true);
                    leg.connected();
                }
                Err(error) if is_tick(&error) => return false,
                Err(_) => leg.lost(),
            },
        }
        true
    }

    fn close<O: Store>(&mut self, number: usize, leg: &mut Leg<O>, connect: &mut impl Connect<Io = T>) {
        if let Some(io) = self.io.take() {
            connect.closed(number, io);
        }
        leg.lost();
    }

    /// Moves octets both ways; true if any moved.
    fn exchange<O: Store>(&mut self, leg: &mut Leg<O>) -> Result<bool, Broken> {
        let has_written = self.write(leg)?;
        if self.unread.is_empty() && !self.read()? {
            return Ok(has_written);
        }
        let mut input = self.buffer.get(self.unread.clone()).unwrap_or(b"");
        let before = input.len();
        leg.receive(&mut input);
        self.unread.start = self.unread.end.saturating_sub(input.len());
        Ok(has_written || input.len() < before)
    }

    fn write<O: Store>(&mut self, leg: &mut Leg<O>) -> Result<bool, Broken> {
        let Some(io) = &mut self.io else { return Ok(false) };
        if leg.output().is_empty() {
            return self.flush().map(|()| false);
        }
        let written = tried(io.write(leg.output()))?;
        if written == Some(0) {
            return Err(Broken);
        }
        leg.sent(written.unwrap_or(0));
        self.is_flushed &= written.is_none();
        Ok(written.is_some())
    }

    fn flush(&mut self) -> Result<(), Broken> {
        if let (Some(io), false) = (&mut self.io, self.is_flushed) {
            self.is_flushed = tried(io.flush())?.is_some();
        }
        Ok(())
    }

    fn read(&mut self) -> Result<bool, Broken> {
        let Some(io) = &mut self.io else { return Ok(false) };
        match tried(io.read(self.buffer))? {
            None => Ok(false),
            Some(0) => Err(Broken),
            Some(octets) => {
                self.unread = 0..octets;
                Ok(true)
            }
        }
    }
}

/// Where it stands; not the octets in its buffer.
#[cfg(feature = "defmt")]
impl<T> defmt::Format for Upstream<'_, T> {
    fn format(&self, to: defmt::Formatter<'_>) {
        defmt::write!(
            to,
            "Upstream {{ is_connected: {=bool}, unread: <{=usize} octets>, is_flushed: {=bool}, .. }}",
            self.io.is_some(),
            self.unread.len(),
            self.is_flushed
        );
    }
}

/// A connection that is gone.
struct Broken;

/// What the I/O did, if it could.
fn tried<T>(result: Result<T, impl Error>) -> Result<Option<T>, Broken> {
    match result {
        Ok(done) => Ok(Some(done)),
        Err(error) if is_tick(&error) => Ok(None),
        Err(_) => Err(Broken),
    }
}

/// Serves one client by a relay, as [`serve`](crate::serve) does by a handler, and moves the octets of its legs. Comes
/// back when the session is over and all legs are idle, so QUIT was said to the servers.
///
/// All ends take turns, so none may block: reads, writes and [`Connect::connect`] fail with `TimedOut` where they would
/// (or after a few milliseconds), as [`Polled`](crate::Polled) does; [`Timer::wait`] is where nothing moves.
/// `upstreams` are the ends of the relay's legs, in their order; a leg without one can't be connected, nor can one
/// whose buffer is empty. Servers have the time that the leg's [`Timers`](smtpd_core::client::Timers) give them.
/// Behind the end of the session, a leg in which nothing moves for 10 s is closed.
///
/// # Errors
/// As those of [`serve`](crate::serve), of the client's I/O only: the relay hears of the servers'.
pub fn serve_relay<T: Read + Write + ?Sized, L: Store, O: Store, C: Connect>(
    io: &mut T,
    session: &mut Session<'_, L, O>,
    relay: &mut (impl Relay + ?Sized),
    upstreams: &mut [Upstream<'_, C::Io>],
    connect: &mut C,
    timer: &(impl Timer + ?Sized),
    buffer: &mut [u8],
) -> Result<Ending, T::Error> {
    let mut client = Client::new(io, buffer, timer.now());
    if !client.has_buffer() {
        session.end(Ending::Fault);
    }
    // When something moved last, once the session was over.
    let mut last = None;
    loop {
        let turn = client.turn(session, relay, timer, true);
        let (mut has_moved, mut is_idle) = (turn == Turn::Moved, true);
        let now = timer.now();
        let is_late = last.is_some_and(|last| now.wrapping_sub(last) >= LAST_WORDS);
        for (number, leg) in relay.legs().iter_mut().enumerate() {
            match upstreams.get_mut(number) {
                Some(upstream) if is_late => upstream.close(number, leg, connect),
                Some(upstream) => has_moved |= upstream.turn(number, leg, connect, now),
                None if leg.is_idle() => {}
                None => {
                    leg.lost();
                    has_moved = true;
                }
            }
            is_idle &= leg.is_idle();
        }
        if let Turn::Over(why) = turn {
            if is_idle {
                return client.result(why);
            }
            if has_moved || last.is_none() {
                last = Some(now);
            }
        }
        if !has_moved {
            timer.wait();
        }
    }
}
