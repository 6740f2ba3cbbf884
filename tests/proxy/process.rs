//! What the programs run in: processes that do not outlive the test, folders that go with it, ports that are free.

use std::fs::{self, File, Permissions};
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use libtest_mimic::Failed;

/// The file of what a program says.
const SAID: &str = "said";
/// The file of its process id.
const PID: &str = "pid";

/// A program that is ended when this is dropped, and also when the test's own process ends, in whichever way: a shell
/// beside it waits for the end of a pipe, and is not to be interrupted.
pub(crate) struct Process {
    pipe: Option<ChildStdin>,
    shell: Child,
}

impl Process {
    /// Runs a program that stays; what it says goes to a file of `folder`.
    pub(crate) fn run(folder: &Folder, command: &[&str]) -> Result<Self, Failed> {
        let script =
            r#"pid=$1; shift; trap "" INT; "$@" & child=$!; echo $child >"$pid"; cat; kill -9 $child; wait $child"#;
        let pid = folder.of(PID);
        Self::script(folder, script, &[&[&*pid], command].concat())
    }

    /// Runs a script that starts something, then `cat`, and then ends what it started.
    pub(crate) fn script(folder: &Folder, script: &str, arguments: &[&str]) -> Result<Self, Failed> {
        let said = File::create(folder.of(SAID))?;
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script, "sh"]).args(arguments).stdin(Stdio::piped());
        let mut shell = command.stdout(said.try_clone()?).stderr(said).spawn()?;
        Ok(Self { pipe: shell.stdin.take(), shell })
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.pipe = None;
        let _ = self.shell.wait();
    }
}

/// A folder that goes with what is in it.
pub(crate) struct Folder(PathBuf);

impl Folder {
    /// Anybody may look into it: the servers change their user.
    pub(crate) fn new(name: &str) -> Result<Self, Failed> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("smtpd-proxy-{}-{name}-{number}", std::process::id()));
        let folder = Self(path);
        fs::create_dir(&folder.0)?;
        fs::set_permissions(&folder.0, Permissions::from_mode(0o755))?;
        Ok(folder)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// The path of what has this name in it.
    pub(crate) fn of(&self, name: &str) -> String {
        self.0.join(name).to_string_lossy().into_owned()
    }

    /// What the program said that runs in it.
    pub(crate) fn said(&self) -> String {
        fs::read(self.of(SAID)).map(|said| String::from_utf8_lossy(&said).into_owned()).unwrap_or_default()
    }

    /// What `/proc` has by this name about the program that runs in it.
    pub(crate) fn of_process(&self, name: &str) -> Result<PathBuf, Failed> {
        let pid = fs::read_to_string(self.of(PID))?;
        Ok(Path::new("/proc").join(pid.trim()).join(name))
    }

    /// A folder in it that anybody may write to.
    pub(crate) fn open(&self, name: &str) -> Result<String, Failed> {
        let path = self.of(name);
        fs::create_dir(&path)?;
        fs::set_permissions(&path, Permissions::from_mode(0o1777))?;
        Ok(path)
    }

    /// A program in it that anybody may run.
    pub(crate) fn program(&self, name: &str, octets: &[u8]) -> Result<String, Failed> {
        let path = self.of(name);
        fs::write(&path, octets)?;
        fs::set_permissions(&path, Permissions::from_mode(0o755))?;
        Ok(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What a server had started may still write there.
        until(Duration::from_secs(2), || fs::remove_dir_all(&self.0).ok());
    }
}

/// An address on loopback that nobody listens on.
pub(crate) fn free_address() -> Result<SocketAddr, Failed> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

/// Waits until the program of the folder greets there.
pub(crate) fn wait_for(address: SocketAddr, folder: &Folder) -> Result<(), Failed> {
    let greeting = || {
        let stream = TcpStream::connect(address).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line).ok()?;
        line.starts_with("220").then_some(())
    };
    until(Duration::from_secs(20), greeting).ok_or_else(|| format!("nobody greets: {}", folder.said()).into())
}

/// What comes in time.
pub(crate) fn until<T>(patience: Duration, mut what: impl FnMut() -> Option<T>) -> Option<T> {
    let begun = Instant::now();
    loop {
        let came = what();
        if came.is_some() || begun.elapsed() > patience {
            return came;
        }
        sleep(Duration::from_millis(20));
    }
}
