//! How connections end: resets, peers that vanish, cables that are pulled, a server that stops, and the timers.

mod common;

use common::cable::Faults;
use common::client::{ENVELOPE, End, MAIL, MAIL_CODES, MAIL_HEARD, codes};
use common::frames::Segment;
use common::notes::Notes;
use common::world::World;
use smoltcp::iface::SocketHandle;
use smoltcp::phy::Medium;
use smoltcp::socket::tcp::State;
use smoltcp::time::{Duration, Instant};
use smoltcp::wire::{Ipv4Address, TcpControl};
use smtpd_core::server::Config;

const CONFIG: Config<'static> = Config::new("mx.example.org");
const RINGS: (usize, usize) = (2_048, 512);

fn world<const N: usize>() -> World<'static, Notes, N> {
    World::with_rings::<2048, 512>(&CONFIG, std::array::from_fn(|_| Notes::default()))
}

/// The states of the server's sockets.
fn states<const N: usize>(world: &World<'_, Notes, N>) -> Vec<State> {
    world.stack.tcp_sockets().map(|socket| socket.state()).collect()
}

/// A client that was told that its text may come.
fn in_text<const N: usize>(world: &mut World<'_, Notes, N>) -> SocketHandle {
    let client = world.connected();
    world.say(client, ENVELOPE.to_owned() + "DATA\r\nHi\r\n");
    assert_eq!(codes(&world.heard_within(client, 100)), MAIL_CODES[..5]);
    client
}

/// Time until the place is free and its socket listens.
fn time_until_free(world: &mut World<'_, Notes, 1>) -> Duration {
    let begin = world.now;
    world.until("the socket listens", |world| states(world) == [State::Listen]);
    world.now - begin
}

fn is_served(world: &mut World<'_, Notes, 1>) {
    let begin = world.now;
    let client = world.connected();
    world.say(client, MAIL);
    assert_eq!(codes(&world.heard_to_the_end(client)), MAIL_CODES);
    assert!(world.now - begin < Duration::from_millis(100), "{}", world.now - begin);
    world.client(client).close();
    world.until_empty();
    assert!(world.server.handlers()[0].take().ends_with(MAIL_HEARD));
}

#[test]
fn a_reset_inside_the_text_is_heard_once_and_nothing_is_kept() {
    let mut world = world::<1>();
    let client = in_text(&mut world);
    world.say(client, "there");
    world.pass(Duration::from_millis(1));
    world.client(client).abort();
    assert!(time_until_free(&mut world) < Duration::from_millis(10));
    assert_eq!(world.server.handlers()[0].take(), "connected; mail a@b.example; closed Lost");
    assert_eq!((world.server.connections(), world.server.handlers()[0].kept.len()), (0, 0));
    is_served(&mut world);
    assert_eq!(world.server.handlers()[0].kept, [b"Hi\r\n"]);
}

#[test]
fn a_reset_right_after_the_connection_or_in_the_farewell_frees_the_place() {
    for text in ["", "QUIT\r\n", "EHLO c\r\n"] {
        let mut world = world::<1>();
        let client = world.connect();
        while !world.client(client).may_send() {
            world.poll();
        }
        world.say(client, text);
        world.clients.poll(world.now);
        if text != "EHLO c\r\n" {
            world.poll();
        }
        world.client(client).abort();
        assert!(time_until_free(&mut world) < Duration::from_millis(10), "{text}");
        // One whose session began has an end.
        world.server.handlers()[0].clients();
        world.server.handlers()[0].take();
        is_served(&mut world);
    }
}

/// A host that answers nothing.
const NOWHERE: Ipv4Address = Ipv4Address::new(192, 0, 2, 99);

