//! The command `smtpd`: as a server that stores mails, and as the proxy.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use libtest_mimic::Failed;

use super::{Arrival, Keeps, Running, Server, files};
use crate::process::{Folder, Process, until};

pub(crate) const SERVER: Server = Server { name: "ours", missing, start, keeps: Keeps::AsItCame };

fn missing() -> Option<String> {
    let command = command();
    (!command.is_file()).then(|| format!("{} is not built", command.display()))
}

fn start() -> Result<Running, Failed> {
    let folder = Folder::new("ours")?;
    let kept = folder.of("kept");
    let (address, process) = run(&folder, &["-c", "Files", "--dir", &kept, "localhost:0"])?;
    Ok(Running { address, arrivals: kept_by_us, kept: kept.into(), _process: process, _folder: folder })
}

fn kept_by_us(folder: &Path) -> Result<Vec<Arrival>, Failed> {
    let mut arrivals = Vec::new();
    for text in files(folder, "eml")? {
        let envelope: serde_json::Value = serde_json::from_slice(&fs::read(text.with_extension("json"))?)?;
        let address = |value: &serde_json::Value| value.as_str().map(str::to_owned).ok_or("no address");
        let to = envelope["rcpt_tos"].as_array().ok_or("no recipients")?;
        let to = to.iter().map(address).collect::<Result<_, _>>()?;
        arrivals.push(Arrival { from: address(&envelope["mail_from"])?, to, text });
    }
    Ok(arrivals)
}

/// The proxy; it is ended when this is dropped.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    _process: Process,
    folder: Folder,
}

impl Proxy {
    /// One of class `PureProxy` that relays to `upstream`.
    pub(crate) fn start(upstream: SocketAddr, options: &[&str]) -> Result<Self, Failed> {
        let (folder, upstream) = (Folder::new("proxy")?, upstream.to_string());
        let arguments = [&["-c", "PureProxy"], options, &["localhost:0", &upstream]].concat();
        let (address, process) = run(&folder, &arguments)?;
        Ok(Self { address, _process: process, folder })
    }

    /// Sockets that it has open.
    pub(crate) fn sockets(&self) -> Result<usize, Failed> {
        let files = fs::read_dir(self.folder.of_process("fd")?)?;
        let targets = files.filter_map(|file| fs::read_link(file.ok()?.path()).ok());
        Ok(targets.filter(|target| target.to_string_lossy().starts_with("socket:")).count())
    }

    /// Its memory, in KiB.
    pub(crate) fn memory(&self) -> Result<usize, Failed> {
        let status = fs::read_to_string(self.folder.of_process("status")?)?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
        Ok(line.trim().trim_end_matches(" kB").parse()?)
    }

    /// Whether the command knows the class. One that knows it and does not start has to be seen to fail.
    pub(crate) fn is_known() -> Result<bool, Failed> {
        // It ends at once in any case, since its port is taken.
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let mut command = Command::new(command());
        command.args(["-n", "-c", "PureProxy", &taken.local_addr()?.to_string()]).stdin(Stdio::null());
        let said = command.output()?.stderr;
        Ok(!String::from_utf8_lossy(&said).contains("class PureProxy is not there yet"))
    }
}

/// Runs the command with these arguments; the address that it listens on.
fn run(folder: &Folder, arguments: &[&str]) -> Result<(SocketAddr, Process), Failed> {
    let (command, port_file) = (command(), folder.of("port"));
    let mut line = vec![command.to_str().ok_or("a path that is no text")?, "-n", "--port-file", &port_file];
    line.extend_from_slice(arguments);
    let process = Process::run(folder, &line)?;
    let port = || fs::read_to_string(&port_file).ok()?.trim().parse().ok();
    let port: u16 = until(Duration::from_secs(10), port)
        .ok_or_else(|| format!("no port after 10 s: {line:?}: {}", folder.said()))?;
    Ok(((Ipv4Addr::LOCALHOST, port).into(), process))
}

/// That of the variable `SMTPD`, or the one that was built beside this test, target/PROFILE/deps/proxy-HASH.
fn command() -> PathBuf {
    let beside = || Some(std::env::current_exe().ok()?.parent()?.parent()?.join("smtpd"));
    std::env::var_os("SMTPD").map(PathBuf::from).or_else(beside).unwrap_or_default()
}
