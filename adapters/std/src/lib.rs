//! The host's SMTP server and client: [`smtpd_core`] driven by tokio.
//!
//! [`Server`] listens and gives each connection a handler of its own: a [`Handler`] that never blocks, one that may
//! ([`Server::run_blocking`]), an [`AsyncHandler`], or a [`Relay`] ([`Server::run_relay`]). [`process_message`] makes a handler of a function that gets
//! whole messages. The command `smtpd` is built from these parts.
//!
//! [`send`] sends one mail, a [`Client`] many.
//!
//! [`Server::spawn`] needs no runtime: a test suite has a server in a line. What went wrong where no client can be told is
//! told to `tracing`: see its subscribers (`tracing_subscriber::fmt::init()`).
//!
//! This crate knows sockets, threads and clocks; what SMTP is, it leaves to the core.

mod async_connection;
mod async_handler;
pub mod client;
mod connection;
mod debugging;
mod delivered;
mod dial;
mod envelope;
mod files;
mod lists;
mod memory;
mod message;
mod out;
mod patient;
mod places;
mod pool;
mod relay_connection;
mod running;
mod server;
mod upstream;
mod waiting;

pub use async_handler::AsyncHandler;
pub use client::{Client, send, send_blocking};
pub use debugging::Printer;
pub use delivered::Delivered;
pub use dial::{Dial, Direct, Remotes};
pub use files::Files;
pub use lists::{Mailman2, Maps, Wrapper};
pub use memory::Memory;
pub use message::{Function, Message, Messages, ProcessMessage, Verdict, process_message};
pub use pool::PooledOutput;
pub use running::Running;
pub use server::Server;
pub use smtpd_core::guard::{Guard, Network};
pub use smtpd_core::handlers::debugging::Form;
pub use smtpd_core::handlers::{Deliveries, End, Found, Lists, MailmanProxy, PureProxy, Sink, Unimplemented};
pub use smtpd_core::relay::{Leg, Relay};
pub use smtpd_core::server::{
    Answer, Body, Commands, Config, Dialect, Ending, Extensions, Flow, Handler, Hello, Limits, Mail, Peer, Rcpt, Texts,
    Timers, Verify,
};
pub use smtpd_core::wire::{ForwardPath, Mailbox, Params, Reply, ReversePath};
pub use waiting::Stopper;

/// The README's example is a test.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
