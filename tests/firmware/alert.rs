//! A board that sends mail: one for each line at its serial port.

use std::fs;
use std::io::Write;
use std::ops::RangeInclusive;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use libtest_mimic::{Completion, Failed};
use smtpd_core::heapless::Vec as Octets;
use smtpd_core::wire::write_date;

use crate::process::{Folder, until};
use crate::qemu::{Board, Setup, free_port};
use crate::servers::ours;
use crate::upstream::{Act, Upstream};

const FROM: &str = "alert@board.example";
const TO: &str = "owner@board.example";

/// A board that sends to a port of this host, and tries again after a second at first.
pub(crate) fn start(upstream: u16, arguments: &[&str]) -> Result<Board, Failed> {
    start_with(upstream, arguments, &[])
}

fn start_with(upstream: u16, arguments: &[&str], options: &[String]) -> Result<Board, Failed> {
    let upstream = format!("upstream={upstream}");
    let arguments: Vec<&str> = arguments.iter().copied().chain([&*upstream, "retry=1"]).collect();
    let setup = Setup { arguments: &arguments, options, is_open: true, has_serial: true, ..Setup::default() };
    let board = Board::with("alert", &setup)?;
    board.logs(|line| line == "INFO  waiting for lines")?;
    Ok(board)
}

/// Alerts of these numbers happen.
pub(crate) fn types(board: &mut Board, numbers: RangeInclusive<usize>) -> Result<(), Failed> {
    for number in numbers {
        board.types(format!("event {number}\r").as_bytes())?;
        board.logs_often(1, |line| line.starts_with(&format!("INFO  alert {number}: kept")))?;
    }
    Ok(())
}

/// The mail is whole: all of its fields are there, its date is now's, and its number another one's.
pub(crate) fn once() -> Result<Completion, Failed> {
    if let Some(reason) = (ours::SERVER.missing)() {
        return Ok(Completion::ignored_with(reason));
    }
    let server = (ours::SERVER.start)()?;
    let mut board = start(server.address.port(), &[])?;
    let begun = now()?;
    board.types(b"\n\nG\xc3\xbcnter: oven \x07 41 \r\n")?;
    board.types(&[b'x'; 200])?;
    board.types(b"\n")?;
    board.logs(|line| line == "INFO  alert 2: sent")?;
    let mut arrivals = until(Duration::from_secs(10), || server.arrivals().ok().filter(|mails| mails.len() >= 2))
        .ok_or_else(|| board.fails("two mails do not arrive"))?;
    arrivals.sort_by_key(|arrival| fs::metadata(&arrival.text).and_then(|file| file.modified()).ok());
    let mut numbers = Vec::new();
    for (arrival, line) in arrivals.iter().zip(["G??nter: oven ? 41", &*"x".repeat(80)]) {
        let text = fs::read_to_string(&arrival.text)?;
        let dates = (begun..=now()?).map(|secs| {
            let mut date = Octets::<u8, 32>::new();
            (write_date(&mut date, secs), String::from_utf8_lossy(&date).into_owned()).1
        });
        let head = format!("From: {FROM}\r\nTo: {TO}\r\nSubject: alert: {line}\r\nDate: ");
        let (date, rest) = text.strip_prefix(&head).and_then(|rest| rest.split_once("\r\n")).ok_or(&*text)?;
        let (number, body) = rest.split_once("\r\n\r\n").ok_or(&*text)?;
        let is_number = number.starts_with("Message-ID: <") && number.ends_with("@alert.board.example>");
        if arrival.from != FROM || arrival.to != [TO] || !is_number || body != format!("{line}\r\n") {
            return Err(format!("from {} to {:?}: {text}", arrival.from, arrival.to).into());
        }
        if !dates.into_iter().any(|now| now == date) {
            return Err(format!("another date: {date}").into());
        }
        numbers.push(number.to_owned());
    }
    numbers.dedup();
    // Each once.
    thread::sleep(Duration::from_millis(300));
    match (numbers.len(), server.arrivals()?.len()) {
        (2, 2) => Ok(Completion::Completed),
        (numbers, arrivals) => Err(format!("{arrivals} mails with {numbers} numbers").into()),
    }
}

fn now() -> Result<u32, Failed> {
    Ok(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs().try_into()?)
}

/// Alerts that happen while the server is away are sent when it is back, each once, in their order.
pub(crate) fn server_away() -> Result<(), Failed> {
    let port = free_port()?;
    let mut board = start(port, &[])?;
    types(&mut board, 1..=5)?;
    board.logs_often(2, |line| line.starts_with("WARN  alert 1: again in") && line.contains(" 451 "))?;
    let upstream = Upstream::at(port, |_| Act::Yes)?;
    board.logs(|line| line == "INFO  alert 5: sent")?;
    sent(&board, &upstream, &[1, 2, 3, 4, 5])?;
    // Over one connection, which is over then.
    let seen = upstream.until(|seen| seen.iter().all(|seen| seen.is_over))?;
    let quits = seen.iter().filter(|seen| seen.lines.last().is_some_and(|line| line == "QUIT")).count();
    (seen.len() == 1 && quits == 1).then_some(()).ok_or_else(|| format!("{} connections", seen.len()).into())
}

