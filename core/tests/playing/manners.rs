//! Handlers by rule: each question has one answer, so that neither time nor number matter.

use crate::common::{Notes, Verdict};

/// How a handler behaves.
#[derive(Clone, Debug, Default)]
pub struct Manners {
    pub defers: u8,
    pub backlog: u16,
    pub room: usize,
    pub refuses: Option<(usize, u16)>,
    pub text: Vec<u8>,
    /// Answers by chance, in place of what the names say; the same question has the same answer.
    pub chance: Option<u8>,
}

impl Manners {
    pub fn notes(&self) -> Notes<'_> {
        let mut notes = Notes::by(|asked| self.rule(asked));
        (notes.defers, notes.backlog, notes.room) = (self.defers, self.backlog, self.room);
        notes.refuses = self.refuses.map(|(from, code)| (from, Verdict::Say(code, self.text.clone())));
        notes
    }

    /// Decides by what is asked alone.
    pub fn rule(&self, asked: &str) -> Verdict {
        let say = |code| Verdict::Say(code, self.text.clone());
        if let Some(chance) = self.chance {
            return match by_chance(asked, chance) {
                Some(code) => say(code),
                None => Verdict::Yes,
            };
        }
        match asked.split_once(' ').unwrap_or((asked, "")) {
            ("mail" | "rcpt" | "hello", "no@d.example" | "no.example") => say(550),
            ("rcpt", "full@d.example") => say(452),
            ("rcpt", "far@d.example") => say(251),
            ("rcpt" | "mail", "odd@d.example") => say(354),
            ("rcpt", "gone@d.example") => say(421),
            ("mail", "yes@d.example") => say(250),
            ("verify", "c") => say(250),
            ("message", text) if text.contains("554") => say(554),
            ("message", text) if text.contains('!') => say(250),
            _ => Verdict::Yes,
        }
    }

    /// The code that the client gets for the answer: a positive one of the wrong kind becomes a refusal.
    pub fn code(&self, asked: &str) -> u16 {
        let verb = asked.split(' ').next().unwrap_or("");
        match (self.rule(asked), verb) {
            (Verdict::Never, _) => 0,
            (Verdict::Yes, "connected") => 220,
            (Verdict::Yes, "data") => 354,
            (Verdict::Yes, "verify" | "expand") => 252,
            (Verdict::Yes, _) => 250,
            (Verdict::Say(code @ 400..=599, _), _)
            | (Verdict::Say(code @ 220, _), "connected")
            | (Verdict::Say(code @ 354, _), "data")
            | (Verdict::Say(code @ 250, _), "hello" | "mail" | "rcpt" | "message" | "verify" | "expand")
            | (Verdict::Say(code @ 251, _), "rcpt" | "verify" | "expand")
            | (Verdict::Say(code @ 252, _), "verify" | "expand") => code,
            (Verdict::Say(..), "connected") => 421,
            (Verdict::Say(..), _) => 451,
        }
    }

    pub fn accepts(&self, asked: &str) -> bool {
        self.code(asked) < 400
    }
}

/// Mostly yes; else any code that a handler may think of, 421 seldom.
fn by_chance(asked: &str, chance: u8) -> Option<u16> {
    // FNV-1a, which mixes short texts well enough.
    let hash = asked
        .bytes()
        .chain([chance])
        .fold(0x811c_9dc5_u32, |hash, octet| (hash ^ u32::from(octet)).wrapping_mul(0x0100_0193));
    const CODES: [u16; 12] = [250, 550, 452, 251, 252, 354, 220, 554, 450, 451, 503, 599];
    match hash >> 16 & 63 {
        at @ 0..12 => CODES.get(at as usize).copied(),
        12 => Some(421),
        _ => None,
    }
}
