//! The command `smtpd`, run as a program.

mod common;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use common::Client;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

fn smtpd(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_smtpd"));
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// A server that is ended when this is dropped.
struct Running {
    child: Child,
    stderr: BufReader<std::process::ChildStderr>,
    address: SocketAddr,
}

impl Running {
    fn new(arguments: &[&str]) -> Self {
        Self::with_stdout(arguments, Stdio::piped())
    }

    fn with_stdout(arguments: &[&str], stdout: impl Into<Stdio>) -> Self {
        let always = ["-n", "--host", "mx.example.org", "-c", "DebuggingServer", "127.0.0.1:0"];
        let mut child = smtpd(&[&always, arguments].concat()).stdout(stdout).spawn().expect("smtpd");
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        stderr.read_line(&mut line).unwrap();
        let address = line.trim_end().strip_prefix("smtpd: listening on ").expect(&line).parse().unwrap();
        Self { child, stderr, address }
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().cast_signed()), signal).unwrap();
    }

    /// The exit code, within 5 seconds.
    fn ends(&mut self) -> Option<i32> {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            assert!(begun.elapsed() < Duration::from_secs(5), "smtpd does not end");
            thread::sleep(Duration::from_millis(5));
        }
    }

    fn stdout(&mut self) -> String {
        let mut text = String::new();
        self.child.stdout.take().unwrap().read_to_string(&mut text).unwrap();
        text
    }

    fn stderr(&mut self) -> String {
        let mut text = String::new();
        self.stderr.read_to_string(&mut text).unwrap();
        text
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn mail(client: &mut Client, text: &str) {
    assert_eq!(client.say("EHLO client.example"), "250 HELP");
    assert_eq!(client.say("MAIL FROM:<a@b.example> BODY=8BITMIME SIZE=100"), "250 2.1.0 OK");
    assert_eq!(client.say("RCPT TO:<c@d.example>"), "250 2.1.5 OK");
    assert!(client.say("DATA").starts_with("354 "));
    client.send(text.as_bytes());
    client.send(b".\r\n");
}

#[test]
fn prints_a_mail_as_python_does() {
    for (arguments, expected) in [
        (
            &[][..],
            "---------- MESSAGE FOLLOWS ----------\n\
             mail options: ['BODY=8BITMIME', 'SIZE=100']\n\
             b'Subject: gr\\xc3\\xbc\\xc3\\x9fe'\n\
             b'X-Peer: 127.0.0.1'\n\
             b''\n\
             b'.dot'\n\
             ------------ END MESSAGE ------------\n",
        ),
        (
            &["--decode"][..],
            "---------- MESSAGE FOLLOWS ----------\n\
             Subject: gr\u{fc}\u{df}e\n\
             X-Peer: 127.0.0.1\n\
             \n\
             .dot\n\
             ------------ END MESSAGE ------------\n",
        ),
    ] {
        let mut server = Running::new(arguments);
        let mut client = Client::new(server.address);
        mail(&mut client, "Subject: gr\u{fc}\u{df}e\r\n\r\n..dot\r\n");
        assert_eq!(client.reply(), "250 2.0.0 OK");
        assert_eq!(client.say("QUIT"), "221 2.0.0 Bye");
        server.signal(Signal::SIGTERM);
        assert_eq!(server.ends(), Some(0));
        assert_eq!(server.stdout(), expected);
        assert_eq!(server.stderr(), "", "quiet by default");
    }
}

#[test]
fn both_signals_let_a_transaction_come_to_its_end() {
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let mut server = Running::new(&[]);
        let mut client = Client::new(server.address);
        client.begin();
        client.send(b"te");
        server.signal(signal);
        thread::sleep(Duration::from_millis(100));
        client.send(b"xt\r\n.\r\n");
        assert_eq!(client.reply(), "250 2.0.0 OK");
        assert_eq!(client.rest(), b"421 4.3.2 Service stops, closing\r\n");
        drop(client);
        assert_eq!(server.ends(), Some(0));
        assert!(server.stdout().contains("\nb'text'\n"));
    }
}

