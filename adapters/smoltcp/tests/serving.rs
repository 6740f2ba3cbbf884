//! Clients of the server: one after the other, too many at once, and what each of them hears.

mod common;

use common::cable::{Chance, Faults};
use common::client::{ENVELOPE, End, MAIL, MAIL_CODES, MAIL_HEARD, codes};
use common::frames::Segment;
use common::notes::Notes;
use common::stack::PORT;
use common::world::World;
use smoltcp::iface::SocketHandle;
use smoltcp::phy::Medium;
use smoltcp::socket::tcp::State;
use smoltcp::time::{Duration, Instant};
use smoltcp::wire::{Ipv4Address, TcpControl};
use smtpd_core::server::{Config, Extensions};
use smtpd_smoltcp::Server;

const CONFIG: Config<'static> = Config::new("mx.example.org");
const RINGS: (usize, usize) = (2_048, 512);

fn world<const N: usize>() -> World<'static, Notes, N> {
    World::new(&CONFIG, std::array::from_fn(|_| Notes::default()), RINGS, Faults::NONE, 1)
}

/// Clients that all call at the same time; each sends a mail once it is connected, and ends when the server does.
fn all_at_once<const N: usize>(world: &mut World<'_, Notes, N>, clients: usize) -> Vec<(String, End, Duration)> {
    let begin = world.now;
    let mut clients: Vec<_> = (0..clients).map(|_| (world.connect(), false, String::new(), None)).collect();
    world.until("all are served", |world| {
        for (client, has_spoken, said, end) in &mut clients {
            if world.client(*client).may_send() && !*has_spoken {
                *has_spoken = true;
                world.say(*client, MAIL);
            }
            *said += &world.heard(*client);
            let how = world.end_of(*client);
            if how != End::None && end.is_none() {
                *end = Some((how, world.now - begin));
                world.client(*client).close();
            }
        }
        clients.iter().all(|(_, _, _, end)| end.is_some())
    });
    let ends = clients.into_iter().map(|(_, _, said, end)| {
        let (how, time) = end.expect("an end");
        (said, how, time)
    });
    ends.collect()
}

fn more_clients_than_places<const N: usize>(medium: Medium) {
    let handlers = std::array::from_fn(|_| Notes::default());
    let mut world = World::<_, N>::new(&CONFIG, handlers, RINGS, Faults { medium, ..Faults::NONE }, 1);
    for (said, end, time) in all_at_once(&mut world, N + 3) {
        assert_eq!((codes(&said), end), (MAIL_CODES.to_vec(), End::Orderly), "{N} {medium:?}");
        // A SYN that is lost is sent again after 1 s, 2 s, and so on.
        assert!(time < Duration::from_secs(16), "{time}");
    }
    world.until_empty();
    let kept: usize = world.server.handlers().iter().map(|notes| notes.kept.len()).sum();
    assert_eq!(kept, N + 3);
    let clients: usize = world.server.handlers().iter().map(Notes::clients).sum();
    assert_eq!(clients, N + 3);
}

#[test]
fn clients_beyond_the_places_wait_and_are_never_reset() {
    for medium in [Medium::Ip, Medium::Ethernet] {
        more_clients_than_places::<1>(medium);
        more_clients_than_places::<4>(medium);
    }
}

#[test]
fn a_spare_socket_says_no_to_one_after_the_other() {
    for rings in [(64, 128), (64, 16), RINGS] {
        let mut world = world::<1>();
        world.refuse(rings);
        let first = world.connected();
        for _ in 0..2 {
            let begin = world.now;
            let beyond = world.connect();
            assert_eq!(world.heard_to_the_end(beyond), "421 4.3.2 Too many connections, try again later\r\n");
            assert!(world.now - begin < Duration::from_millis(100), "{rings:?}");
            assert_eq!(world.end_of(beyond), End::Orderly);
            world.client(beyond).close();
        }
        world.say(first, MAIL);
        assert_eq!(codes(&world.heard_to_the_end(first)), MAIL_CODES);
        world.client(first).close();
        world.until_empty();
        assert_eq!(world.server.handlers()[0].take(), MAIL_HEARD);
    }
}

