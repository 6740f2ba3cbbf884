//! A relay on the host, between a client and scripted servers over real ports: what each loss, wait and end costs.

#[path = "../../../core/tests/one_leg/mod.rs"]
mod one_leg;

use std::future::{Future, pending};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::task::Waker;
use std::thread;
use std::time::{Duration, Instant};

use one_leg::OneLeg;
use smtpd_core::client;
use smtpd_mock::{Listening, Script, listen};
use smtpd_std::{
    Answer, Config, Dial, Direct, Ending, Extensions, Flow, Handler, Hello, Leg, Mail, Peer, PooledOutput, Rcpt, Relay,
    Remotes, Server, Stopper,
};

/// How long a script waits for what has to come.
const LIMIT: Duration = Duration::from_secs(20);

type Pooled = OneLeg<PooledOutput>;

/// A server with a relay, in a thread of its own.
struct Running {
    address: SocketAddr,
    stopper: Stopper,
    thread: thread::JoinHandle<()>,
}

/// A second for each step.
const SHORT: client::Timers = {
    let mut timers = client::Timers::RELAY;
    (timers.connect, timers.greeting, timers.mail, timers.rcpt) = (1, 1, 1, 1);
    (timers.data, timers.text, timers.message) = (1, 1, 1);
    timers
};

fn relay(upstream: SocketAddr, timers: client::Timers) -> Pooled {
    OneLeg(Leg::with(upstream, "relay.example", PooledOutput::default()).timers(timers))
}

/// To a server at `upstream`, with the usual timers.
fn start(upstream: SocketAddr) -> Running {
    run(move || relay(upstream, client::Timers::RELAY), Direct, Duration::from_secs(10))
}

fn run<R>(relay: impl Fn() -> R + Send + Sync + 'static, dial: impl Dial, grace: Duration) -> Running
where
    R: Relay + Send + 'static,
{
    let mut config = Config::new("mx.example.org");
    (config.limits.recipients, config.limits.size) = (0, 0);
    let (sender, receiver) = mpsc::channel();
    let thread = thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let server = Server::bind("127.0.0.1:0", config).await.unwrap().grace(grace);
            sender.send((server.local_addrs().unwrap()[0], server.stopper())).unwrap();
            server.run_relay(move |_| relay(), dial).await;
        });
    });
    let (address, stopper) = receiver.recv().unwrap();
    Running { address, stopper, thread }
}

impl Running {
    fn finish(self) {
        self.stopper.stop_now();
        self.thread.join().expect("the server");
    }
}

struct Client(BufReader<TcpStream>);

impl Client {
    fn new(server: &Running) -> Self {
        let stream = TcpStream::connect(server.address).expect("connect");
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        Self(BufReader::new(stream))
    }

    fn send(&mut self, octets: &[u8]) {
        let _ = self.0.get_mut().write_all(octets);
    }

    /// The last line of a reply; nothing at the end of the connection.
    fn reply(&mut self) -> String {
        loop {
            let mut line = String::new();
            self.0.read_line(&mut line).expect("a reply");
            if line.as_bytes().get(3) != Some(&b'-') {
                return line.trim_end().to_owned();
            }
        }
    }

    fn say(&mut self, line: &str) -> String {
        self.send(format!("{line}\r\n").as_bytes());
        self.reply()
    }

    /// Goes through a whole mail up to the first reply that is not positive: its step and what it was.
    fn mail(&mut self) -> (usize, String) {
        let mut last = self.reply();
        let mut step = 0;
        for line in &LINES[1..] {
            if !last.starts_with(['2', '3']) {
                break;
            }
            last = self.say(line);
            step += 1;
        }
        (step, last)
    }

    /// Up to that step, all of which has to succeed.
    fn go(&mut self, step: usize) {
        assert!(self.reply().starts_with("220 "));
        for line in &LINES[1..=step] {
            assert!(self.say(line).starts_with(['2', '3']), "{line}");
        }
    }

    fn reset(self) {
        let stream = self.0.into_inner();
        nix::sys::socket::setsockopt(
            &stream,
            nix::sys::socket::sockopt::Linger,
            &nix::libc::linger { l_onoff: 1, l_linger: 0 },
        )
        .unwrap();
    }
}

