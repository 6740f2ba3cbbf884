//! The dialogues of tests/transcripts against the board: its handler is the script's, and time passes when the script
//! says so.

use std::collections::BTreeMap;

use libtest_mimic::Failed;
use smtpd_mock::{Actor, Connection, Driver, Mode, Reads, Script, play};

use crate::remote::Remote;

struct Firmware;

const NAME: &str = "firmware";

impl Driver for Firmware {
    fn name(&self) -> &'static str {
        NAME
    }

    fn connect<'s>(&self, script: &'s Script, actor: Actor) -> Box<dyn Connection + 's> {
        let (Reads::Of(cut) | Reads::Cut(cut)) = script.reads;
        match Remote::start(script, actor, cut) {
            Ok(remote) => Box::new(remote),
            Err(failed) => panic!("{}", failed.message().unwrap_or("no board")),
        }
    }
}

/// Why the board can't play it, if it can't.
pub(crate) fn why_not(script: &Script) -> Option<&str> {
    // What its adapter can't, it can't.
    script.why_not(NAME).or_else(|| script.why_not("smoltcp"))
}

/// Plays a script in lock step and pipelined, in segments that hold all that is said at once and in short ones.
pub(crate) fn plays(script: &Script) -> Result<(), Failed> {
    let mut script = script.clone();
    for (mode, cut) in [(Mode::LockStep, usize::MAX), (Mode::Pipelined, usize::MAX), (Mode::Pipelined, 7)] {
        // Large texts in short segments take too long.
        if cut < usize::MAX && script.octets_of(smtpd_mock::Side::Client) > 10_000 {
            continue;
        }
        (script.mode, script.reads) = (mode, Reads::Of(cut));
        play(&script, &Firmware)?;
    }
    Ok(())
}

/// What the board can't play, counted by reason: nothing is skipped in silence.
pub(crate) fn say_what_is_left_out(scripts: &[Script]) {
    let mut reasons = BTreeMap::<&str, Vec<&str>>::new();
    for script in scripts {
        if let Some(reason) = why_not(script) {
            reasons.entry(reason).or_default().push(script.file.trim_end_matches(".txt"));
        }
    }
    let count: usize = reasons.values().map(Vec::len).sum();
    eprintln!("{NAME} plays {} of {} transcripts", scripts.len() - count, scripts.len());
    for (reason, files) in reasons {
        eprintln!("  not {}: {reason}", files.join(", "));
    }
}
