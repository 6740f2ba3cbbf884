//! What a relay adds to the header section of each message (RFC 5321 §4.4).

use core::net::IpAddr;

use heapless::Vec;
use heapless::vec::VecView;

use crate::server::{Hello, Peer};
use crate::wire::{is_hello_name, put, write_address_literal, write_date, write_ip};

/// The most octets of a [`Trace::received`] line are 439: a host's name may have 255.
const LONGEST: usize = 448;
/// Octets of a client's name that are kept: those of longer ones, which hardly any host has, are replaced by its address.
const NAME: usize = 64;

/// Who the client is: for the lines about it.
#[derive(Clone, Debug)]
pub(crate) struct Trace {
    peer: Peer,
    name: Vec<u8, NAME>,
    is_extended: bool,
}

impl Trace {
    pub(crate) const fn new() -> Self {
        Self { peer: Peer { address: None, tls: false }, name: Vec::new(), is_extended: false }
    }

    pub(crate) const fn peer(&self) -> Peer {
        self.peer
    }

    /// A client is there.
    pub(crate) fn connected(&mut self, peer: Peer) {
        self.peer = peer;
        self.name.clear();
    }

    /// It said who it is.
    pub(crate) fn hello(&mut self, hello: Hello<'_>) {
        self.name.clear();
        // A Python dialect takes whatever is printable: what is no name would write the rest of the field as well.
        if is_hello_name(hello.name) {
            let _ = self.name.extend_from_slice(hello.name);
        }
        self.is_extended = hello.extended;
    }

    /// The `Received` field, with its line end. `host` is who received it, `secs` when, since 1970.
    pub(crate) fn received(&self, host: &str, secs: u32) -> Vec<u8, LONGEST> {
        let mut line = Vec::new();
        let out: &mut VecView<u8> = &mut line;
        put(out, b"Received: from ");
        match (self.name.is_empty(), self.ip()) {
            (true, Some(ip)) => {
                let _ = write_address_literal(out, ip);
            }
            (true, None) => put(out, b"unknown"),
            (false, _) => put(out, &self.name),
        }
        if let Some(ip) = self.ip() {
            put(out, b" (");
            let _ = write_address_literal(out, ip);
            put(out, b")");
        }
        put(out, b"\r\n\tby ");
        put(out, host.as_bytes());
        // The registered types (RFC 3848).
        put(
            out,
            match (self.is_extended, self.peer.tls) {
                (false, _) => b" with SMTP;\r\n\t".as_slice(),
                (true, false) => b" with ESMTP;\r\n\t",
                (true, true) => b" with ESMTPS;\r\n\t",
            },
        );
        let _ = write_date(out, secs);
        put(out, b"\r\n");
        line
    }

    /// The field that Python's PureProxy adds, with its line end; without an address it is empty.
    pub(crate) fn x_peer(&self) -> Vec<u8, 64> {
        let mut line = Vec::new();
        if let Some(ip) = self.ip() {
            put(&mut line, b"X-Peer: ");
            let _ = write_ip(&mut line, ip);
            put(&mut line, b"\r\n");
        }
        line
    }

    fn ip(&self) -> Option<IpAddr> {
        self.peer.address.map(|address| address.ip())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_about_a_client() {
        let peer = |ip: &str| Peer::new(Some((ip.parse::<IpAddr>().unwrap(), 7).into()));
        let long = [b'a'; 65];
        let rows: [(Peer, &[u8], bool, &str); 7] = [
            (peer("192.0.2.1"), b"a.example", true, "from a.example ([192.0.2.1])\r\n\tby mx.example with ESMTP"),
            (peer("::1"), b"a.example", false, "from a.example ([IPv6:::1])\r\n\tby mx.example with SMTP"),
            (peer("192.0.2.1"), &long, true, "from [192.0.2.1] ([192.0.2.1])\r\n\tby mx.example with ESMTP"),
            (Peer::default(), &long, true, "from unknown\r\n\tby mx.example with ESMTP"),
            (
                peer("192.0.2.1"),
                b"b.example ([192.0.2.2]) by mx.example; (",
                false,
                "from [192.0.2.1] ([192.0.2.1])\r\n\tby mx.example with SMTP",
            ),
            (peer("192.0.2.1"), b"a;b", false, "from [192.0.2.1] ([192.0.2.1])\r\n\tby mx.example with SMTP"),
            (Peer { address: None, tls: true }, b"a", true, "from a\r\n\tby mx.example with ESMTPS"),
        ];
        for (peer, name, extended, expected) in rows {
            let mut trace = Trace::new();
            trace.connected(peer);
            trace.hello(Hello { name, extended });
            let expected = std::format!("Received: {expected};\r\n\tThu, 01 Jan 1970 00:00:01 +0000\r\n");
            assert_eq!(std::str::from_utf8(&trace.received("mx.example", 1)).unwrap(), expected);
        }
        let mut trace = Trace::new();
        assert_eq!(trace.x_peer(), b"");
        trace.connected(peer("::1"));
        assert_eq!(trace.x_peer(), b"X-Peer: ::1\r\n");
    }
}
