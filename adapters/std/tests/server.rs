//! The host server over real ports: how it ends, what its timers do, what a handler's failure costs.

mod common;

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::task::Waker;
use std::thread;
use std::time::{Duration, Instant};

use common::Client;
use smtpd_std::{
    Answer, AsyncHandler, Config, Ending, Flow, Form, Handler, Mail, Message, Messages, Printer, ProcessMessage, Rcpt,
    Reply, Server, Stopper, process_message,
};

type Heard = Arc<Mutex<Vec<String>>>;

/// Accepts all, notes what ends, and panics where it is asked to.
struct Notes(Heard);

impl Handler for Notes {
    fn mail(&mut self, mail: Mail<'_>) -> Answer<'_> {
        assert!(!mail.reverse_path.as_octets().starts_with(b"panic"), "as asked");
        Answer::Accept
    }
    fn rcpt(&mut self, rcpt: Rcpt<'_>) -> Answer<'_> {
        assert!(!rcpt.forward_path.as_octets().starts_with(b"panic"), "as asked");
        Answer::Accept
    }
    fn text(&mut self, _: &[u8]) -> Flow<'_> {
        Flow::Continue
    }
    fn message(&mut self, _: u16) -> Answer<'_> {
        self.0.lock().unwrap().push("message".into());
        Answer::Accept
    }
    fn closed(&mut self, why: Ending) {
        self.0.lock().unwrap().push(format!("closed {why:?}"));
    }
}

/// The same, asleep before each answer.
struct Sleepy(Notes, Duration);

impl AsyncHandler for Sleepy {
    // Panics before there is a future.
    fn mail(&mut self, mail: Mail<'_>) -> impl Future<Output = Answer<'_>> + Send {
        std::future::ready(self.0.mail(mail))
    }
    async fn rcpt(&mut self, rcpt: Rcpt<'_>) -> Answer<'_> {
        tokio::time::sleep(self.1).await;
        self.0.rcpt(rcpt)
    }
    async fn text(&mut self, _: &[u8]) -> Flow<'_> {
        tokio::time::sleep(self.1).await;
        Flow::Continue
    }
    async fn message(&mut self, recipient: u16) -> Answer<'_> {
        tokio::time::sleep(self.1).await;
        self.0.message(recipient)
    }
    async fn closed(&mut self, why: Ending) {
        self.0.closed(why);
    }
}

/// A server in a thread of its own.
struct Running {
    address: SocketAddr,
    stopper: Stopper,
    thread: thread::JoinHandle<()>,
    heard: Heard,
}

#[derive(Clone, Copy)]
enum Kind {
    Sync,
    Async,
    Blocking,
}

fn config() -> Config<'static> {
    Config::new("mx.example.org")
}

fn start(kind: Kind, config: Config<'static>, grace: Duration) -> Running {
    let heard = Heard::default();
    let notes = Arc::clone(&heard);
    let (sender, receiver) = mpsc::channel();
    let thread = thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let server = Server::bind("127.0.0.1:0", config).await.unwrap().grace(grace);
            sender.send((server.local_addrs().unwrap()[0], server.stopper())).unwrap();
            match kind {
                Kind::Sync => server.run(move |_| Notes(Arc::clone(&notes))).await,
                Kind::Async => {
                    let handler = move |_| Sleepy(Notes(Arc::clone(&notes)), Duration::from_millis(5));
                    server.run_async(handler).await;
                }
                Kind::Blocking => {
                    server
                        .run_blocking(move |_| {
                            process_message(|_| {
                                thread::sleep(Duration::from_millis(300));
                                Ok(None)
                            })
                        })
                        .await;
                }
            }
        });
    });
    let (address, stopper) = receiver.recv().unwrap();
    Running { address, stopper, thread, heard }
}

impl Running {
    /// Stops, and gives what the handlers heard.
    fn heard(self) -> Vec<String> {
        self.stopper.stop_now();
        self.thread.join().expect("the server");
        std::mem::take(&mut self.heard.lock().unwrap())
    }
}

const GRACE: Duration = Duration::from_secs(10);

