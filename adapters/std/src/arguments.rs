//! The command line: Python's options, and a few more.

use std::fmt;
use std::io::{self, Write};

use clap::Parser;
use smtpd_std::{Config, Form};

use crate::Exit;

/// What the command line asks for.
pub(crate) struct Arguments {
    pub(crate) local: Address,
    pub(crate) class: Class,
    pub(crate) config: Config<'static>,
    pub(crate) setuid: bool,
    pub(crate) debug: bool,
}

/// The server to run.
pub(crate) enum Class {
    DebuggingServer(Form),
}

/// `host:port`.
pub(crate) struct Address {
    pub(crate) host: String,
    pub(crate) port: u16,
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

const USAGE: &str = "\
An SMTP server.

Usage: smtpd [options] [localhost:localport [remotehost:remoteport]]

Options:
    -n, --nosetuid      Do not become the user nobody after binding the port; needed unless root runs this.
    -V, --version       Print the version and exit.
    -c, --class NAME    The server to run: DebuggingServer. (Python's default PureProxy is not there yet.)
    -s, --size N        Octets of a message that are taken at most; 0: no limit. Default: 33554432.
    -u, --smtputf8      Offer SMTPUTF8 (not there yet).
    -d, --debug         Trace the dialogue on stderr.
    -h, --help          Print this and exit.
        --decode        DebuggingServer prints text instead of Python's b'...'.
        --host NAME     The name in the greeting. Default: this machine's.

Default addresses: localhost:8025 localhost:25. With port 0 the system chooses; the port is printed on stderr.";

#[derive(Parser)]
// As getopt does: long options may be cut short, and the last of several counts.
#[command(disable_help_flag = true, disable_version_flag = true, infer_long_args = true, args_override_self = true)]
struct Options {
    #[arg(short, long)]
    nosetuid: bool,
    #[arg(short = 'V', long)]
    version: bool,
    #[arg(short, long, default_value = "PureProxy")]
    class: String,
    #[arg(short, long, allow_hyphen_values = true)]
    size: Option<String>,
    #[arg(short = 'u', long)]
    smtputf8: bool,
    #[arg(short, long)]
    debug: bool,
    #[arg(short, long)]
    help: bool,
    #[arg(long)]
    decode: bool,
    #[arg(long)]
    host: Option<String>,
    addresses: Vec<String>,
}

impl Arguments {
    /// Reads the process's own command line.
    pub(crate) fn parse() -> Result<Self, Exit> {
        let options = Options::try_parse().map_err(|error| usage(first_line(&error.to_string())))?;
        if options.help {
            return Err(Exit { message: USAGE.to_owned(), code: 0 });
        }
        if options.version {
            let written = writeln!(io::stdout(), "smtpd {}", env!("CARGO_PKG_VERSION"));
            return Err(Exit { message: String::new(), code: u8::from(written.is_err()) });
        }
        options.judge()
    }
}

impl Options {
    fn judge(self) -> Result<Arguments, Exit> {
        let size = match &self.size {
            None => None,
            Some(size) => Some(size.parse().map_err(|_| Exit::failure(format!("Invalid size: {size}")))?),
        };
        let (local, remote) = match &self.addresses[..] {
            [] => ("localhost:8025", "localhost:25"),
            [local] => (local.as_str(), "localhost:25"),
            [local, remote] => (local.as_str(), remote.as_str()),
            more => return Err(usage(&format!("Invalid arguments: {}", more.join(", ")))),
        };
        let local = address("local", local)?;
        address("remote", remote)?;
        if self.smtputf8 {
            return Err(Exit::failure("smtpd: SMTPUTF8 is not there yet; run without -u"));
        }
        let class = match self.class.as_str() {
            "DebuggingServer" if self.decode => Class::DebuggingServer(Form::Plain),
            "DebuggingServer" => Class::DebuggingServer(Form::Bytes),
            "PureProxy" | "MailmanProxy" | "SMTPServer" => {
                let class = self.class;
                return Err(Exit::failure(format!("smtpd: class {class} is not there yet; try -c DebuggingServer")));
            }
            class => return Err(Exit::failure(format!("smtpd: unknown class {class}; there is DebuggingServer"))),
        };
        let is_name = |host: &String| smtpd_core::wire::is_hello_name(host.as_bytes());
        let host = match self.host {
            Some(host) if is_name(&host) => host,
            Some(host) => return Err(Exit::failure(format!("Invalid host: {host}"))),
            None => host_name().filter(is_name).unwrap_or_else(|| "localhost".into()),
        };
        // The command runs once: what it is called may as well live for ever.
        let mut config = Config::new(host.leak());
        config.limits.size = size.unwrap_or(config.limits.size);
        Ok(Arguments { local, class, config, setuid: !self.nosetuid, debug: self.debug })
    }
}

fn address(end: &str, spec: &str) -> Result<Address, Exit> {
    let Some((host, port)) = spec.rsplit_once(':') else {
        return Err(usage(&format!("Bad {end} spec: {spec}")));
    };
    let port = port.parse().map_err(|_| usage(&format!("Bad {end} port: {spec}")))?;
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    Ok(Address { host: host.to_owned(), port })
}

fn usage(message: &str) -> Exit {
    Exit::failure(format!("{USAGE}\n{message}"))
}

fn first_line(message: &str) -> &str {
    message.lines().next().unwrap_or(message)
}

fn host_name() -> Option<String> {
    nix::unistd::gethostname().ok()?.into_string().ok()
}
