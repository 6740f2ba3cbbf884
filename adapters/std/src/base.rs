//! Python's bare SMTPServer: says on the log what is missing.

use smtpd_std::{Answer, Flow, Handler, Rcpt, Unimplemented};

/// Refuses each message, and tells the owner why.
pub(crate) struct Base(pub(crate) Unimplemented);

impl Handler for Base {
    fn rcpt(&mut self, rcpt: Rcpt<'_>) -> Answer<'_> {
        self.0.rcpt(rcpt)
    }

    fn text(&mut self, octets: &[u8]) -> Flow<'_> {
        self.0.text(octets)
    }

    fn message(&mut self, recipient: u16) -> Answer<'_> {
        tracing::error!(
            "SMTPServer has no process_message: choose another class with -c, or write one (smtpd_std::process_message)"
        );
        self.0.message(recipient)
    }
}
