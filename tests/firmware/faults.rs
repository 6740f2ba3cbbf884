//! What happens when something is wrong in the firmware itself: it says where, and ends.

use libtest_mimic::Failed;
use smtpd_mock::{Actor, Script};

use crate::qemu::Ended;
use crate::remote::Remote;

/// A panic names its file and line in the log.
pub(crate) fn panic() -> Result<(), Failed> {
    let Ended { status, log, .. } = told(b'p')?;
    let place = log.iter().find_map(|line| line.strip_prefix("ERROR panic at "));
    let is_named = place.and_then(|place| place.strip_prefix("src/bin/remote.rs:")?.parse::<u32>().ok()).is_some();
    match status.code() {
        Some(101) if is_named => Ok(()),
        _ => Err(format!("{status}, {log:?}").into()),
    }
}

/// A stack that grows too large is a fault, before it touches anything else.
pub(crate) fn overflow() -> Result<(), Failed> {
    let Ended { status, log, .. } = told(b'o')?;
    match status.code() {
        Some(102) => Ok(()),
        _ => Err(format!("{status}, {log:?}").into()),
    }
}

fn told(order: u8) -> Result<Ended, Failed> {
    let script = Script::parse("nothing.txt", "").map_err(|error| error.to_string())?;
    Remote::start(&script, Actor::new(&script), usize::MAX)?.order(order)?.ended()
}
