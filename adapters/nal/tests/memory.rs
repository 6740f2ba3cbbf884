//! The server over a stack in memory, on a clock that the tests move.

mod common;

use std::array;
use std::task::Waker;

use common::{Failure, Memory, Notes};
use smtpd_core::server::{Config, Extensions};
use smtpd_nal::{Next, Server};

const CONFIG: Config<'static> = Config::new("mx.example.org");
const ENVELOPE: &str = "EHLO c.example\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\n";
const HEARD: &str = "mail a@b.example; rcpt c@d.example";

struct World<'c, const N: usize, const INPUT: usize = 512, const OUTPUT: usize = 1024> {
    stack: Memory,
    server: Server<'c, Memory, Notes, N, INPUT, 512, OUTPUT>,
    now: u32,
}

impl<'c, const N: usize, const INPUT: usize, const OUTPUT: usize> World<'c, N, INPUT, OUTPUT> {
    fn new(config: &'c Config<'c>) -> Self {
        let mut stack = Memory::default();
        let mut server = Server::new(config, array::from_fn(|_| Notes::default()));
        server.bind(&mut stack, 25).expect("a port");
        assert_eq!(stack.listening, Some(25));
        // The clock wraps a second later.
        Self { stack, server, now: u32::MAX - 1_000 }
    }

    /// Polls until nothing moves; how long it may take until something does.
    fn run(&mut self) -> Option<u32> {
        let (mut waits, is_moody) = (0, self.stack.clients.iter().any(|client| client.is_moody));
        for _ in 0..100_000 {
            match self.server.poll(&mut self.stack, self.now, Waker::noop()).expect("no error") {
                Next::Now => waits = 0,
                // A call that would block now may not the next time.
                Next::Wait(_) if is_moody && waits < 3 => waits += 1,
                Next::Wait(time) => return time,
            }
        }
        panic!("the server spins");
    }

    fn wait(&mut self, millis: u32) -> Option<u32> {
        self.now = self.now.wrapping_add(millis);
        self.run()
    }

    fn connect(&mut self) -> usize {
        let client = self.stack.connect();
        self.run();
        client
    }

    /// What a client is answered.
    fn say(&mut self, client: usize, octets: impl AsRef<[u8]>) -> String {
        self.stack.say(client, octets);
        self.run();
        self.stack.heard(client)
    }

    fn notes(&mut self, place: usize) -> String {
        self.server.handlers()[place].take()
    }
}

/// The codes of all replies, their last lines'.
fn codes(said: &str) -> Vec<u16> {
    assert!(said.is_empty() || said.ends_with("\r\n"), "{said}");
    said.lines().filter(|line| line.as_bytes()[3] == b' ').map(|line| line[..3].parse().expect("a code")).collect()
}

#[test]
fn a_mail_in_every_cut() {
    for reads in [1, 2, 3, 7, 64, usize::MAX] {
        for sends in [1, 5, usize::MAX] {
            for is_moody in [false, true] {
                let mut world = World::<1, 64, 512>::new(&CONFIG);
                let client = world.stack.connect();
                let end = &mut world.stack.clients[client];
                (end.reads, end.sends, end.is_moody) = (reads, sends, is_moody);
                let said = world.say(client, ENVELOPE.to_owned() + "DATA\r\n..Hi\r\n.\r\nQUIT\r\n");
                assert_eq!(codes(&said), [220, 250, 250, 250, 354, 250, 221]);
                let heard = format!(r"connected 1000; {HEARD}; message .Hi\r\n; closed Quit");
                assert_eq!(world.notes(0), heard);
                world.stack.clients[client].is_done = true;
                assert_eq!(world.run(), None);
                assert_eq!((world.stack.clients[client].closed, world.server.connections()), (1, 0));
                assert_eq!(world.notes(0), "");
            }
        }
    }
}

