//! Temporary folders, free ports and waiting.

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU16, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use libtest_mimic::Failed;

/// How long anything may take; waited for only where a test fails. A start of Mailman takes 4 s, and more than 60 s where
/// others keep the processors busy.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// A folder that goes with its owner.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Result<Self, Failed> {
        let path = std::env::temp_dir().join(format!("smtpd-mailman-{}-{}", std::process::id(), number()));
        std::fs::create_dir_all(&path)?;
        Ok(Self(path))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Another one each time.
pub(crate) fn number() -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// A port that is free, and that no connection gets by chance while nobody listens on it: below those that systems give
/// to clients.
pub(crate) fn free_port() -> Result<u16, Failed> {
    const FIRST: u16 = 20_000;
    const PORTS: u16 = 10_000;
    /// A run takes fewer, so that another one at the same time has others: a port is free until Mailman has started.
    const OF_A_RUN: u16 = 80;
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let begin = (std::process::id() % u32::from(PORTS / OF_A_RUN)) as u16 * OF_A_RUN;
    for _ in 0..PORTS {
        let port = FIRST + (begin + NEXT.fetch_add(1, Ordering::Relaxed)) % PORTS;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(port);
        }
    }
    Err("no port is free".into())
}

/// Looks until there is something.
pub(crate) fn wait<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> Result<T, Failed> {
    let begun = Instant::now();
    loop {
        if let Some(found) = look() {
            return Ok(found);
        }
        if begun.elapsed() > PATIENCE {
            return Err(format!("{what}: not within {PATIENCE:?}").into());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}
