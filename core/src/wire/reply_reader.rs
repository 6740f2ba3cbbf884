//! Reads replies of any length in fixed memory (RFC 5321 §4.2), for the client's side.

use heapless::vec::VecView;

use super::Reply;

/// The longest line end that is looked for without having seen one: a server that sends more does not speak SMTP.
const MAX_LINE: u16 = 4_096;
/// The most lines of one reply.
const MAX_LINES: u16 = 1_024;

/// Where a reply stands that is being read. Its text is gathered in a buffer of the caller's, lines separated by
/// `\n`; what does not fit is skipped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct ReplyReader {
    /// Where the line that is being read begins in the buffer.
    start: usize,
    /// Octets of this line so far.
    len: u16,
    lines: u16,
    code: u16,
}

/// What a line brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum ReplyProgress {
    /// The input is used up.
    Starved,
    /// A line that is not the reply's last; its text begins at this index of the buffer.
    Line(usize),
    /// The reply is complete: its code. [`ReplyReader::reply`] gives it.
    Complete(u16),
    /// Not a reply at all.
    Malformed,
}

impl ReplyReader {
    /// A reader at the beginning of a reply.
    #[must_use]
    pub const fn new() -> Self {
        Self { start: 0, len: 0, lines: 0, code: 0 }
    }

    /// Takes one line off the input, at most.
    pub fn next(&mut self, input: &mut &[u8], buffer: &mut VecView<u8>) -> ReplyProgress {
        if self.lines == 0 && self.len == 0 {
            buffer.clear();
            self.start = 0;
        }
        loop {
            let Some((octet, rest)) = input.split_first() else { return ReplyProgress::Starved };
            *input = rest;
            if *octet == b'\n' {
                return self.end_line(buffer);
            }
            self.len = self.len.saturating_add(1);
            if self.len > MAX_LINE {
                return ReplyProgress::Malformed;
            }
            let _ = buffer.push(*octet);
        }
    }

    /// The reply that is complete.
    #[must_use]
    pub fn reply<'b>(&self, buffer: &'b [u8]) -> Reply<'b> {
        reply(self.code, buffer)
    }

    /// Takes the line that was just read, whose text begins at `begin`, out of the reply.
    pub fn drop_line(&mut self, begin: usize, buffer: &mut VecView<u8>) {
        buffer.truncate(begin);
        self.start = begin;
    }

    /// The reply was dealt with; the next one may come.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    fn end_line(&mut self, buffer: &mut VecView<u8>) -> ReplyProgress {
        if buffer.last() == Some(&b'\r') {
            buffer.pop();
        }
        let line = buffer.get(self.start..).unwrap_or(b"");
        let Some((code, is_last)) = head(line) else {
            return ReplyProgress::Malformed;
        };
        let begin = self.start;
        self.lines = self.lines.saturating_add(1);
        if self.lines > MAX_LINES || (self.lines > 1 && code != self.code) {
            return ReplyProgress::Malformed;
        }
        self.code = code;
        self.len = 0;
        // The text moves over the code: at most one line of octets.
        let head = line.len().min(4);
        remove(buffer, begin, head);
        if begin > 0 {
            // An enhanced code stands on every line (RFC 2034 §4); one of them is enough.
            let line = buffer.get(begin..).unwrap_or(b"");
            let skip = line.len().saturating_sub(split_enhanced(code, line).1.len());
            remove(buffer, begin, skip);
        }
        if is_last {
            return ReplyProgress::Complete(code);
        }
        // Room for the separator and for the head of the next line, whose code has to be seen.
        buffer.truncate(buffer.capacity().saturating_sub(8));
        let _ = buffer.push(b'\n');
        self.start = buffer.len();
        ReplyProgress::Line(begin)
    }
}

/// Takes `count` octets at `at` out of the buffer.
fn remove(buffer: &mut VecView<u8>, at: usize, count: usize) {
    if let Some(tail) = buffer.get_mut(at..)
        && count <= tail.len()
    {
        tail.copy_within(count.., 0);
        let kept = buffer.len().saturating_sub(count);
        buffer.truncate(kept);
    }
}

/// A reply of `code` whose text may begin with an enhanced code.
pub(super) fn reply(code: u16, text: &[u8]) -> Reply<'_> {
    let (enhanced, text) = split_enhanced(code, text);
    let reply = Reply::from_octets(code, text);
    match enhanced {
        Some((subject, detail)) => reply.enhanced(subject, detail),
        None => reply,
    }
}

/// Code and finality of a line: three digits, then `-`, a space, or nothing.
pub(super) fn head(line: &[u8]) -> Option<(u16, bool)> {
    let (code, rest) = line.split_first_chunk::<3>()?;
    let [class @ b'2'..=b'5', second @ b'0'..=b'9', third @ b'0'..=b'9'] = code else { return None };
    let is_last = match rest.first() {
        None | Some(b' ') => true,
        Some(b'-') => false,
        Some(_) => return None,
    };
    let digit = |octet: &u8| u16::from(octet.wrapping_sub(b'0'));
    let code = digit(class).wrapping_mul(100).wrapping_add(digit(second).wrapping_mul(10)).wrapping_add(digit(third));
    Some((code, is_last))
}

