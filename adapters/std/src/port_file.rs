//! The file that tells other programs the port.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// A file that holds the port as long as this lives.
pub(crate) struct PortFile {
    path: PathBuf,
    file: File,
}

impl PortFile {
    /// Whoever waits for the file finds all of it.
    pub(crate) fn new(path: &Path, port: u16) -> io::Result<Self> {
        let mut unfinished = path.as_os_str().to_owned();
        unfinished.push(format!(".{}", std::process::id()));
        // What lies there under this name may be somebody's link to another file.
        let _ = fs::remove_file(&unfinished);
        let mut file = File::create_new(&unfinished)?;
        file.write_all(format!("{port}\n").as_bytes())?;
        fs::rename(&unfinished, path)?;
        Ok(Self { path: path.to_owned(), file })
    }
}

impl Drop for PortFile {
    fn drop(&mut self) {
        // The user nobody may not remove it, but what was opened before can be emptied.
        if fs::remove_file(&self.path).is_err() {
            let _ = self.file.set_len(0);
        }
    }
}
