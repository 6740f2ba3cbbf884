//! Mailman's processes: a master and its runners, which end with whoever holds them.

use std::fs::{File, read_to_string};
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use libtest_mimic::Failed;
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

use crate::folder::wait;
use crate::installation::program;

/// The shell ends the group that it leads once its input is at its end: also where this process is killed, whose own end
/// would run nothing. It ends before that where the master does.
const LEASH: &str = r#"
exec 3<&0
(cat <&3 >/dev/null; kill -KILL 0) &
"$@" 3<&- >&2 &
echo $!
wait $!
"#;

/// Ends all processes when it is dropped.
pub(crate) struct Master {
    leash: Child,
    pid: Pid,
}

impl Master {
    /// What its processes print comes behind what the file has.
    pub(crate) fn start(folder: &Path) -> Result<Self, Failed> {
        let printed = File::options().create(true).append(true).open(folder.join("printed"))?;
        let mut command = Command::new("/bin/sh");
        command.args(["-c", LEASH, "sh"]).arg(program("master")).arg("-C").arg(folder.join("mailman.cfg"));
        // Who was killed left a lock behind.
        command.arg("--force").env("LC_ALL", "C.UTF-8").current_dir(folder).process_group(0);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(printed);
        let mut master = Self { leash: command.spawn()?, pid: Pid::from_raw(0) };
        let mut line = String::new();
        BufReader::new(master.leash.stdout.take().ok_or("no output")?).read_line(&mut line)?;
        master.pid = Pid::from_raw(line.trim().parse()?);
        Ok(master)
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        !matches!(self.leash.try_wait(), Ok(None))
    }

    /// As `mailman stop` does: what is under way comes to its end.
    pub(crate) fn stop(mut self) -> Result<(), Failed> {
        kill(self.pid, Signal::SIGTERM)?;
        wait("the end of Mailman", || self.has_ended().then_some(()))
    }

    pub(crate) fn signal(&self, signal: Signal) -> Result<(), Failed> {
        Ok(kill(self.pid, signal)?)
    }

    /// A runner's process; none while it is not there.
    pub(crate) fn runner(&self, name: &str) -> Option<Pid> {
        let own = format!("--runner={name}:0:1");
        let children = read_to_string(format!("/proc/{0}/task/{0}/children", self.pid)).ok()?;
        let is_it = |pid: &&str| {
            let line = read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            line.split('\0').any(|argument| argument == own)
        };
        Some(Pid::from_raw(children.split_whitespace().find(is_it)?.parse().ok()?))
    }
}

impl Drop for Master {
    fn drop(&mut self) {
        // The group stands as long as its leader is not waited for, or one of the others lives.
        if !self.has_ended() {
            let _ = killpg(Pid::from_raw(self.leash.id().cast_signed()), Signal::SIGKILL);
        }
        // Where the leader has ended by itself, this has the rest end.
        self.leash.stdin.take();
        let _ = self.leash.wait();
    }
}
