//! A script in every segmentation, and with a fault at every octet.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use crate::play::caught;
use crate::shrink::shrink;
use crate::{Act, Call, Entry, Mismatch, Mode, Reads, Said, Script, Side, What};

/// How far [`explore`] goes.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Bounds {
    /// Octets of the side that the script plays at each of which something is tried; of a longer one as many, evenly
    /// spread.
    pub octets: usize,
    /// Reads that end at each octet, besides those of 1, 2, 3, 7 and 64 octets.
    pub cuts: bool,
    /// Ends at each octet: closed, reset, silent.
    pub ends: bool,
    /// Octets that are lost, doubled or turned into others.
    pub damage: bool,
}

impl Default for Bounds {
    /// All of it, for at most 2,000 octets.
    fn default() -> Self {
        Self { octets: 2_000, cuts: true, ends: true, damage: true }
    }
}

/// Why a run counts as failed: a [`Mismatch`], or words of the caller's.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Failure {
    /// The dialogue is not as the script says.
    Mismatch(Box<Mismatch>),
    /// Something that must always be true is not.
    Broken(String),
}

/// The smallest case that fails, as a script that can be kept in a file. `Debug` is the same as `Display`, for `unwrap`.
#[derive(Clone)]
#[non_exhaustive]
pub struct Found {
    /// The script.
    pub script: Script,
    /// What goes wrong with it.
    pub failure: Failure,
    /// What was tried when it first failed.
    pub tried: String,
    /// Runs until then, and runs to make it small.
    pub runs: (u32, u32),
}

/// Runs `subject` with variants of the script: in reads of every size and with a cut at every octet of the side that the
/// script plays, with that side ending at every octet, and with every octet damaged. The first failure is made as small as
/// it goes.
///
/// `subject` plays the variant that it gets and then says whether everything is still true that must be. Where a variant
/// ends early, the script asks for a beginning of what it said; where an octet is damaged, it asks for nothing, so only what
/// `subject` itself asks for counts. A panic, as of `assert!`, is a failure too.
///
/// ```
/// use smtpd_core::handlers::Sink;
/// use smtpd_mock::{Bounds, Script, Side, explore};
/// let script = Script::parse("quit.txt", "S: 220 {*}\nC: NOOP\nS: 250 {*}\nC: QUIT\nS: 221 {*}\n").unwrap();
/// let runs = explore(&script, Side::Client, Bounds::default(), |script| {
///     let played = script.play(&mut Sink)?;
///     assert!(played.heard.len() < 4);
///     Ok(())
/// });
/// assert!(runs.unwrap() > 90);
/// ```
///
/// # Errors
/// The smallest case that fails.
pub fn explore(
    script: &Script,
    side: Side,
    bounds: Bounds,
    mut subject: impl FnMut(&Script) -> Result<(), Failure>,
) -> Result<u32, Box<Found>> {
    let mut runs = 0;
    let mut run = |script: &Script, tried: &dyn Fn() -> String| {
        runs += 1;
        match attempt(script, &mut subject) {
            Ok(()) => Ok(()),
            Err(failure) => {
                let mut more = 0;
                let (script, failure) = shrink(script, side, failure, |script| {
                    more += 1;
                    attempt(script, &mut subject)
                });
                Err(Box::new(Found { script, failure, tried: tried(), runs: (runs, more) }))
            }
        }
    };
    let all = octets(script, side);
    let stride = all.div_ceil(bounds.octets.max(1)).max(1);
    for mode in modes(script, side) {
        let mut script = script.clone();
        script.mode = mode;
        for octets in [usize::MAX, 1, 2, 3, 7, 64] {
            script.reads = Reads::Of(octets);
            run(&script, &|| format!("{mode:?}, reads of {octets}"))?;
        }
        if bounds.cuts {
            for at in (1..all).step_by(stride) {
                script.reads = Reads::Cut(at);
                run(&script, &|| format!("{mode:?}, a read that ends at octet {at}"))?;
            }
        }
    }
    if bounds.ends {
        for at in (0..all).step_by(stride) {
            for act in [Act::Drop, Act::Reset, Act::Stall] {
                run(&ending(script, side, at, act), &|| format!("{act:?} at octet {at}"))?;
            }
        }
        // What was said is whole, and its answer is not waited for.
        for at in turns(script, side) {
            for act in [Act::Drop, Act::Reset, Act::Stall] {
                let line = script.entries[at].line;
                run(&broken_off(script, side, at, None, act), &|| format!("{act:?} behind line {line}"))?;
            }
        }
    }
    if bounds.damage {
        for at in (0..all).step_by(stride) {
            for damage in DAMAGES {
                run(&damaged(script, side, at, damage), &|| format!("{damage:?} octet {at}"))?;
            }
        }
    }
    Ok(runs)
}

