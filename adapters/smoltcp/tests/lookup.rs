//! Addresses by their names, of a server on the other stack.

mod common;

use std::net::{IpAddr, Ipv4Addr};
use std::task::Poll;

use common::cable::{Faults, cable};
use common::stack::{Stack, address};
use smoltcp::iface::SocketHandle;
use smoltcp::socket::udp;
use smoltcp::time::{Duration, Instant};
use smtpd_smoltcp::{Lookup, Query};

struct World {
    device: Stack,
    names: Stack,
    server: SocketHandle,
    lookup: Lookup,
    now: Instant,
}

impl World {
    fn new() -> Self {
        let (one, other) = cable(Faults::NONE, 1);
        let (mut device, mut names) = (Stack::new(one, 1, 1), Stack::new(other, 2, 2));
        let buffer = || udp::PacketBuffer::new(vec![udp::PacketMetadata::EMPTY; 4], vec![0; 2_048]);
        let server = names.sockets.add(udp::Socket::new(buffer(), buffer()));
        names.sockets.get_mut::<udp::Socket<'_>>(server).bind(53).expect("a port");
        let query: &'static mut [Query; 1] = Box::leak(Box::new([None]));
        let lookup = Lookup::new(&mut device.sockets, address(2), query);
        Self { device, names, server, lookup, now: Instant::ZERO }
    }

    fn start(&mut self, name: &str) -> bool {
        self.lookup.start(&mut self.device.interface, &mut self.device.sockets, name)
    }

    /// What is known after so many seconds; the server gives these addresses to whoever asks, if it answers at all.
    fn answer(&mut self, secs: u64, addresses: Option<&[[u8; 4]]>) -> Poll<Option<IpAddr>> {
        let end = self.now + Duration::from_secs(secs);
        while self.now < end {
            self.now += Duration::from_millis(100);
            self.device.poll(self.now);
            self.names.poll(self.now);
            let server = self.names.sockets.get_mut::<udp::Socket<'_>>(self.server);
            while let Ok((question, from)) = server.recv() {
                let Some(addresses) = addresses else { continue };
                let mut answer = question.to_vec();
                // A response, with recursion; 3: there is no such name.
                answer[2..4].copy_from_slice(&[0x81, if addresses.is_empty() { 0x83 } else { 0x80 }]);
                answer[7] = u8::try_from(addresses.len()).expect("a few");
                for address in addresses {
                    answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
                    answer.extend(address);
                }
                server.send_slice(&answer, from.endpoint).expect("room");
            }
        }
        self.lookup.poll(&mut self.device.sockets)
    }
}

#[test]
fn a_name_has_an_address_or_none() {
    let mut world = World::new();
    let found = Poll::Ready(Some(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7))));
    assert!(world.start("mx.example.org"));
    assert_eq!(world.lookup.poll(&mut world.device.sockets), Poll::Pending);
    assert!(!world.start("other.example.org"), "one at a time");
    assert_eq!(world.answer(1, Some(&[[192, 0, 2, 7]])), found);
    // Said once.
    assert_eq!(world.lookup.poll(&mut world.device.sockets), Poll::Ready(None));
    assert!(world.start("nobody.example.org"));
    assert_eq!(world.answer(1, Some(&[])), Poll::Ready(None));
    assert!(!world.start("no..name"));
    assert!(world.start("mx.example.org"));
    assert_eq!(world.answer(5, None), Poll::Pending);
    assert_eq!(world.answer(60, None), Poll::Ready(None), "nobody answered");
    assert!(world.start("mx.example.org"));
    assert_eq!(world.answer(1, Some(&[[192, 0, 2, 7]])), found);
}
