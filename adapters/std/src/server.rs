//! The server: it listens, and gives each connection a handler of its own.

use std::future::{pending, poll_fn};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Poll, ready};
use std::time::Duration;

use smtpd_core::relay::Relay;
use smtpd_core::server::{Answer, Config, Ending, Handler, Peer, Session};
use smtpd_core::wire::Reply;
use tokio::io::{AsyncRead, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::{JoinSet, unconstrained};
use tokio::time::{Interval, MissedTickBehavior, interval, sleep, timeout};
use tracing::Instrument;

use crate::async_connection;
use crate::async_handler::AsyncHandler;
use crate::connection::{Connection, Driven, caught};
use crate::dial::{Calls, Dial};
use crate::places::{Place, Places};
use crate::pool::{Pooled, READ};
use crate::relay_connection::RelayConnection;
use crate::waiting::{LAST_WORDS, Stopper, Waiting};

/// Connections that the kernel holds while the server is busy.
const BACKLOG: u32 = 1_024;

/// A server that is bound and not yet running.
///
/// ```no_run
/// use smtpd_std::{Config, Server, process_message};
/// # async fn run() -> std::io::Result<()> {
/// let server = Server::bind("localhost:1025", Config::new("mx.example.org")).await?;
/// server.run(|_| process_message(|message| {
///     println!("{} octets from {}", message.data.len(), message.mail_from);
///     Ok(None)
/// })).await;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Server {
    listeners: Vec<TcpListener>,
    settings: Settings,
    stopper: Stopper,
}

/// What all connections share.
#[derive(Clone, Debug)]
struct Settings {
    config: Arc<Config<'static>>,
    at_once: usize,
    grace: Duration,
    places: Places,
}

impl Server {
    /// Binds every address that `address` resolves to, so that `localhost:1025` serves IPv4 and IPv6; with port 0 all
    /// get the one port that the system chose. Must be called within a tokio runtime. A name that is known at run time only
    /// may live for ever: `Config::new(name.leak())`.
    ///
    /// # Errors
    /// None of the addresses can be bound, or one of them for another reason than that the machine lacks its family.
    pub async fn bind(address: impl tokio::net::ToSocketAddrs, config: Config<'static>) -> io::Result<Self> {
        let mut listeners = Vec::new();
        let mut port = 0;
        let mut missing = None;
        for mut address in tokio::net::lookup_host(address).await? {
            if address.port() == 0 {
                address.set_port(port);
            }
            match listen(address) {
                Ok(listener) => {
                    port = listener.local_addr()?.port();
                    listeners.push(listener);
                }
                Err(error) if is_missing(&error) => missing = Some(error),
                Err(error) => return Err(error),
            }
        }
        if listeners.is_empty() {
            return Err(missing.unwrap_or_else(|| io::Error::new(io::ErrorKind::NotFound, "no address")));
        }
        let settings = Settings {
            config: Arc::new(config),
            at_once: READ,
            grace: Duration::from_secs(10),
            places: Places::new(Places::ALL, Places::EACH),
        };
        Ok(Self { listeners, settings, stopper: Stopper::new() })
    }

    /// Reads at most `octets` of text at once: 1 to 65,536, the default; of commands never more than 8,192.
    #[must_use]
    pub fn read_at_once(mut self, octets: usize) -> Self {
        self.settings.at_once = octets.clamp(1, READ);
        self
    }

    /// How many connections are served at once, in all and from one address (of IPv6: one /64): 1,000 and 250 by default;
    /// 0: no limit. Further ones hear 421 4.3.2.
    #[must_use]
    pub fn connections(mut self, all: usize, each: usize) -> Self {
        self.settings.places = Places::new(all, each);
        self
    }

    /// How long transactions under way may take when the server stops: 10 seconds by default.
    #[must_use]
    pub fn grace(mut self, grace: Duration) -> Self {
        self.settings.grace = grace;
        self
    }

    /// Where it listens.
    ///
    /// # Errors
    /// The system does not say.
    pub fn local_addrs(&self) -> io::Result<Vec<SocketAddr>> {
        self.listeners.iter().map(TcpListener::local_addr).collect()
    }

