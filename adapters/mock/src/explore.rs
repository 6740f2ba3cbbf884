//! A script in every segmentation, and with a fault at every octet.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString};
use core::fmt;

use crate::play::{caught, how};
use crate::shrink::shrink;
use crate::variants::{DAMAGES, broken_off, damaged, ending, modes, octets, turns};
use crate::{Act, Mismatch, Reads, Script, Side};

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

/// Runs `subject` with variants of the script: as it stands, in reads of every size and with a cut at every octet of the side that the
/// script plays, with that side ending at every octet, and with every octet damaged. The first failure is made as small as
/// it goes.
///
/// `subject` plays the variant that it gets and then says whether everything is still true that must be. Where a variant
/// ends early, the script asks for a beginning of what it said; where an octet is damaged, it asks for nothing, so only what
/// `subject` itself asks for counts. A panic, as of `assert!`, is a failure too, and prints its message each time; an `Err` is
/// quiet.
///
/// Nothing is said twice, left out or in another order but for that: what a script does not lead to is not found.
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
            run(&script, &|| how(&script, ""))?;
        }
        if bounds.cuts {
            for at in (1..all).step_by(stride) {
                script.reads = Reads::Cut(at);
                run(&script, &|| how(&script, ""))?;
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

/// Runs the subject; panics are failures.
fn attempt(script: &Script, subject: &mut impl FnMut(&Script) -> Result<(), Failure>) -> Result<(), Failure> {
    caught(|| subject(script)).unwrap_or_else(|why| Err(Failure::Broken(why)))
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
