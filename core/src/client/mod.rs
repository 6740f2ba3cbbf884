//! The client's side: a session that sends commands, streams text and maps each reply to its command.

mod error;
mod offer;
mod order;
mod outbox;
mod session;
mod timers;

pub use error::Error;
pub use order::Command;
pub use session::{Event, Session};
pub use timers::Timers;
