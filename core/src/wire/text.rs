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
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
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
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
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
        if VECTORS { self.by_lines(input, room) } else { self.by_octets(input, room) }
    }

    /// What `next` gives within a line, if that is short and a line behind it begins with a dot that hides nothing: such
    /// lines follow each other, and this is all that each of them costs. Else none, and nothing has changed.
    #[inline(always)]
    pub(crate) fn short_line<'i>(&self, input: &mut &'i [u8], room: impl FnOnce() -> usize) -> Option<&'i [u8]> {
        if !VECTORS || self.at != At::Line {
            return None;
        }
        let length = before_dot_by_thirds(input.first_chunk::<HEAD>()?)?;
        let (text, behind) = input.split_at_checked(length)?;
        match behind {
            // Again within a line.
            [b'.', rest @ ..] if rest.first().is_some_and(|octet| *octet != b'\r') && length <= room() => {
                *input = rest;
                Some(text)
            }
            _ => None,
        }
    }

    /// Octet after octet where something happens, three at once within a line, for processors without vectors: a third of
    /// the flash of what is below.
    fn by_octets<'i>(&mut self, input: &mut &'i [u8], room: usize) -> Piece<'i> {
        let mut open = input.get(..room).unwrap_or(input);
        let mut length = 0_usize;
        loop {
            if self.at == At::Line {
                length = behind_plain_thirds(open, length);
            }
            let Some(octet) = input.get(length) else { break };
            let skipped = match (self.at, octet) {
                // What stands before a dot goes out first.
                (At::Start, b'.') if length > 0 => break,
                (At::Start, b'.') => At::Dot,
                (At::Dot, b'\r') => At::DotCr,
                (At::DotCr, b'\n') => At::Start,
                _ if length == room => break,
                (At::DotCr, _) => {
                    self.at = At::Line;
                    return Piece::Text(b"\r");
                }
                (at, octet) => {
                    self.at = match (octet, at) {
                        (b'\r', _) => At::Cr,
                        (b'\n', At::Cr) => At::Start,
                        _ => At::Line,
                    };
                    length = length.wrapping_add(1);
                    continue;
                }
            };
            // Only with no text before it.
            *input = input.get(1..).unwrap_or(b"");
            open = input.get(..room).unwrap_or(input);
            self.at = skipped;
            if skipped == At::Start {
                return Piece::End;
            }
        }
        if length == 0 { Piece::Starved } else { self.take(input, length, self.at) }
    }

    /// Line after line where they have dots, block after block where they have none.
    fn by_lines<'i>(&mut self, input: &mut &'i [u8], room: usize) -> Piece<'i> {
        // One way to the text, so that it is compiled into its callers once.
        match self.at {
            At::Line => {}
            At::Start if took(input, b'.') => return self.dot(input, room),
            At::Cr if room > 0 && input.starts_with(b"\n.") => return self.take(input, 1, At::Start),
            At::Dot => return self.dot(input, room),
            At::DotCr => return self.dot_cr(input, room),
            At::Start | At::Cr => {}
        }
        self.text(input, room)
    }

    /// What follows a dot at the start of a line. An input that stops here says nothing about the dot yet.
    #[inline(never)]
    fn dot<'i>(&mut self, input: &mut &'i [u8], room: usize) -> Piece<'i> {
        self.at = At::Dot;
        if input.is_empty() {
            return Piece::Starved;
        }
        if took(input, b'\r') {
            return self.dot_cr(input, room);
        }
        self.at = At::Line;
        self.text(input, room)
    }

    /// What follows that dot and a CR: the end, or text that begins with this CR.
    fn dot_cr<'i>(&mut self, input: &mut &'i [u8], room: usize) -> Piece<'i> {
        self.at = At::DotCr;
        if took(input, b'\n') {
            self.at = At::Start;
            return Piece::End;
        }
        if input.is_empty() || room == 0 {
            return Piece::Starved;
        }
        // What follows this CR is known not to be an LF.
        self.at = At::Line;
        Piece::Text(b"\r")
    }

    /// The text up to the next dot at the start of a line; there is none at the start of `input`.
    fn text<'i>(&mut self, input: &mut &'i [u8], room: usize) -> Piece<'i> {
        let open = input.get(..room).unwrap_or(input);
        match before_dot_by_thirds(open.get(..HEAD).unwrap_or(open)) {
            Some(length) => self.take(input, length, At::Start),
            None => self.long_text(input, open),
        }
    }

    /// The same when no such dot is near. Apart from the above, so that short lines do not pay for its registers.
    #[inline(never)]
    fn long_text<'i>(&mut self, input: &mut &'i [u8], open: &'i [u8]) -> Piece<'i> {
        if let Some(length) = before_dot_by_blocks(open) {
            return self.take(input, length, At::Start);
        }
        let at = match open {
            [] => return Piece::Starved,
            [b'\n'] if self.at == At::Cr => At::Start,
            [.., b'\r', b'\n'] => At::Start,
            [.., b'\r'] => At::Cr,
            _ => At::Line,
        };
        self.take(input, open.len(), at)
    }

    /// Takes `length` octets of text, behind which the decoder stands `at`.
    fn take<'i>(&mut self, input: &mut &'i [u8], length: usize, at: At) -> Piece<'i> {
        let Some((text, rest)) = input.split_at_checked(length) else {
            return Piece::Starved;
        };
        // A dot that hides nothing is taken off at once: lines that begin with one cost one call each.
        (*input, self.at) = match rest {
            [b'.', octet, ..] if VECTORS && at == At::Start && *octet != b'\r' => {
                (rest.get(1..).unwrap_or(rest), At::Line)
            }
            _ => (rest, at),
        };
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

