//! The output: replies that wait to be sent, and answers of many lines that wait for room.

use super::{Config, Extensions};
use crate::store::Store;
use crate::wire::{MAX_REPLY, Reply, put, put_printable};

/// Octets to send. They are never moved: `sent` counts what is gone, and the storage starts anew when all is.
#[derive(Debug)]
pub(crate) struct Output<O> {
    store: O,
    sent: usize,
}

impl<O: Store> Output<O> {
    pub(crate) const fn new(store: O) -> Self {
        Self { store, sent: 0 }
    }

    /// Whether the longest reply fits.
    pub(crate) fn has_room(&self) -> bool {
        self.store.room() >= MAX_REPLY
    }

    pub(crate) fn octets(&self) -> &[u8] {
        self.store.octets().get(self.sent..).unwrap_or(b"")
    }

    /// `count` octets were sent; true when that were all.
    pub(crate) fn sent(&mut self, count: usize) -> bool {
        self.sent = self.sent.saturating_add(count);
        if self.sent < self.store.octets().len() {
            return false;
        }
        self.clear();
        true
    }

    pub(crate) fn clear(&mut self) {
        self.store.release();
        self.sent = 0;
    }

    #[inline(never)]
    pub(crate) fn reply(&mut self, reply: &Reply<'_>, config: &Config<'_>) {
        reply.write(self.store.view(), sends_enhanced(config));
    }

    /// A line that was written before, such as a refusal that waited for the end of its text.
    pub(crate) fn octets_of_reply(&mut self, octets: &[u8]) {
        put(self.store.view(), octets);
    }

    /// `220 host text`, or the first line of the answer to HELO and EHLO: `250 host`, `250-host text`.
    pub(crate) fn greeting(&mut self, head: &[u8; 4], host: &str, text: &[u8]) {
        let out = self.store.view();
        put(out, head);
        put_printable(out, host.as_bytes(), 255);
        if !text.is_empty() {
            put(out, b" ");
        }
        // The text is for people and may be cut.
        put_printable(out, text, 200);
        put(out, b"\r\n");
    }

    /// A line of EHLO's answer: `250-SIZE 1000`.
    pub(crate) fn keyword(&mut self, extension: Extensions, is_last: bool, size: u32) {
        let out = self.store.view();
        put(out, if is_last { b"250 " } else { b"250-" });
        put(out, extension.keyword().as_bytes());
        if extension == Extensions::SIZE {
            // 0 says that there is no limit (RFC 1870 §3).
            put(out, b" ");
            let (digits, len) = decimal(size);
            put(out, digits.get(len..).unwrap_or(b""));
        }
        put(out, b"\r\n");
    }
}

/// Whether enhanced codes are sent (RFC 2034 §3).
pub(crate) fn sends_enhanced(config: &Config<'_>) -> bool {
    // Python's own words have none; what a handler says goes out as it is.
    #[cfg(feature = "python")]
    if config.is_python() {
        return true;
    }
    #[cfg(feature = "enhanced")]
    return config.extensions.contains(Extensions::ENHANCEDSTATUSCODES);
    #[cfg(not(feature = "enhanced"))]
    {
        let _ = config;
        false
    }
}

/// The digits of a number, at the end of the array, and where they begin.
fn decimal(mut number: u32) -> ([u8; 10], usize) {
    let mut digits = [b'0'; 10];
    let mut start = digits.len();
    for (at, digit) in digits.iter_mut().enumerate().rev() {
        *digit = b'0'.wrapping_add((number % 10) as u8);
        number /= 10;
        start = at;
        if number == 0 {
            break;
        }
    }
    (digits, start)
}
