//! Handlers that are ready to use, on devices and hosts alike.

pub mod debugging;
mod fault;
mod head;
mod headers;
mod lists;
mod message;
mod passage;
mod pure_proxy;
mod rule;
mod sink;
pub mod spool;
mod trace;
mod unimplemented;

pub use fault::Fault;
pub use head::{Head, Part};
pub use headers::{Field, Headers};
pub use lists::{Found, Lists};
pub use message::{Message, Recipients};
pub use pure_proxy::PureProxy;
pub use rule::{At, Rule};
pub use sink::Sink;
pub use unimplemented::Unimplemented;
