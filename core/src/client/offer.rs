//! What the server offered (RFC 5321 §4.1.1.1).

use crate::server::Extensions;
use crate::wire::number;

/// The extensions that are known here, and the value of SIZE.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Offer {
    pub(crate) extensions: Extensions,
    /// Octets of the greatest message (RFC 1870); 0: no limit, or none that it names.
    pub(crate) size: u32,
}

impl Offer {
    pub(crate) const NONE: Self = Self { extensions: Extensions::NONE, size: 0 };

    /// A line of EHLO's reply: `SIZE 1000`.
    pub(crate) fn read(&mut self, line: &[u8]) {
        let mut words = line.split(|octet| *octet == b' ');
        let extension = words.next().map_or(Extensions::NONE, Extensions::from_keyword);
        self.extensions = self.extensions.with(extension);
        if extension == Extensions::SIZE {
            self.size = words.next().and_then(number).unwrap_or(0);
        }
    }

    /// Whether a parameter of MAIL may be sent: not those of extensions that the server does not have.
    pub(crate) fn allows(self, parameter: &[u8]) -> bool {
        let extension = match crate::wire::cut(parameter, b'=').0 {
            keyword if crate::wire::same(keyword, b"SIZE") => Extensions::SIZE,
            keyword if crate::wire::same(keyword, b"BODY") => Extensions::EIGHTBITMIME,
            _ => return true,
        };
        self.extensions.contains(extension)
    }
}