#[test]
fn a_spare_socket_says_no_only_while_no_place_is_free() {
    let mut world = world::<2>();
    world.refuse((64, 128));
    let ends = all_at_once(&mut world, 3);
    let served = ends.iter().filter(|(said, ..)| codes(said) == MAIL_CODES).count();
    let refused = ends.iter().filter(|(said, ..)| codes(said) == [421]).count();
    assert_eq!((served, refused), (2, 1), "{ends:?}");
    for _ in 0..20 {
        // The next call comes when the one before is over for its client.
        for (said, end, _) in all_at_once(&mut world, 1) {
            assert_eq!((codes(&said), end), (MAIL_CODES.to_vec(), End::Orderly));
        }
    }
}

/// A world whose spare socket comes before the places in the set, so that smoltcp asks it first.
fn spare_first() -> World<'static, Notes, 1> {
    let mut world = world::<1>();
    let spare = world.stack.sockets.iter().next().expect("a socket").0;
    let place = world.stack.add(RINGS.0, RINGS.1);
    world.server = Server::new(&CONFIG, [Notes::default()], [place]);
    world.server.refuse_with(spare);
    world.server.listen(PORT);
    world
}

#[test]
fn a_spare_socket_in_front_says_no_only_while_no_place_is_free() {
    let mut world = spare_first();
    for _ in 0..3 {
        let client = world.connected();
        let beyond = world.connect();
        assert_eq!(codes(&world.heard_to_the_end(beyond)), [421]);
        world.client(beyond).close();
        world.say(client, MAIL);
        assert_eq!(codes(&world.heard_to_the_end(client)), MAIL_CODES);
        world.client(client).close();
        world.until_empty();
        world.pass(Duration::from_millis(10));
    }
}

#[test]
fn a_spare_socket_does_not_take_what_belongs_to_a_client() {
    let mut world = spare_first();
    let client = world.connected();
    world.say(client, ENVELOPE.to_owned() + "DATA\r\nHi\r\n");
    assert_eq!(codes(&world.heard_within(client, 100)), MAIL_CODES[..5]);
    let port = world.client(client).local_endpoint().expect("a connection").port;
    let syn = Segment::syn(Ipv4Address::new(192, 0, 2, 1), port);
    world.clients.plug.send(&syn.packet(), world.now);
    world.pass(Duration::from_millis(10));
    world.say(client, ".\r\nQUIT\r\n");
    assert_eq!(codes(&world.heard_to_the_end(client)), [250, 221]);
}

#[test]
fn a_spare_socket_whose_client_was_reset_has_time_for_the_next() {
    let mut world = world::<1>();
    world.refuse((64, 128));
    world.connected();
    let syn = Segment::syn(Ipv4Address::new(192, 0, 2, 99), 1_000);
    world.clients.plug.send(&syn.packet(), world.now);
    world.poll();
    let rst = Segment { control: TcpControl::Rst, seq: 2, ..syn };
    world.clients.plug.send(&rst.packet(), world.now);
    world.pass(Duration::from_secs(3));
    let beyond = world.connected();
    assert_eq!(codes(&world.heard_within(beyond, 3_000)), [421]);
    // It does not end, and has a second left.
    assert_eq!(world.client(beyond).state(), State::CloseWait);
    world.pass(Duration::from_millis(1_100));
    assert_eq!(world.client(beyond).state(), State::Closed);
}

#[test]
fn a_spare_socket_that_can_not_send_its_reset_listens_again() {
    let mut world = world::<1>();
    world.refuse((64, 128));
    world.connected();
    let beyond = world.connected();
    assert_eq!(codes(&world.heard_within(beyond, 3_900)), [421]);
    world.stack.plug.is_mute = true;
    for _ in 0..200 {
        world.poll();
        world.now += Duration::from_millis(10);
    }
    assert_eq!(world.stack.tcp_sockets().last().map(|spare| spare.state()), Some(State::Listen));
}

#[test]
fn a_reply_does_not_wait_for_the_ack_of_the_one_before() {
    let mut world = World::<_, 1>::with_rings::<2048, 512>(&CONFIG, [Notes::default()]);
    let client = world.connected();
    assert_eq!(codes(&world.heard_within(client, 100)), [220]);
    world.set_faults(Faults { delay: 50, ..Faults::NONE });
    world.server.handlers()[0].is_later = true;
    world.say(client, MAIL.replace("QUIT\r\n", ""));
    assert_eq!(world.heard_within(client, 60), "");
    // The answer is known while those before it are under way.
    world.server.handlers()[0].is_later = false;
    assert_eq!(codes(&world.heard_within(client, 65)), MAIL_CODES[1..6]);
}