/// What is done to an octet.
#[derive(Clone, Copy, Debug)]
enum Damage {
    Lost,
    Doubled,
    /// The octet in its place.
    Turned(u8),
}

/// Line ends and dots are what framing goes by; NUL and what is no ASCII is what nobody expects.
const DAMAGES: [Damage; 7] = [
    Damage::Lost,
    Damage::Doubled,
    Damage::Turned(b'\r'),
    Damage::Turned(b'\n'),
    Damage::Turned(b'.'),
    Damage::Turned(0),
    Damage::Turned(0xff),
];

/// Runs the subject; panics are failures.
fn attempt(script: &Script, subject: &mut impl FnMut(&Script) -> Result<(), Failure>) -> Result<(), Failure> {
    caught(|| subject(script)).unwrap_or_else(|why| Err(Failure::Broken(why)))
}

/// A server's part has one way to be said. So has a client's that does not know which lines it will hear before it goes on.
fn modes(script: &Script, side: Side) -> Vec<Mode> {
    let is_open = script.says(other(side)).any(|said| *said == Said::Lines);
    match side {
        Side::Client if !is_open => [Mode::LockStep, Mode::Pipelined].into(),
        _ => [script.mode].into(),
    }
}

/// The octets that a side says.
fn octets(script: &Script, side: Side) -> usize {
    let end = script.breaks_at().unwrap_or(script.entries.len());
    script.entries.iter().take(end).map(|entry| said(entry, side).map_or(0, |octets| octets.len())).sum()
}

/// The octets that this side says in this line, as far as they are known beforehand.
fn said(entry: &Entry, side: Side) -> Option<Vec<u8>> {
    match &entry.what {
        What::Says(who, said) if *who == side => said.octets(&Default::default()),
        _ => None,
    }
}

/// The entry in which this octet of a side is said, and its place there.
fn find(script: &Script, side: Side, octet: usize) -> Option<(usize, usize, Vec<u8>)> {
    let mut before = 0;
    for (at, entry) in script.entries.iter().enumerate() {
        let Some(octets) = said(entry, side) else { continue };
        if octet < before + octets.len() {
            return Some((at, octet - before, octets));
        }
        before += octets.len();
    }
    None
}

/// The entries behind which it is the other side's turn.
fn turns(script: &Script, side: Side) -> Vec<usize> {
    let end = script.breaks_at().unwrap_or(script.entries.len());
    let says = |at: &usize| said(&script.entries[*at], side).is_some();
    (0..end).filter(says).filter(|at| *at + 1 < end && !says(&(*at + 1))).collect()
}

/// The script up to this octet, and then an end.
fn ending(script: &Script, side: Side, octet: usize, act: Act) -> Script {
    let Some((at, within, octets)) = find(script, side, octet) else { return script.clone() };
    broken_off(script, side, at, Some(&octets[..within]), act)
}

/// The script up to this entry, of which so many octets or all are said, and then an end; of the calls, a beginning is
/// enough.
fn broken_off(script: &Script, side: Side, at: usize, octets: Option<&[u8]>, act: Act) -> Script {
    let line = script.entries[at].line;
    let mut entries: Vec<Entry> = script.entries[..at].to_vec();
    match octets {
        None => entries.push(script.entries[at].clone()),
        Some([]) => {}
        Some(octets) => entries.push(Entry { line, what: What::Says(side, Said::Octets(octets.to_vec())) }),
    }
    entries.push(Entry { line, what: What::Act(act) });
    if act == Act::Stall {
        entries.push(Entry { line, what: What::Says(other(side), Said::Lines) });
    }
    let behind = script.entries[at..].iter().filter(|entry| match &entry.what {
        What::Hears(call) => !call.call.starts_with("closed"),
        _ => false,
    });
    entries.extend(behind.cloned());
    Script { entries: entries.into(), ..script.clone() }
}

