//! The gateway between clients and servers that are both outside. No mail fits into its RAM, and none has to.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use libtest_mimic::{Completion, Failed};

use crate::client::{Client, Reply, stuffed};
use crate::lines::lines;
use crate::mails;
use crate::programs;
use crate::qemu::{Board, Setup, free_port};
use crate::servers::{ours, sink};
use crate::upstream::{Act, Seen, Upstream};

const SENDER: &str = "sender@client.example";
const TO: &str = "any@example.org";

/// A board that relays to a port of this host.
pub(crate) fn start(upstream: u16, arguments: &[&str]) -> Result<Board, Failed> {
    let upstream = format!("upstream={upstream}");
    let arguments: Vec<&str> = arguments.iter().copied().chain([&*upstream]).collect();
    Board::listening("gateway", &Setup { arguments: &arguments, is_open: true, ..Setup::default() })
}

/// Texts of all sizes, one after the other, arrive at our own server octet for octet.
pub(crate) fn octet_for_octet() -> Result<Completion, Failed> {
    if let Some(reason) = (ours::SERVER.missing)() {
        return Ok(Completion::ignored_with(reason));
    }
    let server = (ours::SERVER.start)()?;
    let texts = [Vec::new(), b"Hello.\r\n".to_vec(), lines(1_024), all_octets(), lines(1 << 20), lines(10 << 20)];
    let board = start(server.address.port(), &[&format!("exit-after={}", texts.len())])?;
    let mut client = Client::hello(board.port)?;
    for (number, text) in texts.iter().enumerate() {
        let to = format!("any{number}@example.org");
        client.mail(SENDER, &[&to], text).and_then(|reply| reply.is(250)).map_err(|failed| fails(&board, &failed))?;
    }
    client.quit()?;
    let ended = board.ended()?;
    if !ended.status.success() {
        return Err(format!("{}: {:?}", ended.status, ended.log.last()).into());
    }
    let arrivals = server.arrivals()?;
    for (number, text) in texts.iter().enumerate() {
        let to = [format!("any{number}@example.org")];
        let own: Vec<_> = arrivals.iter().filter(|arrival| arrival.to == to && arrival.from == SENDER).collect();
        let [arrival] = own[..] else { return Err(format!("mail {number} arrived {} times", own.len()).into()) };
        let kept = fs::read(&arrival.text)?;
        if without_received(&kept)? != text {
            return Err(format!("mail {number} arrived with {} octets of {}", kept.len(), text.len()).into());
        }
    }
    (arrivals.len() == texts.len()).then_some(Completion::Completed).ok_or_else(|| "more than that arrived".into())
}

/// Every octet but CR and LF at the beginning of a line, and lines that are nothing but dots.
fn all_octets() -> Vec<u8> {
    let mut text = b"Subject: octets\r\n\r\n".to_vec();
    for octet in (0..=255).filter(|octet| !b"\r\n".contains(octet)) {
        text.extend_from_slice(&[octet, b'.', octet, b'\r', b'\n']);
        text.extend(std::iter::repeat_n(b'.', usize::from(octet % 9)));
        text.extend_from_slice(b"\r\n");
    }
    text
}

/// A text without the field that the gateway adds, and without the empty line that it puts behind that where the text has no header. No
/// text here begins with one of its own.
fn without_received(text: &[u8]) -> Result<&[u8], Failed> {
    let field = b"Received: from client.example ([10.0.2.2])\r\n\tby gateway.board.example with ESMTP;\r\n\t";
    // A date has 31 octets.
    let rest = text.strip_prefix(field).and_then(|rest| rest.get(31..)?.strip_prefix(b"\r\n"));
    let rest = rest.ok_or_else(|| {
        let begin = text.get(..120).unwrap_or(text).escape_ascii();
        format!("no field at the top: {begin}")
    })?;
    Ok(rest.strip_prefix(b"\r\n").unwrap_or(rest))
}

/// By a real client to a real server.
pub(crate) fn swaks_to_sink() -> Result<Completion, Failed> {
    let swaks = programs::CLIENTS.iter().find(|client| client.name == "swaks_pipeline").ok_or("no such client")?;
    let Some(program) = swaks.program() else { return Ok(Completion::ignored_with(swaks.missing())) };
    if let Some(reason) = sink::missing() {
        return Ok(Completion::ignored_with(reason));
    }
    let sink = sink::Sink::start()?;
    let board = start(sink.address.port(), &[])?;
    for mail in &mails::all() {
        let before = sink.arrivals()?.len();
        program.send(board.port, mail).map_err(|failed| fails(&board, &failed))?;
        let arrivals = sink.arrivals()?;
        let is_whole = arrivals.iter().any(|kept| kept.recipients == mail.to.len() && kept.octets > mail.text.len());
        if arrivals.len() != before + 1 || !is_whole {
            return Err(format!("{}: {} mails arrived, not {}", mail.name, arrivals.len(), before + 1).into());
        }
    }
    Ok(Completion::Completed)
}

