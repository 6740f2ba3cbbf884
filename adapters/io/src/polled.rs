//! I/O that blocks, made to come back.

use embedded_io::{Error, ErrorKind, ErrorType, Read, ReadReady, Write, WriteReady};

/// I/O that never blocks: where it is not ready, it fails with `TimedOut` at once, so that [`serve`](crate::serve) can
/// keep the session's times and [`serve_relay`](crate::serve_relay) can look after the other ends.
#[derive(Clone, Copy, Debug, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Polled<T>(pub T);

/// What [`Polled`] fails with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum PolledError<E> {
    /// Not ready; its kind is `TimedOut`.
    NotReady,
    /// The I/O's own error.
    Io(E),
}

impl<E: Error> core::fmt::Display for PolledError<E> {
    fn fmt(&self, to: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::NotReady => to.write_str("not ready"),
            Self::Io(error) => core::fmt::Display::fmt(error, to),
        }
    }
}

impl<E: Error> core::error::Error for PolledError<E> {}

impl<E: Error> Error for PolledError<E> {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::NotReady => ErrorKind::TimedOut,
            Self::Io(error) => error.kind(),
        }
    }
}

impl<T: ErrorType> ErrorType for Polled<T> {
    type Error = PolledError<T::Error>;
}

impl<T: Read + ReadReady> Read for Polled<T> {
    fn read(&mut self, octets: &mut [u8]) -> Result<usize, Self::Error> {
        match self.0.read_ready() {
            Ok(true) => self.0.read(octets).map_err(PolledError::Io),
            Ok(false) => Err(PolledError::NotReady),
            Err(error) => Err(PolledError::Io(error)),
        }
    }
}

impl<T: Write + WriteReady> Write for Polled<T> {
    fn write(&mut self, octets: &[u8]) -> Result<usize, Self::Error> {
        match self.0.write_ready() {
            Ok(true) => self.0.write(octets).map_err(PolledError::Io),
            Ok(false) => Err(PolledError::NotReady),
            Err(error) => Err(PolledError::Io(error)),
        }
    }

    /// Blocks as long as the I/O's own does.
    fn flush(&mut self) -> Result<(), Self::Error> {
        self.0.flush().map_err(PolledError::Io)
    }
}
