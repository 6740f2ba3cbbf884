//! smtp-source to smtp-sink: mails are counted, with their recipients and octets.

use std::process::{Command, Stdio};
use std::time::Duration;

use libtest_mimic::{Completion, Failed};

use crate::compare::Way;
use crate::process::until;
use crate::servers::ours::Proxy;
use crate::servers::sink::{self, Sink};

/// A run of smtp-source.
pub(crate) struct Storm {
    pub(crate) name: &'static str,
    sessions: usize,
    messages: usize,
    recipients: usize,
    octets: usize,
    is_keeping: bool,
}

pub(crate) const STORMS: &[Storm] = &[
    Storm { name: "a_connection_each", sessions: 20, messages: 1_000, recipients: 1, octets: 1_000, is_keeping: false },
    Storm { name: "connections_kept", sessions: 20, messages: 1_000, recipients: 5, octets: 10_000, is_keeping: true },
    Storm {
        name: "hundred_recipients",
        sessions: 10,
        messages: 100,
        recipients: 100,
        octets: 1_000_000,
        is_keeping: true,
    },
];

pub(crate) fn blow(storm: &Storm, way: Way) -> Result<Completion, Failed> {
    if let Some(reason) = sink::missing() {
        return Ok(Completion::ignored_with(reason));
    }
    let sink = Sink::start()?;
    let proxy = if way == Way::Proxy { Some(Proxy::start(sink.address, &[])?) } else { None };
    let address = proxy.as_ref().map_or(sink.address, |proxy| proxy.address);
    let numbers = [storm.sessions, storm.messages, storm.recipients, storm.octets].map(|number| number.to_string());
    let [sessions, messages, recipients, octets] = &numbers;
    let mut source = Command::new("/usr/sbin/smtp-source");
    source.args(["-s", sessions, "-m", messages, "-r", recipients, "-l", octets, "-N"]);
    source.args(storm.is_keeping.then_some("-d")).arg(format!("inet:{address}")).stdin(Stdio::null());
    let output = source.output()?;
    if !output.status.success() {
        return Err(format!("{}: {}", output.status, String::from_utf8_lossy(&output.stderr)).into());
    }
    // It writes a file's end after its reply.
    let mut faults = Err("nothing was counted".into());
    until(Duration::from_secs(5), || {
        faults = count(storm, &sink);
        faults.is_ok().then_some(())
    });
    faults.map(|()| Completion::Completed)
}

fn count(storm: &Storm, sink: &Sink) -> Result<(), Failed> {
    let arrivals = sink.arrivals()?;
    if arrivals.len() != storm.messages {
        return Err(format!("{} of {} mails arrived", arrivals.len(), storm.messages).into());
    }
    let is_whole = |mail: &&sink::Kept| mail.recipients == storm.recipients && mail.octets >= storm.octets;
    match arrivals.iter().find(|mail| !is_whole(mail)) {
        Some(mail) => Err(format!("a mail has {} recipients, {} octets", mail.recipients, mail.octets).into()),
        None => Ok(()),
    }
}