#[test]
fn stopping_ends_idle_sessions_and_lets_a_transaction_come_to_its_end() {
    for kind in [Kind::Sync, Kind::Async] {
        let server = start(kind, config(), GRACE);
        let (mut idle, mut busy) = (Client::new(server.address), Client::new(server.address));
        busy.begin();
        busy.send(b"Subject: hi\r\n");
        server.stopper.stop();
        assert_eq!(idle.rest(), b"421 4.3.2 Service stops, closing\r\n");
        thread::sleep(Duration::from_millis(50));
        assert!(TcpStream::connect(server.address).is_err(), "no more connections are taken");
        busy.send(b"\r\ntext\r\n.\r\n");
        assert_eq!(busy.reply(), "250 2.0.0 OK");
        assert_eq!(busy.rest(), b"421 4.3.2 Service stops, closing\r\n");
        drop((idle, busy));
        server.thread.join().unwrap();
        let mut heard = server.heard.lock().unwrap().clone();
        heard.sort();
        assert_eq!(heard, ["closed Stopping", "closed Stopping", "message"]);
    }
}

#[test]
fn a_transaction_has_its_grace_and_no_more() {
    for kind in [Kind::Sync, Kind::Async] {
        let server = start(kind, config(), Duration::from_millis(200));
        let mut busy = Client::new(server.address);
        busy.begin();
        let begun = Instant::now();
        server.stopper.stop();
        assert_eq!(busy.rest(), b"421 4.3.2 Service stops, closing\r\n");
        assert!(begun.elapsed() >= Duration::from_millis(200));
        server.thread.join().unwrap();
        assert_eq!(*server.heard.lock().unwrap(), ["closed Stopping"]);
    }
}

#[test]
fn stopping_now_waits_for_nobody() {
    for kind in [Kind::Sync, Kind::Async] {
        let server = start(kind, config(), GRACE);
        let mut quit = Client::new(server.address);
        assert_eq!(quit.say("QUIT"), "221 2.0.0 Bye");
        let _idle = Client::new(server.address);
        let mut busy = Client::new(server.address);
        busy.begin();
        let begun = Instant::now();
        server.heard();
        assert!(begun.elapsed() < Duration::from_millis(500), "{:?}", begun.elapsed());
    }
}

#[test]
fn a_client_that_never_pauses_does_not_hold_up_the_end() {
    for kind in [Kind::Sync, Kind::Async] {
        let mut config = config();
        config.limits.size = 0;
        let server = start(kind, config, GRACE);
        let floods: Vec<_> = (0..4)
            .map(|_| {
                let mut client = Client::new(server.address);
                client.begin();
                // Takes a server that was not optimized longer than a client.
                let text = b"..\r\n".repeat(100_000);
                thread::spawn(move || while client.try_send(&text).is_ok() {})
            })
            .collect();
        thread::sleep(Duration::from_millis(300));
        let begun = Instant::now();
        server.heard();
        // A second for last words, and what four floods leave of a busy machine's processors.
        assert!(begun.elapsed() < GRACE / 2, "{:?}", begun.elapsed());
        for flood in floods {
            flood.join().unwrap();
        }
    }
}

/// A server whose handler does with it what it is told, once a message has come.
fn spawned(
    act: impl Fn(smtpd_std::Running) + Clone + Send + Sync + 'static,
) -> (SocketAddr, Arc<Mutex<Option<smtpd_std::Running>>>) {
    let place = Arc::new(Mutex::new(None));
    let own = Arc::clone(&place);
    let server = Server::spawn("127.0.0.1:0", config(), move |_| {
        let (own, act) = (Arc::clone(&own), act.clone());
        process_message(move |_| {
            if let Some(server) = own.lock().unwrap().take() {
                act(server);
            }
            Ok(None)
        })
    });
    let server = server.unwrap();
    let address = server.address();
    *place.lock().unwrap() = Some(server);
    (address, place)
}

#[test]
fn a_handler_may_end_its_own_server() {
    let (address, _) = spawned(drop);
    let mut client = Client::new(address);
    client.begin();
    client.send(b"Hi\r\n.\r\n");
    client.rest();
    // Within its runtime its end is not waited for.
    let is_over = || {
        (0..500).any(|_| {
            TcpStream::connect(address).is_err() || {
                thread::sleep(Duration::from_millis(10));
                false
            }
        })
    };
    assert!(is_over(), "it listens no more");
}

