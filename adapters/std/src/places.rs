//! Places for connections: so many in all, and so many for one address.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

use smtpd_core::server::Peer;

/// The places of a server; each copy counts the same.
#[derive(Clone, Debug)]
pub(crate) struct Places {
    all: usize,
    each: usize,
    taken: Arc<Mutex<Taken>>,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// A place that is taken until this is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    address: Option<IpAddr>,
    taken: Arc<Mutex<Taken>>,
}

impl Places {
    /// Enough for test suites and small sites, and few enough that one address leaves most of them to others.
    pub(crate) const ALL: usize = 1_000;
    pub(crate) const EACH: usize = 250;

    /// So many in all, and so many for one address; 0: no limit.
    pub(crate) fn new(all: usize, each: usize) -> Self {
        Self { all, each, taken: Arc::default() }
    }

    /// A place for `peer`; none is free, or its address has as many as it may.
    pub(crate) fn take(&self, peer: Peer) -> Option<Place> {
        let mut taken = lock(&self.taken);
        if self.all > 0 && taken.all >= self.all {
            return None;
        }
        let address = peer.address.map(|address| site(address.ip()));
        if let Some(address) = address {
            let count = taken.by_address.entry(address).or_default();
            if self.each > 0 && *count >= self.each {
                return None;
            }
            *count += 1;
        }
        taken.all += 1;
        Some(Place { address, taken: Arc::clone(&self.taken) })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = lock(&self.taken);
        taken.all -= 1;
        let Some(address) = self.address else { return };
        if let Some(count) = taken.by_address.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                taken.by_address.remove(&address);
            }
        }
    }
}

fn lock(taken: &Mutex<Taken>) -> std::sync::MutexGuard<'_, Taken> {
    taken.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What counts as one address: a host with IPv6 has a whole /64 to itself.
fn site(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(address: &str) -> Peer {
        Peer::new(Some((address.parse::<IpAddr>().unwrap(), 1).into()))
    }

    #[test]
    fn places_are_counted_in_all_and_by_address() {
        let places = Places::new(3, 2);
        let first = places.take(peer("10.0.0.1")).unwrap();
        let second = places.take(peer("10.0.0.1")).unwrap();
        assert!(places.take(peer("10.0.0.1")).is_none());
        let third = places.take(peer("10.0.0.2")).unwrap();
        assert!(places.take(peer("10.0.0.3")).is_none());
        drop(third);
        assert!(places.take(peer("10.0.0.1")).is_none());
        drop(first);
        let again = places.take(peer("10.0.0.1"));
        assert!(again.is_some() && places.take(peer("10.0.0.1")).is_none());
        drop((second, again));
        assert!(lock(&places.taken).by_address.is_empty() && lock(&places.taken).all == 0);
        let places = Places::new(0, 0);
        assert_eq!((0..2_000).filter_map(|_| places.take(peer("::1"))).collect::<Vec<_>>().len(), 2_000);
    }

    #[test]
    fn a_net_of_64_bits_is_one_address() {
        let places = Places::new(0, 1);
        let _place = places.take(peer("2001:db8::1")).unwrap();
        assert!(places.take(peer("2001:db8::ffff:0:0:2")).is_none());
        assert!(places.take(peer("2001:db8:0:1::1")).is_some());
    }
}
