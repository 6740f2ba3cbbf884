//! The board in its network: its addresses, and the loop that serves.

use core::sync::atomic::{AtomicU32, Ordering};
use core::task::Waker;

use smoltcp::iface::{Config, Interface, SocketSet, SocketStorage};
use smoltcp::wire::{EthernetAddress, IpCidr, Ipv4Address};
use smtpd_core::heapless::Vec;
use smtpd_core::relay::Relay;
use smtpd_core::server::Handler;
#[cfg(feature = "dhcp")]
use smtpd_smoltcp::{Dhcp, Lease};
use smtpd_smoltcp::{Dialer, Server};

use crate::ethernet::{Ethernet, Frames};
use crate::mac::Mac;
use crate::{clock, console, seed, stack};

/// Its own on its cable: one of those that nobody gives away. A product has one of its maker's.
pub const ETHERNET: [u8; 6] = [0x02, 0, 0, 0, 0, 0x19];
/// What QEMU gives the first machine of its network. With the feature `dhcp` the board has what a server gives it.
pub const ADDRESS: Ipv4Address = Ipv4Address::new(10, 0, 2, 15);
/// Bits that the addresses of the network have in common.
pub const PREFIX: u8 = 24;
/// The way to other networks.
pub const GATEWAY: Ipv4Address = Ipv4Address::new(10, 0, 2, 2);
/// Where mail comes in (RFC 5321 §4.5.4.2).
pub const PORT: u16 = 25;

/// Starts the clock and the controller. Once, before anything else.
pub fn start<const N: usize>(frames: &mut Frames<N>) -> (Interface, Ethernet<'_>) {
    clock::start();
    let mut ethernet = Ethernet::new(Mac::start(ETHERNET), frames);
    let mut config = Config::new(EthernetAddress(ETHERNET).into());
    config.random_seed = seed::seed(ETHERNET);
    let mut interface = Interface::new(config, &mut ethernet, clock::now());
    if !cfg!(feature = "dhcp") {
        interface.update_ip_addrs(|addresses| {
            let _ = addresses.push(IpCidr::new(ADDRESS.into(), PREFIX));
        });
        let _ = interface.routes_mut().add_default_ipv4_route(GATEWAY);
    }
    (interface, ethernet)
}

/// Where the sockets are. A vector that is empty at first lies in RAM alone, an array of empty places in flash too.
pub type Sockets<const N: usize> = Vec<SocketStorage<'static>, N>;

/// Places of so many clients, and of DHCP.
#[must_use]
pub const fn places(clients: usize) -> usize {
    if cfg!(feature = "dhcp") { clients + 1 } else { clients }
}

/// A set that has all those places.
pub fn sockets<const N: usize>(places: &'static mut Sockets<N>) -> SocketSet<'static> {
    while places.push(SocketStorage::EMPTY).is_ok() {}
    SocketSet::new(&mut places[..])
}

/// Serves, and sleeps whenever there is nothing to do.
///
/// With the argument `exit-after=N` it ends, with status 0, when `N` mails were [`accepted`] and their clients
/// are gone: for tests.
pub fn serve<H: Handler, const N: usize, const LINE: usize, const OUTPUT: usize>(
    server: &mut Server<'_, H, N, LINE, OUTPUT>,
    interface: &mut Interface,
    ethernet: &mut Ethernet<'_>,
    sockets: &mut SocketSet<'_>,
) -> ! {
    poll_by(server, interface, ethernet, sockets, |server, interface, ethernet, sockets| {
        server.poll(clock::now(), interface, ethernet, sockets, Waker::noop());
    })
}

/// The same for relays, which reach their servers over the dialer's sockets.
pub fn serve_relay<H: Relay, const N: usize, const LINE: usize, const OUTPUT: usize, const M: usize>(
    server: &mut Server<'_, H, N, LINE, OUTPUT>,
    dialer: &mut Dialer<M>,
    interface: &mut Interface,
    ethernet: &mut Ethernet<'_>,
    sockets: &mut SocketSet<'_>,
) -> ! {
    poll_by(server, interface, ethernet, sockets, |server, interface, ethernet, sockets| {
        server.poll_relay(clock::now(), interface, ethernet, sockets, dialer, Waker::noop());
    })
}

/// Both loops.
fn poll_by<H, const N: usize, const LINE: usize, const OUTPUT: usize>(
    server: &mut Server<'_, H, N, LINE, OUTPUT>,
    interface: &mut Interface,
    ethernet: &mut Ethernet<'_>,
    sockets: &mut SocketSet<'_>,
    mut poll: impl FnMut(&mut Server<'_, H, N, LINE, OUTPUT>, &mut Interface, &mut Ethernet<'_>, &mut SocketSet<'_>),
) -> ! {
    let last = console::argument(EXIT_AFTER);
    #[cfg(feature = "dhcp")]
    let dhcp = Dhcp::new(sockets);
    server.listen(PORT);
    if !cfg!(feature = "dhcp") {
        listening();
    }
    loop {
        poll(server, interface, ethernet, sockets);
        #[cfg(feature = "dhcp")]
        if let Some(lease) = dhcp.poll(interface, sockets) {
            log(lease);
            continue;
        }
        if last.is_some() && server.connections() == 0 {
            end_after(last);
        }
        clock::sleep(server.poll_at(clock::now(), interface, sockets), || ethernet.is_idle());
    }
}

/// Logs where it listens.
pub fn listening() {
    let [a, b, c, d] = ADDRESS.octets();
    defmt::info!("listening on {=u8}.{=u8}.{=u8}.{=u8}:{=u16}", a, b, c, d, PORT);
}

#[cfg(feature = "dhcp")]
fn log(lease: Lease) {
    match lease {
        Lease::Given { address, .. } => {
            let [a, b, c, d] = address.address().octets();
            defmt::info!("dhcp: {=u8}.{=u8}.{=u8}.{=u8}/{=u8}", a, b, c, d, address.prefix_len());
        }
        Lease::Lost => defmt::info!("dhcp: the address is lost"),
    }
}

/// The argument that says after how many mails the firmware ends.
pub const EXIT_AFTER: &str = "exit-after";

/// Ends the firmware if so many mails were accepted.
pub fn end_after(last: Option<u32>) {
    if last.is_some_and(|last| ACCEPTED.load(Ordering::Relaxed) >= last) {
        defmt::info!("stack: {=usize} octets", stack::used());
        console::exit(0);
    }
}

/// Mails that were accepted.
static ACCEPTED: AtomicU32 = AtomicU32::new(0);

/// A mail was accepted; handlers say so.
pub fn accepted() {
    ACCEPTED.fetch_add(1, Ordering::Relaxed);
}
