//! The servers that mails are sent to, each with its own configuration, in a folder of its own.

mod aiosmtpd;
mod exim;
pub(crate) mod ours;
pub(crate) mod postfix;
pub(crate) mod sink;

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use libtest_mimic::Failed;

use crate::process::{Folder, Process};

/// A server of the table, installed or not.
pub(crate) struct Server {
    pub(crate) name: &'static str,
    /// Why it can't be started here.
    pub(crate) missing: fn() -> Option<String>,
    /// Starts one that takes any recipient of example.org.
    pub(crate) start: fn() -> Result<Running, Failed>,
    pub(crate) keeps: Keeps,
}

/// How a server keeps a text.
#[derive(Clone, Copy)]
pub(crate) enum Keeps {
    /// Octet for octet.
    AsItCame,
    /// Postfix's: behind `Received:`, with an empty line before a text that begins with no field, with LF.
    Postfix,
    /// Exim's: the same, and an empty line behind a text that is nothing but fields.
    Exim,
}

pub(crate) const ALL: &[Server] = &[postfix::SERVER, exim::SERVER, aiosmtpd::SERVER, ours::SERVER];

/// A server that is ended when this is dropped.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    arrivals: fn(&Path) -> Result<Vec<Arrival>, Failed>,
    kept: PathBuf,
    _process: Process,
    _folder: Folder,
}

/// A mail that arrived, or some of its recipients'.
pub(crate) struct Arrival {
    pub(crate) from: String,
    pub(crate) to: Vec<String>,
    /// The file of its text.
    pub(crate) text: PathBuf,
}

impl Running {
    /// What has arrived by now.
    pub(crate) fn arrivals(&self) -> Result<Vec<Arrival>, Failed> {
        (self.arrivals)(&self.kept)
    }
}

/// What keeps a mail in files, for the servers that give it to a program.
const KEEP: &[u8] = include_bytes!("keep.sh");

/// What `keep.sh` kept.
fn kept_by_script(folder: &Path) -> Result<Vec<Arrival>, Failed> {
    let mut arrivals = Vec::new();
    for envelope in files(folder, "envelope")? {
        let addresses = fs::read_to_string(&envelope)?;
        let mut addresses = addresses.lines().map(str::to_owned);
        let from = addresses.next().ok_or("an envelope without a sender")?;
        arrivals.push(Arrival { from, to: addresses.collect(), text: envelope.with_extension("text") });
    }
    Ok(arrivals)
}

fn files(folder: &Path, ending: &str) -> Result<Vec<PathBuf>, Failed> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == ending) {
            files.push(path);
        }
    }
    Ok(files)
}

/// Why a program that only root may start can't be.
fn not_root() -> Option<String> {
    (!nix::unistd::geteuid().is_root()).then(|| "only root may start it".to_owned())
}

/// Why a program can't be started: it has no file of this name.
fn no_file(path: &str, package: &str) -> Option<String> {
    (!Path::new(path).is_file()).then(|| format!("{path} ({package}) is not installed"))
}
