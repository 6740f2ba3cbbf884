//! How a client connects.

use std::io;
use std::net::{IpAddr, Ipv4Addr};

use smtpd_core::client::{Command, Timers};
use smtpd_core::wire::{is_hello_name, write_address_literal};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, ToSocketAddrs, lookup_host};
use tokio::time::timeout;

use super::link::Link;
use super::transaction::Options;
use super::{Client, Error};
use crate::waiting::span;

/// What a [`Client`] is to be before it connects; made by [`Client::builder`].
///
/// ```no_run
/// use smtpd_std::client::{Client, Timers};
/// # async fn run() -> Result<(), smtpd_std::client::Error> {
/// let mut timers = Timers::DEFAULT;
/// timers.connect = 5;
/// let client = Client::builder().name("client.example.org").timers(timers).connect("mx.example.org:25").await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Builder {
    name: Option<String>,
    timers: Timers,
    is_lmtp: bool,
    options: Options,
}

impl Builder {
    pub(super) const fn new() -> Self {
        let options = Options { all_or_none: false, eight_bit_as_is: false };
        Self { name: None, timers: Timers::DEFAULT, is_lmtp: false, options }
    }

    /// What the client calls itself in EHLO: a domain or an address literal. Without it, this host's name if that has a domain,
    /// else the connection's own address in brackets (RFC 5321 §4.1.4).
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// How long the server may take at each step; [`Timers::DEFAULT`] is what RFC 5321 §4.5.3.2 asks for: minutes.
    #[must_use]
    pub const fn timers(mut self, timers: Timers) -> Self {
        self.timers = timers;
        self
    }

    /// Speaks LMTP (RFC 2033): the server says for each recipient whether it was delivered.
    #[must_use]
    pub const fn lmtp(mut self) -> Self {
        self.is_lmtp = true;
        self
    }

    /// If the server refuses one recipient, the mail goes to none. By default it goes to the others. Costs one more round trip
    /// where the server offers PIPELINING. With LMTP, what is refused behind the text is not taken back.
    #[must_use]
    pub const fn all_or_none(mut self) -> Self {
        self.options.all_or_none = true;
        self
    }

    /// Sends octets above 127 to servers that do not offer 8BITMIME, too. RFC 6152 §3 forbids it; most servers take it.
    /// By default such a mail is an error, for it is not converted here.
    #[must_use]
    pub const fn eight_bit_as_is(mut self) -> Self {
        self.options.eight_bit_as_is = true;
        self
    }

    /// Connects to the first of the server's addresses that takes the connection, and greets it: EHLO, or HELO where that
    /// is refused (RFC 5321 §3.2). Must be called within a tokio runtime.
    ///
    /// # Errors
    /// [`Error::Connect`]; as [`over`](Self::over).
    pub async fn connect(self, server: impl ToSocketAddrs) -> Result<Client, Error> {
        let mut last = io::Error::new(io::ErrorKind::NotFound, "the server has no address");
        for address in lookup_host(server).await.map_err(Error::Connect)? {
            let connected = timeout(span(self.timers.connect), TcpStream::connect(address)).await;
            match connected.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
                Ok(stream) => {
                    // Whatever is written at once belongs together: nothing is gained by waiting for more.
                    let _ = stream.set_nodelay(true);
                    let local = stream.local_addr().ok().map(|address| address.ip());
                    return self.greet(stream, local).await;
                }
                Err(error) => last = error,
            }
        }
        Err(Error::Connect(last))
    }

    /// The same over a stream that stands already: through TLS, say, or a socket of another kind. The timers are tokio's.
    ///
    /// # Errors
    /// [`Error::Refused`] for the connection or for EHLO, [`Error::Lost`], [`Error::TimedOut`], [`Error::NotSmtp`];
    /// [`Error::Syntax`] for the name.
    pub async fn over<T: AsyncRead + AsyncWrite + Unpin>(self, stream: T) -> Result<Client<T>, Error> {
        self.greet(stream, None).await
    }

    async fn greet<T: AsyncRead + AsyncWrite + Unpin>(
        self,
        stream: T,
        local: Option<IpAddr>,
    ) -> Result<Client<T>, Error> {
        let name = self.name.or_else(host_name).unwrap_or_else(|| literal(local));
        if !is_hello_name(name.as_bytes()) {
            return Err(Error::Syntax(name));
        }
        let mut link = Link::new(stream, self.timers, self.is_lmtp);
        let mut waits_for = Command::Greeting;
        loop {
            let (command, reply) = link.reply().await.map_err(|trouble| trouble.behind(waits_for))?;
            if !reply.is_positive() || command != waits_for {
                // Also a server that takes no mail at all waits for QUIT (RFC 5321 §3.1).
                if link.session.quit().is_ok() {
                    link.abandon().await;
                }
                return Err(Error::Refused(waits_for, reply));
            }
            if waits_for == Command::Hello {
                break;
            }
            waits_for = Command::Hello;
            link.session.hello(name.as_bytes()).map_err(|error| Error::NotSmtp(waits_for, error))?;
        }
        Ok(Client::new(link, self.options, self.is_lmtp))
    }
}

/// This host's name, if it is one by which others may know it.
fn host_name() -> Option<String> {
    let name = nix::unistd::gethostname().ok()?.into_string().ok()?;
    (name.contains('.') && is_hello_name(name.as_bytes())).then_some(name)
}

/// The address of this end as a name (RFC 5321 §4.1.3).
fn literal(local: Option<IpAddr>) -> String {
    let mut name = heapless::Vec::<u8, 46>::new();
    let _ = write_address_literal(&mut name, local.unwrap_or(Ipv4Addr::LOCALHOST.into()));
    String::from_utf8_lossy(&name).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_name() {
        for (address, name) in [
            (Some("192.0.2.1"), "[192.0.2.1]"),
            (Some("2001:db8::1"), "[IPv6:2001:db8::1]"),
            (Some("::ffff:192.0.2.1"), "[IPv6:::ffff:192.0.2.1]"),
            (None, "[127.0.0.1]"),
        ] {
            let literal = literal(address.map(|address| address.parse().unwrap()));
            assert_eq!(literal, name);
            assert!(is_hello_name(literal.as_bytes()), "{name}");
        }
    }
}