/// What a client says, behind each of which it waits for a reply. Nothing precedes the greeting.
const LINES: [&str; 6] =
    ["", "EHLO client.example", "MAIL FROM:<a@b.example>", "RCPT TO:<c@d.example>", "DATA", "Hi\r\n."];

/// What the server says to it, and what it hears before that.
const UPSTREAM: [(&str, &str); 6] = [
    ("", "S: 220 up.example"),
    ("C: EHLO relay.example", "S: 250-up.example\nS: 250 PIPELINING"),
    ("C: MAIL FROM:<a@b.example>", "S: 250 OK"),
    ("C: RCPT TO:<c@d.example>", "S: 250 OK"),
    ("C: DATA", "S: 354 Go on"),
    ("C: Hi\nC: .", "S: 250 Taken"),
];

/// A server that goes as far as the reply at `step`, and does this in its place.
fn until(step: usize, does: &str) -> Script {
    then(step, &format!("{}\n{does}", UPSTREAM[step].0))
}

/// A server that answers up to that step, behind which it hears this.
fn then(steps: usize, last: &str) -> Script {
    let text: String = UPSTREAM[..steps].iter().map(|(hears, says)| format!("{hears}\n{says}\n")).collect();
    Script::parse("upstream", &(text + last)).unwrap()
}

fn upstream(script: Script) -> Listening {
    listen([script], LIMIT).unwrap()
}

fn whole() -> Script {
    then(UPSTREAM.len(), "C: QUIT\nS: 221 Bye")
}

#[test]
fn a_mail_goes_through_and_quit_is_said() {
    let upstream = upstream(whole());
    let server = start(upstream.address());
    let mut client = Client::new(&server);
    assert_eq!(client.mail(), (5, "250 Taken".into()));
    assert!(client.say("QUIT").starts_with("221 "));
    assert_eq!(client.reply(), "");
    upstream.finish().unwrap();
    server.finish();
}

#[test]
fn what_is_away_is_told() {
    // A port that nobody listens on.
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let server = start(address);
    let mut client = Client::new(&server);
    assert_eq!(client.mail(), (0, "451 4.4.1 Next server away, try again".into()));
    server.finish();
}

/// What the client hears of it; the reply to EHLO has no enhanced code (RFC 2034 §3).
fn gone(step: usize, how: &str) -> String {
    let enhanced = if step == 1 { "" } else { "4.4.2 " };
    format!("451 {enhanced}Next server {how}, try again")
}

#[test]
fn a_server_that_hangs_is_given_up() {
    thread::scope(|scope| {
        for step in 0..UPSTREAM.len() {
            scope.spawn(move || {
                let upstream = upstream(until(step, "!stall"));
                let address = upstream.address();
                let server = run(move || relay(address, SHORT), Direct, Duration::ZERO);
                let mut client = Client::new(&server);
                let begin = Instant::now();
                assert_eq!(client.mail(), (step, gone(step, "too slow")));
                let took = begin.elapsed();
                assert!(took >= Duration::from_millis(990) && took < Duration::from_secs(5), "{step}: {took:?}");
                upstream.finish().unwrap();
                server.finish();
            });
        }
    });
}

#[test]
fn a_server_that_goes_is_told_at_once() {
    thread::scope(|scope| {
        for (step, how) in (0..UPSTREAM.len()).flat_map(|step| ["!drop", "!reset"].map(|how| (step, how))) {
            scope.spawn(move || {
                let upstream = upstream(until(step, how));
                let server = start(upstream.address());
                let mut client = Client::new(&server);
                assert_eq!(client.mail(), (step, gone(step, "lost")), "{how}");
                upstream.finish().unwrap();
                server.finish();
            });
        }
    });
}

/// A connection is never had.
struct Never;

impl Dial for Never {
    fn dial(&self, _: usize, _: SocketAddr) -> impl Future<Output = io::Result<TokioStream>> + Send {
        pending()
    }
}

type TokioStream = tokio::net::TcpStream;

#[test]
fn a_server_that_takes_no_connection_is_given_up() {
    let server = run(|| relay(([127, 0, 0, 1], 1).into(), SHORT), Never, Duration::ZERO);
    let mut client = Client::new(&server);
    let begin = Instant::now();
    assert_eq!(client.mail(), (0, "451 4.4.1 Next server away, try again".into()));
    assert!(begin.elapsed() >= Duration::from_millis(990));
    server.finish();
}