#[test]
fn a_handler_that_hangs_does_not_hold_up_the_end() {
    let (sender, begins) = mpsc::channel();
    let server = Server::spawn("127.0.0.1:0", config(), move |_| {
        let begun = sender.clone();
        process_message(move |_| {
            begun.send(())?;
            // Longer than the test takes.
            thread::sleep(Duration::from_secs(20));
            Ok(None)
        })
    });
    let server = server.unwrap();
    let mut client = Client::new(server.address());
    client.begin();
    client.send(b"Hi\r\n.\r\n");
    begins.recv().unwrap();
    let begun = Instant::now();
    drop(server);
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
}

#[test]
fn a_panic_costs_its_own_session() {
    for (kind, line) in [Kind::Sync, Kind::Async].into_iter().flat_map(|kind| {
        ["MAIL FROM:<panic@b.example>", "MAIL FROM:<a@b.example>\r\nRCPT TO:<panic@d.example>"].map(|line| (kind, line))
    }) {
        let server = start(kind, config(), GRACE);
        let mut other = Client::new(server.address);
        other.begin();
        let mut client = Client::new(server.address);
        assert_eq!(client.say("HELO client.example"), "250 mx.example.org");
        client.send(format!("{line}\r\nNOOP\r\n").as_bytes());
        let rest = client.rest();
        let rest = rest.strip_prefix(b"250 2.1.0 OK\r\n").unwrap_or(&rest);
        assert_eq!(rest, b"421 4.3.0 Internal error, closing\r\n");
        other.send(b"text\r\n.\r\n");
        assert_eq!(other.reply(), "250 2.0.0 OK");
        assert_eq!(other.say("QUIT"), "221 2.0.0 Bye");
        assert_eq!(server.heard(), ["message", "closed Quit"]);
    }
}

#[test]
fn a_handler_that_cannot_be_made_costs_its_own_session() {
    for kind in [Kind::Sync, Kind::Async, Kind::Blocking] {
        let (sender, receiver) = mpsc::channel();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let server = runtime.block_on(Server::bind("127.0.0.1:0", config())).unwrap();
        let (address, stopper) = (server.local_addrs().unwrap()[0], server.stopper());
        let made = AtomicUsize::new(0);
        let notes = move |_| {
            assert!(made.fetch_add(1, Ordering::Relaxed) != 1, "the second, as asked");
            Notes(Heard::default())
        };
        runtime.spawn(async move {
            match kind {
                Kind::Sync => server.run(notes).await,
                Kind::Async => server.run_async(move |peer| Sleepy(notes(peer), Duration::ZERO)).await,
                Kind::Blocking => server.run_blocking(notes).await,
            }
            sender.send(()).unwrap();
        });
        let mut first = Client::new(address);
        let mut second = String::new();
        TcpStream::connect(address).unwrap().read_to_string(&mut second).unwrap();
        assert_eq!(second, "421 4.3.0 Internal error, closing\r\n");
        for client in [&mut first, &mut Client::new(address)] {
            assert_eq!(client.say("NOOP"), "250 2.0.0 OK");
        }
        stopper.stop_now();
        receiver.recv_timeout(Duration::from_secs(5)).expect("the server ends as it does otherwise");
    }
}

#[test]
fn single_octets_buy_no_time() {
    let mut config = config();
    config.timers.command = 1;
    for kind in [Kind::Sync, Kind::Async] {
        let server = start(kind, config, GRACE);
        let begun = Instant::now();
        let mut client = Client::new(server.address);
        for octet in b"NOOP NOOP NOOP" {
            client.send(&[*octet]);
            thread::sleep(Duration::from_millis(100));
        }
        assert_eq!(client.rest(), b"421 4.4.2 Timeout, closing\r\n");
        assert!(begun.elapsed() >= Duration::from_secs(1));
        assert_eq!(server.heard(), ["closed Expired"]);
    }
}