/// Makes a text fit for DATA, for the client side: doubles dots at the start of lines (RFC 5321 §4.5.2) and makes
/// every bare CR and bare LF a CRLF (RFC 5321 §2.3.8), so that nothing it writes holds a bare one.
///
/// 1. Call [`push`](Encoder::push) until it has taken all octets; drain the output between two calls.
/// 2. Call [`end`](Encoder::end) until it says true. Then the encoder is as new.
///
/// However the text is cut, the octets written are the same: a CR at the end of one push and an LF at the start of the
/// next are one CRLF. An output of 5 octets is enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Encoder {
    after: After,
}

/// What the encoder wrote last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
enum After {
    /// The end of a line, or nothing yet.
    End,
    /// The end of a line for the sake of a CR: an LF that comes now has been written already.
    Cr,
    /// Something else.
    Octet,
}

impl Encoder {
    /// An encoder at the start of a text.
    pub const fn new() -> Self {
        Self { after: After::End }
    }

    /// Writes what fits into `out` and returns the octets taken from `text`.
    ///
    /// With 2 octets of room it takes at least one. Octets of the text never make the server see its end, whatever
    /// they are.
    pub fn push(&mut self, text: &[u8], out: &mut VecView<u8>) -> usize {
        let mut rest = text;
        // Octets that are left where blocks are looked at again: one that has to be changed is not looked at twice.
        let mut next_block = usize::MAX;
        while let Some(octet) = rest.first() {
            let room = out.capacity().saturating_sub(out.len());
            let open = rest.get(..room).unwrap_or(rest);
            let is_due = VECTORS && rest.len() <= next_block;
            let (written, length, after): (&[u8], usize, After) = match (octet, self.after) {
                (b'\n', After::Cr) => (b"", 1, After::End),
                (b'\n', _) => (b"\r\n", 1, After::End),
                (b'.', After::End | After::Cr) => (b"..", 1, After::Octet),
                _ if is_due => match unchanged_blocks(open) {
                    [] => {
                        next_block = rest.len().saturating_sub(BLOCK);
                        continue;
                    }
                    blocks @ [.., b'\n'] => (blocks, blocks.len(), After::End),
                    blocks => (blocks, blocks.len(), After::Octet),
                },
                (b'\r', _) if rest.get(1) == Some(&b'\n') => (b"\r\n", 2, After::End),
                (b'\r', _) => (b"\r\n", 1, After::Cr),
                _ => {
                    let run = within_line(open);
                    (run, run.len(), After::Octet)
                }
            };
            if length == 0 || out.extend_from_slice(written).is_err() {
                break;
            }
            self.after = after;
            rest = rest.get(length..).unwrap_or_default();
        }
        text.len().wrapping_sub(rest.len())
    }

    /// Writes the end of the text: CRLF if it did not end with one, and dot CRLF (RFC 5321 §4.1.1.4).
    ///
    /// False, and nothing is written, if it does not fit. An empty text is the dot alone: the CRLF before it is that of
    /// the command line.
    #[must_use]
    pub fn end(&mut self, out: &mut VecView<u8>) -> bool {
        let end: &[u8] = match self.after {
            After::End | After::Cr => b".\r\n",
            After::Octet => b"\r\n.\r\n",
        };
        let fits = out.extend_from_slice(end).is_ok();
        if fits {
            self.after = After::End;
        }
        fits
    }
}