#[test]
fn a_name_is_tried_at_all_its_addresses() {
    // On one of the two only, and not the one that comes first.
    let upstream = upstream(whole());
    let name = format!("localhost:{}", upstream.address().port());
    let nowhere = SocketAddr::from(([127, 0, 0, 1], 1));
    let server =
        run(move || relay(nowhere, client::Timers::RELAY), Remotes::new().leg(0, name), Duration::from_secs(10));
    let mut client = Client::new(&server);
    assert_eq!(client.mail(), (5, "250 Taken".into()));
    client.say("QUIT");
    upstream.finish().unwrap();
    server.finish();
    let other = Remotes::new().leg(1, "nowhere.invalid:25");
    let upstream = self::upstream(whole());
    let address = upstream.address();
    let server = run(move || relay(address, client::Timers::RELAY), other, Duration::from_secs(10));
    let mut client = Client::new(&server);
    assert_eq!(client.mail(), (5, "250 Taken".into()), "a leg without a name goes to its address");
    client.say("QUIT");
    upstream.finish().unwrap();
    server.finish();
}

#[test]
fn a_client_that_goes_leaves_no_message() {
    thread::scope(|scope| {
        for (step, is_reset) in (0..5).flat_map(|step| [false, true].map(|is_reset| (step, is_reset))) {
            scope.spawn(move || {
                // Within the text there is no QUIT, and no dot.
                let last = if step < 4 { "C: QUIT" } else { "C: Half a line" };
                let upstream = upstream(then(step + 1, last));
                let server = start(upstream.address());
                let mut client = Client::new(&server);
                client.go(step);
                if step == 4 {
                    client.send(b"Half a line\r\nand");
                    // So that it is on its way.
                    thread::sleep(Duration::from_millis(100));
                }
                if is_reset {
                    client.reset();
                } else {
                    drop(client);
                }
                let said = upstream.finish();
                if step < 4 {
                    said.unwrap();
                } else {
                    let difference = said.unwrap_err().to_string();
                    assert!(difference.contains("and") && !difference.contains("> ."), "{difference}");
                }
                server.finish();
            });
        }
    });
}

/// A server that takes everything, with replies of this length: it stands still as long as it is told to.
struct Slow {
    address: SocketAddr,
    go: mpsc::Sender<()>,
    /// Octets of text that it got, and whether there was a dot.
    thread: thread::JoinHandle<(usize, bool)>,
}

fn slow(len: usize) -> Slow {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (go, wait) = mpsc::channel();
    let thread = thread::spawn(move || {
        let mut stream = listener.accept().unwrap().0;
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        stream.write_all(b"220 up.example\r\n").unwrap();
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let ok = format!("250 {}\r\n", "x".repeat(len));
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).unwrap() == 0 {
                return (0, false);
            }
            match &line[..4] {
                "EHLO" => stream.write_all(b"250-up.example\r\n250 PIPELINING\r\n").unwrap(),
                "DATA" => break,
                _ => stream.write_all(ok.as_bytes()).unwrap(),
            }
        }
        stream.write_all(b"354 Go on\r\n").unwrap();
        let _ = wait.recv_timeout(LIMIT);
        let (mut octets, mut all, mut end) = (vec![0; 65_536], 0, Vec::new());
        while let Ok(read @ 1..) = reader.read(&mut octets) {
            all += read;
            end.extend_from_slice(&octets[..read]);
            end.drain(..end.len().saturating_sub(5));
            if end == b"\r\n.\r\n" {
                stream.write_all(b"250 Taken\r\n").unwrap();
                let mut quit = String::new();
                reader.read_line(&mut quit).unwrap();
                assert_eq!(quit, "QUIT\r\n");
                return (all, true);
            }
        }
        (all, false)
    });
    Slow { address, go, thread }
}

