//! Plays tests/transcripts/*.txt against the session alone, in memory: in reads of every size, with a cut, an end and a
//! damaged octet everywhere, in both modes; with handlers that answer later, and with the least storage.

#[path = "transcripts/files.rs"]
mod files;

use std::process::ExitCode;

use heapless::Vec;
use libtest_mimic::{Arguments, Failed, Trial};
use smtpd_core::server::{Peer, Session};
use smtpd_mock::{Bounds, Driver, Memory, Script, Side, explore, play};

fn main() -> ExitCode {
    let trials = files::all().into_iter().flat_map(|script| {
        let memory = || Memory::new(|config| Session::new(config, Peer::default()));
        let tiny =
            Memory::new(|config| Session::with(config, Peer::default(), Vec::<u8, 512>::new(), Vec::<u8, 512>::new()));
        [trial(&script, memory()), trial(&script, memory().later(2).named("later")), trial(&script, tiny.named("tiny"))]
    });
    libtest_mimic::run(&Arguments::from_args(), trials.collect()).exit_code()
}

fn trial(script: &Script, driver: impl Driver + Send + 'static) -> Trial {
    let name = format!("{}::{}", driver.name(), script.file);
    let is_ignored = script.why_not(driver.name()).is_some();
    let script = script.clone();
    let run = move || {
        let mut bounds = Bounds::default();
        // As many as take about the same time for each.
        bounds.octets = (100_000 / script.octets_of(Side::Client).max(1)).clamp(16, 500);
        (bounds.ends, bounds.damage) = (driver.name() == "memory", driver.name() == "memory");
        explore(&script, Side::Client, bounds, |script| Ok(play(script, &driver).map(drop)?))
            .map_err(|found| *found)?;
        Ok::<(), Failed>(())
    };
    Trial::test(name, run).with_ignored_flag(is_ignored)
}