impl Default for Encoder {
    fn default() -> Self {
        Self::new()
    }
}

/// The octets at the start of `text`, block after block, that go out as they are: all line ends are CRLF, and no dot is
/// behind one. Begins and ends within a line or with its end, never between CR and LF; empty if the first block has to be
/// changed. No more than are still near when they are copied, which saves a tenth of the time.
fn unchanged_blocks(text: &[u8]) -> &[u8] {
    let mut at: usize = 0;
    while at < NEAR
        && let Some(octets) = text.get(at..).and_then(|text| text.first_chunk::<{ BLOCK + 1 }>())
        && (!may_change(octets) || !must_change(octets))
    {
        at = at.wrapping_add(BLOCK);
    }
    let (unchanged, behind) = text.split_at_checked(at).unwrap_or((b"", text));
    match unchanged {
        // The LF is the octet that the last block was looked at with.
        [.., b'\r'] if !behind.is_empty() => text.get(..at.wrapping_add(1)).unwrap_or(unchanged),
        _ => unchanged,
    }
}

/// Octets that a processor of a host holds close at hand, a quarter of what it can.
const NEAR: usize = 8_192;

/// Whether among the pairs of `octets` is a CR without LF, an LF without CR, or an LF with a dot behind it.
fn must_change(octets: &[u8; BLOCK + 1]) -> bool {
    any_pair(octets, |octet, next| is_bare(octet, next) | ((octet == b'\n') & (next == b'.')))
}

/// The same, or for no reason: see `may_be_dot`.
fn may_change(octets: &[u8; BLOCK + 1]) -> bool {
    any_pair(octets, |octet, next| is_bare(octet, next) | may_be_dot(octet, next))
}

/// Whether one of the two is half a line end.
fn is_bare(octet: u8, next: u8) -> bool {
    (octet == b'\r') != (next == b'\n')
}

/// The octets before the next CR or LF.
fn within_line(text: &[u8]) -> &[u8] {
    #[cfg(feature = "memchr")]
    let end = memchr::memchr2(b'\r', b'\n', text);
    #[cfg(not(feature = "memchr"))]
    let end = text.iter().position(|octet| matches!(octet, b'\r' | b'\n'));
    end.and_then(|end| text.get(..end)).unwrap_or(text)
}

/// Goes on from `at`, within a line, as long as every third octet is a letter: whatever the two before it are, none of the
/// three is a dot that begins a line, and what is behind them stands within a line. Says where that is no longer so.
///
/// 3 instructions for each octet of a text on a Cortex-M3, where one after the other takes 21.
fn behind_plain_thirds(text: &[u8], at: usize) -> usize {
    let mut rest = text.get(at..).unwrap_or_default();
    while let Some(([_, _, third], behind)) = rest.split_first_chunk()
        && (*third > b'.' || *third == b' ')
    {
        rest = behind;
    }
    text.len().wrapping_sub(rest.len())
}

/// Whether the compiler has vectors here; elsewhere blocks would cost flash and time.
const VECTORS: bool = cfg!(any(target_feature = "sse2", target_feature = "neon", target_feature = "simd128"));

/// Octets looked at in one go. The compiler makes 12 vectors of 16 octets of it: the loop then costs little for each.
const BLOCK: usize = 192;

/// Octets searched before the blocks: a text of short lines with dots would pay for a block each.
const HEAD: usize = 24;

/// The octets up to and with the first CRLF that has a dot behind it.
///
/// Looks at every third octet: CRLF and dot lie on exactly one of them. Most octets are letters, above all three, so
/// that three octets cost one comparison.
fn before_dot_by_thirds(text: &[u8]) -> Option<usize> {
    let mut rest = text;
    while let Some(([first, second, third], behind)) = rest.split_first_chunk::<3>() {
        rest = behind;
        if *third > b'.' {
            continue;
        }
        let length = text.len().wrapping_sub(behind.len());
        match third {
            b'.' if *first == b'\r' && *second == b'\n' => return Some(length.wrapping_sub(1)),
            b'\n' if *second == b'\r' && behind.starts_with(b".") => return Some(length),
            b'\r' if behind.starts_with(b"\n.") => return Some(length.wrapping_add(1)),
            _ => {}
        }
    }
    None
}

