//! The command by which a Mailman 2 takes mail from mail servers.

use std::future::pending;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use smtpd_core::server::Answer;
use smtpd_core::wire::Reply;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

use super::folder::Address;
use crate::memory::Memory;

/// Mailman 2.1's mail wrapper, as [`Mailman2`](crate::Mailman2) runs it: `COMMAND post LIST`, and so with `admin`, `owner`,
/// `request`, `join` and `leave`. No shell is between.
///
/// It gets the message on its standard input, as other mail servers give it: in front of it a line `From SENDER  DATE`, by which
/// Mailman knows who sent it, and at the end of each line a line feed alone. What it says on stderr goes to the server's.
/// Its exit status is the answer:
///
/// | exit status (sysexits.h) | reply |
/// |---|---|
/// | 0 | 250 |
/// | 64 to 70, 72, 73, 76 to 78: usage, data, no such list, not allowed... | 550 or 554 |
/// | 71, 74, 75: the system, input and output, a temporary failure | 451 |
/// | any other, a signal, no answer in time, a command that can't be started | 451: it says nothing about the message |
///
/// A wrapper that was built for a mail server of another group refuses to run (`--with-mail-gid`): it must be the group of this
/// process.
#[derive(Debug)]
pub struct Wrapper {
    command: PathBuf,
    patience: Duration,
    pub(super) memory: Memory,
    places: Semaphore,
}

/// Commands that run at once: what Postfix runs of one kind. Each is an interpreter of its own.
const AT_ONCE: usize = 20;

impl Wrapper {
    /// The command at this absolute path: Debian's is `/var/lib/mailman/mail/mailman`.
    #[must_use]
    pub fn new(command: impl Into<PathBuf>) -> Self {
        Self {
            command: command.into(),
            patience: Duration::from_secs(50),
            memory: Memory::new(268_435_456),
            places: Semaphore::new(AT_ONCE),
        }
    }

    /// How long a message may take in all, however many of its recipients are lists: 50 seconds by default, which is less than
    /// proxies wait. What is not done by then is ended (SIGKILL, to what it started as well) and answered 451.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Takes the text of messages from this account, in place of 256 MiB of its own: what it has no room for hears 452.
    #[must_use]
    pub fn within(mut self, memory: &Memory) -> Self {
        self.memory = memory.clone();
        self
    }

    /// # Errors
    /// There is no such command.
    pub(super) fn check(&self) -> io::Result<()> {
        let path = self.command.display();
        if !self.command.is_absolute() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("{path}: no absolute path")));
        }
        let metadata = std::fs::metadata(&self.command);
        let metadata = metadata.map_err(|error| io::Error::new(error.kind(), format!("{path}: {error}")))?;
        if !metadata.is_file() || metadata.permissions().mode() & 0o111 == 0 {
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, format!("{path}: no command")));
        }
        Ok(())
    }

    /// Until when a message that is complete now has to be delivered.
    pub(super) fn deadline(&self) -> Instant {
        Instant::now() + self.patience
    }

    /// Hands a message to Mailman.
    pub(super) async fn deliver(&self, address: &Address, text: &[u8], deadline: Instant) -> Answer<'static> {
        const LATE: Reply<'static> = Reply::new(451, "Mailman takes too long, try again").enhanced(3, 0);
        let Address { list, task } = address;
        let run = async {
            let _place = self.places.acquire().await;
            self.run(address, text).await
        };
        let answer = match timeout_at(deadline, run).await {
            Ok(Ok(status)) if status.success() => return Answer::Accept,
            Ok(Ok(status)) => {
                let signal = status.signal().map(|signal| format!("signal {signal}"));
                let why = signal.unwrap_or_else(|| format!("exit status {}", status.code().unwrap_or_default()));
                tracing::warn!("{} {task} {list}: {why}", self.command.display());
                reply(status.code())
            }
            Ok(Err(error)) => {
                tracing::warn!("{} {task} {list}: {error}", self.command.display());
                reply(None)
            }
            Err(_) => {
                tracing::warn!("{} {task} {list}: takes too long", self.command.display());
                LATE
            }
        };
        Answer::Reply(answer)
    }

    async fn run(&self, address: &Address, text: &[u8]) -> io::Result<ExitStatus> {
        let mut command = Command::new(&self.command);
        command.arg(address.task).arg(&address.list);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::inherit());
        // Of its own, so that all that it started can be ended, and a terminal's Ctrl-C ends the server only.
        command.process_group(0).kill_on_drop(true);
        let mut child = command.spawn()?;
        let group = Group(child.id());
        let mut input = child.stdin.take();
        let feed = async {
            // Who does not want all of it may say so by its exit status.
            if let Some(input) = &mut input {
                let _ = input.write_all(text).await;
            }
            input = None;
            pending().await
        };
        let status = tokio::select! {
            status = child.wait() => status,
            status = feed => status,
        };
        group.forget();
        status
    }
}

/// A command and all that it started, which end when this is dropped.
struct Group(Option<u32>);

impl Group {
    /// Its number may be another's from now on.
    fn forget(mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0.and_then(|id| i32::try_from(id).ok()) {
            let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
        }
    }
}

/// What an exit status means that is not 0; nothing: it had none.
fn reply(code: Option<i32>) -> Reply<'static> {
    match code {
        Some(64) => Reply::new(554, "Mailman was called in a wrong way").enhanced(3, 0),
        Some(65) => Reply::new(554, "Message is malformed").enhanced(6, 0),
        Some(66) => Reply::new(554, "Mailman found no input").enhanced(3, 0),
        Some(67) => Reply::new(550, "No such list").enhanced(1, 1),
        Some(68) => Reply::new(550, "No such host").enhanced(1, 2),
        Some(69) => Reply::new(554, "Mailman is not available").enhanced(3, 0),
        Some(70) => Reply::new(554, "Internal error of Mailman").enhanced(3, 0),
        Some(72) => Reply::new(554, "A file of Mailman's is missing").enhanced(3, 0),
        Some(73) => Reply::new(550, "Mailman can't write a file").enhanced(2, 0),
        Some(76) => Reply::new(554, "Error in a protocol of Mailman's").enhanced(5, 0),
        Some(77) => Reply::new(550, "Mailman does not allow it").enhanced(7, 0),
        Some(78) => Reply::new(554, "Mailman is configured in a wrong way").enhanced(3, 5),
        _ => Reply::new(451, "Mailman can't take it now, try again").enhanced(3, 0),
    }
}