    /// What ends the server, from any thread.
    #[must_use]
    pub fn stopper(&self) -> Stopper {
        self.stopper.clone()
    }

    /// Serves until it is told to stop, with a handler for each connection. A handler must not block: see
    /// [`run_blocking`](Self::run_blocking). A client whose handler panics, or can't be made for a panic, hears 421.
    pub async fn run<H: Handler + Send + 'static>(self, handler: impl Fn(Peer) -> H + Send + Sync + 'static) {
        let handler = Arc::new(handler);
        self.accept(move |stream, peer, place, settings, waiting| {
            let connection = serve(stream, peer, place, Arc::clone(&handler), settings, waiting);
            tokio::spawn(connection.instrument(span(peer)));
        })
        .await;
    }

    /// As [`run`](Self::run), each connection on a thread of its own (of tokio's for blocking work, 512 unless the
    /// runtime was built otherwise): for handlers that wait for disks and databases.
    pub async fn run_blocking<H: Handler + Send + 'static>(self, handler: impl Fn(Peer) -> H + Send + Sync + 'static) {
        let handler = Arc::new(handler);
        let runtime = tokio::runtime::Handle::current();
        self.accept(move |stream, peer, place, settings, waiting| {
            let connection = serve(stream, peer, place, Arc::clone(&handler), settings, waiting);
            let connection = connection.instrument(span(peer));
            let runtime = runtime.clone();
            tokio::task::spawn_blocking(move || runtime.block_on(connection));
        })
        .await;
    }

    /// Serves until it is told to stop, with an asynchronous handler for each connection.
    pub async fn run_async<H>(self, handler: impl Fn(Peer) -> H + Send + Sync + 'static)
    where
        H: AsyncHandler + 'static,
    {
        let handler = Arc::new(handler);
        self.accept(move |stream, peer, place, settings, waiting| {
            let handler = Arc::clone(&handler);
            let connection = async move {
                let _place = place;
                let Settings { config, at_once, .. } = settings;
                let mut end = waiting.clone();
                let stream = match caught(|| handler(peer)) {
                    Ok(handler) => async_connection::serve(stream, &config, peer, handler, at_once, waiting).await,
                    Err(why) => refuse(stream, &config, |session| session.end(why)).await,
                };
                close(stream, &mut end).await;
            };
            tokio::spawn(connection.instrument(span(peer)));
        })
        .await;
    }

    /// Serves until it is told to stop, with a relay for each connection, whose legs' connections `dial` makes. A relay
    /// must not block. When a client's session is over the servers hear QUIT, for which there is a second.
    ///
    /// ```no_run
    /// use smtpd_std::{Direct, Guard, Leg, PooledOutput, PureProxy, Server};
    /// # async fn run(server: Server) {
    /// let next = "192.0.2.25:25".parse().unwrap();
    /// let leg = move || Leg::with(next, "relay.example.org", PooledOutput::default());
    /// server.run_relay(move |_| PureProxy::new(leg(), Guard::LOOPBACK), Direct).await;
    /// # }
    /// ```
    pub async fn run_relay<R: Relay + Send + 'static>(
        self,
        relay: impl Fn(Peer) -> R + Send + Sync + 'static,
        dial: impl Dial,
    ) {
        let (relay, dial) = (Arc::new(relay), Arc::new(Calls::new(dial)));
        self.accept(move |stream, peer, place, settings, waiting| {
            let (relay, dial) = (Arc::clone(&relay), Arc::clone(&dial));
            let connection = serve_relay(stream, peer, place, relay, dial, settings, waiting);
            tokio::spawn(connection.instrument(span(peer)));
        })
        .await;
    }

    /// Accepts on all listeners; returns when the last connection is over.
    async fn accept(self, start: impl Fn(TcpStream, Peer, Place, Settings, Waiting) + Send + Sync + 'static) {
        let start = Arc::new(start);
        let mut tasks = JoinSet::new();
        for listener in self.listeners {
            let waiting = Waiting::new(&self.stopper, self.settings.grace);
            tasks.spawn(accept(listener, Arc::clone(&start), self.settings.clone(), waiting));
        }
        tasks.join_all().await;
        self.stopper.all_over().await;
    }
}

