//! A relay whose legs call over sockets of the same interface: upstream is in the clients' stack.

mod common;
#[path = "../../../core/tests/one_leg/mod.rs"]
mod one_leg;

use std::net::SocketAddr;
use std::task::Waker;

use common::cable::{Faults, cable};
use common::client::codes;
use common::notes::Notes;
use common::stack::{PORT, Stack};
use one_leg::OneLeg;
use smoltcp::iface::SocketHandle;
use smoltcp::socket::tcp::State;
use smoltcp::time::{Duration, Instant};
use smtpd_core::relay::Leg;
use smtpd_core::server::Config;
use smtpd_smoltcp::{Dialer, Server};

const CONFIG: Config<'static> = Config::new("mx.example.org");
const RELAY: u8 = 2;
const UPSTREAM: u8 = 1;
/// The port of upstreams that fail.
const BAD_PORT: u16 = 2_525;

/// What clients say, each when the last was answered; the first waits for the greeting.
const LINES: [&str; 6] = [
    "",
    "EHLO c.example\r\n",
    "MAIL FROM:<a@b.example>\r\n",
    "RCPT TO:<c@d.example>\r\n",
    "DATA\r\n",
    "Hi\r\nthere\r\n.\r\n",
];
const YES: [u16; 6] = [220, 250, 250, 250, 354, 250];

/// How an upstream fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Failure {
    Hangs,
    Closes,
    Resets,
    /// Reads nothing any more.
    Deafens,
}

/// An upstream without a session, which takes one connection and fails when it should answer the line of a number.
struct Bad {
    socket: SocketHandle,
    fails: Option<(usize, Failure)>,
    input: String,
    answered: usize,
    has_failed: bool,
    heard: Vec<String>,
}

impl Bad {
    fn turn(&mut self, stack: &mut Stack) {
        let socket = stack.socket(self.socket);
        // A reset has to leave first.
        if socket.state() == State::TimeWait || !socket.is_open() && socket.remote_endpoint().is_none() {
            socket.listen(BAD_PORT).expect("a closed socket");
            (self.answered, self.has_failed) = (0, false);
            self.input.clear();
        }
        if !socket.may_send() {
            return;
        }
        if self.answered == 0 && !self.has_failed {
            self.answer(stack);
        }
        if self.has_failed && self.fails.is_some_and(|(_, failure)| failure == Failure::Deafens) {
            return;
        }
        let mut buffer = [0; 512];
        let octets = stack.socket(self.socket).recv_slice(&mut buffer).unwrap_or(0);
        self.input += std::str::from_utf8(&buffer[..octets]).expect("ASCII");
        while !self.has_failed {
            let mark = if self.answered == 5 { "\r\n.\r\n" } else { "\r\n" };
            let Some(end) = self.input.find(mark) else { break };
            self.heard.push(self.input.drain(..end + mark.len()).collect());
            self.answer(stack);
        }
        let socket = stack.socket(self.socket);
        if !socket.may_recv() && !self.has_failed {
            socket.close();
        }
    }

    fn answer(&mut self, stack: &mut Stack) {
        let socket = stack.socket(self.socket);
        match self.fails.filter(|(at, _)| *at == self.answered) {
            Some((_, Failure::Hangs | Failure::Deafens)) => self.has_failed = true,
            Some((_, Failure::Closes)) => {
                socket.close();
                self.has_failed = true;
            }
            Some((_, Failure::Resets)) => {
                socket.abort();
                self.has_failed = true;
            }
            None => {
                let code = YES.get(self.answered).copied().unwrap_or(221);
                let offer = if self.answered == 1 { "250-fine\r\n250 PIPELINING\r\n" } else { "" };
                let reply = if offer.is_empty() { format!("{code} fine\r\n") } else { offer.to_owned() };
                socket.send_slice(reply.as_bytes()).expect("a connection");
                self.answered += 1;
            }
        }
    }
}