#[test]
fn a_reset_of_half_a_connection_frees_the_place_and_no_handler_hears_of_it() {
    let mut world = world::<1>();
    world.clients.plug.send(&Segment::syn(NOWHERE, 1_000).packet(), world.now);
    world.poll();
    assert_eq!((states(&world), world.server.connections()), (vec![State::SynReceived], 0));
    let rst = Segment { control: TcpControl::Rst, seq: 2, ..Segment::syn(NOWHERE, 1_000) };
    world.clients.plug.send(&rst.packet(), world.now);
    world.poll();
    assert_eq!((states(&world), world.server.handlers()[0].take().as_str()), (vec![State::Listen], ""));
    is_served(&mut world);
}

#[test]
fn half_a_connection_is_given_up_after_eight_seconds() {
    let mut world = world::<1>();
    // The clock wraps meanwhile.
    world.now = Instant::from_millis(i64::from(u32::MAX) - 1_000);
    world.clients.plug.send(&Segment::syn(NOWHERE, 1_000).packet(), world.now);
    world.poll();
    assert_eq!(states(&world), [State::SynReceived]);
    let time = time_until_free(&mut world).total_millis();
    assert!((6_000..6_010).contains(&time), "{time}");
    assert_eq!(world.server.handlers()[0].take(), "");
    is_served(&mut world);
}

/// Cuts the cable, and says after how many milliseconds the socket listens again.
fn cut(world: &mut World<'_, Notes, 1>) -> u64 {
    world.set_faults(Faults::CUT);
    time_until_free(world).total_millis()
}

#[test]
fn a_client_that_vanishes_is_given_up_after_two_minutes() {
    // Idle, inside the text, and with output that it did not acknowledge.
    let mut idle = world::<1>();
    let client = idle.connected();
    assert_eq!(codes(&idle.heard_within(client, 100)), [220]);
    let mut within_text = world::<1>();
    in_text(&mut within_text);
    let mut unread = world::<1>();
    let client = unread.connected();
    unread.heard_within(client, 100);
    unread.say(client, "NOOP\r\n");
    unread.clients.poll(unread.now);
    for (mut world, heard) in [
        (idle, "connected; closed Lost"),
        (within_text, "connected; mail a@b.example; closed Lost"),
        (unread, "connected; closed Lost"),
    ] {
        let millis = cut(&mut world);
        // It was heard of for the last time a little before; an RST has a second to leave.
        assert!((119_000..=121_100).contains(&millis), "{heard} {millis}");
        assert_eq!((world.server.handlers()[0].take().as_str(), world.server.connections()), (heard, 0));
        world.set_faults(Faults::NONE);
        world.pass(Duration::from_secs(400));
        world.server.handlers()[0].take();
        is_served(&mut world);
    }
}

#[test]
fn a_client_that_vanishes_in_the_farewell_has_a_second_or_two_minutes() {
    // It has read everything, and does not end.
    let mut world = world::<1>();
    let client = world.connected();
    world.say(client, "QUIT\r\n");
    assert_eq!(codes(&world.heard_within(client, 100)), [220, 221]);
    let millis = cut(&mut world);
    assert!((880..=2_000).contains(&millis), "{millis}");
    // It did not acknowledge the last reply.
    let mut world = self::world::<1>();
    let client = world.connected();
    world.heard_within(client, 100);
    world.say(client, "QUIT\r\n");
    world.clients.poll(world.now);
    let millis = cut(&mut world);
    assert!((119_000..=121_100).contains(&millis), "{millis}");
    assert_eq!(world.server.handlers()[0].take(), "connected; closed Quit");
}

