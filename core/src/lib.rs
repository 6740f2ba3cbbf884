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
//! | [`relay`] | handlers with upstream ends |
//! | [`handlers`] | handlers that are ready to use |
//! | [`store`] | buffers that belong to the owner of a session |
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
pub mod handlers;
mod log;
pub mod relay;
pub mod server;
pub mod store;
pub mod wire;
