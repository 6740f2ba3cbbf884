//! Where a Mailman on this machine takes mail, and for which addresses: Mailman 3 (`maps` and what it is made of), Mailman 2
//! (`mailman2` and the rest).

mod delivery;
mod folder;
mod mailman2;
mod maps;
mod mbox;
mod names;
mod table;
mod target;
mod watched;
mod wrapper;

pub use mailman2::Mailman2;
pub use maps::Maps;
pub use wrapper::Wrapper;
