//! An SMTP server over [`embedded_io`] and [`embedded_io_async`]: [`smtpd_core`] driven by whatever moves octets.
//!
//! The caller has it all: the session, its handler, the buffers, the clock, and an I/O with somebody at the other end.
//! One call serves that client.
//!
//! | function | I/O | handler |
//! |---|---|---|
//! | [`serve`] | blocking, with timeouts or polled | [`Handler`](smtpd_core::server::Handler), in a super-loop |
//! | [`serve_async`] | async | [`AsyncHandler`](smtpd_core::server::AsyncHandler), which may await |
//! | [`serve_plain`] | async | [`Handler`](smtpd_core::server::Handler), which may answer later and wake the task |
//! | [`serve_relay`] | polled, at all ends | [`Relay`](smtpd_core::relay::Relay), whose legs it connects |
//!
//! ```
//! use smtpd_core::handlers::Message;
//! use smtpd_core::server::{Answer, Config, Ending, Peer, Session};
//! # use embedded_io::{ErrorKind, ErrorType, Read, Write};
//! # struct Uart(&'static [u8], Vec<u8>);
//! # impl ErrorType for Uart { type Error = ErrorKind; }
//! # impl Read for Uart {
//! #     fn read(&mut self, to: &mut [u8]) -> Result<usize, ErrorKind> { Ok(Read::read(&mut self.0, to).unwrap()) }
//! # }
//! # impl Write for Uart {
//! #     fn write(&mut self, octets: &[u8]) -> Result<usize, ErrorKind> { self.1.extend(octets); Ok(octets.len()) }
//! #     fn flush(&mut self) -> Result<(), ErrorKind> { Ok(()) }
//! # }
//! # struct SysTick;
//! # impl smtpd_io::Timer for SysTick { fn now(&self) -> u32 { 0 } }
//! # let mut uart = Uart(b"HELO a\r\nMAIL FROM:<>\r\nRCPT TO:<b@c.example>\r\nDATA\r\nHi\r\n.\r\nQUIT\r\n", vec![]);
//! static CONFIG: Config = Config::new("gateway.example.org");
//! let mut session = Session::new(&CONFIG, Peer::default());
//! let mut handler = Message::<_, 64, 128, 2_048>::new(|_peer, _from, _recipients, data| {
//!     assert_eq!(data, b"Hi\r\n");
//!     Answer::Accept
//! });
//! let ended = smtpd_io::serve(&mut uart, &mut session, &mut handler, &SysTick, &mut [0; 64]);
//! assert_eq!(ended, Ok(Ending::Quit));
//! ```
//!
//! # What fits
//! | I/O | how |
//! |---|---|
//! | a UART whose HAL says whether it is ready | [`serve`] with [`Polled`]; `wfi` in [`Timer::wait`] |
//! | a UART or socket that blocks, with a timeout | [`serve`], if a timeout is an error of the kind `TimedOut` |
//! | one that blocks for ever | [`serve`] and `()` for the clock: a client that falls silent is never given up |
//! | embassy's UARTs and `TcpSocket` | [`serve_async`], [`serve_plain`]; one task for each client |
//! | a TLS stream over one of these | as its own traits say: shake hands first, then make the session, with `peer.tls` set |
//! | a socket of the host | `smtpd-std` is made for that; its `WouldBlock` is unknown here and has to become `TimedOut` |
//!
//! # What is the caller's
//! - **To listen and accept.** `embedded-io` knows no listeners: call again for each client, with a new session.
//! - **To close.** All that was said is written and flushed by then, so close; `embedded-io` knows no half-close. Over
//!   TCP, where octets that were not read make a reset of the close, shut down writing, read and throw away until the
//!   end, 64 KiB or 1 s, and only then close: a reset must not overtake the last reply.
//! - **The clock**, a [`Timer`] or [`AsyncTimer`]. How long who may take is in the session's
//!   [`Timers`](smtpd_core::server::Timers).
//! - **STARTTLS**: not here. A session that announces it all the same ends with
//!   [`Ending::Fault`](smtpd_core::server::Ending::Fault) when a client asks for it.
//!
//! Of the functions here, none can panic, but for what the compiler builds into every async function: a future must not
//! be polled again after it was ready. None allocates.
//!
//! | module | what it knows |
//! |---|---|
//! | `client` | a turn of the blocking loops: step, write, read, look at the clock |
//! | `blocking`, `relay` | the blocking loops |
//! | `async_link` | octets out and in, raced against the clock |
//! | `asynchronous`, `plain` | the async loop, and how it asks each kind of handler |
//! | `timer`, `polled` | the caller's clock; I/O made to come back |
//!
//! # Features
//! `async`, on by default: the functions over embedded-io-async. `defmt`: as [`smtpd_core`]'s, and defmt's `Format` for the
//! types here and the errors of embedded-io. What is on in [`smtpd_core`] beyond that is for the firmware to say.
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
