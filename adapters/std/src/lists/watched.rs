//! A file that another program replaces while it is read here.

use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// A file, and which version of it was read last.
#[derive(Debug)]
pub(super) struct Watched {
    path: PathBuf,
    /// Nothing: it is read again in any case.
    seen: Option<Version>,
}

/// What tells one content of a file from the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Version {
    device: u64,
    inode: u64,
    size: u64,
    /// Nanoseconds since 1970.
    modified: i128,
    /// The same: of any change, of the name too. No program sets it.
    changed: i128,
}

/// Nanoseconds in which a file may change twice without a difference: two ticks of the slowest kernel's clock. A file that is
/// replaced has another inode, but that may be the one of the file that it replaced before.
const TICKS: i128 = 20_000_000;

/// Octets of a file that are read: more than a hundred times what a Mailman with a thousand lists writes.
const MOST: u64 = 134_217_728;

impl Watched {
    pub(super) const fn new(path: PathBuf) -> Self {
        Self { path, seen: None }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// What it holds, if that may differ from what it held when it was asked last.
    ///
    /// # Errors
    /// It can't be read, is too big to be a table, or changed meanwhile.
    pub(super) fn news(&mut self) -> io::Result<Option<Vec<u8>>> {
        let metadata = fs::metadata(&self.path).inspect_err(|_| self.seen = None)?;
        if self.seen == Some(Version::of(&metadata)) {
            return Ok(None);
        }
        self.seen = None;
        // Others may be opened for ever, as a pipe is.
        if !metadata.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "is no file"));
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut file = File::open(&self.path)?;
        let before = Version::of(&file.metadata()?);
        // What the system has no memory for would end the server.
        if before.size > MOST {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, "is too big"));
        }
        let mut octets = Vec::with_capacity(usize::try_from(before.size).unwrap_or_default().saturating_add(1));
        (&mut file).take(before.size.saturating_add(1)).read_to_end(&mut octets)?;
        let after = file.metadata()?;
        // Its name may have gone meanwhile, as that of a file that is replaced does; that is no change of what it holds.
        if (before.size, before.modified) != (after.size(), modified(&after)) {
            return Err(io::Error::new(io::ErrorKind::ResourceBusy, "is being written"));
        }
        let is_settled = i128::try_from(now.as_nanos()).is_ok_and(|now| (now - before.changed).abs() > TICKS);
        self.seen = is_settled.then_some(before);
        Ok(Some(octets))
    }
}

impl Version {
    fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: modified(metadata),
            changed: nanoseconds(metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

fn modified(metadata: &Metadata) -> i128 {
    nanoseconds(metadata.mtime(), metadata.mtime_nsec())
}

fn nanoseconds(seconds: i64, nanoseconds: i64) -> i128 {
    i128::from(seconds) * 1_000_000_000 + i128::from(nanoseconds)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread;
    use std::time::{Duration, Instant};

    #[test]
    fn what_is_being_written_is_not_taken() {
        let path = std::env::temp_dir().join(format!("smtpd-written-{}", std::process::id()));
        fs::write(&path, vec![b'a'; 8_000_000]).unwrap();
        let mut file = Watched::new(path.clone());
        let is_over = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                let mut file = fs::OpenOptions::new().append(true).open(&path).unwrap();
                while !is_over.load(Ordering::Relaxed) {
                    file.write_all(b"b").unwrap();
                }
            });
            let begun = Instant::now();
            while begun.elapsed() < Duration::from_secs(20) && !is_over.load(Ordering::Relaxed) {
                let news = file.news();
                is_over.store(news.is_err_and(|error| error.kind() == io::ErrorKind::ResourceBusy), Ordering::Relaxed);
            }
            assert!(is_over.swap(true, Ordering::Relaxed), "what changes under the eyes is told");
        });
        assert!(file.news().unwrap().is_some());
        fs::remove_file(&path).unwrap();
    }

    #[test]
    fn a_file_is_known_by_its_time_once_that_is_past() {
        let path = std::env::temp_dir().join(format!("smtpd-watched-{}", std::process::id()));
        let mut file = Watched::new(path.clone());
        let mut has_news = || file.news().unwrap().is_some();
        // Until the machine is not too busy for it.
        loop {
            let begun = Instant::now();
            fs::write(&path, "a").unwrap();
            let news = [has_news(), has_news()];
            if begun.elapsed() < Duration::from_millis(15) {
                assert_eq!(news, [true, true], "it may change again within the tick");
                break;
            }
        }
        thread::sleep(Duration::from_millis(50));
        assert_eq!([has_news(), has_news(), has_news()], [true, false, false]);
        fs::remove_file(&path).unwrap();
        assert_eq!(file.news().unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
