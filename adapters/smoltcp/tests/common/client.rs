//! What clients do, step by step.

use smoltcp::iface::SocketHandle;
use smoltcp::socket::tcp::{RecvError, State};
use smoltcp::time::Duration;
use smtpd_core::server::Handler;

use super::world::World;

/// How a connection ended, as its client sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It goes on, or was never made.
    None,
    /// The server said its last.
    Orderly,
    Reset,
}

pub const ENVELOPE: &str = "EHLO c.example\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\n";
/// A mail of four octets.
pub const MAIL: &str =
    "EHLO c.example\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\nHi\r\n.\r\nQUIT\r\n";
pub const MAIL_CODES: [u16; 7] = [220, 250, 250, 250, 354, 250, 221];
pub const MAIL_HEARD: &str = "connected; mail a@b.example; message 4; closed Quit";

/// The codes of all replies, their last lines'.
pub fn codes(said: &str) -> Vec<u16> {
    assert!(said.is_empty() || said.ends_with("\r\n"), "{said}");
    said.lines().filter(|line| line.as_bytes()[3] == b' ').map(|line| line[..3].parse().expect("a code")).collect()
}

impl<H: Handler, const N: usize, const LINE: usize, const OUTPUT: usize> World<'_, H, N, LINE, OUTPUT> {
    /// A client that is connected.
    pub fn connected(&mut self) -> SocketHandle {
        let client = self.connect();
        self.until("a client connects", |world| world.client(client).may_send());
        client
    }

    /// Says something, all at once; of what its ring has no room for, nothing.
    pub fn say(&mut self, client: SocketHandle, octets: impl AsRef<[u8]>) {
        let octets = octets.as_ref();
        let sent = self.client(client).send_slice(octets).expect("a connection");
        assert_eq!(sent, octets.len(), "room in the client's ring");
    }

    /// What a client reads at this moment.
    pub fn heard(&mut self, client: SocketHandle) -> String {
        let (mut said, mut buffer) = (Vec::new(), [0; 512]);
        while let Ok(octets @ 1..) = self.client(client).recv_slice(&mut buffer) {
            said.extend_from_slice(&buffer[..octets]);
        }
        String::from_utf8(said).expect("ASCII")
    }

    /// What a client reads within so many milliseconds, over and over.
    pub fn heard_within(&mut self, client: SocketHandle, millis: u64) -> String {
        let end = self.now + Duration::from_millis(millis);
        let mut said = self.heard(client);
        while self.turn(end) {
            said += &self.heard(client);
        }
        self.pass(Duration::ZERO);
        said + &self.heard(client)
    }

    /// What a client reads until the connection ends.
    pub fn heard_to_the_end(&mut self, client: SocketHandle) -> String {
        let mut said = String::new();
        self.until("the server ends", |world| {
            said += &world.heard(client);
            world.end_of(client) != End::None
        });
        said
    }

    /// How a connection ended, once all was read.
    pub fn end_of(&mut self, client: SocketHandle) -> End {
        let client = self.client(client);
        match client.recv(|_| (0, ())) {
            Err(RecvError::Finished) => End::Orderly,
            Err(RecvError::InvalidState) if client.state() == State::Closed => End::Reset,
            _ => End::None,
        }
    }

    /// Until the server has no client; each handler has heard the end of each of its own.
    pub fn until_empty(&mut self) {
        self.until("all are gone", |world| world.server.connections() == 0);
    }
}