struct World<const N: usize, const M: usize> {
    relay: Server<'static, OneLeg, N, 512, 512>,
    dialer: Dialer<M>,
    stack: Stack,
    upstream: Server<'static, Notes, 2, 512, 512>,
    bad: Bad,
    clients: Stack,
    now: Instant,
    still: u32,
}

impl<const N: usize, const M: usize> World<N, M> {
    fn new(to: (u8, u16)) -> Self {
        Self::with(to, &CONFIG)
    }

    fn with(to: (u8, u16), config: &'static Config<'static>) -> Self {
        let (one, other) = cable(Faults::NONE, 1);
        let (mut clients, mut stack) = (Stack::new(one, UPSTREAM, 1), Stack::new(other, RELAY, 2));
        let address = SocketAddr::from(([192, 0, 2, to.0], to.1));
        let relays = std::array::from_fn(|_| OneLeg(Leg::new(address, "relay.example")));
        let mut relay = Server::new(config, relays, std::array::from_fn(|_| stack.add(2_048, 512)));
        relay.listen(PORT);
        let dialer = Dialer::new(std::array::from_fn(|_| stack.add(512, 512)), 0xfffe);
        let notes = std::array::from_fn(|_| Notes::default());
        let mut upstream = Server::new(&CONFIG, notes, std::array::from_fn(|_| clients.add(2_048, 512)));
        upstream.listen(PORT);
        let socket = clients.add(512, 512);
        let bad = Bad { socket, fails: None, input: String::new(), answered: 0, has_failed: false, heard: Vec::new() };
        Self { relay, dialer, stack, upstream, bad, clients, now: Instant::ZERO, still: 0 }
    }

    fn until(&mut self, what: &str, mut is_so: impl FnMut(&mut Self) -> bool) {
        let end = self.now + Duration::from_secs(3_600);
        loop {
            let Self { relay, dialer, stack, upstream, bad, clients, now, .. } = self;
            bad.turn(clients);
            let (waker, now) = (Waker::noop(), *now);
            relay.poll_relay(now, &mut stack.interface, &mut stack.plug, &mut stack.sockets, dialer, waker);
            upstream.poll(now, &mut clients.interface, &mut clients.plug, &mut clients.sockets, waker);
            bad.turn(clients);
            if is_so(self) {
                return;
            }
            let Self { relay, stack, upstream, clients, .. } = self;
            let due = [
                relay.poll_at(now, &mut stack.interface, &stack.sockets),
                upstream.poll_at(now, &mut clients.interface, &clients.sockets),
                stack.plug.next(),
            ];
            let next = due.into_iter().flatten().min().unwrap_or(end).max(now);
            assert!(next < end, "{what}: not within an hour");
            self.still = if next > now { 0 } else { self.still + 1 };
            assert!(self.still < 10_000, "something spins at {now}");
            self.now = next;
        }
    }

    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        // Whatever is due.
        let mut next = self.now;
        while next < end {
            next = (self.now + Duration::from_millis(5)).min(end);
            self.until("time passes", |_| true);
            self.now = next;
        }
    }

    fn connect(&mut self) -> SocketHandle {
        let socket = self.clients.add(4_096, 4_096);
        self.clients.connect(socket, RELAY);
        socket
    }

    /// Waits for a reply; none if the server ends first.
    fn reply(&mut self, client: SocketHandle) -> Option<u16> {
        let (mut said, mut buffer) = (String::new(), [0; 512]);
        self.until("a reply", |world| {
            let socket = world.clients.socket(client);
            let octets = socket.recv_slice(&mut buffer).unwrap_or(0);
            said += std::str::from_utf8(&buffer[..octets]).expect("ASCII");
            said.ends_with("\r\n") && said.lines().last().is_some_and(|line| line.as_bytes()[3] == b' ')
                || matches!(socket.state(), State::CloseWait | State::Closed)
        });
        codes(&said).last().copied()
    }

    fn say(&mut self, client: SocketHandle, octets: &str) {
        let sent = self.clients.socket(client).send_slice(octets.as_bytes()).expect("a connection");
        assert_eq!(sent, octets.len());
    }

    /// Sends a mail, line by line, until one is refused; then QUIT. What each was answered.
    fn mail(&mut self) -> Vec<u16> {
        let client = self.connect();
        let mut heard = Vec::new();
        for line in LINES {
            self.say_if_open(client, line);
            let Some(code) = self.reply(client) else { break };
            heard.push(code);
            if code >= 400 {
                break;
            }
        }
        self.quit(client);
        heard
    }

    fn say_if_open(&mut self, client: SocketHandle, octets: &str) {
        if self.clients.socket(client).may_send() {
            self.say(client, octets);
        }
    }

    fn quit(&mut self, client: SocketHandle) {
        if self.clients.socket(client).state() == State::Established {
            self.say(client, "QUIT\r\n");
            assert_eq!(self.reply(client), Some(221));
        }
        self.clients.socket(client).close();
    }

    /// Until each socket of the relay's listens or is free.
    fn until_free(&mut self) -> Duration {
        let begin = self.now;
        self.until("all is free", |world| {
            let states: Vec<_> = world.stack.tcp_sockets().map(|socket| socket.state()).collect();
            let (places, ends) = states.split_at(N);
            places.iter().all(|state| *state == State::Listen)
                && ends.iter().all(|state| matches!(state, State::Closed | State::TimeWait))
                && world.relay.handlers().iter().all(|relay| relay.0.is_idle())
        });
        self.now - begin
    }
}

