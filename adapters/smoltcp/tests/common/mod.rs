//! Stacks in memory, for the tests here and for ../../../tests/shape.

#![allow(dead_code, unreachable_pub)]

pub mod cable;
pub mod client;
pub mod frames;
pub mod mails;
pub mod notes;
pub mod stack;
pub mod world;
