//! Mails of random shape to real servers: sent to them directly, which proves the tests, and through our proxy, which
//! proves the proxy. What arrives is compared octet for octet, and each recipient has to get it once.
//!
//! `tests/run proxy` builds the command first. Each test starts a server of its own on loopback. A server that is not
//! installed is ignored, and says so; tests of the proxy are there as soon as the command knows the class.
//!
//! | module | what it is about |
//! |---|---|
//! | `mails`, `random` | the mails, always the same ones |
//! | `send` | the client that sends them |
//! | `servers` | Postfix, Exim, aiosmtpd, ours: how each is started, and what it kept |
//! | `compare` | what arrived against what was sent |
//! | `storm` | smtp-source to smtp-sink, counted |
//! | `forwarder` | what stands between two programs, keeps what is said, and cuts connections |
//! | `kills` | two proxies in a row, connections cut anywhere |
//! | `smuggling` | what is the end of a text to some servers only |
//! | `process` | programs that end with the test |

mod compare;
mod forwarder;
mod kills;
mod mails;
mod process;
mod random;
mod send;
mod servers;
mod smuggling;
mod storm;

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use compare::Way;
use libtest_mimic::{Arguments, Completion, Failed, Trial};
use mails::{Mail, Mails};
use send::Client;
use servers::ours::Proxy;
use servers::{Running, Server};

/// What the mails are made from.
const SEED: u64 = 20_261_127;
/// Mails that are sent to a server directly, and through the proxy.
const DIRECT: usize = 100;
const THROUGH: usize = 1_000;
/// Connections at once.
const CLIENTS: usize = 4;

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let mut ways = vec![Way::Direct];
    let is_known = Proxy::is_known().unwrap_or(false);
    // Without the command all that is about it is ignored by the tests of `ours`.
    if is_known {
        ways.extend([Way::Proxy, Way::XPeer]);
    }
    let mut trials = Vec::new();
    for count in [DIRECT, THROUGH] {
        let test = move || mails::are_of_every_shape(&Mails::new(SEED, count));
        trials.push(Trial::test(format!("mails::{count}_of_every_shape"), test));
    }
    for way in ways {
        let (name, count) = match way {
            Way::Direct => ("direct", DIRECT),
            Way::XPeer => ("x_peer", DIRECT),
            Way::Proxy | Way::TwoProxies => ("proxy", THROUGH),
        };
        for server in servers::ALL {
            let test = move || delivers(server, way, count);
            trials.push(Trial::ignorable_test(format!("{name}::{}", server.name), test));
        }
        for storm in storm::STORMS.iter().filter(|_| way != Way::XPeer) {
            let test = move || storm::blow(storm, way);
            trials.push(Trial::ignorable_test(format!("{name}::smtp_sink::{}", storm.name), test));
        }
    }
    if is_known {
        trials.push(Trial::test("kills::two_proxies", kills::two_proxies));
        for server in servers::ALL {
            let test = move || smuggling::ends_nowhere_else(server);
            trials.push(Trial::ignorable_test(format!("smuggling::{}", server.name), test));
        }
    }
    trials.push(Trial::ignorable_test("smuggling::postfix_without_a_proxy", smuggling::works_on_postfix));
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// So many mails that go this way arrive at the server as they were sent.
fn delivers(server: &Server, way: Way, count: usize) -> Result<Completion, Failed> {
    if let Some(reason) = (server.missing)() {
        return Ok(Completion::ignored_with(reason));
    }
    let mails = Mails::new(SEED, count);
    let running = (server.start)()?;
    let proxy = match way {
        Way::Direct => None,
        Way::XPeer => Some(Proxy::start(running.address, &["--x-peer"])?),
        _ => Some(Proxy::start(running.address, &[])?),
    };
    send_all(&mails, proxy.as_ref().map_or(running.address, |proxy| proxy.address))?;
    wait_until_quiet(&running, count)?;
    compare::all(&mails, running.arrivals()?, server.keeps, way)?;
    Ok(Completion::Completed)
}

/// Sends all mails to the address, over several connections at once; each is accepted, and all its recipients.
fn send_all(mails: &Mails, address: SocketAddr) -> Result<(), Failed> {
    let next = AtomicUsize::new(0);
    let results: Vec<Result<(), Failed>> = thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(|| send_some(mails, address, &next))).collect();
        clients.into_iter().map(|client| client.join().unwrap_or_else(|_| Err("a client panicked".into()))).collect()
    });
    results.into_iter().collect()
}

/// Sends mails, the next one that nobody has sent each time, several over a connection.
fn send_some(mails: &Mails, address: SocketAddr, next: &AtomicUsize) -> Result<(), Failed> {
    let mut client = None;
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if number >= mails.len() {
            return client.map_or(Ok(()), Client::quit);
        }
        let mail = mails.mail(number);
        let mut connected = match client.take() {
            Some(client) => client,
            None => Client::new(address)?,
        };
        send_one(&mut connected, &mail)?;
        if mail.is_last {
            connected.quit()?;
        } else {
            client = Some(connected);
        }
    }
}

fn send_one(client: &mut Client, mail: &Mail) -> Result<(), Failed> {
    let replies = client.send(mail)?;
    let data = mail.to.len() + 1;
    for (at, reply) in replies.iter().enumerate() {
        let expected = if at == data { 354 } else { 250 };
        if reply.code != expected {
            return Err(format!("<{}>, reply {at}: {} {}", mail.from, reply.code, reply.line).into());
        }
    }
    Ok(())
}

/// Servers go on with their work after they have answered. A mail that is there twice needs time to come twice.
pub(crate) fn wait_until_quiet(running: &Running, count: usize) -> Result<(), Failed> {
    const QUIET: Duration = Duration::from_secs(1);
    const PATIENCE: Duration = Duration::from_secs(20);
    let (mut arrived, mut since) = (0, Instant::now());
    loop {
        let now = running.arrivals()?.len();
        if now != arrived {
            (arrived, since) = (now, Instant::now());
        }
        let patience = if arrived >= count { QUIET } else { PATIENCE };
        if since.elapsed() > patience {
            return Ok(());
        }
        thread::sleep(Duration::from_millis(100));
    }
}
