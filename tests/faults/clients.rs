//! The clients: how each is told to send a small mail, and what it says came of it.

use std::fmt;
use std::fs;
use std::io::{Read, Write};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use lettre::transport::smtp;

/// How long a client waits for the server, as it is told; what it does by itself stands in the file of the table.
const TIMEOUT: Duration = Duration::from_secs(2);
/// A client that still runs then is killed.
pub(crate) const KILLED_AFTER: Duration = Duration::from_secs(10);

const FROM: &str = "sender@client.example";
const TO: &str = "one@example.org";
const MAIL: &str = "Subject: test\r\n\r\nOne.\r\nTwo.\r\nThree.\r\n";

pub(crate) struct Client {
    pub(crate) name: &'static str,
    /// What has to be installed.
    pub(crate) package: &'static str,
    /// This repository says its version, so another one is an error.
    pub(crate) is_pinned: bool,
    /// None if it is not installed.
    pub(crate) version: fn() -> Option<String>,
    pub(crate) send: fn(port: u16) -> Said,
}

/// What a client says.
pub(crate) struct Said {
    pub(crate) verdict: Verdict,
    /// What a program can tell from it: classes and codes.
    pub(crate) words: String,
    /// What a person can.
    pub(crate) text: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Sent,
    Permanent,
    Temporary,
    /// It does not say for how long.
    Refused,
    /// The server does not speak SMTP, or says what can't be an answer.
    BadReply,
    /// The connection ended.
    Lost,
    Timeout,
    /// It had to be killed.
    Hung,
    /// A panic, a signal, an exception that is none of the client's own.
    Crash,
}

const VERDICTS: [(Verdict, &str); 9] = [
    (Verdict::Sent, "sent"),
    (Verdict::Permanent, "permanent"),
    (Verdict::Temporary, "temporary"),
    (Verdict::Refused, "refused"),
    (Verdict::BadReply, "bad reply"),
    (Verdict::Lost, "lost"),
    (Verdict::Timeout, "timeout"),
    (Verdict::Hung, "hung"),
    (Verdict::Crash, "crash"),
];

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(VERDICTS.iter().find(|(verdict, _)| verdict == self).map_or("", |(_, name)| name))
    }
}

pub(crate) static CLIENTS: &[Client] = &[
    Client { name: "lettre", package: "lettre", is_pinned: true, version: lettre_version, send: lettre },
    Client {
        name: "smtplib",
        package: "/usr/bin/python3 (Debian: python3)",
        is_pinned: false,
        version: || said_by(PYTHON, &["-c", "import platform; print(platform.python_version())"]),
        send: |port| script(PYTHON, "with_smtplib.py", port),
    },
    Client {
        name: "aiosmtplib",
        package: "aiosmtplib (pip, in target/clients/venv)",
        is_pinned: true,
        version: || said_by(VENV, &["-c", "from importlib.metadata import version; print(version('aiosmtplib'))"]),
        send: |port| script(VENV, "with_aiosmtplib.py", port),
    },
    Client {
        name: "nodemailer",
        package: "nodemailer (npm, in target/clients)",
        is_pinned: true,
        version: || {
            let package = "require('./target/clients/node_modules/nodemailer/package.json')";
            said_by("node", &["-p", &format!("{package}.version")])
        },
        send: |port| script("node", "with_nodemailer.mjs", port),
    },
    Client {
        name: "msmtp",
        package: "msmtp (Debian: msmtp)",
        is_pinned: false,
        version: || Some(said_by("msmtp", &["--version"])?.split(' ').nth(2)?.to_owned()),
        send: msmtp,
    },
];

/// Debian's own: another python3 may stand before it on the path.
const PYTHON: &str = "/usr/bin/python3";
const VENV: &str = "target/clients/venv/bin/python";

/// The first line that a program prints.
fn said_by(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok().filter(|output| output.status.success())?;
    String::from_utf8(output.stdout).ok()?.lines().next().map(str::to_owned)
}

fn lettre_version() -> Option<String> {
    let lock = fs::read_to_string("Cargo.lock").ok()?;
    let (_, package) = lock.split_once("name = \"lettre\"\nversion = \"")?;
    package.split_once('"').map(|(version, _)| version.to_owned())
}

fn lettre(port: u16) -> Said {
    let (sender, said) = channel();
    thread::spawn(move || sender.send(send_by_lettre(port)));
    match said.recv_timeout(KILLED_AFTER) {
        Ok(said) => said,
        Err(RecvTimeoutError::Timeout) => Said::hung(),
        Err(RecvTimeoutError::Disconnected) => Said::crash("panic".into(), String::new()),
    }
}

