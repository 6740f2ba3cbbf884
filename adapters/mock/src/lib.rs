#![doc = include_str!("../README.md")]
#![cfg_attr(not(feature = "std"), no_std)]
#![forbid(unsafe_code)]

extern crate alloc;

mod actor;
mod calls;
mod clock;
mod explore;
mod meet;
mod memory;
mod mismatch;
mod notes;
mod octets;
mod parse;
mod part;
mod pattern;
mod play;
mod player;
#[cfg(feature = "std")]
mod port;
mod script;
mod settings;
mod shared;
mod shrink;
mod variants;
mod wire;
mod witness;

pub use actor::Actor;
pub use clock::{Clock, Sleep};
pub use explore::{Bounds, Failure, Found, explore};
pub use meet::{Links, serve_all};
pub use memory::{End, Memory};
pub use mismatch::Mismatch;
pub use notes::Notes;
pub use octets::{escape, unescape};
pub use parse::ParseError;
pub use pattern::{Piece, Said};
pub use play::{Connection, Driver, Played, Received, play};
#[cfg(feature = "std")]
pub use port::{Listening, listen};
pub use script::{Act, Call, Entry, Mode, Reads, Response, Script, Side, What};
pub use shared::Owned;
pub use wire::{Damage, Link, Pieces, Wire, WireError};
pub use witness::Witness;
