//! The wire and the clock under tokio's paused time: minutes pass in no time.
#![cfg(feature = "tokio")]

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use smtpd_mock::{Clock, Damage, Link, Links, Pieces, Script, Wire};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, copy, split};
use tokio::time::timeout;

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

fn pair(there: Link, back: Link) -> (Wire, Wire) {
    Wire::pair(&Clock::of_tokio(), there, back)
}

#[tokio::test(start_paused = true)]
async fn minutes_pass_in_no_time() {
    let real = Instant::now();
    let (mut client, mut server) = pair(Link::new().latency(secs(600)), Link::new().latency(secs(60)));
    let clock = client.clock().clone();
    let serving = tokio::spawn(async move {
        let mut line = [0; 6];
        server.read_exact(&mut line).await.unwrap();
        let heard = server.clock().now();
        server.write_all(b"221 Bye\r\n").await.unwrap();
        server.shutdown().await.unwrap();
        (line, heard)
    });
    client.write_all(b"QUIT\r\n").await.unwrap();
    client.flush().await.unwrap();
    let mut said = String::new();
    client.read_to_string(&mut said).await.unwrap();
    assert_eq!(said, "221 Bye\r\n");
    assert_eq!(clock.now(), secs(660));
    assert_eq!(serving.await.unwrap(), (*b"QUIT\r\n", secs(600)));
    assert!(real.elapsed() < secs(5));
}

#[tokio::test(start_paused = true)]
async fn a_stalled_link_times_out() {
    let (mut client, mut server) = pair(Link::new().window(8).damage(3, Damage::Stall), Link::new());
    client.write_all(b"NOOP\r\n").await.unwrap();
    let mut octets = [0; 9];
    assert_eq!(server.read(&mut octets).await.unwrap(), 3);
    assert!(timeout(secs(300), server.read(&mut octets)).await.is_err());
    assert_eq!(client.clock().now(), secs(300));
    assert!(timeout(secs(300), client.write_all(b"QUIT\r\n")).await.is_err(), "its window is full");
    assert_eq!(client.clock().now(), secs(600));
}

#[tokio::test(start_paused = true)]
async fn a_read_that_timed_out_loses_nothing() {
    let (mut client, mut server) = pair(Link::new().latency(secs(10)), Link::new());
    client.write_all(b"abc").await.unwrap();
    let mut octets = [0; 9];
    for _ in 0..9 {
        assert!(timeout(secs(1), server.read(&mut octets)).await.is_err());
    }
    assert_eq!(timeout(secs(2), server.read(&mut octets)).await.unwrap().unwrap(), 3);
    assert_eq!(server.clock().now(), secs(10));
}

#[tokio::test(start_paused = true)]
async fn it_copies_through_small_windows() {
    let small = Link::new().window(100).pieces(Pieces::Random(1)).short_writes(70).would_block(3).latency(secs(1));
    let (mut source, mut from) = pair(small.clone(), Link::new());
    let (mut to, mut sink) = pair(small, Link::new());
    let octets: Vec<u8> = (0..5_000_u32).map(|octet| octet as u8).collect();
    let sent = octets.clone();
    let tasks = (
        tokio::spawn(async move {
            source.write_all(&sent).await.unwrap();
            source
        }),
        tokio::spawn(async move {
            let copied = copy(&mut from, &mut to).await.unwrap();
            to.shutdown().await.unwrap();
            copied
        }),
    );
    let reading = tokio::spawn(async move {
        let mut all = Vec::new();
        sink.read_to_end(&mut all).await.unwrap();
        all
    });
    drop(tasks.0.await.unwrap());
    assert_eq!(tasks.1.await.unwrap(), 5_000);
    assert_eq!(reading.await.unwrap(), octets);
}

/// Both halves wait at once, for a moment each, and neither forgets the other.
#[tokio::test(start_paused = true)]
async fn halves_in_two_tasks() {
    let (client, mut server) = pair(Link::new().window(2), Link::new().latency(secs(7)));
    let (mut reads, mut writes) = split(client);
    server.write_all(b"late").await.unwrap();
    let reading = tokio::spawn(async move {
        let mut octets = [0; 4];
        reads.read_exact(&mut octets).await.unwrap();
        octets
    });
    let writing = tokio::spawn(async move {
        writes.write_all(b"abcdef").await.unwrap();
        writes.shutdown().await.unwrap();
    });
    tokio::time::sleep(secs(1)).await;
    let mut all = String::new();
    server.read_to_string(&mut all).await.unwrap();
    assert_eq!(all, "abcdef");
    assert_eq!(server.clock().now(), secs(1), "which did not wait for the other half");
    writing.await.unwrap();
    assert_eq!(reading.await.unwrap(), *b"late");
    assert_eq!(server.clock().now(), secs(7));
}

