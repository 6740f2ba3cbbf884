//! Plays tests/transcripts/*.txt against the session alone: in memory, in every cut, in both modes.

#[path = "transcripts/files.rs"]
mod files;

use std::process::ExitCode;

use heapless::Vec;
use libtest_mimic::{Arguments, Failed, Trial};
use smtpd_core::server::{Peer, Session};
use smtpd_mock::{Driver, Memory, Mode, Reads, Script, play};

fn main() -> ExitCode {
    let trials = files::all().into_iter().flat_map(|transcript| {
        let memory = || Memory::new(|config| Session::new(config, Peer::default()));
        let tiny =
            Memory::new(|config| Session::with(config, Peer::default(), Vec::<u8, 512>::new(), Vec::<u8, 512>::new()));
        [
            trial(&transcript, memory()),
            trial(&transcript, memory().later(2).named("later")),
            trial(&transcript, tiny.named("tiny")),
        ]
    });
    libtest_mimic::run(&Arguments::from_args(), trials.collect()).exit_code()
}

fn trial(script: &Script, driver: impl Driver + Send + 'static) -> Trial {
    let name = format!("{}::{}", driver.name(), script.file);
    let is_ignored = script.why_not(driver.name()).is_some();
    let mut script = script.clone();
    let run = move || {
        for mode in [Mode::LockStep, Mode::Pipelined] {
            for octets in [1, 2, 3, 7, 64, usize::MAX] {
                (script.mode, script.reads) = (mode, Reads::Of(octets));
                play(&script, &driver).map_err(Failed::from)?;
            }
        }
        Ok(())
    };
    Trial::test(name, run).with_ignored_flag(is_ignored)
}