#[test]
fn mails_arrive_one_after_the_other_and_quit_is_said() {
    let mut world = World::<1, 1>::new((UPSTREAM, PORT));
    for number in 1..=10 {
        let begin = world.now;
        assert_eq!(world.mail(), YES);
        world.until_free();
        assert!(world.now - begin < Duration::from_secs(2), "{}", world.now - begin);
        let kept: usize = world.upstream.handlers().iter().map(|notes| notes.kept.len()).sum();
        assert_eq!(kept, number);
        // Upstream heard QUIT, whatever place it was.
        let heard: Vec<_> = world.upstream.handlers().iter_mut().map(Notes::take).collect();
        assert!(heard.iter().any(|heard| heard.ends_with("message 11; closed Quit")), "{heard:?}");
    }
    assert!(world.upstream.handlers().iter().flat_map(|notes| &notes.kept).all(|text| text == b"Hi\r\nthere\r\n"));
}

#[test]
fn a_long_text_passes_through() {
    let mut world = World::<1, 1>::new((UPSTREAM, PORT));
    let client = world.connect();
    for (line, code) in LINES.iter().zip(YES).take(5) {
        world.say_if_open(client, line);
        assert_eq!(world.reply(client), Some(code));
    }
    let text = "..0123456789abcdef\r\n".repeat(4_000);
    let octets = format!("{text}.\r\n");
    let mut sent = 0;
    world.until("all is sent", |world| {
        sent += world.clients.socket(client).send_slice(&octets.as_bytes()[sent..]).expect("a connection");
        sent == octets.len()
    });
    assert_eq!(world.reply(client), Some(250));
    world.quit(client);
    world.until_free();
    let kept = world.upstream.handlers().iter().flat_map(|notes| &notes.kept).next().expect("a mail");
    assert!(*kept == text.replace("..", ".").into_bytes());
}

#[test]
fn an_upstream_that_refuses_connections_is_451_at_once() {
    let mut world = World::<1, 1>::new((UPSTREAM, PORT));
    world.upstream.listen(0);
    world.pass(Duration::from_millis(10));
    for _ in 0..3 {
        let begin = world.now;
        assert_eq!(world.mail(), [451]);
        world.until_free();
        assert!(world.now - begin < Duration::from_secs(2), "{}", world.now - begin);
    }
    world.upstream.listen(PORT);
    assert_eq!(world.mail(), YES);
}

#[test]
fn an_upstream_that_does_not_answer_is_451_after_20_seconds() {
    let mut world = World::<1, 1>::new((77, PORT));
    let begin = world.now;
    assert_eq!(world.mail(), [451]);
    let millis = (world.now - begin).total_millis();
    assert!((20_000..20_100).contains(&millis), "{millis}");
    assert!(world.until_free() < Duration::from_secs(2));
}