/// A group of commands stays one: a recipient costs no round trip.
pub(crate) fn hundred_recipients() -> Result<(), Failed> {
    let upstream = Upstream::start(|line| {
        // As long as it thinks, more may come: it waits only where the board does.
        if line.starts_with("RCPT") {
            thread::sleep(Duration::from_millis(10));
        }
        Act::Yes
    })?;
    let board = start(upstream.port, &[])?;
    let mut client = Client::hello(board.port)?;
    let to: Vec<String> = (0..100).map(|number| format!("RCPT TO:<recipient{number}@example.org>\r\n")).collect();
    client.sends(format!("MAIL FROM:<{SENDER}>\r\n{}DATA\r\n", to.concat()).as_bytes())?;
    for code in std::iter::repeat_n(250, 101).chain([354]) {
        client.reply().and_then(|reply| reply.is(code)).map_err(|failed| fails(&board, &failed))?;
    }
    client.sends(b"Hello.\r\n.\r\n")?;
    client.reply()?.is(250)?;
    client.quit()?;
    let seen = upstream.until(|seen| seen.first().is_some_and(|seen| seen.is_over))?;
    let [seen] = &seen[..] else { return Err(format!("{} connections", seen.len()).into()) };
    let heard: Vec<String> =
        seen.lines.iter().filter(|line| line.starts_with("RCPT")).map(|line| format!("{line}\r\n")).collect();
    println!("    gateway: a mail to 100 recipients costs {} round trips to the server", seen.waits);
    (heard == to && seen.waits <= 20).then_some(()).ok_or_else(|| format!("{} waits, {heard:?}", seen.waits).into())
}

/// What the server says is what the client hears.
pub(crate) fn refusals() -> Result<(), Failed> {
    let upstream = Upstream::start(|line| match line {
        "RCPT TO:<b@example.org>" => Act::Says("550 5.1.1 No ant called b lives here\r\n"),
        "MAIL FROM:<refused@client.example>" => Act::Says("553-5.1.8 First line\r\n553 5.1.8 Go away\r\n"),
        "." => Act::Says("554 5.6.0 Not that text\r\n"),
        _ => Act::Yes,
    })?;
    let board = start(upstream.port, &[])?;
    let mut client = Client::hello(board.port)?;
    client.says("MAIL FROM:<refused@client.example>")?.is(553)?;
    client.says(&format!("MAIL FROM:<{SENDER}>"))?.begins("250 2.0.0 OK")?;
    client.says("RCPT TO:<a@example.org>")?.is(250)?;
    client.says("RCPT TO:<b@example.org>")?.begins("550 5.1.1 No ant called b lives here\r\n")?;
    client.says("RCPT TO:<c@example.org>")?.is(250)?;
    client.says("DATA")?.is(354)?;
    client.sends(&stuffed(&lines(5_000)))?;
    client.reply()?.begins("554 5.6.0 Not that text\r\n")?;
    client.quit()?;
    let texts = upstream.texts();
    let [text] = &texts[..] else { return Err(format!("{} texts", texts.len()).into()) };
    (without_received(text)? == lines(5_000)).then_some(()).ok_or_else(|| "another text".into())
}

/// Without a server clients are greeted, and told at MAIL; once it is there, it is used.
pub(crate) fn server_away() -> Result<(), Failed> {
    let port = free_port()?;
    let board = start(port, &[])?;
    let mut client = Client::hello(board.port)?;
    for _ in 0..2 {
        client.says(&format!("MAIL FROM:<{SENDER}>"))?.begins("451 4.4.1")?;
    }
    let upstream = Upstream::at(port, |_| Act::Yes)?;
    client.mail(SENDER, &[TO], b"Hello.\r\n")?.is(250)?;
    client.quit()?;
    (upstream.texts().len() == 1).then_some(()).ok_or_else(|| "no text".into())
}

/// A server that closes or resets in the middle of a text: its client hears that behind the text, and the next mail arrives.
pub(crate) fn server_lost() -> Result<(), Failed> {
    for acts in [|| Act::Closes, || Act::Resets] {
        let is_first = AtomicBool::new(true);
        let upstream = Upstream::start(move |line| match line {
            "text" if is_first.swap(false, Ordering::Relaxed) => acts(),
            _ => Act::Yes,
        })?;
        let board = start(upstream.port, &[])?;
        let mut client = Client::hello(board.port)?;
        let reply = client.mail(SENDER, &[TO], &lines(200_000)).map_err(|failed| fails(&board, &failed))?;
        reply.begins("451 4.4.2")?;
        client.mail(SENDER, &[TO], &lines(20_000))?.is(250)?;
        client.quit()?;
        let texts = upstream.texts();
        let [text] = &texts[..] else { return Err(format!("{} texts", texts.len()).into()) };
        if without_received(text)? != lines(20_000) {
            return Err("another text".into());
        }
    }
    Ok(())
}

