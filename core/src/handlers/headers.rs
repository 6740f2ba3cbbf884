//! The header of a message, field by field, while its text streams by (RFC 5322 §2.2).
//!
//! It knows where fields begin and end, not what they say.

use heapless::{Vec, VecView};

/// Finds the header fields of a text and unfolds them, without keeping the text: a part for handlers, which hand it what
/// they get.
///
/// `N` octets hold one field, its name and its value together; of a longer one it gives what fits, and says so. Lines end with
/// CRLF or a bare LF; a bare CR is part of its line. What is no field (mbox's `From `, a line without a colon) is left
/// out with the lines that continue it. Nothing behind the first empty line is a field. However the text is cut, the fields
/// are the same.
///
/// ```
/// use smtpd_core::handlers::Headers;
/// let mut headers = Headers::<128>::new();
/// let mut subject = Vec::new();
/// for octets in [&b"From: a@b.example\r\nSub"[..], b"ject: led\r\n", b" on\r\n\r\nSubject: none\r\n"] {
///     headers.text(octets, |field| {
///         if field.name.eq_ignore_ascii_case(b"Subject") && !field.is_cut {
///             subject.extend_from_slice(field.value);
///         }
///     });
/// }
/// headers.end(|_| {});
/// assert_eq!(subject, b"led on");
/// ```
#[derive(Debug)]
pub struct Headers<const N: usize> {
    reader: Reader,
    buffer: Vec<u8, N>,
}

/// A header field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Field<'f> {
    /// What stands before the colon, in the letters that were sent: names are equal in any letter case.
    pub name: &'f [u8],
    /// What stands behind it: unfolded, without white space at both ends.
    pub value: &'f [u8],
    /// Whether there was more than the buffer holds; if `value` is empty then, `name` may be cut too.
    pub is_cut: bool,
}

impl<const N: usize> Headers<N> {
    /// At the beginning of a text. Does not compile without room for an octet.
    #[must_use]
    pub const fn new() -> Self {
        const { assert!(N > 0, "a field has a name") };
        Self { reader: Reader::NEW, buffer: Vec::new() }
    }

    /// A new text begins.
    pub fn clear(&mut self) {
        self.reader = Reader::NEW;
        self.buffer.clear();
    }

    /// The next octets of the text; calls `field` with each field that they complete. Returns at once when the header is over.
    pub fn text(&mut self, octets: &[u8], mut field: impl FnMut(Field<'_>)) {
        self.reader.text(&mut self.buffer, octets, &mut field);
    }

    /// The text is over, and with it a header that no body follows.
    pub fn end(&mut self, mut field: impl FnMut(Field<'_>)) {
        self.reader.end(&mut self.buffer, &mut field);
    }
}

impl<const N: usize> Default for Headers<N> {
    fn default() -> Self {
        Self::new()
    }
}

/// Where in a header the text stands; what it has of a field lies in the buffer, the name first.
#[derive(Debug)]
struct Reader {
    at: At,
    /// A CR is held back: it may be half of a line end.
    is_cr: bool,
    is_cut: bool,
    /// How many octets the name has, once its colon came.
    name: Option<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    /// At the start of a line: it may continue the field that is in the buffer.
    Start,
    /// Within a name.
    Name,
    /// Behind a name and white space: only a colon may come (RFC 5322 §4.5.8).
    Colon,
    /// Behind the colon.
    Value,
    /// Within a line that belongs to no field.
    Junk,
    /// Behind the header.
    Over,
}

impl Reader {
    const NEW: Self = Self { at: At::Start, is_cr: false, is_cut: false, name: None };

    fn text(&mut self, buffer: &mut VecView<u8>, octets: &[u8], field: &mut dyn FnMut(Field<'_>)) {
        for octet in octets {
            if self.at == At::Over {
                return;
            }
            let is_cr = core::mem::replace(&mut self.is_cr, *octet == b'\r');
            if *octet == b'\n' {
                self.line_end(buffer, field);
                continue;
            }
            if is_cr {
                self.octet(buffer, b'\r', field);
            }
            if !self.is_cr {
                self.octet(buffer, *octet, field);
            }
        }
    }

    fn end(&mut self, buffer: &mut VecView<u8>, field: &mut dyn FnMut(Field<'_>)) {
        if self.is_cr {
            self.octet(buffer, b'\r', field);
        }
        self.give(buffer, field);
        self.at = At::Over;
    }

    fn line_end(&mut self, buffer: &mut VecView<u8>, field: &mut dyn FnMut(Field<'_>)) {
        if self.at == At::Start {
            self.give(buffer, field);
            self.at = At::Over;
            return;
        }
        // Only a field may be continued.
        if self.name.is_none() {
            self.forget(buffer);
        }
        self.at = At::Start;
    }

    fn octet(&mut self, buffer: &mut VecView<u8>, octet: u8, field: &mut dyn FnMut(Field<'_>)) {
        let is_space = is_space(octet);
        if self.at == At::Start {
            if !is_space {
                self.give(buffer, field);
            }
            self.at = match self.name {
                Some(_) => At::Value,
                None => At::Name,
            };
        }
        match self.at {
            At::Name | At::Colon if octet == b':' && !buffer.is_empty() => {
                self.name = Some(buffer.len());
                self.at = At::Value;
            }
            At::Name | At::Colon if is_space && !buffer.is_empty() => self.at = At::Colon,
            At::Name if is_ftext(octet) => self.push(buffer, octet),
            At::Name | At::Colon => self.at = At::Junk,
            // What stands at the beginning of a value takes no room.
            At::Value if is_space && self.name == Some(buffer.len()) => {}
            At::Value => self.push(buffer, octet),
            At::Start | At::Junk | At::Over => {}
        }
    }

    fn push(&mut self, buffer: &mut VecView<u8>, octet: u8) {
        // White space alone is no loss: it may stand at the end.
        if buffer.push(octet).is_err() && !is_space(octet) {
            self.is_cut = true;
        }
    }

    /// The field in the buffer is complete, if there is one.
    fn give(&mut self, buffer: &mut VecView<u8>, field: &mut dyn FnMut(Field<'_>)) {
        if let Some((name, mut value)) = self.name.and_then(|name| buffer.split_at_checked(name)) {
            while let [rest @ .., last] = value
                && is_space(*last)
            {
                value = rest;
            }
            field(Field { name, value, is_cut: self.is_cut });
        }
        self.forget(buffer);
    }

    fn forget(&mut self, buffer: &mut VecView<u8>) {
        buffer.clear();
        self.name = None;
        self.is_cut = false;
    }
}

/// White space (RFC 5322 §2.2.2).
pub(super) const fn is_space(octet: u8) -> bool {
    matches!(octet, b' ' | b'\t')
}

/// What names are made of (RFC 5322 §3.6.8).
const fn is_ftext(octet: u8) -> bool {
    matches!(octet, b'!'..=b'~') && octet != b':'
}