#[test]
fn a_second_signal_does_not_wait() {
    let mut server = Running::new(&[]);
    let mut client = Client::new(server.address);
    client.begin();
    server.signal(Signal::SIGTERM);
    thread::sleep(Duration::from_millis(100));
    server.signal(Signal::SIGTERM);
    assert_eq!(client.rest(), b"421 4.3.2 Service stops, closing\r\n");
    drop(client);
    assert_eq!(server.ends(), Some(0));
}

#[test]
fn a_closed_stdout_ends_the_program_quietly_and_no_mail_is_accepted() {
    let mut server = Running::new(&[]);
    drop(server.child.stdout.take());
    let mut client = Client::new(server.address);
    mail(&mut client, "text\r\n");
    let reply = client.reply();
    assert!(reply.starts_with("421 ") || reply.starts_with("451 "), "{reply}");
    drop(client);
    assert_eq!(server.ends(), Some(0));
    assert_eq!(server.stderr(), "");
}

#[test]
fn a_slow_reader_of_stdout_delays_only_the_reply_to_the_message() {
    let mut server = Running::new(&[]);
    let mut slow = Client::new(server.address);
    // More than a pipe holds.
    mail(&mut slow, &"0123456789abcdef\r\n".repeat(20_000));
    slow.stream().set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    let mut octet = [0];
    let mut stream = slow.stream();
    assert!(stream.read(&mut octet).is_err(), "no reply before the message is printed");
    let mut other = Client::new(server.address);
    assert_eq!(other.say("NOOP"), "250 2.0.0 OK");
    mail(&mut other, "other\r\n");
    let mut stdout = server.child.stdout.take().unwrap();
    let reader = thread::spawn(move || {
        let mut text = String::new();
        stdout.read_to_string(&mut text).unwrap();
        text
    });
    slow.stream().set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    assert_eq!(slow.reply(), "250 2.0.0 OK");
    assert_eq!(other.reply(), "250 2.0.0 OK");
    server.signal(Signal::SIGTERM);
    drop((slow, other));
    assert_eq!(server.ends(), Some(0));
    let text = reader.join().unwrap();
    let first = text.find("END MESSAGE").unwrap();
    assert!(text.find("b'other'").unwrap() > first, "nothing interleaves");
    assert_eq!(text.matches("b'0123456789abcdef'\n").count(), 20_000);
}

#[test]
fn a_stdout_that_never_blocks_is_waited_for() {
    let (mut reader, stdout) = UnixStream::pair().unwrap();
    stdout.set_nonblocking(true).unwrap();
    let mut server = Running::with_stdout(&[], OwnedFd::from(stdout));
    let mut client = Client::new(server.address);
    // More than a socket holds.
    mail(&mut client, &"0123456789abcdef\r\n".repeat(50_000));
    thread::sleep(Duration::from_millis(200));
    let reader = thread::spawn(move || {
        let mut text = String::new();
        reader.read_to_string(&mut text).map(|_| text)
    });
    assert_eq!(client.reply(), "250 2.0.0 OK");
    drop(client);
    server.signal(Signal::SIGTERM);
    assert_eq!(server.ends(), Some(0));
    let text = reader.join().unwrap().unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!((lines.len(), lines[50_002]), (50_003, "------------ END MESSAGE ------------"));
    assert!(lines[2..50_002].iter().all(|line| *line == "b'0123456789abcdef'"));
}

#[test]
fn debug_traces_the_dialogue_and_no_secret() {
    let mut server = Running::new(&["-d"]);
    let mut client = Client::new(server.address);
    assert!(client.say("AUTH PLAIN c2VjcmV0").starts_with("500 "));
    mail(&mut client, "text\r\n");
    assert_eq!(client.reply(), "250 2.0.0 OK");
    drop(client);
    server.signal(Signal::SIGTERM);
    assert_eq!(server.ends(), Some(0));
    let trace = server.stderr();
    for part in ["C: MAIL FROM:<a@b.example> BODY=8BITMIME", "S: 250 2.1.5 OK", "C: AUTH PLAIN <9 octets>", "127.0.0.1"]
    {
        assert!(trace.contains(part), "{part} in {trace}");
    }
    assert!(!trace.contains("c2VjcmV0"));
}