#[test]
fn a_spare_socket_that_waits_for_a_client_delays_the_next_by_four_seconds() {
    let mut world = world::<1>();
    world.refuse((64, 128));
    world.connected();
    // It reads, and never ends.
    let silent = world.connected();
    assert_eq!(codes(&world.heard_within(silent, 50)), [421]);
    let begin = world.now;
    let next = world.connect();
    assert_eq!(codes(&world.heard_to_the_end(next)), [421]);
    // The spare is free after 4 s; the SYN comes again after 1, 3 and 7.
    assert!(world.now - begin < Duration::from_secs(8), "{}", world.now - begin);
    assert_eq!(world.end_of(silent), End::Orderly);
    assert_eq!(world.client(silent).state(), State::Closed);
}

#[test]
fn the_end_of_one_client_and_the_beginning_of_the_next_come_in_one_burst() {
    for has_spare in [false, true] {
        let mut world = world::<1>();
        if has_spare {
            world.refuse((64, 128));
        }
        let first = world.connected();
        world.say(first, "QUIT\r\n");
        assert_eq!(codes(&world.heard_to_the_end(first)), [220, 221]);
        // Both in the queue of the device before the server is polled.
        world.client(first).close();
        let second = world.connect();
        let begin = world.now;
        world.until("the second is connected", |world| world.client(second).may_send());
        world.say(second, MAIL);
        assert_eq!(codes(&world.heard_to_the_end(second)), MAIL_CODES, "{has_spare}");
        assert!(world.now - begin < Duration::from_millis(100), "{}", world.now - begin);
        assert_eq!(world.client(first).state(), State::Closed);
    }
}

#[test]
fn a_client_that_says_all_and_ends_hears_all() {
    for (text, heard) in [
        (MAIL.to_owned(), MAIL_HEARD),
        (MAIL.replace("QUIT\r\n", ""), "connected; mail a@b.example; message 4; closed Lost"),
        (MAIL.replace("QUIT\r\n", &"NOOP\r\n".repeat(100)), "connected; mail a@b.example; message 4; closed Lost"),
    ] {
        for rings in [RINGS, (64, 64)] {
            for seconds in [0, 5] {
                let mut world = World::<_, 1, 512, 1024>::new(&CONFIG, [Notes::default()], rings, Faults::NONE, 1);
                world.server.handlers()[0].is_later = seconds > 0;
                let client = world.connected();
                world.say(client, &text);
                world.client(client).close();
                let mut said = world.heard_within(client, seconds * 1_000);
                world.server.handlers()[0].is_later = false;
                said += &world.heard_to_the_end(client);
                assert_eq!(codes(&said).len(), 1 + text.lines().count() - 1, "{rings:?} {text}");
                assert_eq!(world.end_of(client), End::Orderly);
                world.until_empty();
                let notes = &mut world.server.handlers()[0];
                assert_eq!((notes.take().as_str(), &notes.kept[..]), (heard, &[b"Hi\r\n".to_vec()][..]));
            }
        }
    }
}

#[test]
fn a_client_that_says_all_ends_and_reads_later_hears_all() {
    let mut world = World::<_, 1, 512, 1024>::new(&CONFIG, [Notes::default()], (2_048, 64), Faults::NONE, 1);
    let client = world.clients.add(48, 4_096);
    world.clients.connect(client, common::world::SERVER);
    world.until("a client connects", |world| world.client(client).may_send());
    world.say(client, "NOOP\r\n".repeat(30));
    world.client(client).close();
    world.pass(Duration::from_secs(20));
    assert_eq!(codes(&world.heard_to_the_end(client)).len(), 31);
    assert_eq!(world.end_of(client), End::Orderly);
}

