//! An SMTP server over [`embedded_io`] and its async twin: [`smtpd_core`] driven by whatever reads and writes octets.
#![no_std]
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

#[cfg(feature = "async")]
mod async_link;
#[cfg(feature = "async")]
mod asynchronous;
mod blocking;
mod client;
#[cfg(feature = "async")]
mod plain;
mod polled;
mod relay;
mod timer;

#[cfg(feature = "async")]
pub use asynchronous::serve_async;
pub use blocking::serve;
#[cfg(feature = "async")]
pub use plain::serve_plain;
pub use polled::{Polled, PolledError};
pub use relay::{Connect, Upstream, serve_relay};
#[cfg(feature = "async")]
pub use timer::AsyncTimer;
pub use timer::Timer;
