//! A text on its way through a relay: what is added to it, and what is seen of it.

use super::beginning::{Beginning, With};
use super::trace::Trace;
use super::{Head, Part};
use crate::wire::Reply;

/// Passes the texts of a connection on, one after the other.
#[derive(Debug)]
pub(crate) struct Passage {
    pub(crate) trace: Trace,
    /// The clock for `Received`, if that is added.
    pub(crate) now: Option<fn() -> u32>,
    pub(crate) adds_x_peer: bool,
    /// The text under way, once something of it went out.
    head: Option<Head>,
    /// Its beginning, behind a line of our own, until it is known what that is.
    beginning: Option<Beginning>,
}

/// Received fields of a message that goes in circles (RFC 5321 §6.3).
const HOPS: u8 = 100;

impl Passage {
    pub(crate) const TOO_MANY_HOPS: Reply<'static> = Reply::new(554, "Too many hops").enhanced(4, 6);

    /// Octets for which there is always room behind a piece: for an X-Peer field, an empty line and what the head may add.
    const RESERVE: usize = 64;

    pub(crate) const fn new() -> Self {
        Self { trace: Trace::new(), now: None, adds_x_peer: false, head: None, beginning: None }
    }

    /// The next octets are those of a new text.
    pub(crate) fn restart(&mut self) {
        (self.head, self.beginning) = (None, None);
    }

    /// The text begins, unless it has: with a line of our own.
    pub(crate) fn begin(&mut self, host: &str, mut out: impl FnMut(&[u8])) {
        if self.head.is_none() {
            self.head = Some(Head::new());
            if let Some(now) = self.now {
                out(&self.trace.received(host, now()));
                self.beginning = Some(Beginning::new());
            }
        }
    }

    /// Octets of the text.
    pub(crate) fn pass(&mut self, octets: &[u8], mut out: impl FnMut(&[u8])) {
        let mut octets = octets;
        if let Some(beginning) = &mut self.beginning {
            let Some(with) = beginning.take(&mut octets) else { return };
            self.begin_with(with, &mut out);
        }
        self.go_through(octets, &mut out);
    }

    /// The text is over.
    pub(crate) fn end(&mut self, mut out: impl FnMut(&[u8])) {
        // What a colon would have made a field.
        if self.beginning.as_ref().is_some_and(|beginning| !beginning.held().is_empty()) {
            self.begin_with(With::Body, &mut out);
        }
        let Self { trace, adds_x_peer: true, head: Some(head), .. } = self else { return };
        while let Some(part) = head.end() {
            match part {
                Part::Octets(octets) => out(octets),
                Part::End => out(&trace.x_peer()),
            }
        }
    }

    /// What the text begins with is known.
    fn begin_with(&mut self, with: With, out: &mut impl FnMut(&[u8])) {
        let Some(beginning) = self.beginning.take() else { return };
        if with == With::Body {
            self.go_through(b"\r\n", out);
        }
        self.go_through(beginning.held(), out);
    }

    fn go_through(&mut self, octets: &[u8], out: &mut impl FnMut(&[u8])) {
        let Self { trace, adds_x_peer, head: Some(head), .. } = self else { return };
        let mut octets = octets;
        while let Some(part) = head.next(&mut octets) {
            match part {
                Part::Octets(octets) => out(octets),
                Part::End if *adds_x_peer => out(&trace.x_peer()),
                Part::End => {}
            }
        }
    }

    /// Whether it goes in circles.
    pub(crate) fn has_too_many_hops(&self) -> bool {
        self.head.as_ref().is_some_and(|head| head.received() >= HOPS)
    }

    /// Whether it can be told from others.
    #[cfg(feature = "lmtp")]
    pub(crate) fn has_message_id(&self) -> bool {
        self.head.as_ref().is_some_and(Head::has_message_id)
    }

    /// Of what a leg takes, what a client may send now.
    pub(crate) fn room(&self, room: usize) -> usize {
        let held = self.beginning.as_ref().map_or(0, |beginning| beginning.held().len());
        match room {
            usize::MAX => room,
            // Not ever smaller pieces.
            room if room < 2 * Self::RESERVE => 0,
            room => room.saturating_sub(Self::RESERVE.wrapping_add(held)),
        }
    }
}

#[cfg(test)]
mod tests {
    use core::net::IpAddr;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::server::Peer;

    const X_PEER: &str = "X-Peer: 1111:1111:1111:1111:1111:1111:1111:1111\r\n";