#[test]
fn what_follows_the_end_is_thrown_away() {
    // Up to a second.
    let mut world = world::<1>();
    let client = world.connected();
    world.say(client, "QUIT\r\n");
    assert_eq!(codes(&world.heard_within(client, 10)), [220, 221]);
    let begin = world.now;
    let mut said = 0;
    while world.end_of(client) == End::Orderly && world.client(client).may_send() {
        world.say(client, "MAIL FROM:<a@b.example>\r\n");
        said += 1;
        world.pass(Duration::from_millis(50));
    }
    let millis = (world.now - begin).total_millis();
    assert!((900..=1_100).contains(&millis) && said > 10, "{millis} {said}");
    assert_eq!(
        (states(&world), world.server.handlers()[0].take().as_str()),
        (vec![State::Listen], "connected; closed Quit")
    );
    // Up to 64 KiB.
    let client = world.connected();
    world.say(client, "QUIT\r\n");
    world.pass(Duration::from_millis(10));
    let (begin, mut sent) = (world.now, 0);
    while world.client(client).may_send() {
        sent += world.client(client).send_slice(&[b'x'; 4_096]).unwrap_or(0);
        world.poll();
    }
    assert!((65_536..65_536 + 3 * 4_096).contains(&sent), "{sent}");
    assert_eq!(world.now, begin);
}

#[test]
fn text_and_ends_are_acknowledged_at_once() {
    let mut world = world::<1>();
    let client = in_text(&mut world);
    let begin = world.now;
    world.say(client, "there\r\n");
    world.until("text is acknowledged", |world| world.client(client).send_queue() == 0);
    world.say(client, ".\r\nQUIT\r\n");
    assert_eq!(codes(&world.heard_to_the_end(client)), [250, 221]);
    // Behind what is thrown away; the socket does not listen again before.
    world.say(client, "NOOP\r\n");
    world.client(client).close();
    world.until("its end is acknowledged", |world| world.client(client).state() == State::Closed);
    assert_eq!(world.now, begin);
}

#[test]
fn stop_says_so_to_every_client_and_listens_no_longer() {
    let mut world = world::<3>();
    let idle = world.connected();
    let text = in_text(&mut world);
    assert_eq!(codes(&world.heard(idle)), [220]);
    world.server.stop();
    assert_eq!(world.heard_to_the_end(idle), "421 4.3.2 Service stops, closing\r\n");
    assert_eq!(world.heard_to_the_end(text), "421 4.3.2 Service stops, closing\r\n");
    assert_eq!([idle, text].map(|client| world.end_of(client)), [End::Orderly; 2]);
    let late = world.connect();
    world.until("nobody listens", |world| world.end_of(late) == End::Reset);
    assert_eq!(world.server.connections(), 2);
    world.client(idle).close();
    world.pass(Duration::from_millis(50));
    assert_eq!(world.server.connections(), 1);
    let begin = world.now;
    world.until_empty();
    assert!(world.now - begin <= Duration::from_secs(2), "{}", world.now - begin);
    assert_eq!(world.server.handlers()[0].take(), "connected; closed Stopping");
    assert_eq!(world.server.handlers()[1].take(), "connected; mail a@b.example; closed Stopping");
    assert_eq!(world.server.handlers()[2].take(), "");
    // One is closed at once, one in TIME-WAIT for 10 s.
    world.pass(Duration::from_secs(11));
    assert_eq!(states(&world), [State::Closed; 3]);
    // It can listen again.
    world.server.listen(common::stack::PORT);
    let client = world.connected();
    world.say(client, MAIL);
    assert_eq!(codes(&world.heard_to_the_end(client)), MAIL_CODES);
}

#[test]
fn who_is_half_connected_when_the_server_stops_is_told_too() {
    let mut world = world::<1>();
    let client = world.connect();
    world.clients.poll(world.now);
    // The server takes the SYN; its answer is on the cable.
    let server = &mut world.server;
    let stack = &mut world.stack;
    server.poll(world.now, &mut stack.interface, &mut stack.plug, &mut stack.sockets, std::task::Waker::noop());
    assert_eq!(states(&world), [State::SynReceived]);
    world.server.stop();
    assert_eq!(world.heard_to_the_end(client), "421 4.3.2 Service stops, closing\r\n");
    world.client(client).close();
    world.until_empty();
    assert_eq!(world.server.handlers()[0].take(), "closed Stopping");
    world.pass(Duration::from_secs(11));
    assert_eq!(states(&world), [State::Closed]);
}

