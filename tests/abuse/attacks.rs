//! The attacks. Each ends after its time, or earlier once it has done all it can, and says what the server let it do.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::client::{ATTACKER, Client};

type Attacked = Pin<Box<dyn Future<Output = Result<String, String>> + Send>>;

pub(crate) struct Attack {
    pub(crate) name: &'static str,
    /// Of the command, beyond the usual ones.
    pub(crate) arguments: &'static [&'static str],
    /// Octets by which the server may grow.
    pub(crate) growth: usize,
    pub(crate) run: fn(SocketAddr, Duration) -> Attacked,
}

const MIB: usize = 1 << 20;

/// Connections from one address that the command serves by default.
const EACH: usize = 250;

/// What the server holds for those that it serves and for as many as it turns away at once (100): a task, a socket, and a
/// line that is cut (2,304 octets) or a reply (4,096).
const SERVED: usize = (EACH + 100) * 8_192 + MIB;

/// The same when none reads: also what was read in one piece, up to 8 KiB, and has to wait; an allocator loses as much
/// again between such pieces.
const STALLED: usize = SERVED + EACH * 2 * 8_192;

pub(crate) const ATTACKS: &[Attack] = &[
    Attack { name: "slow", arguments: &[], growth: SERVED, run: |to, length| Box::pin(slow(to, length)) },
    Attack {
        name: "connect_and_go",
        arguments: &[],
        growth: SERVED,
        run: |to, length| Box::pin(connect_and_go(to, length)),
    },
    Attack {
        name: "resets_in_text",
        arguments: &[],
        growth: SERVED,
        run: |to, length| Box::pin(resets_in_text(to, length)),
    },
    Attack { name: "endless_command", arguments: &[], growth: MIB, run: |to, _| Box::pin(endless_command(to)) },
    Attack { name: "endless_text", arguments: &[], growth: MIB, run: |to, _| Box::pin(endless_text(to)) },
    Attack {
        name: "endless_text_without_limit",
        arguments: &["-s", "0"],
        growth: MIB,
        run: |to, _| Box::pin(endless_text_without_limit(to)),
    },
    Attack {
        name: "unread_replies",
        arguments: &[],
        growth: MIB,
        run: |to, length| Box::pin(unread_replies(to, length)),
    },
    Attack {
        name: "unread_replies_without_limit",
        arguments: &["--max-commands", "0"],
        growth: MIB,
        run: |to, length| Box::pin(unread_replies(to, length)),
    },
    Attack { name: "text_over_limit", arguments: &[], growth: MIB, run: |to, _| Box::pin(text_over_limit(to)) },
    Attack { name: "recipients", arguments: &[], growth: MIB, run: |to, _| Box::pin(recipients(to)) },
    Attack {
        name: "stalled_readers",
        arguments: &[],
        growth: STALLED,
        run: |to, length| Box::pin(stalled_readers(to, length)),
    },
];

/// What the server holds once it has worked, whoever it worked for: buffers, threads.
pub(crate) async fn warm(to: SocketAddr) -> Result<(), String> {
    let mut all = JoinSet::new();
    for _ in 0..50 {
        all.spawn(async move {
            let mut client = Client::connect(ATTACKER, to).await?;
            client.begin().await?;
            client.send(&[b'x'; 1 << 18]).await?;
            client.say(b"\r\n.\r\n", "250").await?;
            client.say(b"QUIT\r\n", "221").await
        });
    }
    join(all).await.map(|_| ())
}

async fn join<T: 'static>(mut all: JoinSet<io::Result<T>>) -> Result<Vec<T>, String> {
    let mut done = Vec::new();
    while let Some(one) = all.join_next().await {
        done.push(one.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?);
    }
    Ok(done)
}