#[test]
fn a_handler_without_room_closes_the_window() {
    let mut world = World::<_, 1>::new(&CONFIG, [Notes::default()], (300, 512), Faults::NONE, 1);
    let client = world.connected();
    world.say(client, ENVELOPE.to_owned() + "DATA\r\n");
    assert_eq!(codes(&world.heard_within(client, 100)).last(), Some(&354));
    world.server.handlers()[0].room = Some(0);
    let text = "0123456789abcdef\r\n".repeat(200);
    world.say(client, &text);
    world.pass(Duration::from_secs(60));
    // The ring is full, and the rest stays with the client.
    let left = world.client(client).send_queue();
    assert!((text.len() - 301..=text.len() - 300).contains(&left), "{left}");
    world.server.handlers()[0].room = None;
    world.say(client, ".\r\nQUIT\r\n");
    assert_eq!(codes(&world.heard_to_the_end(client)), [250, 221]);
    assert_eq!(world.server.handlers()[0].kept, [text.into_bytes()]);
}

#[test]
fn while_an_answer_is_late_what_is_behind_stays_in_the_ring() {
    let mut world = World::<Notes, 2>::new(&CONFIG, Default::default(), (300, 512), Faults::NONE, 1);
    world.server.handlers()[0].is_later = true;
    let client = world.connected();
    world.say(client, MAIL.replace("QUIT\r\n", &"NOOP\r\n".repeat(100)));
    assert_eq!(codes(&world.heard_within(client, 10_000)), MAIL_CODES[..5]);
    assert!(world.client(client).send_queue() > 250, "{}", world.client(client).send_queue());
    // Others go on meanwhile.
    let (second, begin) = (world.connected(), world.now);
    world.say(second, MAIL);
    assert_eq!(codes(&world.heard_to_the_end(second)), MAIL_CODES);
    assert!(world.now - begin < Duration::from_millis(100));
    world.server.handlers()[0].is_later = false;
    assert_eq!(codes(&world.heard_within(client, 10_000)), [250; 101]);
}

/// Sends a text of any length, and reads until `count` replies came.
fn send_all(world: &mut World<'_, Notes, 1>, client: SocketHandle, octets: &[u8], count: usize) -> Vec<u16> {
    let (mut sent, mut said) = (0, String::new());
    world.until("all is sent", |world| {
        sent += world.client(client).send_slice(&octets[sent..]).expect("a connection");
        said += &world.heard(client);
        sent == octets.len() && said.lines().filter(|line| line.as_bytes().get(3) == Some(&b' ')).count() >= count
    });
    codes(&said)
}

#[test]
fn a_long_text_comes_octet_for_octet_through_rings_that_wrap() {
    let mut chance = Chance::new(18);
    for ring in [64, 536, 2_048] {
        for rooms in [vec![], vec![1, 7, 3, 0, 100], vec![usize::MAX, 0, 63, 64, 65, 0, 0]] {
            let size = if ring == 64 { 20_000 } else { 100_000 };
            let mut text: Vec<u8> = Vec::new();
            while text.len() < size {
                let dots = chance.below(4) as usize;
                text.extend(b"...".iter().take(dots));
                text.extend((0..chance.below(90)).map(|_| chance.below(256) as u8).filter(|it| !b"\r\n".contains(it)));
                text.extend(b"\r\n");
            }
            // What a client makes of it: a line that begins with a dot has one more.
            let mut sent = ENVELOPE.as_bytes().to_vec();
            sent.extend(b"DATA\r\n");
            for line in text.split_inclusive(|octet| *octet == b'\n') {
                sent.extend(line.iter().take(1).filter(|first| **first == b'.'));
                sent.extend(line);
            }
            sent.extend(b".\r\nQUIT\r\n");
            let mut world = World::<_, 1>::new(&CONFIG, [Notes::default()], (ring, 512), Faults::NONE, 1);
            world.server.handlers()[0].rooms = rooms.into();
            let client = world.connected();
            let (mut at, mut said) = (0, String::new());
            let mut turns = 0;
            while world.end_of(client) != End::Orderly {
                at += world.client(client).send_slice(&sent[at..]).expect("a connection");
                said += &world.heard(client);
                // Its handler is asked again every millisecond.
                let soon = world.poll();
                let end = world.now + Duration::from_millis(1);
                world.go_on(soon, end);
                turns += 1;
                assert!(turns < 1_000_000, "{at} of {}", sent.len());
            }
            assert_eq!(codes(&said), MAIL_CODES, "{ring}");
            assert!(world.server.handlers()[0].kept == [text], "{ring}: another text");
        }
    }
}

