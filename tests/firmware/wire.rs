//! A stack of this host's at the board's cable: QEMU hands over one frame per datagram, so that nothing stands between it
//! and the board, and no privileges are needed.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, UdpSocket};

use libtest_mimic::Failed;
use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::phy::{self, Device, DeviceCapabilities, Medium};
use smoltcp::socket::tcp;
use smoltcp::time::{Duration, Instant};
use smoltcp::wire::{EthernetAddress, IpCidr, Ipv4Address};

use crate::qemu::free_udp_port;

/// The board's address, and the port of its server.
const BOARD: (Ipv4Address, u16) = (Ipv4Address::new(10, 0, 2, 15), 25);

/// An end of the cable.
pub(crate) struct Wire {
    socket: UdpSocket,
    qemu: u16,
}

/// An interface at its end of the cable, with sockets that own their rings.
pub(crate) struct Stack {
    interface: Interface,
    wire: Wire,
    sockets: SocketSet<'static>,
    next_port: u16,
}

impl Wire {
    pub(crate) fn new() -> Result<Self, Failed> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        socket.set_nonblocking(true)?;
        Ok(Self { socket, qemu: free_udp_port()? })
    }

    /// The other end, as QEMU's option `-nic` has it.
    pub(crate) fn option(&self) -> Result<String, Failed> {
        let own = self.socket.local_addr()?.port();
        Ok(format!("socket,model=stellaris,udp=127.0.0.1:{own},localaddr=127.0.0.1:{}", self.qemu))
    }

    /// Sends a frame, whatever is in it. Nobody may be there yet, or any more.
    pub(crate) fn send(&self, frame: &[u8]) {
        let _ = self.socket.send_to(frame, (Ipv4Addr::LOCALHOST, self.qemu));
    }

    fn receive(&self) -> Option<Vec<u8>> {
        let mut frame = [0; 2_048];
        loop {
            match self.socket.recv(&mut frame) {
                Ok(length) => return Some(frame[..length].to_vec()),
                // Of a frame that found nobody.
                Err(error) if error.kind() == ErrorKind::ConnectionRefused => {}
                Err(_) => return None,
            }
        }
    }
}

impl Stack {
    pub(crate) fn new(mut wire: Wire, now: Instant) -> Self {
        let mut config = Config::new(EthernetAddress([2, 0, 0, 0, 0, 2]).into());
        config.random_seed = 1;
        let mut interface = Interface::new(config, &mut wire, now);
        interface.update_ip_addrs(|addresses| {
            addresses.push(IpCidr::new(Ipv4Address::new(10, 0, 2, 2).into(), 24)).expect("room for one");
        });
        Self { interface, wire, sockets: SocketSet::new(Vec::new()), next_port: 49_152 }
    }

    /// A client that calls the board.
    pub(crate) fn call(&mut self) -> SocketHandle {
        let ring = || tcp::SocketBuffer::new(vec![0; 4_096]);
        let mut socket = tcp::Socket::new(ring(), ring());
        socket.set_nagle_enabled(false);
        socket.set_keep_alive(Some(Duration::from_secs(60)));
        self.next_port += 1;
        socket.connect(self.interface.context(), BOARD, self.next_port).expect("an address");
        self.sockets.add(socket)
    }

    pub(crate) fn socket(&mut self, handle: SocketHandle) -> &mut tcp::Socket<'static> {
        self.sockets.get_mut(handle)
    }

    pub(crate) fn poll(&mut self, now: Instant) {
        self.interface.poll(now, &mut self.wire, &mut self.sockets);
    }

    /// The cable, for frames that no stack would send.
    pub(crate) fn wire(&self) -> &Wire {
        &self.wire
    }
}

impl Device for Wire {
    type RxToken<'a> = Received;
    type TxToken<'a> = Free<'a>;

    fn receive(&mut self, _: Instant) -> Option<(Received, Free<'_>)> {
        let frame = Wire::receive(self)?;
        Some((Received(frame), Free(self)))
    }

    fn transmit(&mut self, _: Instant) -> Option<Free<'_>> {
        Some(Free(self))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = 1_514;
        capabilities
    }
}

pub(crate) struct Received(Vec<u8>);

impl phy::RxToken for Received {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(&self.0)
    }
}

pub(crate) struct Free<'w>(&'w Wire);

impl phy::TxToken for Free<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, f: F) -> R {
        let mut frame = vec![0; length];
        let result = f(&mut frame);
        self.0.send(&frame);
        result
    }
}