fn send_by_lettre(port: u16) -> Said {
    let (from, to) = (FROM.parse().expect("an address"), TO.parse().expect("an address"));
    let envelope = lettre::address::Envelope::new(Some(from), vec![to]).expect("an envelope");
    let client = lettre::SmtpTransport::builder_dangerous("127.0.0.1").port(port).timeout(Some(TIMEOUT)).build();
    match lettre::Transport::send_raw(&client, &envelope, MAIL.as_bytes()) {
        Ok(_) => Said { verdict: Verdict::Sent, words: String::new(), text: String::new() },
        Err(error) => said_by_lettre(&error),
    }
}

/// By its predicates only; a broken connection has none of its own.
fn said_by_lettre(error: &smtp::Error) -> Said {
    let code = error.status().map_or(String::new(), |code| format!(" {code}"));
    let (verdict, words) = match error {
        error if error.is_timeout() => (Verdict::Timeout, "is_timeout"),
        error if error.is_permanent() => (Verdict::Permanent, "is_permanent"),
        error if error.is_transient() => (Verdict::Temporary, "is_transient"),
        error if error.is_response() => (Verdict::BadReply, "is_response"),
        error if error.is_client() => (Verdict::BadReply, "is_client"),
        _ => (Verdict::Lost, "none"),
    };
    Said { verdict, words: format!("{words}{code}"), text: error.to_string() }
}

/// A script here, which prints verdict, words and text.
fn script(program: &str, name: &str, port: u16) -> Said {
    let mut command = Command::new(program);
    command.args([&format!("tests/faults/{name}"), "127.0.0.1", &port.to_string()]);
    let Some((status, printed, complained)) = run(command, "") else { return Said::hung() };
    let said = printed.trim_end_matches('\n').split('\t').collect::<Vec<_>>();
    let verdict = |name| VERDICTS.iter().find(|(_, verdict)| *verdict == name).map(|(verdict, _)| *verdict);
    match said[..] {
        [name, words, text] if let Some(verdict) = verdict(name) => {
            Said { verdict, words: words.into(), text: text.into() }
        }
        _ => Said::crash(status.to_string(), complained),
    }
}

/// Its exit codes are those of sysexits.h.
fn msmtp(port: u16) -> Said {
    let mut command = Command::new("msmtp");
    command.args(["--host=127.0.0.1", &format!("--port={port}"), &format!("--from={FROM}"), "--file=/dev/null"]);
    command.args([&format!("--timeout={}", TIMEOUT.as_secs()), "--", TO]);
    let Some((status, _, text)) = run(command, &MAIL.replace('\r', "")) else { return Said::hung() };
    let (verdict, words) = match status.code() {
        Some(0) => (Verdict::Sent, ""),
        Some(65) => (Verdict::Refused, "EX_DATAERR"),
        Some(69) => (Verdict::Refused, "EX_UNAVAILABLE"),
        Some(74) => (Verdict::Lost, "EX_IOERR"),
        Some(75) => (Verdict::Temporary, "EX_TEMPFAIL"),
        Some(76) => (Verdict::BadReply, "EX_PROTOCOL"),
        _ => return Said::crash(status.to_string(), text),
    };
    Said { verdict, words: words.into(), text }
}

/// What a program's end was, what it printed and what it complained about; none if it had to be killed.
fn run(mut command: Command, input: &str) -> Option<(ExitStatus, String, String)> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("a program that said its version");
    let _ = child.stdin.take().expect("a pipe").write_all(input.as_bytes());
    let printed = whole(child.stdout.take().expect("a pipe"));
    let complained = whole(child.stderr.take().expect("a pipe"));
    let status = ends(&mut child)?;
    let text = |thread: thread::JoinHandle<Vec<u8>>| String::from_utf8_lossy(&thread.join().unwrap_or_default()).into();
    Some((status, text(printed), text(complained)))
}

/// Reads on beside, for a program that can't write does not end.
fn whole(mut pipe: impl Read + Send + 'static) -> thread::JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut octets = Vec::new();
        let _ = pipe.read_to_end(&mut octets);
        octets
    })
}

fn ends(child: &mut Child) -> Option<ExitStatus> {
    let start = Instant::now();
    while start.elapsed() < KILLED_AFTER {
        if let Ok(Some(status)) = child.try_wait() {
            return Some(status);
        }
        thread::sleep(Duration::from_millis(10));
    }
    let _ = child.kill();
    let _ = child.wait();
    None
}

impl Said {
    fn hung() -> Self {
        let text = format!("killed after {} s", KILLED_AFTER.as_secs());
        Self { verdict: Verdict::Hung, words: "killed".into(), text }
    }

    fn crash(words: String, text: String) -> Self {
        Self { verdict: Verdict::Crash, words, text }
    }
}