#[test]
fn the_size_limit_is_announced_and_kept() {
    for (size, keyword) in [("100", "SIZE 100"), ("0", "SIZE 0")] {
        let server = Running::new(&["-s", size]);
        let mut client = Client::new(server.address);
        client.send(b"EHLO client.example\r\n");
        let mut lines = Vec::new();
        while !lines.last().is_some_and(|line: &String| line.starts_with("250 ")) {
            lines.push(client.hear());
        }
        assert!(lines.iter().any(|line| line.ends_with(keyword)), "{lines:?}");
        let reply = client.say("MAIL FROM:<a@b.example> SIZE=101");
        assert_eq!(reply.starts_with("552 5.3.4"), size == "100", "{reply}");
    }
}

#[test]
fn profiles_speak_as_python_did() {
    for (profile, commands, said) in [
        (
            "python_3_11",
            "EHLO c\r\nMAIL FROM:a SIZE=1\r\nRCPT TO:b\r\nDATA\r\nx\r\n.\r\nfoo\r\nQUIT\r\n",
            "220 mx.example.org Python SMTP proxy version 0.3\r\n250-mx.example.org\r\n250-SIZE 33554432\r\n\
             250-8BITMIME\r\n250 HELP\r\n250 OK\r\n250 OK\r\n354 End data with <CR><LF>.<CR><LF>\r\n250 OK\r\n\
             500 Error: command \"FOO\" not recognized\r\n221 Bye\r\n",
        ),
        (
            "python_2_7",
            "EHLO c\r\nMAIL FROM:a\r\nRCPT TO:b\r\nDATA\r\nx\r\n.\r\nQUIT\r\n",
            "220 mx.example.org Python SMTP proxy version 0.2\r\n502 Error: command \"EHLO\" not implemented\r\n\
             250 Ok\r\n250 Ok\r\n354 End data with <CR><LF>.<CR><LF>\r\n250 Ok\r\n221 Bye\r\n",
        ),
    ] {
        let server = Running::new(&["--profile", profile]);
        let mut stream = TcpStream::connect(server.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.write_all(commands.as_bytes()).unwrap();
        let mut heard = String::new();
        stream.read_to_string(&mut heard).unwrap();
        assert_eq!(heard, said);
    }
}

#[test]
fn what_the_command_line_gets() {
    let failures = [
        (&["-n", "-c", "DebuggingServer", "-u"][..], "SMTPUTF8"),
        (&["-n", "--relay-from", "192.0.2.1/24"], "Invalid relay-from: \"192.0.2.1/24\""),
        (&["-n", "--relay-to", "@b.example"], "Invalid relay-to: \"@b.example\""),
        (&["-n", "--upstream-down", "hide"], "Invalid upstream-down: \"hide\" (defer or refuse)"),
        (&["-n", "--upstream-down", "refuse", "--always-250"], "--always-250 says yes"),
        (&["-n", "-c", "Sink", "--x-peer"], "--x-peer is for PureProxy"),
        (&["-n", "-c", "MailmanProxy", "--x-peer"], "--x-peer is for PureProxy"),
        (&["-n", "-c", "PureProxy", "--mailman-maps", "."], "--mailman-maps is for MailmanProxy"),
        (&["-n", "-c", "Sink", "--open-relay"], "--open-relay is for PureProxy and MailmanProxy"),
        (&["-n", "--json"], "--json is not for PureProxy"),
        (&["a:1", "b:2", "c:3"], "Invalid arguments: a:1, b:2, c:3"),
        (&["nowhere"], "Bad local spec: nowhere"),
        (&["localhost:smtp"], "Bad local port: localhost:smtp"),
        (&["localhost:1", "nowhere"], "Bad remote spec: nowhere"),
        (&["localhost:1", "localhost:70000"], "Bad remote port: localhost:70000"),
        (&["-s", "abc"], "Invalid size: abc"),
        (&["-s", "-1"], "Invalid size: -1"),
        (&["-n", "-n", "-s", "1", "--siz", "abc"], "Invalid size: abc"),
        (&["-n", "-c", "debugging"], "unknown class \"debugging\"; there are DebuggingServer, Files, MailmanProxy, "),
        (&["-n", "-c", "smtpd.DebuggingServer"], "class smtpd.DebuggingServer can't be imported"),
        (&["-n", "-c", "Files"], "class Files needs --dir DIR"),
        (&["-n", "-c", "Sink", "--max-line", "511"], "Invalid max-line: 511"),
        (&["-n", "-c", "Sink", "--max-line", "4097"], "Invalid max-line: 4097"),
        (&["-n", "-c", "Sink", "--max-errors", "-1"], "Invalid max-errors: -1 ("),
        (&["-n", "-c", "Sink", "--max-errors=1.5"], "Invalid max-errors: 1.5 ("),
        (&["-n", "-c", "Sink", "--max-errors=65536"], "Invalid max-errors: 65536 ("),
        (&["-n", "-c", "Sink", "--exit-after", "0"], "Invalid exit-after: 0 ("),
        (&["-n", "-c", "Sink", "--decode"], "--decode is for DebuggingServer"),
        (&["-n", "-c", "DebuggingServer", "--decode", "--json"], "--json prints in place of --decode"),
        (&["-n", "-c", "Sink", "--dir", "."], "--dir is for Files"),
        (&["-n", "-c", "Sink", "--accept", "d.example", "--accept", "@e.example"], "Invalid accept: \"@e.example\""),
        (&["-n", "-c", "Sink", "--accept", ""], "Invalid accept: \"\""),
        (&["-n", "-c", "Files", "--dir", "/dev/null"], "/dev/null: not a directory"),
        (&["-n", "-c", "DebuggingServer", "--host", "a b"], "Invalid host: a b"),
        (&["-n", "-c", "Sink", "--profile", "3.11"], "unknown profile 3.11; there are rfc, python_3_11, python_2_7"),
        (&["--what"], "option --what not recognized"),
        (&["-x"], "option -x not recognized"),
        (&["-c"], "option --class requires argument"),
        (&["--debug=1"], "option --debug must not have an argument"),
        (&["-n", "-c", "DebuggingServer", "192.0.2.1:0"], "192.0.2.1:0"),
    ];
    for (arguments, message) in failures {
        let Output { status, stdout, stderr } = smtpd(arguments).output().unwrap();
        let stderr = String::from_utf8(stderr).unwrap();
        assert_eq!(status.code(), Some(1), "{arguments:?} {stderr}");
        assert!(stderr.lines().last().unwrap().contains(message), "{arguments:?} {stderr}");
        assert_eq!(stdout, b"");
    }
    let version = smtpd(&["-V"]).output().unwrap();
    assert_eq!((version.status.code(), &version.stdout[..]), (Some(0), &b"smtpd 0.1.0\n"[..]));
    // Each where that Python writes it.
    let version = smtpd(&["-V", "--profile", "python_3_11"]).output().unwrap();
    assert_eq!((version.status.code(), &version.stdout[..]), (Some(0), &b"Python SMTP proxy version 0.3\n"[..]));
    let version = smtpd(&["-V", "--profile", "python_2_7"]).output().unwrap();
    assert_eq!((version.status.code(), &version.stderr[..]), (Some(0), &b"Python SMTP proxy version 0.2\n"[..]));
    assert_eq!(version.stdout, b"");
    let help = smtpd(&["-h"]).output().unwrap();
    assert_eq!(help.status.code(), Some(0));
    assert!(String::from_utf8(help.stderr).unwrap().contains("Usage: smtpd"));
}

#[test]
fn ipv6_and_a_port_in_use() {
    let Ok(taken) = std::net::TcpListener::bind("[::1]:0") else {
        // Without IPv6 the command says so.
        let output = smtpd(&["-n", "-c", "DebuggingServer", "[::1]:0"]).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        return;
    };
    let address = taken.local_addr().unwrap().to_string();
    let output = smtpd(&["-n", "-c", "DebuggingServer", &address]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr).unwrap().contains(&address));
    drop(taken);
    let mut server = smtpd(&["-n", "-c", "DebuggingServer", "--host", "mx.example.org", &address]).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(server.stderr.take().unwrap()).read_line(&mut line).unwrap();
    let mut client = Client::new(address.parse().unwrap());
    mail(&mut client, "a\r\n\r\n");
    assert_eq!(client.reply(), "250 2.0.0 OK");
    server.kill().unwrap();
    server.wait().unwrap();
    let mut text = String::new();
    server.stdout.take().unwrap().read_to_string(&mut text).unwrap();
    assert!(text.contains("\nb'a'\n"), "{text}");
}

