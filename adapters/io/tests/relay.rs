//! A relay between a client that follows a script and a server in memory.

mod common;
#[path = "../../../core/tests/one_leg/mod.rs"]
mod one_leg;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::rc::Rc;
use std::task::Waker;

use common::{Act, Clock, Diary, Line, Verdict, octets};
use embedded_io::{ErrorKind, ErrorType, Read, Write};
use one_leg::OneLeg;
use smtpd_core::relay::Leg;
use smtpd_core::server::{Config, Ending, Peer, Progress, Session, step};
use smtpd_io::{Connect, Upstream, serve_relay};

const MAIL: &str = "EHLO c.example\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nRCPT TO:<e@d.example>\r\n\
    DATA\r\nHi\r\n..\r\n.\r\nQUIT\r\n";

static CONFIG: Config<'_> = Config::new("mx.example.org");
static UPSTREAM: Config<'_> = Config::new("upstream.example");

/// The server behind the relay, and how its connection behaves.
struct Server {
    session: Session<'static>,
    diary: Diary,
    input: Vec<u8>,
    is_flushed: bool,
    /// Octets that move at once.
    cut: usize,
    /// Two of three calls fail with a tick.
    is_slow: bool,
    calls: usize,
    /// Takes nothing and gives nothing.
    is_dead: bool,
    /// Its connection breaks when it hears this.
    breaks_at: Option<&'static str>,
    /// Once it heard MAIL, it answers when no more than so much is left of what the client says.
    waits_for: Option<(Rc<RefCell<VecDeque<Act>>>, usize)>,
}

impl Server {
    fn new(clock: &Clock) -> Self {
        Self {
            session: Session::new(&UPSTREAM, Peer::default()),
            diary: Diary::new(clock, |_| Verdict::Yes),
            input: Vec::new(),
            is_flushed: true,
            cut: usize::MAX,
            is_slow: false,
            calls: 0,
            is_dead: false,
            breaks_at: None,
            waits_for: None,
        }
    }

    fn ready(&mut self) -> Result<(), ErrorKind> {
        self.calls += 1;
        if self.breaks_at.is_some_and(|heard| self.diary.heard.iter().any(|it| it.starts_with(heard))) {
            return Err(ErrorKind::ConnectionReset);
        }
        if self.is_dead || (self.is_slow && !self.calls.is_multiple_of(3)) { Err(ErrorKind::TimedOut) } else { Ok(()) }
    }

    fn go_on(&mut self) {
        let mut input = &self.input[..];
        while step(&mut self.session, &mut input, &mut self.diary, Waker::noop()) == Progress::Moved {}
        self.input = input.to_vec();
    }
}

#[derive(Clone)]
struct Wire(Rc<RefCell<Server>>);

impl ErrorType for Wire {
    type Error = ErrorKind;
}

impl Read for Wire {
    fn read(&mut self, to: &mut [u8]) -> Result<usize, ErrorKind> {
        let mut server = self.0.borrow_mut();
        server.ready()?;
        server.go_on();
        let has_mail = server.diary.heard.iter().any(|heard| heard.starts_with("mail"));
        if has_mail && server.waits_for.as_ref().is_some_and(|(reads, left)| reads.borrow().len() > *left) {
            return Err(ErrorKind::TimedOut);
        }
        let count = server.session.output().len().min(to.len()).min(server.cut);
        if count == 0 {
            return if server.session.ending().is_some() { Ok(0) } else { Err(ErrorKind::TimedOut) };
        }
        to[..count].copy_from_slice(&server.session.output()[..count]);
        server.session.sent(count);
        Ok(count)
    }
}

impl Write for Wire {
    fn write(&mut self, octets: &[u8]) -> Result<usize, ErrorKind> {
        let mut server = self.0.borrow_mut();
        server.ready()?;
        let count = octets.len().min(server.cut);
        server.input.extend_from_slice(&octets[..count]);
        server.is_flushed = false;
        server.go_on();
        Ok(count)
    }
    fn flush(&mut self) -> Result<(), ErrorKind> {
        self.0.borrow_mut().is_flushed = true;
        Ok(())
    }
}

/// Connects to the server, after so many ticks; or not at all.
struct Network {
    server: Rc<RefCell<Server>>,
    ticks: usize,
    is_down: bool,
    closed: usize,
}

impl Connect for Network {
    type Io = Wire;
    type Error = ErrorKind;

    fn connect(&mut self, leg: usize, address: SocketAddr) -> Result<Wire, ErrorKind> {
        assert_eq!((leg, address.port()), (0, 25));
        if self.is_down {
            return Err(ErrorKind::ConnectionRefused);
        }
        if self.ticks > 0 {
            self.ticks -= 1;
            return Err(ErrorKind::TimedOut);
        }
        Ok(Wire(Rc::clone(&self.server)))
    }

