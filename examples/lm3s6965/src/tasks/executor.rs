//! Runs tasks, and sleeps whenever none has anything to do.
//!
//! Embassy's own executor for Cortex-M waits with WFE, which QEMU does not: it would never sleep there.

use core::sync::atomic::{AtomicBool, Ordering};

use embassy_executor::Spawner;
use embassy_executor::raw::Executor;
use smoltcp::time::Instant;

use super::time;
use crate::clock;

/// Whether a task has something to do.
static IS_PENDING: AtomicBool = AtomicBool::new(false);

/// Starts the tasks, and runs them for ever. Once.
pub fn run(executor: &'static Executor, start: impl FnOnce(Spawner)) -> ! {
    start(executor.spawner());
    loop {
        IS_PENDING.store(false, Ordering::Relaxed);
        // SAFETY: never called by a task or an interrupt, nor by anybody else.
        unsafe { executor.poll() };
        let next = i64::try_from(time::wake()).ok().map(Instant::from_micros);
        clock::sleep(next, || !IS_PENDING.load(Ordering::Relaxed));
    }
}

/// The executor's call for attention.
// SAFETY: it is the only one of this name.
#[unsafe(export_name = "__pender")]
fn pend(_: *mut ()) {
    IS_PENDING.store(true, Ordering::Relaxed);
}
