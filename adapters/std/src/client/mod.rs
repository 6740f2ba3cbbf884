//! Sending mail: [`send`] for one mail, a [`Client`] for many, over the core's client session.
//!
//! It knows connections, timers and what becomes of each recipient; what is said, and in which order, it leaves to the
//! session. There is no TLS and no AUTH yet: [`Builder::over`] takes a stream that is encrypted already.

mod builder;
mod connection;
mod envelope;
mod error;
mod link;
mod once;
mod reply;
mod sent;
mod transaction;

pub use builder::Builder;
pub use connection::Client;
pub use error::Error;
pub use once::{send, send_blocking};
pub use reply::Reply;
pub use sent::{Outcome, Sent};
pub use smtpd_core::client::{Command, Timers};
pub use smtpd_core::server::Body;
pub use smtpd_core::wire::Enhanced;