    /// What comes of a text in these pieces behind the first line of our own; fails if a piece takes more than its room.
    fn passed<'t>(
        pieces: impl IntoIterator<Item = &'t [u8]>,
        adds_received: bool,
        adds_x_peer: bool,
    ) -> std::vec::Vec<u8> {
        let mut passage = Passage::new();
        passage.trace.connected(Peer::new(Some(
            ("1111:1111:1111:1111:1111:1111:1111:1111".parse::<IpAddr>().unwrap(), 7).into(),
        )));
        passage.now = adds_received.then_some(|| 1);
        passage.adds_x_peer = adds_x_peer;
        passage.restart();
        let mut all = std::vec::Vec::new();
        passage.begin("mx.example", |octets| all.extend_from_slice(octets));
        let own = all.len();
        assert_eq!(own > 0, adds_received);
        for piece in pieces {
            let (before, room) = (all.len(), passage.room(1_000));
            passage.pass(piece, |octets| all.extend_from_slice(octets));
            assert!(
                all.len() - before + room <= piece.len() + 1_000,
                "{} octets of {}",
                all.len() - before,
                piece.len()
            );
        }
        passage.end(|octets| all.extend_from_slice(octets));
        all.split_off(own)
    }

    /// Whether the first line of a text is neither a field nor empty, nor a mailbox's: from all of it.
    fn is_body(text: &[u8]) -> bool {
        let line = text.split(|octet| *octet == b'\n').next().unwrap_or_default();
        if text.is_empty() || matches!(text[0], b'\r' | b'\n') || text.starts_with(b"From ") {
            return false;
        }
        let name = line.iter().take_while(|octet| (33..=126).contains(*octet) && **octet != b':').count();
        let spaces = line[name..].iter().take_while(|octet| matches!(octet, b' ' | b'\t')).count();
        let behind = line.get(name + spaces);
        name == 0 || (name + spaces < 78 && behind != Some(&b':'))
    }

    fn expected(text: &[u8], adds_received: bool, adds_x_peer: bool) -> std::vec::Vec<u8> {
        let empty: &[u8] = if adds_received && is_body(text) { b"\r\n" } else { b"" };
        let text = [empty, text].concat();
        if !adds_x_peer {
            return text;
        }
        // Where a line begins, as the leg writes them.
        let begins = |at: usize| match text[..at] {
            [] | [.., b'\n'] => true,
            [.., b'\r'] => text.get(at) != Some(&b'\n'),
            _ => false,
        };
        let is_empty = |at: &usize| begins(*at) && matches!(text.get(*at), Some(b'\r' | b'\n'));
        let (header, body) = text.split_at((0..text.len()).find(is_empty).unwrap_or(text.len()));
        let line_end: &[u8] = if matches!(header, [] | [.., b'\n' | b'\r']) { b"" } else { b"\r\n" };
        [header, line_end, X_PEER.as_bytes(), body].concat()
    }

    #[test]
    fn a_piece_is_worth_its_while_or_waits() {
        let passage = Passage::new();
        for (room, expected) in [(0, 0), (127, 0), (128, 64), (129, 65), (1_000, 936), (usize::MAX, usize::MAX)] {
            assert_eq!(passage.room(room), expected);
        }
    }

    #[test]
    fn an_empty_line_stands_before_a_body() {
        let long = "a".repeat(77);
        let (field, body, longer) =
            (std::format!("{long}: x\r\n"), std::format!("{long}\r\n"), std::format!("{long}a\r\n"));
        for (text, empty_line) in [
            ("", false),
            ("\r\nbody\r\n", false),
            ("\nbody\r\n", false),
            ("\r\r\n", false),
            ("\rbody\r\n", false),
            ("Subject: x\r\n", false),
            ("Subject:\r\n", false),
            ("Subject \t: x\r\n", false),
            ("!~:\r\n", false),
            ("From a@b Thu Jan  1\r\nSubject: x\r\n", false),
            ("From: a@b\r\n", false),
            ("From : a@b\r\n", false),
            ("From\ta@b\r\n", true),
            ("From\r\n", true),
            ("from a@b\r\n", true),
            (">From a@b\r\n", true),
            ("Hello\r\n", true),
            ("Hello,\r\nthis: is\r\n", true),
            ("Hello you: x\r\n", true),
            ("\u{e9}: x\r\n", true),
            // It would go on with the field before it.
            (" Subject: x\r\n", true),
            ("\tx\r\n", true),
            (" \r\n", true),
            (": x\r\n", true),
            ("\0", true),
            ("x", true),
            (&field, false),
            (&body, true),
            (&longer, false),
        ] {
            assert_eq!(is_body(text.as_bytes()), empty_line, "{text:?}");
            let expected = [if empty_line { "\r\n" } else { "" }, text].concat();
            for cut in 0..=text.len() {
                let pieces = <[_; 2]>::from(text.as_bytes().split_at(cut));
                let got = passed(pieces, true, false);
                assert_eq!(got, expected.as_bytes(), "{text:?} at {cut}");
            }
        }
    }

    /// Texts in whose first line what matters is frequent, with a line end.
    fn text() -> impl Strategy<Value = std::vec::Vec<u8>> {
        let piece = prop_oneof![
            Just(b"\r\n".to_vec()),
            Just(b"\n".to_vec()),
            Just(b"\r".to_vec()),
            Just(b":".to_vec()),
            Just(b" ".to_vec()),
            Just(b"\t".to_vec()),
            Just(b"From".to_vec()),
            vec(b'!'..=b'~', 0..60),
            vec(any::<u8>(), 0..3),
        ];
        vec(piece, 0..8).prop_map(|pieces| [&pieces.concat()[..], b"\r\n"].concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn cuts_do_not_matter(
            text in text(),
            cuts in vec(0_usize..40, 0..20),
            adds_received in any::<bool>(),
            adds_x_peer in any::<bool>(),
        ) {
            let mut pieces = std::vec::Vec::new();
            let mut rest = &text[..];
            for cut in cuts {
                let (piece, behind) = rest.split_at(cut.min(rest.len()));
                pieces.push(piece);
                rest = behind;
            }
            pieces.push(rest);
            prop_assert_eq!(passed(pieces, adds_received, adds_x_peer), expected(&text, adds_received, adds_x_peer));
        }
    }
}
