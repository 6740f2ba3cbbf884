//! A client: one connection, and many mails over it.

use std::fmt;

use smtpd_core::client::Command;
use smtpd_core::server::{Body, Extensions};
use tokio::io::{AsyncBufRead, AsyncRead, AsyncWrite, BufReader};
use tokio::net::{TcpStream, ToSocketAddrs};

use super::envelope::{Envelope, fits, size};
use super::link::Link;
use super::transaction::{Options, State, Transaction};
use super::{Builder, Error, Sent};

/// A connection to a server that takes mail.
///
/// Recipients that the server refuses do not keep the mail from the others, as with Python's smtplib: look at
/// [`Sent::refused`]. With PIPELINING, MAIL, all RCPT and DATA are sent at once and cost one round trip (RFC 2920).
///
/// A mail is its octets, headers and all, from a file or a library that makes them. Line ends may be CRLF, LF or CR and are sent
/// as CRLF; dots are taken care of.
///
/// After an error that leaves the connection unclear, and when the future of [`send`](Self::send) was dropped before its end,
/// every call gives [`Error::Closed`]: no mail can take another one's answer for its own. Drop it and connect anew.
///
/// ```no_run
/// use smtpd_std::Client;
/// # async fn run() -> Result<(), smtpd_std::client::Error> {
/// let mut client = Client::connect("localhost:25").await?;
/// for to in ["you@example.org", "her@example.org"] {
///     let mail = format!("From: me@example.org\r\nTo: {to}\r\nSubject: Hi\r\n\r\nHello.\r\n");
///     let sent = client.send("me@example.org", &[to], mail).await?;
///     println!("{}", sent.outcomes[0].reply);
/// }
/// client.quit().await
/// # }
/// ```
pub struct Client<T = TcpStream> {
    link: Link<T>,
    options: Options,
    is_lmtp: bool,
    state: State,
}

impl Client {
    /// Connects, with what [`Builder`] has by default.
    ///
    /// # Errors
    /// As [`Builder::connect`].
    pub async fn connect(server: impl ToSocketAddrs) -> Result<Self, Error> {
        Self::builder().connect(server).await
    }

    /// Connects to a server that speaks LMTP.
    ///
    /// # Errors
    /// As [`Builder::connect`].
    pub async fn lmtp(server: impl ToSocketAddrs) -> Result<Self, Error> {
        Self::builder().lmtp().connect(server).await
    }

    /// To connect otherwise.
    #[must_use]
    pub const fn builder() -> Builder {
        Builder::new()
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> Client<T> {
    pub(super) const fn new(link: Link<T>, options: Options, is_lmtp: bool) -> Self {
        Self { link, options, is_lmtp, state: State::Ready }
    }

    /// Sends a mail. Addresses are without angle brackets; an empty `mail_from` is that of a bounce. Its size and octets
    /// above 127 are declared where the server offers SIZE and 8BITMIME.
    ///
    /// # Errors
    /// Nobody gets the mail, or it is in doubt: see [`Error`]. When the server refused, the connection can be used on.
    pub async fn send<R: AsRef<str>>(
        &mut self,
        mail_from: &str,
        rcpt_tos: &[R],
        data: impl AsRef<[u8]>,
    ) -> Result<Sent, Error> {
        let data = data.as_ref();
        let body = if data.is_ascii() { Body::SevenBit } else { Body::EightBitMime };
        self.begin(mail_from, rcpt_tos, data, Some(size(data)), body).await
    }

    /// Sends a mail that is read from a stream, and never held whole. `size` is its octets with line ends of CRLF, if that
    /// is known; `body` says whether octets above 127 may come.
    ///
    /// # Errors
    /// As [`send`](Self::send); [`Error::Text`], and [`Error::EightBit`] for an octet above 127 that was not announced: the
    /// mail is broken off, so that nobody gets a part of it, and the connection with it.
    pub async fn send_stream<R: AsRef<str>>(
        &mut self,
        mail_from: &str,
        rcpt_tos: &[R],
        data: impl AsyncRead + Unpin,
        size: Option<u64>,
        body: Body,
    ) -> Result<Sent, Error> {
        self.begin(mail_from, rcpt_tos, BufReader::new(data), size, body).await
    }

    /// The extensions that the server offers, as far as they are known here.
    #[must_use]
    pub fn extensions(&self) -> Extensions {
        self.link.session.extensions()
    }

    /// The longest mail that the server takes, in octets; 0: it did not say.
    #[must_use]
    pub fn max_size(&self) -> u32 {
        self.link.session.size()
    }

    /// Whether another mail may be sent: false once every call would give [`Error::Closed`].
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.state != State::Closed
    }

    /// Says QUIT and waits for the server's goodbye. A client that is dropped just closes the connection; no mail that was answered
    /// is lost by that.
    ///
    /// # Errors
    /// [`Error::Closed`], [`Error::Lost`], [`Error::TimedOut`], [`Error::NotSmtp`]; [`Error::Refused`], which no server
    /// should.
    pub async fn quit(mut self) -> Result<(), Error> {
        if self.state == State::Closed || self.link.session.quit().is_err() {
            return Err(Error::Closed);
        }
        let (_, reply) = self.link.reply().await.map_err(|trouble| trouble.behind(Command::Quit))?;
        self.link.abandon().await;
        if reply.is_positive() { Ok(()) } else { Err(Error::Refused(Command::Quit, reply)) }
    }

    async fn begin<R: AsRef<str>>(
        &mut self,
        mail_from: &str,
        rcpt_tos: &[R],
        mut text: impl AsyncBufRead + Unpin,
        size: Option<u64>,
        body: Body,
    ) -> Result<Sent, Error> {
        // Whoever drops the future leaves it so.
        let state = std::mem::replace(&mut self.state, State::Closed);
        if state == State::Closed {
            return Err(Error::Closed);
        }
        let is_eight_bit = body == Body::EightBitMime;
        let session = &self.link.session;
        let (extensions, limit) = (session.extensions(), session.size());
        let envelope = Envelope::new(mail_from, rcpt_tos, size, is_eight_bit).and_then(|envelope| {
            fits(extensions, limit, size, is_eight_bit && !self.options.eight_bit_as_is)?;
            Ok(envelope)
        });
        let envelope = match envelope {
            Ok(envelope) => envelope,
            Err(error) => {
                self.state = state;
                return Err(error);
            }
        };
        let mut transaction = Transaction::new(&mut self.link, envelope, self.options, self.is_lmtp);
        let result = transaction.run(state == State::Begun, &mut text).await;
        self.state = transaction.leaves();
        result
    }
}

impl<T: fmt::Debug> fmt::Debug for Client<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { options, is_lmtp, state, .. } = self;
        f.debug_struct("Client").field("options", options).field("is_lmtp", is_lmtp).field("state", state).finish()
    }
}
