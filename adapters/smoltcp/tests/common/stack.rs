//! A stack at the end of a cable.

use smoltcp::iface::{Config, Interface, PollResult, SocketHandle, SocketSet};
use smoltcp::phy::{Device, Medium};
use smoltcp::socket::{Socket, tcp};
use smoltcp::time::{Duration, Instant};
use smoltcp::wire::{EthernetAddress, HardwareAddress, IpAddress, IpCidr};

use super::cable::Plug;

/// An interface at its cable, with sockets that own their rings.
pub struct Stack {
    pub interface: Interface,
    pub plug: Plug,
    pub sockets: SocketSet<'static>,
    next_port: u16,
}

/// The port of the servers here.
pub const PORT: u16 = 25;

/// The address of host number so-and-so.
pub fn address(host: u8) -> IpAddress {
    IpAddress::v4(192, 0, 2, host)
}

impl Stack {
    pub fn new(mut plug: Plug, host: u8, seed: u64) -> Self {
        let hardware = match plug.capabilities().medium {
            Medium::Ethernet => HardwareAddress::Ethernet(EthernetAddress([2, 0, 0, 0, 0, host])),
            _ => HardwareAddress::Ip,
        };
        let mut config = Config::new(hardware);
        config.random_seed = seed;
        let mut interface = Interface::new(config, &mut plug, Instant::ZERO);
        interface.update_ip_addrs(|addresses| {
            addresses.push(IpCidr::new(address(host), 24)).expect("room for one");
        });
        Self { interface, plug, sockets: SocketSet::new(Vec::new()), next_port: 49_152 }
    }

    /// A socket with rings of these sizes.
    pub fn add(&mut self, received: usize, sending: usize) -> SocketHandle {
        let ring = |octets| tcp::SocketBuffer::new(vec![0; octets]);
        let mut socket = tcp::Socket::new(ring(received), ring(sending));
        socket.set_nagle_enabled(false);
        socket.set_ack_delay(None);
        // Its peer's last packet may get lost.
        socket.set_keep_alive(Some(Duration::from_secs(60)));
        socket.set_timeout(Some(Duration::from_secs(300)));
        self.sockets.add(socket)
    }

    pub fn socket(&mut self, handle: SocketHandle) -> &mut tcp::Socket<'static> {
        self.sockets.get_mut(handle)
    }

    /// Its sockets, in their order.
    pub fn tcp_sockets(&self) -> impl Iterator<Item = &tcp::Socket<'static>> {
        self.sockets.iter().filter_map(|(_, socket)| match socket {
            Socket::Tcp(socket) => Some(socket),
            #[allow(unreachable_patterns)] // with no other kind
            _ => None,
        })
    }

    /// Calls a host; each call from a port of its own.
    pub fn connect(&mut self, handle: SocketHandle, host: u8) {
        self.next_port += 1;
        let (port, socket) = (self.next_port, self.sockets.get_mut::<tcp::Socket<'_>>(handle));
        socket.connect(self.interface.context(), (address(host), PORT), port).expect("an address");
    }

    /// Whether a socket may have changed.
    pub fn poll(&mut self, now: Instant) -> bool {
        self.interface.poll(now, &mut self.plug, &mut self.sockets) == PollResult::SocketStateChanged
    }

    pub fn poll_at(&mut self, now: Instant) -> Option<Instant> {
        self.interface.poll_at(now, &self.sockets)
    }
}