#[test]
fn complete_commands_buy_time() {
    let mut config = config();
    config.timers.command = 1;
    let server = start(Kind::Sync, config, GRACE);
    let mut client = Client::new(server.address);
    for _ in 0..5 {
        thread::sleep(Duration::from_millis(400));
        assert_eq!(client.say("NOOP"), "250 2.0.0 OK");
    }
}

#[test]
fn a_session_has_its_limit() {
    let mut config = config();
    config.timers.session = 1;
    let server = start(Kind::Sync, config, GRACE);
    let begun = Instant::now();
    let mut client = Client::new(server.address);
    while client.say("NOOP") == "250 2.0.0 OK" {
        assert!(begun.elapsed() < Duration::from_secs(5));
        thread::sleep(Duration::from_millis(50));
    }
    assert!(begun.elapsed() >= Duration::from_secs(1));
    assert_eq!(server.heard(), ["closed Expired"]);
}

#[test]
fn a_client_that_does_not_read_is_not_read_and_goes() {
    let mut config = config();
    config.timers.output = 1;
    config.limits.commands = 0;
    for kind in [Kind::Sync, Kind::Async] {
        let server = start(kind, config, GRACE);
        let client = Client::new(server.address);
        let noops = b"NOOP\r\n".repeat(10_000);
        let mut stream = client.stream();
        stream.set_write_timeout(Some(Duration::from_secs(10))).unwrap();
        let mut sent = 0;
        while stream.write_all(&noops).is_ok() {
            sent += noops.len();
            assert!(sent < 100_000_000, "the server reads on");
        }
        assert_eq!(server.heard(), ["closed Expired"]);
    }
}

#[test]
fn the_last_reply_arrives_though_the_client_sends_on() {
    for kind in [Kind::Sync, Kind::Async] {
        let server = start(kind, config(), GRACE);
        for _ in 0..20 {
            let mut client = Client::new(server.address);
            client.send(b"QUIT\r\n");
            client.send(&[b'x'; 20_000]);
            assert_eq!(client.rest(), b"221 2.0.0 Bye\r\n");
        }
        drop(server.heard());
    }
}

#[test]
fn a_client_that_only_sends_is_served() {
    for kind in [Kind::Sync, Kind::Async] {
        let server = start(kind, config(), GRACE);
        let mut stream = TcpStream::connect(server.address).unwrap();
        stream.write_all(b"HELO a\r\nMAIL FROM:<>\r\nRCPT TO:<Postmaster>\r\nDATA\r\nhi\r\n.\r\nNOOP").unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut heard = String::new();
        stream.read_to_string(&mut heard).unwrap();
        let codes: Vec<&str> = heard.lines().map(|line| &line[..3]).collect();
        assert_eq!(codes, ["220", "250", "250", "250", "354", "250"]);
        assert_eq!(server.heard(), ["message", "closed Lost"]);
    }
}

#[test]
fn handlers_that_block_do_not_hold_each_other_up() {
    let server = start(Kind::Blocking, config(), GRACE);
    let begun = Instant::now();
    let clients: Vec<_> = (0..6)
        .map(|_| {
            let address = server.address;
            thread::spawn(move || {
                let mut client = Client::new(address);
                client.begin();
                client.send(b"text\r\n.\r\n");
                assert_eq!(client.reply(), "250 2.0.0 OK");
            })
        })
        .collect();
    for client in clients {
        client.join().unwrap();
    }
    assert!(begun.elapsed() < Duration::from_millis(1_200), "{:?}", begun.elapsed());
}

#[test]
fn an_async_handler_that_takes_too_long_ends_its_session() {
    let mut config = config();
    config.timers.answer = 1;
    let heard = Heard::default();
    let notes = Arc::clone(&heard);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let server = runtime.block_on(Server::bind("127.0.0.1:0", config)).unwrap();
    let address = server.local_addrs().unwrap()[0];
    runtime.spawn(server.run_async(move |_| Sleepy(Notes(Arc::clone(&notes)), Duration::from_secs(60))));
    let mut client = Client::new(address);
    client.send(b"HELO a\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\n");
    assert_eq!(client.reply(), "250 mx.example.org");
    assert_eq!(client.reply(), "250 2.1.0 OK");
    assert_eq!(client.rest(), b"421 4.4.2 Timeout, closing\r\n");
    assert_eq!(*heard.lock().unwrap(), ["closed Expired"]);
}

