//! Instructions of the board's CPU, counted one by one.

use std::thread;
use std::time::Duration;

use libtest_mimic::Failed;

use crate::client::{Client, stuffed};
use crate::counts::{Counted, Part, Profile};
use crate::lines::lines;
use crate::qemu::{Board, Setup};
use crate::wire::Wire;
use crate::wired::Wired;

/// All of the firmware but the handler of the binary.
const STACK: [Part; 5] = [Part::Core, Part::Adapter, Part::Smoltcp, Part::Board, Part::Rest];
const OURS: [Part; 2] = [Part::Core, Part::Adapter];

/// What core alone takes, on this CPU without a network.
pub(crate) fn bench() -> Result<(), Failed> {
    let options = ["-icount", "shift=5,sleep=off,align=off"].map(str::to_owned);
    let run =
        || Board::with("bench", &Setup { options: &options, cable: Some("none".into()), ..Setup::default() })?.ended();
    let (one, other) = (run()?, run()?);
    if !one.status.success() || one.text != other.text {
        return Err(format!("{}: two runs differ", one.status).into());
    }
    let text = String::from_utf8_lossy(&one.text).into_owned();
    let counts: Vec<&str> = text.lines().filter(|line| line.contains(" instructions")).collect();
    counts.iter().for_each(|line| println!("    {line}"));
    let line =
        counts.iter().find(|line| line.starts_with("text, lines of 76 octets: ")).ok_or("no count of the text")?;
    let per_octet = line.split(", ").last().and_then(|count| count.strip_suffix(" per octet"));
    let per_octet: f64 = per_octet.ok_or("no count per octet")?.parse()?;
    holds("core's text path", "instructions per octet", per_octet, TEXT_PATH)
}

/// A megabyte through the whole stack, in lines as most mails have them; and in short ones, a third of which begin with a
/// dot.
pub(crate) fn megabyte() -> Result<(), Failed> {
    let long = long_lines(1_024 * 1_024);
    let mut measured = Vec::new();
    for (what, text) in [("lines of 76", long), ("short lines with dots", lines(1_024 * 1_024))] {
        let profile = counted(|counted| sent(counted, &text))?;
        say(&format!("a mail of 1 MiB, {what}, per octet"), &profile, text.len(), &STACK);
        let stack = profile.of(&STACK) as f64 / text.len() as f64;
        println!("      {stack:>10.2}  all but the handler");
        measured.push(stack);
    }
    holds("the whole stack", "instructions per octet", measured[0], WHOLE_STACK)
}

/// A mail of 1 KiB, from the connection to its end. Each reply is acknowledged with the command behind it, so that there
/// are always the same frames.
pub(crate) fn mail() -> Result<(), Failed> {
    let text = stuffed(&long_lines(1_024));
    let commands: [&[u8]; 6] = [
        b"EHLO client.example\r\n",
        b"MAIL FROM:<sender@client.example>\r\n",
        b"RCPT TO:<any@board.example>\r\n",
        b"DATA\r\n",
        &text,
        b"QUIT\r\n",
    ];
    let wire = Wire::new()?;
    let counted = Counted::start("checksum", Some(wire.option()?))?;
    let mut wired = Wired::timeless(wire);
    // Its first client finds an empty cache of neighbours.
    wired.session(&commands)?;
    // Where this host is slow, the board wakes up in between, as it does three times a second: the least is the mail's.
    let mut profiles = Vec::new();
    for _ in 0..3 {
        let before = counted.counts()?;
        wired.session(&commands)?;
        profiles.push(counted.counts()?.since(&before).profile()?);
    }
    let profile = profiles.into_iter().min_by_key(|profile| profile.of(&OURS)).ok_or("no mail")?;
    say("a mail of 1 KiB, connection and all", &profile, 1, &OURS);
    holds("core and adapter", "instructions for a mail of 1 KiB", profile.of(&OURS) as f64, MAIL)
}

/// So many octets at most, in lines as most mails have them.
fn long_lines(octets: usize) -> Vec<u8> {
    [&[b'x'; 76][..], b"\r\n"].concat().repeat(octets / 78)
}

/// A goal, and the gate: 3 % above what was measured, where that is less.
#[derive(Clone, Copy)]
struct Limit {
    goal: f64,
    gate: f64,
}

const TEXT_PATH: Limit = Limit { goal: 5.0, gate: 2.53 };
const WHOLE_STACK: Limit = Limit { goal: 12.0, gate: 11.76 };
const MAIL: Limit = Limit { goal: 20_000.0, gate: 20_000.0 };

fn holds(who: &str, what: &str, measured: f64, limit: Limit) -> Result<(), Failed> {
    let Limit { goal, gate } = limit;
    println!("    {who}: {measured:.2} {what} (goal {goal}, gate {gate})");
    (measured <= gate).then_some(()).ok_or_else(|| format!("{who}: {measured:.2} {what}, at most {gate}").into())
}

/// What `work` takes.
fn counted(work: impl Fn(&Counted) -> Result<(), Failed>) -> Result<Profile, Failed> {
    let counted = Counted::start("checksum", None)?;
    // Its first client finds an empty cache of neighbours.
    sent(&counted, b"Hello.\r\n")?;
    let before = counted.counts()?;
    work(&counted)?;
    counted.counts()?.since(&before).profile()
}

fn sent(counted: &Counted, text: &[u8]) -> Result<(), Failed> {
    let mut client = Client::hello(counted.board.port)?;
    client.mail("sender@client.example", &["any@board.example"], text)?.is(250)?;
    client.quit()?;
    // Until the connection is gone, and the board sleeps.
    thread::sleep(Duration::from_millis(100));
    Ok(())
}

fn say(what: &str, profile: &Profile, per: usize, most_of: &[Part]) {
    println!("    {what}:");
    for (part, count) in &profile.parts {
        println!("      {:>10.2}  {part:?}", *count as f64 / per as f64);
    }
    print!("    most of {most_of:?}, in instructions:\n{}", profile.top(most_of, 12));
}