#[test]
fn a_text_that_is_as_long_as_many_rings_passes_pipelined_commands_behind_it() {
    let mut world = World::<_, 1>::new(&CONFIG, [Notes::default()], (536, 64), Faults::NONE, 1);
    let client = world.connected();
    let mails = MAIL.replace("QUIT\r\n", "").repeat(50);
    assert_eq!(send_all(&mut world, client, mails.as_bytes(), 1 + 5 * 50).len(), 1 + 5 * 50);
    assert_eq!(world.server.handlers()[0].kept.len(), 50);
}

/// Polls that ten minutes cost, in which clients say NOOP now and then so as not to be ended.
fn polls_of_ten_minutes<const N: usize>(clients: usize) -> u32 {
    let mut world = World::<_, N>::with_rings::<2048, 512>(&CONFIG, std::array::from_fn(|_| Notes::default()));
    let clients: Vec<_> = (0..clients).map(|_| world.connected()).collect();
    world.pass(Duration::from_secs(1));
    let begin = world.polls;
    for _ in 0..3 {
        world.pass(Duration::from_secs(200));
        for client in &clients {
            world.say(*client, "NOOP\r\n");
        }
    }
    assert_eq!(world.server.connections(), clients.len());
    world.polls - begin
}

#[test]
fn an_idle_server_costs_a_handful_of_polls() {
    // The ends of the three waits.
    let polls = polls_of_ten_minutes::<4>(0);
    assert!(polls <= 6, "{polls}");
    // And for each client nine keep-alives, and two commands, each with what comes back.
    for (polls, clients) in [(polls_of_ten_minutes::<1>(1), 1), (polls_of_ten_minutes::<4>(4), 4)] {
        assert!((10..=6 + 40 * clients).contains(&polls), "{polls}");
    }
}

#[test]
fn poll_at_says_never_where_nothing_is_due() {
    let mut world = World::<_, 1>::with_rings::<2048, 512>(&CONFIG, [Notes::default()]);
    let at = |world: &mut World<'_, Notes, 1>| {
        world.server.poll_at(world.now, &mut world.stack.interface, &world.stack.sockets)
    };
    // Before the first poll: at once.
    assert!(at(&mut world).is_some_and(|at| at <= world.now));
    world.poll();
    assert_eq!(at(&mut world), None);
    let client = world.connected();
    world.pass(Duration::from_millis(100));
    // The next keep-alive.
    let due = at(&mut world).expect("a keep-alive");
    assert!((59..=60).contains(&(due - world.now).secs()), "{due}");
    world.client(client).abort();
    world.pass(Duration::from_millis(10));
    assert_eq!(at(&mut world), None);
    world.server.listen(26);
    assert!(at(&mut world).is_some_and(|at| at <= world.now));
    world.poll();
    assert_eq!(at(&mut world), None);
}

#[test]
fn one_poll_takes_a_part_of_a_flood() {
    let mut world = world::<1>();
    let client = world.connected();
    world.pass(Duration::from_millis(1));
    world.heard(client);
    // Pings to somebody else; the client's command is behind them.
    for _ in 0..1_000 {
        let frame = [&[0x45, 0, 0, 20][..], &[0; 16]].concat();
        world.clients.plug.send(&frame, world.now);
    }
    world.say(client, "NOOP\r\n");
    world.clients.poll(world.now);
    let mut polls = 0;
    while world.stack.plug.waiting() > 0 {
        let before = world.stack.plug.waiting();
        world.poll();
        let taken = before - world.stack.plug.waiting();
        assert!(taken <= 32, "{taken}");
        let due = world.server.poll_at(world.now, &mut world.stack.interface, &world.stack.sockets);
        assert!(taken < 32 || due.is_some_and(|due| due <= world.now), "{due:?}");
        polls += 1;
    }
    assert!((30..40).contains(&polls), "{polls}");
    assert_eq!(codes(&world.heard_within(client, 1)), [250]);
}

