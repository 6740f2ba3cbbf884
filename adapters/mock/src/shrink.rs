//! A script that fails, made smaller as long as it fails in the same way.
//!
//! Nobody here knows what would be right, so what is left out must leave the script as true as it was: whole exchanges (what
//! one side says, and all that comes of it) in which no time passes, and calls that are only compared. Settings, single lines
//! and octets are left out only where something fails that must be true of any dialogue.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::{Act, Call, Entry, Failure, Mode, Piece, Reads, Said, Script, Side, What};

/// Runs that are spent on it at most.
const MOST: u32 = 20_000;

/// A script that is being made smaller.
struct Shrinking<R> {
    best: Script,
    /// The side that the script plays.
    side: Side,
    failure: Failure,
    run: R,
    left: u32,
}

/// The smallest script that was found to fail as this one does, and how.
pub(crate) fn shrink(
    script: &Script,
    side: Side,
    failure: Failure,
    run: impl FnMut(&Script) -> Result<(), Failure>,
) -> (Script, Failure) {
    let mut best = script.clone();
    // Of no use where it fails.
    best.not.clear();
    best.settings.retain(|setting| !setting.starts_with("not "));
    let mut shrinking = Shrinking { best, side, failure, run, left: MOST };
    let mut before = usize::MAX;
    while shrinking.size() < before && shrinking.left > 0 {
        before = shrinking.size();
        shrinking.read_plainly();
        shrinking.forget_calls();
        shrinking.leave_out_exchanges();
        if shrinking.is_any_script_true() {
            shrinking.leave_out_settings();
            shrinking.leave_out_entries();
            shrinking.leave_out_octets();
        }
    }
    // Last, for behind it a script no longer says what each exchange leads to.
    shrinking.skip_replies();
    if shrinking.best.entries.last() != script.entries.last() {
        shrinking.end();
    }
    shrinking.numbered()
}

impl<R: FnMut(&Script) -> Result<(), Failure>> Shrinking<R> {
    /// What fails must be true of any dialogue.
    fn is_any_script_true(&self) -> bool {
        matches!(self.failure, Failure::Broken(_))
    }

    /// Octets of the text form, which is what a person reads.
    fn size(&self) -> usize {
        self.best.to_string().len()
    }

    /// Keeps a candidate that fails in the same way. A cut moves with the octets before it.
    fn keeps(&mut self, candidate: &Script) -> bool {
        let mut ways = Vec::from([candidate.reads]);
        if let Reads::Cut(at) = candidate.reads {
            let fewer = self.best.octets_of(self.side).saturating_sub(candidate.octets_of(self.side));
            ways.extend([Reads::Cut(at.saturating_sub(fewer)), Reads::Of(1)]);
        }
        for reads in ways {
            if self.left == 0 {
                return false;
            }
            self.left -= 1;
            let candidate = Script { reads, ..candidate.clone() };
            if let Err(failure) = (self.run)(&candidate)
                && failure.is_same(&self.failure)
            {
                (self.best, self.failure) = (candidate, failure);
                return true;
            }
        }
        false
    }

    fn keeps_entries(&mut self, entries: Vec<Entry>) -> bool {
        let candidate = Script { entries: entries.into(), ..self.best.clone() };
        self.keeps(&candidate)
    }

    fn read_plainly(&mut self) {
        for reads in [Reads::Of(usize::MAX), Reads::Of(1)] {
            if self.best.reads == reads || self.keeps(&Script { reads, ..self.best.clone() }) {
                break;
            }
        }
        if self.best.mode == Mode::Pipelined {
            self.keeps(&Script { mode: Mode::LockStep, ..self.best.clone() });
        }
    }

