//! The firmware of examples/lm3s6965, in QEMU, with clients on loopback.
//!
//! `tests/run firmware` builds it first. Each test has a machine of its own, which starts in 0.2 s. Where QEMU, defmt-print
//! or the firmware is missing, each test is ignored, with that as the reason.
//!
//! | module | what it proves |
//! |---|---|
//! | `large` | texts larger than the RAM come whole |
//! | `kinds` | the other binaries take mails |

mod client;
mod kinds;
mod large;
#[path = "../clients/lines.rs"]
mod lines;
mod qemu;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Completion, Failed, Trial};

/// A test: its name, the binary that it runs.
type Test = (&'static str, &'static str, fn() -> Result<(), Failed>);

const TESTS: &[Test] = &[
    ("a megabyte comes whole through one session", "checksum", large::one_session),
    ("four sessions at once do not mix their texts", "checksum", large::four_sessions),
    ("every octet comes at every place of a line", "checksum", large::all_octets),
    ("debugging prints a mail as Python does", "debugging", kinds::debugging),
    ("tiny takes one mail after another", "tiny", kinds::tiny),
];

fn main() -> ExitCode {
    let trials = TESTS.iter().map(|(name, binary, test)| {
        Trial::ignorable_test(*name, move || match qemu::missing(binary) {
            Some(reason) => Ok(Completion::ignored_with(reason)),
            None => test().map(|()| Completion::Completed),
        })
    });
    libtest_mimic::run(&Arguments::from_args(), trials.collect()).exit_code()
}
