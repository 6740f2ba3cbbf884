//! The host's files through which the binary `remote` asks by semihosting: a FIFO for each way.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use libtest_mimic::Failed;
use nix::poll::{PollFd, PollFlags, poll};
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

/// The two FIFOs through which the board asks.
pub(crate) struct Files {
    questions: File,
    answers: File,
    folder: Folder,
}

/// Goes with what is in it.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl Files {
    pub(crate) fn new() -> Result<Self, Failed> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let folder = Folder(std::env::temp_dir().join(format!("smtpd-firmware-{}-{number}", std::process::id())));
        fs::create_dir(&folder.0)?;
        Ok(Self { questions: fifo(&folder.0.join("ask"))?, answers: fifo(&folder.0.join("answer"))?, folder })
    }

    /// Where they lie: the board's own folder.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder.0
    }

    /// The next question; none: it does not come.
    pub(crate) fn question(&mut self) -> Result<Option<(u8, Vec<u8>)>, Failed> {
        let mut head = [0; 3];
        if !self.read(&mut head)? {
            return Ok(None);
        }
        let [kind, low, high] = head;
        let mut octets = vec![0; u16::from_le_bytes([low, high]).into()];
        Ok(self.read(&mut octets)?.then_some((kind, octets)))
    }

    pub(crate) fn answer(&mut self, kind: u8, octets: &[u8]) -> Result<(), Failed> {
        let [low, high] = u16::try_from(octets.len())?.to_le_bytes();
        Ok(self.answers.write_all(&[&[kind, low, high], octets].concat())?)
    }

    /// Reads all of it; false: it does not come.
    fn read(&mut self, mut octets: &mut [u8]) -> Result<bool, Failed> {
        const MILLIS: u16 = 20_000;
        while !octets.is_empty() {
            if poll(&mut [PollFd::new(self.questions.as_fd(), PollFlags::POLLIN)], MILLIS)? == 0 {
                return Ok(false);
            }
            let read = self.questions.read(octets)?;
            octets = &mut octets[read..];
        }
        Ok(true)
    }
}

/// Open for both, so that opening waits for nobody.
fn fifo(path: &Path) -> Result<File, Failed> {
    mkfifo(path, Mode::S_IRUSR | Mode::S_IWUSR)?;
    Ok(OpenOptions::new().read(true).write(true).open(path)?)
}