#[test]
fn an_upstream_without_an_address_of_ours_is_451_at_once() {
    // Port 0 can't be called.
    let mut world = World::<1, 1>::new((UPSTREAM, 0));
    assert_eq!(world.mail(), [451]);
    assert!(world.until_free() < Duration::from_secs(2));
}

#[test]
fn an_upstream_may_fail_at_each_line() {
    for failure in [Failure::Closes, Failure::Resets, Failure::Hangs] {
        for at in 0..6 {
            let mut world = World::<1, 1>::new((UPSTREAM, BAD_PORT));
            world.bad.fails = Some((at, failure));
            let begin = world.now;
            let heard = world.mail();
            assert_eq!(heard, [&YES[..at], &[451]].concat(), "{failure:?} {at}");
            let secs = (world.now - begin).secs();
            match failure {
                Failure::Hangs => assert_eq!(secs, [45, 30, 30, 60, 90, 450][at], "{at}"),
                _ => assert_eq!(secs, 0, "{failure:?} {at}"),
            }
            world.until_free();
            // And the next one is served by one that does not fail, as soon as it has a socket.
            world.bad.fails = None;
            world.clients.socket(world.bad.socket).abort();
            world.pass(Duration::from_millis(10));
            assert_eq!(world.mail(), YES, "{failure:?} {at}");
            assert!(world.bad.heard.iter().any(|heard| heard == "QUIT\r\n"), "{failure:?} {at}");
        }
    }
}

#[test]
fn an_upstream_that_does_not_answer_quit_keeps_the_place_for_a_second() {
    for failure in [Failure::Hangs, Failure::Closes, Failure::Resets] {
        let mut world = World::<1, 1>::new((UPSTREAM, BAD_PORT));
        world.bad.fails = Some((6, failure));
        assert_eq!(world.mail(), YES);
        let time = world.until_free();
        assert!(time <= Duration::from_millis(2_100), "{failure:?} {time}");
        assert_eq!(world.bad.heard.last().map(String::as_str), Some("QUIT\r\n"));
    }
}

#[test]
fn a_leg_without_a_socket_waits_for_one() {
    let mut world = World::<2, 1>::new((UPSTREAM, PORT));
    let first = world.connect();
    assert_eq!(world.reply(first), Some(220));
    // Its greeting is upstream's, which it can't hear yet.
    let second = world.connect();
    world.pass(Duration::from_secs(3));
    assert_eq!(world.clients.socket(second).state(), State::Established);
    assert_eq!(world.clients.socket(second).recv_queue(), 0);
    let begin = world.now;
    world.quit(first);
    assert_eq!(world.reply(second), Some(220));
    // Its call before has had its end: upstream is not kept waiting for an ACK.
    world.until("upstream has one client", |world| world.upstream.connections() == 1);
    assert!(world.now - begin < Duration::from_millis(100), "{}", world.now - begin);
    world.quit(second);
    world.until_free();
}

#[test]
fn clients_may_go_at_any_time_and_upstream_keeps_nothing() {
    for at in 0..6 {
        for is_reset in [false, true] {
            let mut world = World::<1, 1>::new((UPSTREAM, PORT));
            let client = world.connect();
            for (line, code) in LINES.iter().zip(YES).take(at) {
                world.say_if_open(client, line);
                assert_eq!(world.reply(client), Some(code));
            }
            if at == 5 {
                world.say(client, "Hi\r\n");
            }
            world.pass(Duration::from_millis(10));
            let socket = world.clients.socket(client);
            if is_reset {
                socket.abort();
            } else {
                socket.close();
            }
            world.pass(Duration::from_secs(3));
            world.until_free();
            world.until("upstream is free", |world| world.upstream.connections() == 0);
            for notes in world.upstream.handlers() {
                notes.clients();
                assert_eq!(notes.kept.len(), 0, "{at} {is_reset}");
            }
            assert_eq!(world.mail(), YES, "{at} {is_reset}");
        }
    }
}