/// A client that disappears in the text: the server gets no end of it.
pub(crate) fn client_lost() -> Result<(), Failed> {
    let upstream = Upstream::start(|_| Act::Yes)?;
    let board = start(upstream.port, &[])?;
    for round in 0..4 {
        let mut client = Client::hello(board.port)?;
        client.says(&format!("MAIL FROM:<{SENDER}>"))?.is(250)?;
        client.says(&format!("RCPT TO:<{TO}>"))?.is(250)?;
        client.says("DATA")?.is(354)?;
        // Ends that are none, too.
        client.sends(&[&lines(30_000)[..], b"\r\n."].concat())?;
        match round % 2 {
            0 => client.vanish()?,
            _ => drop(client),
        }
        let is_over = |seen: &[Seen]| seen.len() == round + 1 && seen.iter().all(|seen| seen.is_over);
        upstream.until(is_over).map_err(|failed| fails(&board, &failed))?;
    }
    let mut client = Client::hello(board.port)?;
    client.mail(SENDER, &[TO], b"Hello.\r\n")?.is(250)?;
    client.quit()?;
    match &upstream.texts()[..] {
        [text] if without_received(text)? == b"Hello.\r\n" => Ok(()),
        texts => Err(format!("{} texts arrived", texts.len()).into()),
    }
}

/// As many clients as there are places, each with several mails over its connection; none gets another one's octets.
pub(crate) fn four_at_once() -> Result<(), Failed> {
    let upstream = Upstream::start(|_| Act::Yes)?;
    let board = start(upstream.port, &[])?;
    let port = board.port;
    let text = |client: usize, mail: usize| {
        [format!("Subject: {client} {mail}\r\n\r\n").as_bytes(), &lines(50_000 * (client + 1))].concat()
    };
    thread::scope(|scope| {
        let clients: Vec<_> = (0..4)
            .map(|number| {
                scope.spawn(move || {
                    // QEMU's listener has a queue of one.
                    thread::sleep(Duration::from_millis(20 * number as u64));
                    let mut client = Client::hello(port)?;
                    for mail in 0..3 {
                        client.mail(SENDER, &[TO], &text(number, mail))?.is(250)?;
                    }
                    client.quit()
                })
            })
            .collect();
        clients.into_iter().try_for_each(|client| client.join().map_err(|_| Failed::from("a panic"))?)
    })
    .map_err(|failed| fails(&board, &failed))?;
    let mut got = upstream.texts();
    for number in 0..4 {
        for mail in 0..3 {
            let text = text(number, mail);
            let at = got.iter().position(|got| without_received(got).is_ok_and(|got| got == text));
            got.remove(at.ok_or_else(|| format!("mail {mail} of client {number} is missing"))?);
        }
    }
    got.is_empty().then_some(()).ok_or_else(|| "more arrived".into())
}

/// A server that does not read: the client's window closes, since the board has no room to keep what it sends. Once the server
/// reads, all of it arrives.
pub(crate) fn slow_server() -> Result<(), Failed> {
    let reads = Arc::new(AtomicBool::new(false));
    let may_read = reads.clone();
    let upstream = Upstream::start(move |line| {
        while line == "text" && !may_read.load(Ordering::Relaxed) {
            thread::sleep(Duration::from_millis(10));
        }
        Act::Yes
    })?;
    let board = start(upstream.port, &[])?;
    let mut client = Client::hello(board.port)?;
    client.says(&format!("MAIL FROM:<{SENDER}>"))?.is(250)?;
    client.says(&format!("RCPT TO:<{TO}>"))?.is(250)?;
    client.says("DATA")?.is(354)?;
    // More than the kernel's buffers of both connections hold.
    let text = lines(24 << 20);
    let octets = stuffed(&text);
    let sent = client.sends_for(&octets, Duration::from_secs(2))?;
    if sent == octets.len() {
        return Err("all of it was taken".into());
    }
    println!("    gateway: {} KiB went before a server that does not read held its client up", sent >> 10);
    // Meanwhile others are served.
    let mut other = Client::hello(board.port)?;
    other.says("NOOP")?.is(250)?;
    other.quit()?;
    reads.store(true, Ordering::Relaxed);
    client.sends(&octets[sent..])?;
    let reply: Reply = client.reply().map_err(|failed| fails(&board, &failed))?;
    reply.is(250)?;
    client.quit()?;
    match &upstream.texts()[..] {
        [got] if without_received(got)? == text => Ok(()),
        texts => Err(format!("{} texts arrived", texts.len()).into()),
    }
}

fn fails(board: &Board, failed: &Failed) -> Failed {
    board.fails(failed.message().unwrap_or(""))
}
