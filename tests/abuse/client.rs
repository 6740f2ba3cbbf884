//! One connection, from any loopback address.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

pub(crate) const ATTACKER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 1);
pub(crate) const HONEST: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// Longer than any answer of a server that works.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Client {
    pub(crate) stream: BufReader<TcpStream>,
}

impl Client {
    /// Connects; does not wait for the greeting.
    pub(crate) async fn connect(from: Ipv4Addr, to: SocketAddr) -> io::Result<Self> {
        Self::connect_with(from, to, None).await
    }

    /// With a receive buffer of this size, so that what it does not read soon stays with the server.
    pub(crate) async fn connect_with(from: Ipv4Addr, to: SocketAddr, buffer: Option<u32>) -> io::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        if let Some(buffer) = buffer {
            socket.set_recv_buffer_size(buffer)?;
        }
        socket.bind(SocketAddr::new(IpAddr::V4(from), 0))?;
        let stream = timeout(PATIENCE, socket.connect(to)).await??;
        stream.set_nodelay(true)?;
        Ok(Self { stream: BufReader::new(stream) })
    }

    /// The last line of a reply.
    pub(crate) async fn reply(&mut self) -> io::Result<String> {
        loop {
            let mut line = String::new();
            if timeout(PATIENCE, self.stream.read_line(&mut line)).await?? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if line.as_bytes().get(3) != Some(&b'-') {
                return Ok(line);
            }
        }
    }

    pub(crate) async fn send(&mut self, octets: &[u8]) -> io::Result<()> {
        timeout(PATIENCE, self.stream.get_mut().write_all(octets)).await?
    }

    /// Sends, and the reply begins with this code.
    pub(crate) async fn say(&mut self, octets: &[u8], code: &str) -> io::Result<()> {
        self.send(octets).await?;
        self.hear(code).await
    }

    pub(crate) async fn hear(&mut self, code: &str) -> io::Result<()> {
        let reply = self.reply().await?;
        if reply.starts_with(code) {
            return Ok(());
        }
        Err(io::Error::other(format!("{code} was expected: {}", reply.trim_end())))
    }

    /// Up to the text of a mail.
    pub(crate) async fn begin(&mut self) -> io::Result<()> {
        self.hear("220").await?;
        self.say(b"EHLO client.example\r\n", "250").await?;
        self.say(b"MAIL FROM:<a@b.example>\r\n", "250").await?;
        self.say(b"RCPT TO:<c@d.example>\r\n", "250").await?;
        self.say(b"DATA\r\n", "354").await
    }

    /// The rest of what the server says, until it closes.
    pub(crate) async fn rest(&mut self) -> String {
        let mut octets = Vec::new();
        // After a reset, what came before it.
        let _ = timeout(PATIENCE, self.stream.read_to_end(&mut octets)).await;
        String::from_utf8_lossy(&octets).into_owned()
    }
}
