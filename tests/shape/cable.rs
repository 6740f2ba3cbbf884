//! Two smoltcp stacks, and a cable between them: what one sends, the other receives.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::socket::tcp;
use smoltcp::time::Instant;
use smoltcp::wire::{HardwareAddress, IpAddress, IpCidr};

type Frames = Arc<Mutex<VecDeque<Vec<u8>>>>;

/// One end of a cable.
struct Plug {
    incoming: Frames,
    outgoing: Frames,
}

/// Two stacks, the second of which listens on port 25.
pub(crate) fn cable() -> (Stack, Stack) {
    let (one, other) = (Frames::default(), Frames::default());
    let client = Plug { incoming: one.clone(), outgoing: other.clone() };
    let mut server = Stack::new(Plug { incoming: other, outgoing: one }, 2);
    server.socket().listen(25).expect("a port");
    (Stack::new(client, 1), server)
}

/// A stack with one socket.
pub(crate) struct Stack {
    interface: Interface,
    plug: Plug,
    sockets: SocketSet<'static>,
    handle: SocketHandle,
}

impl Stack {
    fn new(mut plug: Plug, host: u8) -> Self {
        let mut interface = Interface::new(Config::new(HardwareAddress::Ip), &mut plug, Instant::ZERO);
        interface.update_ip_addrs(|addresses| {
            addresses.push(IpCidr::new(IpAddress::v4(192, 0, 2, host), 24)).expect("room for one");
        });
        let ring = || tcp::SocketBuffer::new(vec![0; 2_048]);
        let mut socket = tcp::Socket::new(ring(), ring());
        socket.set_nagle_enabled(false);
        socket.set_ack_delay(None);
        let mut sockets = SocketSet::new(Vec::new());
        let handle = sockets.add(socket);
        Self { interface, plug, sockets, handle }
    }

    pub(crate) fn socket(&mut self) -> &mut tcp::Socket<'static> {
        self.sockets.get_mut(self.handle)
    }

    pub(crate) fn connect(&mut self) {
        let socket = self.sockets.get_mut::<tcp::Socket<'_>>(self.handle);
        let server = (IpAddress::v4(192, 0, 2, 2), 25);
        socket.connect(self.interface.context(), server, 49_152).expect("an address");
    }

    pub(crate) fn poll(&mut self, millis: i64) -> bool {
        let result = self.interface.poll(Instant::from_millis(millis), &mut self.plug, &mut self.sockets);
        result == smoltcp::iface::PollResult::SocketStateChanged
    }
}

impl Device for Plug {
    type RxToken<'a> = Received;
    type TxToken<'a> = Sending;

    fn receive(&mut self, _: Instant) -> Option<(Received, Sending)> {
        let frame = self.incoming.lock().expect("no panic").pop_front()?;
        Some((Received(frame), Sending(self.outgoing.clone())))
    }

    fn transmit(&mut self, _: Instant) -> Option<Sending> {
        Some(Sending(self.outgoing.clone()))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ip;
        capabilities.max_transmission_unit = 576;
        capabilities
    }
}

struct Received(Vec<u8>);

impl RxToken for Received {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(&self.0)
    }
}

struct Sending(Frames);

impl TxToken for Sending {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        let mut frame = vec![0; len];
        let result = f(&mut frame);
        self.0.lock().expect("no panic").push_back(frame);
        result
    }
}
