//! The client's side: a session that sends commands, streams text and maps each reply to its command.

mod order;
mod session;

pub use order::Command;
pub use session::{Error, Event, Session};