/// 1,000 clients that send an octet every 2 s, and come back when they are turned away.
async fn slow(to: SocketAddr, length: Duration) -> Result<String, String> {
    let end = Instant::now() + length.max(Duration::from_secs(7));
    let mut all = JoinSet::new();
    for _ in 0..1_000 {
        all.spawn(async move {
            let mut refusals = 0_usize;
            while Instant::now() < end {
                let mut client = Client::connect(ATTACKER, to).await?;
                // When it turns many away, it does so without a word.
                if !client.reply().await.is_ok_and(|reply| reply.starts_with("220")) {
                    refusals += 1;
                    sleep(Duration::from_secs(2)).await;
                    continue;
                }
                while Instant::now() < end && client.send(b"N").await.is_ok() {
                    sleep(Duration::from_secs(2)).await;
                }
                return Ok((1, refusals));
            }
            Ok((0, refusals))
        });
    }
    let all = join(all).await?;
    let (served, refusals) = all.iter().fold((0, 0), |(served, sum), (one, refusals)| (served + one, sum + refusals));
    if served != EACH {
        return Err(format!("{served} were served at once from one address"));
    }
    Ok(format!("{served} served, {refusals} times refused"))
}

/// So many at a time, until the end or until all have done it so often together.
async fn again<F>(end: Duration, most: usize, at_once: usize, one: impl Fn() -> F) -> Result<usize, String>
where
    F: Future<Output = io::Result<()>> + Send + 'static,
{
    let end = Instant::now() + end;
    let (mut running, mut begun, mut failed) = (JoinSet::new(), 0, 0);
    while Instant::now() < end && begun < most {
        running.spawn(one());
        begun += 1;
        if running.len() >= at_once {
            let is_done = running.join_next().await.is_some_and(|one| one.is_ok_and(|one| one.is_ok()));
            failed += usize::from(!is_done);
        }
    }
    while running.join_next().await.is_some() {}
    if failed * 10 > begun { Err(format!("{failed} of {begun} could not attack")) } else { Ok(begun) }
}

/// The kernel keeps the port of a connection for a while after it ended: no more than there are ports.
async fn connect_and_go(to: SocketAddr, length: Duration) -> Result<String, String> {
    let one = move || async move { Client::connect(ATTACKER, to).await.map(|_| ()) };
    Ok(format!("{} times", again(length, 20_000, 100, one).await?))
}

async fn resets_in_text(to: SocketAddr, length: Duration) -> Result<String, String> {
    let one = move || async move {
        let mut client = Client::connect(ATTACKER, to).await?;
        client.begin().await?;
        client.send(&[b'x'; 10_000]).await?;
        // Closing sends a reset now.
        client.stream.get_ref().set_zero_linger()
    };
    Ok(format!("{} times", again(length, 100_000, 100, one).await?))
}

/// Sends so many octets, or fewer if the server closes.
async fn flood(client: &mut Client, piece: &[u8], octets: usize) -> usize {
    let mut sent = 0;
    while sent < octets {
        if client.send(piece).await.is_err() {
            break;
        }
        sent += piece.len();
    }
    sent
}

const LONG: usize = 100 * MIB;

async fn endless_command(to: SocketAddr) -> Result<String, String> {
    let attack = async {
        let mut client = Client::connect(ATTACKER, to).await?;
        client.hear("220").await?;
        let sent = flood(&mut client, &[b'x'; 1 << 16], LONG).await;
        client.say(b"\r\n", "500").await?;
        client.say(b"NOOP\r\n", "250").await?;
        Ok(sent)
    };
    Ok(format!("{} MiB", attack.await.map_err(|error: io::Error| error.to_string())? / MIB))
}

/// The text is over the limit at 32 MiB, and after as many again the server has enough.
async fn endless_text(to: SocketAddr) -> Result<String, String> {
    let attack = async {
        let mut client = Client::connect(ATTACKER, to).await?;
        client.begin().await?;
        let sent = flood(&mut client, &[b'x'; 1 << 16], LONG).await;
        Ok((sent, client.rest().await))
    };
    let (sent, last) = attack.await.map_err(|error: io::Error| error.to_string())?;
    // A reset may have eaten the reply of him who goes on sending.
    if sent >= LONG || !(last.is_empty() || last.starts_with("421")) {
        return Err(format!("after {sent} octets: {last}"));
    }
    Ok(format!("closed after {} MiB, {last:.3}", sent / MIB))
}

