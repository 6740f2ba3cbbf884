//! The proxies of the command `smtpd`, run as programs: what their options do.

mod common;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use common::Client;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use smtpd_std::{Config, Message, Running, Server, process_message};

/// The command, listening, until this is dropped.
struct Proxy {
    child: Child,
    address: SocketAddr,
}

impl Proxy {
    fn new(arguments: &[&str], remote: &str) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_smtpd"))
            .args(["-n", "--host", "proxy.example"])
            .args(arguments)
            .args(["127.0.0.1:0", remote])
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("smtpd");
        let mut line = String::new();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        stderr.read_line(&mut line).unwrap();
        child.stderr = Some(stderr.into_inner());
        let address = line.trim_end().strip_prefix("smtpd: listening on ").expect(&line).parse().unwrap();
        Self { child, address }
    }

    /// What it said on stderr, which ends it.
    fn stderr(mut self) -> String {
        let mut text = String::new();
        kill(Pid::from_raw(self.child.id().cast_signed()), Signal::SIGINT).unwrap();
        self.child.stderr.take().unwrap().read_to_string(&mut text).unwrap();
        text
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A server that refuses recipients and texts that begin with `no`, and what it got.
fn remote() -> (Running, Receiver<Message>) {
    let (sender, mails) = channel();
    let server = Server::spawn("127.0.0.1:0", Config::new("mx.example.org"), move |_| {
        let sender = sender.clone();
        process_message(move |message| {
            if message.data.windows(6).any(|octets| octets == b"\r\n\r\nno") {
                return Ok(Some("554 5.7.1 Not this".into()));
            }
            sender.send(message.take())?;
            Ok(None)
        })
    });
    (server.unwrap(), mails)
}

const HEADER: &str = "Subject: x\r\n\r\n";

fn mail(client: &mut Client, text: &str) -> Vec<String> {
    let commands = ["EHLO c.example", "MAIL FROM:<a@a.example>", "RCPT TO:<b@b.example>", "DATA"];
    let mut replies: Vec<String> = commands.iter().map(|command| client.say(command)).collect();
    if replies.last().is_some_and(|reply| reply.starts_with("354")) {
        replies.push(client.say(&format!("{text}.")));
    }
    replies
}

#[test]
fn what_is_added_can_be_chosen() {
    let (server, mails) = remote();
    let remote = server.address().to_string();
    // The default class, as Python's.
    for (options, received, x_peer) in [
        (&[][..], true, false),
        (&["--no-received"], false, false),
        (&["-c", "PureProxy", "--no-received", "--x-peer"], false, true),
        (&["-c", "PureProxy", "--x-peer"], true, true),
    ] {
        let proxy = Proxy::new(options, &remote);
        let replies = mail(&mut Client::greeted(proxy.address, "220 proxy.example ESMTP"), &format!("{HEADER}Hi\r\n"));
        assert!(replies.last().unwrap().starts_with("250 2.0.0"), "{options:?} {replies:?}");
        let message = mails.recv_timeout(Duration::from_secs(5)).unwrap();
        let text = String::from_utf8(message.data).unwrap();
        assert_eq!(
            text.starts_with("Received: from c.example ([127.0.0.1])\r\n\tby proxy.example with ESMTP;\r\n\t"),
            received,
            "{text}"
        );
        let rest = if x_peer { "Subject: x\r\nX-Peer: 127.0.0.1\r\n\r\nHi\r\n" } else { "Subject: x\r\n\r\nHi\r\n" };
        assert!(text.ends_with(rest), "{options:?} {text}");
        assert_eq!(!received, text.len() == rest.len(), "{text}");
    }
}

#[test]
fn a_remote_server_that_is_away() {
    let away = "127.0.0.1:1";
    let proxy = Proxy::new(&[], away);
    let mut client = Client::greeted(proxy.address, "220 proxy.example ESMTP");
    client.send(b"EHLO c.example\r\n");
    for line in ["250-proxy.example", "250-PIPELINING", "250-SIZE 33554432", "250 ENHANCEDSTATUSCODES"] {
        assert_eq!(client.hear(), line);
    }
    assert_eq!(client.say("MAIL FROM:<a@a.example>"), "451 4.4.1 Next server away, try again");
    // The log hears of it once.
    assert!(client.say("MAIL FROM:<a@a.example>").starts_with("451 "));
    let stderr = proxy.stderr();
    let lines: Vec<&str> = stderr.lines().filter(|line| line.contains(" WARN ")).collect();
    assert!(lines.len() == 1 && lines[0].contains("no connection to the next server, 127.0.0.1:1: "), "{stderr}");
    let proxy = Proxy::new(&["--upstream-down", "refuse"], away);
    let greeting = "421 4.4.1 Next server away, try again later";
    assert_eq!(Client::greeted(proxy.address, greeting).rest(), b"");
}

#[test]
fn relaying_is_guarded() {
    let (server, mails) = remote();
    let remote = server.address().to_string();
    for (options, path, reply) in [
        (&["--relay-to", "b.example"][..], "b@B.example", "250 2.1.5"),
        (&["--relay-to", "b.example"], "b@c.example", "550 5.7.1 Relaying denied"),
        (&["--relay-from", "192.0.2.0/24"], "b@b.example", "550 5.7.1 Relaying denied"),
        (&["--relay-from", "192.0.2.0/24", "--relay-from", "127.0.0.1"], "b@b.example", "250 2.1.5"),
        (&["--open-relay"], "b@b.example", "250 2.1.5"),
        // Also where nobody hears a no of the next server.
        (&["--relay-to", "b.example", "--always-250"], "b@c.example", "550 5.7.1 Relaying denied"),
    ] {
        let proxy = Proxy::new(options, &remote);
        let mut client = Client::greeted(proxy.address, "220 proxy.example ESMTP");
        assert_eq!(client.say("EHLO c.example"), "250 HELP");
        assert!(client.say("MAIL FROM:<a@a.example>").starts_with("250 "));
        let heard = client.say(&format!("RCPT TO:<{path}>"));
        assert!(heard.starts_with(reply), "{options:?} {heard}");
    }
    assert!(mails.try_recv().is_err());
}

#[test]
fn where_other_hosts_can_connect_it_has_to_be_said_whose_mail_is_relayed() {
    for class in ["PureProxy", "MailmanProxy"] {
        let maps = std::env::temp_dir();
        let mut arguments = vec!["-n", "-c", class, "0.0.0.0:0", "127.0.0.1:1"];
        if class == "MailmanProxy" {
            arguments.extend(["--mailman-maps", maps.to_str().unwrap()]);
        }
        let output = Command::new(env!("CARGO_BIN_EXE_smtpd")).args(&arguments).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{stderr}");
        assert!(
            stderr.contains(
                "--relay-from NETWORK or --relay-to DOMAIN, and --relay-from 127.0.0.0/8 for this host (--open-relay"
            ),
            "{stderr}"
        );
    }
}

#[test]
fn always_250_says_what_is_lost() {
    let (server, mails) = remote();
    let remote = server.address().to_string();
    let proxy = Proxy::new(&["--always-250", "--no-received"], &remote);
    let mut client = Client::greeted(proxy.address, "220 proxy.example ESMTP");
    // What the next server takes is relayed as ever.
    let replies = mail(&mut client, &format!("{HEADER}Hi\r\n"));
    assert!(replies[1..].iter().all(|reply| reply.starts_with("250 ") || reply.starts_with("354 ")), "{replies:?}");
    assert_eq!(mails.recv_timeout(Duration::from_secs(5)).unwrap().data, format!("{HEADER}Hi\r\n").as_bytes());
    let replies = mail(&mut client, &format!("{HEADER}no\r\n"));
    assert!(replies[1..].iter().all(|reply| reply.starts_with("250 ") || reply.starts_with("354 ")), "{replies:?}");
    drop(server);
    let replies = mail(&mut client, &format!("{HEADER}Hi\r\n"));
    assert!(replies[1..].iter().all(|reply| reply.starts_with("250 ") || reply.starts_with("354 ")), "{replies:?}");
    drop(client);
    let begun = Instant::now();
    let stderr = proxy.stderr();
    assert!(begun.elapsed() < Duration::from_secs(5));
    let lost: Vec<&str> = stderr.lines().filter(|line| line.contains("is lost")).collect();
    assert_eq!(lost.len(), 3, "{stderr}");
    assert!(lost[0].contains("from <a@a.example> is lost") && lost[0].contains("554 Not this"), "{stderr}");
    assert!(lost[1].contains("451 "), "{stderr}");
    assert!(lost[2].contains("for <b@b.example> is lost"), "{stderr}");
    assert!(mails.try_recv().is_err());
}

#[test]
fn always_250_relays_nothing_that_the_guard_forbids_when_the_next_server_is_away() {
    let proxy = Proxy::new(&["--always-250", "--relay-to", "b.example"], "127.0.0.1:1");
    let mut client = Client::greeted(proxy.address, "220 proxy.example ESMTP");
    for (command, reply) in [
        ("EHLO c.example", "250 ENHANCEDSTATUSCODES"),
        ("MAIL FROM:<a@a.example>", "250 2.1.0 OK"),
        ("RCPT TO:<b@c.example>", "550 5.7.1 Relaying denied"),
        ("RCPT TO:<b@b.example>", "250 2.1.5 OK"),
    ] {
        assert_eq!(client.say(command), reply);
    }
}

/// A server that takes a recipient, and then closes.
fn fleeting() -> (SocketAddr, thread::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let serve = move || {
        let (stream, _) = listener.accept().unwrap();
        let mut reader = BufReader::new(stream);
        for reply in ["220 up", "250 up", "250 OK"] {
            reader.get_mut().write_all(format!("{reply}\r\n").as_bytes()).unwrap();
            assert_ne!(reader.read_line(&mut String::new()).unwrap(), 0);
        }
        reader.get_mut().write_all(b"250 OK\r\n").unwrap();
    };
    (address, thread::spawn(serve))
}

#[test]
fn always_250_holds_where_the_next_server_is_gone_before_the_text() {
    let folder = std::env::temp_dir().join(format!("smtpd-always-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("postfix_lmtp"), "ant@b.example lmtp:[127.0.0.1]:1\n").unwrap();
    let maps = folder.to_str().unwrap();
    for options in [&["-c", "MailmanProxy", "--mailman-maps", maps][..], &["-c", "PureProxy"]] {
        let (remote, served) = fleeting();
        let proxy = Proxy::new(&[options, &["--always-250"]].concat(), &remote.to_string());
        let mut client = Client::greeted(proxy.address, "220 proxy.example ESMTP");
        let say = |client: &mut Client, commands: &[(&str, &str)]| {
            for (command, reply) in commands {
                let heard = client.say(command);
                assert!(heard.starts_with(reply), "{options:?} {command}: {heard}");
            }
        };
        say(&mut client, &[("HELO c", "250"), ("MAIL FROM:<a@a.example>", "250"), ("RCPT TO:<b@c.example>", "250")]);
        served.join().unwrap();
        // So that the proxy knows.
        thread::sleep(Duration::from_millis(200));
        say(&mut client, &[("DATA", "354"), ("Hi\r\n.", "250"), ("NOOP", "250")]);
        drop(client);
        let stderr = proxy.stderr();
        assert!(stderr.contains("from <a@a.example> is lost"), "{stderr}");
    }
    std::fs::remove_dir_all(folder).unwrap();
}

/// A proxy has two or three connections for each client.
#[cfg(target_os = "linux")]
#[test]
fn descriptors_suffice_for_the_next_server_too() {
    let proxy = Proxy::new(&["--max-connections", "1500"], "127.0.0.1:1");
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", proxy.child.id())).unwrap();
    let files = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let mut limits = files.split_whitespace().filter_map(|word| word.parse::<u64>().ok());
    let (soft, hard) = (limits.next().unwrap(), limits.next().unwrap());
    assert!(soft >= hard.min(2 * 1_500), "{files}");
}

#[test]
fn lists_that_are_not_there_fail_the_start() {
    let folder = std::env::temp_dir().join(format!("smtpd-no-maps-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let maps = folder.to_str().unwrap();
    for (options, message) in [
        (&["--mailman-maps", maps][..], "postfix_lmtp"),
        (&["--mailman2-lists", "/nowhere/lists", "--mailman2-command", "/bin/true"], "/nowhere/lists"),
        (&[], "needs --mailman-maps DIR"),
        (&["--mailman-maps", maps, "--mailman2-lists", maps], "not both"),
        (&["--mailman-maps", maps, "--mailman-lmtp", "8024"], "Invalid mailman-lmtp: \"8024\""),
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_smtpd"));
        let output = command.args(["-n", "-c", "MailmanProxy"]).args(options).arg("127.0.0.1:0").output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{stderr}");
        assert!(stderr.lines().last().unwrap().contains(message), "{options:?} {stderr}");
    }
    std::fs::remove_dir(folder).unwrap();
}

#[test]
fn a_proxy_does_not_relay_to_itself() {
    // A port that is free, most likely.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let here = format!("127.0.0.1:{port}");
    let output = Command::new(env!("CARGO_BIN_EXE_smtpd")).args(["-n", &here, &here]).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("is this server itself"), "{stderr}");
}