#[test]
fn a_client_that_does_not_read_when_the_server_stops_has_a_second() {
    let mut world = world::<1>();
    let client = world.clients.add(16, 4_096);
    world.clients.connect(client, common::world::SERVER);
    world.until("a client connects", |world| world.client(client).may_send());
    world.pass(Duration::from_millis(100));
    world.server.stop();
    // Twice is once.
    world.server.stop();
    let begin = world.now;
    world.until_empty();
    let millis = (world.now - begin).total_millis();
    assert!((999..1_010).contains(&millis), "{millis}");
    assert_eq!(world.server.handlers()[0].take(), "connected; closed Stopping");
}

/// After how many milliseconds a client is told to go, and what its handler then heard.
fn time_of_421(world: &mut World<'_, Notes, 1>, client: SocketHandle) -> u64 {
    let begin = world.now;
    let said = world.heard_to_the_end(client);
    let millis = (world.now - begin).total_millis();
    assert!(said.ends_with("421 4.4.2 Timeout, closing\r\n"), "{said}");
    world.client(client).close();
    world.until_empty();
    assert!(world.server.handlers()[0].take().ends_with("closed Expired"));
    millis
}

#[track_caller]
fn assert_seconds(millis: u64, seconds: u64) {
    assert!((seconds * 1_000 - 1..seconds * 1_000 + 20).contains(&millis), "{millis} ms for {seconds} s");
}

#[test]
fn each_timer_runs_out_in_its_time() {
    // None is a multiple of another, and the clock wraps in the midst of them.
    let mut config = CONFIG;
    (config.timers.command, config.timers.text, config.timers.message) = (11, 7, 5);
    let world = || {
        let mut world = World::<_, 1>::new(&config, [Notes::default()], RINGS, Faults::NONE, 1);
        world.now = Instant::from_millis(i64::from(u32::MAX) - 1_000);
        world
    };
    let mut silent = world();
    let client = silent.connected();
    assert_seconds(time_of_421(&mut silent, client), 11);
    // Behind a command it begins anew, behind half of one it does not.
    let mut slow = world();
    let client = slow.connected();
    slow.pass(Duration::from_secs(10));
    slow.say(client, "NOOP\r\n");
    slow.pass(Duration::from_secs(10));
    slow.say(client, "NOO");
    assert!((995..=1_005).contains(&time_of_421(&mut slow, client)));
    let mut within_text = world();
    let client = within_text.connected();
    within_text.say(client, ENVELOPE.to_owned() + "DATA\r\nHi\r\n");
    assert_seconds(time_of_421(&mut within_text, client), 7);
    let mut late = world();
    late.server.handlers()[0].is_later = true;
    let client = late.connected();
    late.say(client, MAIL);
    assert_seconds(time_of_421(&mut late, client), 5);
    assert_eq!(late.server.handlers()[0].kept.len(), 0);
}

/// Never answers what it is asked first at this place.
struct Late(&'static str, u8);

impl smtpd_core::server::Handler for Late {
    fn connected(&mut self, _: smtpd_core::server::Peer) -> smtpd_core::server::Answer<'_> {
        self.answer("connected")
    }
    fn mail(&mut self, _: smtpd_core::server::Mail<'_>) -> smtpd_core::server::Answer<'_> {
        self.answer("mail")
    }
    fn rcpt(&mut self, _: smtpd_core::server::Rcpt<'_>) -> smtpd_core::server::Answer<'_> {
        self.answer("rcpt")
    }
    fn data(&mut self) -> smtpd_core::server::Answer<'_> {
        self.answer("data")
    }
    fn text(&mut self, _: &[u8]) -> smtpd_core::server::Flow<'_> {
        smtpd_core::server::Flow::Continue
    }
    fn message(&mut self, _: u16) -> smtpd_core::server::Answer<'_> {
        self.answer("message")
    }
    fn closed(&mut self, _: smtpd_core::server::Ending) {
        self.1 += 1;
    }
}