#[test]
fn a_client_waits_for_a_server_that_does_not_read() {
    const TEXT: usize = 50 << 20;
    let upstream = slow(2);
    let server = start(upstream.address);
    let mut client = Client::new(&server);
    client.go(4);
    let line = [&[b'x'; 62][..], b"\r\n"].concat();
    let piece = line.repeat(1_024);
    let mut stream = client.0.get_ref().try_clone().unwrap();
    stream.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
    let mut sent = 0;
    // The kernel's buffers of four sockets take what they take; then nothing more is taken.
    while let Ok(octets) = stream.write(&piece[sent % piece.len()..]) {
        sent += octets;
        assert!(sent < TEXT / 2, "somebody keeps it");
    }
    let memory = resident();
    let begin = Instant::now();
    upstream.go.send(()).unwrap();
    stream.set_write_timeout(None).unwrap();
    while sent < TEXT {
        sent += stream.write(&piece[sent % piece.len()..]).unwrap();
    }
    let rest = &piece[sent % piece.len()..];
    stream.write_all(rest).unwrap();
    assert_eq!(client.say("."), "250 Taken");
    // A timer would wake who sleeps, too.
    assert!(begin.elapsed() < Duration::from_secs(15), "{:?}", begin.elapsed());
    let more = resident().saturating_sub(memory);
    assert!(more < 8 << 20, "{more} octets more");
    client.say("QUIT");
    let text = sent + rest.len();
    assert_eq!(upstream.thread.join().unwrap(), (text + b".\r\n".len(), true));
    server.finish();
}

/// Octets of memory that this process has.
fn resident() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    pages.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4_096
}

#[test]
fn a_server_waits_for_a_client_that_does_not_read() {
    const RECIPIENTS: usize = 50_000;
    let upstream = slow(400);
    let server = start(upstream.address);
    let mut client = Client::new(&server);
    client.go(2);
    let memory = resident();
    let mut stream = client.0.get_ref().try_clone().unwrap();
    let writer = thread::spawn(move || {
        let lines = b"RCPT TO:<c@d.example>\r\n".repeat(1_000);
        for _ in 0..RECIPIENTS / 1_000 {
            stream.write_all(&lines).unwrap();
        }
        stream.write_all(b"DATA\r\n").unwrap();
    });
    thread::sleep(Duration::from_millis(500));
    // 20 MB of replies, which nobody has read.
    let more = resident().saturating_sub(memory);
    assert!(more < 8 << 20, "{more} octets more");
    for _ in 0..RECIPIENTS {
        let reply = client.reply();
        assert!(reply.starts_with("250 x") && reply.len() == 404, "{reply}");
    }
    assert!(client.reply().starts_with("354 "));
    writer.join().unwrap();
    upstream.go.send(()).unwrap();
    assert_eq!(client.say("Hi\r\n."), "250 Taken");
    client.say("QUIT");
    assert_eq!(upstream.thread.join().unwrap(), (7, true));
    server.finish();
}

#[test]
fn a_transaction_under_way_comes_to_its_end_when_the_server_stops() {
    let upstream = upstream(whole());
    let server = start(upstream.address());
    let mut client = Client::new(&server);
    client.go(4);
    server.stopper.stop();
    thread::sleep(Duration::from_millis(100));
    assert_eq!(client.say("Hi\r\n."), "250 Taken");
    assert!(client.reply().starts_with("421 4.3.2 "));
    assert_eq!(client.reply(), "");
    upstream.finish().unwrap();
    server.thread.join().unwrap();
}

#[test]
fn without_grace_the_server_gets_no_dot() {
    let upstream = slow(2);
    let address = upstream.address;
    let server = run(move || relay(address, client::Timers::RELAY), Direct, Duration::ZERO);
    let mut client = Client::new(&server);
    client.go(4);
    client.send(b"Half a line\r\nand");
    thread::sleep(Duration::from_millis(100));
    server.stopper.stop();
    assert!(client.reply().starts_with("421 4.3.2 "));
    upstream.go.send(()).unwrap();
    let (octets, has_dot) = upstream.thread.join().unwrap();
    assert!(octets <= 16 && !has_dot);
    server.thread.join().unwrap();
}

#[test]
fn an_idle_session_ends_when_the_server_stops() {
    let upstream = upstream(then(2, "C: QUIT"));
    let server = start(upstream.address());
    let mut client = Client::new(&server);
    client.go(1);
    let begin = Instant::now();
    server.stopper.stop();
    assert!(client.reply().starts_with("421 4.3.2 "));
    assert!(begin.elapsed() < Duration::from_secs(5), "it waited for its grace");
    upstream.finish().unwrap();
    server.thread.join().unwrap();
}

