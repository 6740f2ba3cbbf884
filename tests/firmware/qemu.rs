//! The board in QEMU: started, reached, listened to and ended.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use libtest_mimic::Failed;

/// How long anything may take that takes a fraction of a second; waited for only where a test fails.
const PATIENCE: Duration = Duration::from_secs(20);

/// The firmware's folder, from the root of the project.
const FIRMWARE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/lm3s6965");

/// A machine that runs firmware, and what decodes its log. Both end when this is dropped.
pub(crate) struct Board {
    qemu: Child,
    decoder: Child,
    /// Where mail goes, on loopback; 0 if the machine is reached in another way.
    pub(crate) port: u16,
    log: Output,
    text: Output,
}

/// What a machine is started with.
#[derive(Default)]
pub(crate) struct Setup<'a> {
    /// Arguments of the firmware.
    pub(crate) arguments: &'a [&'a str],
    /// More options of QEMU's.
    pub(crate) options: &'a [String],
    /// The cable, as QEMU's option `-nic` has it, or `none`; if nothing is said, a port of this host is forwarded to the board's.
    pub(crate) cable: Option<String>,
    /// The board has a serial port, and hears there what [`Board::types`] gives.
    pub(crate) has_serial: bool,
    /// The board reaches this host, as 10.0.2.2.
    pub(crate) is_open: bool,
    /// Where the firmware's files lie; none: it has none.
    pub(crate) folder: Option<&'a Path>,
}

/// What a machine said until it ended by itself.
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) log: Vec<String>,
    pub(crate) text: Vec<u8>,
}

/// Why no firmware can be run here.
pub(crate) fn missing(binary: &str) -> Option<String> {
    let is_there = |program: &str| {
        let version = Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        version.is_ok_and(|status| status.success())
    };
    if !is_there("qemu-system-arm") {
        return Some("qemu-system-arm (Debian: qemu-system-arm) is not installed".into());
    }
    if !is_there("defmt-print") {
        return Some("defmt-print (cargo install defmt-print) is not installed".into());
    }
    let is_built = elf(binary).is_file();
    (!is_built).then(|| format!("{binary} is not built, which `tests/run firmware` does where rustup has its target"))
}

/// The program that the board runs. One with a feature, `NAME+FEATURE`, is in a folder of its own.
pub(crate) fn elf(binary: &str) -> PathBuf {
    let (name, folder) = match binary.split_once('+') {
        Some((name, feature)) => (name, Path::new(env!("CARGO_MANIFEST_DIR")).join("target").join(feature)),
        None => (binary, Path::new(FIRMWARE).join("target")),
    };
    folder.join("thumbv7m-none-eabi/release").join(name)
}

