//! Addresses of servers by their names.

use core::fmt;
use core::net::IpAddr;
use core::task::Poll;

use smoltcp::iface::{Interface, SocketHandle, SocketSet};
use smoltcp::socket::{Socket, dns};
use smoltcp::wire::{DnsQueryType, IpAddress};

/// Looks up addresses by DNS (RFC 1035), one at a time.
pub struct Lookup {
    handle: SocketHandle,
    query: Option<dns::QueryHandle>,
}

/// Where a query is kept while it is under way: 0.3 KiB.
pub type Query = Option<dns::DnsQuery>;

impl Lookup {
    /// Adds a socket to the set, which asks this server.
    ///
    /// # Panics
    /// smoltcp's [`SocketSet::add`] does, if the set has no room.
    pub fn new<'a>(sockets: &mut SocketSet<'a>, server: IpAddress, query: &'a mut [Query; 1]) -> Self {
        Self { handle: sockets.add(dns::Socket::new(&[server], &mut query[..])), query: None }
    }

    /// Asks for an IPv4 address; without the feature `ipv4`, for an IPv6 address. False: the name is none, or another one is
    /// being asked for.
    pub fn start(&mut self, interface: &mut Interface, sockets: &mut SocketSet<'_>, name: &str) -> bool {
        let (None, Some(socket)) = (self.query, socket(sockets, self.handle)) else { return false };
        let kind = if cfg!(feature = "ipv4") { DnsQueryType::A } else { DnsQueryType::Aaaa };
        self.query = socket.start_query(interface.context(), name, kind).ok();
        self.query.is_some()
    }

    /// The address, once it is known; none: there is none, or nobody answered for 10 s, or nothing was asked.
    pub fn poll(&mut self, sockets: &mut SocketSet<'_>) -> Poll<Option<IpAddr>> {
        let (Some(query), Some(socket)) = (self.query, socket(sockets, self.handle)) else { return Poll::Ready(None) };
        let result = socket.get_query_result(query);
        if matches!(result, Err(dns::GetQueryResultError::Pending)) {
            return Poll::Pending;
        }
        self.query = None;
        Poll::Ready(result.ok().and_then(|addresses| addresses.first().copied()).map(Into::into))
    }
}

impl fmt::Debug for Lookup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_asking = self.query.is_some();
        f.debug_struct("Lookup").field("handle", &self.handle).field("is_asking", &is_asking).finish()
    }
}

fn socket<'s, 'a>(sockets: &'s mut SocketSet<'a>, handle: SocketHandle) -> Option<&'s mut dns::Socket<'a>> {
    match sockets.iter_mut().find(|(own, _)| *own == handle)?.1 {
        Socket::Dns(socket) => Some(socket),
        _ => None,
    }
}
