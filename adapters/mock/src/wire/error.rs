//! Why an end can't go on, and what that is called by each trait.

use core::fmt;

use embedded_io::ErrorKind;

/// Why an end can't go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WireError {
    /// Nothing can be read or written now, and the end does not block.
    WouldBlock,
    /// The end's own time for a read or write is over.
    TimedOut,
    /// The connection was reset.
    Reset,
    /// Writing was closed, or the other end is gone.
    BrokenPipe,
    /// It would wait for ever: the other end waits too, or nothing acts there.
    Stuck,
}

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::WouldBlock => "nothing can be read or written now",
            Self::TimedOut => "the time for it is over",
            Self::Reset => "the connection was reset",
            Self::BrokenPipe => "nobody reads at the other end",
            Self::Stuck => "it would wait for ever",
        })
    }
}

impl core::error::Error for WireError {}

impl embedded_io::Error for WireError {
    fn kind(&self) -> ErrorKind {
        match self {
            // embedded_io knows no reads that do not block.
            Self::WouldBlock | Self::TimedOut => ErrorKind::TimedOut,
            // Not a timeout, which may be tried again: that would be for ever.
            Self::Stuck => ErrorKind::Other,
            Self::Reset => ErrorKind::ConnectionReset,
            Self::BrokenPipe => ErrorKind::BrokenPipe,
        }
    }
}

#[cfg(feature = "std")]
impl From<WireError> for std::io::Error {
    fn from(error: WireError) -> Self {
        use std::io::ErrorKind;
        let kind = match error {
            WireError::WouldBlock => ErrorKind::WouldBlock,
            WireError::TimedOut => ErrorKind::TimedOut,
            WireError::Stuck => ErrorKind::Other,
            WireError::Reset => ErrorKind::ConnectionReset,
            WireError::BrokenPipe => ErrorKind::BrokenPipe,
        };
        Self::new(kind, error)
    }
}
