//! A script that fails, made smaller as long as it fails in the same way.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::{Call, Entry, Failure, Mode, Piece, Reads, Said, Script, Side, What};

/// Runs that are spent on it at most.
const MOST: u32 = 20_000;

/// A script that is being made smaller.
struct Shrinking<R> {
    best: Script,
    failure: Failure,
    run: R,
    left: u32,
}

/// The smallest script that was found to fail as this one does, and how.
pub(crate) fn shrink(
    script: &Script,
    failure: Failure,
    run: impl FnMut(&Script) -> Result<(), Failure>,
) -> (Script, Failure) {
    let mut shrinking = Shrinking { best: script.clone(), failure, run, left: MOST };
    let mut before = usize::MAX;
    while shrinking.size() < before && shrinking.left > 0 {
        before = shrinking.size();
        shrinking.read_plainly();
        shrinking.forget_calls();
        shrinking.leave_out_entries();
        shrinking.skip_replies();
        shrinking.leave_out_settings();
        shrinking.leave_out_octets();
    }
    shrinking.numbered()
}

impl<R: FnMut(&Script) -> Result<(), Failure>> Shrinking<R> {
    /// Octets of the text form, which is what a person reads.
    fn size(&self) -> usize {
        self.best.to_string().len()
    }

    /// Keeps a candidate that fails in the same way. A cut moves with the octets before it.
    fn keeps(&mut self, candidate: &Script) -> bool {
        let mut ways = Vec::from([candidate.reads]);
        if let Reads::Cut(at) = candidate.reads {
            let says = |script: &Script| script.octets_of(Side::Client) + script.octets_of(Side::Server);
            let fewer = says(&self.best).saturating_sub(says(candidate));
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

    /// No calls at all, or any calls up to one of them.
    fn forget_calls(&mut self) {
        let is_call = |entry: &Entry| matches!(entry.what, What::Hears(_));
        let without: Vec<Entry> = self.best.entries.iter().filter(|entry| !is_call(entry)).cloned().collect();
        if without.len() == self.best.entries.len() || self.keeps_entries(without) {
            return;
        }
        let calls: Vec<usize> = (0..self.best.entries.len()).filter(|at| is_call(&self.best.entries[*at])).collect();
        for kept in calls {
            let mut entries: Vec<Entry> = Vec::new();
            for (at, entry) in self.best.entries.iter().enumerate() {
                if !is_call(entry) {
                    entries.push(entry.clone());
                } else if at == kept {
                    entries.push(Entry { line: entry.line, what: What::Hears(Call::any()) });
                    entries.push(entry.clone());
                }
            }
            if entries.len() < self.best.entries.len() && self.keeps_entries(entries) {
                return;
            }
        }
    }

    /// Long runs of entries first, from the end, where what came after the failure is.
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

    /// Any replies in place of those up to one of the lines that are said.
    fn skip_replies(&mut self) {
        for side in [Side::Client, Side::Server] {
            let says = |entry: &Entry, who: Side| matches!(&entry.what, What::Says(side, _) if *side == who);
            let other = if side == Side::Client { Side::Server } else { Side::Client };
            for end in (1..self.best.entries.len()).rev() {
                let entries = &self.best.entries;
                let heard = entries[..end].iter().filter(|entry| says(entry, other)).count();
                if heard < 2 || !says(&entries[end], side) {
                    continue;
                }
                let mut shorter: Vec<Entry> =
                    entries[..end].iter().filter(|entry| !says(entry, other)).cloned().collect();
                let line = entries[end].line;
                shorter.push(Entry { line, what: What::Says(other, Said::Lines) });
                shorter.extend_from_slice(&entries[end..]);
                if self.keeps_entries(shorter) {
                    break;
                }
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

    /// Shorter raw octets and shorter lines.
    fn leave_out_octets(&mut self) {
        for at in 0..self.best.entries.len() {
            let Some(mut len) = octets(&self.best.entries[at]).map(<[u8]>::len) else { continue };
            while len > 0 {
                let mut from = 0;
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

    /// The best, its lines numbered as its text form has them.
    fn numbered(mut self) -> (Script, Failure) {
        if let Ok(script) = Script::parse(&self.best.file, &self.best.to_string())
            && let Err(failure) = (self.run)(&script)
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