#[test]
fn a_place_takes_its_next_client_when_its_leg_is_idle() {
    let mut world = World::<1, 1>::new((UPSTREAM, BAD_PORT));
    world.bad.fails = Some((3, Failure::Hangs));
    let first = world.connect();
    for (line, code) in LINES.iter().zip(YES).take(3) {
        world.say_if_open(first, line);
        assert_eq!(world.reply(first), Some(code));
    }
    // Upstream owes an answer; the client goes, the next one calls at once.
    world.clients.socket(first).abort();
    let second = world.connect();
    world.pass(Duration::from_millis(20));
    world.bad.fails = None;
    world.clients.socket(world.bad.socket).abort();
    assert_eq!(world.reply(second), Some(220));
    world.quit(second);
    world.until_free();
}

#[test]
fn a_place_takes_no_client_while_its_leg_still_has_to_say_something() {
    let mut world = World::<1, 1>::new((UPSTREAM, BAD_PORT));
    world.bad.fails = Some((3, Failure::Deafens));
    let first = world.connect();
    for (line, code) in LINES.iter().zip(YES).take(3) {
        world.say_if_open(first, line);
        assert_eq!(world.reply(first), Some(code));
    }
    // More than the rings of both ends hold.
    world.say(first, &LINES[3].repeat(120));
    world.pass(Duration::from_millis(100));
    world.clients.socket(first).abort();
    world.pass(Duration::from_millis(100));
    assert!(!world.relay.handlers()[0].0.is_idle());
    let (second, begin) = (world.connect(), world.now);
    world.pass(Duration::from_secs(20));
    assert_eq!(world.clients.socket(second).state(), State::SynSent);
    // Upstream is given up after a minute in which it took nothing.
    world.until("the second is there", |world| world.clients.socket(second).may_send());
    let secs = (world.now - begin).secs();
    assert!((58..=125).contains(&secs), "{secs}");
    assert_eq!(world.reply(second), Some(220));
    world.quit(second);
    world.until_free();
}

#[test]
fn an_upstream_that_is_slow_for_once_has_a_minute_from_then_on() {
    let mut world = World::<1, 1>::new((UPSTREAM, BAD_PORT));
    world.bad.fails = Some((3, Failure::Deafens));
    let client = world.connect();
    for (line, code) in LINES.iter().zip(YES).take(3) {
        world.say_if_open(client, line);
        assert_eq!(world.reply(client), Some(code));
        // The connection is older than a minute when it stops.
        world.pass(Duration::from_secs(30));
    }
    world.say(client, &LINES[3].repeat(120));
    world.pass(Duration::from_secs(50));
    assert_eq!(world.clients.socket(client).recv_queue(), 0);
    assert!(!world.relay.handlers()[0].0.is_idle());
    assert_eq!(world.reply(client), Some(451));
}

#[test]
fn a_dialers_socket_that_can_not_send_its_reset_is_free_a_second_later() {
    let mut world = World::<1, 1>::new((77, PORT));
    world.connect();
    world.pass(Duration::from_secs(59));
    world.stack.plug.is_mute = true;
    world.pass(Duration::from_millis(3_000));
    assert!(format!("{:?}", world.dialer).contains("call: Free"), "{:?}", world.dialer);
}

#[test]
fn ports_to_call_from_go_round() {
    // Two before the last one.
    let mut world = World::<1, 1>::new((UPSTREAM, PORT));
    let mut ports = Vec::new();
    for _ in 0..4 {
        let client = world.connect();
        assert_eq!(world.reply(client), Some(220));
        let ends = world.stack.tcp_sockets().map(|socket| socket.local_endpoint());
        ports.push(ends.last().flatten().expect("a call").port);
        world.quit(client);
        world.until_free();
        world.pass(Duration::from_secs(2));
    }
    assert_eq!(ports, [65_535, 49_152, 49_153, 49_154]);
}
