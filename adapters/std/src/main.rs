//! The command `smtpd`: Python's `python -m smtpd`, rebuilt.

use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use smtpd_std::{Messages, Printer, Server, Stopper};
use tokio::signal::unix::{SignalKind, signal};
use tracing::level_filters::LevelFilter;

mod arguments;
mod log;
mod patient;
mod privileges;

use arguments::{Arguments, Class};
use log::Log;

/// How long the end of the program waits for whoever reads stderr.
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
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Exit::failure(format!("smtpd: {error}")))?;
    runtime.block_on(serve(arguments, log.clone()))
}

async fn serve(arguments: &Arguments, mut log: Log) -> Result<(), Exit> {
    let local = &arguments.local;
    let server = Server::bind((local.host.as_str(), local.port), arguments.config).await;
    let server = server.map_err(|error| Exit::failure(format!("smtpd: {local}: {error}")))?;
    if arguments.setuid {
        privileges::drop().map_err(|()| Exit::failure(privileges::NOT_DROPPED))?;
    }
    if let Ok(addresses) = server.local_addrs() {
        let addresses: Vec<String> = addresses.iter().map(ToString::to_string).collect();
        let _ = log.write_all(format!("smtpd: listening on {}\n", addresses.join(" and ")).as_bytes());
    }
    tokio::spawn(stop_on_signals(server.stopper()));
    match arguments.class {
        Class::DebuggingServer(form) => {
            let (stopper, failure) = (server.stopper(), Arc::new(Mutex::new(None)));
            let failed = Arc::clone(&failure);
            let printer = Printer::new(io::stdout(), form, move |error| {
                *failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                stopper.stop_now();
            });
            let printer = printer.map_err(|error| Exit::failure(format!("smtpd: {error}")))?;
            server.run(move |_| Messages::new(printer.clone())).await;
            match failure.lock().unwrap_or_else(PoisonError::into_inner).take() {
                // Whoever read the messages has seen enough.
                Some(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                    Err(Exit::failure(format!("smtpd: stdout: {error}")))
                }
                _ => Ok(()),
            }
        }
    }
}

/// The first signal lets transactions come to their end, the second doesn't.
async fn stop_on_signals(stopper: Stopper) {
    let (Ok(mut interrupt), Ok(mut terminate)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        return;
    };
    let mut next = async || {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    };
    next().await;
    stopper.stop();
    next().await;
    stopper.stop_now();
}
