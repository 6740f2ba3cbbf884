//! Handlers that are ready to use, on devices and hosts alike.

pub mod debugging;
mod message;

pub use message::{Message, Recipients};