/// The same with vectors: passes over blocks that hold no LF with a dot behind it and looks closer at the others.
fn before_dot_by_blocks(text: &[u8]) -> Option<usize> {
    let Some(last) = text.len().checked_sub(BLOCK + 1) else {
        return before_dot_by_thirds(text);
    };
    let mut at: usize = 0;
    loop {
        let octets = text.get(at..)?.first_chunk::<{ BLOCK + 1 }>()?;
        if is_suspicious(octets) {
            let cr = at.saturating_sub(1);
            let near = text.get(cr..at.wrapping_add(BLOCK + 1))?;
            if let Some(length) = before_dot_by_thirds(near) {
                return Some(cr.wrapping_add(length));
            }
        }
        if at >= last {
            return None;
        }
        // The last block laps over the one before it, so that no rest is left.
        at = at.wrapping_add(BLOCK).min(last);
    }
}

/// Whether `octets` may hold an LF with a dot behind it.
fn is_suspicious(octets: &[u8; BLOCK + 1]) -> bool {
    any_pair(octets, may_be_dot)
}

/// Whether this may be an LF with a dot behind it.
///
/// Adding the two takes one comparison instead of two. Besides LF and dot only pairs with a control character or an
/// octet above 127 have that sum, so text hardly ever looks suspicious without reason.
fn may_be_dot(octet: u8, next: u8) -> bool {
    octet.wrapping_add(next) == b'\n' + b'.'
}

/// Whether two neighbours are such a pair.
fn any_pair(octets: &[u8; BLOCK + 1], is_such: impl Fn(u8, u8) -> bool) -> bool {
    let next = octets.iter().skip(1);
    // No early end: only a loop over all of it becomes vectors.
    octets.iter().zip(next).fold(false, |any, (octet, next)| any | is_such(*octet, *next))
}

#[cfg(test)]
mod tests {
    use super::*;
    use heapless::Vec;
    use proptest::prelude::*;
    use std::vec::Vec as Octets;

    /// The text and how many octets were taken, if the end was seen.
    type Decoded = (Octets<u8>, Option<usize>);

    /// RFC 5321 §4.5.2 line by line, with all of the input at hand: what a decoder must have given out and where the
    /// end is. It looks for the end first and at dots afterwards.
    fn reference(input: &[u8]) -> Decoded {
        // The line of the DATA command is the one before the first.
        let mut whole = b"\r\n".to_vec();
        whole.extend_from_slice(input);
        let end = (0..whole.len()).find(|at| whole[*at..].starts_with(b"\r\n.\r\n"));
        let known = match end {
            Some(end) => &whole[..end + 2],
            // The start of what may yet become the end stays back, its CRLF does not.
            None if whole.ends_with(b"\r\n.\r") => &whole[..whole.len() - 2],
            None => &whole,
        };
        let mut text = Octets::new();
        for at in 2..known.len() {
            if !known[..=at].ends_with(b"\r\n.") {
                text.push(known[at]);
            }
        }
        (text, end.map(|end| end + 5 - 2))
    }

    /// The decoder for processors with vectors and the one for others, which must do the same.
    #[derive(Clone, Copy, Debug)]
    struct Both(Decoder, Decoder);

