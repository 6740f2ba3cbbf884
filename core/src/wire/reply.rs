//! Replies (RFC 5321 §4.2) with enhanced status codes (RFC 2034, RFC 3463, RFC 5248): made, written, read.

use heapless::vec::VecView;

use super::octets::{IS_HOST, are_printable, is_printable};

/// The most octets that one reply may take on the wire, all its lines and line ends included
/// (RFC 5321 §4.5.3.1.5 gives this limit to one line).
pub const MAX_REPLY: usize = 512;

/// A reply: a code of three digits, perhaps an enhanced status code, and text.
///
/// The text may have several lines, separated by `\n`; each becomes a line of the reply. Control octets and
/// octets above 127 are written as `?`, so that no text that came from a peer can forge a reply. What exceeds
/// [`MAX_REPLY`] on the wire is left out at the end: text is for people, codes are for programs.
#[derive(Clone, Copy, Debug)]
pub struct Reply<'h> {
    code: u16,
    #[cfg(feature = "enhanced")]
    enhanced: Option<Enhanced>,
    /// One line of printable ASCII: can be written as it is.
    plain: bool,
    text: &'h [u8],
    /// As it goes over the wire with its enhanced code, if it was written beforehand.
    #[cfg(not(target_os = "none"))]
    line: Option<&'static str>,
}

impl PartialEq for Reply<'_> {
    fn eq(&self, other: &Self) -> bool {
        #[cfg(feature = "enhanced")]
        let is_equal = self.enhanced == other.enhanced;
        #[cfg(not(feature = "enhanced"))]
        let is_equal = true;
        is_equal && self.code == other.code && self.text == other.text
    }
}

impl Eq for Reply<'_> {}

/// A reply of the session's own, with the enhanced code `class.subject.detail` if it has one. On a host it is one copy,
/// which spares 160 instructions; on a device the lines would take flash.
macro_rules! stock {
    ($code:literal, $text:literal) => {
        $crate::wire::Reply::stock($crate::wire::Reply::new($code, $text), concat!($code, " ", $text, "\r\n"))
    };
    ($code:literal, [$class:literal, $subject:literal, $detail:literal], $text:literal) => {
        $crate::wire::Reply::stock(
            $crate::wire::Reply::new($code, $text).enhanced($subject, $detail),
            concat!($code, " ", $class, ".", $subject, ".", $detail, " ", $text, "\r\n"),
        )
    };
}
pub(crate) use stock;

/// The subject and the detail of an enhanced status code; its class is the first digit of the reply's code,
/// so the two can't contradict each other (RFC 2034 §4).
#[cfg(feature = "enhanced")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Enhanced {
    /// The subject: 0 other, 1 address, 2 mailbox, 3 system, 4 network, 5 protocol, 6 content, 7 policy.
    pub subject: u8,
    /// The detail, 0 to 999.
    pub detail: u16,
}

impl<'h> Reply<'h> {
    /// A reply of `code` (200 to 599; a session answers 451 in place of any other) and `text`.
    #[must_use]
    pub const fn new(code: u16, text: &'h str) -> Self {
        Self::from_octets(code, text.as_bytes())
    }

    /// As [`Reply::new`], from text of unknown encoding, such as another server's.
    #[must_use]
    pub const fn from_octets(code: u16, text: &'h [u8]) -> Self {
        Self {
            code,
            #[cfg(feature = "enhanced")]
            enhanced: None,
            plain: is_plain(text),
            text,
            #[cfg(not(target_os = "none"))]
            line: None,
        }
    }

    /// The reply with its line; see the macro of this name.
    pub(crate) const fn stock(self, line: &'static str) -> Self {
        #[cfg(not(target_os = "none"))]
        return Self { line: Some(line), ..self };
        #[cfg(target_os = "none")]
        {
            let _ = line;
            self
        }
    }

    /// A reply that is written out: `550 5.7.1 Not here`. Its enhanced code counts if its class is the code's; further
    /// lines are text, line ends at the end are none. What does not begin with a code has the code 0, in place of which a session answers 451.
    #[must_use]
    pub fn from_line(line: &'h [u8]) -> Self {
        let line = line.trim_ascii_end();
        let Some((code, _)) = super::reply_reader::head(line) else {
            return Self::new(0, "");
        };
        super::reply_reader::reply(code, line.get(4..).unwrap_or(b""))
    }

    /// The same reply with the enhanced status code `class.subject.detail`; the class is the code's own.
    /// Without the feature `enhanced` it is not kept.
    #[must_use]
    pub const fn enhanced(self, subject: u8, detail: u16) -> Self {
        #[cfg(feature = "enhanced")]
        return Self {
            enhanced: Some(Enhanced { subject, detail }),
            #[cfg(not(target_os = "none"))]
            line: None,
            ..self
        };
        #[cfg(not(feature = "enhanced"))]
        {
            let _ = (subject, detail);
            self
        }
    }