#[test]
fn the_smallest_buffers_and_many_recipients() {
    let mut world = World::<1, 1, 512>::new(&CONFIG);
    let client = world.connect();
    let said = world.say(client, ENVELOPE.to_owned() + &"RCPT TO:<c@d.example>\r\n".repeat(100) + "DATA\r\n");
    assert_eq!(codes(&said).len(), 1 + 3 + 100 + 1);
}

#[test]
fn one_client_too_many_waits_for_a_place() {
    let mut world = World::<2>::new(&CONFIG);
    let [first, second, third] = array::from_fn(|_| world.stack.connect());
    assert_eq!(world.say(third, "QUIT\r\n"), "");
    assert_eq!((world.server.connections(), world.stack.queue.len()), (2, 1));
    assert_eq!(codes(&world.say(first, "")), [220]);
    assert_eq!(codes(&world.say(second, "QUIT\r\n")), [220, 221]);
    assert_eq!(world.stack.heard(third), "");
    world.stack.clients[second].is_done = true;
    world.run();
    assert_eq!(codes(&world.stack.heard(third)), [220, 221]);
    // The place's handler heard both, one after the other.
    assert_eq!(world.notes(1), "connected 1001; closed Quit; connected 1002; closed Quit");
    assert_eq!(world.notes(0), "connected 1000");
}

#[test]
fn a_silent_client_delays_nobody() {
    let mut world = World::<2>::new(&CONFIG);
    let silent = world.connect();
    let second = world.connect();
    world.stack.say(second, ENVELOPE.to_owned() + "DATA\r\n.\r\nQUIT\r\n");
    // In three turns, whatever the first one does not do.
    for _ in 0..3 {
        let _ = world.server.poll(&mut world.stack, world.now, Waker::noop());
    }
    assert_eq!(codes(&world.stack.heard(second)).last(), Some(&221));
    assert_eq!(codes(&world.stack.heard(silent)), [220]);
}

#[test]
fn a_busy_client_delays_nobody() {
    let mut world = World::<2>::new(&CONFIG);
    let busy = world.connect();
    let second = world.connect();
    world.stack.say(busy, "NOOP\r\n".repeat(10_000));
    world.stack.say(second, "QUIT\r\n");
    world.stack.heard(second);
    let _ = world.server.poll(&mut world.stack, world.now, Waker::noop());
    assert_eq!(codes(&world.stack.heard(second)), [221]);
    assert!(world.stack.clients[busy].to_server.len() > 50_000);
}

#[test]
fn time_is_up() {
    let mut world = World::<2>::new(&CONFIG);
    let client = world.connect();
    assert_eq!(codes(&world.stack.heard(client)), [220]);
    assert_eq!(world.wait(100_000), Some(200_000));
    // Single octets buy no time, commands do.
    assert_eq!(world.say(client, "NOO"), "");
    assert_eq!(world.wait(199_999), Some(1));
    assert_eq!(codes(&world.say(client, "P\r\n")), [250]);
    assert_eq!(world.wait(299_999), Some(1));
    assert_eq!(world.wait(1), Some(1_000));
    let said = world.stack.heard(client);
    assert!(said.starts_with("421 4.4.2 "), "{said}");
    assert_eq!(world.notes(0), "connected 1000; closed Expired");
    // It may read that for a second.
    assert_eq!(world.wait(999), Some(1));
    assert_eq!((world.wait(1), world.stack.clients[client].closed), (None, 1));
    assert_eq!((world.server.connections(), world.notes(0).as_str()), (0, ""));
}

