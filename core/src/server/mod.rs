//! The server's side: in which order things may come, the session that knows both octets and order, and the
//! handler that it asks.

mod ask;
mod async_handler;
mod config;
mod due;
mod event;
mod extensions;
mod handler;
mod line;
mod order;
mod output;
mod parameters;
#[cfg(feature = "python")]
pub mod python;
mod session;
mod step;
mod text;
mod texts;
mod watch;

pub use async_handler::AsyncHandler;
pub use config::{Commands, Config, Limits, Timers};
pub use event::{Answer, Body, Ending, Event, Flow, Hello, Mail, Patience, Peer, Rcpt, Tls, Verify};
pub use extensions::Extensions;
pub use handler::Handler;
pub use order::{Order, Question, State};
#[cfg(feature = "python")]
pub use python::Dialect;
pub use session::Session;
pub use step::{Progress, step};
pub use texts::Texts;
pub use watch::Watch;

pub use crate::wire::Reply;