    /// No calls but those that the handler answers in a way of its own, and perhaps one that is compared.
    fn forget_calls(&mut self) {
        let compared = |entry: &Entry| match &entry.what {
            What::Hears(call) => !call.is_any() && call.later == 0 && call.response.is_none(),
            _ => false,
        };
        let places: Vec<usize> = (0..self.best.entries.len()).filter(|at| compared(&self.best.entries[*at])).collect();
        if places.is_empty() {
            return;
        }
        for kept in core::iter::once(None).chain(places.into_iter().map(Some)) {
            let mut entries: Vec<Entry> = Vec::new();
            let any = |line| Entry { line, what: What::Hears(Call::any()) };
            let mut has_calls = false;
            for (at, entry) in self.best.entries.iter().enumerate() {
                let is_call = matches!(&entry.what, What::Hears(_));
                if is_call && compared(entry) && Some(at) != kept {
                    continue;
                }
                if matches!(&entry.what, What::Hears(call) if call.is_any()) {
                    continue;
                }
                if is_call {
                    entries.push(any(entry.line));
                    has_calls = true;
                }
                entries.push(entry.clone());
            }
            if has_calls && kept.is_none() {
                entries.push(any(entries.last().map_or(0, |entry| entry.line)));
            }
            if entries.len() < self.best.entries.len() && self.keeps_entries(entries) {
                return;
            }
        }
    }

    /// Where exchanges begin: with what this side says, if something else came before it.
    fn exchanges(&self) -> Vec<usize> {
        let says = |at: usize| matches!(&self.best.entries[at].what, What::Says(side, _) if *side == self.side);
        (0..self.best.entries.len()).filter(|at| *at == 0 || says(*at) && !says(*at - 1)).collect()
    }

    /// Many exchanges at once first, from the end, where what came after the failure is.
    fn leave_out_exchanges(&mut self) {
        let mut count = self.exchanges().len();
        // A mail is a run of some exchanges, wherever it begins.
        let is_short = count <= 40;
        while count > 0 {
            let mut begin = self.exchanges().len().saturating_sub(count);
            loop {
                let starts = self.exchanges();
                let from = starts.get(begin).copied().unwrap_or(0);
                let to = starts.get(begin + count).copied().unwrap_or(self.best.entries.len());
                let mut entries = self.best.entries.to_vec();
                let has_time = entries.drain(from..to).any(|entry| matches!(entry.what, What::Pass(_)));
                self.stay_open(&mut entries);
                if !has_time || self.is_any_script_true() {
                    self.keeps_entries(entries);
                }
                if begin == 0 {
                    break;
                }
                begin = begin.saturating_sub(if is_short { 1 } else { count });
            }
            count = if is_short { count - 1 } else { count / 2 };
        }
        // What comes behind the failure within its exchange, from the end.
        for at in (0..self.best.entries.len()).rev() {
            let mut entries = self.best.entries[..at].to_vec();
            self.stay_open(&mut entries);
            if entries.len() < self.best.entries.len() && !self.keeps_entries(entries) {
                break;
            }
        }
    }

    /// Any calls at the end stay there, whatever was left out before.
    fn stay_open(&self, entries: &mut Vec<Entry>) {
        let is_any =
            |entry: Option<&Entry>| matches!(entry, Some(Entry { what: What::Hears(call), .. }) if call.is_any());
        if is_any(self.best.entries.last()) && !is_any(entries.last()) {
            entries.extend(self.best.entries.last().cloned());
        }
    }

    /// Long runs of entries first.
    fn leave_out_entries(&mut self) {
        let mut count = self.best.entries.len();
        while count > 0 {
            let mut at = self.best.entries.len().saturating_sub(count);
            loop {
                let end = (at + count).min(self.best.entries.len());
                let mut entries = self.best.entries.to_vec();
                entries.drain(at..end);
                self.keeps_entries(entries);
                if at == 0 {
                    break;
                }
                at = at.saturating_sub(count).min(self.best.entries.len());
            }
            // Runs of 1 to 4: a command, what the handler hears, the reply, and one more.
            count = if count > 8 { count / 2 } else { count - 1 };
        }
    }