#[test]
fn the_next_deadline_is_the_earliest() {
    let mut config = CONFIG;
    config.timers.session = 400;
    let mut world = World::<3>::new(&config);
    assert_eq!(world.run(), None);
    world.connect();
    assert_eq!(world.wait(1_000), Some(299_000));
    world.connect();
    assert_eq!(world.wait(2_000), Some(297_000));
    let client = world.connect();
    assert_eq!(codes(&world.say(client, "NOOP\r\n")), [220, 250]);
    assert_eq!(world.run(), Some(297_000));
    // Whichever place it has.
    world.stack.say(0, "NOOP\r\n");
    assert_eq!(world.run(), Some(298_000));
    assert_eq!(codes(&world.stack.heard(0)), [220, 250]);
    // All say something, but a session may not take longer than that.
    world.wait(297_000);
    for client in 0..3 {
        world.stack.say(client, "NOOP\r\n");
    }
    assert_eq!(world.run(), Some(100_000));
    world.stack.heard(0);
    assert_eq!(world.wait(99_999), Some(1));
    assert_eq!(world.wait(1), Some(1_000));
    assert_eq!(codes(&world.stack.heard(0)), [421]);
}

#[test]
fn an_answer_that_is_late() {
    let mut world = World::<2, 64>::new(&CONFIG);
    let client = world.connect();
    world.server.handlers()[0].is_later = true;
    assert_eq!(codes(&world.say(client, ENVELOPE.to_owned() + &"NOOP\r\n".repeat(100))), [220, 250, 250]);
    // What the buffer does not hold stays with the stack.
    assert!(world.stack.clients[client].to_server.len() >= 530);
    assert_eq!(world.wait(10_000), Some(230_000));
    // Others go on meanwhile.
    let second = world.connect();
    assert_eq!(codes(&world.say(second, ENVELOPE)), [220, 250, 250, 250]);
    world.server.handlers()[0].is_later = false;
    assert_eq!(codes(&world.say(client, "")), [250; 101]);
    world.server.handlers()[0].is_later = true;
    assert_eq!(world.say(client, "RCPT TO:<e@f.example>\r\n"), "");
    assert_eq!(world.wait(239_999), Some(1));
    world.wait(1);
    assert_eq!(codes(&world.stack.heard(client)), [421]);
    assert!(world.notes(0).ends_with("rcpt e@f.example; closed Expired"));
}

#[test]
fn a_handler_without_room() {
    let mut world = World::<1, 16>::new(&CONFIG);
    let client = world.connect();
    assert_eq!(codes(&world.say(client, ENVELOPE.to_owned() + "DATA\r\n")), [220, 250, 250, 250, 354]);
    world.server.handlers()[0].is_full = true;
    assert_eq!(world.say(client, "x".repeat(100)), "");
    assert_eq!(world.stack.clients[client].to_server.len(), 84);
    world.server.handlers()[0].is_full = false;
    assert_eq!(codes(&world.say(client, "\r\n.\r\n")), [250]);
    assert!(world.notes(0).ends_with(&format!(r"message {}\r\n", "x".repeat(100))));
}

#[test]
fn stop_ends_all() {
    let mut world = World::<3>::new(&CONFIG);
    let idle = world.connect();
    let in_text = world.connect();
    let slow = world.connect();
    assert_eq!(codes(&world.say(in_text, ENVELOPE.to_owned() + "DATA\r\nHi")).last(), Some(&354));
    world.stack.clients[slow].sends = 0;
    world.stack.say(slow, "NOOP\r\n");
    world.run();
    world.stack.heard(idle);
    world.stack.heard(slow);
    assert_eq!(world.server.stop(&mut world.stack), Ok(()));
    let late = world.stack.connect();
    assert_eq!(world.run(), Some(1_000));
    assert_eq!(world.stack.heard(idle), "421 4.3.2 Service stops, closing\r\n");
    assert_eq!(world.stack.heard(in_text), "421 4.3.2 Service stops, closing\r\n");
    assert_eq!(world.notes(0), "connected 1000; closed Stopping");
    assert_eq!(world.notes(1), format!("connected 1001; {HEARD}; closed Stopping"));
    assert_eq!(world.notes(2), "connected 1002; closed Stopping");
    assert_eq!((world.stack.listening, world.stack.queue.len()), (None, 1));
    // One that reads no reply has a second, too.
    assert_eq!(world.server.connections(), 3);
    assert_eq!(world.wait(1_000), None);
    assert_eq!((world.server.connections(), world.stack.heard(slow).as_str()), (0, ""));
    assert!([idle, in_text, slow].iter().all(|client| world.stack.clients[*client].closed == 1));
    // It can listen again.
    world.server.bind(&mut world.stack, 26).expect("a port");
    world.run();
    assert_eq!((world.stack.listening, codes(&world.stack.heard(late))), (Some(26), vec![220]));
    assert_eq!(world.notes(0), "connected 1003");
}

