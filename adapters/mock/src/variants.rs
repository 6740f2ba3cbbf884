//! Variants of a script: all ways to say it, ends at any octet, damage of any octet.

use alloc::vec::Vec;

use crate::{Act, Call, Entry, Mode, Said, Script, Side, What};

/// What is done to an octet.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Damage {
    Lost,
    Doubled,
    /// The octet in its place.
    Turned(u8),
}

/// Line ends and dots are what framing goes by; NUL and what is no ASCII is what nobody expects.
pub(crate) const DAMAGES: [Damage; 7] = [
    Damage::Lost,
    Damage::Doubled,
    Damage::Turned(b'\r'),
    Damage::Turned(b'\n'),
    Damage::Turned(b'.'),
    Damage::Turned(0),
    Damage::Turned(0xff),
];

/// A server's part has one way to be said. So has a client's that does not know which lines it will hear before it goes on.
pub(crate) fn modes(script: &Script, side: Side) -> Vec<Mode> {
    let is_open = script.says(other(side)).any(|said| *said == Said::Lines);
    match side {
        Side::Client if !is_open => [Mode::LockStep, Mode::Pipelined].into(),
        _ => [script.mode].into(),
    }
}

/// The octets that a side says.
pub(crate) fn octets(script: &Script, side: Side) -> usize {
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
pub(crate) fn turns(script: &Script, side: Side) -> Vec<usize> {
    let end = script.breaks_at().unwrap_or(script.entries.len());
    let says = |at: &usize| said(&script.entries[*at], side).is_some();
    (0..end).filter(says).filter(|at| *at + 1 < end && !says(&(*at + 1))).collect()
}

/// The script up to this octet, and then an end.
pub(crate) fn ending(script: &Script, side: Side, octet: usize, act: Act) -> Script {
    let Some((at, within, octets)) = find(script, side, octet) else { return script.clone() };
    broken_off(script, side, at, Some(&octets[..within]), act)
}

/// The script up to this entry, of which so many octets or all are said, and then an end; of the calls, a beginning is
/// enough.
pub(crate) fn broken_off(script: &Script, side: Side, at: usize, octets: Option<&[u8]>, act: Act) -> Script {
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
pub(crate) fn damaged(script: &Script, side: Side, octet: usize, damage: Damage) -> Script {
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