    /// The same reply without an enhanced status code.
    #[cold]
    #[must_use]
    pub(crate) const fn bare(self) -> Self {
        Self {
            #[cfg(feature = "enhanced")]
            enhanced: None,
            #[cfg(not(target_os = "none"))]
            line: None,
            ..self
        }
    }

    /// The same reply with another code of the same class.
    #[must_use]
    pub(crate) const fn recoded(self, code: u16) -> Self {
        Self {
            code,
            #[cfg(not(target_os = "none"))]
            line: None,
            ..self
        }
    }

    /// The code.
    #[must_use]
    pub const fn code(&self) -> u16 {
        self.code
    }

    /// The enhanced status code, if there is one.
    #[cfg(feature = "enhanced")]
    #[must_use]
    pub const fn enhanced_code(&self) -> Option<Enhanced> {
        self.enhanced
    }

    /// The text, its lines separated by `\n`.
    #[must_use]
    pub const fn text(&self) -> &'h [u8] {
        self.text
    }

    /// Whether the code says success or go on: 2yz or 3yz.
    #[must_use]
    pub const fn is_positive(&self) -> bool {
        self.code < 400
    }

    /// Whether the code is one that a server may send: 200 to 599. RFC 5321 §4.2 has no second digit above 5, but servers
    /// do (571), and a client goes by the first digit then (§4.2.1): a relay passes them on.
    #[must_use]
    pub const fn is_valid(&self) -> bool {
        self.code >= 200 && self.code < 600
    }

    /// Writes the reply as it goes over the wire; `enhanced` says whether enhanced codes are sent.
    /// Octets that `out` has no room for are left out: ask for [`MAX_REPLY`] octets of room first.
    // The rule without what the rest takes.
    #[cfg_attr(not(target_os = "none"), inline)]
    pub fn write(&self, out: &mut VecView<u8>, enhanced: bool) {
        #[cfg(not(target_os = "none"))]
        if let (true, Some(line)) = (enhanced, self.line) {
            return put(out, line.as_bytes());
        }
        self.write_lines(out, enhanced);
    }

    #[cfg_attr(not(target_os = "none"), inline(never))]
    fn write_lines(&self, out: &mut VecView<u8>, enhanced: bool) {
        let mut head = Head::new(self, enhanced);
        let frame = head.octets().len().wrapping_add(2);
        let is_plain = self.plain;
        let mut left = MAX_REPLY;
        let mut lines = self.text;
        loop {
            let (line, behind) = if is_plain { (lines, None) } else { first_line(lines) };
            let room = left.saturating_sub(frame);
            let line = line.get(..room).unwrap_or(line);
            left = room.saturating_sub(line.len());
            // The last line is the one after which nothing follows or nothing fits.
            let behind = behind.filter(|_| left > frame);
            head.set_last(behind.is_none());
            put(out, head.octets());
            if is_plain {
                put(out, line);
            } else {
                put_printable(out, line, room);
            }
            put(out, b"\r\n");
            match behind {
                Some(behind) => lines = behind,
                None => return,
            }
        }
    }
}

/// A line without its end, and what stands behind it.
fn first_line(text: &[u8]) -> (&[u8], Option<&[u8]>) {
    let (line, behind) = super::cut(text, b'\n');
    (line.strip_suffix(b"\r").unwrap_or(line), behind.get(1..))
}

/// Adds what fits whole. Inlined where speed counts, on hosts, and not where flash does.
#[cfg_attr(target_os = "none", inline(never))]
pub(crate) fn put(out: &mut VecView<u8>, octets: &[u8]) {
    let _ = out.extend_from_slice(octets);
}

/// Adds the first `most` octets; what would break the line, or is not ASCII, as `?`.
#[cfg_attr(target_os = "none", inline(never))]
pub(crate) fn put_printable(out: &mut VecView<u8>, octets: &[u8], most: usize) {
    if IS_HOST && octets.len() <= most && are_printable(octets) {
        return put(out, octets);
    }
    for octet in octets.iter().take(most) {
        let _ = out.push(if is_printable(*octet) { *octet } else { b'?' });
    }
}

/// What stands before the text on each line: `250-2.1.5 `.
struct Head {
    octets: [u8; 12],
    len: usize,
}

impl Head {
    fn new(reply: &Reply<'_>, enhanced: bool) -> Self {
        let [class, second, third] = digits(reply.code);
        let head = Self { octets: [class, second, third, b' ', 0, 0, 0, 0, 0, 0, 0, 0], len: 4 };
        #[cfg(feature = "enhanced")]
        let mut head = head;
        #[cfg(feature = "enhanced")]
        if enhanced
            && let Some(code) = reply.enhanced
            && class != b'3'
        {
            head.push(class);
            head.push(b'.');
            head.push(digits(u16::from(code.subject))[2]);
            head.push(b'.');
            let [hundreds, tens, ones] = digits(code.detail);
            if hundreds != b'0' {
                head.push(hundreds);
            }
            if hundreds != b'0' || tens != b'0' {
                head.push(tens);
            }
            head.push(ones);
            head.push(b' ');
        }
        let _ = enhanced;
        head
    }