#[test]
fn a_client_that_ends_or_breaks_is_lost() {
    let breaks: [fn(&mut Memory, usize); 4] = [
        |stack, client| stack.clients[client].is_done = true,
        |stack, client| stack.clients[client].is_broken = true,
        // While something is to be sent.
        |stack, client| {
            stack.clients[client].is_broken = true;
            stack.clients[client].sends = 0;
        },
        // Behind half a command.
        |stack, client| {
            stack.say(client, "NO");
            stack.clients[client].is_done = true;
        },
    ];
    for (case, breaks) in breaks.into_iter().enumerate() {
        let mut world = World::<1>::new(&CONFIG);
        let client = world.connect();
        world.say(client, ENVELOPE);
        if case == 2 {
            world.stack.clients[client].sends = 0;
            world.say(client, "NOOP\r\n");
        }
        breaks(&mut world.stack, client);
        assert_eq!(world.run(), None, "{case}");
        assert_eq!(world.notes(0), format!("connected 1000; {HEARD}; closed Lost"), "{case}");
        assert_eq!((world.stack.clients[client].closed, world.server.connections()), (1, 0), "{case}");
        let next = world.connect();
        assert_eq!(codes(&world.stack.heard(next)), [220]);
    }
}

#[test]
fn a_client_that_says_all_and_ends_hears_all() {
    for sends in [1, usize::MAX] {
        let mut world = World::<1, 8, 512>::new(&CONFIG);
        let client = world.stack.connect();
        world.stack.clients[client].sends = sends;
        world.stack.clients[client].is_done = true;
        let said = world.say(client, ENVELOPE.to_owned() + &"NOOP\r\n".repeat(50) + "DATA\r\n.\r\n");
        assert_eq!(codes(&said).len(), 4 + 50 + 2);
        assert!(world.notes(0).ends_with("message ; closed Lost"));
        assert_eq!(world.server.connections(), 0);
    }
}

#[test]
fn a_client_that_does_not_read() {
    let mut world = World::<1, 64, 512>::new(&CONFIG);
    let client = world.connect();
    world.stack.clients[client].sends = 0;
    world.say(client, "NOOP\r\n".repeat(1_000));
    assert_eq!(codes(&world.stack.heard(client)), [] as [u16; 0]);
    // Its input stays where it is.
    assert!(world.stack.clients[client].to_server.len() > 5_000);
    assert_eq!(world.wait(299_999), Some(1));
    assert_eq!(world.wait(1), Some(1_000));
    assert_eq!(world.notes(0), "connected 1000; closed Expired");
    assert_eq!(world.wait(1_000), None);
    assert_eq!((world.stack.clients[client].closed, world.server.connections()), (1, 0));
}

#[test]
fn the_last_replies_have_time() {
    let mut world = World::<1>::new(&CONFIG);
    let client = world.connect();
    world.stack.heard(client);
    world.stack.clients[client].sends = 0;
    world.say(client, "NOOP\r\nQUIT\r\n");
    assert_eq!(world.notes(0), "connected 1000; closed Quit");
    assert_eq!(world.wait(200_000), Some(100_000));
    world.stack.clients[client].sends = 1;
    assert_eq!(world.run(), Some(1_000));
    assert_eq!(codes(&world.stack.heard(client)), [250, 221]);
    assert_eq!(world.stack.clients[client].closed, 0);
    world.stack.clients[client].is_done = true;
    world.run();
    assert_eq!(world.stack.clients[client].closed, 1);
    // Or as much as any.
    let client = world.connect();
    world.stack.clients[client].sends = 0;
    world.say(client, "QUIT\r\n");
    assert_eq!(world.wait(299_999), Some(1));
    assert_eq!((world.wait(1), world.stack.clients[client].closed), (None, 1));
}