/// What was sent: alerts of these numbers.
fn sent(board: &Board, upstream: &Upstream, numbers: &[usize]) -> Result<(), Failed> {
    let texts: Vec<String> =
        upstream.texts().iter().map(|text| String::from_utf8_lossy(text).trim_end().to_owned()).collect();
    let got: Vec<&str> = texts.iter().map(|text| text.rsplit('\n').next().unwrap_or("")).collect();
    let expected: Vec<String> = numbers.iter().map(|number| format!("event {number}")).collect();
    (got == expected).then_some(()).ok_or_else(|| board.fails(&format!("{got:?} was sent, not {expected:?}")))
}

/// 451 to each command in turn, then 250: one mail arrives, each time later.
pub(crate) fn refused_for_now() -> Result<(), Failed> {
    let attempt = AtomicU32::new(0);
    let upstream = Upstream::start(move |line| {
        let fails_at = ["EHLO", "MAIL", "RCPT", "DATA"];
        let attempt = &attempt;
        match fails_at.get(attempt.load(Ordering::Relaxed) as usize) {
            Some(at) if line.starts_with(at) => {
                attempt.fetch_add(1, Ordering::Relaxed);
                Act::Says("451 4.3.0 Not now\r\n")
            }
            _ => Act::Yes,
        }
    })?;
    let mut board = start(upstream.port, &[])?;
    types(&mut board, 1..=2)?;
    board.logs(|line| line == "INFO  alert 2: sent")?;
    sent(&board, &upstream, &[1, 2])?;
    let log = board.log();
    let millis = |line: &String| line.strip_prefix("WARN  alert 1: again in ")?.split(' ').next()?.parse::<u32>().ok();
    let delays: Vec<u32> = log.iter().filter_map(millis).collect();
    let is_later = delays.iter().zip(0..).all(|(delay, power)| (500 << power..1_000 << power).contains(delay));
    (delays.len() == 4 && is_later).then_some(()).ok_or_else(|| format!("{delays:?}").into())
}

/// 550 gives the alert up, at whichever command, and the next one is sent.
pub(crate) fn refused_for_good() -> Result<(), Failed> {
    for at in ["MAIL", "RCPT", "DATA", "."] {
        let is_first = AtomicU32::new(0);
        let upstream = Upstream::start(move |line| match line.starts_with(at) {
            true if is_first.fetch_add(1, Ordering::Relaxed) == 0 => Act::Says("550 5.7.1 Never\r\n"),
            _ => Act::Yes,
        })?;
        let mut board = start(upstream.port, &[])?;
        types(&mut board, 1..=2)?;
        board.logs(|line| line == "INFO  alert 2: sent")?;
        board.logs(|line| line == "ERROR alert 1: given up, 550 b\"Never\"")?;
        let numbers = if at == "." { &[1, 2][..] } else { &[2] };
        sent(&board, &upstream, numbers).map_err(|failed| format!("{at}: {}", failed.message().unwrap_or("")))?;
    }
    Ok(())
}

/// A server that resets in the text has nothing, and gets it again.
pub(crate) fn server_lost() -> Result<(), Failed> {
    let is_first = AtomicU32::new(0);
    let upstream = Upstream::start(move |line| match line == "text" {
        true if is_first.fetch_add(1, Ordering::Relaxed) == 0 => Act::Resets,
        _ => Act::Yes,
    })?;
    let mut board = start(upstream.port, &[])?;
    types(&mut board, 1..=1)?;
    board.logs(|line| line == "INFO  alert 1: sent")?;
    sent(&board, &upstream, &[1])
}

/// Without a network nothing is lost; back again, all is sent.
pub(crate) fn network_away() -> Result<(), Failed> {
    let folder = Folder::new("monitor")?;
    let socket = folder.of("socket");
    let monitor = ["-monitor".to_owned(), format!("unix:{socket},server=on,wait=off")];
    let upstream = Upstream::start(|_| Act::Yes)?;
    let mut board = start_with(upstream.port, &[], &monitor)?;
    let mut monitor = UnixStream::connect(socket)?;
    types(&mut board, 1..=1)?;
    board.logs(|line| line == "INFO  alert 1: sent")?;
    monitor.write_all(b"set_link n0 off\n")?;
    thread::sleep(Duration::from_millis(300));
    types(&mut board, 2..=4)?;
    thread::sleep(Duration::from_secs(1));
    sent(&board, &upstream, &[1])?;
    monitor.write_all(b"set_link n0 on\n")?;
    board.logs(|line| line == "INFO  alert 4: sent")?;
    sent(&board, &upstream, &[1, 2, 3, 4])
}

/// What the spool has no room for is lost, and the log says so; what it has room for is sent.
pub(crate) fn full() -> Result<(), Failed> {
    const LOST: &str = "ERROR an alert is lost: b\"No space left\"";
    let port = free_port()?;
    let mut board = start(port, &[])?;
    let is_said = |line: &str| line.ends_with(": kept") || line == LOST;
    let mut number = 0;
    while !board.log().iter().any(|line| line == LOST) {
        number += 1;
        board.types(format!("event {number}\r").as_bytes())?;
        board.logs_often(number, is_said)?;
        if number > 100 {
            return Err("never full".into());
        }
    }
    if number < 10 {
        return Err(format!("full after {number} alerts").into());
    }
    let upstream = Upstream::at(port, |_| Act::Yes)?;
    board.logs_often(number - 1, |line| line.ends_with(": sent"))?;
    board.types(format!("event {}\r", number + 1).as_bytes())?;
    board.logs_often(number, |line| line.ends_with(": sent"))?;
    let numbers: Vec<usize> = (1..number).chain([number + 1]).collect();
    sent(&board, &upstream, &numbers)
}
