//! The limit of a script on a port: nothing that the other side does goes beyond it.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread::{sleep, spawn};
use std::time::{Duration, Instant};

use smtpd_mock::{Script, listen};

const LIMIT: Duration = Duration::from_millis(500);

/// What differs when a script is the server of this client, and how long that takes.
fn serve(text: &str, client: impl FnOnce(TcpStream) + Send + 'static) -> (String, Duration) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let client = spawn(move || client(TcpStream::connect(address).unwrap()));
    let script = Script::parse("a.txt", text).unwrap();
    let begin = Instant::now();
    let result = script.serve_on(&listener, LIMIT);
    let took = begin.elapsed();
    drop(listener);
    client.join().unwrap();
    (result.unwrap_err().got, took)
}

#[test]
fn a_client_that_talks_for_ever() {
    let (_, took) = serve("C: {...}\nC: .\n", |mut stream| {
        let begin = Instant::now();
        while begin.elapsed() < LIMIT * 8 && stream.write_all(&b"x\r\n".repeat(100)).is_ok() {}
    });
    assert!(took < LIMIT * 4, "{took:?}");
}

#[test]
fn a_client_that_reads_a_little_at_a_time() {
    let (got, took) = serve("SB: \\(16000000:a)\n", |mut stream| {
        let mut octets = vec![0; 100_000];
        let begin = Instant::now();
        while begin.elapsed() < LIMIT * 8 && matches!(stream.read(&mut octets), Ok(1..)) {
            sleep(LIMIT / 4);
        }
    });
    assert!(took < LIMIT * 4, "{took:?}");
    assert_eq!(got, "it reads nothing until the limit");
}

#[test]
fn a_limit_that_no_clock_can_count() {
    assert_eq!(listen([], Duration::MAX).unwrap().finish().unwrap().len(), 0);
}
