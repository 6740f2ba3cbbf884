//! Against Postfix's smtp-sink, if that is installed.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use smtpd_std::client::{Client, Error};

use super::{FROM, MAIL, TO};

/// Ends with the test.
struct Sink(Child, SocketAddr);

impl Sink {
    fn start(options: &[&str]) -> Option<Self> {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let program = ["/usr/sbin/smtp-sink", "smtp-sink"].into_iter().find_map(|program| {
            let mut command = Command::new(program);
            command.args(["-u", "nobody"]).args(options).args([&address.to_string(), "100"]);
            command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().ok()
        });
        let mut sink = Self(program?, address);
        let began = Instant::now();
        while TcpStream::connect(address).is_err() {
            // Only root may become nobody.
            if sink.0.try_wait().unwrap().is_some() || began.elapsed() > Duration::from_secs(10) {
                return None;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Some(sink)
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn it_takes_mails() {
    let large = "A line of text, as there are many.\n".repeat(100_000);
    for options in [&["-8"][..], &["-p"], &["-e"], &["-L"]] {
        let Some(sink) = Sink::start(options) else {
            eprintln!("not tested: smtp-sink does not run here");
            return;
        };
        let builder = Client::builder();
        let builder = if options == ["-L"] { builder.lmtp() } else { builder };
        let mut client = builder.connect(sink.1).await.unwrap();
        for mail in [MAIL, "", ".\n..\n.", &large] {
            let sent = client.send(FROM, &TO, mail).await.unwrap();
            assert_eq!(sent.accepted().count(), 3, "{options:?}");
        }
        let eight_bit = client.send(FROM, &TO, "Grüße").await;
        match options {
            ["-8" | "-e"] => assert!(matches!(eight_bit, Err(Error::EightBit)), "{options:?} {eight_bit:?}"),
            _ => assert_eq!(eight_bit.unwrap().outcomes.len(), 3),
        }
        client.quit().await.unwrap();
    }
}

/// Commands that it refuses, for ever and for now.
#[tokio::test]
async fn it_refuses() {
    for (option, code) in [("-f", 500), ("-r", 450)] {
        for command in ["MAIL", "RCPT", "DATA", "."] {
            let Some(sink) = Sink::start(&[option, command]) else { return };
            let mut client = Client::connect(sink.1).await.unwrap();
            for _ in 0..2 {
                let error = client.send(FROM, &TO, MAIL).await.unwrap_err();
                assert_eq!(error.is_permanent(), code == 500, "{option} {command}: {error}");
            }
            client.quit().await.unwrap();
        }
    }
}
