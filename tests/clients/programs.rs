//! The clients: which programs they are, and how each is told to send a mail.

use std::fs;
use std::path::{Path, PathBuf};
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
    /// Reads the text from its standard input.
    is_piped: bool,
    /// Whose headers arrive.
    pub(crate) headers: Headers,
    /// What it puts at the end of the text.
    adds: &'static str,
    /// The recipients that it sends to.
    recipients: fn(mail: &Mail) -> Vec<String>,
    /// Mails that it does not send as they are, and why.
    skips: &'static [(&'static str, &'static str)],
}

/// Whose headers arrive.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Headers {
    /// The mail's.
    Mail,
    /// Its own, or more of them: only the body is the mail's.
    Client,
}

/// What most clients have in common.
const ANY: Client = Client {
    name: "",
    program: "",
    package: "",
    arguments: |_, _, _| Vec::new(),
    file: File::Crlf,
    is_piped: false,
    headers: Headers::Mail,
    adds: "",
    recipients: |mail| mail.to.clone(),
    skips: &[],
};

/// How a client wants a text in a file.
#[derive(Clone, Copy, PartialEq, Eq)]
enum File {
    /// As it goes over the wire, but for the dots.
    Crlf,
    /// Lines with LF between them, of which it makes CRLF.
    Lines,
    /// The same without headers.
    Body,
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
        package: "Debian: swaks",
        arguments: |port, mail, file| swaks(port, mail, file, false),
        file: File::Lines,
        ..ANY
    },
    Client {
        name: "swaks_pipeline",
        program: "swaks",
        package: "Debian: swaks",
        arguments: |port, mail, file| swaks(port, mail, file, true),
        file: File::Lines,
        ..ANY
    },
    Client { name: "curl", program: "curl", package: "Debian: curl", arguments: curl, ..ANY },
    Client { name: "smtplib", program: "python3", package: "Debian: python3", arguments: smtplib, ..ANY },
    Client {
        name: "smtp_source",
        program: "smtp-source",
        package: "Debian: postfix",
        arguments: smtp_source,
        file: File::Lines,
        adds: "\r\n",
        recipients: numbered,
        ..ANY
    },
    Client {
        name: "msmtp",
        program: "msmtp",
        package: "Debian: msmtp",
        arguments: msmtp,
        file: File::Lines,
        is_piped: true,
        ..ANY
    },
    Client {
        name: "s_nail",
        program: "s-nail",
        package: "Debian: s-nail",
        arguments: s_nail,
        file: File::Body,
        is_piped: true,
        headers: Headers::Client,
        skips: &[
            ("long_lines", "it sends lines of over 500 octets as quoted-printable"),
            ("eight_bit", "it sends control octets as quoted-printable"),
        ],
        ..ANY
    },
    Client {
        name: "git_send_email",
        program: "git",
        package: "Debian: git-email",
        arguments: git_send_email,
        file: File::Lines,
        headers: Headers::Client,
        skips: &[("long_lines", "it sends lines of 998 octets as quoted-printable")],
        ..ANY
    },
    Client {
        name: "aiosmtplib",
        program: "target/clients/venv/bin/python",
        package: "pip: aiosmtplib, in target/clients/venv",
        arguments: aiosmtplib,
        ..ANY
    },
    Client {
        name: "nodemailer",
        program: "node",
        package: "npm: nodemailer, in target/clients",
        arguments: nodemailer,
        ..ANY
    },
];

fn msmtp(port: u16, mail: &Mail, _: &str) -> Vec<String> {
    let (port, from) = (format!("--port={port}"), format!("--from={FROM}"));
    let mut arguments = strings(&["--host=127.0.0.1", &port, &from, "--domain=client.example", "--file=/dev/null"]);
    for header in ["date", "from", "msgid"] {
        arguments.push(format!("--set-{header}-header=off"));
    }
    arguments.push("--".into());
    arguments.extend(mail.to.iter().cloned());
    arguments
}

fn s_nail(port: u16, mail: &Mail, _: &str) -> Vec<String> {
    let mta = format!("mta=smtp://127.0.0.1:{port}");
    let mut arguments = strings(&["-:/", "-r", FROM, "-s", "test", "-C", "X-A: b"]);
    for setting in [&mta, "smtp-auth=none", "v15-compat=yes", "ttycharset=utf-8", "mime-encoding=8bit", "sendwait"] {
        arguments.extend(strings(&["-S", setting]));
    }
    arguments.extend(mail.to.iter().cloned());
    arguments
}

