//! An address by DHCP, of a server on the other stack: given, renewed, taken away, changed. Ethernet, for only that has DHCP.

mod common;

use common::cable::Faults;
use common::client::{End, MAIL, MAIL_CODES, MAIL_HEARD, codes};
use common::notes::Notes;
use common::world::World;
use smoltcp::iface::SocketHandle;
use smoltcp::phy::Medium;
use smoltcp::socket::udp;
use smoltcp::time::{Duration, Instant};
use smoltcp::wire::{DhcpMessageType, DhcpPacket, DhcpRepr, IpAddress, IpCidr, Ipv4Address, Ipv4Cidr};
use smtpd_core::server::Config;
use smtpd_smoltcp::{Dhcp, Lease};

const CONFIG: Config<'static> = Config::new("mx.example.org");
const ETHERNET: Faults = Faults { medium: Medium::Ethernet, ..Faults::NONE };
/// Seconds; half of them is when it is renewed.
const LEASE: u64 = 600;

/// What the server of addresses does.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Policy {
    /// Gives everybody this host's.
    Give(u8),
    /// Says no to who asks for one, and offers none.
    Deny,
    Silent,
}

/// Of host number so-and-so.
fn address(host: u8) -> Ipv4Address {
    Ipv4Address::new(192, 0, 2, host)
}

/// The board's lease.
fn given(host: u8) -> Lease {
    Lease::Given { address: Ipv4Cidr::new(address(host), 24), router: Some(address(1)), names: Some(address(3)) }
}

struct Network {
    world: World<'static, Notes, 1>,
    dhcp: Dhcp,
    /// The socket of the server of addresses, which is on the clients' stack.
    server: SocketHandle,
    policy: Policy,
    /// What that server was asked.
    asked: Vec<DhcpMessageType>,
    /// The news of [`Dhcp`], and when.
    leases: Vec<(Instant, Lease)>,
}

impl Network {
    /// A board that has no address yet.
    fn new(policy: Policy) -> Self {
        let mut world = World::with_rings_on::<2_048, 512>(&CONFIG, [Notes::default()], ETHERNET);
        world.stack.interface.update_ip_addrs(|addresses| addresses.clear());
        let dhcp = Dhcp::new(&mut world.stack.sockets);
        let buffer = || udp::PacketBuffer::new(vec![udp::PacketMetadata::EMPTY; 4], vec![0; 2_048]);
        let server = world.clients.sockets.add(udp::Socket::new(buffer(), buffer()));
        world.clients.sockets.get_mut::<udp::Socket<'_>>(server).bind(67).expect("a port");
        Self { world, dhcp, server, policy, asked: Vec::new(), leases: Vec::new() }
    }

    /// A board that was given an address at the begin of time, and a client of it.
    fn with_session() -> (Self, SocketHandle) {
        let mut network = Self::new(Policy::Give(7));
        network.pass(1);
        assert_eq!(network.leases, [(Instant::ZERO, given(7))]);
        network.leases.clear();
        let (client, greeting) = network.call(7);
        assert_eq!(codes(&greeting), MAIL_CODES[..1]);
        (network, client)
    }

    /// Lets so much time pass.
    fn pass(&mut self, secs: u64) {
        let end = self.world.now + Duration::from_secs(secs);
        loop {
            let (dhcp, leases) = (&self.dhcp, &mut self.leases);
            let soon = self.world.poll_by(|server, now, stack, waker| {
                server.poll(now, &mut stack.interface, &mut stack.plug, &mut stack.sockets, waker);
                if let Some(lease) = dhcp.poll(&mut stack.interface, &mut stack.sockets) {
                    leases.push((now, lease));
                    server.poll(now, &mut stack.interface, &mut stack.plug, &mut stack.sockets, waker);
                }
            });
            self.answer();
            if !self.world.go_on(soon, end) {
                return;
            }
        }
    }

    /// The server of addresses takes its turn.
    fn answer(&mut self) {
        let socket = self.world.clients.sockets.get_mut::<udp::Socket<'_>>(self.server);
        while let Ok((octets, _)) = socket.recv() {
            let packet = DhcpPacket::new_checked(octets).expect("a packet");
            let request = DhcpRepr::parse(&packet).expect("a request");
            self.asked.push(request.message_type);
            let (message_type, host) = match (self.policy, request.message_type) {
                (Policy::Give(host), DhcpMessageType::Discover) => (DhcpMessageType::Offer, host),
                (Policy::Give(host), DhcpMessageType::Request) => (DhcpMessageType::Ack, host),
                (Policy::Deny, DhcpMessageType::Request) => (DhcpMessageType::Nak, 0),
                _ => continue,
            };
            let is_given = message_type != DhcpMessageType::Nak;
            let answer = DhcpRepr {
                message_type,
                client_ip: Ipv4Address::UNSPECIFIED,
                your_ip: if is_given { address(host) } else { Ipv4Address::UNSPECIFIED },
                server_identifier: Some(address(1)),
                router: is_given.then_some(address(1)),
                subnet_mask: is_given.then_some(Ipv4Address::new(255, 255, 255, 0)),
                dns_servers: is_given.then(|| [address(3)].into_iter().collect()),
                lease_duration: is_given.then_some(LEASE as u32),
                requested_ip: None,
                client_identifier: None,
                parameter_request_list: None,
                max_size: None,
                ..request
            };
            let mut octets = vec![0; answer.buffer_len()];
            answer.emit(&mut DhcpPacket::new_unchecked(&mut octets[..])).expect("room");
            // To all: who has no address yet answers no ARP.
            socket.send_slice(&octets, (Ipv4Address::BROADCAST, 68)).expect("room");
        }
    }

