//! Clients that mean ill, floods, and frames that no stack sends: others do not notice.

mod common;

use common::cable::{Chance, Faults, Plug};
use common::client::{ENVELOPE, End, MAIL, MAIL_CODES, codes};
use common::frames::Segment;
use common::notes::Notes;
use common::world::World;
use smoltcp::iface::SocketHandle;
use smoltcp::phy::Medium;
use smoltcp::socket::Socket;
use smoltcp::socket::tcp::State;
use smoltcp::time::{Duration, Instant};
use smoltcp::wire::{IpAddress, Ipv4Address, TcpControl};
use smtpd_core::server::Config;

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
    let is_listening = |socket: &Socket<'_>| matches!(socket, Socket::Tcp(socket) if socket.state() == State::Listen);
    assert!(world.stack.sockets.iter().all(|(_, socket)| is_listening(socket)));
}