#[test]
fn other_ports_can_be_listened_on() {
    let mut world = world::<2>();
    world.refuse((64, 128));
    let old = world.connected();
    world.server.listen(26);
    let refused = world.connect();
    world.until("nobody listens on the old port", |world| world.end_of(refused) == End::Reset);
    let calls = |world: &mut World<'_, Notes, 2>, port: u16| {
        let socket = world.clients.add(512, 512);
        let interface = &mut world.clients.interface;
        let own = 40_000 + port + u16::try_from(world.now.millis()).expect("soon");
        let client = world.clients.sockets.get_mut::<smoltcp::socket::tcp::Socket<'_>>(socket);
        client.connect(interface.context(), (common::stack::address(2), port), own).expect("an address");
        socket
    };
    let new = calls(&mut world, 26);
    world.until("the new port is open", |world| world.client(new).may_send());
    // Who came over the old one stays.
    world.say(old, "NOOP\r\n");
    assert_eq!(codes(&world.heard_within(old, 10)), [220, 250]);
    assert_eq!(codes(&world.heard_within(new, 10)), [220]);
    // The spare, too, is on the new port.
    let beyond = calls(&mut world, 26);
    assert_eq!(codes(&world.heard_to_the_end(beyond)), [421]);
    world.client(beyond).close();
    world.pass(Duration::from_millis(10));
    world.server.listen(27);
    world.pass(Duration::from_millis(10));
    let beyond = calls(&mut world, 27);
    assert_eq!(codes(&world.heard_to_the_end(beyond)), [421]);
    let refused = calls(&mut world, 26);
    world.until("nor on the second", |world| world.end_of(refused) == End::Reset);
}

#[test]
fn there_is_no_tls() {
    let mut config = CONFIG;
    config.extensions = config.extensions.with(Extensions::STARTTLS);
    let mut world = World::<_, 1>::new(&config, [Notes::default()], RINGS, Faults::NONE, 1);
    let client = world.connected();
    world.say(client, "EHLO c\r\nSTARTTLS\r\nNOOP\r\n");
    assert_eq!(codes(&world.heard_to_the_end(client)), [220, 250, 220]);
    assert_eq!(world.server.handlers()[0].take(), "connected; closed Fault");
}

#[test]
fn a_clock_that_begins_anywhere_is_as_good() {
    for start in [i64::from(u32::MAX) - 1_000, i64::from(u32::MAX) * 3 - 10, i64::from(u32::MAX) + 12_345] {
        let mut config = CONFIG;
        (config.timers.command, config.timers.session) = (10, 15);
        let mut world = World::<_, 1>::new(&config, [Notes::default()], RINGS, Faults::NONE, 1);
        world.now = Instant::from_millis(start);
        let client = world.connected();
        assert_eq!(codes(&world.heard_within(client, 9_000)), [220]);
        world.say(client, MAIL.replace("QUIT\r\n", ""));
        assert_eq!(codes(&world.heard_within(client, 5_990)), MAIL_CODES[1..6]);
        assert_eq!(codes(&world.heard_to_the_end(client)), [421]);
        assert!((15_000..15_010).contains(&(world.now.total_millis() - start)), "{}", world.now);
    }
}

#[test]
fn a_mail_over_ipv6() {
    use smoltcp::wire::{IpAddress, IpCidr};
    let host = |number: u8| IpAddress::v6(0x2001, 0xdb8, 0, 0, 0, 0, 0, u16::from(number));
    for medium in [Medium::Ip, Medium::Ethernet] {
        let mut world = World::<_, 1>::new(&CONFIG, [Notes::default()], RINGS, Faults { medium, ..Faults::NONE }, 1);
        for (stack, number) in [(&mut world.clients, 1), (&mut world.stack, 2)] {
            stack.interface.update_ip_addrs(|addresses| {
                addresses.push(IpCidr::new(host(number), 64)).expect("room for two");
            });
        }
        let [first, second] = [1_024, 1_025].map(|port| {
            let socket = world.clients.add(2_048, 2_048);
            let interface = &mut world.clients.interface;
            let client = world.clients.sockets.get_mut::<smoltcp::socket::tcp::Socket<'_>>(socket);
            client.connect(interface.context(), (host(2), PORT), port).expect("an address");
            socket
        });
        // The second one's SYN is held.
        for (client, other) in [(first, second), (second, first)] {
            world.until("a client connects", |world| world.client(client).may_send());
            assert_ne!(world.end_of(other), End::Reset, "{medium:?}");
            world.say(client, MAIL);
            assert_eq!(codes(&world.heard_to_the_end(client)), MAIL_CODES, "{medium:?}");
            world.client(client).close();
        }
        world.until_empty();
        assert_eq!(world.server.handlers()[0].kept.len(), 2);
    }
}
