//! The clients: which programs they are, and how each is told to send a mail.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use libtest_mimic::Failed;

use crate::mails::{FROM, Mail};

/// A client of the table, installed or not.
pub(crate) struct Client {
    pub(crate) name: &'static str,
    program: &'static str,
    package: &'static str,
    arguments: fn(port: u16, mail: &Mail, file: &str) -> Vec<String>,
    file: File,
    /// What it puts at the end of the text.
    adds: &'static str,
    /// The recipients that it sends to.
    recipients: fn(mail: &Mail) -> Vec<String>,
}

/// How a client wants a text in a file.
#[derive(Clone, Copy, PartialEq, Eq)]
enum File {
    /// As it goes over the wire, but for the dots.
    Crlf,
    /// Lines with LF between them, of which it makes CRLF.
    Lines,
}

/// A program that is installed.
pub(crate) struct Program {
    path: PathBuf,
    client: Option<&'static Client>,
}

pub(crate) static CLIENTS: &[Client] = &[
    Client {
        name: "swaks",
        program: "swaks",
        package: "swaks",
        arguments: |port, mail, file| swaks(port, mail, file, false),
        file: File::Lines,
        adds: "",
        recipients: |mail| mail.to.clone(),
    },
    Client {
        name: "swaks_pipeline",
        program: "swaks",
        package: "swaks",
        arguments: |port, mail, file| swaks(port, mail, file, true),
        file: File::Lines,
        adds: "",
        recipients: |mail| mail.to.clone(),
    },
    Client {
        name: "curl",
        program: "curl",
        package: "curl",
        arguments: curl,
        file: File::Crlf,
        adds: "",
        recipients: |mail| mail.to.clone(),
    },
    Client {
        name: "smtplib",
        program: "python3",
        package: "python3",
        arguments: smtplib,
        file: File::Crlf,
        adds: "",
        recipients: |mail| mail.to.clone(),
    },
    Client {
        name: "smtp_source",
        program: "smtp-source",
        package: "postfix",
        arguments: smtp_source,
        file: File::Lines,
        adds: "\r\n",
        recipients: numbered,
    },
];

fn swaks(port: u16, mail: &Mail, file: &str, pipeline: bool) -> Vec<String> {
    let to = mail.to.join(",");
    let mut arguments = strings(&[
        "--server",
        "127.0.0.1",
        "--port",
        &port.to_string(),
        "--from",
        FROM,
        "--to",
        &to,
        "--suppress-data",
    ]);
    arguments.extend(strings(&["--data", &format!("@{file}")]));
    arguments.extend(pipeline.then(|| "--pipeline".into()));
    arguments
}

fn curl(port: u16, mail: &Mail, file: &str) -> Vec<String> {
    let url = format!("smtp://127.0.0.1:{port}/client.example");
    let mut arguments =
        strings(&["--silent", "--show-error", "--url", &url, "--mail-from", FROM, "--upload-file", file]);
    for to in &mail.to {
        arguments.extend(strings(&["--mail-rcpt", to]));
    }
    arguments
}

fn smtplib(port: u16, mail: &Mail, file: &str) -> Vec<String> {
    let script = "import smtplib, sys\n\
        with smtplib.SMTP('127.0.0.1', int(sys.argv[1])) as client:\n\
        \x20   client.sendmail(sys.argv[3], sys.argv[4:], open(sys.argv[2], 'rb').read(), ['BODY=8BITMIME'])\n";
    let mut arguments = strings(&["-c", script, &port.to_string(), file, FROM]);
    arguments.extend(mail.to.iter().cloned());
    arguments
}

/// With several recipients it numbers all but the last.
fn numbered(mail: &Mail) -> Vec<String> {
    (1..=mail.to.len())
        .rev()
        .map(|number| if number == 1 { mail.to[0].clone() } else { format!("{number}{}", mail.to[0]) })
        .collect()
}

fn smtp_source(port: u16, mail: &Mail, file: &str) -> Vec<String> {
    let count = mail.to.len().to_string();
    let to = &mail.to[0];
    strings(&["-F", file, "-f", FROM, "-t", to, "-r", &count, &format!("inet:127.0.0.1:{port}")])
}

fn strings(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

impl Client {
    pub(crate) fn program(&'static self) -> Option<Program> {
        Program::find(self.program).map(|program| Program { client: Some(self), ..program })
    }

    /// What arrives when it sends `mail`: recipients and text.
    pub(crate) fn sends(&self, mail: &Mail) -> (Vec<String>, Vec<u8>) {
        ((self.recipients)(mail), [&mail.text, self.adds.as_bytes()].concat())
    }

    pub(crate) fn missing(&self) -> String {
        format!("{} (Debian: {}) is not installed", self.program, self.package)
    }
}

impl Program {
    /// Debian's own first: another python3 may stand before it on the path.
    pub(crate) fn find(name: &str) -> Option<Self> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let folders = ["/usr/bin", "/usr/sbin"].into_iter().map(PathBuf::from).chain(std::env::split_paths(&path));
        let path = folders.map(|folder| folder.join(name)).find(|path| path.is_file())?;
        Some(Self { path, client: None })
    }

    pub(crate) fn send(&self, port: u16, mail: &Mail) -> Result<(), Failed> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let client = self.client.ok_or("not a client")?;
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let file = std::env::temp_dir().join(format!("smtpd-clients-{}-{number}", std::process::id()));
        let text = match client.file {
            File::Crlf => mail.text.clone(),
            File::Lines => lines(&mail.text),
        };
        fs::write(&file, text)?;
        let sent = self.run(&(client.arguments)(port, mail, &file.to_string_lossy()));
        fs::remove_file(&file)?;
        sent
    }

    fn run(&self, arguments: &[String]) -> Result<(), Failed> {
        let Output { status, stdout, stderr } =
            Command::new(&self.path).args(arguments).stdin(Stdio::null()).output()?;
        if status.success() {
            return Ok(());
        }
        let said = [stdout, stderr].concat();
        let tail = &said[said.len().saturating_sub(2_000)..];
        Err(format!("{}: {status}\n{}", self.path.display(), String::from_utf8_lossy(tail)).into())
    }
}

fn lines(text: &[u8]) -> Vec<u8> {
    text.strip_suffix(b"\r\n").unwrap_or(text).iter().copied().filter(|octet| *octet != b'\r').collect()
}

/// A run of smtp-source with mails of its own making.
pub(crate) struct Source {
    pub(crate) name: &'static str,
    pub(crate) messages: usize,
    pub(crate) recipients: usize,
    pub(crate) length: usize,
    /// Keeps its connections for further mails.
    is_keeping: bool,
}

pub(crate) static SOURCES: &[Source] = &[
    Source { name: "storm::a_connection_each", messages: 1_000, recipients: 1, length: 1_000, is_keeping: false },
    Source { name: "storm::connections_kept", messages: 1_000, recipients: 1, length: 1_000, is_keeping: true },
    Source { name: "storm::hundred_recipients", messages: 100, recipients: 100, length: 100_000, is_keeping: true },
];

impl Source {
    pub(crate) fn send(&self, program: &Program, port: u16) -> Result<(), Failed> {
        let [messages, recipients, length] =
            [self.messages, self.recipients, self.length].map(|number| number.to_string());
        let mut arguments = strings(&["-s", "50", "-m", &messages, "-r", &recipients, "-l", &length, "-N"]);
        if self.is_keeping {
            arguments.push("-d".into());
        }
        arguments.push(format!("inet:127.0.0.1:{port}"));
        program.run(&arguments)
    }
}