    /// The news since the last call.
    fn news(&mut self) -> Vec<Lease> {
        self.leases.drain(..).map(|(_, lease)| lease).collect()
    }

    /// A client that calls a host, and was greeted by it or not.
    fn call(&mut self, host: u8) -> (SocketHandle, String) {
        let client = self.world.clients.add(4_096, 4_096);
        self.world.clients.connect(client, host);
        self.pass(1);
        (client, self.world.heard(client))
    }

    fn says(&mut self, client: SocketHandle, octets: &str) -> Vec<u16> {
        self.world.say(client, octets);
        self.pass(1);
        codes(&self.world.heard(client))
    }

    fn heard(&mut self) -> String {
        self.world.server.handlers()[0].take()
    }

    /// A mail comes at this host.
    fn is_served_at(&mut self, host: u8) {
        let (client, greeting) = self.call(host);
        assert_eq!(codes(&greeting), MAIL_CODES[..1]);
        assert_eq!(self.says(client, MAIL), MAIL_CODES[1..]);
        self.world.client(client).close();
        self.pass(2);
        assert_eq!((self.heard().as_str(), self.world.server.connections()), (MAIL_HEARD, 0));
    }

    /// Nobody is greeted at this host.
    fn is_not_at(&mut self, host: u8) {
        let (client, greeting) = self.call(host);
        assert_eq!((greeting.as_str(), self.heard().as_str()), ("", ""));
        self.forget(client);
    }

    /// A client says NOOP every half a minute, which is answered.
    fn goes_on(&mut self, client: SocketHandle, secs: u64) {
        for _ in 0..secs / 30 {
            assert_eq!(self.says(client, "NOOP\r\n"), [250]);
            self.pass(29);
        }
    }

    /// A client of a connection that the board forgot asks for it, hears that it is gone if its host is there, and goes.
    fn ends(&mut self, client: SocketHandle, is_reset: bool) {
        if self.world.client(client).may_send() {
            self.world.say(client, "NOOP\r\n");
        }
        self.pass(2);
        assert_eq!(self.world.end_of(client), if is_reset { End::Reset } else { End::None });
        self.forget(client);
    }

    /// A client goes for good: one that can't reach its peer would ask for its address every second, and nobody else could
    /// ask for another one.
    fn forget(&mut self, client: SocketHandle) {
        self.world.clients.sockets.remove(client);
        self.pass(1);
    }

    /// Its addresses, and where packets to other networks go.
    fn addresses(&mut self) -> (Vec<IpCidr>, Vec<IpAddress>) {
        let interface = &mut self.world.stack.interface;
        let (addresses, mut routers) = (interface.ip_addrs().to_vec(), Vec::new());
        interface.routes_mut().update(|routes| routers.extend(routes.iter().map(|route| route.via_router)));
        (addresses, routers)
    }
}

fn with(host: u8) -> (Vec<IpCidr>, Vec<IpAddress>) {
    (vec![Ipv4Cidr::new(address(host), 24).into()], vec![address(1).into()])
}

#[test]
fn a_mail_comes_as_soon_as_there_is_an_address() {
    let mut network = Network::new(Policy::Silent);
    network.is_not_at(7);
    assert_eq!(network.news(), [], "what it never had is not lost");
    // It asks again after 10 s.
    network.policy = Policy::Give(7);
    network.pass(10);
    assert_eq!((network.news(), network.addresses()), (vec![given(7)], with(7)));
    assert_eq!(network.asked, [DhcpMessageType::Discover, DhcpMessageType::Discover, DhcpMessageType::Request]);
    network.is_served_at(7);
    network.is_not_at(8);
}

#[test]
fn a_renewal_is_no_news_and_sessions_go_on() {
    let (mut network, client) = Network::with_session();
    network.asked.clear();
    network.goes_on(client, 2 * LEASE);
    assert_eq!(network.asked, [DhcpMessageType::Request; 4]);
    assert_eq!((network.news(), network.addresses()), (vec![], with(7)));
    assert_eq!(network.says(client, MAIL), MAIL_CODES[1..]);
}

#[test]
fn connections_break_when_the_lease_is_lost_and_a_new_one_works() {
    for (policy, secs, patience) in [(Policy::Silent, LEASE, 0), (Policy::Deny, LEASE / 2, 10)] {
        for next in [7, 8] {
            let (mut network, client) = Network::with_session();
            network.policy = policy;
            network.goes_on(client, secs - 30);
            assert_eq!((network.leases.len(), network.heard().as_str()), (0, "connected"));
            network.pass(30 + patience);
            assert_eq!(network.leases, [(Instant::ZERO + Duration::from_secs(secs), Lease::Lost)]);
            assert_eq!((network.news(), network.addresses()), (vec![Lease::Lost], (vec![], vec![])));
            assert_eq!((network.heard().as_str(), network.world.server.connections()), ("closed Lost", 0));
            network.is_not_at(7);
            network.policy = Policy::Give(next);
            network.pass(10);
            assert_eq!((network.news(), network.addresses()), (vec![given(next)], with(next)));
            network.ends(client, next == 7);
            network.is_served_at(next);
        }
    }
}

#[test]
fn another_address_takes_the_place_of_the_one_before() {
    let (mut network, client) = Network::with_session();
    network.policy = Policy::Give(8);
    network.goes_on(client, LEASE / 2);
    assert_eq!((network.news(), network.addresses()), (vec![given(8)], with(8)));
    network.ends(client, false);
    assert_eq!(network.heard(), "connected; closed Lost");
    network.is_served_at(8);
    network.is_not_at(7);
}
