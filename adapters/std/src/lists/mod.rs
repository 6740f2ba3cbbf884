//! Where a Mailman on this machine takes mail, and for which addresses.

mod maps;
mod names;
mod table;
mod target;
mod watched;

pub use maps::Maps;
