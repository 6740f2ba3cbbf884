//! The firmware of examples/lm3s6965, in QEMU, with clients on loopback.
//!
//! `tests/run firmware` builds it first. Each test has a machine of its own, which starts in 0.2 s. Where QEMU, defmt-print
//! or the firmware is missing, each test is ignored, with that as the reason.
//!
//! | module | what it proves |
//! |---|---|
//! | `large` | texts larger than the RAM come whole |
//! | `dialogue` | all transcripts that `adapters/smoltcp` can play |
//! | `faults` | a panic says where, and ends |
//! | `kinds` | the other binaries take mails |

mod client;
mod counts;
mod dialogue;
mod faults;
mod idle;
mod instructions;
mod kinds;
mod large;
#[path = "../clients/lines.rs"]
mod lines;
mod qemu;
mod remote;
#[path = "../transcripts/files.rs"]
mod transcripts;
mod wire;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Completion, Failed, Trial};

/// Those whose instructions are counted.
const COUNTED: &[Test] = &[
    ("core's text path is short, at every run", "bench", instructions::bench),
    ("a megabyte takes few instructions", "checksum", instructions::megabyte),
    ("a mail takes few instructions", "checksum", instructions::mail),
    ("a board without work sleeps", "checksum", idle::sleeps),
];

/// A test: its name, the binary that it runs.
type Test = (&'static str, &'static str, fn() -> Result<(), Failed>);

const TESTS: &[Test] = &[
    ("a megabyte comes whole through one session", "checksum", large::one_session),
    ("four sessions at once do not mix their texts", "checksum", large::four_sessions),
    ("every octet comes at every place of a line", "checksum", large::all_octets),
    ("debugging prints a mail as Python does", "debugging", kinds::debugging),
    ("a panic says where it was, and the board ends", "dialogue", faults::panic),
    ("a stack that overflows is a fault", "dialogue", faults::overflow),
    ("tiny takes one mail after another", "tiny", kinds::tiny),
];

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let scripts = transcripts::all();
    if !arguments.list {
        dialogue::say_what_is_left_out(&scripts);
    }
    let mut trials: Vec<Trial> = TESTS.iter().map(|(name, binary, test)| trial(*name, binary, *test)).collect();
    trials.extend(COUNTED.iter().map(|(name, binary, test)| match counts::missing() {
        Some(reason) => Trial::ignorable_test(*name, move || Ok(Completion::ignored_with(reason))),
        None => trial(*name, binary, *test),
    }));
    trials.extend(scripts.into_iter().map(|script| {
        let is_ignored = dialogue::why_not(&script).is_some();
        let name = format!("dialogue::{}", script.file);
        trial(name, "dialogue", move || dialogue::plays(&script)).with_ignored_flag(is_ignored)
    }));
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn trial(
    name: impl Into<String>,
    binary: &'static str,
    test: impl FnOnce() -> Result<(), Failed> + Send + 'static,
) -> Trial {
    Trial::ignorable_test(name, move || match qemu::missing(binary) {
        Some(reason) => Ok(Completion::ignored_with(reason)),
        None => test().map(|()| Completion::Completed),
    })
}