#[test]
fn what_follows_the_end_is_thrown_away() {
    // Up to a second.
    let mut world = World::<1>::new(&CONFIG);
    let client = world.connect();
    assert_eq!(codes(&world.say(client, "QUIT\r\n")), [220, 221]);
    for _ in 0..9 {
        world.wait(100);
        assert_eq!(world.say(client, "MAIL FROM:<a@b.example>\r\n"), "");
        assert_eq!((world.stack.clients[client].to_server.len(), world.stack.clients[client].closed), (0, 0));
    }
    world.stack.say(client, "x");
    assert_eq!((world.wait(100), world.stack.clients[client].closed), (None, 1));
    // Up to 64 KiB.
    let client = world.connect();
    world.stack.say(client, format!("QUIT\r\n{}", "x".repeat(70_000)));
    world.run();
    assert_eq!((world.stack.clients[client].closed, world.server.connections()), (1, 0));
    let left = world.stack.clients[client].to_server.len();
    assert!((70_000 - 65_536 - 512..=70_000 - 65_536).contains(&left), "{left}");
    assert_eq!(world.notes(0), "connected 1000; closed Quit; connected 1001; closed Quit");
}

#[test]
fn errors_are_told_and_others_go_on() {
    let mut stack = Memory::default();
    let mut server = Server::<_, _, 2>::new(&CONFIG, [Notes::default(), Notes::default()]);
    for call in ["socket", "bind", "listen"] {
        stack.fails = Some(call);
        assert_eq!(server.bind(&mut stack, 25), Err(Failure(call)));
        assert!(server.listener().is_none() && stack.listening.is_none());
    }
    let first = stack.connect();
    // Without a listener nobody is accepted.
    assert_eq!(server.poll(&mut stack, 0, Waker::noop()), Ok(Next::Wait(None)));
    assert_eq!(server.bind(&mut stack, 25), Ok(()));
    assert!(server.listener().is_some());
    assert_eq!(server.poll(&mut stack, 0, Waker::noop()), Ok(Next::Now));
    stack.fails = Some("accept");
    stack.connect();
    assert_eq!(server.poll(&mut stack, 0, Waker::noop()), Err(Failure("accept")));
    assert_eq!(codes(&stack.heard(first)), [220]);
    stack.clients[first].is_done = true;
    stack.fails = Some("close");
    let errors = (0..9).filter(|_| server.poll(&mut stack, 0, Waker::noop()).is_err()).count();
    assert_eq!((errors, stack.clients[first].closed, server.connections()), (1, 1, 1));
    stack.fails = Some("close");
    assert_eq!(server.stop(&mut stack), Err(Failure("close")));
    assert!(server.listener().is_none());
}

#[test]
fn bind_leaves_the_port_before() {
    let mut world = World::<1>::new(&CONFIG);
    world.server.bind(&mut world.stack, 2525).expect("a port");
    assert_eq!(world.stack.listening, Some(2525));
    world.stack.fails = Some("close");
    assert_eq!(world.server.bind(&mut world.stack, 25), Err(Failure("close")));
}

#[test]
fn there_is_no_tls() {
    let mut config = CONFIG;
    config.extensions = config.extensions.with(Extensions::STARTTLS);
    let mut world = World::<1>::new(&config);
    let client = world.connect();
    let said = world.say(client, "EHLO c\r\nSTARTTLS\r\nNOOP\r\n");
    assert_eq!(codes(&said), [220, 250, 220]);
    assert_eq!(world.notes(0), "connected 1000; closed Fault");
    assert_eq!(world.wait(1_000), None);
    assert_eq!(world.stack.clients[client].closed, 1);
}
