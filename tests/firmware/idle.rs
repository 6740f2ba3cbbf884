//! While there is nothing to do, the board sleeps.

use std::thread;
use std::time::Duration;

use libtest_mimic::Failed;

use crate::client::Client;
use crate::counts::Counted;

/// With no client, and with four that say nothing.
pub(crate) fn sleeps() -> Result<(), Failed> {
    let counted = Counted::start("mailbox", None)?;
    let alone = ten_seconds(&counted)?;
    let clients: Vec<Client> = (0..4).map(|_| Client::hello(counted.board.port)).collect::<Result<_, _>>()?;
    let idle = ten_seconds(&counted)?;
    drop(clients);
    println!("    ten seconds without a client: {alone} instructions, with four that say nothing: {idle}");
    // A core that does not sleep executes 31 million a second.
    match alone.max(idle) {
        0..=MOST => Ok(()),
        most => Err(format!("{most} instructions, at most {MOST}").into()),
    }
}

/// A third above what was measured, and 1 in 3,000 of what a core executes that does not sleep.
const MOST: u64 = 100_000;

fn ten_seconds(counted: &Counted) -> Result<u64, Failed> {
    thread::sleep(Duration::from_millis(500));
    let before = counted.counts()?;
    thread::sleep(Duration::from_secs(10));
    let counts = counted.counts()?.since(&before);
    // It interrupts every 320 ms of the board's own time.
    match counts.entries("SysTick")? {
        31.. => Ok(counts.total()),
        few => Err(format!("less than 10 s of the board's time: {few} interrupts of SysTick").into()),
    }
}
