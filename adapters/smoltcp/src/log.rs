//! The one place that knows loggers: what becomes of connections goes to the crates `log` and `defmt`, with the features of
//! these names, and nowhere without them. Dialogues are core's to log, and to mask.

use smtpd_core::server::{Ending, Peer};

/// A client has a place.
pub(crate) fn taken(peer: Peer) {
    #[cfg(feature = "log")]
    log::debug!(target: "smtpd", "connected: {:?}", peer.address);
    #[cfg(feature = "defmt")]
    defmt::debug!("connected: {}", peer);
    let _ = peer;
}

/// A session is over; the connection may stand for a moment yet.
pub(crate) fn over(why: Option<Ending>) {
    #[cfg(feature = "log")]
    log::debug!(target: "smtpd", "over: {why:?}");
    #[cfg(feature = "defmt")]
    defmt::debug!("over: {}", why);
    let _ = why;
}

/// Somebody said SYN, and nothing more.
pub(crate) fn half() {
    #[cfg(feature = "log")]
    log::debug!(target: "smtpd", "given up: half a connection");
    #[cfg(feature = "defmt")]
    defmt::debug!("given up: half a connection");
}

/// There was no place for a client, who is told so.
pub(crate) fn refused() {
    #[cfg(feature = "log")]
    log::debug!(target: "smtpd", "refused: no place");
    #[cfg(feature = "defmt")]
    defmt::debug!("refused: no place");
}
