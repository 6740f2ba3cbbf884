//! Envelope: reads what stands before the text of a stored message.

use super::{Error, Id, Store};

/// Reads the envelope of a stored message, path by path.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Envelope {
    id: Id,
    offset: u32,
    is_over: bool,
}

impl Envelope {
    /// Octets of the longest line: a path (RFC 5321 §4.5.3.1.3) and CRLF.
    pub const LINE: usize = 258;

    /// Before the reverse-path.
    #[must_use]
    pub const fn new(id: Id) -> Self {
        Self { id, offset: 0, is_over: false }
    }

    /// The next path, without angle brackets: first the reverse-path, which may be empty, then each recipient; none behind
    /// the last one. `line` has room for [`LINE`](Self::LINE) octets.
    ///
    /// # Errors
    /// Those of [`Store::read`]; [`Error::Broken`] too if what is there is no envelope, [`Error::TooBig`] if the line has no
    /// room for a path, as those of a Python dialect may be longer.
    pub fn next<'l>(
        &mut self,
        store: &mut (impl Store + ?Sized),
        line: &'l mut [u8],
    ) -> Result<Option<&'l [u8]>, Error> {
        if self.is_over {
            return Ok(None);
        }
        let length = store.read(self.id, self.offset, line)?;
        let is_full = length == line.len();
        let read = line.get(..length).unwrap_or_default();
        let Some(end) = read.iter().position(|octet| *octet == b'\n') else {
            return Err(if is_full { Error::TooBig } else { Error::Broken });
        };
        let behind = u32::try_from(end).unwrap_or(u32::MAX).saturating_add(1);
        self.offset = self.offset.saturating_add(behind);
        match read.get(..end) {
            Some([b'\r']) => {
                self.is_over = true;
                Ok(None)
            }
            Some([b'<', path @ .., b'>', b'\r']) => Ok(Some(path)),
            _ => Err(Error::Broken),
        }
    }

    /// Where the next path begins, or the text once `next` gave none.
    #[must_use]
    pub const fn offset(&self) -> u32 {
        self.offset
    }
}
