//! What `tests/bench/run wire` measures: whole sessions in memory, from EHLO to QUIT with 1 KiB of text, of core alone and
//! through smtpd-mock's wire, side by side.

use std::task::Waker;
use std::time::{Duration, Instant};

use embedded_io::{Read, Write};
use smtpd_core::handlers::Sink;
use smtpd_core::server::{Config, Peer, Progress, Session, step};
use smtpd_io::serve;
use smtpd_mock::{Clock, Link, Script, Wire};

/// Rounds of each, in turns; the median counts.
const ROUNDS: usize = 9;
const ROUND: Duration = Duration::from_millis(200);

/// The least that a session through a wire may reach of core's rate.
const GOAL: f64 = 0.2;

fn main() {
    let text = "The quick brown fox jumps over the lazy dog and runs away through the fields\r\n".repeat(13);
    let says: Vec<String> = [
        "EHLO client.example.org\r\n",
        "MAIL FROM:<sender@client.example.org>\r\n",
        "RCPT TO:<recipient@mx.example.org>\r\n",
        "DATA\r\n",
        &(text + ".\r\n"),
        "QUIT\r\n",
    ]
    .map(String::from)
    .into();
    let script = script(&says);
    let ways: [(&str, Box<dyn Fn() -> usize>); 3] = [
        ("bare core", Box::new(|| bare(&says))),
        ("through a wire", Box::new(|| wired(&says))),
        ("as a script, by smtpd-io's serve", Box::new(|| played(&script))),
    ];
    let expected = bare(&says);
    let mut rates = vec![Vec::new(); ways.len()];
    for _ in 0..ROUNDS {
        for ((_, session), rates) in ways.iter().zip(&mut rates) {
            let (begin, mut count) = (Instant::now(), 0);
            while begin.elapsed() < ROUND {
                for _ in 0..100 {
                    assert_eq!(session(), expected, "octets of replies");
                }
                count += 100;
            }
            rates.push(f64::from(count) / begin.elapsed().as_secs_f64());
        }
    }
    let medians: Vec<f64> = rates.iter_mut().map(|rates| median(rates)).collect();
    println!("{:<36} {:>12} {:>10} {:>6}", "sessions in memory", "a second", "of core's", "goal");
    for ((name, _), rate) in ways.iter().zip(&medians) {
        let goal = if *name == "through a wire" { GOAL.to_string() } else { "-".into() };
        println!("{name:<36} {rate:>12.0} {:>10.2} {goal:>6}", rate / medians[0]);
    }
    if medians[1] < GOAL * medians[0] {
        println!("  short of the goal");
        std::process::exit(1);
    }
}

fn median(rates: &mut [f64]) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates[rates.len() / 2]
}

/// Core alone, as an adapter drives it: one read, all that it causes, one write. Gives the octets of its replies.
fn bare(says: &[String]) -> usize {
    let config = Config::new("mx.example.org");
    let mut session = Session::new(&config, Peer::default());
    let mut replies = 0;
    for mut input in [""].into_iter().chain(says.iter().map(String::as_str)).map(str::as_bytes) {
        while step(&mut session, &mut input, &mut Sink, Waker::noop()) == Progress::Moved {}
        replies += session.output().len();
        session.sent(session.output().len());
    }
    replies
}

/// The same, but all octets go through a wire, both ways.
fn wired(says: &[String]) -> usize {
    let config = Config::new("mx.example.org");
    let mut session = Session::new(&config, Peer::default());
    let (mut client, mut server) = Wire::pair(&Clock::new(), Link::new(), Link::new());
    let (mut buffer, mut heard) = ([0; 2_048], [0; 2_048]);
    let mut replies = 0;
    for says in [""].into_iter().chain(says.iter().map(String::as_str)) {
        let mut read = 0;
        if !says.is_empty() {
            client.write_all(says.as_bytes()).expect("room");
            read = server.read(&mut buffer).expect("what the client said");
        }
        let mut input = &buffer[..read];
        while step(&mut session, &mut input, &mut Sink, Waker::noop()) == Progress::Moved {}
        server.write_all(session.output()).expect("room");
        session.sent(session.output().len());
        replies += client.read(&mut heard).expect("a reply");
    }
    replies
}

/// The same as a script, whose other side is a server over embedded_io.
fn played(script: &Script) -> usize {
    let config = Config::new("mx.example.org");
    let (_, played) = script
        .call(None, |mut wire| {
            let mut session = Session::new(&config, Peer::default());
            serve(&mut wire, &mut session, &mut Sink, &(), &mut [0; 2_048])
        })
        .expect("as the script says");
    played.said.len()
}

fn script(says: &[String]) -> Script {
    let mut text = String::from("S: 220 {...}\n");
    for (says, code) in says.iter().zip(["250", "250", "250", "354", "250", "221"]) {
        text += &format!("B: {}\nS: {code} {{...}}\n", smtpd_mock::escape(says.as_bytes()));
    }
    Script::parse("session", &text).expect("a script")
}
