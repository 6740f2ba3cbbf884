//! The shape, proved: the same transcripts, in every cut and both modes, through every kind of driver there will be.
//!
//! | module | the driver |
//! |---|---|
//! | `tokio_tcp` | a synchronous handler on tokio, over a real port |
//! | `async_tcp` | an asynchronous handler in spawned tasks, over a real port |
//! | `smoltcp` | smtpd-smoltcp's server between two stacks, and a relay with one leg there |
//! | `io` | smtpd-io's loops at the end of a wire: blocking, async with both kinds of handler |
//! | `nal` | smtpd-nal's server over a stack in memory |
//! | `relay`, `relay_tcp`, `relay_tokio` | a relay with one leg, in memory, and over TCP by smtpd-io and by smtpd-std |

mod async_tcp;
mod client;
mod io;
mod nal;
#[path = "../../core/tests/one_leg/mod.rs"]
mod one_leg;
mod pipe;
mod relay;
mod relay_tcp;
mod relay_tokio;
mod smoltcp;
#[path = "../../adapters/smoltcp/tests/common/mod.rs"]
mod smoltcp_common;
mod tokio_tcp;
#[path = "../transcripts/files.rs"]
mod transcripts;
mod trips;
mod upstream;

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Arc;

use libtest_mimic::{Arguments, Trial};
use smtpd_core::server::Config;
use smtpd_mock::{Driver, Mismatch, Mode, Reads, Script, Side, play};

/// Octets that a server reads at once.
const CUTS: [usize; 6] = [1, 2, 3, 7, 64, usize::MAX];

/// An upstream's settings: the limits are those in front.
static UPSTREAM: Config<'_> = {
    let mut config = Config::new("upstream.example");
    config.limits.size = 0;
    config.limits.recipients = 0;
    config
};

/// Plays a script against a server, in whatever way.
type Plays = dyn Fn(&Script) -> Result<(), Box<Mismatch>> + Send + Sync;

fn driven(driver: impl Driver + Send + Sync + 'static) -> (&'static str, Arc<Plays>) {
    (driver.name(), Arc::new(move |script: &Script| play(script, &driver).map(drop)))
}

fn main() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let handle = runtime.handle();
    let drivers: [(&str, Arc<Plays>); 11] = [
        driven(tokio_tcp::TokioTcp(handle.clone())),
        driven(async_tcp::AsyncTcp(handle.clone())),
        driven(smoltcp::Smoltcp),
        ("io-blocking", Arc::new(io::blocking)),
        ("io-plain", Arc::new(io::plain)),
        ("io-async", Arc::new(io::awaited)),
        driven(nal::Nal),
        driven(relay::InMemory),
        driven(smoltcp::Relayed),
        driven(relay_tcp::OverTcp(handle.clone())),
        driven(relay_tokio::OnTokio(handle.clone())),
    ];
    let transcripts = transcripts::all();
    let pairs = drivers.iter().flat_map(|driver| transcripts.iter().map(move |transcript| (driver, transcript)));
    let mut trials: Vec<Trial> = pairs.map(|((name, plays), transcript)| trial(name, plays, transcript)).collect();
    trials.push(Trial::test("relay-memory::a_hundred_recipients_cost_four_trips", trips::hundred_recipients));
    let arguments = Arguments::from_args();
    if !arguments.list {
        drivers.iter().for_each(|(name, _)| say_what_is_left_out(name, &transcripts));
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// What a driver can't play, counted by reason: nothing is skipped in silence.
fn say_what_is_left_out(driver: &str, transcripts: &[Script]) {
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

fn trial(driver: &str, plays: &Arc<Plays>, transcript: &Script) -> Trial {
    let name = format!("{driver}::{}", transcript.file);
    let is_ignored = transcript.why_not(driver).is_some();
    let plays = Arc::clone(plays);
    let mut script = match driver.starts_with("relay") {
        true => upstream::heard(transcript),
        false => transcript.clone(),
    };
    let driver = driver.to_owned();
    let run = move || {
        for mode in [Mode::LockStep, Mode::Pipelined] {
            for cut in cuts(&driver, &script) {
                (script.mode, script.reads) = (mode, Reads::Of(cut));
                plays(&script)?;
            }
        }
        Ok(())
    };
    Trial::test(name, run).with_ignored_flag(is_ignored)
}

/// Large texts in single octets take too long through a socket: that is for those in memory.
fn cuts(driver: &str, script: &Script) -> impl Iterator<Item = usize> + use<> {
    let is_large = script.octets_of(Side::Client) > 10_000 && !driver.starts_with("io") && driver != "nal";
    CUTS.into_iter().filter(move |cut| *cut >= 7 || !is_large)
}

/// Octets that a server reads at once.
fn cut(script: &Script) -> usize {
    match script.reads {
        Reads::Of(octets) | Reads::Cut(octets) => octets,
    }
}
