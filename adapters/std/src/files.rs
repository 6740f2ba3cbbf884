//! Files: each message in a file of its own, its envelope beside it.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::{SystemTime, UNIX_EPOCH};

use smtpd_core::server::Answer;
use smtpd_core::wire::Reply;
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, spawn_blocking};

use crate::debugging::NOT_PRINTED;
use crate::envelope;
use crate::message::{Message, ProcessMessage};
use crate::out::Out;

/// Stores each message as `NAME.eml`, octet for octet as it came once transparency is undone, and its envelope as
/// `NAME.json`. Both are written under other names, brought to the disk and then renamed, the message last: whoever finds
/// an `.eml` finds all of it, and its envelope. Names rise with time. A message is answered 250 after that.
///
/// Runs within a tokio runtime: what waits for the disk is done on its threads for blocking work.
#[derive(Debug)]
pub struct Files {
    folder: Arc<Path>,
    /// Where the envelopes are printed as well.
    out: Option<Out>,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    Idle,
    /// The message is being stored; what is to be printed comes back.
    Storing(JoinHandle<io::Result<Vec<u8>>>),
    Printing(oneshot::Receiver<()>),
}

const NOT_STORED: Reply<'static> = Reply::new(451, "Message could not be stored").enhanced(3, 0);

impl Files {
    /// Stores messages in `folder`, which is made if it does not exist.
    ///
    /// # Errors
    /// It can't be made, or is no folder, or nothing can be written there.
    pub fn new(folder: impl Into<PathBuf>) -> io::Result<Self> {
        let folder = folder.into();
        fs::create_dir_all(&folder).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => io::ErrorKind::NotADirectory.into(),
            _ => error,
        })?;
        // Said now and not at the first message.
        let probe = folder.join(format!(".{}.probe", unique()));
        File::create(&probe)?;
        fs::remove_file(probe)?;
        Ok(Self { folder: folder.into(), out: None, stage: Stage::Idle })
    }

    /// Prints the envelope of each message that was stored on `output`, as a line of JSON in which `file` is the name of
    /// the message's. When it can't be written to any more, `failed` is called once and messages get 451.
    ///
    /// # Errors
    /// The thread that owns `output` can't be started.
    pub fn json(
        mut self,
        output: impl Write + Send + 'static,
        failed: impl FnOnce(io::Error) + Send + 'static,
    ) -> io::Result<Self> {
        self.out = Some(Out::new(output, failed)?);
        Ok(self)
    }
}

/// For the next connection.
impl Clone for Files {
    fn clone(&self) -> Self {
        Self { folder: Arc::clone(&self.folder), out: self.out.clone(), stage: Stage::Idle }
    }
}

impl ProcessMessage for Files {
    fn process_message(&mut self, message: &mut Message) -> Answer<'_> {
        let (folder, message) = (Arc::clone(&self.folder), message.take());
        self.stage = Stage::Storing(spawn_blocking(move || store(&folder, &message)));
        Answer::Later
    }

    fn resume(&mut self, waker: &Waker) -> Answer<'_> {
        let cx = &mut Context::from_waker(waker);
        if let Stage::Storing(stored) = &mut self.stage {
            let Poll::Ready(stored) = Pin::new(stored).poll(cx) else { return Answer::Later };
            self.stage = Stage::Idle;
            let line = match stored.unwrap_or_else(|panic| Err(io::Error::other(panic))) {
                Ok(line) => line,
                Err(error) => {
                    tracing::error!("a message could not be stored: {error}");
                    return Answer::Reply(NOT_STORED);
                }
            };
            let Some(out) = &self.out else { return Answer::Accept };
            self.stage = Stage::Printing(out.write(move |octets| {
                octets.extend_from_slice(&line);
                true
            }));
        }
        let Stage::Printing(printed) = &mut self.stage else { return Answer::Reply(NOT_STORED) };
        let Poll::Ready(printed) = Pin::new(printed).poll(cx) else { return Answer::Later };
        self.stage = Stage::Idle;
        match printed {
            Ok(()) => Answer::Accept,
            Err(_) => Answer::Reply(NOT_PRINTED),
        }
    }
}

/// Stores a message and its envelope, and gives the latter.
fn store(folder: &Path, message: &Message) -> io::Result<Vec<u8>> {
    let name = unique();
    let file = format!("{name}.eml");
    let line = envelope::line(message, Some(&file));
    let (envelope, text) = (folder.join(format!(".{name}.json")), folder.join(format!(".{file}")));
    let stored = write(&envelope, &line)
        .and_then(|()| write(&text, &message.data))
        .and_then(|()| fs::rename(&envelope, folder.join(format!("{name}.json"))))
        .and_then(|()| fs::rename(&text, folder.join(file)))
        // The names are the folder's.
        .and_then(|()| File::open(folder)?.sync_all());
    if stored.is_err() {
        // As far as they are there: a disk that is full gets its room back.
        let _ = fs::remove_file(envelope);
        let _ = fs::remove_file(text);
    }
    stored.map(|()| line)
}

fn write(path: &Path, octets: &[u8]) -> io::Result<()> {
    let mut file = File::create_new(path)?;
    file.write_all(octets)?;
    file.sync_all()
}

/// A name that no other message in the world has: the time in nanoseconds, the process, a number.
fn unique() -> String {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    format!("{:010}.{:09}.{}.{number}", now.as_secs(), now.subsec_nanos(), std::process::id())
}
