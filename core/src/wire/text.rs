//! The dot codec of the text (RFC 5321 §4.5.2): where a text ends and which dots were added for the way.
//!
//! It knows nothing of sizes, headers or policies for bare CR and LF. The end is decided on the octets as they came:
//! whoever repairs line endings first and looks for the end then can be made to see two mails where there is one
//! ("SMTP smuggling").
use heapless::VecView;

/// Takes the dots off a text and finds its end (RFC 5321 §4.5.2).
///
/// The text ends at CRLF `.` CRLF, or at `.` CRLF straight after the reply 354, and at nothing else: bare CR and bare
/// LF are text and come out unchanged. The CRLF before the last dot belongs to the text. One dot at the start of a
/// line is taken away when anything but CRLF follows it.
///
/// 1. Make a decoder after 354: it stands at the start of a line.
/// 2. Call [`next`](Decoder::next) until it says [`Piece::Starved`], then come back with more input or more room.
/// 3. After [`Piece::End`] the input begins with the next command, and the decoder is as new.
///
/// However the input is cut, the texts together and the place of the end are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decoder {
    at: At,
}

/// What [`Decoder::next`] found.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece<'i> {
    /// Octets of text, never empty, as many in one slice as lie together.
    Text(&'i [u8]),
    /// The text is complete; the final dot and its CRLF are consumed (RFC 5321 §4.1.1.4).
    End,
    /// Nothing more can be said: the input is empty, or the next octet is text and there is no room for it.
    Starved,
}

/// Where the decoder stands: what the octets before the next one were.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    /// At the start of a line.
    Start,
    /// Inside a line.
    Line,
    /// Behind a CR that is text already; an LF makes it the end of the line.
    Cr,
    /// Behind a dot at the start of a line, which is text in no case.
    Dot,
    /// Behind such a dot and a CR; that CR is held back, for it may be part of the end.
    DotCr,
}

impl Decoder {
    /// A decoder as it is after 354: at the start of a line, so that `.` CRLF at once is an empty text.
    pub const fn new() -> Self {
        Self { at: At::Start }
    }

    /// Takes what it can off `input`: a piece of text of at most `room` octets, or the end.
    ///
    /// Room 0 stops text only; the end is still seen. `Starved` leaves input behind only when `room` is 0. A text
    /// borrows the input, or is the one CR that was held back behind a dot.
    pub fn next<'i>(&mut self, input: &mut &'i [u8], room: usize) -> Piece<'i> {
        if self.at == At::Start && took(input, b'.') {
            self.at = At::Dot;
        }
        if self.at == At::Dot {
            // An input that stops here says nothing about the dot yet.
            if input.is_empty() {
                return Piece::Starved;
            }
            self.at = if took(input, b'\r') { At::DotCr } else { At::Line };
        }
        if self.at == At::DotCr {
            if took(input, b'\n') {
                self.at = At::Start;
                return Piece::End;
            }
            if input.is_empty() || room == 0 {
                return Piece::Starved;
            }
            self.at = At::Cr;
            return Piece::Text(b"\r");
        }
        self.text(input, room)
    }

    /// The text up to the next dot at the start of a line; there is none at the start of `input`.
    fn text<'i>(&mut self, input: &mut &'i [u8], room: usize) -> Piece<'i> {
        let open = input.get(..room).unwrap_or(input);
        let length =
            if self.at == At::Cr && open.starts_with(b"\n.") { 1 } else { before_dot(open).unwrap_or(open.len()) };
        let Some((text, rest)) = input.split_at_checked(length) else {
            return Piece::Starved;
        };
        self.at = match text {
            [] => return Piece::Starved,
            [b'\n'] if self.at == At::Cr => At::Start,
            [.., b'\r', b'\n'] => At::Start,
            [.., b'\r'] => At::Cr,
            _ => At::Line,
        };
        *input = rest;
        Piece::Text(text)
    }
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new()
    }
}

/// Takes `octet` off the input if it comes next.
fn took(input: &mut &[u8], octet: u8) -> bool {
    match input.split_first() {
        Some((first, rest)) if *first == octet => {
            *input = rest;
            true
        }
        _ => false,
    }
}

/// A line's end and a dot behind it: the only place where a text needs more than copying.
const MARK: &[u8] = b"\r\n.";

/// Octets looked at in one go. The compiler makes 12 vectors of 16 octets of it, so that its loop costs little for each.
const BLOCK: usize = 192;

/// Octets searched before the blocks: a text of short lines with dots would pay for a block each.
const HEAD: usize = 24;

/// The octets up to and with the first CRLF that has a dot behind it.
fn before_dot(text: &[u8]) -> Option<usize> {
    // Blocks pay only where the compiler has vectors, and not for short lines; elsewhere they would cost flash and time.
    if cfg!(any(target_feature = "sse2", target_feature = "neon", target_feature = "simd128")) {
        match text.get(..HEAD) {
            Some(head) => before_dot_by_thirds(head).or_else(|| before_dot_by_blocks(text)),
            None => before_dot_by_thirds(text),
        }
    } else {
        before_dot_by_thirds(text)
    }
}

/// Looks at every third octet: each mark lies on exactly one of them. Most octets are letters, above the three of the
/// mark, so that three octets cost one comparison.
fn before_dot_by_thirds(text: &[u8]) -> Option<usize> {
    let mut at: usize = 2;
    while let Some(octet) = text.get(at) {
        let start = match octet {
            b'.' => at.wrapping_sub(2),
            b'\n' => at.wrapping_sub(1),
            b'\r' => at,
            _ => usize::MAX,
        };
        if *octet <= b'.' && text.get(start..).is_some_and(|rest| rest.starts_with(MARK)) {
            return Some(start.wrapping_add(2));
        }
        at = at.wrapping_add(3);
    }
    None
}

/// Passes over blocks that hold no LF with a dot behind it and looks closer at the others.
#[inline(never)]
fn before_dot_by_blocks(text: &[u8]) -> Option<usize> {
    let Some(last) = text.len().checked_sub(BLOCK.wrapping_add(1)) else {
        return before_dot_by_thirds(text);
    };
    let mut at: usize = 0;
    loop {
        let after = at.wrapping_add(1);
        let octets = text.get(at..).and_then(<[u8]>::first_chunk::<BLOCK>)?;
        let next = text.get(after..).and_then(<[u8]>::first_chunk::<BLOCK>)?;
        if is_suspicious(octets, next) {
            let cr = at.saturating_sub(1);
            let near = text.get(cr..after.wrapping_add(BLOCK))?;
            if let Some(length) = before_dot_by_thirds(near) {
                return Some(cr.wrapping_add(length));
            }
        }
        if at == last {
            return None;
        }
        // The last block laps over the one before it, so that no rest is left.
        at = at.wrapping_add(BLOCK).min(last);
    }
}

/// Whether an LF in `octets` may have a dot behind it; `next` is one octet further on.
///
/// Adding the two takes one comparison instead of two. Besides LF and dot only pairs with a control character or two
/// octets above 127 have that sum, so text hardly ever looks suspicious without reason.
fn is_suspicious(octets: &[u8; BLOCK], next: &[u8; BLOCK]) -> bool {
    // No early end: only a loop over all of it becomes vectors.
    octets.iter().zip(next).fold(false, |any, (octet, next)| any | (octet.wrapping_add(*next) == b'\n' + b'.'))
}