#[test]
fn what_is_no_mail_is_no_harm() {
    let server = Running::new(&[]);
    for octets in [&b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..], b"Host: a\r\n\r\nNOOP\r\n"] {
        let mut client = Client::new(server.address);
        client.send(octets);
        assert_eq!(client.hear(), "421 4.7.0 This is SMTP, closing");
        assert_eq!(client.rest(), b"");
    }
    let client = Client::new(server.address);
    let _ = client.stream().write_all(&[0xff; 100_000]);
    drop(client);
    assert_eq!(Client::new(server.address).say("NOOP"), "250 2.0.0 OK");
}

#[test]
fn a_closed_stderr_is_no_harm() {
    let mut server = Running::new(&["-d"]);
    drop(std::mem::replace(&mut server.stderr, BufReader::new(spare_stderr())));
    let mut client = Client::new(server.address);
    mail(&mut client, "text\r\n");
    assert_eq!(client.reply(), "250 2.0.0 OK");
    assert_eq!(client.say("QUIT"), "221 2.0.0 Bye");
    drop(client);
    server.signal(Signal::SIGTERM);
    assert_eq!(server.ends(), Some(0));
    assert!(server.stdout().contains("\nb'text'\n"));
}

#[test]
fn a_stderr_that_nobody_reads_is_no_harm() {
    let (mut reader, mut stderr) = std::io::pipe().unwrap();
    // All that a pipe holds: not even the first line finds room.
    stderr.write_all(&[b'x'; 65_536]).unwrap();
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let arguments = ["-n", "-d", "--host", "mx.example.org", "-c", "DebuggingServer", &address.to_string()];
    let child = smtpd(&arguments).stderr(stderr).spawn().unwrap();
    let mut server = Running { child, stderr: BufReader::new(spare_stderr()), address };
    let begun = Instant::now();
    while TcpStream::connect(address).is_err() {
        assert!(begun.elapsed() < Duration::from_secs(5), "smtpd does not listen");
        thread::sleep(Duration::from_millis(5));
    }
    let mut client = Client::new(address);
    mail(&mut client, "text\r\n");
    assert_eq!(client.reply(), "250 2.0.0 OK");
    assert_eq!(client.say("QUIT"), "221 2.0.0 Bye");
    drop(client);
    let begun = Instant::now();
    server.signal(Signal::SIGTERM);
    assert_eq!(server.ends(), Some(0));
    assert!(begun.elapsed() < Duration::from_millis(2_500), "{:?}", begun.elapsed());
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    assert_eq!(text.trim_start_matches('x'), "");
}

