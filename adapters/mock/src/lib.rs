//! Tests of SMTP code without a network: transcripts, and what plays them against any server.
//!
//! A [`Transcript`] is a dialogue as text: what the client sends, what the server says, what the handler hears and
//! answers. [`play`] takes the client's part, [`Actor`] the handler's; the server in between is reached by a
//! [`Driver`]. [`Memory`] is the driver without any I/O.
//!
//! ```
//! use std::sync::Arc;
//! use smtpd_core::server::{Peer, Session};
//! use smtpd_mock::{Memory, Mode, Transcript, play};
//! let transcript = Transcript::parse("hello.txt", "\
//! ## The handler may refuse a recipient
//! S: 220 mx.example.org ESMTP
//! C: HELO a.example
//! S: 250 mx.example.org
//! C: MAIL FROM:<a@a.example>
//! H: mail <a@a.example>
//! S: 250 2.1.0 OK
//! C: RCPT TO:<b@b.example>
//! H: rcpt <b@b.example> => 550 5.1.1 No such user
//! S: 550 5.1.1 No such user
//! C: QUIT
//! S: 221 2.0.0 Bye
//! H: closed Quit
//! ")?;
//! let memory = Memory::new(|config| Session::new(config, Peer::default()));
//! play(&Arc::new(transcript), &memory, 7, Mode::LockStep).unwrap();
//! # Ok::<(), smtpd_mock::ParseError>(())
//! ```
//!
//! | module | what it knows |
//! |---|---|
//! | `octets` | octets as readable text, and back |
//! | `transcript` | what a transcript is |
//! | `parse` | the text form of a transcript |
//! | `actor` | the handler's part |
//! | `play` | the client's part, and how to say what differs |
//! | `memory` | a server's end without I/O |

mod actor;
mod memory;
mod octets;
mod parse;
mod play;
mod transcript;

pub use actor::{Actor, Notes};
pub use memory::{End, Memory};
pub use octets::{escape, unescape};
pub use parse::ParseError;
pub use play::{Connection, Driver, Mismatch, Mode, Outside, play};
pub use transcript::{Act, Call, Response, Transcript};