#[test]
fn verdicts_of_process_message() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let server = runtime.block_on(Server::bind("127.0.0.1:0", config())).unwrap();
    let address = server.local_addrs().unwrap()[0];
    runtime.spawn(server.run(|_| {
        process_message(|message| {
            assert_eq!(message.peer.address.unwrap().ip().to_string(), "127.0.0.1");
            assert_eq!(
                (message.mail_from.as_str(), &message.rcpt_tos[..]),
                ("a@b.example", &["c@d.example".into()][..])
            );
            match &message.data[..] {
                b"error\r\n" => Err("disk full".into()),
                b"nothing\r\n" => Ok(None),
                b"empty\r\n" => Ok(Some(String::new())),
                text => Ok(Some(String::from_utf8_lossy(text).into_owned())),
            }
        })
    }));
    for (text, expected) in [
        ("nothing", "250 2.0.0 OK"),
        ("empty", "250 2.0.0 OK"),
        ("error", "451 4.3.0 Error in processing"),
        ("250 2.0.0 queued as 4711", "250 2.0.0 queued as 4711"),
        ("550 no", "550 no"),
        ("554-5.7.1 no", "554 5.7.1 no"),
        ("354 go on", "451 4.3.0 Internal error"),
        ("what", "451 4.3.0 Internal error"),
        ("421 4.3.2 go away", "421 4.3.2 go away"),
    ] {
        let mut client = Client::new(address);
        client.begin();
        client.send(format!("{text}\r\n.\r\n").as_bytes());
        assert_eq!(client.reply().trim_end(), expected);
        if !expected.starts_with("421") {
            assert_eq!(client.say("MAIL FROM:<a@b.example>"), "250 2.1.0 OK", "only the transaction ended");
        }
    }
}

/// Takes mail for one domain, after a while if it is told to.
struct Domain {
    sender: mpsc::Sender<Message>,
    is_slow: bool,
    is_refused: bool,
}

impl ProcessMessage for Domain {
    fn rcpt(&mut self, rcpt: Rcpt<'_>) -> Answer<'_> {
        self.is_refused = rcpt.forward_path.domain() != b"d.example";
        if self.is_slow { Answer::Later } else { self.resume(Waker::noop()) }
    }
    fn process_message(&mut self, message: &mut Message) -> Answer<'_> {
        self.sender.send(message.take()).unwrap();
        self.is_refused = false;
        if self.is_slow { Answer::Later } else { Answer::Accept }
    }
    fn resume(&mut self, _: &Waker) -> Answer<'_> {
        if self.is_refused { Answer::Reply(Reply::new(550, "Not here").enhanced(1, 2)) } else { Answer::Accept }
    }
}

#[test]
fn who_was_refused_is_no_recipient() {
    for is_slow in [false, true] {
        let (sender, mails) = mpsc::channel();
        let server = Server::spawn("127.0.0.1:0", config(), move |_| {
            Messages::new(Domain { sender: sender.clone(), is_slow, is_refused: false })
        });
        let server = server.unwrap();
        let mut client = Client::new(server.address());
        client.say("EHLO a");
        client.say("MAIL FROM:<a@b.example>");
        for (to, reply) in [
            ("a@d.example", "250 2.1.5 OK"),
            ("b@e.example", "550 5.1.2 Not here"),
            ("Postmaster", "550 5.1.2 Not here"),
        ] {
            assert_eq!(client.say(&format!("RCPT TO:<{to}>")), reply);
        }
        assert_eq!(client.say("RCPT TO:<c@d.example>"), "250 2.1.5 OK");
        client.say("DATA");
        assert_eq!(client.say("Hi\r\n."), "250 2.0.0 OK");
        assert_eq!(mails.recv().unwrap().rcpt_tos, ["a@d.example", "c@d.example"]);
        drop(client);
        server.stop();
        // The handlers are gone, and with them their ends of the channel.
        assert!(mails.recv().is_err());
    }
}