/// A port that is free now.
pub(crate) fn free_port() -> Result<u16, Failed> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// The same for UDP.
pub(crate) fn free_udp_port() -> Result<u16, Failed> {
    Ok(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

impl Board {
    /// A board that listens.
    pub(crate) fn start(binary: &str, arguments: &[&str]) -> Result<Self, Failed> {
        Self::listening(binary, &Setup { arguments, ..Setup::default() })
    }

    pub(crate) fn listening(binary: &str, setup: &Setup<'_>) -> Result<Self, Failed> {
        let board = Self::with(binary, setup)?;
        board.logs(|line| line.starts_with("INFO  listening on"))?;
        Ok(board)
    }

    pub(crate) fn with(binary: &str, setup: &Setup<'_>) -> Result<Self, Failed> {
        let mut port = 0;
        let cable = match &setup.cable {
            Some(cable) => cable.clone(),
            None => {
                port = free_port()?;
                let restrict = if setup.is_open { "off" } else { "on" };
                format!(
                    "user,id=n0,model=stellaris,net=10.0.2.0/24,restrict={restrict},hostfwd=tcp:127.0.0.1:{port}-10.0.2.15:25"
                )
            }
        };
        let arguments: String = setup.arguments.iter().map(|argument| format!(",arg={argument}")).collect();
        let mut qemu = Command::new("qemu-system-arm");
        qemu.args(["-M", "lm3s6965evb", "-cpu", "cortex-m3", "-nographic", "-monitor", "none"]);
        qemu.args(["-serial", if setup.has_serial { "stdio" } else { "none" }]);
        qemu.arg("-semihosting-config").arg(format!("enable=on,target=native,arg={binary}{arguments}"));
        qemu.arg("-nic").arg(cable).args(setup.options);
        qemu.arg("-kernel").arg(elf(binary)).stdout(Stdio::piped()).stderr(Stdio::piped());
        qemu.stdin(if setup.has_serial { Stdio::piped() } else { Stdio::null() });
        if let Some(folder) = setup.folder {
            qemu.current_dir(folder);
        }
        let mut qemu = qemu.spawn()?;
        let mut decoder = Command::new("defmt-print");
        decoder.args(["--log-format", "{L} {s}", "-e"]).arg(elf(binary)).stdout(Stdio::piped()).stderr(Stdio::null());
        let output = qemu.stdout.take().ok_or("no output")?;
        let mut decoder = match decoder.stdin(output).spawn() {
            Ok(decoder) => decoder,
            Err(error) => {
                end(&mut qemu);
                return Err(error.into());
            }
        };
        let log = Output::of(decoder.stdout.take().ok_or("no log")?);
        let text = Output::of(qemu.stderr.take().ok_or("no text")?);
        Ok(Self { qemu, decoder, port, log, text })
    }

    /// Waits until a line of the log is like that, and gives it.
    pub(crate) fn logs(&self, is_like: impl Fn(&str) -> bool) -> Result<String, Failed> {
        let found = self.log.wait(|lines| lines.iter().find(|line| is_like(line)).cloned());
        found.ok_or_else(|| self.fails("the log lacks a line"))
    }

    /// Waits until so many lines of the log are like that.
    pub(crate) fn logs_often(&self, times: usize, is_like: impl Fn(&str) -> bool) -> Result<(), Failed> {
        let count = |lines: &[String]| lines.iter().filter(|line| is_like(line)).count();
        let found = self.log.wait(|lines| (count(lines) >= times).then_some(()));
        found.ok_or_else(|| self.fails(&format!("{} of {times} lines are in the log", count(&self.log.lines()))))
    }

    /// Octets for the serial port.
    pub(crate) fn types(&mut self, octets: &[u8]) -> Result<(), Failed> {
        let serial = self.qemu.stdin.as_mut().ok_or("no serial port")?;
        serial.write_all(octets)?;
        Ok(serial.flush()?)
    }

    /// The log so far.
    pub(crate) fn log(&self) -> Vec<String> {
        self.log.lines()
    }

    /// Whether the machine runs.
    pub(crate) fn is_alive(&mut self) -> bool {
        matches!(self.qemu.try_wait(), Ok(None))
    }

    /// Waits until the machine ends by itself.
    pub(crate) fn ended(mut self) -> Result<Ended, Failed> {
        let Some(status) = waited(&mut self.qemu, PATIENCE)? else {
            return Err(self.fails("the machine does not end"));
        };
        if waited(&mut self.decoder, PATIENCE)?.is_none() || !self.log.is_over() || !self.text.is_over() {
            return Err(self.fails("the log does not end"));
        }
        Ok(Ended { status, log: self.log.lines(), text: self.text.all() })
    }

    /// A test fails: with the end of what the machine said.
    pub(crate) fn fails(&self, why: &str) -> Failed {
        let tail = |lines: Vec<String>| lines[lines.len().saturating_sub(20)..].join("\n");
        format!("{why}\n--- log\n{}\n--- text\n{}", tail(self.log.lines()), tail(self.text.lines())).into()
    }
}

impl Drop for Board {
    fn drop(&mut self) {
        end(&mut self.qemu);
        end(&mut self.decoder);
    }
}

fn end(child: &mut Child) {
    let _ = child.kill();
    let _ = child.wait();
}

/// How a child ended, if it did so in time.
fn waited(child: &mut Child, time: Duration) -> Result<Option<ExitStatus>, Failed> {
    let begun = Instant::now();
    loop {
        match child.try_wait()? {
            None if begun.elapsed() < time => thread::sleep(Duration::from_millis(5)),
            status => return Ok(status),
        }
    }
}

/// What a thread reads until its end.
#[derive(Clone, Default)]
struct Output(Arc<Shared>);

/// What was read, whether that is all, and who waits for more.
#[derive(Default)]
struct Shared(Mutex<(Vec<u8>, bool)>, Condvar);

impl Output {
    fn of(mut source: impl Read + Send + 'static) -> Self {
        let output = Self::default();
        let writer = output.clone();
        thread::spawn(move || {
            let mut octets = [0; 4_096];
            while let Ok(read @ 1..) = source.read(&mut octets) {
                writer.change(|(all, _)| all.extend_from_slice(&octets[..read]));
            }
            writer.change(|(_, is_over)| *is_over = true);
        });
        output
    }

    fn change(&self, change: impl FnOnce(&mut (Vec<u8>, bool))) {
        let Shared(output, changed) = &*self.0;
        change(&mut output.lock().expect("no panic"));
        changed.notify_all();
    }

    fn all(&self) -> Vec<u8> {
        self.0.0.lock().expect("no panic").0.clone()
    }

    fn lines(&self) -> Vec<String> {
        lines(&self.all())
    }

    /// Waits until `find` finds something among the lines that are whole.
    fn wait<T>(&self, find: impl Fn(&[String]) -> Option<T>) -> Option<T> {
        let Shared(output, changed) = &*self.0;
        let mut found = None;
        let output = output.lock().expect("no panic");
        let looks = |(all, is_over): &mut (Vec<u8>, bool)| {
            let end = all.iter().rposition(|octet| *octet == b'\n').map_or(0, |end| end + 1);
            found = find(&lines(&all[..end]));
            found.is_none() && !*is_over
        };
        let _ = changed.wait_timeout_while(output, PATIENCE, looks);
        found
    }

    /// Waits for the end; false: it did not come.
    fn is_over(&self) -> bool {
        let Shared(output, changed) = &*self.0;
        let output = output.lock().expect("no panic");
        changed.wait_timeout_while(output, PATIENCE, |(_, is_over)| !*is_over).is_ok_and(|(output, _)| output.1)
    }
}

fn lines(octets: &[u8]) -> Vec<String> {
    String::from_utf8_lossy(octets).lines().map(str::to_owned).collect()
}