/// The enhanced code at the beginning of a text, if its class is the code's (RFC 3463 §2): subject, detail, and the
/// text behind it.
fn split_enhanced(code: u16, text: &[u8]) -> (Option<(u8, u16)>, &[u8]) {
    let parse = || {
        let (class, rest) = text.split_first()?;
        if u16::from(class.wrapping_sub(b'0')) != code / 100 {
            return None;
        }
        // RFC 3463 §2 allows three digits; no subject has more than one.
        let (subject, rest) = digits(rest.strip_prefix(b".")?).filter(|(subject, _)| *subject < 10)?;
        let (detail, rest) = digits(rest.strip_prefix(b".")?)?;
        let rest = if rest.is_empty() { rest } else { rest.strip_prefix(b" ")? };
        Some((u8::try_from(subject).ok()?, detail, rest))
    };
    match parse() {
        Some((subject, detail, rest)) => (Some((subject, detail)), rest),
        None => (None, text),
    }
}

/// One to three digits.
fn digits(text: &[u8]) -> Option<(u16, &[u8])> {
    let mut number = 0_u16;
    let mut rest = text;
    while let [digit @ b'0'..=b'9', tail @ ..] = rest {
        if text.len().saturating_sub(rest.len()) == 3 {
            return None;
        }
        number = number.wrapping_mul(10).wrapping_add(u16::from(digit.wrapping_sub(b'0')));
        rest = tail;
    }
    (rest.len() < text.len()).then_some((number, rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use heapless::Vec;

    fn read(mut input: &[u8]) -> (ReplyProgress, Vec<u8, 64>, ReplyReader) {
        let (mut reader, mut buffer) = (ReplyReader::default(), Vec::<u8, 64>::new());
        loop {
            match reader.next(&mut input, &mut buffer) {
                ReplyProgress::Line(_) => {}
                progress => return (progress, buffer, reader),
            }
        }
    }

    #[test]
    fn replies_as_they_are_read() {
        for (input, code, enhanced, text) in [
            (&b"250 OK\r\n"[..], 250, None, &b"OK"[..]),
            (b"250\r\n", 250, None, b""),
            (b"250 OK\n", 250, None, b"OK"),
            (b"250 2.1.5 OK\r\n", 250, Some((1, 5)), b"OK"),
            (b"550 5.7.509 no\r\n", 550, Some((7, 509)), b"no"),
            (b"550 2.1.1 no\r\n", 550, None, b"2.1.1 no"),
            (b"550 5.10.1 no\r\n", 550, None, b"5.10.1 no"),
            (b"550 5..1 no\r\n", 550, None, b"5..1 no"),
            (b"550 5.1.1x no\r\n", 550, None, b"5.1.1x no"),
            (b"550 5.1.1111 no\r\n", 550, None, b"5.1.1111 no"),
            (b"550-5.1.1 no\r\n550 5.1.1 way\r\n", 550, Some((1, 1)), b"no\nway"),
            (b"250-a\r\n250-\r\n250 c\r\n", 250, None, b"a\n\nc"),
        ] {
            let (progress, buffer, reader) = read(input);
            assert_eq!(progress, ReplyProgress::Complete(code), "{}", input.escape_ascii());
            let reply = reader.reply(&buffer);
            assert_eq!(reply.text(), text, "{}", input.escape_ascii());
            #[cfg(feature = "enhanced")]
            assert_eq!(reply.enhanced_code().map(|code| (code.subject, code.detail)), enhanced);
            #[cfg(not(feature = "enhanced"))]
            let _ = enhanced;
        }
    }

    #[test]
    fn nonsense_is_seen() {
        for input in [
            &b"\r\n"[..],
            b"25\r\n",
            b"2x0 a\r\n",
            b"150 a\r\n",
            b"650 a\r\n",
            b"250_a\r\n",
            b"250-a\r\n550 b\r\n",
            b"250-a\r\n250-b\r\n550 c\r\n",
        ] {
            assert_eq!(read(input).0, ReplyProgress::Malformed, "{}", input.escape_ascii());
        }
    }

    #[test]
    fn a_line_without_end_is_no_reply() {
        let line = |length: usize| [b"250 ", &std::vec![b'x'; length - 4][..], b"\n"].concat();
        assert_eq!(read(&line(4_096)).0, ReplyProgress::Complete(250));
        assert_eq!(read(&line(4_097)).0, ReplyProgress::Malformed);
        assert_eq!(read(&b"250-a\r\n".repeat(1_024)).0, ReplyProgress::Starved);
        assert_eq!(read(&b"250-a\r\n".repeat(1_025)).0, ReplyProgress::Malformed);
    }

    #[test]
    fn text_beyond_the_buffer_is_skipped() {
        let mut long = std::vec::Vec::new();
        for _ in 0..20 {
            long.extend_from_slice(b"550-5.1.1 a line of text\r\n");
        }
        long.extend_from_slice(b"550 5.1.1 the end\r\n");
        let (progress, buffer, reader) = read(&long);
        assert_eq!(progress, ReplyProgress::Complete(550));
        assert!(reader.reply(&buffer).text().starts_with(b"a line of text\na line of text\n"));
    }
}
