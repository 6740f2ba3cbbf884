//! A Mailman 2 that is a script: which addresses are its lists', and what LMTP says of each exit of the command.

mod common;

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use common::Client;
use smtpd_std::{ForwardPath, Found, Lists, Mailman2, Memory, Wrapper};
use tokio::runtime::Runtime;

/// The command. Not written by the tests, for a file that a process has open to write is none to run, and processes that other
/// tests start have it open for a moment.
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/mailman2.sh");

/// A Mailman with lists, which goes when this is dropped.
struct Mailman {
    folder: PathBuf,
    runtime: Runtime,
    lists: Option<Mailman2>,
}

impl Mailman {
    fn new(lists: &[&str], wrap: impl FnOnce(Wrapper) -> Wrapper) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("smtpd-mailman2-{}-{number}", std::process::id()));
        fs::create_dir_all(folder.join("lists")).unwrap();
        let command = folder.join("mailman");
        std::os::unix::fs::symlink(SCRIPT, &command).unwrap();
        let runtime = Runtime::new().unwrap();
        let started = runtime.block_on(Mailman2::start(folder.join("lists"), wrap(Wrapper::new(command))));
        let mailman = Self { folder, runtime, lists: Some(started.unwrap()) };
        lists.iter().for_each(|list| mailman.create(list, "config.pck"));
        mailman
    }

    fn create(&self, list: &str, settings: &str) {
        let folder = self.folder.join("lists").join(list);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(settings), "").unwrap();
    }

    fn find(&mut self, address: &str) -> Found {
        let path = format!("<{address}>");
        let Ok((ForwardPath::Mailbox(mailbox), b"")) = ForwardPath::parse(path.as_bytes()) else { panic!("{path}") };
        self.lists.as_mut().unwrap().find(mailbox)
    }

    /// Where its lists are taken.
    fn address(&mut self) -> SocketAddr {
        self.create("any", "config.pck");
        let Found::Lmtp(address) = self.find("any@example.com") else { panic!() };
        address
    }

    /// A client up to MAIL.
    fn client(&mut self) -> Client {
        let mut client = Client::greeted(self.address(), "220 localhost ESMTP");
        assert_eq!(client.say("LHLO proxy.example"), "250 HELP");
        assert_eq!(client.say("MAIL FROM:<anne@example.net>"), "250 2.1.0 OK");
        client
    }

    /// What is said of each recipient, all of which are taken.
    fn send(&mut self, recipients: &[&str], text: &[u8]) -> Vec<String> {
        let mut client = self.client();
        for recipient in recipients {
            assert_eq!(client.say(&format!("RCPT TO:<{recipient}>")), "250 2.1.5 OK", "{recipient}");
        }
        assert!(client.say("DATA").starts_with("354 "));
        client.send(text);
        client.send(b".\r\n");
        recipients.iter().map(|_| client.reply()).collect()
    }

    fn calls(&self) -> Vec<String> {
        let calls = fs::read_to_string(self.folder.join("calls")).unwrap_or_default();
        calls.lines().map(Into::into).collect()
    }
}

impl Drop for Mailman {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.folder).unwrap();
    }
}

