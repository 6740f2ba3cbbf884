//! The interface's address by DHCP.

use smoltcp::iface::{Interface, SocketHandle, SocketSet};
use smoltcp::socket::{Socket, dhcpv4};
use smoltcp::wire::{IpCidr, Ipv4Address, Ipv4Cidr};

/// Gets the address and the router of an interface by DHCP (RFC 2131), and keeps them up to date.
#[derive(Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Dhcp(SocketHandle);

/// What changed. The connections of an address that went break, even if it comes again; their handlers hear of it with the
/// next frame or timer.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Lease {
    /// The interface has these now.
    Given {
        /// Its address.
        address: Ipv4Cidr,
        /// Where packets to other networks go.
        router: Option<Ipv4Address>,
        /// A server of names, as `Lookup` wants it.
        names: Option<Ipv4Address>,
    },
    /// The interface has no address any more.
    Lost,
}

impl Dhcp {
    /// Adds a socket to the set, which asks for an address from the next poll on.
    ///
    /// # Panics
    /// smoltcp's [`SocketSet::add`] does, if the set has no room.
    pub fn new(sockets: &mut SocketSet<'_>) -> Self {
        let mut socket = dhcpv4::Socket::new();
        // A new one says first that its lease is lost, though it never had one.
        let _ = socket.poll();
        Self(sockets.add(socket))
    }

    /// Puts news into effect: call it after each poll of the server, and poll again if there were any.
    pub fn poll(&self, interface: &mut Interface, sockets: &mut SocketSet<'_>) -> Option<Lease> {
        let (_, socket) = sockets.iter_mut().find(|(handle, _)| *handle == self.0)?;
        let Socket::Dhcpv4(socket) = socket else { return None };
        let lease = match socket.poll()? {
            dhcpv4::Event::Configured(config) => {
                let (address, router) = (config.address, config.router);
                Lease::Given { address, router, names: config.dns_servers.first().copied() }
            }
            dhcpv4::Event::Deconfigured => Lease::Lost,
        };
        let (address, router) = match lease {
            Lease::Given { address, router, .. } => (Some(address), router),
            Lease::Lost => (None, None),
        };
        interface.update_ip_addrs(|addresses| {
            addresses.retain(|address| !matches!(address, IpCidr::Ipv4(_)));
            // There is room for one where there was one before, and smoltcp has room for two.
            let _ = address.map(|address| addresses.push(address.into()));
        });
        interface.routes_mut().remove_default_ipv4_route();
        let _ = router.map(|router| interface.routes_mut().add_default_ipv4_route(router));
        Some(lease)
    }
}
