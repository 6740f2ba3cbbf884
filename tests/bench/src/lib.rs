//! What the servers that only answer have in common: fixed octets, and as much of SMTP as it takes to know when.
//!
//! They count lines, know DATA by the octets at the end of what was read, and the end of the text likewise. So they serve
//! only clients that wait where they must (RFC 2920 §3.1), and that send nothing behind the end of a text.

/// As much as smtpd reads.
pub const READ: usize = 65_536;

/// The first that is said.
pub const GREETING: &[u8] = b"220 OK\r\n";

/// Lines that one write answers at most.
const REPLIES: usize = READ / 2;

const OK: &[u8] = b"250 OK\r\n";
const GO_ON: &[u8] = b"354 OK\r\n";

/// Where a connection stands.
#[derive(Default)]
pub struct Dialogue {
    /// The last eight octets.
    last: u64,
    is_text: bool,
}

/// Behind many times OK one 354, so that the replies to any batch of commands are one slice.
pub struct Answers(Vec<u8>);

impl Default for Answers {
    fn default() -> Self {
        Self([OK.repeat(REPLIES), GO_ON.to_vec()].concat())
    }
}

impl Answers {
    /// All replies to what was read; none within a text.
    pub fn to(&self, dialogue: &mut Dialogue, octets: &[u8]) -> &[u8] {
        for octet in &octets[octets.len().saturating_sub(8)..] {
            dialogue.last = dialogue.last << 8 | u64::from(*octet);
        }
        if dialogue.is_text {
            dialogue.is_text = !dialogue.ends_with(b"\r\n.\r\n");
            return if dialogue.is_text { b"" } else { OK };
        }
        let lines = octets.iter().filter(|octet| **octet == b'\n').count();
        if dialogue.ends_with(b"DATA\r\n") {
            dialogue.is_text = true;
            let end = self.0.len() - GO_ON.len();
            &self.0[end + OK.len() - OK.len() * lines..]
        } else {
            &self.0[..OK.len() * lines]
        }
    }
}

impl Dialogue {
    fn ends_with(&self, octets: &[u8]) -> bool {
        let mut wanted = [0; 8];
        wanted[8 - octets.len()..].copy_from_slice(octets);
        let mask = u64::MAX >> (64 - 8 * octets.len());
        self.last & mask == u64::from_be_bytes(wanted)
    }
}