#[test]
fn what_is_a_list() {
    let mut mailman = Mailman::new(&["ant", "bee-keepers", "a.b_1"], |wrapper| wrapper);
    mailman.create("old", "config.db");
    mailman.create("saving", "config.pck.last");
    mailman.create("nothing", "other");
    fs::write(mailman.folder.join("lists/file"), "").unwrap();
    for (address, is_found) in [
        ("ant@example.com", true),
        ("ANT@other.example", true),
        (r#""ant"@[127.0.0.1]"#, true),
        ("ant-admin@example.com", true),
        ("ant-owner@example.com", true),
        ("ant-request@example.com", true),
        ("ant-Join@example.com", true),
        ("ant-leave@example.com", true),
        ("a.b_1-join@example.com", true),
        ("old@example.com", true),
        ("saving@example.com", true),
        ("ant-bounces@example.com", false),
        ("bee-keepers@example.com", false),
        ("bee-keepers-join@example.com", false),
        ("bee@example.com", false),
        ("nothing@example.com", false),
        ("file@example.com", false),
        ("lists@example.com", false),
        (r#""../lists/ant"@example.com"#, false),
    ] {
        let found = mailman.find(address);
        assert_eq!(matches!(found, Found::Lmtp(address) if address.ip().is_loopback()), is_found, "{address}");
        assert!(is_found || found == Found::Nothing, "{address}");
    }
    fs::remove_dir_all(mailman.folder.join("lists/ant")).unwrap();
    assert_eq!(mailman.find("ant@example.com"), Found::Nothing);
    fs::rename(mailman.folder.join("lists"), mailman.folder.join("gone")).unwrap();
    assert_eq!(mailman.find("ant@example.com"), Found::Unknown);
    assert_eq!(mailman.find("ant-bounces@example.com"), Found::Nothing);
}

#[test]
fn each_recipient_is_a_call_of_the_command() {
    let mut mailman = Mailman::new(&["ant", "cat"], |wrapper| wrapper);
    let text = b"Subject: hi\r\n\r\n..dot\r\nbare \r cr\r\n\r\n";
    let recipients = [
        "ant@example.com",
        "Ant-Admin@example.com",
        "ant-owner@x.example",
        "cat-request@example.com",
        "ant-join@example.com",
        "cat-leave@example.com",
    ];
    assert_eq!(mailman.send(&recipients, text), ["250 2.0.0 OK"; 6]);
    let calls = ["2 post ant", "2 admin ant", "2 owner ant", "2 request cat", "2 join ant", "2 leave cat"];
    assert_eq!(mailman.calls(), calls);
    for call in calls {
        let (task, list) = call["2 ".len()..].split_once(' ').unwrap();
        let text = fs::read_to_string(mailman.folder.join(format!("text.{task}.{list}"))).unwrap();
        let (from, text) = text.split_once('\n').unwrap();
        assert!(from.starts_with("From anne@example.net  "), "{from}");
        assert_eq!(text, "Subject: hi\n\n.dot\nbare \r cr\n\n");
    }
}

#[test]
fn line_ends_wherever_the_text_is_cut() {
    let mut mailman = Mailman::new(&["ant"], |wrapper| wrapper);
    let mut client = mailman.client();
    assert_eq!(client.say("RCPT TO:<ant@example.com>"), "250 2.1.5 OK");
    assert!(client.say("DATA").starts_with("354 "));
    for octet in b"a\r\n\r\rb\n\r\n.\r\n" {
        client.send(&[*octet]);
        thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(client.reply(), "250 2.0.0 OK");
    let text = fs::read_to_string(mailman.folder.join("text.post.ant")).unwrap();
    assert_eq!(text.split_once('\n').unwrap().1, "a\n\r\rb\n\n");
}

#[test]
fn what_an_exit_status_means() {
    let rows: [(u8, &str); 21] = [
        (0, "250 2.0.0 "),
        (1, "451 4.3.0 "),
        (2, "451 4.3.0 "),
        (63, "451 4.3.0 "),
        (64, "554 5.3.0 "),
        (65, "554 5.6.0 "),
        (66, "554 5.3.0 "),
        (67, "550 5.1.1 "),
        (68, "550 5.1.2 "),
        (69, "554 5.3.0 "),
        (70, "554 5.3.0 "),
        (71, "451 4.3.0 "),
        (72, "554 5.3.0 "),
        (73, "550 5.2.0 "),
        (74, "451 4.3.0 "),
        (75, "451 4.3.0 "),
        (76, "554 5.5.0 "),
        (77, "550 5.7.0 "),
        (78, "554 5.3.5 "),
        (79, "451 4.3.0 "),
        (127, "451 4.3.0 "),
    ];
    let lists: Vec<String> = rows.iter().map(|(status, _)| format!("exit_{status}")).collect();
    let lists: Vec<&str> = lists.iter().map(String::as_str).chain(["signal", "deaf", "nothing"]).collect();
    let mut mailman = Mailman::new(&lists, |wrapper| wrapper);
    let addresses: Vec<String> = lists.iter().map(|list| format!("{list}@example.com")).collect();
    let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
    // More than a pipe holds, for those that do not read it.
    let replies = mailman.send(&addresses, &b"0123456789\r\n".repeat(100_000));
    let expected = rows.iter().map(|(_, reply)| *reply).chain(["451 4.3.0 ", "550 5.1.1 ", "250 2.0.0 "]);
    for ((list, reply), expected) in lists.iter().zip(&replies).zip(expected) {
        assert!(reply.starts_with(expected), "{list}: {reply}");
    }
}

#[test]
fn a_command_that_hangs_is_ended_with_all_that_it_started() {
    let patience = Duration::from_millis(500);
    let mut mailman = Mailman::new(&["ant", "hang", "cat"], |wrapper| wrapper.patience(patience));
    let begun = Instant::now();
    let replies = mailman.send(&["ant@b.example", "hang@b.example", "cat@b.example"], b"text\r\n");
    let late = "451 4.3.0 Mailman takes too long, try again";
    assert_eq!(replies, ["250 2.0.0 OK", late, late]);
    assert!((patience..patience * 4).contains(&begun.elapsed()), "{:?}", begun.elapsed());
    assert_eq!(mailman.calls(), ["2 post ant", "2 post hang"], "there is no time for the third");
    is_gone(&mailman.folder);
}

#[test]
fn a_server_that_ends_takes_its_command_with_it() {
    let mut mailman = Mailman::new(&["hang"], |wrapper| wrapper);
    let mut client = mailman.client();
    assert_eq!(client.say("RCPT TO:<hang@example.com>"), "250 2.1.5 OK");
    assert!(client.say("DATA").starts_with("354 "));
    client.send(b"text\r\n.\r\n");
    while fs::read_to_string(mailman.folder.join("pid")).unwrap_or_default().is_empty() {
        thread::sleep(Duration::from_millis(5));
    }
    // The runtime ends as the server's does, in the middle of the answer.
    let runtime = std::mem::replace(&mut mailman.runtime, Runtime::new().unwrap());
    runtime.shutdown_timeout(Duration::from_secs(10));
    is_gone(&mailman.folder);
}

/// What the command started is gone.
fn is_gone(folder: &Path) {
    let pid: u32 = fs::read_to_string(folder.join("pid")).unwrap().trim().parse().unwrap();
    let begun = Instant::now();
    // One that nobody waited for yet has no memory any more, and no command.
    while fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|command| command.starts_with(b"sleep")) {
        assert!(begun.elapsed() < Duration::from_secs(5), "{pid} runs on");
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn who_is_no_list_hears_so_here_too() {
    let mut mailman = Mailman::new(&["ant"], |wrapper| wrapper);
    let mut client = mailman.client();
    for recipient in ["cat@example.com", "ant-bounces@example.com", "\"../lists/ant\"@example.com", "Postmaster"] {
        assert_eq!(client.say(&format!("RCPT TO:<{recipient}>")), "550 5.1.1 No such list", "{recipient}");
    }
    assert_eq!(client.say("RCPT TO:<ant@example.com>"), "250 2.1.5 OK");
    // Those that were refused count for nothing.
    assert!(client.say("DATA").starts_with("354 "));
    client.send(b"text\r\n.\r\n");
    assert_eq!(client.reply(), "250 2.0.0 OK");
    assert_eq!(client.say("QUIT"), "221 2.0.0 Bye");
    assert_eq!(mailman.calls(), ["2 post ant"]);
}

#[test]
fn a_message_leaves_nothing_to_the_next_one() {
    let mut mailman = Mailman::new(&["ant", "cat"], |wrapper| wrapper);
    let mut client = mailman.client();
    assert_eq!(client.say("RCPT TO:<ant@example.com>"), "250 2.1.5 OK");
    assert_eq!(client.say("RSET"), "250 2.0.0 OK");
    for (list, text) in [("cat", "first"), ("ant", "second")] {
        assert_eq!(client.say("MAIL FROM:<>"), "250 2.1.0 OK");
        assert_eq!(client.say(&format!("RCPT TO:<{list}@example.com>")), "250 2.1.5 OK");
        assert!(client.say("DATA").starts_with("354 "));
        client.send(format!("{text}\r\n.\r\n").as_bytes());
        assert_eq!(client.reply(), "250 2.0.0 OK");
        let got = fs::read_to_string(mailman.folder.join(format!("text.post.{list}"))).unwrap();
        assert!(got.starts_with("From MAILER-DAEMON  ") && got.ends_with(&format!("\n{text}\n")), "{got}");
        assert_eq!(got.lines().count(), 2);
    }
    assert_eq!(mailman.calls(), ["2 post cat", "2 post ant"]);
}

#[test]
fn memory_has_a_limit_and_comes_back() {
    let memory = Memory::new(1_000);
    let mut mailman = Mailman::new(&["ant"], |wrapper| wrapper.within(&memory));
    // In one session: what it holds is also given back at its end.
    let mut client = mailman.client();
    for (octets, expected) in
        [(900, "250 2.0.0 OK"), (900, "250 2.0.0 OK"), (1_100, "452 4.3.1 "), (900, "250 2.0.0 OK")]
    {
        assert_eq!(client.say("RCPT TO:<ant@example.com>"), "250 2.1.5 OK");
        assert!(client.say("DATA").starts_with("354 "));
        client.send(&[&vec![b'a'; octets][..], b"\r\n.\r\n"].concat());
        let reply = client.reply();
        assert!(reply.starts_with(expected), "{octets}: {reply}");
        assert_eq!(client.say("MAIL FROM:<>"), "250 2.1.0 OK");
    }
}

#[test]
fn commands_wait_for_their_turn() {
    let mut mailman = Mailman::new(&["slow"], |wrapper| wrapper);
    let mut clients: Vec<Client> = (0..21).map(|_| mailman.client()).collect();
    for client in &mut clients {
        assert_eq!(client.say("RCPT TO:<slow@example.com>"), "250 2.1.5 OK");
        assert!(client.say("DATA").starts_with("354 "));
    }
    let begun = Instant::now();
    clients.iter_mut().for_each(|client| client.send(b"text\r\n.\r\n"));
    clients.iter_mut().for_each(|client| assert_eq!(client.reply(), "250 2.0.0 OK"));
    assert!(begun.elapsed() >= Duration::from_millis(800), "twenty at once: {:?}", begun.elapsed());
}

#[test]
fn it_ends_with_its_last_clone() {
    let mut mailman = Mailman::new(&[], |wrapper| wrapper);
    let address = mailman.address();
    let clone = mailman.lists.take();
    let other = clone.clone();
    drop(clone);
    drop(Client::greeted(address, "220 localhost ESMTP"));
    drop(other);
    let begun = Instant::now();
    while std::net::TcpStream::connect(address).is_ok() {
        assert!(begun.elapsed() < Duration::from_secs(5), "it still listens");
        thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn what_it_does_not_start_with() {
    let mailman = Mailman::new(&[], |wrapper| wrapper);
    let start = |lists: &Path, command: &Path| {
        let started = mailman.runtime.block_on(Mailman2::start(lists, Wrapper::new(command)));
        started.expect_err("a mistake").to_string()
    };
    let (lists, command) = (mailman.folder.join("lists"), mailman.folder.join("mailman"));
    let missing = mailman.folder.join("missing");
    let said = |path: &Path, why: &str| format!("{}: {why}", path.display());
    assert_eq!(start(&missing, &command), said(&missing, "No such file or directory (os error 2)"));
    assert_eq!(start(&lists, &missing), said(&missing, "No such file or directory (os error 2)"));
    assert_eq!(start(&lists, &lists), said(&lists, "no command"));
    assert_eq!(start(&lists, Path::new("mailman")), "mailman: no absolute path");
}
