//! The command line: Python's options, and a few more.

use std::io::{self, Write};
use std::num::NonZeroU64;
use std::path::PathBuf;

use clap::Parser;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use dns_lookup::AddrInfoHints;
use smtpd_core::wire::{is_address_literal, is_domain, is_hello_name};
use smtpd_std::{Config, Dialect, Form};

use crate::Exit;
use crate::address::Address;
use crate::relaying::{Proxy, Relaying, Source};

/// What the command line asks for.
pub(crate) struct Arguments {
    pub(crate) local: Address,
    pub(crate) class: Class,
    /// Print envelopes as JSON, in place of what the class prints.
    pub(crate) json: bool,
    pub(crate) config: Config<'static>,
    /// Connections in all, and from one address.
    pub(crate) connections: (usize, usize),
    /// Octets of text that all messages under way may hold.
    pub(crate) memory: usize,
    /// Domains whose mail is taken; all if there is none.
    pub(crate) accept: Vec<String>,
    /// Messages after which the server ends.
    pub(crate) exit_after: Option<u64>,
    pub(crate) port_file: Option<PathBuf>,
    pub(crate) setuid: bool,
    pub(crate) debug: bool,
}

/// The server to run.
pub(crate) enum Class {
    DebuggingServer(Form),
    SmtpServer,
    Sink,
    Files(PathBuf),
    PureProxy(Proxy),
    MailmanProxy(Proxy, Source),
}

impl Class {
    /// Descriptors that a connection may take.
    pub(crate) const fn descriptors(&self) -> u64 {
        match self {
            Self::DebuggingServer(_) | Self::SmtpServer | Self::Sink => 1,
            // Its file, or its connection to the next server.
            Self::Files(_) | Self::PureProxy(_) => 2,
            Self::MailmanProxy(_, Source::Maps(..)) => 3,
            // Both ends of that to the server of the lists are here.
            Self::MailmanProxy(_, Source::Mailman2(..)) => 4,
        }
    }
}

const USAGE: &str = "\
An SMTP server.

Usage: smtpd [options] [localhost:localport [remotehost:remoteport]]

Options:
    -n, --nosetuid      Do not become the user nobody after binding the port; needed unless root runs this.
    -V, --version       Print the version and exit.
    -c, --class NAME    The server to run:
                          DebuggingServer  prints each message on stdout
                          Files            stores each message in a file of --dir
                          MailmanProxy     relays mail for lists to Mailman, all other mail to remotehost
                          PureProxy        relays each message to remotehost (the default, as Python's)
                          Sink             accepts each message and throws it away
                          SMTPServer       refuses each message, as Python's base class
    -s, --size N        Octets of a message that are taken at most; 0: no limit. Default: 33554432.
    -u, --smtputf8      Offer SMTPUTF8 (not there yet).
    -d, --debug         Trace the dialogue on stderr.
    -h, --help          Print this and exit.
        --decode        DebuggingServer prints text instead of Python's b'...'.
        --dir DIR       Files stores messages there, and makes it: NAME.json, the envelope, and then NAME.eml, the text.
                        Names rise with time.
        --json          Print the envelope of each message as a line of JSON instead of what the class prints.
        --host NAME     The name in the greeting. Default: this machine's.
        --profile NAME  Read commands, reply and print as the RFC says: rfc (the default); or as Python's smtpd did, which
                        took addresses that are none: python_3_11, python_2_7.
        --accept DOMAIN Take mail for this domain only (not for those below it), and for <Postmaster>; may be given more
                        than once.
        --port-file FILE
                        Write the port to FILE once the server listens; FILE goes when the server ends.
        --exit-after N  End after N messages were answered 250.

Relaying (PureProxy and MailmanProxy): for clients on this host, or else for those that are said, and then for this host only
if that is one of them (127.0.0.0/8). Mail for Mailman's lists is taken from everybody.
        --relay-from NETWORK
                        Relay for clients there (192.0.2.0/24, 2001:db8::/32, an address); may be given more than once.
        --relay-to DOMAIN
                        Relay to this domain for everybody; may be given more than once.
        --open-relay    Relay for everybody to everybody. Strangers find that within hours.
        --no-received   Add no Received field (RFC 5321 wants one).
        --always-250    Answer yes to all mail as Python did; what the remote server refused is lost, and told on stderr.
        --x-peer        PureProxy adds Python's X-Peer field.
        --upstream-down WHAT
                        What PureProxy does while the remote server can't be reached: defer (the default: MAIL is answered
                        451), refuse (greet with 421).
        --mailman-maps DIR
                        Where Mailman 3 keeps postfix_lmtp, its addresses (VAR/data; Debian: /var/lib/mailman3/data).
        --mailman-lmtp HOST:PORT
                        Where its LMTP runner is. Default: as that table says.
        --mailman2-lists DIR, --mailman2-command FILE
                        A Mailman 2: its folder of lists, its mail wrapper (/var/lib/mailman/mail/mailman).

