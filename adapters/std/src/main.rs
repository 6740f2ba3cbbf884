//! The command `smtpd`: Python's `python -m smtpd`, rebuilt.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use nix::libc::SIGXFSZ;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use smtpd_core::guard::Guard;
use smtpd_std::{
    Delivered, Files, Handler, Mailman2, Maps, Memory, Messages, Printer, Relay, Remotes, Server, Sink, Stopper,
    Unimplemented, Wrapper,
};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::level_filters::LevelFilter;

mod address;
mod always;
mod arguments;
mod base;
mod log;
mod patient;
mod policy;
mod port_file;
mod privileges;
mod relaying;

use always::Always;
use arguments::{Arguments, Class};
use base::Base;
use log::Log;
use policy::{Last, Ruled, Rules};
use port_file::PortFile;
use relaying::Source;

/// How long the end of the program waits for whoever reads stderr, and for threads that wait for disks.
const LAST_LINES: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    let mut log = match Log::new(io::stderr()) {
        Ok(log) => log,
        Err(error) => return Exit::failure(format!("smtpd: {error}")).report(&mut io::stderr()),
    };
    let code = match Arguments::parse().and_then(|arguments| run(&arguments, &log)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(stop) => stop.report(&mut log),
    };
    log.finish(LAST_LINES);
    code
}

/// Why the command ends: what to say on stderr, and the exit code.
struct Exit {
    message: String,
    code: u8,
}

impl Exit {
    fn failure(message: impl Into<String>) -> Self {
        Self { message: message.into(), code: 1 }
    }

    fn report(self, stderr: &mut impl Write) -> ExitCode {
        if !self.message.is_empty() {
            let _ = stderr.write_all(format!("{}\n", self.message).as_bytes());
        }
        self.code.into()
    }
}

fn run(arguments: &Arguments, log: &Log) -> Result<(), Exit> {
    let level = if arguments.debug { LevelFilter::TRACE } else { LevelFilter::WARN };
    let lines = log.clone();
    tracing_subscriber::fmt()
        .with_max_level(level)
        .with_target(false)
        .with_writer(move || lines.clone())
        .log_internal_errors(false)
        .init();
    // Not to stderr itself, which may hold up whoever writes there.
    std::panic::set_hook(Box::new(|panic| tracing::error!("{panic}")));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Exit::failure(format!("smtpd: {error}")))?;
    let served = runtime.block_on(serve(arguments, log.clone()));
    // A disk may hang for ever.
    runtime.shutdown_timeout(LAST_LINES);
    served
}