    impl Both {
        fn next<'i>(&mut self, input: &mut &'i [u8], room: usize) -> Piece<'i> {
            let mut other = *input;
            let piece = self.0.by_lines(input, room);
            assert_eq!((self.1.by_octets(&mut other, room), other), (piece, *input), "{self:?} {room}");
            piece
        }
    }

    /// Runs a decoder over the parts, with `room` at a time, and holds it to its contract.
    fn decode(parts: &[&[u8]], room: usize) -> Decoded {
        let mut decoder = Both(Decoder::new(), Decoder::new());
        let mut text = Octets::new();
        let mut taken = 0;
        for part in parts {
            let mut input = *part;
            // Room 0 never shows text, and what it takes is not lost.
            loop {
                let before = input;
                let piece = decoder.next(&mut input, 0);
                if piece == Piece::End {
                    return (text, Some(taken + part.len() - input.len()));
                }
                assert_eq!(piece, Piece::Starved);
                assert!(before.ends_with(input));
                let piece = decoder.next(&mut input, room);
                match piece {
                    Piece::Text(octets) => {
                        assert!((1..=room).contains(&octets.len()), "{octets:?}");
                        text.extend_from_slice(octets);
                    }
                    Piece::End => return (text, Some(taken + part.len() - input.len())),
                    Piece::Starved => break assert!(input.is_empty()),
                }
            }
            taken += part.len();
        }
        (text, None)
    }

    /// The dot and what stands behind it, in one call: where the line ends must not be looked for an octet too late.
    #[test]
    fn a_dot_taken_off_moves_nothing() {
        for length in 0..20 {
            let input = [b".", &b"abcdefghijklmnopqrstuvwxyz"[..length], b"\r\n..\r\n.\r\n"].concat();
            let (mut decoder, mut rest, mut text) = (Decoder::new(), &input[..], Octets::new());
            let taken = loop {
                match decoder.by_octets(&mut rest, usize::MAX) {
                    Piece::Text(octets) => text.extend_from_slice(octets),
                    Piece::End => break Some(input.len() - rest.len()),
                    Piece::Starved => break None,
                }
            };
            assert_eq!((text, taken), reference(&input), "{length} octets in the line");
        }
    }

    #[test]
    fn table() {
        let rows: &[(&[u8], &[u8], Option<usize>)] = &[
            // Where eight other servers and libraries end the text, or wrongly do not.
            (b"a\r\n.\r\nNOOP\r\n", b"a\r\n", Some(6)),
            (b"a\n.\r\nNOOP\r\n", b"a\n.\r\nNOOP\r\n", None),
            (b"a\n.\nNOOP\r\n", b"a\n.\nNOOP\r\n", None),
            (b"a\r\n.\nNOOP\r\n", b"a\r\n\nNOOP\r\n", None),
            (b"a\r.\r\nNOOP\r\n", b"a\r.\r\nNOOP\r\n", None),
            (b"a\r\n.\rNOOP\r\n", b"a\r\n\rNOOP\r\n", None),
            (b"a\r.\rNOOP\r\n", b"a\r.\rNOOP\r\n", None),
            (b".\r\nNOOP\r\n", b"", Some(3)),
            (b"..x\r\n.y\r\n.\r\nNOOP\r\n", b".x\r\ny\r\n", Some(12)),
            // A dot and its end do not begin behind a held CR.
            (b".\r.\r\n", b"\r.\r\n", None),
            (b".\r\r\n.\r\n", b"\r\r\n", Some(7)),
            (b"a\r\r\n.\r\n", b"a\r\r\n", Some(7)),
            (b"\r\n.\r\n", b"\r\n", Some(5)),
            (b"\n.\r\n", b"\n.\r\n", None),
            (b"...\r\n...", b"..\r\n..", None),
            (b"..\r\n.\r\n", b".\r\n", Some(7)),
            (b".", b"", None),
            (b".\r", b"", None),
            (b"a\r\n", b"a\r\n", None),
            (b"a\r\n.\0\xff", b"a\r\n\0\xff", None),
        ];
        for (input, text, end) in rows {
            assert_eq!(decode(&[input], usize::MAX), (text.to_vec(), *end), "{input:?}");
            assert_eq!(reference(input), (text.to_vec(), *end), "{input:?}");
        }
    }

    #[test]
    fn every_short_text_in_every_cut() {
        for length in 0..=7u32 {
            for number in 0..4usize.pow(length) {
                let input: Octets<u8> = (0..length).map(|digit| b"\r\n.a"[number >> (2 * digit) & 3]).collect();
                let expected = reference(&input);
                for first in 0..=input.len() {
                    for second in first..=input.len() {
                        let parts = [&input[..first], &input[first..second], &input[second..]];
                        for room in 1..=4 {
                            assert_eq!(decode(&parts, room), expected, "{input:?} {first} {second} {room}");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn text_is_in_one_slice_up_to_a_dot_to_remove() {
        let long = [b"line\r\n\r\na\rb\nc. .\n.\r\r\n".repeat(40), b"\r\n".repeat(400)].concat();
        let text = [&long, b"..x\r\n.\r\n".as_slice()].concat();
        let (mut decoder, mut input) = (Decoder::new(), text.as_slice());
        assert_eq!(decoder.next(&mut input, usize::MAX), Piece::Text(&long));
        // Faster: the dot is not left for the next call.
        assert_eq!(input, &b"..x\r\n.\r\n"[usize::from(VECTORS)..]);
        assert_eq!(decoder.next(&mut input, usize::MAX), Piece::Text(b".x\r\n"));
        assert_eq!(decoder.next(&mut input, usize::MAX), Piece::End);
        assert_eq!((decoder, input), (Decoder::new(), b"".as_slice()));
        let mut input = b"a\r".as_slice();
        assert_eq!(decoder.next(&mut input, usize::MAX), Piece::Text(b"a\r"));
        input = b"\n\r\n";
        assert_eq!(decoder.next(&mut input, usize::MAX), Piece::Text(b"\n\r\n"));
        assert_eq!(size_of::<Decoder>(), 1);
        assert_eq!(size_of::<Encoder>(), 1);
    }

    #[test]
    fn a_mark_is_found_wherever_it_lies() {
        let fills: [&[u8]; 5] = [b"a", b"\r\n", b".", b"\n.", b"\r"];
        for fill in fills {
            for length in 0..3 * BLOCK {
                let mut text: Octets<u8> =
                    fill.iter().copied().cycle().skip(length % fill.len()).take(length).collect();
                let clean = text.clone();
                text.extend_from_slice(b"z\r\n.");
                for behind in [&b""[..], b"a", b"aa", b"aaa", &b"a".repeat(BLOCK), &b"\n.".repeat(BLOCK / 2)] {
                    let text = [&text, behind].concat();
                    assert_eq!(before_dot_by_thirds(&text), Some(length + 3));
                    assert_eq!(before_dot_by_blocks(&text), Some(length + 3));
                }
                let none = !clean.windows(3).any(|three| three == b"\r\n.");
                assert!(none);
                assert_eq!(before_dot_by_thirds(&clean), None);
                assert_eq!(before_dot_by_blocks(&clean), None);
            }
        }
    }

    #[test]
    fn short_lines_go_a_short_way() {
        let within = Decoder { at: At::Line };
        let taken = |decoder: Decoder, text: &'static [u8], room: usize| {
            let mut input = text;
            (decoder.short_line(&mut input, || room), text.len() - input.len())
        };
        let dots = b".\r\n..\r\n..\r\n..\r\n..\r\n..\r\n..\r\n";
        assert_eq!(taken(within, dots, 3), if VECTORS { (Some(&b".\r\n"[..]), 4) } else { (None, 0) });
        // No room, elsewhere, the end, no dot near, no dot at all, not enough to look at.
        assert_eq!(taken(within, dots, 2), (None, 0));
        assert_eq!(taken(Decoder::new(), dots, 3), (None, 0));
        for text in [
            &b".\r\n.\r\n..\r\n..\r\n..\r\n..\r\n..\r\n"[..],
            b"abcdefghijklmnopqrstuvwxyz\r\n..\r\n",
            b"abcdefghijklmnopqrstuvwxyz\r\nabc\r\n",
            &dots[..HEAD - 1],
        ] {
            assert_eq!(taken(within, text, usize::MAX), (None, 0), "{}", text.escape_ascii());
        }
    }

    #[test]
    fn text_is_not_looked_at_twice_without_reason() {
        let text: Octets<u8> =
            b"Lines, and a dot.\r\n\r\nOne ends. here\n".iter().copied().cycle().take(BLOCK + 1).collect();
        assert!(!is_suspicious(text.first_chunk().unwrap()));
        assert!(is_suspicious(b"\n.".repeat(BLOCK).first_chunk().unwrap()));
    }

    /// What an encoder must make of a text before dots are doubled.
    fn repaired(text: &[u8]) -> Octets<u8> {
        let mut repaired = Octets::new();
        let mut octets = text.iter().peekable();
        while let Some(octet) = octets.next() {
            if *octet == b'\r' {
                octets.next_if_eq(&&b'\n');
            }
            match octet {
                b'\r' | b'\n' => repaired.extend_from_slice(b"\r\n"),
                _ => repaired.push(*octet),
            }
        }
        if !repaired.is_empty() && !repaired.ends_with(b"\r\n") {
            repaired.extend_from_slice(b"\r\n");
        }
        repaired
    }

    /// Encodes the parts through an output of 5 octets, or of 64.
    fn encode(parts: &[&[u8]], small: bool) -> Octets<u8> {
        let (mut five, mut more) = (Vec::<u8, 5>::new(), Vec::<u8, 64>::new());
        let out: &mut VecView<u8> = if small { &mut five } else { &mut more };
        let mut encoder = Encoder::new();
        let mut wire = Octets::new();
        for part in parts {
            let mut rest = *part;
            while !rest.is_empty() {
                let taken = encoder.push(rest, out);
                assert!(taken > 0);
                rest = &rest[taken..];
                wire.extend_from_slice(out);
                out.clear();
            }
        }
        assert!(encoder.end(out));
        assert_eq!(encoder, Encoder::new());
        wire.extend_from_slice(out);
        wire
    }

    #[test]
    fn encoded() {
        let rows: &[(&[u8], &[u8])] = &[
            (b"", b".\r\n"),
            (b".", b"..\r\n.\r\n"),
            (b"a", b"a\r\n.\r\n"),
            (b"a\r\n", b"a\r\n.\r\n"),
            (b"a\r", b"a\r\n.\r\n"),
            (b"a\n", b"a\r\n.\r\n"),
            (b"a\r\r\n", b"a\r\n\r\n.\r\n"),
            (b"a\n\r", b"a\r\n\r\n.\r\n"),
            (b"a\n\n", b"a\r\n\r\n.\r\n"),
            (b"a\r\n\n", b"a\r\n\r\n.\r\n"),
            // A text that would end early, and begin a mail of its own, if it were passed on as it is.
            (b"a\n.\r\nMAIL FROM:<>", b"a\r\n..\r\nMAIL FROM:<>\r\n.\r\n"),
            (b"a\r.\rb", b"a\r\n..\r\nb\r\n.\r\n"),
            (b"..a\r\n.b.\r\n", b"...a\r\n..b.\r\n.\r\n"),
        ];
        for (text, wire) in rows {
            assert_eq!(encode(&[text], false), *wire, "{text:?}");
            for cut in 0..=text.len() {
                assert_eq!(encode(&[&text[..cut], &text[cut..]], true), *wire, "{text:?}");
            }
        }
    }

    #[test]
    fn what_does_not_fit_is_not_written() {
        let mut out = Vec::<u8, 4>::new();
        let mut encoder = Encoder::new();
        assert_eq!(encoder.push(b".ab\r\n", &mut out), 3);
        assert_eq!(out, b"..ab");
        assert_eq!(encoder.push(b"\r\n", &mut out), 0);
        assert!(!encoder.end(&mut out));
        assert_eq!(out, b"..ab");
        out.truncate(1);
        assert!(!encoder.end(&mut out));
        assert_eq!(encoder.push(b"\rX", &mut out), 2);
        assert_eq!(out, b".\r\nX");
        out.truncate(3);
        assert_eq!(encoder.push(b"\r\n", &mut out), 0);
        out.clear();
        assert_eq!(encoder.push(b"\r\n", &mut out), 2);
        assert_eq!(encoder.push(b".", &mut out), 1);
        assert_eq!(out, b"\r\n..");
    }

    /// As `Encoder::push`, line by line: what it did before it knew of blocks.
    fn push_by_lines(encoder: &mut Encoder, text: &[u8], out: &mut VecView<u8>) -> usize {
        let mut rest = text;
        while let Some(octet) = rest.first() {
            let (written, length, after): (&[u8], usize, After) = match (octet, encoder.after) {
                (b'\n', After::Cr) => (b"", 1, After::End),
                (b'\n', _) => (b"\r\n", 1, After::End),
                (b'\r', _) => (b"\r\n", 1, After::Cr),
                (b'.', After::End | After::Cr) => (b"..", 1, After::Octet),
                _ => {
                    let run = within_line(&rest[..rest.len().min(out.capacity() - out.len())]);
                    (run, run.len(), After::Octet)
                }
            };
            if length == 0 || out.extend_from_slice(written).is_err() {
                break;
            }
            encoder.after = after;
            rest = &rest[length..];
        }
        text.len() - rest.len()
    }

    #[test]
    fn a_block_with_one_octet_wrong_is_changed() {
        let line = b"Usual text, with a line end.\r\n";
        for start in 0..line.len() {
            let octets: Octets<u8> = line.iter().copied().cycle().skip(start).take(BLOCK + 1).collect();
            assert!(!may_change(octets.first_chunk().unwrap()) && !must_change(octets.first_chunk().unwrap()));
            for at in 0..BLOCK {
                for wrong in [&b"\r"[..], b"\n", b"\n.", b"\r\r", b"\n\n"] {
                    let mut octets = octets.clone();
                    octets.splice(at..(at + wrong.len()).min(BLOCK + 1), wrong.iter().copied());
                    let pairs = octets[..BLOCK + 1].windows(2);
                    let expected = pairs.clone().any(|pair| (pair[0] == b'\r') != (pair[1] == b'\n') || pair == b"\n.");
                    let octets = octets.first_chunk().unwrap();
                    assert_eq!(must_change(octets), expected, "{wrong:?} at {at}");
                    assert!(may_change(octets) || !expected, "{wrong:?} at {at}");
                }
            }
        }
    }

    #[test]
    fn more_than_is_near_goes_out_as_by_lines() {
        let line = b"Usual text, with a line end.\r\n";
        for start in 0..line.len() {
            let text: Octets<u8> = line.iter().copied().cycle().skip(start).take(3 * NEAR).collect();
            let (mut encoder, mut by_lines) = (Encoder::new(), Encoder::new());
            let (mut out, mut out_by_lines) = (Vec::<u8, { 4 * NEAR }>::new(), Vec::<u8, { 4 * NEAR }>::new());
            assert_eq!(encoder.push(&text, &mut out), text.len());
            push_by_lines(&mut by_lines, &text, &mut out_by_lines);
            assert!(out == out_by_lines && encoder == by_lines, "begins {start} into a line");
        }
    }

    /// Octets of usual lines, in which something else is rare.
    fn usual_octets() -> impl Strategy<Value = Octets<u8>> {
        let part = prop_oneof![
            40 => (0usize..100).prop_map(|length| [&b"x".repeat(length)[..], b"\r\n"].concat()),
            1 => Just(b".".to_vec()),
            1 => Just(b"\r".to_vec()),
            1 => Just(b"\n".to_vec()),
            1 => Just(b"x".repeat(500)),
        ];
        proptest::collection::vec(part, 0..40).prop_map(|parts| parts.concat())
    }

    /// Octets in which line ends and dots are frequent.
    fn octets(length: usize) -> impl Strategy<Value = Octets<u8>> {
        let octet = prop_oneof![
            3 => Just(b"\r\n".to_vec()),
            2 => Just(b".".to_vec()),
            1 => Just(b"\r".to_vec()),
            1 => Just(b"\n".to_vec()),
            1 => Just(b"\r\n.\r\n".to_vec()),
            9 => proptest::collection::vec(any::<u8>(), 0..90),
        ];
        proptest::collection::vec(octet, 0..length).prop_map(|parts| parts.concat())
    }

    /// Cuts a text at places given as parts of 65,536.
    fn cut<'t>(text: &'t [u8], places: &[u16]) -> Octets<&'t [u8]> {
        let mut places: Octets<usize> = places.iter().map(|place| (usize::from(*place) * text.len()) >> 16).collect();
        places.sort_unstable();
        let ends = places.iter().copied().chain([text.len()]);
        let starts = [0].into_iter().chain(places.iter().copied());
        starts.zip(ends).map(|(start, end)| &text[start..end]).collect()
    }

    proptest! {
        #[test]
        fn decodes_like_the_reference(
            input in octets(60),
            places in proptest::collection::vec(any::<u16>(), 0..6),
            room in prop_oneof![1usize..5, 1usize..600, Just(usize::MAX)],
        ) {
            prop_assert_eq!(decode(&cut(&input, &places), room), reference(&input));
        }

        #[test]
        fn encodes_in_blocks_as_by_lines(
            text in prop_oneof![octets(40), usual_octets()],
            places in proptest::collection::vec(any::<u16>(), 0..6),
            outputs in proptest::collection::vec(2usize..1_024, 1..9),
        ) {
            let (mut encoder, mut by_lines) = (Encoder::new(), Encoder::new());
            let (mut out, mut out_by_lines) = (Vec::<u8, 1_024>::new(), Vec::<u8, 1_024>::new());
            let mut outputs = outputs.iter().cycle();
            for part in cut(&text, &places) {
                let mut rest = part;
                while !rest.is_empty() {
                    // What is in it already leaves so much room.
                    let used = 1_024 - outputs.next().unwrap();
                    for out in [&mut out, &mut out_by_lines] {
                        out.clear();
                        out.resize_default(used).unwrap();
                    }
                    let taken = encoder.push(rest, &mut out);
                    prop_assert_eq!(taken, push_by_lines(&mut by_lines, rest, &mut out_by_lines));
                    prop_assert_eq!(&out, &out_by_lines);
                    prop_assert_eq!(encoder, by_lines);
                    rest = &rest[taken..];
                }
            }
        }

        #[test]
        fn decodes_what_was_encoded(
            text in octets(40),
            places in proptest::collection::vec(any::<u16>(), 0..6),
            small in any::<bool>(),
            room in prop_oneof![1usize..5, Just(usize::MAX)],
        ) {
            let wire = encode(&cut(&text, &places), small);
            for at in 0..wire.len() {
                prop_assert!(wire[at] != b'\r' || wire[at + 1] == b'\n');
                prop_assert!(wire[at] != b'\n' || wire[at - 1] == b'\r');
            }
            prop_assert_eq!(decode(&cut(&wire, &places), room), (repaired(&text), Some(wire.len())));
        }
    }
}
