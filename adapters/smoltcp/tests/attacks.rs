//! Clients that mean ill, floods, and frames that no stack sends: others do not notice.

mod common;

use std::task::Waker;

use common::cable::{Chance, Faults, Plug, cable};
use common::client::{ENVELOPE, End, MAIL, MAIL_CODES, codes};
use common::frames::Segment;
use common::notes::Notes;
use common::stack::{PORT, Stack};
use common::world::{SERVER, World};
use smoltcp::iface::SocketHandle;
use smoltcp::phy::Medium;
use smoltcp::socket::tcp::State;
use smoltcp::time::{Duration, Instant};
use smoltcp::wire::{IpAddress, Ipv4Address, Ipv4Packet, TcpControl, TcpPacket};
use smtpd_core::server::Config;
use smtpd_smoltcp::Server;

const CONFIG: Config<'static> = Config::new("mx.example.org");
const RINGS: (usize, usize) = (2_048, 512);

fn world<const N: usize>(config: &Config<'static>) -> World<'static, Notes, N> {
    let config = Box::leak(Box::new(*config));
    World::new(config, std::array::from_fn(|_| Notes::default()), RINGS, Faults::NONE, 1)
}

/// The client that is in the second place, in the midst of a text, while the first place listens.
fn in_the_second_place(world: &mut World<'_, Notes, 2>) -> SocketHandle {
    let first = world.connected();
    let client = world.connected();
    world.say(client, ENVELOPE.to_owned() + "DATA\r\nHi\r\n");
    world.say(first, "QUIT\r\n");
    assert_eq!(codes(&world.heard_within(client, 100)), MAIL_CODES[..5]);
    world.heard(first);
    world.client(first).close();
    world.pass(Duration::from_millis(50));
    assert_eq!(world.server.connections(), 1);
    client
}

/// Where a client calls from.
fn source<const N: usize>(world: &mut World<'_, Notes, N>, client: SocketHandle) -> (Ipv4Address, u16) {
    let end = world.client(client).local_endpoint().expect("a connection");
    let IpAddress::Ipv4(address) = end.addr else { panic!("{end}") };
    (address, end.port)
}

fn ends_its_mail<const N: usize>(world: &mut World<'_, Notes, N>, client: SocketHandle) {
    let begin = world.now;
    world.say(client, ".\r\nQUIT\r\n");
    assert_eq!(codes(&world.heard_to_the_end(client)), [250, 221]);
    assert_eq!(world.end_of(client), End::Orderly);
    assert!(world.now - begin < Duration::from_millis(100), "{}", world.now - begin);
    world.client(client).close();
}

#[test]
fn a_syn_from_where_a_client_is_does_not_end_its_session() {
    // From the network, where it was doubled, or from somebody else.
    let mut world = world::<2>(&CONFIG);
    let client = in_the_second_place(&mut world);
    let (from, port) = source(&mut world, client);
    world.clients.plug.send(&Segment::syn(from, port).packet(), world.now);
    let World { server, stack, now, .. } = &mut world;
    server.poll(*now, &mut stack.interface, &mut stack.plug, &mut stack.sockets, Waker::noop());
    assert_eq!(world.clients.plug.waiting(), 0, "an answer to it");
    world.pass(Duration::from_secs(1));
    ends_its_mail(&mut world, client);
    world.until_empty();
    assert_eq!(world.server.handlers()[1].kept, [b"Hi\r\n"]);
}

#[test]
fn a_syn_that_is_sent_again_does_not_take_a_second_place() {
    // The answer to its first SYN is lost, and the first place becomes free meanwhile.
    let mut world = world::<2>(&CONFIG);
    let first = world.connected();
    world.pass(Duration::from_millis(100));
    let client = world.connect();
    world.clients.poll(world.now);
    world.set_faults(Faults::CUT);
    world.poll();
    world.set_faults(Faults::NONE);
    world.say(first, "QUIT\r\n");
    let begin = world.now;
    assert_eq!(codes(&world.heard_to_the_end(first)), [220, 221]);
    world.client(first).close();
    world.until("a client connects", |world| world.client(client).may_send());
    world.say(client, MAIL);
    assert_eq!(codes(&world.heard_to_the_end(client)), MAIL_CODES);
    assert!(world.now - begin < Duration::from_secs(3), "{}", world.now - begin);
    assert_eq!(world.end_of(client), End::Orderly);
    world.client(client).close();
    world.until_empty();
    world.pass(Duration::from_millis(10));
    assert!(world.stack.tcp_sockets().all(|socket| socket.state() == State::Listen));
}

#[test]
fn a_client_that_never_reads_is_ended_and_others_do_not_notice() {
    let mut config = CONFIG;
    config.timers.output = 20;
    let mut world = world::<2>(&config);
    let deaf = world.clients.add(64, 65_536);
    world.clients.connect(deaf, common::world::SERVER);
    world.until("it connects", |world| world.server.connections() == 1);
    let begin = world.now;
    world.say(deaf, "NOOP\r\n".repeat(10_000));
    world.pass(Duration::from_secs(5));
    // What the rings do not hold stays with it.
    let left = world.client(deaf).send_queue();
    assert!(left > 60_000 - 2_048 - 1_024, "{left}");
    let (second, call) = (world.connect(), world.now);
    world.until("another client connects", |world| world.client(second).may_send());
    world.say(second, MAIL);
    assert_eq!(codes(&world.heard_to_the_end(second)), MAIL_CODES);
    assert!(world.now - call < Duration::from_millis(100), "{}", world.now - call);
    world.until("it is ended", |world| world.server.handlers()[0].heard.len() == 2);
    // What the ring took last, it took a little after the beginning.
    let millis = (world.now - begin).total_millis();
    assert!((20_000..23_000).contains(&millis), "{millis}");
    assert_eq!(world.server.handlers()[0].take(), "connected; closed Expired");
}

#[test]
fn one_octet_a_second_buys_no_time() {
    let mut config = CONFIG;
    (config.timers.command, config.timers.text) = (30, 40);
    for (before, octets, seconds) in [("", "NOOP ", 30), ("text", "abcdefg\r\n", 40)] {
        let mut world = world::<2>(&config);
        let slow = world.connected();
        if !before.is_empty() {
            world.say(slow, ENVELOPE.to_owned() + "DATA\r\n");
        }
        world.heard_within(slow, 100);
        let mut said = String::new();
        let mut passed = 0;
        for octet in octets.bytes().cycle() {
            if world.end_of(slow) != End::None {
                break;
            }
            world.say(slow, [octet]);
            said += &world.heard_within(slow, 1_000);
            passed += 1;
            if passed == 10 {
                // Another one is served at once.
                let (second, begin) = (world.connected(), world.now);
                world.say(second, MAIL);
                assert_eq!(codes(&world.heard_to_the_end(second)), MAIL_CODES);
                assert!(world.now - begin < Duration::from_millis(100));
            }
        }
        assert!(said.ends_with("421 4.4.2 Timeout, closing\r\n"), "{said}");
        assert!((seconds - 1..=seconds + 1).contains(&passed), "{passed} {seconds}");
    }
}

#[test]
fn a_client_that_is_slow_and_honest_is_served() {
    let mut world = world::<1>(&CONFIG);
    let client = world.connected();
    let mut said = String::new();
    for octet in MAIL.bytes() {
        world.say(client, [octet]);
        said += &world.heard_within(client, 2_000);
    }
    assert_eq!((codes(&said), world.end_of(client)), (MAIL_CODES.to_vec(), End::Orderly));
}

/// Sends a text while `disturb` puts a number of frames on the cable each millisecond; the milliseconds that it took.
fn mail_in_a_flood(world: &mut World<'_, Notes, 2>, mut disturb: impl FnMut(&Plug, Instant)) -> i64 {
    let client = world.connected();
    world.say(client, ENVELOPE.to_owned() + "DATA\r\n");
    assert_eq!(codes(&world.heard_within(client, 100)), MAIL_CODES[..5]);
    let text = "0123456789abcdef\r\n".repeat(3_000);
    let (begin, mut sent) = (world.now, 0);
    world.server.handlers()[0].kept.clear();
    let octets = [text.as_bytes(), b".\r\n"].concat();
    while world.server.handlers()[0].kept.is_empty() {
        disturb(&world.clients.plug, world.now);
        sent += world.client(client).send_slice(&octets[sent..]).expect("a connection");
        // As often as frames come, and poll_at says at once.
        for _ in 0..50 {
            world.poll();
        }
        world.now += Duration::from_millis(1);
        assert!(world.now - begin < Duration::from_secs(30));
    }
    assert!(world.server.handlers()[0].kept == [text.into_bytes()]);
    assert_eq!(codes(&world.heard_within(client, 50)), [250]);
    world.client(client).close();
    (world.now - begin).total_millis() as i64
}

/// A host of the cable's net that is not there: what is answered to it goes out.
fn somewhere(chance: &mut Chance) -> Ipv4Address {
    Ipv4Address::new(192, 0, 2, chance.below(240) as u8 + 10)
}

#[test]
fn a_flood_of_syns_delays_nobody_who_is_there() {
    let mut world = self::world::<2>(&CONFIG);
    let alone = mail_in_a_flood(&mut world, |_, _| ());
    let mut world = self::world::<2>(&CONFIG);
    let mut chance = Chance::new(8);
    let mut syns = 0;
    let flooded = mail_in_a_flood(&mut world, |plug, now| {
        for _ in 0..20 {
            let port = 1_024 + chance.below(60_000) as u16;
            plug.send(&Segment::syn(somewhere(&mut chance), port).packet(), now);
            syns += 1;
        }
    });
    assert!(syns > 200, "{syns}");
    assert!(flooded <= alone + 5, "{flooded} {alone}");
    // Then it takes both places, at the last moment.
    world.until("the first place is free", |world| {
        world.stack.tcp_sockets().next().is_some_and(|socket| socket.state() == State::Listen)
    });
    for _ in 0..20 {
        let port = 1_024 + chance.below(60_000) as u16;
        world.clients.plug.send(&Segment::syn(somewhere(&mut chance), port).packet(), world.now);
    }
    world.poll();
    assert!(world.stack.tcp_sockets().all(|socket| socket.state() == State::SynReceived));
    let begin = world.now;
    let client = world.connected();
    world.say(client, MAIL);
    assert_eq!(codes(&world.heard_to_the_end(client)), MAIL_CODES);
    // 6 s, and what is between two SYNs: the third comes after 7.
    assert!(world.now - begin < Duration::from_secs(8), "{}", world.now - begin);
    let heard = world.server.handlers().iter().map(|notes| notes.heard.len()).sum::<usize>();
    assert!(heard <= 12, "{heard}");
}

#[test]
fn a_flood_of_other_segments_delays_nobody_who_is_there() {
    let mut world = self::world::<2>(&CONFIG);
    let mut chance = Chance::new(9);
    let millis = mail_in_a_flood(&mut world, |plug, now| {
        for _ in 0..20 {
            let control = chance.one_of(&[TcpControl::None, TcpControl::Fin, TcpControl::Rst, TcpControl::Psh]);
            // From the client's own address and ports, too, at a place in the text that they can't know.
            let from = chance.one_of(&[Ipv4Address::new(192, 0, 2, 1), Ipv4Address::new(198, 51, 100, 7)]);
            let segment = Segment {
                from,
                window: 1_000,
                port: 49_150 + chance.below(8) as u16,
                control,
                seq: 1_000_000_000_i32.wrapping_add(chance.below(1 << 20) as i32),
                ack: chance.one_of(&[Some(17), None]),
                payload: b"QUIT\r\n",
            };
            plug.send(&segment.packet(), now);
            plug.send(&(0..chance.below(80)).map(|_| chance.next() as u8).collect::<Vec<_>>(), now);
        }
    });
    assert!(millis < 1_000, "{millis}");
}

/// A frame, changed at random.
fn mutated(chance: &mut Chance, frame: &[u8]) -> Vec<u8> {
    let mut frame = frame.to_vec();
    for _ in 0..=chance.below(3) {
        let at = chance.below(frame.len() as u64 + 1) as usize;
        match (chance.below(8), frame.get_mut(at)) {
            (0, _) => frame.truncate(at),
            (1, _) => frame.extend((0..chance.below(40)).map(|_| chance.next() as u8)),
            (2, _) => frame.splice(at..at, [chance.next() as u8; 4]).for_each(drop),
            (3, Some(octet)) => *octet = chance.one_of(&[0, 1, 0x7f, 0x80, 0xff]),
            (_, Some(octet)) => *octet ^= 1 << chance.below(8),
            (_, None) => frame.clear(),
        }
    }
    frame
}

/// Repairs the checksums of an IPv4 packet with a TCP segment, so that what was changed is looked at.
fn repaired(mut packet: Vec<u8>, header: usize) -> Vec<u8> {
    use smoltcp::wire::{Ipv4Packet, TcpPacket};
    let Some(octets) = packet.get_mut(header..) else { return packet };
    let Ok(mut ip) = Ipv4Packet::new_checked(octets) else { return packet };
    ip.fill_checksum();
    let (from, to) = (ip.src_addr().into(), ip.dst_addr().into());
    if let Ok(mut tcp) = TcpPacket::new_checked(ip.payload_mut()) {
        tcp.fill_checksum(&from, &to);
    }
    packet
}

/// Frames of a whole session, as its client sent them.
fn recorded(medium: Medium) -> Vec<Vec<u8>> {
    let mut world = World::<_, 1>::new(&CONFIG, [Notes::default()], RINGS, Faults { medium, ..Faults::NONE }, 3);
    let client = world.connect();
    let (mut frames, mut said, mut lines) = (Vec::new(), String::new(), MAIL.split_inclusive('\n'));
    for _ in 0..100 {
        world.clients.poll(world.now);
        // Taken off the cable, looked at, and put there again.
        let sent = world.stack.plug.take(world.now);
        sent.iter().for_each(|frame| world.clients.plug.send(frame, world.now));
        frames.extend(sent);
        world.poll();
        world.now += Duration::from_millis(5);
        if world.client(client).may_send()
            && let Some(line) = lines.next()
        {
            world.say(client, line);
        }
        said += &world.heard(client);
        if world.end_of(client) == End::Orderly {
            world.client(client).close();
        }
    }
    assert_eq!(codes(&said), MAIL_CODES);
    // SYN, a line each, ACK of the last reply, FIN.
    assert!(frames.len() >= 10, "{}", frames.len());
    frames
}

#[test]
fn malformed_frames_change_nothing() {
    for medium in [Medium::Ip, Medium::Ethernet] {
        let frames = recorded(medium);
        let header = if medium == Medium::Ethernet { 14 } else { 0 };
        let mut chance = Chance::new(10);
        let faults = Faults { medium, ..Faults::NONE };
        let handlers = std::array::from_fn(|_| Notes::default());
        let mut world = World::<_, 3>::new(&CONFIG, handlers, RINGS, faults, 5);
        let client = world.connected();
        world.say(client, ENVELOPE.to_owned() + "DATA\r\n");
        assert_eq!(codes(&world.heard_within(client, 100)), MAIL_CODES[..5]);
        let mut text = Vec::new();
        for number in 0..20_000_u32 {
            let frame = match number % 4 {
                0 => (0..chance.below(100)).map(|_| chance.next() as u8).collect(),
                1 => mutated(&mut chance, &frames[number as usize % frames.len()]),
                _ => {
                    let frame = mutated(&mut chance, &frames[number as usize % frames.len()]);
                    repaired(frame, header)
                }
            };
            world.clients.plug.send(&frame, world.now);
            if number % 100 == 0 {
                let line = format!("line {number}\r\n");
                world.say(client, &line);
                text.extend(line.bytes());
                world.pass(Duration::from_millis(10));
            }
        }
        world.pass(Duration::from_millis(100));
        world.say(client, ".\r\nQUIT\r\n");
        assert_eq!(codes(&world.heard_to_the_end(client)), [250, 221], "{medium:?}");
        assert!(world.server.handlers()[0].kept == [text], "{medium:?}: another text");
        world.client(client).close();
        // What the others' places heard comes to an end, too.
        world.pass(Duration::from_secs(400));
        assert_eq!(world.server.connections(), 0);
        world.server.handlers().iter().for_each(|notes| assert!(notes.clients() <= 1_000));
    }
}

/// Acknowledges the last reply in part, then all of it and the FIN, each time with a window of 0. smoltcp's timer for such
/// windows runs on then.
#[test]
fn a_window_of_zero_at_the_end_hangs_nobody() {
    let (plug, other) = cable(Faults::NONE, 1);
    let mut stack = Stack::new(other, SERVER, 2);
    let sockets = [stack.add(2_048, 512)];
    let mut server = Server::<_, 1, 512, 512>::new(&CONFIG, [Notes::default()], sockets);
    server.listen(PORT);
    let syn = Segment::syn(Ipv4Address::new(192, 0, 2, 9), 1_000);
    let says = |seq, ack, window, payload| {
        Some(Segment { control: TcpControl::None, seq, ack: Some(ack), window, payload, ..syn }.packet())
    };
    // Where the server's octets end, and how many frames it has sent.
    let (mut end, mut frames) = (0, 0);
    let mut turn = |frame: Option<Vec<u8>>, millis| {
        let now = Instant::from_millis(millis);
        frame.inspect(|frame| plug.send(frame, now));
        for _ in 0..10 {
            server.poll(now, &mut stack.interface, &mut stack.plug, &mut stack.sockets, Waker::noop());
            if server.poll_at(now, &mut stack.interface, &stack.sockets).is_none_or(|due| due > now) {
                break;
            }
        }
        for frame in plug.take(now) {
            let packet = Ipv4Packet::new_unchecked(&frame[..]);
            let segment = TcpPacket::new_unchecked(packet.payload());
            end = segment.seq_number().0 + segment.segment_len() as i32;
            frames += 1;
        }
        (end, frames, server.connections())
    };
    turn(None, 0);
    let (accepted, ..) = turn(Some(syn.packet()), 0);
    let (greeted, ..) = turn(says(2, accepted, 1_000, b""), 0);
    let (end, before, _) = turn(says(2, greeted, 1_000, b"QUIT\r\n"), 0);
    turn(says(8, greeted + 1, 0, b""), 0);
    assert_eq!(turn(says(8, end, 0, b""), 500).2, 1);
    for tenth in 6..30 {
        turn(None, tenth * 100);
    }
    let (_, frames, connections) = turn(None, 3_000);
    assert_eq!(connections, 0);
    assert!(frames - before < 300, "{frames}");
    // The next one is served.
    let next = Segment { port: 1_001, ..syn };
    let (accepted, ..) = turn(Some(next.packet()), 3_000);
    let (greeted, ..) =
        turn(Some(Segment { control: TcpControl::None, seq: 2, ack: Some(accepted), ..next }.packet()), 3_000);
    assert!(greeted > accepted, "a greeting");
}
