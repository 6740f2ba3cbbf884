//! A Mailman core: started, reached, stopped, killed, hung and asked.

use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use libtest_mimic::Failed;
use nix::sys::signal::{Signal, kill};

use crate::client::{Mail, Way, subject};
use crate::collector::{Collector, lock};
use crate::folder::{Folder, free_port, wait};
use crate::installation;
use crate::lists::{List, OWNER};
use crate::master::Master;

/// A Mailman with the lists [`ANT`](crate::lists::ANT) and [`BEES`](crate::lists::BEES).
pub(crate) struct Core {
    master: Mutex<Option<Master>>,
    /// Where its LMTP runner listens.
    pub(crate) lmtp: SocketAddr,
    /// Where its mails go.
    pub(crate) outgoing: Collector,
    folder: Folder,
}

impl Core {
    /// One that listens.
    pub(crate) fn start(template: &Folder) -> Result<Self, Failed> {
        let outgoing = Collector::start()?;
        let lmtp = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?));
        let folder = installation::copy(template, lmtp, outgoing.address)?;
        let core = Self { master: Mutex::new(None), lmtp, outgoing, folder };
        core.start_again()?;
        Ok(core)
    }

    /// Past the proxy.
    pub(crate) fn direct(&self) -> Way {
        Way::Direct(self.lmtp)
    }

    /// The folder with the maps.
    pub(crate) fn maps(&self) -> PathBuf {
        self.var().join("data")
    }

    fn var(&self) -> PathBuf {
        self.folder.path().join("var")
    }

    // --- Its life

    /// After a stop or a kill: until it listens.
    pub(crate) fn start_again(&self) -> Result<(), Failed> {
        *lock(&self.master) = Some(Master::start(self.folder.path())?);
        self.listens()
    }

    /// As `mailman stop` does.
    pub(crate) fn stop(&self) -> Result<(), Failed> {
        lock(&self.master).take().ok_or("it is stopped already")?.stop()
    }

    /// All of its processes at once, by SIGKILL.
    pub(crate) fn kill(&self) {
        lock(&self.master).take();
    }

    /// The LMTP runner alone, by SIGKILL. The master starts it again at once: [`Self::listens`].
    pub(crate) fn kill_lmtp(&self) -> Result<(), Failed> {
        self.with_master(|master| {
            let killed = master.runner("lmtp").ok_or("no LMTP runner")?;
            kill(killed, Signal::SIGKILL)?;
            wait("the end of the LMTP runner", || (master.runner("lmtp") != Some(killed)).then_some(()))
        })
    }

    /// Nobody listens, the rest of it works: until [`Self::up`].
    pub(crate) fn down(&self) -> Result<(), Failed> {
        self.with_master(|master| {
            // A master that stands still starts no other.
            master.signal(Signal::SIGSTOP)?;
            kill(master.runner("lmtp").ok_or("no LMTP runner")?, Signal::SIGKILL)?;
            wait("a port that nobody listens on", || TcpStream::connect(self.lmtp).is_err().then_some(()))
        })
    }

    /// After [`Self::down`]: until it listens again.
    pub(crate) fn up(&self) -> Result<(), Failed> {
        self.with_master(|master| master.signal(Signal::SIGCONT))?;
        self.listens()
    }

    /// The LMTP runner stands still: who connects is not greeted, and nobody is answered.
    pub(crate) fn hang(&self) -> Result<(), Failed> {
        self.signal_lmtp(Signal::SIGSTOP)
    }

    /// After [`Self::hang`].
    pub(crate) fn go_on(&self) -> Result<(), Failed> {
        self.signal_lmtp(Signal::SIGCONT)
    }

    fn signal_lmtp(&self, signal: Signal) -> Result<(), Failed> {
        self.with_master(|master| Ok(kill(master.runner("lmtp").ok_or("no LMTP runner")?, signal)?))
    }

    fn with_master(&self, task: impl FnOnce(&mut Master) -> Result<(), Failed>) -> Result<(), Failed> {
        task(lock(&self.master).as_mut().ok_or("Mailman is not started")?)
    }

    /// Waits until it greets.
    pub(crate) fn listens(&self) -> Result<(), Failed> {
        let mut has_ended = false;
        let greets = wait("Mailman's greeting", || {
            has_ended = lock(&self.master).as_mut().is_none_or(Master::has_ended);
            (has_ended || greets(self.lmtp)).then_some(())
        });
        match greets {
            Ok(()) if !has_ended => Ok(()),
            Ok(()) => Err(format!("Mailman ended: {}", self.printed()).into()),
            Err(_) => Err(format!("Mailman does not greet: {}", self.printed()).into()),
        }
    }

    /// A failed test says where mails lie, and what Mailman said: what it gave up is in `shunt`, and what it could not send
    /// in `retry`.
    pub(crate) fn explain(&self, failed: &Failed) -> Failed {
        let count = |queue: &Path| std::fs::read_dir(queue).map_or(0, Iterator::count);
        let queues = std::fs::read_dir(self.var().join("queue")).into_iter().flatten().flatten();
        let queues = queues.map(|queue| (queue.file_name(), count(&queue.path())));
        let queues: Vec<_> = queues.filter(|(_, mails)| *mails > 0).collect();
        let why = failed.message().unwrap_or_default();
        format!("Mailman's queues: {queues:?}\n{why}\n--- Mailman said\n{}", self.printed()).into()
    }

    fn printed(&self) -> String {
        let read = |path: &Path| std::fs::read_to_string(path).unwrap_or_default();
        let log = read(&self.var().join("logs/mailman.log"));
        let lines: Vec<&str> = log.lines().filter(|line| !line.contains(" ACCEPT: ")).collect();
        format!("{}\n{}", read(&self.folder.path().join("printed")), lines[lines.len().saturating_sub(40)..].join("\n"))
    }

    // --- Its lists

    pub(crate) fn create(&self, list: &List) -> Result<(), Failed> {
        self.mailman(&["create", "-q", "-o", OWNER, list.address], "").map(drop)
    }

    pub(crate) fn remove(&self, list: &List) -> Result<(), Failed> {
        self.mailman(&["remove", list.address], "").map(drop)
    }

    pub(crate) fn add_members(&self, list: &List) -> Result<(), Failed> {
        self.mailman(&["addmembers", "-W", "-", list.address], &list.members.join("\n")).map(drop)
    }

    /// Who is subscribed.
    pub(crate) fn members(&self, list: &List) -> Result<Vec<String>, Failed> {
        installation::members(self.folder.path(), list)
    }

    /// Waits until somebody is one, or is none any more: Mailman writes to new members before its database knows them.
    pub(crate) fn has_member(&self, list: &List, who: &str, is_one: bool) -> Result<(), Failed> {
        let mut members = Vec::new();
        let has_come = wait("", || {
            members = self.members(list).unwrap_or_else(|failed| vec![format!("{failed:?}")]);
            (members.iter().any(|member| member == who) == is_one).then_some(())
        });
        has_come.map_err(|_| format!("{who}, a member: {is_one}, but {} has {members:?}", list.address).into())
    }

    fn mailman(&self, arguments: &[&str], input: &str) -> Result<String, Failed> {
        installation::mailman(self.folder.path(), arguments, input)
    }

    /// Whether the map has an address.
    pub(crate) fn is_in_map(&self, address: &str) -> Result<bool, Failed> {
        let map = std::fs::read_to_string(self.maps().join("postfix_lmtp"))?;
        Ok(map.lines().any(|line| line.split_whitespace().next() == Some(address)))
    }

    // --- What became of a mail

    /// A post has come once for each member: what was sent before comes before, so that no copy is under way.
    pub(crate) fn came_once(&self, list: &List, subject: &str) -> Result<(), Failed> {
        let first = list.members.first().ok_or("a list without members")?;
        self.outgoing.wait(&format!("{subject:?}"), |post| post.is_about(subject) && post.is_to(first))?;
        self.barrier(list)?;
        self.outgoing.has(subject, list.members, 1)
    }

    /// A post has not come, and will not.
    pub(crate) fn came_never(&self, list: &List, subject: &str) -> Result<(), Failed> {
        self.barrier(list)?;
        self.outgoing.has(subject, list.members, 0)
    }

    /// All that was posted to the list before has come.
    pub(crate) fn barrier(&self, list: &List) -> Result<(), Failed> {
        let member = list.members.first().ok_or("a list without members")?;
        let mail = Mail::new(member, &[list.address], &subject("barrier"));
        self.direct().send(&mail)?;
        self.outgoing.wait("the barrier", |post| post.is_about(&mail.subject)).map(drop)
    }

    /// Waits until a mail lies in the queue of a runner that is not started.
    pub(crate) fn is_queued(&self, queue: &str, subject: &str) -> Result<(), Failed> {
        let folder = self.var().join("queue").join(queue);
        let has_it = |path: PathBuf| std::fs::read(path).is_ok_and(|octets| contains(&octets, subject.as_bytes()));
        wait(&format!("{subject:?} in the queue {queue}"), || {
            std::fs::read_dir(&folder).ok()?.flatten().any(|entry| has_it(entry.path())).then_some(())
        })
    }
}

/// Whether a server says anything.
fn greets(address: SocketAddr) -> bool {
    let Ok(mut stream) = TcpStream::connect(address) else { return false };
    let _ = stream.set_read_timeout(Some(Duration::from_secs(5)));
    matches!(stream.read(&mut [0]), Ok(1))
}

fn contains(octets: &[u8], part: &[u8]) -> bool {
    octets.windows(part.len()).any(|window| window == part)
}
