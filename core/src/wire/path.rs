//! Reverse-path and forward-path (RFC 5321 §4.1.2, §4.1.3).