    fn closed(&mut self, _: usize, _: Wire) {
        self.closed += 1;
    }
}

struct Test {
    line: Line,
    server: Rc<RefCell<Server>>,
    network: Network,
    /// Buffers of the client's and of the leg's end.
    buffers: (usize, usize),
}

impl Test {
    fn new(mut line: Line) -> Self {
        line.idle = 1;
        let server = Rc::new(RefCell::new(Server::new(&line.clock)));
        let network = Network { server: Rc::clone(&server), ticks: 0, is_down: false, closed: 0 };
        Self { line, server, network, buffers: (512, 512) }
    }

    fn run(&mut self) -> Result<Ending, ErrorKind> {
        let mut relay = OneLeg(Leg::new("192.0.2.1:25".parse().unwrap(), "relay.example"));
        let mut session = Session::new(&CONFIG, Peer::default());
        let (mut buffer, mut upstream) = (vec![0; self.buffers.0], vec![0; self.buffers.1]);
        let clock = self.line.clock.clone();
        let ended = serve_relay(
            &mut self.line,
            &mut session,
            &mut relay,
            &mut [Upstream::new(&mut upstream)],
            &mut self.network,
            &clock,
            &mut buffer,
        );
        assert!(relay.0.is_idle());
        assert_eq!(relay.0.output(), b"");
        self.server.borrow_mut().go_on();
        ended
    }

    fn heard(&self) -> Vec<String> {
        self.server.borrow().diary.heard.clone()
    }
}

#[test]
fn a_mail_in_every_cut() {
    for cut in [1, 2, 7, usize::MAX] {
        for size in [1, 3, 512] {
            for is_slow in [false, true] {
                let mut test = Test::new(Line::saying(MAIL).cut(cut));
                test.buffers = (size, size);
                test.server.borrow_mut().cut = cut;
                test.server.borrow_mut().is_slow = is_slow;
                test.network.ticks = 3;
                assert_eq!(test.run(), Ok(Ending::Quit), "{cut} {size}");
                let said = test.line.said();
                assert!(
                    said.ends_with("354 End data with <CR><LF>.<CR><LF>\r\n250 2.0.0 OK\r\n221 2.0.0 Bye\r\n"),
                    "{said}"
                );
                assert!(test.line.is_flushed());
                let expected = [
                    "connected",
                    "hello relay.example",
                    "mail a@b.example",
                    "rcpt c@d.example",
                    "rcpt e@d.example",
                    "data",
                    "text Hi\\r\\n.\\r\\n",
                    "message",
                    "closed Quit",
                ];
                assert_eq!(test.heard(), expected, "{cut} {size}");
                assert_eq!(test.network.closed, 1);
                assert!(test.server.borrow().is_flushed);
                if !is_slow {
                    // Only while it connects: at all other times something moves.
                    assert_eq!(test.line.clock.1.get(), 3, "{cut} {size}");
                }
            }
        }
    }
}

#[test]
fn a_server_that_can_not_be_reached() {
    for case in 0..3 {
        let mut test = Test::new(Line::saying(MAIL));
        match case {
            0 => test.network.is_down = true,
            1 => test.buffers.1 = 0,
            _ => test.server.borrow_mut().breaks_at = Some(""),
        }
        if case == 2 {
            test.server.borrow_mut().diary.heard.push("x".into());
        }
        assert_eq!(test.run(), Ok(Ending::Quit), "{case}");
        let lost = if case == 2 { "451 4.4.2 Next server lost" } else { "451 4.4.1 Next server away" };
        assert!(test.line.said().starts_with(lost), "{case}: {}", test.line.said());
        assert_eq!(test.network.closed, usize::from(case == 2));
    }
}

#[test]
fn a_server_that_breaks_off_is_a_451() {
    let mut test = Test::new(Line::saying(MAIL));
    test.server.borrow_mut().breaks_at = Some("data");
    assert_eq!(test.run(), Ok(Ending::Quit));
    assert!(test.line.said().contains("451 4.4.2 Next server lost"), "{}", test.line.said());
    assert!(!test.heard().contains(&"message".into()));
}

#[test]
fn a_server_that_never_answers_costs_the_legs_time() {
    let mut test = Test::new(Line::saying(MAIL));
    test.server.borrow_mut().is_dead = true;
    assert_eq!(test.run(), Ok(Ending::Quit));
    assert!(test.line.said().starts_with("451 4.4.2 Next server too slow"), "{}", test.line.said());
    let secs = test.line.clock.0.get() / 1_000;
    assert!((45..=47).contains(&secs), "{secs}");
    assert_eq!(test.network.closed, 1);
}

