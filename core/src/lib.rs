//! A no_std, allocation-free SMTP server: sessions, handlers and grammar, without any I/O.
//!
//! Octets go into a [`server::Session`], events come out, answers go back in; [`server::step`] does that for a
//! [`server::Handler`]. Everything else is an adapter that moves octets, or a handler.
//!
//! | module | what it knows |
//! |---|---|
//! | [`wire`] | octets and grammar; no order |
//! | [`server`] | order (no octets), and the session that joins both; handlers |
//! | [`client`] | the client's session |
//! | [`relay`] | handlers with upstream ends; ready: [`PureProxy`](handlers::PureProxy), [`MailmanProxy`](handlers::MailmanProxy) |
//! | [`guard`] | who may have mail relayed |
//! | [`handlers`] | handlers that are ready to use |
//! | [`store`] | buffers that belong to the owner of a session |
//!
//! # Features
//! Each only adds. By default: `backlog`, `enhanced`, `expn-help`, `lmtp`, `memchr`, `starttls`.
//!
//! | feature | what it adds |
//! |---|---|
//! | `backlog` | more than one question open at once, for relays of pipelined groups |
//! | `enhanced` | enhanced status codes (RFC 2034) |
//! | `expn-help` | EXPN and HELP |
//! | `lmtp` | LMTP (RFC 2033) |
//! | `memchr` | texts are looked through faster on hosts |
//! | `starttls` | STARTTLS (RFC 3207), which an adapter has to carry out |
//! | `nor-flash` | a spool in flash, over embedded-storage's `NorFlash` |
//! | `python` | commands and replies as Python's smtpd had them |
//! | `log` | the dialogue, to the crate `log`, target `smtpd`, level trace; needs `core::fmt` |
//! | `defmt` | the dialogue, to defmt, level trace; defmt's `Format` for the types here |
//!
//! `log` and `defmt` may both be on. Of what AUTH carries they say the length only; the text of messages is part of the
//! dialogue, all of which `DEFMT_LOG=trace,smtpd_core=info` leaves out. `Format` never says the text, nor what lies in the
//! buffers of sessions. What links `defmt` needs a global logger of defmt's, on a host too; of the types here, only tables of replies
//! (`Texts`), the handler [`Fault`](handlers::Fault) and what keeps octets ([`Headers`](handlers::Headers), the
//! [`spool`](handlers::spool) and its stores) have no `Format`.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(
        clippy::indexing_slicing,
        clippy::string_slice,
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::unreachable,
        clippy::arithmetic_side_effects
    )
)]

/// The vectors that sessions, handlers and stores are made of.
pub use heapless;

pub mod client;
#[cfg(feature = "defmt")]
mod format;
pub mod guard;
pub mod handlers;
mod log;
pub mod relay;
pub mod server;
pub mod store;
pub mod wire;