fn git_send_email(port: u16, mail: &Mail, file: &str) -> Vec<String> {
    let port = format!("--smtp-server-port={port}");
    let mut arguments = strings(&["send-email", "--quiet", "--confirm=never", "--suppress-cc=all", "--no-validate"]);
    arguments.extend(strings(&["--smtp-server=127.0.0.1", &port, "--smtp-domain=client.example", "--from", FROM]));
    arguments.extend(strings(&["--8bit-encoding=UTF-8", "--transfer-encoding=8bit"]));
    for to in &mail.to {
        arguments.extend(strings(&["--to", to]));
    }
    arguments.push(file.into());
    arguments
}

fn aiosmtplib(port: u16, mail: &Mail, file: &str) -> Vec<String> {
    let script = "import aiosmtplib, asyncio, sys\n\
        async def main():\n\
        \x20   async with aiosmtplib.SMTP(hostname='127.0.0.1', port=int(sys.argv[1])) as client:\n\
        \x20       text = open(sys.argv[2], 'rb').read()\n\
        \x20       await client.sendmail(sys.argv[3], sys.argv[4:], text, mail_options=['BODY=8BITMIME'])\n\
        asyncio.run(main())\n";
    let mut arguments = strings(&["-c", script, &port.to_string(), file, FROM]);
    arguments.extend(mail.to.iter().cloned());
    arguments
}

fn nodemailer(port: u16, mail: &Mail, file: &str) -> Vec<String> {
    let script = "const [port, file, from, ...to] = process.argv.slice(1);\n\
        const client = require('./target/clients/node_modules/nodemailer').createTransport(\n\
        \x20   { host: '127.0.0.1', port, name: 'client.example' });\n\
        client.sendMail({ envelope: { from, to }, raw: require('fs').readFileSync(file) },\n\
        \x20   (error) => { if (error) throw error; client.close(); });\n";
    let mut arguments = strings(&["-e", script, &port.to_string(), file, FROM]);
    arguments.extend(mail.to.iter().cloned());
    arguments
}

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
        let is_there = match self.name {
            "nodemailer" => Path::new("target/clients/node_modules/nodemailer").is_dir(),
            "git_send_email" => Path::new("/usr/lib/git-core/git-send-email").is_file(),
            _ => true,
        };
        let program = Program::find(self.program).filter(|_| is_there)?;
        Some(Program { client: Some(self), ..program })
    }

    /// Why it does not send this mail as it is.
    pub(crate) fn skips(&self, mail: &Mail) -> Option<&'static str> {
        self.skips.iter().find(|(name, _)| *name == mail.name).map(|(_, reason)| *reason)
    }

    /// What arrives when it sends `mail`: recipients and text.
    pub(crate) fn sends(&self, mail: &Mail) -> (Vec<String>, Vec<u8>) {
        ((self.recipients)(mail), [&mail.text, self.adds.as_bytes()].concat())
    }

    pub(crate) fn missing(&self) -> String {
        format!("{} ({}) is not installed", self.program, self.package)
    }
}

impl Program {
    /// Debian's own first: another python3 may stand before it on the path. A name with a slash is a path from the root
    /// of the project.
    pub(crate) fn find(name: &str) -> Option<Self> {
        if name.contains('/') {
            let path = PathBuf::from(name);
            return path.is_file().then_some(Self { path, client: None });
        }
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
            File::Body => [&lines(mail.body())[..], b"\n"].concat(),
        };
        fs::write(&file, text)?;
        let input = if client.is_piped { fs::File::open(&file)?.into() } else { Stdio::null() };
        let sent = self.run(&(client.arguments)(port, mail, &file.to_string_lossy()), input);
        fs::remove_file(&file)?;
        sent
    }

    fn run(&self, arguments: &[String], input: Stdio) -> Result<(), Failed> {
        let Output { status, stdout, stderr } = Command::new(&self.path).args(arguments).stdin(input).output()?;
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
        program.run(&arguments, Stdio::null())
    }
}