    /// Any replies in place of those up to one of the lines that this side says, as late as it goes.
    fn skip_replies(&mut self) {
        let (side, other) = match self.side {
            Side::Client => (Side::Client, Side::Server),
            Side::Server => (Side::Server, Side::Client),
        };
        let says = |entry: &Entry, who: Side| matches!(&entry.what, What::Says(side, _) if *side == who);
        for end in (1..self.best.entries.len()).rev() {
            let entries = &self.best.entries;
            let heard = entries[..end].iter().filter(|entry| says(entry, other)).count();
            let passes = entries[..end].iter().any(|entry| matches!(entry.what, What::Pass(_) | What::Act(_)));
            if heard < 2 || passes || !says(&entries[end], side) {
                continue;
            }
            let mut shorter: Vec<Entry> = entries[..end].iter().filter(|entry| !says(entry, other)).cloned().collect();
            let line = entries[end].line;
            shorter.push(Entry { line, what: What::Says(other, Said::Lines) });
            shorter.extend_from_slice(&entries[end..]);
            if self.keeps_entries(shorter) {
                break;
            }
        }
    }

    fn leave_out_settings(&mut self) {
        for left_out in (0..self.best.settings.len()).rev() {
            let text: String = self
                .best
                .to_string()
                .lines()
                .enumerate()
                .filter(|(number, _)| *number != left_out)
                .map(|(_, line)| line.to_string() + "\n")
                .collect();
            if let Ok(candidate) = Script::parse(&self.best.file, &text) {
                self.keeps(&candidate);
            }
        }
    }

    /// Shorter raw octets and shorter lines; a server's lines keep their codes, or they would be none.
    fn leave_out_octets(&mut self) {
        for at in 0..self.best.entries.len() {
            let is_reply = matches!(self.best.entries[at].what, What::Says(Side::Server, _));
            let Some(mut len) = octets(&self.best.entries[at]).map(<[u8]>::len) else { continue };
            while len > 0 {
                let mut from = if is_reply { "250 ".len() } else { 0 };
                while let Some(all) = octets(&self.best.entries[at]).filter(|all| from + len <= all.len()) {
                    let shorter = [&all[..from], &all[from + len..]].concat();
                    let mut entries = self.best.entries.to_vec();
                    set_octets(&mut entries[at], shorter);
                    if !self.keeps_entries(entries) {
                        from += len;
                    }
                }
                len /= 2;
            }
        }
    }

    /// What comes behind the failure was left out: the connection ends there, for whoever has mended it.
    fn end(&mut self) {
        let mut entries = self.best.entries.to_vec();
        let line = entries.last().map_or(0, |entry| entry.line);
        let last = entries.iter().rev().find(|entry| matches!(entry.what, What::Hears(_)));
        if last.is_some_and(|entry| !matches!(&entry.what, What::Hears(call) if call.is_any())) {
            entries.push(Entry { line, what: What::Hears(Call::any()) });
        }
        entries.push(Entry { line, what: What::Act(Act::Drop) });
        self.keeps_entries(entries);
    }

    /// The best, its lines numbered as its text form has them.
    fn numbered(mut self) -> (Script, Failure) {
        if let Ok(script) = Script::parse(&self.best.file, &self.best.to_string())
            && let Err(failure) = (self.run)(&script)
            && failure.is_renumbered(&self.failure)
        {
            return (script, failure);
        }
        (self.best, self.failure)
    }
}

/// What may be shortened: raw octets, and lines without placeholders.
fn octets(entry: &Entry) -> Option<&[u8]> {
    match &entry.what {
        What::Says(_, Said::Octets(octets)) => Some(octets),
        What::Says(_, Said::Line(pieces)) => match &pieces[..] {
            [Piece::Octets(octets)] => Some(octets),
            _ => None,
        },
        _ => None,
    }
}

fn set_octets(entry: &mut Entry, shorter: Vec<u8>) {
    match &mut entry.what {
        What::Says(_, Said::Octets(octets)) => *octets = shorter,
        What::Says(_, Said::Line(pieces)) => *pieces = [Piece::Octets(shorter)].into(),
        _ => {}
    }
}
