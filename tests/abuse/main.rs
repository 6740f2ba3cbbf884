//! Clients that mean ill, against the command `smtpd` with its default limits: a client that means well is served beside
//! them, and memory does not grow.
//!
//! The command is that of the variable `SMTPD`, or the one that was built beside this test. `SMTPD_ABUSE_SECS` says how
//! long each attack lasts, 3 seconds if it says nothing. All of it stays on loopback: the attackers come from
//! 127.0.0.1, the other client from 127.0.0.2.

mod attacks;
mod client;
mod honest;
mod server;

use std::process::ExitCode;
use std::time::Duration;

use attacks::{ATTACKS, Attack};
use honest::Honest;
use libtest_mimic::{Arguments, Completion, Failed, Trial};
use server::Server;
use tokio::runtime::Builder;

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // Each is measured alone.
    arguments.test_threads = Some(1);
    let secs = std::env::var("SMTPD_ABUSE_SECS").ok().and_then(|secs| secs.parse().ok()).unwrap_or(3);
    let length = Duration::from_secs(secs);
    let trials = ATTACKS.iter().map(|attack| Trial::ignorable_test(attack.name, move || suffer(attack, length)));
    libtest_mimic::run(&arguments, trials.collect()).exit_code()
}

fn suffer(attack: &Attack, length: Duration) -> Result<Completion, Failed> {
    if !cfg!(target_os = "linux") {
        return Ok(Completion::ignored_with("127.0.0.2 and /proc are Linux's"));
    }
    // Of times alone: the machine may be busy with other things.
    for _ in 0..2 {
        if measure(attack, length)? {
            return Ok(Completion::Completed);
        }
    }
    match measure(attack, length)? {
        true => Ok(Completion::Completed),
        false => Err("the honest client had to wait, three times".into()),
    }
}

/// Whether the honest client was served as fast as it has to be. That it is served, and that memory does not grow, is a
/// must each time.
fn measure(attack: &Attack, length: Duration) -> Result<bool, Failed> {
    let mut server = Server::start(attack.arguments)?;
    let address = server.address;
    // Attackers have a runtime of their own, so that the honest client waits for the server and not for them.
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    runtime.block_on(attacks::warm(address))?;

    let quiet = Honest::start(address).stop_after(Duration::from_millis(1_500))?;
    let before = server.resident()?;
    let honest = Honest::start(address);
    let attacked = runtime.spawn((attack.run)(address, length));
    let mut most = before;
    while !attacked.is_finished() || !honest.has_enough() {
        std::thread::sleep(Duration::from_millis(20));
        most = most.max(server.resident()?);
    }
    let said = runtime.block_on(attacked)??;
    let busy = honest.stop_after(Duration::ZERO)?;
    let growth = most.saturating_sub(before);
    println!(
        "\n    {}: {said}; honest mails {}, p99 {} ms (quiet {}), growth {} KiB",
        attack.name,
        busy.mails,
        busy.p99.as_millis(),
        quiet.p99.as_millis(),
        growth >> 10
    );
    if growth > attack.growth {
        return Err(format!("the server grew by {growth} octets, from {before}").into());
    }
    server.is_alive()?;
    Ok(busy.p99 <= Duration::from_millis(100).max(quiet.p99 * 10))
}
