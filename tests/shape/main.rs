//! The shape, proved: the same transcripts, in every cut and both modes, through every kind of driver there will be.
//!
//! | module | the driver |
//! |---|---|
//! | `tokio_tcp` | a synchronous handler on tokio, over a real port |
//! | `async_tcp` | an asynchronous handler in spawned tasks, over a real port |
//! | `stacks` | two smoltcp stacks back to back |
//! | `embedded` | smtpd-io's blocking loop, over embedded_io's traits |
//! | `embedded_async` | its async loop, for both kinds of handler |
//! | `relay`, `relay_tcp` | a relay with one leg, in memory and over TCP |

mod async_tcp;
mod cable;
mod client;
mod embedded;
mod embedded_async;
#[path = "../../core/tests/one_leg/mod.rs"]
mod one_leg;
mod pipe;
mod relay;
mod relay_tcp;
mod stacks;
mod tokio_tcp;
#[path = "../transcripts/files.rs"]
mod transcripts;
mod trips;
mod upstream;

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use libtest_mimic::{Arguments, Failed, Trial};
use smtpd_core::server::Config;
use smtpd_mock::{Act, Driver, Mode, Transcript, play};

/// Octets that a server reads at once.
const CUTS: [usize; 6] = [1, 2, 3, 7, 64, usize::MAX];

/// An upstream's settings: the limits are those in front.
static UPSTREAM: Config<'_> = {
    let mut config = Config::new("upstream.example");
    config.limits.size = 0;
    config.limits.recipients = 0;
    config
};

fn main() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let handle = runtime.handle();
    let drivers: [Arc<dyn Driver + Send + Sync>; 8] = [
        Arc::new(tokio_tcp::TokioTcp(handle.clone())),
        Arc::new(async_tcp::AsyncTcp(handle.clone())),
        Arc::new(stacks::Smoltcp),
        Arc::new(embedded::Embedded),
        Arc::new(embedded_async::Plain),
        Arc::new(embedded_async::Awaited),
        Arc::new(relay::InMemory),
        Arc::new(relay_tcp::OverTcp(handle.clone())),
    ];
    let transcripts = transcripts::all();
    let pairs = drivers.iter().flat_map(|driver| transcripts.iter().map(move |transcript| (driver, transcript)));
    let mut trials: Vec<Trial> = pairs.map(|(driver, transcript)| trial(driver, transcript)).collect();
    trials.push(Trial::test("smoltcp::rings_wrap", || rings_wrap(&transcripts::all())));
    trials.push(Trial::test("relay-memory::a_hundred_recipients_cost_four_trips", trips::hundred_recipients));
    let arguments = Arguments::from_args();
    if !arguments.list {
        drivers.iter().for_each(|driver| say_what_is_left_out(driver.name(), &transcripts));
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// What a driver can't play, counted by reason: nothing is skipped in silence.
fn say_what_is_left_out(driver: &str, transcripts: &[Arc<Transcript>]) {
    let mut reasons = BTreeMap::<&str, Vec<&str>>::new();
    for transcript in transcripts {
        if let Some(reason) = transcript.why_not(driver) {
            reasons.entry(reason).or_default().push(transcript.file.trim_end_matches(".txt"));
        }
    }
    let count: usize = reasons.values().map(Vec::len).sum();
    eprintln!("{driver} plays {} of {} transcripts", transcripts.len() - count, transcripts.len());
    for (reason, files) in reasons {
        eprintln!("  not {}: {reason}", files.join(", "));
    }
}

fn trial(driver: &Arc<dyn Driver + Send + Sync>, transcript: &Arc<Transcript>) -> Trial {
    let name = format!("{}::{}", driver.name(), transcript.file);
    let reason = transcript.why_not(driver.name());
    let is_ignored = reason.is_some();
    let driver = Arc::clone(driver);
    let transcript = match driver.name().starts_with("relay") {
        true => Arc::new(upstream::heard(transcript)),
        false => Arc::clone(transcript),
    };
    let run = move || {
        for mode in [Mode::LockStep, Mode::Pipelined] {
            for cut in cuts(&transcript) {
                play(&transcript, &*driver, cut, mode)?;
            }
        }
        Ok(())
    };
    Trial::test(name, run).with_ignored_flag(is_ignored)
}

/// Large texts in single octets take too long through a socket: that is for tests/transcripts.rs, in memory.
fn cuts(transcript: &Transcript) -> impl Iterator<Item = usize> {
    let sent = transcript.acts.iter().map(|(_, act)| if let Act::Client(octets) = act { octets.len() } else { 0 });
    let is_large = sent.sum::<usize>() > 10_000;
    CUTS.into_iter().filter(move |cut| *cut >= 7 || !is_large)
}

fn rings_wrap(transcripts: &[Arc<Transcript>]) -> Result<(), Failed> {
    let large = transcripts.iter().find(|transcript| transcript.file == "text_large.txt").ok_or("no text_large.txt")?;
    play(large, &stacks::Smoltcp, usize::MAX, Mode::Pipelined)?;
    match stacks::WRAPS.load(Ordering::Relaxed) {
        0 => Err("no ring wrapped".into()),
        _ => Ok(()),
    }
}
