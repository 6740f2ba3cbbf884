//! Handlers that are ready to use, on devices and hosts alike.

mod message;

pub use message::{Message, Recipients};