Limits (0: none; a line has at most 4096 octets in any case):
        --max-connections N (1000)    --max-connections-per-address N (250)
        --max-memory N (268435456, octets of text of all messages under way)
        --max-recipients N (1000)     --max-commands N (100000)    --max-errors N (20)
        --max-transactions N (0)      --max-line N (1024)          --max-drain N (33554432)
        --timeout-command SECS (300)  --timeout-text SECS (180, for each 512 octets)
        --timeout-output SECS (300)   --timeout-session SECS (0)

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
    dir: Option<PathBuf>,
    #[arg(long)]
    json: bool,
    #[arg(long)]
    host: Option<String>,
    #[arg(long, default_value = "rfc")]
    profile: String,
    #[arg(long, action = clap::ArgAction::Append)]
    accept: Vec<String>,
    #[arg(long)]
    port_file: Option<PathBuf>,
    #[arg(long, allow_negative_numbers = true)]
    exit_after: Option<NonZeroU64>,
    #[arg(long, default_value_t = 1_000, allow_negative_numbers = true)]
    max_connections: usize,
    #[arg(long, default_value_t = 250, allow_negative_numbers = true)]
    max_connections_per_address: usize,
    #[arg(long, default_value_t = 268_435_456, allow_negative_numbers = true)]
    max_memory: usize,
    #[command(flatten)]
    limits: OfSession,
    #[command(flatten)]
    relaying: Relaying,
    addresses: Vec<String>,
}

/// Limits and timers of a session, where they differ from the defaults.
#[derive(clap::Args)]
struct OfSession {
    #[arg(long, allow_negative_numbers = true)]
    max_recipients: Option<u16>,
    #[arg(long, allow_negative_numbers = true)]
    max_commands: Option<u32>,
    #[arg(long, allow_negative_numbers = true)]
    max_errors: Option<u16>,
    #[arg(long, allow_negative_numbers = true)]
    max_transactions: Option<u32>,
    #[arg(long, allow_negative_numbers = true)]
    max_line: Option<u16>,
    #[arg(long, allow_negative_numbers = true)]
    max_drain: Option<u32>,
    #[arg(long, allow_negative_numbers = true)]
    timeout_command: Option<u32>,
    #[arg(long, allow_negative_numbers = true)]
    timeout_text: Option<u32>,
    #[arg(long, allow_negative_numbers = true)]
    timeout_output: Option<u32>,
    #[arg(long, allow_negative_numbers = true)]
    timeout_session: Option<u32>,
}

impl OfSession {
    fn put(&self, config: &mut Config<'_>) {
        fn replace<T: Copy>(value: &mut T, option: Option<T>) {
            *value = option.unwrap_or(*value);
        }
        let (limits, timers) = (&mut config.limits, &mut config.timers);
        replace(&mut limits.recipients, self.max_recipients);
        replace(&mut limits.commands, self.max_commands);
        replace(&mut limits.errors, self.max_errors);
        replace(&mut limits.transactions, self.max_transactions);
        replace(&mut limits.line, self.max_line);
        replace(&mut limits.drain, self.max_drain);
        replace(&mut timers.command, self.timeout_command);
        replace(&mut timers.text, self.timeout_text);
        replace(&mut timers.output, self.timeout_output);
        replace(&mut timers.session, self.timeout_session);
    }
}

impl Arguments {
    /// Reads the process's own command line.
    pub(crate) fn parse() -> Result<Self, Exit> {
        let options = Options::try_parse().map_err(|error| unfit(&error))?;
        if options.help {
            return Err(Exit { message: USAGE.to_owned(), code: 0 });
        }
        if options.version {
            return Err(version(config(&options.profile, "")?.dialect));
        }
        options.judge()
    }
}

impl Options {
    /// What is no mistake of its own, but means nothing here.
    fn check(&self) -> Result<(), Exit> {
        self.relaying.check(&self.class)?;
        let fault = match (self.class.as_str(), self.limits.max_line) {
            (_, Some(line @ 1..512)) => format!("Invalid max-line: {line}, the least is 512 (RFC 5321 §4.5.3.1.4)"),
            (_, Some(line @ 4_097..)) => format!("Invalid max-line: {line}, the most is 4096"),
            ("DebuggingServer", _) if self.decode && self.json => "--json prints in place of --decode".to_owned(),
            (class, _) if self.decode && class != "DebuggingServer" => "--decode is for DebuggingServer".to_owned(),
            (class, _) if self.dir.is_some() && class != "Files" => "--dir is for Files".to_owned(),
            (class, _) if self.json && self.is_proxy() => format!("--json is not for {class}"),
            _ => {
                let is_name = |name: &String| is_domain(name.as_bytes()) || is_address_literal(name.as_bytes());
                let Some(name) = self.accept.iter().find(|name| !is_name(name)) else { return Ok(()) };
                format!("Invalid accept: {name:?} (a domain, or an address in brackets)")
            }
        };
        Err(Exit::failure(fault))
    }

