//! Firmware with one session over a socket of smoltcp, at a device of which the compiler knows nothing: by the least loop that
//! will do, and by smtpd-smoltcp. The stack is in both, so the difference is the adapter. This file counts for neither.

use core::hint::black_box;
use core::task::Waker;

use smoltcp::iface::{Config as Settings, Interface, SocketSet, SocketStorage};
use smoltcp::phy::{Device, DeviceCapabilities, RxToken, TxToken};
use smoltcp::time::Instant;
use smoltcp::wire::{EthernetAddress, IpAddress, IpCidr};

use crate::small::Small;

pub struct Wire;

impl Device for Wire {
    type RxToken<'a> = Frame;
    type TxToken<'a> = Frame;

    fn receive(&mut self, _: Instant) -> Option<(Frame, Frame)> {
        black_box(Some((Frame, Frame)))
    }
    fn transmit(&mut self, _: Instant) -> Option<Frame> {
        black_box(Some(Frame))
    }
    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.max_transmission_unit = 1_514;
        capabilities
    }
}

pub struct Frame;

impl RxToken for Frame {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(black_box(&[]))
    }
}

impl TxToken for Frame {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        let mut frame = [0; 1_514];
        let result = f(black_box(&mut frame).get_mut(..len).unwrap_or(&mut []));
        black_box(frame);
        result
    }
}

fn interface() -> Interface {
    let settings = Settings::new(EthernetAddress(black_box([2, 0, 0, 0, 0, 1])).into());
    let mut interface = Interface::new(settings, &mut Wire, Instant::ZERO);
    interface.update_ip_addrs(|addresses| {
        let _ = addresses.push(IpCidr::new(black_box(IpAddress::v4(192, 0, 2, 2)), 24));
    });
    interface
}

fn now() -> Instant {
    Instant::from_millis(black_box(0_i64))
}

/// No time, no second client, no socket that listens again.
#[cfg(not(feature = "smoltcp"))]
#[inline(never)]
pub fn all() {
    use smoltcp::socket::tcp;
    use smtpd_core::server::{Config, Ending, Peer, Progress, Session, step};

    let config = Config::new(black_box("mx.example.org"));
    let mut session = Session::new(black_box(&config), black_box(Peer::default()));
    let mut interface = interface();
    let (mut received, mut sending, mut storage) = ([0; 2_048], [0; 512], [SocketStorage::EMPTY; 1]);
    let mut sockets = SocketSet::new(black_box(&mut storage[..]));
    let (received, sending) = (black_box(&mut received[..]), black_box(&mut sending[..]));
    let socket = tcp::Socket::new(tcp::SocketBuffer::new(received), tcp::SocketBuffer::new(sending));
    let handle = sockets.add(socket);
    let _ = sockets.get_mut::<tcp::Socket<'_>>(handle).listen(25);
    loop {
        interface.poll(now(), &mut Wire, &mut sockets);
        let socket = sockets.get_mut::<tcp::Socket<'_>>(handle);
        let mut progress = Progress::Read;
        if socket.recv_queue() > 0 || session.output().is_empty() {
            let _ = socket.recv(|ring| {
                let mut input = &*ring;
                progress = step(&mut session, &mut input, &mut Small, Waker::noop());
                (ring.len().wrapping_sub(input.len()), ())
            });
        }
        session.sent(socket.send_slice(session.output()).unwrap_or(0));
        match progress {
            Progress::Closed => socket.close(),
            _ if !socket.may_recv() => session.end(Ending::Lost),
            _ => {}
        }
        if interface.poll_at(now(), &sockets).is_none() {
            black_box(());
        }
    }
}

#[cfg(feature = "smoltcp")]
#[inline(never)]
pub fn all() {
    use smtpd_core::server::Config;
    use smtpd_smoltcp::{Rings, Server};

    let config = Config::new(black_box("mx.example.org"));
    let mut interface = interface();
    let (mut rings, mut storage) = (Rings::<1>::new(), [SocketStorage::EMPTY; 1]);
    let mut sockets = SocketSet::new(black_box(&mut storage[..]));
    let sockets_of_it = black_box(&mut rings).add(&mut sockets);
    let mut server = Server::<_, 1>::new(black_box(&config), [Small], sockets_of_it);
    server.listen(25);
    #[cfg(feature = "located")]
    rest(&mut server, &mut sockets, &mut interface);
    loop {
        server.poll(now(), &mut interface, &mut Wire, &mut sockets, Waker::noop());
        black_box(server.poll_at(now(), &mut interface, &sockets));
    }
}

/// What that firmware does not call: so that all of the adapter is looked at.
#[cfg(all(feature = "smoltcp", feature = "located"))]
fn rest<'a>(server: &mut smtpd_smoltcp::Server<'_, Small, 1>, sockets: &mut SocketSet<'a>, interface: &mut Interface) {
    use smtpd_core::relay::{Leg, Relay};
    use smtpd_core::server::{Answer, Config, Flow, Handler, Rcpt};
    use smtpd_smoltcp::{Dialer, Server};

    struct Relayed(Leg);

    impl Handler for Relayed {
        fn rcpt(&mut self, _: Rcpt<'_>) -> Answer<'_> {
            black_box(&mut self.0).answer()
        }
        fn text(&mut self, octets: &[u8]) -> Flow<'_> {
            self.0.text(octets);
            Flow::Continue
        }
        fn message(&mut self, _: u16) -> Answer<'_> {
            Answer::Later
        }
    }

    impl Relay for Relayed {
        type Output = heapless::Vec<u8, 2048>;

        fn legs(&mut self) -> &mut [Leg] {
            black_box(core::slice::from_mut(&mut self.0))
        }
    }

    let config = Config::new(black_box("mx.example.org"));
    let handle = sockets.iter().next().map(|(handle, _)| handle).unwrap_or_default();
    server.refuse_with(handle);
    black_box(server.connections());
    black_box(server.handlers());
    server.stop();
    let leg = Leg::new(black_box(([192, 0, 2, 1], 25).into()), "a.example");
    let mut relay = Server::<_, 1>::new(&config, [Relayed(leg)], [handle]);
    let mut dialer = Dialer::new([handle], black_box(1));
    relay.poll_relay(now(), interface, &mut Wire, sockets, &mut dialer, Waker::noop());
    let mut leg = Leg::new(black_box(([192, 0, 2, 1], 25).into()), "a.example");
    black_box(dialer.poll(now(), interface, &mut Wire, sockets, &mut leg));
}
