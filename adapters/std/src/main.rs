//! The command `smtpd`.
fn main() {}
