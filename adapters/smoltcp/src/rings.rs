//! The octets that sockets receive into and send from.

use core::array;

use smoltcp::iface::{SocketHandle, SocketSet};
use smoltcp::socket::tcp;

/// Rings of `N` TCP sockets: `RX` octets to receive into and `TX` to send from for each.
///
/// All zero at first: a static of these lies in `.bss`. Keep smoltcp's `SocketStorage` in another static: one static that
/// held both would lie in flash as a whole.
///
/// The receive ring is the window that a client sees. 536 octets work; with 2,048 a text costs much less for each octet, and
/// beyond 4,096 nothing is won. The send ring takes replies: 512 are enough.
#[derive(Debug)]
pub struct Rings<const N: usize, const RX: usize = 2048, const TX: usize = 512> {
    received: [[u8; RX]; N],
    sending: [[u8; TX]; N],
}

impl<const N: usize, const RX: usize, const TX: usize> Rings<N, RX, TX> {
    /// Empty rings.
    #[must_use]
    pub const fn new() -> Self {
        const { assert!(RX > 0 && TX > 0, "a socket without rings moves nothing") };
        Self { received: [[0; RX]; N], sending: [[0; TX]; N] }
    }

    /// Adds the sockets to a set, for [`Server::new`](crate::Server::new) and its like.
    ///
    /// They acknowledge and answer at once (no Nagle), ask a client that is silent for a minute whether it is still there,
    /// and give it up after two; the options of smoltcp's socket change that.
    ///
    /// # Panics
    /// smoltcp's [`SocketSet::add`] does, if the set has no room for `N` more.
    pub fn add<'a>(&'a mut self, sockets: &mut SocketSet<'a>) -> [SocketHandle; N] {
        let mut rings = self.received.iter_mut().zip(&mut self.sending);
        array::from_fn(|_| {
            let (received, sending) =
                rings.next().map_or((&mut [][..], &mut [][..]), |(rx, tx)| (&mut rx[..], &mut tx[..]));
            let mut socket = tcp::Socket::new(tcp::SocketBuffer::new(received), tcp::SocketBuffer::new(sending));
            // A reply is complete when it is sent: nothing is worth waiting for.
            socket.set_nagle_enabled(false);
            // An end that waits for its ACK would not get it: the socket listens again before.
            socket.set_ack_delay(None);
            socket.set_keep_alive(Some(KEEP_ALIVE));
            socket.set_timeout(Some(TIMEOUT));
            sockets.add(socket)
        })
    }
}

impl<const N: usize, const RX: usize, const TX: usize> Default for Rings<N, RX, TX> {
    fn default() -> Self {
        Self::new()
    }
}

/// A device has few sockets: one whose client is gone is wanted back long before the 5 minutes that SMTP grants to one
/// that thinks.
const KEEP_ALIVE: smoltcp::time::Duration = smoltcp::time::Duration::from_secs(60);
const TIMEOUT: smoltcp::time::Duration = smoltcp::time::Duration::from_secs(120);
