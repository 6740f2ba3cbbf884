//! An SMTP server over the sockets of a [`smoltcp`] interface: mail for microcontrollers, without an operating system or
//! allocation.
//!
//! [`Server`] serves a fixed number of clients and never blocks: one [`poll`](Server::poll) takes the frames that came, gives
//! every client a turn and sends; [`poll_at`](Server::poll_at) says how long the processor may sleep. Text goes from
//! the receive ring to the handler without a copy.
//!
//! ```
//! use core::task::Waker;
//! use smoltcp::iface::{Interface, SocketSet, SocketStorage};
//! use smoltcp::phy::Device;
//! use smoltcp::time::Instant;
//! use smtpd_core::handlers::Message;
//! use smtpd_core::server::{Answer, Config};
//! use smtpd_smoltcp::{Rings, Server};
//!
//! fn serve(interface: &mut Interface, device: &mut impl Device, clock: fn() -> Instant, sleep: fn(Option<Instant>)) -> ! {
//!     let mut config = Config::new("device.example");
//!     // What clients are told, and held to.
//!     config.limits.size = 4096;
//!     // Two clients at a time, each with a handler of its own that takes mails of up to 4 KiB. In firmware these are statics.
//!     let handlers = [(); 2].map(|()| {
//!         Message::<_, 128, 512, 4096>::new(|_peer, _mail_from, _rcpt_tos, _data| Answer::Accept)
//!     });
//!     let (mut rings, mut storage) = (Rings::<2>::new(), [SocketStorage::EMPTY; 2]);
//!     let mut sockets = SocketSet::new(&mut storage[..]);
//!     let mut server = Server::<_, 2, 512, 512>::new(&config, handlers, rings.add(&mut sockets));
//!     server.listen(25);
//!     loop {
//!         server.poll(clock(), interface, device, &mut sockets, Waker::noop());
//!         // Until then, or until the device has a frame.
//!         sleep(server.poll_at(clock(), interface, &sockets));
//!     }
//! }
//! ```
//!
//! | what | how |
//! |---|---|
//! | more clients than places | wait: a SYN that finds no place is lost, and sent again by the client's system after 1, 3 and 7 s. Or, with a spare socket ([`Server::refuse_with`]), hear 421 4.3.2 at once |
//! | a handler that has no room, or answers `Later` | its client's octets stay in the ring, and so the window closes |
//! | a client that is silent, slow, or does not read | is ended by [`Timers`](smtpd_core::server::Timers), and delays nobody |
//! | a client that vanished | is given up after two minutes in which it acknowledged nothing |
//! | a flood of SYNs | fills the free places for 6 s at a time; sessions under way go on |
//! | the last reply | is sent whole; what the client still says is read and thrown away until it closes, 1 s or 64 KiB long |
//! | RAM | [`Server::ram`] computes it, at compile time |
//!
//! A [`Relay`](smtpd_core::relay::Relay) reaches its servers through a [`Dialer`], by [`Server::poll_relay`].
//!
//! # Dependencies
//! smoltcp **0.14**: a HAL whose `Device` is of another version needs one of yours around it. A device without
//! smtpd-core's feature `enhanced` sends no enhanced status codes:
//! ```toml
//! [dependencies]
//! smoltcp = { version = "0.14", default-features = false, features = ["medium-ethernet", "proto-ipv4", "socket-tcp"] }
//! smtpd-core = { path = "smtpd/core", default-features = false, features = ["enhanced"] }
//! smtpd-smoltcp = { path = "smtpd/adapters/smoltcp" }
//! ```
//!
//! # Features
//! `ethernet` and `ip` are media, `ipv4` and `ipv6` addresses; `ethernet` and `ipv4` are there by default. `dhcp`
//! brings `Dhcp`, the interface's address by DHCP; `dns` brings `Lookup`, servers' addresses by their names. How many
//! addresses, routes and neighbours an interface has is set by smoltcp's own features.
//!
//! `log` and `defmt`: as [`smtpd_core`]'s, what becomes of connections, and defmt's `Format` for the types here.
//!
//! # Limits
//! - No TLS. With STARTTLS in [`Config::extensions`](smtpd_core::server::Config::extensions) a client that uses it is hung up
//!   on; it is not there by default.
//! - One server for an interface: each would take the other's frames, and hold back only the SYNs to its own port.
//! - Our own code can't panic. smoltcp's can: with handles of another set (not through this crate), and in what it
//!   calls a bug of its own.
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
#[cfg(test)]
extern crate std;

mod connection;
#[cfg(feature = "dhcp")]
mod dhcp;
mod dialer;
mod hold;
mod listener;
mod log;
#[cfg(feature = "dns")]
mod lookup;
mod place;
mod rings;
mod server;
mod spare;
mod timer;

#[cfg(feature = "dhcp")]
pub use dhcp::{Dhcp, Lease};
pub use dialer::Dialer;
#[cfg(feature = "dns")]
pub use lookup::{Lookup, Query};
pub use rings::Rings;
pub use server::Server;
