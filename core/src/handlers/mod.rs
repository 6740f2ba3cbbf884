//! Handlers ready to use, and the parts of them that others can use alone.

pub mod debugging;
