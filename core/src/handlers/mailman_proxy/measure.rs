//! What Mailman takes of a text.

use crate::wire::Reply;

/// Measures a text as it goes to Mailman, which looks at it only when it has all of it: then the other server has had it too.
#[derive(Clone, Copy, Debug)]
pub(super) struct Measure {
    limit: u32,
    octets: u32,
    /// Octets of the line under way.
    line: u16,
    after_cr: bool,
    is_line_too_long: bool,
}

/// Octets of a line, its end not counted but a second dot at its beginning (the limit of aiosmtpd, by which Mailman reads).
const LINE: u16 = 999;

impl Measure {
    const TOO_BIG: Reply<'static> = Reply::new(552, "Message too big for a list").enhanced(3, 4);
    const LINE_TOO_LONG: Reply<'static> = Reply::new(554, "Line of text too long for a list").enhanced(6, 0);

    /// For a server that takes so many octets.
    pub(super) const fn new(limit: u32) -> Self {
        Self { limit, octets: 0, line: 0, after_cr: false, is_line_too_long: false }
    }

    /// Further octets: counted as they are sent, line ends repaired and dots at the beginning of lines doubled.
    pub(super) fn count(&mut self, octets: &[u8]) {
        for piece in octets.split_inclusive(|octet| matches!(octet, b'\r' | b'\n')) {
            let (end, line) = match piece {
                [line @ .., end @ (b'\r' | b'\n')] => (Some(*end), line),
                line => (None, line),
            };
            let is_half = self.after_cr && line.is_empty() && end == Some(b'\n');
            if let [first, ..] = line {
                let dot = u32::from(self.line == 0 && *first == b'.');
                let len = u32::try_from(line.len()).unwrap_or(u32::MAX).saturating_add(dot);
                self.octets = self.octets.saturating_add(len);
                self.line = u16::try_from(len).unwrap_or(u16::MAX).saturating_add(self.line);
                self.is_line_too_long |= self.line > LINE;
            }
            if end.is_some() {
                self.line = 0;
                self.octets = self.octets.saturating_add(if is_half { 0 } else { 2 });
            }
            self.after_cr = end == Some(b'\r');
        }
    }

    /// What the client hears if Mailman would not take it.
    pub(super) const fn refusal(&self) -> Option<Reply<'static>> {
        if self.is_line_too_long {
            Some(Self::LINE_TOO_LONG)
        } else if self.octets > self.limit {
            Some(Self::TOO_BIG)
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Encoder;
    use heapless::Vec;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// What it counts is what is sent, in any cut.
        #[test]
        fn as_sent(
            text in proptest::collection::vec(prop_oneof![Just(b'\r'), Just(b'\n'), Just(b'.'), Just(b'a')], 0..99),
            cut in 1_usize..9,
            ends in any::<bool>(),
        ) {
            let mut text = text;
            if ends {
                text.extend_from_slice(b"\r\n");
            }
            let mut measure = Measure::new(u32::MAX);
            let (mut encoder, mut sent, mut longest) = (Encoder::new(), Vec::<u8, 512>::new(), 0);
            for piece in text.chunks(cut) {
                measure.count(piece);
                longest = longest.max(measure.line);
                prop_assert_eq!(encoder.push(piece, &mut sent), piece.len());
            }
            prop_assert_eq!(measure.octets as usize, sent.len());
            let lines = sent.split(|octet| *octet == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line).len());
            if cut == 1 {
                prop_assert_eq!(usize::from(longest), lines.max().unwrap_or(0));
            }
        }
    }

    #[test]
    fn at_and_over_the_limits() {
        let refusal = |text: &[u8], cut: usize| {
            let mut measure = Measure::new(2_000);
            text.chunks(cut).for_each(|piece| measure.count(piece));
            measure.refusal().map(|reply| reply.code())
        };
        let line = |octets, first: &str, end: &str| std::format!("a\r\n{first}{}{end}b", "x".repeat(octets));
        for cut in [1, 2, 3, 7, 64, usize::MAX] {
            for end in ["\r\n", "\n", "\r"] {
                assert_eq!(refusal(line(999, "", end).as_bytes(), cut), None);
                assert_eq!(refusal(line(1_000, "", end).as_bytes(), cut), Some(554));
                assert_eq!(refusal(line(997, ".", end).as_bytes(), cut), None);
                // Its dot is sent twice.
                assert_eq!(refusal(line(998, ".", end).as_bytes(), cut), Some(554));
            }
            assert_eq!(refusal(&b"x".repeat(1_000), cut), Some(554));
            assert_eq!(refusal(&b"x\r\n".repeat(666), cut), None);
            assert_eq!(refusal(&b"x\n".repeat(666), cut), None);
            assert_eq!(refusal(&b"x\n".repeat(667), cut), Some(552));
        }
    }
}
