//! How the connections of a relay's legs are made.

use std::future::Future;
use std::io;
use std::net::SocketAddr;

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
}

impl Dial for Remotes {
    async fn dial(&self, leg: usize, address: SocketAddr) -> io::Result<TcpStream> {
        match self.names.iter().find(|(number, _)| *number == leg) {
            Some((_, name)) => TcpStream::connect(name.as_str()).await,
            None => TcpStream::connect(address).await,
        }
    }
}