#[test]
fn quit_waits_for_its_turn() {
    // Without PIPELINING nothing is said before the reply.
    let script = "S: 220 up.example\nC: EHLO relay.example\nS: 250 up.example\nC: MAIL FROM:<a@b.example>\n@+300ms\n\
                  S: 250 OK\nC: QUIT";
    let upstream = upstream(Script::parse("upstream", script).unwrap());
    let server = start(upstream.address());
    let mut client = Client::new(&server);
    client.go(1);
    client.send(b"MAIL FROM:<a@b.example>\r\n");
    thread::sleep(Duration::from_millis(100));
    drop(client);
    upstream.finish().unwrap();
    server.finish();
}

/// Panics at a step.
struct Panics(Pooled, &'static str, bool);

/// A relay was asked for its legs once more.
static IS_CALLED_AGAIN: AtomicBool = AtomicBool::new(false);

impl Panics {
    fn at(&mut self, step: &str) {
        self.2 |= self.1 == step;
        assert!(self.1 != step, "as asked");
    }
}

impl Handler for Panics {
    fn connected(&mut self, peer: Peer) -> Answer<'_> {
        self.at("connected");
        self.0.connected(peer)
    }
    fn hello(&mut self, hello: Hello<'_>) -> Answer<'_> {
        self.0.hello(hello)
    }
    fn mail(&mut self, mail: Mail<'_>) -> Answer<'_> {
        self.0.mail(mail)
    }
    fn rcpt(&mut self, rcpt: Rcpt<'_>) -> Answer<'_> {
        self.at("rcpt");
        self.0.rcpt(rcpt)
    }
    fn data(&mut self) -> Answer<'_> {
        self.0.data()
    }
    fn room(&mut self, waker: &Waker) -> usize {
        self.0.room(waker)
    }
    fn text(&mut self, octets: &[u8]) -> Flow<'_> {
        self.at("text");
        self.0.text(octets)
    }
    fn message(&mut self, recipient: u16) -> Answer<'_> {
        self.at("message");
        self.0.message(recipient)
    }
    fn reset(&mut self) {
        self.0.reset();
    }
    fn closed(&mut self, why: Ending) {
        self.at("closed");
        self.0.closed(why);
    }
    fn acts_on(&self) -> Extensions {
        self.0.acts_on()
    }
    fn backlog(&self) -> u16 {
        self.0.backlog()
    }
    fn resume(&mut self, waker: &Waker) -> Answer<'_> {
        self.0.resume(waker)
    }
}

impl Relay for Panics {
    type Output = PooledOutput;

    fn legs(&mut self) -> &mut [Leg<PooledOutput>] {
        IS_CALLED_AGAIN.fetch_or(self.2, Ordering::Relaxed);
        self.at("legs");
        self.0.legs()
    }
}

#[test]
fn a_relay_that_panics_costs_its_own_session() {
    thread::scope(|scope| {
        for step in ["legs", "connected", "rcpt", "text", "message"] {
            scope.spawn(move || {
                let upstream = slow(2);
                let address = upstream.address;
                let relay = move || Panics(relay(address, client::Timers::RELAY), step, false);
                let server = run(relay, Direct, Duration::ZERO);
                let mut client = Client::new(&server);
                let (_, last) = client.mail();
                assert!(last.starts_with("421 4.3.0 "), "{step}: {last}");
                assert_eq!(client.reply(), "", "{step}");
                let _ = upstream.go.send(());
                // Nobody has come: the thread waits for him.
                let is_called = matches!(step, "legs" | "connected");
                let _ = is_called.then(|| TcpStream::connect(address).unwrap().shutdown(Shutdown::Both));
                let (_, has_dot) = upstream.thread.join().unwrap();
                assert!(!has_dot, "{step}");
                // And the next one is served.
                assert!(Client::new(&server).reply().len() > 3, "{step}");
                server.finish();
            });
        }
    });
    assert!(!IS_CALLED_AGAIN.load(Ordering::Relaxed));
}
