//! The host server.