#[test]
fn a_server_that_does_not_take_quit_is_left() {
    // It dies when the client has the last answer.
    let mut test = Test::new(Line::new([octets(&MAIL.replace("QUIT\r\n", "")), Act::Tick(1_000), octets("QUIT\r\n")]));
    let server = Rc::clone(&test.server);
    let clock = test.line.clock.clone();
    let mut relay = OneLeg(Leg::new("192.0.2.1:25".parse().unwrap(), "relay.example"));
    let mut session = Session::new(&CONFIG, Peer::default());
    let mut upstream = [0; 64];
    /// A client that silences the server once it has been answered.
    struct Silencer(Line, Rc<RefCell<Server>>);
    impl ErrorType for Silencer {
        type Error = ErrorKind;
    }
    impl Read for Silencer {
        fn read(&mut self, to: &mut [u8]) -> Result<usize, ErrorKind> {
            let is_over = self.0.said().contains("250 2.0.0 OK");
            self.1.borrow_mut().is_dead = is_over;
            Read::read(&mut self.0, to)
        }
    }
    impl Write for Silencer {
        fn write(&mut self, octets: &[u8]) -> Result<usize, ErrorKind> {
            Write::write(&mut self.0, octets)
        }
        fn flush(&mut self) -> Result<(), ErrorKind> {
            Write::flush(&mut self.0)
        }
    }
    let ended = serve_relay(
        &mut Silencer(test.line.clone(), server),
        &mut session,
        &mut relay,
        &mut [Upstream::new(&mut upstream)],
        &mut test.network,
        &clock,
        &mut [0; 64],
    );
    assert_eq!(ended, Ok(Ending::Quit));
    assert!(relay.0.is_idle());
    assert_eq!(test.network.closed, 1);
    assert!((10..=13).contains(&(clock.0.get() / 1_000)), "{}", clock.0.get());
}

#[test]
fn a_client_that_is_lost_within_its_text_leaves_no_message() {
    let (start, _) = MAIL.split_at(MAIL.find("..").unwrap());
    for last in [Act::Zero, Act::Fail(ErrorKind::ConnectionReset)] {
        let mut test = Test::new(Line::new([octets(start), last.clone()]));
        let expected = if let Act::Fail(kind) = last { Err(kind) } else { Ok(Ending::Lost) };
        assert_eq!(test.run(), expected);
        assert!(!test.heard().contains(&"message".into()), "{:?}", test.heard());
    }
}

#[test]
fn a_pipelined_group_is_passed_on_before_it_is_answered() {
    let lines = MAIL.split_inclusive("\r\n").map(octets);
    let mut test = Test::new(Line::new(lines));
    // Of its ten lines, those from DATA on.
    test.server.borrow_mut().waits_for = Some((Rc::clone(&test.line.reads), 6));
    assert_eq!(test.run(), Ok(Ending::Quit));
}

#[test]
fn what_was_said_before_the_end_is_answered() {
    let said = "EHLO c.example\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\n";
    let mut test = Test::new(Line::new([octets(said), Act::Zero]));
    test.server.borrow_mut().is_slow = true;
    assert_eq!(test.run(), Ok(Ending::Lost));
    assert!(test.line.said().ends_with("250 2.1.0 OK\r\n250 2.1.5 OK\r\n"), "{}", test.line.said());
}

#[test]
fn a_leg_without_an_end_is_lost() {
    let mut relay = OneLeg(Leg::new("192.0.2.1:25".parse().unwrap(), "relay.example"));
    let mut test = Test::new(Line::new([Act::Tick(1), octets(MAIL)]));
    let mut session = Session::new(&CONFIG, Peer::default());
    let clock = test.line.clock.clone();
    let ended = serve_relay(&mut test.line, &mut session, &mut relay, &mut [], &mut test.network, &clock, &mut [0; 64]);
    assert_eq!(ended, Ok(Ending::Quit));
    assert_eq!(clock.1.get(), 1, "it rests where nothing moves");
    assert!(test.line.said().starts_with("451 4.4.1 Next server away"), "{}", test.line.said());
    let mut session = Session::new(&CONFIG, Peer::default());
    let mut line = Line::saying(MAIL);
    let ended = serve_relay(&mut line, &mut session, &mut relay, &mut [], &mut test.network, &clock, &mut []);
    assert_eq!((ended, line.said().as_str()), (Ok(Ending::Fault), "421 4.3.0 Internal error, closing\r\n"));
}
