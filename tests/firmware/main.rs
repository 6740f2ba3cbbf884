//! The firmware of examples/lm3s6965, in QEMU, with clients on loopback.
//!
//! `tests/run firmware` builds it first. Each test has a machine of its own, which starts in 0.2 s. Where QEMU, defmt-print
//! or the firmware is missing, each test is ignored, with that as the reason.
//!
//! | module | what it proves |
//! |---|---|
//! | `alert` | the board sends mail by itself, and loses none |
//! | `mail`, `real` | the mailbox keeps what it answered 250, also from real clients |
//! | `crowds` | many clients at once |
//! | `floods` | frames that mean ill |
//! | `sizes` | flash, RAM and stack |
//! | `instructions`, `idle` | what the CPU does, instruction by instruction |
//! | `large` | texts larger than the RAM come whole |
//! | `dialogue` | all transcripts that `adapters/smoltcp` can play |
//! | `faults` | a panic says where, and ends |
//! | `gateway` | mails pass through the board to servers on the host, and what goes wrong there is heard by clients |
//! | `kinds` | the other binaries take mails |
//! | `dhcp` | the mailbox takes mails at an address that it was given |

mod alert;
mod client;
mod counts;
mod crowds;
mod dhcp;
mod dialogue;
mod faults;
mod files;
mod floods;
mod gateway;
mod idle;
mod instructions;
mod kinds;
mod large;
#[path = "../clients/lines.rs"]
mod lines;
mod mail;
#[path = "../clients/mails.rs"]
mod mails;
#[path = "../proxy/process.rs"]
#[allow(dead_code)] // for other servers
mod process;
#[path = "../clients/programs.rs"]
#[allow(dead_code)] // its storms
mod programs;
mod qemu;
mod real;
mod remote;
#[path = "../proxy/servers/mod.rs"]
#[allow(dead_code)] // the other servers
mod servers;
mod sizes;
mod spool;
#[path = "../transcripts/files.rs"]
mod transcripts;
mod upstream;
mod wire;
mod wired;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Completion, Failed, Trial};

/// Those that need gcc and binutils too.
const COUNTED: &[Test] = &[
    ("core's text path is short, at every run", "bench", instructions::bench),
    ("a megabyte takes few instructions", "checksum", instructions::megabyte),
    ("a mail takes few instructions", "checksum", instructions::mail),
    ("mailbox fits, and its stack", "mailbox", sizes::mailbox),
    ("embassy fits, and its stack", "embassy", sizes::embassy),
    ("tiny fits into 14 KiB", "tiny", sizes::tiny),
    ("gateway fits, and its stack", "gateway", sizes::gateway),
    ("alert fits, and its stack", "alert", sizes::alert),
    ("a board without work sleeps", "mailbox", idle::sleeps),
];

/// A test: its name, the binary that it runs.
type Test = (&'static str, &'static str, fn() -> Result<(), Failed>);

const TESTS: &[Test] = &[
    ("fifty mails in a row are kept whole", "mailbox", mail::fifty_in_a_row),
    ("a hundred recipients: its own addresses are accepted", "mailbox", mail::hundred_recipients),
    ("a text is kept octet for octet", "mailbox", mail::octet_for_octet),
    ("a megabyte is refused, and the next mail served", "mailbox", mail::too_large),
    ("a full spool refuses until its owner has it reported", "mailbox", mail::full),
    ("a frame wakes a board that sleeps", "mailbox", mail::wakes),
    ("the owner's subjects switch the lamp", "mailbox", mail::lamp),
    ("VRFY tells the room, and Postmaster gets mail", "mailbox", mail::room),
    ("clients that vanish leave nothing behind", "mailbox", mail::vanishing),
    ("a board that is told to end has status 0", "mailbox", mail::status),
    ("four clients at once are served", "mailbox", crowds::four),
    ("seven clients at once are served, with four places", "mailbox", crowds::seven),
    ("a flood of SYNs does not end a session", "mailbox", floods::syns),
    ("frames that are none do not end a session", "mailbox", floods::garbage),
    ("embassy takes mails in a row and at once", "embassy", crowds::embassy),
    ("a megabyte comes whole through one session", "checksum", large::one_session),
    ("four sessions at once do not mix their texts", "checksum", large::four_sessions),
    ("every octet comes at every place of a line", "checksum", large::all_octets),
    ("debugging prints a mail as Python does", "debugging", kinds::debugging),
    ("a panic says where it was, and the board ends", "remote", faults::panic),
    ("a stack that overflows is a fault", "remote", faults::overflow),
    ("tiny takes one mail after another", "tiny", kinds::tiny),
    ("gateway: a hundred recipients cost few round trips", "gateway", gateway::hundred_recipients),
    ("gateway: the server's refusals are heard by clients", "gateway", gateway::refusals),
    ("gateway: a server that is away is told at MAIL", "gateway", gateway::server_away),
    ("gateway: a server that is lost in the text is told", "gateway", gateway::server_lost),
    ("gateway: a client that is lost in the text sends none", "gateway", gateway::client_lost),
    ("gateway: four clients at once do not mix their texts", "gateway", gateway::four_at_once),
    ("gateway: a server that does not read holds its client up", "gateway", gateway::slow_server),
    ("alert: a server that is away gets all alerts later, in their order", "alert", alert::server_away),
    ("alert: what is refused for now is sent again, later and later", "alert", alert::refused_for_now),
    ("alert: what is refused for good is given up", "alert", alert::refused_for_good),
    ("alert: a server that is lost in the text gets it again", "alert", alert::server_lost),
    ("alert: a network that is away delays alerts", "alert", alert::network_away),
    ("alert: a full spool says so, and goes on", "alert", alert::full),
    ("mails come at an address by DHCP", "mailbox+dhcp", dhcp::mails),
];

/// One that needs a program of the host, too.
type Program = (&'static str, &'static str, fn() -> Result<Completion, Failed>);

const PROGRAMS: &[Program] = &[
    ("gateway: mails come octet for octet at our own server", "gateway", gateway::octet_for_octet),
    ("gateway: mails of swaks come at smtp-sink", "gateway", gateway::swaks_to_sink),
    ("alert: a mail with date and number comes at our own server, once", "alert", alert::once),
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
    trials.push(Trial::ignorable_test("no function has a large stack frame", || match qemu::missing("mailbox") {
        Some(reason) => Ok(Completion::ignored_with(reason)),
        None => sizes::frames(),
    }));
    for (name, binary, test) in PROGRAMS {
        trials.push(Trial::ignorable_test(*name, || match qemu::missing(binary) {
            Some(reason) => Ok(Completion::ignored_with(reason)),
            None => test(),
        }));
    }
    for client in programs::CLIENTS {
        trials.extend(real::mails().into_iter().map(|mail| {
            let name = format!("{}::{}", client.name, mail.name);
            Trial::ignorable_test(name, move || match qemu::missing("mailbox") {
                Some(reason) => Ok(Completion::ignored_with(reason)),
                None => real::delivers(client, &mail),
            })
        }));
    }
    trials.extend(scripts.into_iter().map(|script| {
        let is_ignored = dialogue::why_not(&script).is_some();
        let name = format!("dialogue::{}", script.file);
        trial(name, "remote", move || dialogue::plays(&script)).with_ignored_flag(is_ignored)
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