    #[cfg(feature = "enhanced")]
    fn push(&mut self, octet: u8) {
        if let Some(place) = self.octets.get_mut(self.len) {
            *place = octet;
            self.len = self.len.wrapping_add(1);
        }
    }

    fn set_last(&mut self, is_last: bool) {
        self.octets[3] = if is_last { b' ' } else { b'-' };
    }

    fn octets(&self) -> &[u8] {
        self.octets.get(..self.len).unwrap_or(&self.octets)
    }
}

const fn digits(number: u16) -> [u8; 3] {
    const fn digit(number: u16) -> u8 {
        b'0'.wrapping_add((number % 10) as u8)
    }
    [digit(number / 100), digit(number / 10), digit(number)]
}

const fn is_plain(text: &[u8]) -> bool {
    let mut rest = text;
    while let [first, tail @ ..] = rest {
        if !is_printable(*first) {
            return false;
        }
        rest = tail;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use heapless::Vec;

    fn written(reply: &Reply<'_>, enhanced: bool) -> Vec<u8, MAX_REPLY> {
        let mut out = Vec::new();
        reply.write(&mut out, enhanced);
        out
    }

    #[test]
    fn codes() {
        for (code, is_valid, is_positive) in [
            (199, false, true),
            (200, true, true),
            (399, true, true),
            (400, true, false),
            (599, true, false),
            (600, false, false),
        ] {
            let reply = Reply::new(code, "");
            assert_eq!((reply.is_valid(), reply.is_positive()), (is_valid, is_positive), "{code}");
        }
    }

    #[test]
    fn equal_is_what_the_peer_sees_equal() {
        let reply = Reply::new(250, "OK");
        assert_eq!(reply, Reply::from_octets(250, b"OK"));
        assert_ne!(reply, Reply::new(251, "OK"));
        assert_ne!(reply, Reply::new(250, "Ok"));
        #[cfg(feature = "enhanced")]
        assert_ne!(reply, reply.enhanced(0, 0));
        assert_eq!(stock!(250, [2, 0, 0], "OK"), reply.enhanced(0, 0));
    }

    #[cfg(feature = "enhanced")]
    #[test]
    fn written_with_and_without_enhanced_codes() {
        for (reply, with, without) in [
            (Reply::new(250, "OK"), &b"250 OK\r\n"[..], &b"250 OK\r\n"[..]),
            (stock!(250, [2, 1, 5], "OK"), b"250 2.1.5 OK\r\n", b"250 OK\r\n"),
            // What was written beforehand is not that of another code.
            (stock!(250, [2, 1, 5], "OK").enhanced(6, 0), b"250 2.6.0 OK\r\n", b"250 OK\r\n"),
            (Reply::new(550, "a\nb").enhanced(7, 10), b"550-5.7.10 a\r\n550 5.7.10 b\r\n", b"550-a\r\n550 b\r\n"),
            (Reply::new(550, "a\r\n").enhanced(1, 999), b"550-5.1.999 a\r\n550 5.1.999 \r\n", b"550-a\r\n550 \r\n"),
            (Reply::new(354, "Go").enhanced(0, 0), b"354 Go\r\n", b"354 Go\r\n"),
            (Reply::new(421, "\x7f\u{e9}\t").enhanced(0, 100), b"421 4.0.100 ????\r\n", b"421 ????\r\n"),
        ] {
            assert_eq!((&*written(&reply, true), &*written(&reply, false)), (with, without));
        }
    }

    #[test]
    fn what_makes_it_fast() {
        assert_eq!(stock!(250, [2, 1, 5], "OK").line, Some("250 2.1.5 OK\r\n"));
        assert!(Reply::new(250, " ~").plain);
    }

    #[test]
    fn what_exceeds_a_reply_is_left_out() {
        for (first, second, expected) in
            [(499, "", 511), (500, "", 506), (499, "bc", 512), (506, "b", 512), (507, "", 512)]
        {
            let text = [&[b'a'].repeat(first)[..], b"\n", second.as_bytes()].concat();
            let out = written(&Reply::from_octets(250, &text), false);
            assert_eq!(out.len(), expected, "{first}, {second:?}");
            assert!(out.ends_with(b"\r\n"));
        }
        let (mut out, long) = (Vec::<u8, MAX_REPLY>::new(), [b'a'; 9]);
        put_printable(&mut out, &long, 9);
        put_printable(&mut out, &long, 8);
        assert_eq!(out, [b'a'; 17]);
    }
}
