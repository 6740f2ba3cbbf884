//! The two servers, each on a port of its own.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use libtest_mimic::Failed;
use smtpd_std::{Messages, Printer, Server, Stopper};
use tokio::runtime::Runtime;

use crate::versions::Version;

pub(crate) const HOST: &str = "mx.example.org";
/// Python's documented limit.
pub(crate) const SIZE: u32 = 33_554_432;

/// A Python that has the module.
#[derive(Clone)]
pub(crate) struct Python {
    program: PathBuf,
    pub(crate) version: &'static Version,
}

impl Python {
    pub(crate) fn find(version: &'static Version) -> Option<Self> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        // Debian's own first: another may stand before it on the path.
        let folders = [PathBuf::from("/usr/bin")].into_iter().chain(std::env::split_paths(&path));
        let programs = folders.flat_map(|folder| version.programs.map(|name| folder.join(name)));
        programs.map(|program| Self { program, version }).find(Self::is_right)
    }

    fn is_right(&self) -> bool {
        let test = "import sys, smtpd; sys.exit('%d.%d' % sys.version_info[:2] != sys.argv[1])";
        let mut command = self.run(test);
        command.arg(self.version.number).stdout(Stdio::null()).stderr(Stdio::null());
        self.program.is_file() && command.status().is_ok_and(|status| status.success())
    }

    fn run(&self, script: &str) -> Command {
        let mut command = Command::new(&self.program);
        // pyenv's programs of that name start what this says.
        command.env("PYENV_VERSION", self.version.number).args(["-u", "-W", "ignore", "-c", script]);
        command
    }

    /// Its server and ours, both with a limit of `size`.
    pub(crate) fn both(&self, size: u32) -> Result<(Theirs, Ours), Failed> {
        Ok((self.start(size)?, Ours::start(self.version, size)?))
    }

    /// DebuggingServer with a limit of `size`, if it knows limits. The name is given, since what Python finds depends on
    /// the machine; the system chooses the port, which comes before all else on stdout. Python 3 writes each line of a
    /// reply by itself, which the kernel would delay.
    fn start(&self, size: u32) -> Result<Theirs, Failed> {
        let script = "import asyncore, smtpd, socket, sys\n\
            class Server(smtpd.DebuggingServer):\n\
            \x20   def handle_accepted(self, conn, addr):\n\
            \x20       conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)\n\
            \x20       smtpd.DebuggingServer.handle_accepted(self, conn, addr)\n\
            socket.getfqdn = lambda: sys.argv[1]\n\
            limits = [int(size) for size in sys.argv[2:]]\n\
            server = Server(('127.0.0.1', 0), None, *limits)\n\
            print(server.socket.getsockname()[1])\n\
            asyncore.loop()\n";
        let mut command = self.run(script);
        command.arg(HOST);
        if self.version.has_limits {
            command.arg(size.to_string());
        }
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            // It says there why it drops a connection.
            .stderr(Stdio::null())
            .spawn()?;
        let mut stdout = BufReader::new(child.stdout.take().ok_or("no stdout")?);
        let mut line = String::new();
        stdout.read_line(&mut line)?;
        // Nobody else reads the pipe while it is being talked to.
        let printed = thread::spawn(move || {
            let mut printed = Vec::new();
            stdout.read_to_end(&mut printed).map(|_| printed)
        });
        Ok(Theirs { child, printed: Some(printed), port: line.trim().parse()? })
    }
}

/// Python's server; it ends when this is dropped.
pub(crate) struct Theirs {
    child: Child,
    printed: Option<JoinHandle<io::Result<Vec<u8>>>>,
    pub(crate) port: u16,
}

impl Theirs {
    /// Ends it; what it printed.
    pub(crate) fn printed(mut self) -> io::Result<Vec<u8>> {
        self.child.kill()?;
        let printed = self.printed.take().and_then(|printed| printed.join().ok());
        printed.unwrap_or_else(|| Err(io::ErrorKind::Other.into()))
    }
}

impl Drop for Theirs {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Our server; it ends when this is dropped.
pub(crate) struct Ours {
    _runtime: Runtime,
    stopper: Stopper,
    printed: Printed,
    pub(crate) port: u16,
}

#[derive(Clone, Default)]
struct Printed(Arc<Mutex<Vec<u8>>>);

impl Write for Printed {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.0.lock().map_err(|_| io::ErrorKind::Other)?.extend_from_slice(octets);
        Ok(octets.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Ours {
    /// What `smtpd -n -c DebuggingServer -s SIZE --profile NAME --max-errors 0` runs, with the printing of the version.
    fn start(version: &Version, size: u32) -> Result<Self, Failed> {
        let mut config = (version.config)(HOST);
        config.limits.size = size;
        config.limits.errors = 0;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let server = runtime.block_on(Server::bind("127.0.0.1:0", config))?;
        let port = server.local_addrs()?.first().ok_or("no address")?.port();
        let (stopper, printed) = (server.stopper(), Printed::default());
        let printer = Printer::new(printed.clone(), version.form, |_| {})?;
        runtime.spawn(server.run(move |_| Messages::new(printer.clone())));
        Ok(Self { _runtime: runtime, stopper, printed, port })
    }

    pub(crate) fn printed(self) -> Vec<u8> {
        self.printed.0.lock().map(|printed| printed.clone()).unwrap_or_default()
    }
}

impl Drop for Ours {
    fn drop(&mut self) {
        self.stopper.stop_now();
    }
}