impl Late {
    fn answer(&self, question: &str) -> smtpd_core::server::Answer<'_> {
        if self.0 == question { smtpd_core::server::Answer::Later } else { smtpd_core::server::Answer::Accept }
    }
}

#[test]
fn each_question_has_its_time() {
    let mut config = CONFIG;
    (config.timers.answer, config.timers.data, config.timers.message) = (13, 7, 17);
    for (question, seconds) in [("connected", 13), ("mail", 13), ("rcpt", 13), ("data", 7), ("message", 17)] {
        let mut world = World::<_, 1>::new(&config, [Late(question, 0)], RINGS, Faults::NONE, 1);
        let client = world.connected();
        world.say(client, MAIL);
        let begin = world.now;
        let said = world.heard_to_the_end(client);
        assert_eq!(codes(&said).last(), Some(&421), "{question}");
        assert_seconds((world.now - begin).total_millis(), seconds);
        assert_eq!(world.server.handlers()[0].1, 1, "{question}");
    }
}

#[test]
fn output_that_is_not_read_has_its_time() {
    for timers in [(9, 300, 0), (300, 9, 0), (300, 300, 9)] {
        let mut config = CONFIG;
        (config.timers.output, config.timers.command, config.timers.session) = timers;
        let mut world = World::<_, 1>::new(&config, [Notes::default()], (2_048, 64), Faults::NONE, 1);
        let client = world.clients.add(16, 4_096);
        world.clients.connect(client, common::world::SERVER);
        world.until("a client connects", |world| world.client(client).may_send());
        if timers.0 == 9 {
            // So many that they fill its window, and the ring.
            world.say(client, "NOOP\r\n".repeat(50));
        }
        let begin = world.now;
        world.until("it is ended", |world| world.server.handlers()[0].heard.len() == 2);
        assert_seconds((world.now - begin).total_millis(), 9);
        assert_eq!(world.server.handlers()[0].take(), "connected; closed Expired");
        // It does not get that time twice.
        let begin = world.now;
        world.until_empty();
        assert_seconds((world.now - begin).total_millis(), 1);
    }
}

#[test]
fn the_next_deadline_is_the_earliest() {
    let mut config = CONFIG;
    config.timers.command = 11;
    let mut world = World::<_, 2>::new(&config, std::array::from_fn(|_| Notes::default()), RINGS, Faults::NONE, 1);
    let first = world.connected();
    let begin = world.now;
    world.pass(Duration::from_secs(5));
    let second = world.connected();
    for (client, seconds) in [(first, 11), (second, 16)] {
        assert!(world.heard_to_the_end(client).ends_with("421 4.4.2 Timeout, closing\r\n"));
        assert_seconds((world.now - begin).total_millis(), seconds);
    }
}

#[test]
fn a_last_reply_that_is_not_read_when_the_server_stops_has_a_second() {
    let mut world = world::<1>();
    let client = world.clients.add(16, 4_096);
    world.clients.connect(client, common::world::SERVER);
    world.until("a client is there", |world| world.server.connections() == 1);
    world.say(client, "QUIT\r\n");
    world.pass(Duration::from_secs(5));
    assert_eq!(world.server.connections(), 1);
    let begin = world.now;
    world.server.stop();
    world.until_empty();
    let millis = (world.now - begin).total_millis();
    assert!(millis <= 1_001, "{millis}");
    assert_eq!(world.server.handlers()[0].take(), "connected; closed Quit");
}

#[test]
fn the_last_reply_has_as_much_time_as_any() {
    let mut config = CONFIG;
    config.timers.output = 20;
    let mut world = World::<_, 1>::new(&config, [Notes::default()], RINGS, Faults::NONE, 1);
    for reads in [true, false] {
        let client = world.clients.add(16, 4_096);
        world.clients.connect(client, common::world::SERVER);
        world.until("a client is there", |world| world.server.connections() == 1);
        world.say(client, "QUIT\r\n");
        if reads {
            world.pass(Duration::from_secs(19));
            assert_eq!(codes(&world.heard_to_the_end(client)), [220, 221]);
            let begin = world.now;
            world.until_empty();
            // All is read: its end has a second.
            assert_seconds((world.now - begin).total_millis(), 1);
        } else {
            let begin = world.now;
            world.until_empty();
            assert_seconds((world.now - begin).total_millis(), 20);
        }
        assert_eq!(world.server.handlers()[0].take(), "connected; closed Quit");
    }
}