async fn serve(arguments: &Arguments, mut log: Log) -> Result<(), Exit> {
    let local = &arguments.local;
    let (all, each) = arguments.connections;
    // Before anybody can know that the server is there.
    let signals = Signals::new().map_err(|error| Exit::failure(format!("smtpd: {error}")))?;
    allow_descriptors(all, arguments.class.descriptors());
    let server = Server::bind((local.host.as_str(), local.port), arguments.config).await;
    let server = server.map_err(|error| Exit::failure(format!("smtpd: {local}: {error}")))?.connections(all, each);
    let addresses = server.local_addrs().map_err(|error| Exit::failure(format!("smtpd: {local}: {error}")))?;
    if let Class::PureProxy(proxy) | Class::MailmanProxy(proxy, _) = &arguments.class {
        proxy.check(&addresses)?;
    }
    let port = addresses.first().map_or(0, SocketAddr::port);
    let _port_file = match &arguments.port_file {
        Some(path) => Some(
            PortFile::new(path, port).map_err(|error| Exit::failure(format!("smtpd: {}: {error}", path.display())))?,
        ),
        None => None,
    };
    if arguments.setuid {
        privileges::drop().map_err(|()| Exit::failure(privileges::NOT_DROPPED))?;
    }
    let names: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    let ready = format!("smtpd: listening on {}\n", names.join(" and "));
    let stopper = server.stopper();
    tokio::spawn(signals.stop(stopper.clone()));
    let last = arguments.exit_after.map(|after| Last::new(after, stopper.clone()));
    let rules = Arc::new(Rules { accept: arguments.accept.clone(), last });
    let memory = Memory::new(arguments.memory);
    let failure = Arc::new(Mutex::new(None));
    let failed = Arc::clone(&failure);
    let failed = move |error| {
        *failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        stopper.stop_now();
    };
    let begin = |error| Exit::failure(format!("smtpd: {error}"));
    let ready = || log.write_all(ready.as_bytes()).unwrap_or_default();
    match (&arguments.class, arguments.json) {
        (Class::DebuggingServer(_) | Class::Sink, true) => {
            let printer = Printer::json(io::stdout(), failed).map_err(begin)?;
            run_ruled(server, rules, ready, move || Messages::new(printer.clone()).within(&memory)).await;
        }
        (Class::DebuggingServer(form), false) => {
            let printer = Printer::new(io::stdout(), *form, failed).map_err(begin)?;
            run_ruled(server, rules, ready, move || Messages::new(printer.clone()).within(&memory)).await;
        }
        (Class::Files(dir), is_json) => {
            let files = Files::new(dir.clone());
            let hint = if arguments.setuid { " (as nobody; -n keeps the user)" } else { "" };
            let files = files.map_err(|error| Exit::failure(format!("smtpd: {}: {error}{hint}", dir.display())))?;
            let files = if is_json { files.json(io::stdout(), failed).map_err(begin)? } else { files };
            run_ruled(server, rules, ready, move || Messages::new(files.clone()).within(&memory)).await;
        }
        (Class::Sink, false) => run_ruled(server, rules, ready, || Sink).await,
        (Class::SmtpServer, _) => run_ruled(server, rules, ready, || Base(Unimplemented)).await,
        (Class::PureProxy(proxy), _) => {
            let (remotes, always, proxy) = (proxy.remotes(), proxy.always(), proxy.clone());
            run_relay(server, rules, ready, always, remotes, move || proxy.pure()).await;
        }
        (Class::MailmanProxy(proxy, source), _) => {
            let (remotes, always, proxy) = (proxy.remotes(), proxy.always(), proxy.clone());
            let delivered = Delivered::new();
            match source {
                Source::Maps(folder, lmtp) => {
                    let maps = Maps::open(folder, *lmtp).map_err(begin)?;
                    let relay = move || proxy.mailman(maps.clone(), delivered.clone());
                    run_relay(server, rules, ready, always, remotes, relay).await;
                }
                Source::Mailman2(lists, command) => {
                    let mailman = Mailman2::start(lists, Wrapper::new(command)).await.map_err(begin)?;
                    let relay = move || proxy.mailman(mailman.clone(), delivered.clone());
                    run_relay(server, rules, ready, always, remotes, relay).await;
                }
            }
        }
    }
    match failure.lock().unwrap_or_else(PoisonError::into_inner).take() {
        // Whoever read the messages has seen enough.
        Some(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Exit::failure(format!("smtpd: stdout: {error}")))
        }
        _ => Ok(()),
    }
}

/// Says that the server is there, and runs it.
async fn run_ruled<H: Handler + Send + 'static>(
    server: Server,
    rules: Arc<Rules>,
    ready: impl FnOnce(),
    handler: impl Fn() -> H + Send + Sync + 'static,
) {
    ready();
    server.run(move |_| Ruled::new(handler(), &rules)).await;
}

/// The same for relays.
async fn run_relay<R: Relay + Send + 'static>(
    server: Server,
    rules: Arc<Rules>,
    ready: impl FnOnce(),
    always: Option<Guard<'static>>,
    remotes: Remotes,
    relay: impl Fn() -> R + Send + Sync + 'static,
) {
    ready();
    match always {
        Some(guard) => server.run_relay(move |_| Ruled::new(Always::new(relay(), guard), &rules), remotes).await,
        None => server.run_relay(move |_| Ruled::new(relay(), &rules), remotes).await,
    }
}

/// As many descriptors as connections need, `each` of them so many, if the system gives them; if not, `accept` says so when they
/// run out, and a proxy's client hears that the next server is away.
fn allow_descriptors(connections: usize, each: u64) {
    /// For listeners, files and the runtime.
    const OTHERS: u64 = 100;
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return };
    let wanted = if connections == 0 {
        hard
    } else {
        (connections as u64).saturating_mul(each).saturating_add(OTHERS).min(hard)
    };
    if wanted > soft {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, wanted, hard);
    }
}

/// The signals that end the server.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
    /// A file over the process's limit is an error like others: the signal would end the server.
    _too_big: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            _too_big: signal(SignalKind::from_raw(SIGXFSZ))?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }

    /// The first lets transactions come to their end, the second doesn't.
    async fn stop(mut self, stopper: Stopper) {
        self.next().await;
        stopper.stop();
        self.next().await;
        stopper.stop_now();
    }
}
