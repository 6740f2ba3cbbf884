//! Spool: keeps messages on a device, in memory or in flash, until somebody takes them.
//!
//! [`Spool`] is the handler, one for each session; a [`Store`], which they share, is where messages lie: [`Ram`], or
//! `Flash` (feature `nor-flash`), where they outlive a loss of power. Whoever has room for more (a host, an SD card)
//! writes a store of his own. [`Sender`] sends on what a store keeps.
//!
//! # A stored message
//! Lines that end with CRLF: the reverse-path, each recipient in the order of its RCPT, an empty line; then the text as
//! it came. Paths stand in angle brackets, without their source route, so that none is an empty line.
//! ```text
//! <a@b.example>
//! <c@d.example>
//! <Postmaster>
//!
//! Subject: hi
//! ...
//! ```
//! [`Envelope`] reads what stands before the text and says where that begins.
//!
//! ```
//! use core::cell::RefCell;
//! use core::task::Waker;
//! use smtpd_core::handlers::spool::{Envelope, Ram, Spool, Store};
//! use smtpd_core::server::{Config, Peer, Progress, Session, step};
//! let store = RefCell::new(Ram::<16, 128>::new());
//! let config = Config::new("mx.example.org");
//! let mut session = Session::new(&config, Peer::default());
//! let mut handler = Spool::new(&store);
//! let mut input: &[u8] = b"HELO a\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\nHi\r\n.\r\n";
//! while step(&mut session, &mut input, &mut handler, Waker::noop()) == Progress::Moved {}
//!
//! let mut store = store.borrow_mut();
//! let id = store.next(None).expect("one message");
//! let (mut line, mut envelope) = ([0; Envelope::LINE], Envelope::new(id));
//! assert_eq!(envelope.next(&mut *store, &mut line), Ok(Some(&b"a@b.example"[..])));
//! assert_eq!(envelope.next(&mut *store, &mut line), Ok(Some(&b"c@d.example"[..])));
//! assert_eq!(envelope.next(&mut *store, &mut line), Ok(None));
//! let mut text = [0; 80];
//! let length = store.read(id, envelope.offset(), &mut text).unwrap();
//! assert_eq!(text[..length], *b"Hi\r\n");
//! store.remove(id).unwrap();
//! ```

mod envelope;
#[cfg(feature = "nor-flash")]
mod flash;
mod handler;
mod ram;
mod sender;
mod store;

pub use envelope::Envelope;
#[cfg(feature = "nor-flash")]
pub use flash::Flash;
pub use handler::Spool;
pub use ram::Ram;
pub use sender::{Event, Retry, Sender};
pub use store::{Error, Id, Store};
