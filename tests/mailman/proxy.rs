//! The command `smtpd -c MailmanProxy` as a process.

use std::fs::{File, read_to_string};
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use libtest_mimic::Failed;

use crate::folder::{Folder, wait};

/// A proxy that is ended when this is dropped.
pub(crate) struct Proxy {
    child: Child,
    folder: Folder,
    pub(crate) address: SocketAddr,
}

impl Proxy {
    /// One that listens.
    pub(crate) fn start(lmtp: SocketAddr, maps: &Path, upstream: SocketAddr) -> Result<Self, Failed> {
        let mut proxy = Self::spawn(lmtp, maps, upstream)?;
        let port_file = proxy.folder.path().join("port");
        let port: Option<u16> = wait("the proxy's port", || {
            let port = read_to_string(&port_file).ok().and_then(|port| port.trim().parse().ok());
            match proxy.child.try_wait() {
                Ok(None) => port.map(Some),
                _ => Some(None),
            }
        })?;
        let port = port.ok_or_else(|| format!("the proxy ended: {}", proxy.said()))?;
        proxy.address.set_port(port);
        Ok(proxy)
    }

    fn spawn(lmtp: SocketAddr, maps: &Path, upstream: SocketAddr) -> Result<Self, Failed> {
        let folder = Folder::new()?;
        let said = File::create(folder.path().join("said"))?;
        let mut command = Command::new(command()?);
        command.args(["-n", "-c", "MailmanProxy", "--host", "mx.example.org"]);
        command.arg("--mailman-lmtp").arg(lmtp.to_string()).arg("--mailman-maps").arg(maps);
        command.arg("--port-file").arg(folder.path().join("port")).args(["127.0.0.1:0", &upstream.to_string()]);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(said).spawn()?;
        Ok(Self { child, folder, address: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)) })
    }

    /// For one that does not start: its exit code, and what it said.
    pub(crate) fn refuses(maps: &Path) -> Result<(Option<i32>, String), Failed> {
        let nobody = SocketAddr::from((Ipv4Addr::LOCALHOST, 9));
        let mut proxy = Self::spawn(nobody, maps, nobody)?;
        let status = wait("the proxy's end", || proxy.child.try_wait().ok().flatten())?;
        Ok((status.code(), proxy.said()))
    }

    /// On stderr.
    pub(crate) fn said(&self) -> String {
        read_to_string(self.folder.path().join("said")).unwrap_or_default()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

/// Whether the command has the class: it says of one that is to come that it is not there yet.
pub(crate) fn is_there() -> Result<bool, Failed> {
    let mut command = Command::new(command()?);
    command.args(["-n", "-c", "MailmanProxy", "127.0.0.1:0"]).stdin(Stdio::null()).stdout(Stdio::null());
    let mut child = command.stderr(Stdio::piped()).spawn()?;
    let mut line = String::new();
    let read = match child.stderr.take() {
        Some(said) => BufReader::new(said).read_line(&mut line),
        None => Ok(0),
    };
    end(&mut child);
    read?;
    Ok(!line.contains("not there yet"))
}

fn end(child: &mut Child) {
    let _ = child.kill();
    let _ = child.wait();
}

/// That of the environment, or the one beside this test, which is target/PROFILE/deps/mailman-HASH.
fn command() -> Result<PathBuf, Failed> {
    if let Some(command) = std::env::var_os("SMTPD") {
        return Ok(command.into());
    }
    let own = std::env::current_exe()?;
    let command = own.parent().and_then(Path::parent).ok_or("no folder above this test")?.join("smtpd");
    match command.is_file() {
        true => Ok(command),
        false => Err(format!("{} is not built: cargo build --bin smtpd", command.display()).into()),
    }
}