    /// As Python did without a class.
    fn is_proxy(&self) -> bool {
        matches!(self.class.as_str(), "PureProxy" | "MailmanProxy")
    }

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
        let remote = address("remote", remote)?;
        if self.smtputf8 {
            return Err(Exit::failure("smtpd: SMTPUTF8 is not there yet; run without -u"));
        }
        self.check()?;
        let is_name = |host: &String| is_hello_name(host.as_bytes());
        let host = match self.host {
            Some(host) if is_name(&host) => host,
            Some(host) => return Err(Exit::failure(format!("Invalid host: {host}"))),
            None => host_name().filter(is_name).unwrap_or_else(|| "localhost".into()),
        };
        // The command runs once: what it is called may as well live for ever.
        let mut config = config(&self.profile, host.leak())?;
        let class = match self.class.as_str() {
            "PureProxy" => Class::PureProxy(self.relaying.proxy(&remote, config.host)?),
            "MailmanProxy" => {
                let proxy = self.relaying.proxy(&remote, config.host)?;
                Class::MailmanProxy(proxy, self.relaying.source()?)
            }
            name => class(name, form(config.dialect, self.decode), self.dir)?,
        };
        config.limits.size = size.unwrap_or(config.limits.size);
        self.limits.put(&mut config);
        Ok(Arguments {
            local,
            class,
            json: self.json,
            config,
            connections: (self.max_connections, self.max_connections_per_address),
            memory: self.max_memory,
            accept: self.accept,
            exit_after: self.exit_after.map(NonZeroU64::get),
            port_file: self.port_file,
            setuid: !self.nosetuid,
            debug: self.debug,
        })
    }
}

fn config(profile: &str, host: &'static str) -> Result<Config<'static>, Exit> {
    Ok(match profile {
        "rfc" => Config::new(host),
        "python_3_11" => Config::python_3_11(host),
        "python_2_7" => Config::python_2_7(host),
        name => {
            let fault = format!("smtpd: unknown profile {name}; there are rfc, python_3_11, python_2_7");
            return Err(Exit::failure(fault));
        }
    })
}

fn version(dialect: Dialect) -> Exit {
    let line = match dialect {
        // On stderr, as it was there.
        Dialect::Python2_7 => return Exit { message: Config::python_2_7("").greeting.to_owned(), code: 0 },
        Dialect::Python3_11 => Config::python_3_11("").greeting,
        _ => concat!("smtpd ", env!("CARGO_PKG_VERSION")),
    };
    let written = writeln!(io::stdout(), "{line}");
    Exit { message: String::new(), code: u8::from(written.is_err()) }
}

const CLASSES: &str = "DebuggingServer, Files, MailmanProxy, PureProxy, SMTPServer, Sink";

fn form(dialect: Dialect, decode: bool) -> Form {
    match dialect {
        Dialect::Python2_7 => Form::Python2_7,
        _ if decode => Form::Plain,
        _ => Form::Bytes,
    }
}

fn class(name: &str, form: Form, dir: Option<PathBuf>) -> Result<Class, Exit> {
    let fault = match name {
        "DebuggingServer" => return Ok(Class::DebuggingServer(form)),
        "SMTPServer" => return Ok(Class::SmtpServer),
        "Sink" => return Ok(Class::Sink),
        "Files" => match dir {
            Some(dir) => return Ok(Class::Files(dir)),
            None => "class Files needs --dir DIR".to_owned(),
        },
        name if name.contains('.') => {
            format!("class {name} can't be imported: this program is not Python; there are {CLASSES}")
        }
        name => format!("unknown class {name:?}; there are {CLASSES}"),
    };
    Err(Exit::failure(format!("smtpd: {fault}")))
}

fn address(end: &str, spec: &str) -> Result<Address, Exit> {
    Address::parse(spec).map_err(|part| usage(&format!("Bad {end} {part}: {spec}")))
}

fn usage(message: &str) -> Exit {
    Exit::failure(format!("{USAGE}\n{message}"))
}

/// What is wrong with the options, in the words of Python's getopt where it has some.
fn unfit(error: &clap::Error) -> Exit {
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => text.as_str(),
        _ => "",
    };
    // `--class <NAME>`
    let option = text(ContextKind::InvalidArg).split(' ').next().unwrap_or_default();
    let value = text(ContextKind::InvalidValue);
    let name = option.trim_start_matches('-');
    match error.kind() {
        ErrorKind::ValueValidation => {
            Exit::failure(format!("Invalid {name}: {value} (not a whole number, or not one that is allowed)"))
        }
        ErrorKind::UnknownArgument => usage(&format!("option {option} not recognized")),
        ErrorKind::InvalidValue => usage(&format!("option {option} requires argument")),
        ErrorKind::TooManyValues => usage(&format!("option {option} must not have an argument")),
        _ => usage(error.to_string().lines().next().unwrap_or_default()),
    }
}

/// This machine's name, with its domain if it has one, as Python's `getfqdn`.
fn host_name() -> Option<String> {
    let name = nix::unistd::gethostname().ok()?.into_string().ok()?;
    if name.contains('.') {
        return Some(name);
    }
    let hints = AddrInfoHints { flags: nix::libc::AI_CANONNAME, ..AddrInfoHints::default() };
    let found = dns_lookup::getaddrinfo(Some(&name), None, Some(hints)).ok();
    let canonical = found.and_then(|mut found| found.find_map(|entry| entry.ok()?.canonname));
    canonical.filter(|canonical| canonical.contains('.')).or(Some(name))
}