#[test]
fn what_was_refused_while_it_waited_is_not_printed() {
    /// Writes once it is let.
    struct Gate(mpsc::Receiver<()>, Arc<Mutex<String>>);
    impl Write for Gate {
        fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
            let _ = self.0.recv();
            self.1.lock().unwrap().push_str(std::str::from_utf8(octets).unwrap());
            Ok(octets.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut config = config();
    config.timers.message = 1;
    let (gate, closed) = mpsc::channel();
    let printed = Arc::<Mutex<String>>::default();
    let output = Gate(closed, Arc::clone(&printed));
    let printer = Printer::new(output, Form::Plain, |error| panic!("{error}")).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let server = runtime.block_on(Server::bind("127.0.0.1:0", config)).unwrap();
    let address = server.local_addrs().unwrap()[0];
    runtime.spawn(server.run(move |_| Messages::new(printer.clone())));
    let send = |text: &str| {
        let mut client = Client::new(address);
        client.begin();
        client.send(format!("{text}\r\n.\r\n").as_bytes());
        client
    };
    let mut first = send("under way");
    thread::sleep(Duration::from_millis(100));
    let mut second = send("refused");
    for client in [&mut first, &mut second] {
        assert_eq!(client.rest(), b"421 4.4.2 Timeout, closing\r\n");
    }
    let mut third = send("accepted");
    drop(gate);
    assert_eq!(third.reply(), "250 2.0.0 OK");
    let printed = printed.lock().unwrap();
    let texts: Vec<&str> = printed.lines().filter(|line| !line.starts_with('-')).collect();
    assert_eq!(texts, ["under way", "accepted"]);
}

#[test]
fn replies_are_borrowed_from_the_handler() {
    // A reply's text may be made for the occasion.
    struct Numbers(String, u32);
    impl Handler for Numbers {
        fn rcpt(&mut self, _: Rcpt<'_>) -> Answer<'_> {
            self.1 += 1;
            self.0 = format!("Recipient {}", self.1);
            Answer::Reply(Reply::new(250, &self.0).enhanced(1, 5))
        }
        fn text(&mut self, _: &[u8]) -> Flow<'_> {
            Flow::Continue
        }
        fn message(&mut self, _: u16) -> Answer<'_> {
            Answer::Accept
        }
    }
    let runtime = tokio::runtime::Runtime::new().unwrap();
    // Read in threes, and all at once: then the replies fill the output many times before the input is used up.
    for at_once in [3, 65_536] {
        let server = runtime.block_on(Server::bind("127.0.0.1:0", config())).unwrap().read_at_once(at_once);
        let address = server.local_addrs().unwrap()[0];
        runtime.spawn(server.run(|_| Numbers(String::new(), 0)));
        let mut client = Client::new(address);
        let recipients = b"RCPT TO:<c@d.example>\r\n".repeat(1_000);
        client.send(&[&b"HELO a\r\nMAIL FROM:<a@b.example>\r\n"[..], &recipients, b"QUIT\r\n"].concat());
        assert_eq!(client.reply(), "250 mx.example.org");
        assert_eq!(client.reply(), "250 2.1.0 OK");
        for number in 1..=1_000 {
            assert_eq!(client.reply(), format!("250 2.1.5 Recipient {number}"));
        }
        assert_eq!(client.rest(), b"221 2.0.0 Bye\r\n");
    }
}

#[test]
fn each_message_has_its_own_envelope() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let server = runtime.block_on(Server::bind("127.0.0.1:0", config())).unwrap();
    let address = server.local_addrs().unwrap()[0];
    let (sender, messages) = mpsc::channel();
    runtime.spawn(server.run(move |_| {
        let sender = sender.clone();
        process_message(move |message| Ok(sender.send(message.take()).map(|()| None)?)).remote("mx.example.net:25")
    }));
    let mut client = Client::new(address);
    client.send(
        b"EHLO a\r\nMAIL FROM:<lost@b.example> SIZE=10\r\nRCPT TO:<lost@d.example>\r\nRSET\r\n\
        MAIL FROM:<A@b.example> body=8bitmime size=20\r\nRCPT TO:<C@d.example>\r\nRCPT TO:<postmaster>\r\n\
        DATA\r\none\r\n.\r\nMAIL FROM:<>\r\nRCPT TO:<e@d.example>\r\nDATA\r\n.\r\nQUIT\r\n",
    );
    client.rest();
    let mut seen = Vec::new();
    for message in messages.try_iter() {
        assert_eq!(message.remote.as_deref(), Some("mx.example.net:25"));
        let options = message.mail_options.join(" ");
        let text = String::from_utf8(message.data).unwrap();
        seen.push(format!("{}|{}|{options}|{text}", message.mail_from, message.rcpt_tos.join(",")));
    }
    assert_eq!(seen, ["A@b.example|C@d.example,postmaster|BODY=8BITMIME SIZE=20|one\r\n", "|e@d.example||"]);
}

