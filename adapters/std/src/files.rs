//! Files: each message in a file of its own, its envelope beside it.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{SystemTime, UNIX_EPOCH};

use smtpd_core::server::Answer;
use smtpd_core::wire::Reply;
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, spawn_blocking};

use crate::envelope;
use crate::message::{Message, ProcessMessage};
use crate::out::Out;

/// Stores each message as `NAME.eml`, octet for octet as it came once transparency is undone, and its envelope as
/// `NAME.json`. Both are written under other names, brought to the disk and then renamed, the message last: whoever finds
/// an `.eml` finds all of it, and its envelope. Names rise with time; who may read them is the umask's matter. A message is
/// answered 250 after that; when its session ends before, for time or because the server stops, it is not kept.
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
    Storing(JoinHandle<io::Result<Vec<u8>>>, Unanswered),
    Printing(oneshot::Receiver<()>, Unanswered),
}

/// A message whose client was told nothing yet. When this is dropped the session is over, and it will be told no, or
/// nothing: the message must not stay, for it comes again.
#[derive(Debug)]
struct Unanswered(Arc<Names>);

/// The names of a message, and whether it has them already.
#[derive(Debug)]
struct Names {
    folder: Arc<Path>,
    name: String,
    fate: Mutex<Fate>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// It has hidden names.
    Hidden,
    /// It is there for all to see.
    Stored,
    /// Nobody wants it any more.
    Abandoned,
    /// Its client was told yes.
    Answered,
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
        File::create_new(&probe)?;
        fs::remove_file(probe)?;
        Ok(Self { folder: folder.into(), out: None, stage: Stage::Idle })
    }

    /// Prints the envelope of each message that was stored on `output`, as a line of JSON in which `file` is the name of
    /// the message's. When it can't be written to any more, `failed` is called once; what is stored is accepted all the same.
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
        let names =
            Arc::new(Names { folder: Arc::clone(&self.folder), name: unique(), fate: Mutex::new(Fate::Hidden) });
        let (unanswered, message) = (Unanswered(Arc::clone(&names)), message.take());
        self.stage = Stage::Storing(spawn_blocking(move || names.store(&message)), unanswered);
        Answer::Later
    }

    fn resume(&mut self, waker: &Waker) -> Answer<'_> {
        let cx = &mut Context::from_waker(waker);
        let stage = match std::mem::replace(&mut self.stage, Stage::Idle) {
            Stage::Storing(mut stored, unanswered) => match Pin::new(&mut stored).poll(cx) {
                Poll::Pending => Stage::Storing(stored, unanswered),
                Poll::Ready(stored) => match stored.unwrap_or_else(|panic| Err(io::Error::other(panic))) {
                    Ok(line) => match &self.out {
                        None => return unanswered.accept(),
                        Some(out) => Stage::Printing(out.write(move |octets| append(octets, &line)), unanswered),
                    },
                    Err(error) => {
                        tracing::error!("a message could not be stored: {error}");
                        return Answer::Reply(NOT_STORED);
                    }
                },
            },
            stage => stage,
        };
        match stage {
            Stage::Printing(mut printed, unanswered) => match Pin::new(&mut printed).poll(cx) {
                Poll::Pending => self.stage = Stage::Printing(printed, unanswered),
                // It is stored; that its line was not printed has been told.
                Poll::Ready(_) => return unanswered.accept(),
            },
            Stage::Idle => return Answer::Reply(NOT_STORED),
            stage @ Stage::Storing(..) => self.stage = stage,
        }
        Answer::Later
    }
}

fn append(octets: &mut Vec<u8>, line: &[u8]) -> bool {
    octets.extend_from_slice(line);
    true
}

impl Unanswered {
    fn accept(self) -> Answer<'static> {
        *self.0.fate() = Fate::Answered;
        Answer::Accept
    }
}

impl Drop for Unanswered {
    fn drop(&mut self) {
        let fate = std::mem::replace(&mut *self.0.fate(), Fate::Abandoned);
        if fate == Fate::Stored {
            self.0.remove("");
        }
    }
}

impl Names {
    fn fate(&self) -> MutexGuard<'_, Fate> {
        self.fate.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn path(&self, hidden: &str, kind: &str) -> PathBuf {
        self.folder.join(format!("{hidden}{}.{kind}", self.name))
    }

    /// As far as they are there; the text first, for who finds one finds its envelope.
    fn remove(&self, hidden: &str) {
        let _ = fs::remove_file(self.path(hidden, "eml"));
        let _ = fs::remove_file(self.path(hidden, "json"));
    }

    /// Stores a message and its envelope, and gives the latter.
    fn store(&self, message: &Message) -> io::Result<Vec<u8>> {
        let line = envelope::line(message, Some(&format!("{}.eml", self.name)));
        let stored = write(&self.path(".", "json"), &line)
            .and_then(|()| write(&self.path(".", "eml"), &message.data))
            .and_then(|()| self.show())
            // The names are the folder's.
            .and_then(|()| File::open(&self.folder)?.sync_all());
        if stored.is_err() {
            // A disk that is full gets its room back.
            self.remove(".");
            self.remove("");
        }
        stored.map(|()| line)
    }

    /// Gives it the names by which it is found, unless nobody wants it any more.
    fn show(&self) -> io::Result<()> {
        let mut fate = self.fate();
        if *fate != Fate::Hidden {
            return Err(io::Error::other("its session is over"));
        }
        for kind in ["json", "eml"] {
            fs::rename(self.path(".", kind), self.path("", kind))?;
        }
        *fate = Fate::Stored;
        Ok(())
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Arc<Names> {
        let name = unique();
        let folder = std::env::temp_dir().join(format!("smtpd-{name}"));
        fs::create_dir(&folder).unwrap();
        Arc::new(Names { folder: folder.into(), name, fate: Mutex::new(Fate::Hidden) })
    }

    /// How many files there are, hidden ones too.
    fn files(names: &Names) -> usize {
        fs::read_dir(&names.folder).unwrap().count()
    }

    #[test]
    fn what_was_not_answered_does_not_stay() {
        let message = Message::default();
        // Its session is over before it is stored, then before that is answered, then not at all.
        let names = names();
        drop(Unanswered(Arc::clone(&names)));
        assert!(names.store(&message).is_err());
        assert_eq!(files(&names), 0);
        for is_answered in [false, true] {
            *names.fate() = Fate::Hidden;
            let unanswered = Unanswered(Arc::clone(&names));
            names.store(&message).unwrap();
            assert_eq!(files(&names), 2);
            if is_answered {
                let _ = unanswered.accept();
            } else {
                drop(unanswered);
            }
            assert_eq!(files(&names), if is_answered { 2 } else { 0 });
        }
        fs::remove_dir_all(&names.folder).unwrap();
    }
}