#[test]
fn what_the_log_lost_is_said_where_it_was() {
    let mut server = Running::with_stdout(&["-d"], Stdio::null());
    let mut client = Client::new(server.address);
    // More than the log and a pipe hold, while nobody reads.
    for _ in 0..20 {
        mail(&mut client, &"0123456789abcdef\r\n".repeat(10_000));
        assert_eq!(client.reply(), "250 2.0.0 OK");
    }
    let stderr = std::mem::replace(&mut server.stderr, BufReader::new(spare_stderr()));
    let (sender, lines) = std::sync::mpsc::channel();
    thread::spawn(move || stderr.lines().try_for_each(|line| sender.send(line.unwrap())));
    let next = || lines.recv_timeout(Duration::from_secs(5)).expect("what was lost");
    let mut line = next();
    while !line.starts_with("smtpd: ") {
        assert!(line.contains(" TRACE session{peer=127.0.0.1:"), "{line}");
        line = next();
    }
    let lost = line.strip_prefix("smtpd: ").and_then(|line| line.strip_suffix(" lines of the log were lost"));
    assert!(lost.unwrap().parse::<u32>().unwrap() > 20, "{line}");
    assert_eq!(client.say("QUIT"), "221 2.0.0 Bye");
    drop(client);
    server.signal(Signal::SIGTERM);
    assert_eq!(server.ends(), Some(0));
    let trace: Vec<String> = lines.iter().collect();
    assert!(trace.last().unwrap().ends_with("S: 221 2.0.0 Bye"), "{trace:?}");
}

