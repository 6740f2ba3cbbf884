//! An output that many connections share: one thread writes to it, each piece whole, in the order in which they came.

use std::fmt;
use std::io::{self, Write};
use std::sync::mpsc;
use std::thread;

use tokio::sync::oneshot;

use crate::patient;

/// Adds a piece to what is written next; false: nobody waits for it any more.
type Piece = Box<dyn FnOnce(&mut Vec<u8>) -> bool + Send>;

/// Where the pieces go.
#[derive(Clone, Debug)]
pub(crate) struct Out(mpsc::Sender<Job>);

struct Job {
    piece: Piece,
    written: oneshot::Sender<()>,
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Job")
    }
}

/// Octets of memory that are kept from piece to piece.
const SPARE: usize = 65_536;

impl Out {
    /// Starts the thread that owns `output`. When it can't be written to any more, `failed` is called once.
    ///
    /// # Errors
    /// The thread can't be started.
    pub(crate) fn new(
        output: impl Write + Send + 'static,
        failed: impl FnOnce(io::Error) + Send + 'static,
    ) -> io::Result<Self> {
        let (jobs, queue) = mpsc::channel();
        thread::Builder::new().name("output".into()).spawn(move || {
            if let Err(error) = write_all(output, &queue) {
                failed(error);
            }
        })?;
        Ok(Self(jobs))
    }

    /// What says when the piece is written and flushed; it breaks if it can't be.
    pub(crate) fn write(&self, piece: impl FnOnce(&mut Vec<u8>) -> bool + Send + 'static) -> oneshot::Receiver<()> {
        let (written, waits) = oneshot::channel();
        // Fails once the output is gone, and `written` with it.
        let _ = self.0.send(Job { piece: Box::new(piece), written });
        waits
    }
}

/// Writes until all senders are gone, or the output is.
fn write_all(mut output: impl Write, jobs: &mpsc::Receiver<Job>) -> io::Result<()> {
    let mut octets = Vec::new();
    for Job { piece, written } in jobs {
        octets.clear();
        octets.shrink_to(SPARE);
        if piece(&mut octets) {
            patient::write_all(&mut output, &octets)?;
            let _ = written.send(());
        }
    }
    Ok(())
}
