//! The command as a process, and how much memory it holds.

use std::error::Error;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A server that is ended when this is dropped.
pub(crate) struct Server {
    child: Child,
    pub(crate) address: SocketAddr,
}

impl Server {
    pub(crate) fn start(arguments: &[&str]) -> Result<Self, Box<dyn Error>> {
        let port_file = std::env::temp_dir().join(format!("smtpd-abuse-{}", std::process::id()));
        let _ = std::fs::remove_file(&port_file);
        let mut command = Command::new(command()?);
        command.args(["-n", "-c", "Sink", "--host", "mx.example.org", "--port-file"]).arg(&port_file);
        command.args(arguments).arg("127.0.0.1:0").stdin(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().map_err(|error| format!("{command:?}: {error}"))?;
        let mut server = Self { child, address: SocketAddr::from(([127, 0, 0, 1], 0)) };
        let begun = Instant::now();
        let port = loop {
            let port = std::fs::read_to_string(&port_file).ok().and_then(|port| port.trim().parse().ok());
            match port {
                Some(port) => break port,
                None if begun.elapsed() > Duration::from_secs(10) => return Err("no port after 10 s".into()),
                None => std::thread::sleep(Duration::from_millis(10)),
            }
        };
        server.address.set_port(port);
        let _ = std::fs::remove_file(&port_file);
        Ok(server)
    }

    /// Octets of memory that are its own and not swapped out.
    pub(crate) fn resident(&self) -> Result<usize, Box<dyn Error>> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("the server is gone")?;
        let kib: usize = line.trim().trim_end_matches(" kB").parse()?;
        Ok(kib << 10)
    }

    pub(crate) fn is_alive(&mut self) -> Result<(), Box<dyn Error>> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => Err(format!("the server ended: {status}").into()),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn command() -> Result<PathBuf, Box<dyn Error>> {
    if let Some(command) = std::env::var_os("SMTPD") {
        return Ok(command.into());
    }
    // This is target/PROFILE/deps/abuse-HASH.
    let own = std::env::current_exe()?;
    let folder = own.parent().and_then(|deps| deps.parent()).ok_or("no folder above this test")?;
    Ok(folder.join("smtpd"))
}