/// Something to put in the place of a pipe that is to be closed.
fn spare_stderr() -> std::process::ChildStderr {
    let mut child = smtpd(&["-V"]).spawn().unwrap();
    child.wait().unwrap();
    child.stderr.take().unwrap()
}

/// Up to the end of a mail; the last reply.
fn one_mail(address: SocketAddr, to: &str, text: &str) -> String {
    let mut client = Client::new(address);
    assert_eq!(client.say("EHLO client.example"), "250 HELP");
    assert_eq!(client.say("MAIL FROM:<a@b.example> BODY=8BITMIME"), "250 2.1.0 OK");
    assert_eq!(client.say(&format!("RCPT TO:<{to}>")), "250 2.1.5 OK");
    assert!(client.say("DATA").starts_with("354 "));
    let reply = client.say(&format!("{text}."));
    assert_eq!(client.say("QUIT"), "221 2.0.0 Bye");
    reply
}

/// A folder of this test's own, which goes with it.
struct Folder(std::path::PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("smtpd-{}-{name}", std::process::id()));
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn files(&self) -> Vec<String> {
        let mut names: Vec<_> = std::fs::read_dir(&self.0)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    fn read(&self, name: &str) -> String {
        String::from_utf8(std::fs::read(self.0.join(name)).unwrap()).unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn files_hold_what_came_and_its_envelope() {
    let folder = Folder::new("files");
    let dir = folder.0.join("mails");
    let mut server = Running::new(&["-c", "Files", "--dir", dir.to_str().unwrap(), "--json"]);
    let texts = ["Subject: x\r\n\r\n..dot\r\nbare\nline \u{fc}\r\n", ""];
    for text in texts {
        assert_eq!(one_mail(server.address, "c@d.example", text), "250 2.0.0 OK");
    }
    server.signal(Signal::SIGTERM);
    assert_eq!(server.ends(), Some(0));
    let stdout = server.stdout();
    let folder = Folder(dir);
    let names = folder.files();
    assert_eq!(names.len(), 4, "{names:?}");
    for (number, (line, text)) in
        stdout.lines().zip(["Subject: x\r\n\r\n.dot\r\nbare\nline \u{fc}\r\n", ""]).enumerate()
    {
        let [text_file, envelope_file] = [&names[2 * number], &names[2 * number + 1]];
        assert_eq!(folder.read(text_file), text);
        assert_eq!(folder.read(envelope_file), format!("{line}\n"));
        let envelope: serde_json::Value = serde_json::from_str(line).unwrap();
        let expected = serde_json::json!({
            "peer": "127.0.0.1", "port": envelope["port"], "mail_from": "a@b.example", "rcpt_tos": ["c@d.example"],
            "mail_options": ["BODY=8BITMIME"], "rcpt_options": [], "size": text.len(), "file": text_file,
        });
        assert_eq!(envelope, expected);
        assert!(envelope["port"].as_u64() > Some(0));
    }
    assert_eq!(stdout.lines().count(), 2);
}

#[test]
fn a_message_that_can_not_be_stored_is_refused() {
    let folder = Folder::new("gone");
    let dir = folder.0.join("mails");
    let mut server = Running::new(&["-c", "Files", "--dir", dir.to_str().unwrap()]);
    std::fs::remove_dir(&dir).unwrap();
    assert_eq!(one_mail(server.address, "c@d.example", "x\r\n"), "451 4.3.0 Message could not be stored");
    std::fs::create_dir(&dir).unwrap();
    assert_eq!(one_mail(server.address, "c@d.example", "x\r\n"), "250 2.0.0 OK");
    server.signal(Signal::SIGTERM);
    assert_eq!((server.ends(), server.stdout()), (Some(0), String::new()));
    assert!(server.stderr().contains("a message could not be stored: "));
    // A file stands where the folder should be.
    std::fs::write(folder.0.join("file"), "").unwrap();
    let path = folder.0.join("file");
    let output = smtpd(&["-n", "-c", "Files", "--dir", path.to_str().unwrap(), "127.0.0.1:0"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains(path.to_str().unwrap()), "{output:?}");
}

#[test]
fn sink_keeps_nothing_and_the_bare_server_takes_nothing() {
    let mut server = Running::new(&["-c", "Sink"]);
    assert_eq!(one_mail(server.address, "c@d.example", "x\r\n"), "250 2.0.0 OK");
    server.signal(Signal::SIGTERM);
    assert_eq!((server.ends(), server.stdout(), server.stderr()), (Some(0), String::new(), String::new()));
    let mut server = Running::new(&["-c", "SMTPServer"]);
    let refusal = "554 5.3.0 This server processes no messages";
    assert_eq!(one_mail(server.address, "c@d.example", "x\r\n"), refusal);
    server.signal(Signal::SIGTERM);
    assert_eq!((server.ends(), server.stdout()), (Some(0), String::new()));
    assert!(server.stderr().contains("process_message"));
}

#[test]
fn json_takes_the_place_of_what_a_class_prints() {
    for class in ["DebuggingServer", "Sink"] {
        let mut server = Running::new(&["-c", class, "--json"]);
        one_mail(server.address, "\"q\\\"\"@d.example", "x\r\n");
        server.signal(Signal::SIGTERM);
        assert_eq!(server.ends(), Some(0));
        let envelope: serde_json::Value = serde_json::from_str(&server.stdout()).unwrap();
        assert_eq!((&envelope["rcpt_tos"][0], &envelope["size"]), (&"\"q\\\"\"@d.example".into(), &3.into()));
        assert!(envelope.get("file").is_none());
    }
}

#[test]
fn only_mail_for_the_domains_given_is_taken() {
    let server = Running::new(&["--accept", "d.example", "--accept", "[127.0.0.1]"]);
    let mut client = Client::new(server.address);
    client.say("EHLO a");
    client.say("MAIL FROM:<>");
    for (to, reply) in [
        ("c@d.example", "250 2.1.5 OK"),
        ("c@D.Example", "250 2.1.5 OK"),
        ("c@[127.0.0.1]", "250 2.1.5 OK"),
        ("Postmaster", "250 2.1.5 OK"),
        ("postmaster@e.example", "550 5.7.1 No mail for this domain here"),
        ("c@sub.d.example", "550 5.7.1 No mail for this domain here"),
        ("c@ad.example", "550 5.7.1 No mail for this domain here"),
    ] {
        assert_eq!(client.say(&format!("RCPT TO:<{to}>")), reply, "{to}");
    }
}

#[test]
fn the_port_file_holds_the_port_as_soon_as_the_server_listens() {
    let folder = Folder::new("port");
    let file = folder.0.join("port");
    let mut server = Running::new(&["--port-file", file.to_str().unwrap()]);
    assert_eq!(folder.read("port"), format!("{}\n", server.address.port()));
    assert_eq!(folder.files(), ["port"]);
    server.signal(Signal::SIGTERM);
    assert_eq!(server.ends(), Some(0));
    assert!(folder.files().is_empty());
    let missing = folder.0.join("missing/port");
    let output =
        smtpd(&["-n", "-c", "Sink", "127.0.0.1:0", "--port-file", missing.to_str().unwrap()]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn the_server_ends_after_so_many_messages() {
    let mut server = Running::new(&["--exit-after", "2"]);
    let address = server.address;
    let mut idle = Client::new(address);
    let mut refused = Client::new(address);
    refused.begin();
    assert_eq!(one_mail(address, "c@d.example", "one\r\n"), "250 2.0.0 OK");
    // Neither a transaction that was given up nor one that was lost counts.
    let mut client = Client::new(address);
    client.begin();
    client.send(b"lost");
    drop(client);
    assert!(server.child.try_wait().unwrap().is_none());
    assert_eq!(one_mail(address, "c@d.example", "two\r\n"), "250 2.0.0 OK");
    // What comes to its end later is told so.
    assert_eq!(refused.say("three\r\n."), "421 4.3.2 Service stops, closing");
    assert_eq!(idle.hear(), "421 4.3.2 Service stops, closing");
    assert_eq!(server.ends(), Some(0));
    let stdout = server.stdout();
    assert!(stdout.contains("b'one'") && stdout.contains("b'two'") && !stdout.contains("b'three'"), "{stdout}");
}

#[test]
fn limits_are_options() {
    let server = Running::new(&["--max-recipients", "1", "--max-errors", "2", "--timeout-command", "1"]);
    let mut client = Client::new(server.address);
    client.say("EHLO a");
    client.say("MAIL FROM:<>");
    assert_eq!(client.say("RCPT TO:<a@b.example>"), "250 2.1.5 OK");
    assert_eq!(client.say("RCPT TO:<b@b.example>"), "452 4.5.3 Too many recipients");
    assert_eq!(client.say("X"), "500 5.5.1 Command not recognized");
    assert_eq!(client.say("X"), "500 5.5.1 Command not recognized");
    assert_eq!(client.say("X"), "421 4.7.0 Limit exceeded, closing");
    let mut client = Client::new(server.address);
    assert_eq!(client.hear(), "421 4.4.2 Timeout, closing");
    memory_is_limited(Duration::from_millis(100));
    let server = Running::new(&["--max-connections-per-address", "1"]);
    let _first = Client::new(server.address);
    let mut second = BufReader::new(TcpStream::connect(server.address).unwrap());
    let mut line = String::new();
    second.read_line(&mut line).unwrap();
    assert_eq!(line, "421 4.3.2 Too many connections, try again later\r\n");
}

/// One message leaves no room for another one; whose text is read first is told by nobody, so the other one waits.
fn memory_is_limited(pause: Duration) {
    let long = format!("{}\r\n.", "y".repeat(2_000));
    let server = Running::new(&["--max-memory", "10000"]);
    let (mut first, mut client) = (Client::new(server.address), Client::new(server.address));
    first.begin();
    client.begin();
    first.send(&[b'x'; 9_000]);
    std::thread::sleep(pause);
    // It is told so once its text is over, and may try again.
    let reply = client.say(&long);
    if reply == "250 2.0.0 OK" && pause < Duration::from_secs(5) {
        return memory_is_limited(pause * 4);
    }
    assert_eq!(reply, "452 4.3.1 No memory for this message now, try again later");
    assert_eq!(first.say("\r\n."), "250 2.0.0 OK");
    assert_eq!(one_mail(server.address, "c@d.example", &long[..2_002]), "250 2.0.0 OK");
}
