//! What embassy needs of the board: its time, a place to sleep, frames. A chip that embassy knows has all of it in a crate.

mod driver;
mod executor;
mod time;

pub(crate) use driver::received;
pub use driver::{Driver, Free, Received};
pub use executor::run;
pub use time::Clock;
