//! How the connections of a relay's legs are made.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::net::TcpStream;

/// Makes the connections of a relay's legs.
///
/// The leg's own timer says how long that may take; when it is over the future is dropped. `TCP_NODELAY` is set on
/// whatever comes.
pub trait Dial: Send + Sync + 'static {
    /// A connection for leg number `leg`, whose address is `address`.
    ///
    /// # Errors
    /// Any: the relay hears that the server is away.
    fn dial(&self, leg: usize, address: SocketAddr) -> impl Future<Output = io::Result<TcpStream>> + Send;

    /// What the log calls that server: its address, if there is nothing better.
    fn name(&self, leg: usize, address: SocketAddr) -> String {
        let _ = leg;
        address.to_string()
    }
}

/// How all connections of a server dial, and which of its legs' servers are known to be away: the log hears of it once.
#[derive(Debug)]
pub(crate) struct Calls<D> {
    dial: D,
    /// One bit for each of the first legs.
    away: AtomicU32,
}

impl<D: Dial> Calls<D> {
    pub(crate) const fn new(dial: D) -> Self {
        Self { dial, away: AtomicU32::new(0) }
    }

    pub(crate) async fn dial(&self, leg: usize, address: SocketAddr) -> io::Result<TcpStream> {
        self.dial.dial(leg, address).await
    }

    /// There is a connection.
    pub(crate) fn answered(&self, leg: usize) {
        if self.away.load(Ordering::Relaxed) & bit(leg) != 0 {
            self.away.fetch_and(!bit(leg), Ordering::Relaxed);
        }
    }

    /// There is none.
    pub(crate) fn failed(&self, leg: usize, address: SocketAddr, why: impl fmt::Display) {
        if self.away.fetch_or(bit(leg), Ordering::Relaxed) & bit(leg) == 0 {
            tracing::warn!("no connection to the next server, {}: {why}", self.dial.name(leg, address));
        }
    }
}

/// Legs that have no bit of their own share the last.
const fn bit(leg: usize) -> u32 {
    1 << if leg < 31 { leg } else { 31 }
}

/// Connects each leg to its address.
#[derive(Clone, Copy, Debug, Default)]
pub struct Direct;

impl Dial for Direct {
    fn dial(&self, _: usize, address: SocketAddr) -> impl Future<Output = io::Result<TcpStream>> + Send {
        TcpStream::connect(address)
    }
}

/// Connects legs to servers by name, and those without a name to their address.
///
/// A name is resolved anew for each connection, and all its addresses are tried in turn: `localhost` is `::1` and
/// `127.0.0.1`, and a server often listens on only one of them.
///
/// ```
/// use smtpd_std::Remotes;
/// let remotes = Remotes::new().leg(0, "localhost:8025");
/// ```
#[derive(Clone, Debug, Default)]
pub struct Remotes {
    names: Vec<(usize, String)>,
}

impl Remotes {
    /// No names yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Leg number `leg` goes to `name`, which is `host:port`.
    #[must_use]
    pub fn leg(mut self, leg: usize, name: impl Into<String>) -> Self {
        self.names.retain(|(number, _)| *number != leg);
        self.names.push((leg, name.into()));
        self
    }

    fn name_of(&self, leg: usize) -> Option<&str> {
        self.names.iter().find(|(number, _)| *number == leg).map(|(_, name)| name.as_str())
    }
}

impl Dial for Remotes {
    async fn dial(&self, leg: usize, address: SocketAddr) -> io::Result<TcpStream> {
        match self.name_of(leg) {
            Some(name) => TcpStream::connect(name).await,
            None => TcpStream::connect(address).await,
        }
    }

    fn name(&self, leg: usize, address: SocketAddr) -> String {
        self.name_of(leg).map_or_else(|| address.to_string(), str::to_owned)
    }
}
