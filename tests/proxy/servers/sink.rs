//! Postfix's smtp-sink, which keeps each mail in a file together with what came before it.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;

use libtest_mimic::Failed;

use super::no_file;
use crate::process::{Folder, Process, free_address, wait_for};

/// One that is ended when this is dropped.
pub(crate) struct Sink {
    pub(crate) address: SocketAddr,
    kept: PathBuf,
    _process: Process,
    _folder: Folder,
}

/// What is in a file: how many recipients and octets.
pub(crate) struct Kept {
    pub(crate) recipients: usize,
    pub(crate) octets: usize,
}

pub(crate) fn missing() -> Option<String> {
    no_file("/usr/sbin/smtp-sink", "Debian: postfix").or_else(|| no_file("/usr/sbin/smtp-source", "Debian: postfix"))
}

impl Sink {
    pub(crate) fn start() -> Result<Self, Failed> {
        let folder = Folder::new("sink")?;
        let (address, kept) = (free_address()?, folder.open("kept")?);
        let (template, listen) = (format!("{kept}/mail."), address.to_string());
        let mut command = vec!["/usr/sbin/smtp-sink", "-d", &template];
        if nix::unistd::geteuid().is_root() {
            command.extend(["-u", "nobody"]);
        }
        command.extend([&listen, "1000"]);
        let process = Process::run(&folder, &command)?;
        wait_for(address, &folder)?;
        Ok(Self { address, kept: kept.into(), _process: process, _folder: folder })
    }

    /// What has arrived by now.
    pub(crate) fn arrivals(&self) -> Result<Vec<Kept>, Failed> {
        let mut arrivals = Vec::new();
        for entry in fs::read_dir(&self.kept)? {
            let text = fs::read(entry?.path())?;
            let mut mail = Kept { recipients: 0, octets: 0 };
            for line in text.split_inclusive(|octet| *octet == b'\n') {
                mail.recipients += usize::from(line.starts_with(b"X-Rcpt-Args: "));
                // It keeps LF of CRLF.
                mail.octets += line.len() + 1;
            }
            arrivals.push(mail);
        }
        Ok(arrivals)
    }
}
