//! How long a client waits for its server.

/// How long the server may take, in seconds (RFC 5321 §4.5.3.2); 0: for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub struct Timers {
    /// To take the connection: the adapter's, for a session begins behind it.
    pub connect: u32,
    /// To greet (§4.5.3.2.1).
    pub greeting: u32,
    /// To answer MAIL (§4.5.3.2.2), and HELO, EHLO, LHLO, RSET and QUIT.
    pub mail: u32,
    /// To answer RCPT (§4.5.3.2.3).
    pub rcpt: u32,
    /// To answer DATA (§4.5.3.2.4).
    pub data: u32,
    /// To take a block of the text (§4.5.3.2.5).
    pub text: u32,
    /// To answer the end of the text (§4.5.3.2.6).
    pub message: u32,
}

impl Timers {
    /// Those of RFC 5321, and 30 s to connect.
    pub const DEFAULT: Self =
        Self { connect: 30, greeting: 300, mail: 300, rcpt: 300, data: 120, text: 180, message: 600 };

    /// Those of a relay: at each step, all that it waits for sums to less than what the server's side has time for
    /// ([`server::Timers::DEFAULT`](crate::server::Timers::DEFAULT)), so that the client hears why.
    pub const RELAY: Self = Self { connect: 20, greeting: 45, mail: 30, rcpt: 60, data: 90, text: 120, message: 450 };

    /// Those of a server on the same machine, which has one step of its own behind the relay's other servers.
    pub const LOCAL: Self = Self { connect: 5, greeting: 30, mail: 30, rcpt: 30, data: 30, text: 60, message: 60 };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server;

    #[test]
    fn what_a_relay_waits_for_at_one_step_is_less_than_its_client_does() {
        let (server, relay, local) = (server::Timers::DEFAULT, Timers::RELAY, Timers::LOCAL);
        for leg in [relay, local] {
            // A leg that is made at RCPT: EHLO may be refused and HELO said then.
            assert!(leg.connect + leg.greeting + 3 * leg.mail + leg.rcpt < server.answer);
            assert!(leg.data < server.data && leg.text < server.text);
        }
        assert!(relay.message + local.message < server.message);
    }
}