#[test]
fn a_session_that_may_take_so_long_is_ended_whatever_it_does() {
    let mut config = CONFIG;
    config.timers.session = 30;
    let mut world = World::<_, 1>::new(&config, [Notes::default()], RINGS, Faults::NONE, 1);
    let client = world.connected();
    let begin = world.now;
    let mut said = String::new();
    while world.end_of(client) == End::None {
        world.say(client, "NOOP\r\n");
        said += &world.heard_within(client, 700);
    }
    assert!(said.ends_with("421 4.4.2 Timeout, closing\r\n"), "{said}");
    assert!((30_000..30_750).contains(&(world.now - begin).total_millis()));
}

#[test]
fn a_cable_that_is_out_at_first_or_in_the_midst_costs_time_only() {
    for medium in [Medium::Ip, Medium::Ethernet] {
        let faults = Faults { medium, ..Faults::NONE };
        let mut world = World::<_, 1>::new(&CONFIG, [Notes::default()], RINGS, Faults { loss: 1, ..faults }, 1);
        let client = world.connect();
        world.pass(Duration::from_secs(20));
        assert_eq!(states(&world), [State::Listen]);
        world.set_faults(faults);
        world.until("a client connects", |world| world.client(client).may_send());
        world.say(client, ENVELOPE.to_owned() + "DATA\r\nHi\r\n");
        world.pass(Duration::from_secs(1));
        world.set_faults(Faults { loss: 1, ..faults });
        world.say(client, "there\r\n.\r\nQUIT\r\n");
        world.pass(Duration::from_secs(30));
        world.set_faults(faults);
        assert_eq!(codes(&world.heard_to_the_end(client)), MAIL_CODES, "{medium:?}");
        assert_eq!(world.server.handlers()[0].kept, [b"Hi\r\nthere\r\n"]);
    }
}

#[test]
fn a_device_that_can_not_send_for_a_while_costs_time_only() {
    // Five turns out of seven.
    let mut world = World::<_, 1>::new(&CONFIG, [Notes::default()], RINGS, Faults::NONE, 1);
    let client = world.connect();
    let (mut said, mut has_spoken) = (String::new(), false);
    for turn in 0..20_000 {
        world.stack.plug.is_mute = turn % 7 < 5 || (5_000..6_000).contains(&turn);
        world.poll();
        world.now += Duration::from_millis(1);
        if world.client(client).may_send() && !has_spoken {
            has_spoken = true;
            world.say(client, MAIL);
        }
        said += &world.heard(client);
    }
    assert_eq!((codes(&said), world.end_of(client)), (MAIL_CODES.to_vec(), End::Orderly));
    world.client(client).close();
    world.stack.plug.is_mute = false;
    world.until_empty();
    assert_eq!(world.server.handlers()[0].take(), MAIL_HEARD);
}

#[test]
fn a_device_that_can_not_send_a_reset_delays_the_next_client_by_a_second() {
    let mut world = world::<1>();
    let client = world.connected();
    world.say(client, "QUIT\r\n");
    assert_eq!(codes(&world.heard_within(client, 100)), [220, 221]);
    world.stack.plug.is_mute = true;
    let begin = world.now;
    while states(&world) != [State::Listen] {
        world.poll();
        world.now += Duration::from_millis(10);
        assert!(world.now - begin < Duration::from_secs(5));
    }
    // The rest of the farewell, and the second in which the RST may still go.
    let millis = (world.now - begin).total_millis();
    assert!((1_900..=2_020).contains(&millis), "{millis}");
}
