//! What went wrong.

/// Why a command can't be given, or what the server did wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Error {
    /// The output has no room for the command now: send first.
    Full,
    /// The command may not come now.
    OutOfOrder,
    /// A name, path or parameter holds octets that no command may hold.
    Octets,
    /// The server sent what is not a reply, or one without end (RFC 5321 §4.2).
    NotSmtp,
    /// The server sent a reply that nothing asked for, or before it was asked for.
    Unasked,
    /// The server said yes where only "go on" (354) has a place, or the other way round: what it expects now is not known.
    Misplaced,
}

impl core::fmt::Display for Error {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Full => "the output has no room for the command",
            Self::OutOfOrder => "the command may not come now",
            Self::Octets => "the command holds octets that no command may hold",
            Self::NotSmtp => "the server sent what is not a reply",
            Self::Unasked => "the server sent a reply that nothing asked for",
            Self::Misplaced => "the server sent a reply that has no place behind its command",
        })
    }
}

impl core::error::Error for Error {}
