//! Handlers that are ready to use, on devices and hosts alike.

pub mod debugging;
mod message;
mod sink;
mod unimplemented;

pub use message::{Message, Recipients};
pub use sink::Sink;
pub use unimplemented::Unimplemented;