#[tokio::test(start_paused = true)]
async fn ends() {
    let (mut client, mut server) = pair(Link::new(), Link::new());
    client.shutdown().await.unwrap();
    client.shutdown().await.unwrap();
    assert_eq!(client.write(b"x").await.unwrap_err().kind(), ErrorKind::BrokenPipe);
    assert_eq!(server.read(&mut [0; 9]).await.unwrap(), 0);
    server.write_all(b"250 OK\r\n").await.unwrap();
    drop(server);
    let (mut lines, mut line) = (BufReader::new(client.clone()), String::new());
    lines.read_line(&mut line).await.unwrap();
    assert_eq!(line, "250 OK\r\n");
    assert_eq!(lines.read_line(&mut line).await.unwrap(), 0);

    let (client, mut server) = pair(Link::new(), Link::new());
    let reading = tokio::spawn(async move { server.read(&mut [0; 9]).await.map_err(|error| error.kind()) });
    tokio::task::yield_now().await;
    client.reset();
    assert_eq!(reading.await.unwrap(), Err(ErrorKind::ConnectionReset));
}

/// Its clock does not go on while its thread blocks.
#[tokio::test(start_paused = true)]
async fn a_read_that_blocks_does_not_hang() {
    use std::io::Read;
    let (mut client, server) = pair(Link::new().latency(secs(1)), Link::new());
    client.write_all(b"abc").await.unwrap();
    let mut blocking = server.clone();
    assert_eq!(Read::read(&mut blocking, &mut [0; 9]).unwrap_err().to_string(), "it would wait for ever");
    server.set_timeout(Some(secs(5)));
    assert_eq!(Read::read(&mut blocking, &mut [0; 9]).unwrap_err().to_string(), "it would wait for ever");
    tokio::time::advance(secs(1)).await;
    assert_eq!(Read::read(&mut blocking, &mut [0; 9]).unwrap(), 3);
}

/// The script is in another task than its client, so it must be woken by what happens on the wire.
#[tokio::test(start_paused = true)]
async fn a_client_in_a_task_of_its_own() {
    let script = Script::parse("task.txt", "S: 220 a\nC: QUIT\nS: 221 bye\n!drop\n").unwrap();
    let links = Links { clock: Clock::of_tokio(), client: Link::new(), server: Link::new().window(2) };
    let client = |mut wire: Wire| async {
        let task = tokio::spawn(async move {
            let mut greeting = [0; 7];
            wire.read_exact(&mut greeting).await?;
            tokio::time::sleep(secs(1)).await;
            wire.write_all(b"QUIT\r\n").await?;
            let mut said = String::new();
            wire.read_to_string(&mut said).await.map(|_| said)
        });
        task.await.unwrap()
    };
    let (said, played) = script.serve_async(links, client).await.unwrap();
    assert_eq!(said.unwrap(), "221 bye\r\n");
    assert_eq!((played.is_stuck, played.took), (false, secs(1)));
}

/// Octets cross threads, and no wakeup is lost between looking and waiting.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn threads() {
    let mut tasks = Vec::new();
    for seed in 0..20 {
        let small = Link::new().window(3).pieces(Pieces::Random(seed));
        let (mut client, mut server) = pair(small.clone(), small);
        tasks.push(tokio::spawn(async move {
            for _ in 0..500 {
                client.write_all(b"12345").await.unwrap();
                client.read_exact(&mut [0; 5]).await.unwrap();
            }
        }));
        tasks.push(tokio::spawn(async move {
            let mut octets = [0; 5];
            for _ in 0..500 {
                server.read_exact(&mut octets).await.unwrap();
                server.write_all(&octets).await.unwrap();
            }
        }));
    }
    for task in tasks {
        timeout(secs(60), task).await.expect("no wakeup is lost").unwrap();
    }
}