#[test]
fn with_lmtp_a_message_is_processed_once_and_its_verdict_is_that_of_all_recipients() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut config = config();
    config.lmtp = true;
    let server = runtime.block_on(Server::bind("127.0.0.1:0", config)).unwrap();
    let address = server.local_addrs().unwrap()[0];
    let (sender, messages) = mpsc::channel();
    runtime.spawn(server.run(move |_| {
        let sender = sender.clone();
        process_message(move |message| {
            sender.send(message.rcpt_tos.join(","))?;
            Ok((message.data == b"no\r\n").then(|| "550 5.7.1 No".into()))
        })
    }));
    let mut client = Client::new(address);
    for (text, verdict) in [("no", "550 5.7.1 No"), ("yes", "250 2.0.0 OK")] {
        for line in ["LHLO client.example", "MAIL FROM:<>", "RCPT TO:<a@d.example>", "RCPT TO:<b@d.example>", "DATA"] {
            client.say(line);
        }
        assert_eq!((client.say(&format!("{text}\r\n.")).as_str(), client.reply().as_str()), (verdict, verdict));
    }
    assert_eq!(messages.try_iter().collect::<Vec<_>>(), ["a@d.example,b@d.example"; 2]);
}

#[test]
fn connections_have_their_limits() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let server = runtime.block_on(Server::bind("127.0.0.1:0", config())).unwrap().connections(3, 2);
    let address = server.local_addrs().unwrap()[0];
    runtime.spawn(server.run(|_| smtpd_std::Sink));
    let turned_away = |from: &str| {
        let socket = nix::sys::socket::socket(
            nix::sys::socket::AddressFamily::Inet,
            nix::sys::socket::SockType::Stream,
            nix::sys::socket::SockFlag::empty(),
            None,
        )
        .unwrap();
        let from: SocketAddr = format!("{from}:0").parse().unwrap();
        nix::sys::socket::bind(
            std::os::fd::AsRawFd::as_raw_fd(&socket),
            &nix::sys::socket::SockaddrStorage::from(from),
        )
        .unwrap();
        nix::sys::socket::connect(
            std::os::fd::AsRawFd::as_raw_fd(&socket),
            &nix::sys::socket::SockaddrStorage::from(address),
        )
        .unwrap();
        let mut stream = TcpStream::from(socket);
        let mut line = [0; 64];
        let read = stream.read(&mut line).unwrap();
        let line = String::from_utf8_lossy(&line[..read]).into_owned();
        if line.starts_with("421") {
            assert_eq!(line, "421 4.3.2 Too many connections, try again later\r\n");
            // The end, and no reset: though the client sends on.
            stream.write_all(b"EHLO a\r\n").unwrap();
            assert_eq!(stream.read(&mut [0; 64]).unwrap(), 0);
            return None;
        }
        assert!(line.starts_with("220 "), "{line}");
        Some(stream)
    };
    let first = turned_away("127.0.0.1").expect("a place");
    let _second = turned_away("127.0.0.1").expect("a place");
    assert!(turned_away("127.0.0.1").is_none(), "two for each address");
    let _third = turned_away("127.0.0.2").expect("a place");
    assert!(turned_away("127.0.0.3").is_none(), "three in all");
    drop(first);
    let begun = Instant::now();
    while turned_away("127.0.0.1").is_none() {
        assert!(begun.elapsed() < Duration::from_secs(10), "a place that is given back is free");
        thread::sleep(Duration::from_millis(10));
    }
}
