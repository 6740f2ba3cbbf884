//! Handlers that are ready to use, on devices and hosts alike.

pub mod debugging;
mod fault;
mod headers;
mod lists;
mod message;
mod rule;
mod sink;
pub mod spool;
mod unimplemented;

pub use fault::Fault;
pub use headers::{Field, Headers};
pub use lists::{Found, Lists};
pub use message::{Message, Recipients};
pub use rule::{At, Rule};
pub use sink::Sink;
pub use unimplemented::Unimplemented;
