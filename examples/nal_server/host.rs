//! The sockets of std-embedded-nal, without its one fault: those that it accepts block.

use std::io;
use std::net::SocketAddr;

use embedded_nal::{TcpClientStack, TcpFullStack, nb};
use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, SockaddrStorage, getsockname, recv, send};
use std_embedded_nal::Stack;

/// The host's stack; listens on IPv6 and IPv4.
#[derive(Default)]
pub(crate) struct Host(Stack);

type Socket = <Stack as TcpClientStack>::TcpSocket;
type Failure = <Stack as TcpClientStack>::Error;

/// The port of a socket that listens.
///
/// # Errors
/// The system's, for a socket that does not.
pub(crate) fn port(listener: &Socket) -> io::Result<u16> {
    let address: SockaddrStorage = getsockname(descriptor(listener)?)?;
    let v6 = address.as_sockaddr_in6().map(|address| address.port());
    v6.or(address.as_sockaddr_in().map(|address| address.port())).ok_or(io::ErrorKind::Unsupported.into())
}

fn descriptor(socket: &Socket) -> io::Result<i32> {
    socket.as_raw_fd().ok_or(io::ErrorKind::NotConnected.into())
}

/// What a call says that must not block.
fn unblocked(result: nix::Result<usize>) -> nb::Result<usize, Failure> {
    match result {
        Ok(octets) => Ok(octets),
        Err(Errno::EAGAIN | Errno::EINTR) => Err(nb::Error::WouldBlock),
        Err(error) => Err(nb::Error::Other(io::Error::from(error).into())),
    }
}

impl TcpClientStack for Host {
    type TcpSocket = Socket;
    type Error = Failure;

    fn socket(&mut self) -> Result<Socket, Failure> {
        self.0.socket()
    }

    fn connect(&mut self, socket: &mut Socket, remote: SocketAddr) -> nb::Result<(), Failure> {
        self.0.connect(socket, remote)
    }

    fn send(&mut self, socket: &mut Socket, octets: &[u8]) -> nb::Result<usize, Failure> {
        let descriptor = descriptor(socket).map_err(Failure::from)?;
        unblocked(send(descriptor, octets, MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL))
    }

    fn receive(&mut self, socket: &mut Socket, buffer: &mut [u8]) -> nb::Result<usize, Failure> {
        let descriptor = descriptor(socket).map_err(Failure::from)?;
        unblocked(recv(descriptor, buffer, MsgFlags::MSG_DONTWAIT))
    }

    /// The system closes a socket when it is dropped, which is what happens in there.
    fn close(&mut self, socket: Socket) -> Result<(), Failure> {
        self.0.close(socket)
    }
}

impl TcpFullStack for Host {
    fn bind(&mut self, socket: &mut Socket, port: u16) -> Result<(), Failure> {
        self.0.bind(socket, port)
    }

    fn listen(&mut self, socket: &mut Socket) -> Result<(), Failure> {
        self.0.listen(socket)
    }

    fn accept(&mut self, socket: &mut Socket) -> nb::Result<(Socket, SocketAddr), Failure> {
        self.0.accept(socket)
    }
}