/// The script with one octet damaged; what comes of it is open.
fn damaged(script: &Script, side: Side, octet: usize, damage: Damage) -> Script {
    let mut script = script.clone();
    let Some((at, within, mut octets)) = find(&script, side, octet) else { return script };
    match damage {
        Damage::Lost => drop(octets.remove(within)),
        Damage::Doubled => octets.insert(within, octets[within]),
        Damage::Turned(into) => octets[within] = into,
    }
    let mut entries: Vec<Entry> = Vec::new();
    // One run of any lines, wherever something stood or may come.
    let lines = |entries: &mut Vec<Entry>, line| {
        let is_there = matches!(entries.last(), Some(Entry { what: What::Says(_, Said::Lines), .. }));
        if !is_there {
            entries.push(Entry { line, what: What::Says(other(side), Said::Lines) });
        }
    };
    for (number, entry) in script.entries.iter().enumerate() {
        let line = entry.line;
        match &entry.what {
            What::Hears(_) if number > at => {}
            What::Says(who, _) if number > at => {
                lines(&mut entries, line);
                if *who == side {
                    entries.push(entry.clone());
                }
            }
            _ if number == at => {
                let said = Said::Octets(octets.clone());
                entries.push(Entry { line, what: What::Says(side, said) });
            }
            _ => entries.push(entry.clone()),
        }
    }
    if script.breaks_at().is_none() {
        let line = entries.last().map_or(0, |entry| entry.line);
        lines(&mut entries, line);
        entries.push(Entry { line, what: What::Act(Act::Drop) });
    }
    let line = entries.last().map_or(0, |entry| entry.line);
    entries.push(Entry { line, what: What::Hears(Call::any()) });
    script.entries = entries.into();
    script
}

const fn other(side: Side) -> Side {
    match side {
        Side::Client => Side::Server,
        Side::Server => Side::Client,
    }
}

impl Failure {
    /// Whether another run failed in the same way.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Mismatch(one), Self::Mismatch(other)) => one.is_same(other),
            (Self::Broken(one), Self::Broken(other)) => kind(one).eq(kind(other)),
            _ => false,
        }
    }

    /// Whether that was so with the same script, its lines numbered in another way.
    pub(crate) fn is_renumbered(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Mismatch(one), Self::Mismatch(other)) => {
                kind(&one.expected).eq(kind(&other.expected)) && kind(&one.got).eq(kind(&other.got))
            }
            _ => self.is_same(other),
        }
    }
}

/// The first line of what is broken, its numbers aside: the smaller a script, the smaller they are.
fn kind(what: &str) -> impl Iterator<Item = char> {
    what.chars().take_while(|letter| *letter != '\n').filter(|letter| !letter.is_ascii_digit())
}

impl From<Box<Mismatch>> for Failure {
    fn from(mismatch: Box<Mismatch>) -> Self {
        Self::Mismatch(mismatch)
    }
}

impl From<String> for Failure {
    fn from(what: String) -> Self {
        Self::Broken(what)
    }
}

impl From<&str> for Failure {
    fn from(what: &str) -> Self {
        Self::Broken(what.to_string())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mismatch(mismatch) => mismatch.fmt(f),
            Self::Broken(what) => writeln!(f, "{what}"),
        }
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { script, failure, tried, runs } = self;
        let (first, more) = runs;
        writeln!(f, "{} fails: {tried} (run {first}; {more} more to make it small)", script.file)?;
        write!(f, "{failure}\n--- the smallest case, as a script\n{script}---")
    }
}

impl fmt::Debug for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl core::error::Error for Found {}
