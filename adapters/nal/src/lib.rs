//! An SMTP server over the sockets of [`embedded_nal`]: many connections from one loop, for stacks in modems, in chips and
//! in software.
//!
//! [`Server`] holds a fixed number of connections and never blocks: each [`poll`](Server::poll) gives every one of them a
//! turn. It allocates nothing, can't panic, and knows no clock: the caller says what time it is.
//!
//! ```
//! use core::task::Waker;
//! use embedded_nal::TcpFullStack;
//! use smtpd_core::handlers::Message;
//! use smtpd_core::server::{Answer, Config};
//! use smtpd_nal::{Next, Server};
//!
//! fn serve<S: TcpFullStack>(stack: &mut S, millis: fn() -> u32, sleep: fn(u32)) -> Result<(), S::Error> {
//!     let config = Config::new("device.example");
//!     // Two connections, each with a handler of its own that takes mails of up to 4 KiB.
//!     let handlers = [(); 2].map(|()| {
//!         Message::<_, 128, 512, 4096>::new(|_peer, _mail_from, _rcpt_tos, _data| Answer::Accept)
//!     });
//!     let mut server = Server::<_, _, 2>::new(&config, handlers);
//!     server.bind(stack, 25)?;
//!     loop {
//!         match server.poll(stack, millis(), Waker::noop())? {
//!             Next::Now => {}
//!             // Without interrupts of the network, a few milliseconds are as long as a client should wait.
//!             Next::Wait(time) => sleep(time.map_or(10, |time| time.min(10))),
//!         }
//!     }
//! }
//! ```
//!
//! | what | how |
//! |---|---|
//! | more clients than places | they wait in the stack's own queue until a place is free: a 421 would take a place, too |
//! | a silent client | holds its place until `Timers::command` ends it, and delays nobody else |
//! | a handler that answers `Later`, or has no room | its client's input stays in the connection's buffer, then in the stack |
//! | the last reply | is sent whole; what the client still says is read and thrown away until it closes, 1 s or 64 KiB long |
//! | RAM of a connection | line, output and input buffer (1,024, 1,024 and 512 octets unless told otherwise) and some 150 |
//!
//! # Limits
//! - No TLS: embedded-nal has none. With STARTTLS in [`Config::extensions`](smtpd_core::server::Config::extensions) a
//!   client that uses it is hung up on; it is not there by default.
//! - No half-close: embedded-nal has none. A stack whose `close` drops what it has not sent yet may lose the last reply of a
//!   client that does not close by itself within a second.
//! - `receive` must not block, nor must `send` and `accept`. 0 octets from `receive` is the client's end, as in
//!   std-embedded-nal; a stack that says 0 for *nothing yet*, as smoltcp-nal, has to be wrapped so that it says
//!   `WouldBlock`, which is what the trait's documentation asks for.
//! - embedded-nal tells nobody when a socket is ready: a loop that sleeps longer than a network interrupt takes makes its
//!   clients wait.
//!
//! # Features
//! `defmt`: as [`smtpd_core`]'s, and defmt's `Format` for the types here. What is on in [`smtpd_core`] beyond that is for the
//! firmware to say.
#![no_std]
#![forbid(unsafe_code)]
#![deny(
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::unreachable,
    clippy::arithmetic_side_effects
)]

mod connection;
mod server;

pub use server::{Next, Server};
