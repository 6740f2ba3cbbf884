//! A socket that waits for a client.

use smoltcp::socket::tcp::{Socket, State};

/// What [`listen`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Listener {
    /// It listens where it should, or does not where it should not.
    Waits,
    /// It was told to.
    Moved,
    /// A client is there, or half of one.
    Client,
}

/// Sees to it that a socket without a client listens on a port, or on none.
pub(crate) fn listen(socket: &mut Socket<'_>, port: Option<u16>) -> Listener {
    match (socket.state(), port) {
        (State::Listen, Some(port)) if socket.listen_endpoint().port == port => Listener::Waits,
        (State::Closed | State::TimeWait, None) => Listener::Waits,
        // It is closed, and the port is not 0: that can't fail.
        (State::Closed | State::TimeWait, Some(port)) => match socket.listen(port) {
            Ok(()) => Listener::Moved,
            Err(_) => Listener::Waits,
        },
        (State::Listen, _) => {
            socket.close();
            Listener::Moved
        }
        _ => Listener::Client,
    }
}
