//! Where a dialogue differs from its script, side by side, so that a person sees it at a glance.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use crate::notes::Notes;
use crate::{Script, What, escape};

/// The first difference between a dialogue and its script. `Debug` is the same as `Display`, for `unwrap`.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Mismatch {
    /// The file.
    pub file: String,
    /// The line in it; 0: its end.
    pub line: usize,
    /// What was expected there.
    pub expected: String,
    /// What came.
    pub got: String,
    /// In which way the script was played.
    pub how: String,
    /// What each side waited for, where both did.
    pub waits: String,
    /// All that the handler heard.
    pub heard: Vec<String>,
    /// The lines of the script from its beginning to that one, and what came for each.
    dialogue: Vec<(String, Option<String>)>,
    /// Letters of `got` that are as expected.
    mark: Option<usize>,
}

/// What came for an entry of the script.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) at: usize,
    pub(crate) got: Vec<u8>,
}

impl Mismatch {
    /// A difference at this entry of the script; none: at its end.
    pub(crate) fn new(script: &Script, at: Option<usize>, expected: String, got: String, rows: &[Row]) -> Box<Self> {
        let end = at.unwrap_or(script.entries.len());
        let shown =
            script.entries.iter().enumerate().take(end).filter(|(_, entry)| !matches!(entry.what, What::Hears(_)));
        let dialogue = shown
            .map(|(at, entry)| {
                let row = rows.iter().find(|row| row.at == at);
                (entry.to_string(), row.map(|row| escape(&row.got)))
            })
            .collect();
        let line = script.entries.get(end).map_or(0, |entry| entry.line);
        Box::new(Self {
            file: script.file.clone(),
            line,
            expected,
            got,
            how: String::new(),
            waits: String::new(),
            heard: Vec::new(),
            dialogue,
            mark: None,
        })
    }

    /// What went wrong first, on the wire or in what the handler heard. Replies differ because of what it heard, so that
    /// comes first; but what it did not hear comes last, for a dialogue that differs is not played to its end.
    pub(crate) fn first(script: &Script, notes: &Notes, on_the_wire: Option<Box<Self>>) -> Option<Box<Self>> {
        let Some(difference) = notes.difference() else { return on_the_wire };
        let expected = format!("H: {}", difference.expected);
        let of_calls = Self::new(script, difference.at, expected, format!("H: {}", difference.got), &[]);
        match on_the_wire {
            Some(on_the_wire) if difference.is_late => Some(on_the_wire),
            _ => Some(of_calls),
        }
    }

    pub(crate) fn marked(mut self: Box<Self>, mark: Option<usize>) -> Box<Self> {
        self.mark = mark;
        self
    }

    pub(crate) fn how(mut self: Box<Self>, how: String) -> Box<Self> {
        self.how = how;
        self
    }

    pub(crate) fn waits(mut self: Box<Self>, waits: String) -> Box<Self> {
        self.waits = waits;
        self
    }

    pub(crate) fn heard(mut self: Box<Self>, heard: Vec<String>) -> Box<Self> {
        self.heard = heard;
        self
    }

    /// Whether another dialogue failed in the same way.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        (&self.expected, &self.got, &self.waits) == (&other.expected, &other.got, &other.waits)
    }
}

/// Letters of a column.
const WIDTH: usize = 56;

/// Lines of the dialogue that are shown before the one that differs.
const SHOWN: usize = 6;

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, how, dialogue, .. } = self;
        match line {
            0 => write!(f, "{file}, at its end")?,
            line => write!(f, "{file}:{line}")?,
        }
        match how.is_empty() {
            true => f.write_str("\n")?,
            false => writeln!(f, " ({how})")?,
        }
        writeln!(f, "    {:WIDTH$} | got", "expected")?;
        for (expected, got) in &dialogue[dialogue.len().saturating_sub(SHOWN)..] {
            let expected = cut(expected, 0);
            match got {
                Some(got) => writeln!(f, "    {expected:WIDTH$} | {}", cut(got, 0))?,
                None => writeln!(f, "    {expected:WIDTH$} |")?,
            }
        }
        let mark = self.mark.unwrap_or(0);
        writeln!(f, "  > {:WIDTH$} | {}", cut(&self.expected, mark), cut(&self.got, mark))?;
        if let Some(mark) = self.mark {
            let at = mark - skipped(mark);
            writeln!(f, "    {:at$}^{:rest$} | {:at$}^", "", "", "", rest = WIDTH.saturating_sub(at + 1))?;
        }
        if !self.waits.is_empty() {
            writeln!(f, "  {}", self.waits)?;
        }
        if !self.heard.is_empty() {
            let skipped = self.heard.len().saturating_sub(12);
            f.write_str("  the handler heard:\n")?;
            self.heard.iter().skip(skipped).try_for_each(|call| writeln!(f, "    {}", cut(call, 0)))?;
        }
        Ok(())
    }
}

impl fmt::Debug for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl core::error::Error for Mismatch {}

/// Letters that are left out before the mark, so that it can be seen.
fn skipped(mark: usize) -> usize {
    if mark < WIDTH - 8 { 0 } else { mark - WIDTH / 2 }
}

/// A column's worth of the text, with the mark in it.
pub(crate) fn cut(text: &str, mark: usize) -> String {
    let skipped = skipped(mark);
    let mut letters = text.chars().skip(skipped);
    let mut shown: String = letters.by_ref().take(WIDTH).collect();
    if letters.next().is_some() {
        shown.pop();
        shown.push('…');
    }
    if skipped > 0 {
        shown = shown.chars().skip(1).collect();
        shown.insert(0, '…');
    }
    shown
}