async fn endless_text_without_limit(to: SocketAddr) -> Result<String, String> {
    let attack = async {
        let mut client = Client::connect(ATTACKER, to).await?;
        client.begin().await?;
        let sent = flood(&mut client, &[b'x'; 1 << 16], LONG).await;
        client.say(b"\r\n.\r\n", "250").await?;
        Ok(sent)
    };
    Ok(format!("{} MiB", attack.await.map_err(|error: io::Error| error.to_string())? / MIB))
}

/// 1,000,000 NOOPs by a client that reads nothing, as far as the server takes them in the time.
async fn unread_replies(to: SocketAddr, length: Duration) -> Result<String, String> {
    let attack = async {
        let mut client = Client::connect(ATTACKER, to).await?;
        let piece = b"NOOP\r\n".repeat(1_000);
        let _ = timeout(length, async {
            for _ in 0..1_000 {
                client.stream.get_mut().write_all(&piece).await?;
            }
            io::Result::Ok(())
        })
        .await;
        // What it would read: a reply for each command that was taken, one after the other.
        client.stream.get_mut().shutdown().await.ok();
        let said = client.rest().await;
        Ok(said.lines().count())
    };
    let lines = attack.await.map_err(|error: io::Error| error.to_string())?;
    Ok(format!("{lines} replies"))
}

/// 40 MiB in four mails at once.
async fn text_over_limit(to: SocketAddr) -> Result<String, String> {
    let mut all = JoinSet::new();
    for _ in 0..4 {
        all.spawn(async move {
            let mut client = Client::connect(ATTACKER, to).await?;
            client.begin().await?;
            let sent =
                flood(&mut client, &b"A line of text that says nothing at all. \r\n".repeat(1_000), 40 * MIB).await;
            client.say(b".\r\n", "552").await?;
            client.say(b"QUIT\r\n", "221").await?;
            Ok(sent)
        });
    }
    let sent: usize = join(all).await?.iter().sum();
    Ok(format!("{} MiB", sent / MIB))
}

/// 20,000 RCPT in one go: the first 1,000 are accepted.
async fn recipients(to: SocketAddr) -> Result<String, String> {
    let attack = async {
        let mut client = Client::connect(ATTACKER, to).await?;
        client.hear("220").await?;
        client.say(b"EHLO client.example\r\n", "250").await?;
        client.say(b"MAIL FROM:<a@b.example>\r\n", "250").await?;
        let (mut accepted, mut refused) = (0, 0);
        for group in 0..20 {
            let group: String = (0..1_000).map(|one| format!("RCPT TO:<c{group}.{one}@d.example>\r\n")).collect();
            client.send(group.as_bytes()).await?;
            for _ in 0..1_000 {
                match client.reply().await?.get(..3) {
                    Some("250") => accepted += 1,
                    Some("452") => refused += 1,
                    code => return Err(io::Error::other(format!("{code:?} to RCPT"))),
                }
            }
        }
        client.say(b"QUIT\r\n", "221").await?;
        Ok((accepted, refused))
    };
    match attack.await.map_err(|error: io::Error| error.to_string())? {
        (1_000, 19_000) => Ok("1,000 accepted, 19,000 refused".into()),
        other => Err(format!("{other:?} accepted and refused")),
    }
}

/// All that one address may have, each with as many commands as it can get rid of, reading an octet now and then.
async fn stalled_readers(to: SocketAddr, length: Duration) -> Result<String, String> {
    let end = Instant::now() + length;
    let mut all = JoinSet::new();
    for _ in 0..EACH {
        all.spawn(async move {
            let mut client = Client::connect_with(ATTACKER, to, Some(2_048)).await?;
            let piece = b"HELP\r\n".repeat(1_000);
            let mut sent = 0;
            while Instant::now() < end {
                if let Ok(more) = timeout(Duration::from_millis(300), client.stream.get_mut().write(&piece)).await {
                    sent += more?;
                }
                let _ = timeout(Duration::from_millis(10), client.stream.read_u8()).await;
            }
            Ok(sent)
        });
    }
    let sent: usize = join(all).await?.iter().sum();
    Ok(format!("{} KiB of commands", sent >> 10))
}
