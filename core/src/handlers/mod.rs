//! Handlers that are ready to use, on devices and hosts alike.

mod beginning;
pub mod debugging;
mod deliveries;
mod fault;
mod head;
mod headers;
mod lists;
#[cfg(feature = "lmtp")]
mod mailman_proxy;
mod message;
mod passage;
mod pure_proxy;
mod rule;
mod sink;
pub mod spool;
mod trace;
mod unimplemented;

pub use deliveries::{Deliveries, End};
pub use fault::Fault;
pub use head::{Head, Part};
pub use headers::{Field, Headers};
pub use lists::{Found, Lists};
#[cfg(feature = "lmtp")]
pub use mailman_proxy::MailmanProxy;
pub use message::{Message, Recipients};
pub use pure_proxy::PureProxy;
pub use rule::{At, Rule};
pub use sink::Sink;
pub use unimplemented::Unimplemented;