async fn accept<S>(listener: TcpListener, start: Arc<S>, settings: Settings, mut waiting: Waiting)
where
    S: Fn(TcpStream, Peer, Place, Settings, Waiting),
{
    let connection = waiting.clone();
    let turned_away = Places::new(TURNED_AWAY, 0);
    let mut is_warned = false;
    let mut beat = Heartbeat::new();
    loop {
        let accepted = tokio::select! {
            biased;
            () = waiting.begins() => return,
            accepted = listener.accept() => accepted,
            () = beat.next() => continue,
        };
        beat.go_on();
        match accepted {
            Ok((stream, address)) => {
                is_warned = false;
                // Elsewhere it is not inherited from the listener.
                #[cfg(not(target_os = "linux"))]
                let _ = stream.set_nodelay(true);
                let peer = Peer::new(Some(canonical(address)));
                match settings.places.take(peer) {
                    Some(place) => start(stream, peer, place, settings.clone(), connection.clone()),
                    None => turn_away(stream, peer, &settings, &turned_away, connection.clone()),
                }
            }
            // Out of descriptors or memory: connections that end give some back.
            Err(error) => {
                if !std::mem::replace(&mut is_warned, true) {
                    tracing::warn!("accept: {error}");
                }
                sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

/// A timer that rings before all others do, as long as connections come: a timer that would be the first to ring costs two
/// system calls to set, and each connection sets one at its end.
struct Heartbeat {
    beat: Interval,
    /// Beats until it rests, so that an idle server is not woken.
    left: u32,
}

impl Heartbeat {
    fn new() -> Self {
        let mut beat = interval(LAST_WORDS / 4);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { beat, left: 0 }
    }

    /// A connection came.
    fn go_on(&mut self) {
        self.left = 8;
    }

    async fn next(&mut self) {
        if self.left == 0 {
            pending::<()>().await;
        }
        self.beat.tick().await;
        self.left -= 1;
    }
}

/// Serves one connection with a synchronous handler.
async fn serve<H: Handler>(
    stream: TcpStream,
    peer: Peer,
    _place: Place,
    handler: Arc<impl Fn(Peer) -> H>,
    settings: Settings,
    mut waiting: Waiting,
) {
    let Settings { config, at_once, .. } = settings;
    let handler = match caught(|| handler(peer)) {
        Ok(handler) => handler,
        Err(why) => return close(refuse(stream, &config, |session| session.end(why)).await, &mut waiting).await,
    };
    let mut connection = Connection::new(stream, &config, peer, handler, at_once);
    drive(&mut connection, &mut waiting).await;
    close(connection.into_stream(), &mut waiting).await;
}

/// Serves one connection with a relay.
async fn serve_relay<R: Relay, D: Dial>(
    stream: TcpStream,
    peer: Peer,
    _place: Place,
    relay: Arc<impl Fn(Peer) -> R>,
    dial: Arc<Calls<D>>,
    settings: Settings,
    mut waiting: Waiting,
) {
    let Settings { config, at_once, .. } = settings;
    let connection = match caught(|| relay(peer)) {
        Ok(relay) => RelayConnection::new(stream, &config, peer, relay, dial, at_once),
        Err(why) => Err((stream, why)),
    };
    let mut connection = match connection {
        Ok(connection) => connection,
        Err((stream, why)) => {
            return close(refuse(stream, &config, |session| session.end(why)).await, &mut waiting).await;
        }
    };
    drive(&mut connection, &mut waiting).await;
    let mut end = waiting.clone();
    let (stream, mut farewell) = connection.parts();
    let servers = async {
        tokio::select! {
            biased;
            _ = timeout(LAST_WORDS, poll_fn(|cx| farewell.poll(cx))) => {}
            () = waiting.is_now() => {}
        }
    };
    tokio::join!(servers, discard(stream, &mut end));
}

/// Drives a connection to its end, or to the server's.
async fn drive(connection: &mut impl Driven, waiting: &mut Waiting) {
    let is_over = tokio::select! {
        biased;
        () = poll_fn(|cx| connection.poll(cx)) => true,
        () = unconstrained(waiting.begins()) => false,
    };
    if !is_over {
        connection.stop();
        tokio::select! {
            biased;
            () = poll_fn(|cx| connection.poll(cx)) => {}
            () = unconstrained(waiting.is_over()) => {
                connection.end(Ending::Stopping);
                let _ = timeout(LAST_WORDS, poll_fn(|cx| connection.poll(cx))).await;
            }
        }
    }
}

/// Connections without a place that are told so at once; those behind them are just closed.
const TURNED_AWAY: usize = 100;

/// RFC 3463 §3.4: the system takes no messages now.
const NO_PLACE: Reply<'static> = Reply::new(421, "Too many connections, try again later").enhanced(3, 2);

/// Tells a client for whom there is no place that it should come back.
fn turn_away(stream: TcpStream, peer: Peer, settings: &Settings, turned_away: &Places, mut waiting: Waiting) {
    let Some(place) = turned_away.take(peer) else { return };
    tracing::debug!("no place for {peer:?}");
    let config = Arc::clone(&settings.config);
    tokio::spawn(async move {
        let _place = place;
        let say = |session: &mut Silent<'_>| {
            let _ = session.poll(&mut &[][..], 0);
            session.answer(Answer::Reply(NO_PLACE));
        };
        close(refuse(stream, &config, say).await, &mut waiting).await;
    });
}

/// A session that no handler hears of.
type Silent<'c> = Session<'c, Pooled, Pooled>;

/// Says one thing to a client that is not served.
async fn refuse<'c>(mut stream: TcpStream, config: &'c Config<'c>, say: impl FnOnce(&mut Silent<'c>)) -> TcpStream {
    let mut session = Session::with(config, Peer::default(), Pooled::default(), Pooled::default());
    say(&mut session);
    let _ = timeout(LAST_WORDS, stream.write_all(session.output())).await;
    stream
}

/// Whose session a line of the log belongs to.
fn span(peer: Peer) -> tracing::Span {
    match peer.address {
        Some(address) => tracing::trace_span!("session", peer = %address),
        None => tracing::Span::none(),
    }
}

/// Octets of the client's that are read and thrown away before the connection is closed.
const LAST_OCTETS: usize = 65_536;

/// Closes so that the last reply arrives: a connection closed with octets unread is reset, and a reset may overtake
/// the reply.
async fn close(mut stream: TcpStream, waiting: &mut Waiting) {
    discard(&mut stream, waiting).await;
}

/// The same, up to the close itself.
async fn discard(stream: &mut TcpStream, waiting: &mut Waiting) {
    let discard = async {
        stream.shutdown().await?;
        let mut left = LAST_OCTETS;
        while left > 0 {
            // Not kept between two reads: each connection has room for what its end needs, all its life long.
            let read = poll_fn(|cx| {
                let mut octets = [0; 1_024];
                let mut octets = ReadBuf::new(&mut octets);
                ready!(Pin::new(&mut *stream).poll_read(cx, &mut octets))?;
                Poll::Ready(io::Result::Ok(octets.filled().len()))
            });
            match read.await? {
                0 => break,
                read => left = left.saturating_sub(read),
            }
        }
        io::Result::Ok(())
    };
    tokio::select! {
        biased;
        _ = timeout(LAST_WORDS, discard) => {}
        () = waiting.is_now() => {}
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    socket.set_reuseaddr(true)?;
    // One write holds all replies; nothing is gained by holding them back.
    socket.set_nodelay(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Whether the machine has no such address or family: IPv6 is missing in many containers.
fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::AddrNotAvailable | io::ErrorKind::Unsupported)
        || error.raw_os_error() == Some(nix::errno::Errno::EAFNOSUPPORT as i32)
}

/// An IPv4 client on an IPv6 socket is an IPv4 client.
fn canonical(address: SocketAddr) -> SocketAddr {
    match address.ip().to_canonical() {
        IpAddr::V4(ip) => SocketAddr::new(ip.into(), address.port()),
        IpAddr::V6(_) => address,
    }
}
