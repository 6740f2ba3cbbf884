//! The header section of a message as a whole, while its text streams by (RFC 5322 §2.1): where it ends, so that fields can be
//! added there, and what a relay has to know of it.
//!
//! It knows no field but two, and keeps none; [`Headers`](super::Headers) does, octet by octet and with a buffer.

use super::headers::is_space;
use crate::wire::line_end;

/// Passes a text on and says where its header section ends, a place for more fields; counts `Received` and looks for
/// `Message-ID` on the way. For handlers that relay.
///
/// The header section ends before the first empty line, as it did for Python's proxies: what is no field (a line without a
/// colon) doesn't end it. A text that begins with an empty line has an empty header section. Without an empty line the end of
/// the text is its end too. Lines end with CRLF, a bare LF or a bare CR, for a client's session makes CRLF of each: where the
/// next server sees an empty line, one is seen here. However the text is cut, the place is the same, and nothing of the text is
/// changed.
///
/// 1. Hand each piece of the text to [`Head::next`] until it says nothing: the parts go on in this order. They are what came.
/// 2. Then [`Head::end`], until it says nothing, when the text is over.
/// 3. [`Part::End`] comes exactly once. A field that is written there needs a line end of its own, CRLF.
///
/// ```
/// use smtpd_core::handlers::{Head, Part};
/// let mut head = Head::new();
/// let mut relayed = Vec::new();
/// for mut octets in [&b"received: by a.example\r\nSubject: x\r\n\r"[..], b"\nText\r\n"] {
///     while let Some(part) = head.next(&mut octets) {
///         match part {
///             Part::Octets(octets) => relayed.extend_from_slice(octets),
///             Part::End => relayed.extend_from_slice(b"X-Peer: 192.0.2.1\r\n"),
///         }
///     }
/// }
/// assert_eq!(head.end(), None);
/// assert_eq!(relayed, b"received: by a.example\r\nSubject: x\r\nX-Peer: 192.0.2.1\r\n\r\nText\r\n");
/// assert_eq!((head.received(), head.has_message_id()), (1, false));
/// ```
#[derive(Clone, Debug, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Head {
    at: At,
    received: u8,
    has_message_id: bool,
}

/// A part of a text that is passed on.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part<'t> {
    /// Octets of the text; never empty.
    Octets(&'t [u8]),
    /// The header section ends here, at the start of a line: the place for more fields.
    End,
}

/// Where the text stands; all but the last are within the header section.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
enum At {
    /// At the start of a line.
    #[default]
    Start,
    /// Behind a CR that ended a line: an LF is its other half.
    Cr,
    /// So many octets of a name are there, and then white space perhaps.
    Name(Known, u8),
    /// Within a line of which nothing matters but its end.
    Line,
    /// Behind the header section.
    Behind,
}

/// The fields that are looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
enum Known {
    Received,
    MessageId,
}

impl Head {
    /// At the beginning of a text.
    #[must_use]
    pub const fn new() -> Self {
        Self { at: At::Start, received: 0, has_message_id: false }
    }

    /// The next part of the text, taken off `octets`; nothing when they are all used up.
    // The rule without what the header takes.
    #[inline]
    pub fn next<'t>(&mut self, octets: &mut &'t [u8]) -> Option<Part<'t>> {
        if self.at == At::Behind {
            let octets = core::mem::take(octets);
            return (!octets.is_empty()).then_some(Part::Octets(octets));
        }
        self.next_of_header(octets)
    }

    /// The text is over: what is left of it, if anything is. Of a text without an empty line that is [`Part::End`], and before it
    /// a line end if the last line has none.
    pub fn end(&mut self) -> Option<Part<'static>> {
        let (at, part) = match self.at {
            At::Start | At::Cr => (At::Behind, Part::End),
            At::Name(..) | At::Line => (At::Start, Part::Octets(b"\r\n".as_slice())),
            At::Behind => return None,
        };
        self.at = at;
        Some(part)
    }

    /// How many `Received` fields there were so far; 255 stands for more too. Each relay adds one, so that about 100 of them are a
    /// mail that goes round in a circle (RFC 5321 §6.3).
    #[must_use]
    pub const fn received(&self) -> u8 {
        self.received
    }

    /// Whether there was a `Message-ID` field so far.
    #[must_use]
    pub const fn has_message_id(&self) -> bool {
        self.has_message_id
    }

    #[inline(never)]
    fn next_of_header<'t>(&mut self, octets: &mut &'t [u8]) -> Option<Part<'t>> {
        octets.first()?;
        let rest = self.scan(octets);
        let all = core::mem::replace(octets, rest);
        match all.get(..all.len().wrapping_sub(rest.len())) {
            Some(before @ [_, ..]) => Some(Part::Octets(before)),
            _ => {
                self.at = At::Behind;
                Some(Part::End)
            }
        }
    }

    /// What is left where an empty line begins; nothing if none does.
    fn scan<'t>(&mut self, octets: &'t [u8]) -> &'t [u8] {
        let mut rest = octets;
        loop {
            (self.at, rest) = match (self.at, rest) {
                (_, []) | (At::Start, [b'\r' | b'\n', ..]) => return rest,
                (At::Cr, [b'\n', behind @ ..]) => (At::Start, behind),
                (At::Cr, _) => (At::Start, rest),
                (At::Start, [b'r' | b'R', ..]) => (At::Name(Known::Received, 0), rest),
                (At::Start, [b'm' | b'M', ..]) => (At::Name(Known::MessageId, 0), rest),
                (At::Name(known, count), [octet, behind @ ..]) => match self.name(known, count, *octet) {
                    At::Line => (At::Line, rest),
                    at => (at, behind),
                },
                (_, _) => match line_end(rest).and_then(|at| rest.get(at..)) {
                    Some([b'\r', behind @ ..]) => (At::Cr, behind),
                    Some([_, behind @ ..]) => (At::Start, behind),
                    Some([]) | None => (At::Line, b"".as_slice()),
                },
            };
        }
    }

    /// An octet behind `count` octets of a name.
    fn name(&mut self, known: Known, count: u8, octet: u8) -> At {
        let letters: &[u8] = match known {
            Known::Received => b"received",
            Known::MessageId => b"message-id",
        };
        match letters.get(usize::from(count)) {
            Some(letter) if *letter == octet.to_ascii_lowercase() => At::Name(known, count.wrapping_add(1)),
            // RFC 5322 §4.5.8: white space before the colon.
            None if is_space(octet) => At::Name(known, count),
            None if octet == b':' => {
                match known {
                    Known::Received => self.received = self.received.saturating_add(1),
                    Known::MessageId => self.has_message_id = true,
                }
                At::Line
            }
            _ => At::Line,
        }
    }
}
