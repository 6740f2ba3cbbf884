//! The connection of one of a relay's legs: made, written, read and closed as the leg says.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use smtpd_core::relay::{Leg, Need};
use smtpd_core::store::Store;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::dial::{Calls, Dial};
use crate::pool::{Buffer, COMMANDS};
use crate::waiting::Due;

/// The far end of a leg.
#[derive(Debug, Default)]
pub(crate) struct Upstream {
    link: Link,
    /// What was read and could not be taken yet.
    kept: Vec<u8>,
    /// The kernel takes no more output for now.
    pub(crate) is_blocked: bool,
    due: Due,
}

#[derive(Default)]
enum Link {
    #[default]
    None,
    /// To this address.
    Dialing(SocketAddr, Pin<Box<dyn Future<Output = io::Result<TcpStream>> + Send>>),
    Open(TcpStream),
}

/// What a turn brought.
pub(crate) enum Turn {
    Nothing,
    /// The connection stands or is gone.
    Moved,
    /// So many octets were sent.
    Sent,
    /// So many octets for the leg; what it does not take goes to `keep`.
    Input(Buffer, usize),
    /// The same, from before: to `put_back`.
    Kept(Vec<u8>),
}

impl Upstream {
    /// Does what the leg needs, as far as it can be done now.
    pub(crate) fn turn<O: Store>(
        &mut self,
        cx: &mut Context<'_>,
        number: usize,
        leg: &mut Leg<O>,
        dial: &Arc<Calls<impl Dial>>,
    ) -> Turn {
        match leg.need() {
            Need::Nothing => self.exchange(cx, leg),
            Need::Close => {
                // The end comes behind the last octets also where some of the server's have not been read.
                match &mut self.link {
                    Link::Open(stream) => drop(Pin::new(stream).poll_shutdown(cx)),
                    Link::Dialing(address, _) if leg.is_gone() => dial.failed(number, *address, "no answer in time"),
                    _ => {}
                }
                self.lose(leg)
            }
            Need::Connect(address) => {
                if !matches!(self.link, Link::Dialing(..)) {
                    let dial = Arc::clone(dial);
                    self.link = Link::Dialing(address, Box::pin(async move { dial.dial(number, address).await }));
                }
                self.connect(cx, number, leg, dial)
            }
        }
    }

    fn connect<O: Store>(
        &mut self,
        cx: &mut Context<'_>,
        number: usize,
        leg: &mut Leg<O>,
        dial: &Calls<impl Dial>,
    ) -> Turn {
        let Link::Dialing(address, dialing) = &mut self.link else { return Turn::Nothing };
        match dialing.as_mut().poll(cx) {
            Poll::Pending => Turn::Nothing,
            Poll::Ready(Ok(stream)) => {
                // One write holds all that can be said; nothing is gained by holding it back.
                let _ = stream.set_nodelay(true);
                dial.answered(number);
                self.link = Link::Open(stream);
                leg.connected();
                Turn::Moved
            }
            Poll::Ready(Err(error)) => {
                dial.failed(number, *address, error);
                self.lose(leg)
            }
        }
    }

    /// Moves octets both ways, in one write and one read.
    fn exchange<O: Store>(&mut self, cx: &mut Context<'_>, leg: &mut Leg<O>) -> Turn {
        let has_sent = self.send(cx, leg);
        if !self.kept.is_empty() {
            return Turn::Kept(std::mem::take(&mut self.kept));
        }
        let Link::Open(stream) = &mut self.link else { return Turn::Nothing };
        let mut buffer = Buffer::take();
        let (octets, _) = buffer.split_at_mut(COMMANDS);
        let mut octets = ReadBuf::new(octets);
        let read = Pin::new(stream).poll_read(cx, &mut octets);
        let filled = octets.filled().len();
        match read {
            Poll::Pending if has_sent => Turn::Sent,
            Poll::Pending => Turn::Nothing,
            Poll::Ready(Ok(())) if filled > 0 => Turn::Input(buffer, filled),
            Poll::Ready(read) => {
                if let Err(error) = read {
                    tracing::debug!("next server lost: {error}");
                }
                self.lose(leg)
            }
        }
    }

    /// Sends as much as the kernel takes; true if that was anything.
    fn send<O: Store>(&mut self, cx: &mut Context<'_>, leg: &mut Leg<O>) -> bool {
        let mut has_sent = false;
        self.is_blocked = false;
        while let (Link::Open(stream), false) = (&mut self.link, leg.output().is_empty()) {
            match Pin::new(stream).poll_write(cx, leg.output()) {
                Poll::Pending => {
                    self.is_blocked = true;
                    break;
                }
                Poll::Ready(Ok(octets)) if octets > 0 => {
                    leg.sent(octets);
                    has_sent = true;
                }
                // It is gone, and why may lie here unread: whoever reads comes to its end.
                Poll::Ready(_) => break,
            }
        }
        has_sent
    }

    /// Keeps what the leg did not take.
    pub(crate) fn keep(&mut self, octets: &[u8]) {
        self.kept.extend_from_slice(octets);
    }

    /// Keeps it further, but for what was `taken` now.
    pub(crate) fn put_back(&mut self, mut kept: Vec<u8>, taken: usize) {
        if taken < kept.len() {
            kept.drain(..taken);
            self.kept = kept;
        }
    }

    /// The connection is gone, if there was one.
    fn lose<O: Store>(&mut self, leg: &mut Leg<O>) -> Turn {
        (self.link, self.kept, self.is_blocked) = (Link::None, Vec::new(), false);
        leg.lost();
        Turn::Moved
    }

    /// When the leg's patience is over.
    pub(crate) fn due<O: Store>(&mut self, leg: &Leg<O>) -> Instant {
        self.due.at(leg.patience())
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::Dialing(..) => "Dialing",
            Self::Open(_) => "Open",
        })
    }
}
