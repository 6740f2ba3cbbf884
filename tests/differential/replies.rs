//! The same lines in each order state: what both say to them, and what both say then.

use std::sync::{Arc, OnceLock};

use libtest_mimic::Failed;

use crate::client::Client;
use crate::defects::{CLOSED, Defect, Lines};
use crate::servers::{Python, SIZE};
use crate::versions::Version;
use crate::{Test, lines};

/// What is said behind each line: its replies show in which state the line left the session.
const PROBES: &[&str] = &["RCPT TO:<p@p>", "MAIL FROM:<p@p>", "HELO p"];

/// A line in a state, and what both said.
struct Outcome {
    state: usize,
    line: Vec<u8>,
    theirs: Vec<u8>,
    ours: Vec<u8>,
}

pub(crate) fn trials(version: &'static Version) -> Vec<Test> {
    let all = Arc::new(OnceLock::new());
    let mut trials: Vec<Test> = Vec::new();
    for (state, (name, _)) in version.states.iter().enumerate() {
        let all = Arc::clone(&all);
        trials.push((
            format!("replies::{name}"),
            Arc::new(move |python| equal(version.defects, outcomes(&all, python)?, state)),
        ));
    }
    trials.push(("replies::greeting".into(), Arc::new(greeting)));
    trials.push((
        "replies::each_defect_is_still_there".into(),
        Arc::new(move |python| outlived(version.defects, outcomes(&all, python)?)),
    ));
    trials.push(("defects::a_dot_alone_is_no_end".into(), Arc::new(a_dot_alone)));
    if version.has_limits {
        trials.push(("defects::a_size_is_counted_in_another_way".into(), Arc::new(sizes)));
        trials.push(("defects::after_552_commands_are_text".into(), Arc::new(after_552)));
    }
    trials
}

/// All lines in all states, asked once.
fn outcomes<'o>(all: &'o OnceLock<Result<Vec<Outcome>, String>>, python: &Python) -> Result<&'o [Outcome], Failed> {
    let outcomes = all.get_or_init(|| ask(python).map_err(|failed| failed.message().unwrap_or("failed").to_owned()));
    outcomes.as_deref().map_err(|error| error.as_str().into())
}

fn ask(python: &Python) -> Result<Vec<Outcome>, Failed> {
    let (theirs, ours) = python.both(SIZE)?;
    let mut outcomes = Vec::new();
    for (state, (_, way)) in python.version.states.iter().enumerate() {
        for line in lines::all() {
            let theirs = said(theirs.port, way, &line)?;
            let ours = said(ours.port, way, &line)?;
            outcomes.push(Outcome { state, line, theirs, ours });
        }
    }
    Ok(outcomes)
}

/// The replies to a line and to the probes behind it.
fn said(port: u16, way: &[&str], line: &[u8]) -> Result<Vec<u8>, Failed> {
    let mut client = Client::new(port)?;
    client.hear()?.ok_or("no greeting")?;
    client.go(way)?;
    let mut said = Vec::new();
    let mut reply = client.say(line)?;
    if reply.as_ref().is_some_and(|reply| reply.starts_with(b"354")) {
        said.extend(reply.unwrap_or_default());
        reply = client.say(b"text\r\n.")?;
    }
    let mut probes = PROBES.iter();
    while let Some(octets) = reply {
        said.extend(octets);
        let Some(probe) = probes.next() else { return Ok(said) };
        reply = client.say(probe.as_bytes())?;
    }
    said.extend_from_slice(CLOSED);
    Ok(said)
}

fn equal(defects: &[Defect], outcomes: &[Outcome], state: usize) -> Result<(), Failed> {
    let mut report = String::new();
    for Outcome { line, theirs, ours, .. } in outcomes.iter().filter(|outcome| outcome.state == state) {
        let is_known = |defect: &Defect| defect.lines.have(line) && (defect.differs)(theirs, ours);
        if theirs != ours && !defects.iter().any(is_known) {
            let [line, theirs, ours] = [line, theirs, ours].map(|octets| octets.escape_ascii().to_string());
            report.push_str(&format!("{line}\n    theirs: {theirs}\n    ours:   {ours}\n"));
        }
    }
    if report.is_empty() { Ok(()) } else { Err(report.into()) }
}

