//! The dot codec of the text (RFC 5321 §4.5.2).
