//! Octets and grammar (RFC 5321 §4.1, §4.2, §4.5.2): what a line or a text says, never whether it may come now.

pub mod path;
pub mod params;
pub mod text;