fn outlived(defects: &[Defect], outcomes: &[Outcome]) -> Result<(), Failed> {
    let shows = |defect: &Defect, lines: &Lines| {
        outcomes.iter().any(|Outcome { line, theirs, ours, .. }| {
            theirs != ours && lines.have(line) && (defect.differs)(theirs, ours)
        })
    };
    let mut gone = Vec::new();
    for defect in defects {
        // Each address that is listed has to show it.
        gone.extend(defect.lines.parts().iter().filter(|part| !shows(defect, part)).map(|part| match part {
            Lines::Addresses(of) | Lines::Parameters(of) => format!("{} ({})", defect.reason, of.concat()),
            Lines::Like(_) => defect.reason.to_owned(),
        }));
    }
    if gone.is_empty() { Ok(()) } else { Err(format!("no line shows this any more: {}", gone.join("; ")).into()) }
}

fn greeting(python: &Python) -> Result<(), Failed> {
    let (theirs, ours) = python.both(SIZE)?;
    let (theirs, ours) = (Client::new(theirs.port)?.hear()?, Client::new(ours.port)?.hear()?);
    if theirs == ours { Ok(()) } else { Err(format!("theirs: {theirs:?}, ours: {ours:?}").into()) }
}

/// Python counts the dots of transparency, and not the last CRLF.
fn sizes(python: &Python) -> Result<(), Failed> {
    const LIMIT: u32 = 16;
    let (theirs, ours) = python.both(LIMIT)?;
    let too_big = &b"552 Error: Too much mail data\r\n"[..];
    let ok = &b"250 OK\r\n"[..];
    for (port, text, expected) in [
        (theirs.port, "..\r\n..\r\n..\r\n..\r\n..\r\n.", too_big),
        (ours.port, "..\r\n..\r\n..\r\n..\r\n..\r\n.", ok),
        (theirs.port, "sixteen octets..\r\n.", ok),
        (ours.port, "sixteen octets..\r\n.", too_big),
        (theirs.port, "seventeen octets.\r\n.", too_big),
        (ours.port, "fourteen here.\r\n.", ok),
    ] {
        let mut client = Client::new(port)?;
        client.hear()?;
        client.go(&["HELO c", "MAIL FROM:a", "RCPT TO:b", "DATA"])?;
        let reply = client.say(text.as_bytes())?;
        if reply.as_deref() != Some(expected) {
            return Err(format!("{text:?}, port {port}: {reply:?}").into());
        }
    }
    Ok(())
}

/// A lone dot behind 354 is text to Python.
fn a_dot_alone(python: &Python) -> Result<(), Failed> {
    let (theirs, ours) = python.both(SIZE)?;
    let mut client = Client::new(theirs.port)?;
    client.hear()?;
    client.go(&["HELO c", "MAIL FROM:a", "RCPT TO:b", "DATA"])?;
    client.send(b".\r\n")?;
    let is_silent = client.is_silent()?;
    let mut client = Client::new(ours.port)?;
    client.hear()?;
    client.go(&["HELO c", "MAIL FROM:a", "RCPT TO:b", "DATA", ".", "QUIT"])?;
    if is_silent { Ok(()) } else { Err("Python answers".into()) }
}

/// Both refuse the text; Python takes the next command for more of it.
fn after_552(python: &Python) -> Result<(), Failed> {
    let (theirs, ours) = python.both(10)?;
    for (port, is_python) in [(theirs.port, true), (ours.port, false)] {
        let mut client = Client::new(port)?;
        client.hear()?;
        client.go(&["HELO c", "MAIL FROM:a", "RCPT TO:b", "DATA"])?;
        let reply = client.say(b"twelve octets\r\n.")?;
        if reply.as_deref() != Some(b"552 Error: Too much mail data\r\n") {
            return Err(format!("{port}: {reply:?}").into());
        }
        client.send(b"NOOP\r\n")?;
        if client.is_silent()? != is_python {
            return Err(format!("silent or not, and is_python is {is_python}").into());
        }
    }
    Ok(())
}
