//! What the command line says about relaying: whose mail, where to, and what its clients hear.

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use smtpd_core::wire::{is_address_literal, is_domain};
use smtpd_std::{Deliveries, Guard, Leg, Lists, MailmanProxy, Network, PooledOutput, PureProxy, Remotes};

use crate::Exit;
use crate::address::Address;

/// The options.
#[derive(clap::Args)]
pub(crate) struct Relaying {
    #[arg(long, action = clap::ArgAction::Append)]
    relay_from: Vec<String>,
    #[arg(long, action = clap::ArgAction::Append)]
    relay_to: Vec<String>,
    #[arg(long)]
    open_relay: bool,
    #[arg(long, value_name = "what")]
    upstream_down: Option<String>,
    #[arg(long)]
    x_peer: bool,
    #[arg(long)]
    no_received: bool,
    #[arg(long)]
    always_250: bool,
    #[arg(long)]
    mailman_maps: Option<PathBuf>,
    #[arg(long)]
    mailman_lmtp: Option<String>,
    #[arg(long)]
    mailman2_lists: Option<PathBuf>,
    #[arg(long)]
    mailman2_command: Option<PathBuf>,
}

/// A proxy, as it was asked for.
#[derive(Clone)]
pub(crate) struct Proxy {
    host: &'static str,
    remote: String,
    guard: Guard<'static>,
    is_guarded: bool,
    refuses: bool,
    adds_x_peer: bool,
    adds_received: bool,
    /// Its clients always hear yes.
    is_always: bool,
}

/// Where Mailman's lists stand.
pub(crate) enum Source {
    /// In the tables of a Mailman 3: their folder, and where all of them are taken if not there.
    Maps(PathBuf, Option<SocketAddr>),
    /// In the folder of a Mailman 2, which has this command.
    Mailman2(PathBuf, PathBuf),
}

/// Debian's.
const WRAPPER: &str = "/var/lib/mailman/mail/mailman";

impl Relaying {
    /// What means nothing for this class.
    pub(crate) fn check(&self, class: &str) -> Result<(), Exit> {
        let (is_proxy, is_mailman) = (matches!(class, "PureProxy" | "MailmanProxy"), class == "MailmanProxy");
        let of_pure = [("x-peer", self.x_peer), ("upstream-down", self.upstream_down.is_some())];
        let of_mailman = [
            ("mailman-maps", self.mailman_maps.is_some()),
            ("mailman-lmtp", self.mailman_lmtp.is_some()),
            ("mailman2-lists", self.mailman2_lists.is_some()),
            ("mailman2-command", self.mailman2_command.is_some()),
        ];
        let of_both = [
            ("relay-from", !self.relay_from.is_empty()),
            ("relay-to", !self.relay_to.is_empty()),
            ("open-relay", self.open_relay),
            ("no-received", self.no_received),
            ("always-250", self.always_250),
        ];
        let misplaced =
            |options: &[(&'static str, bool)]| options.iter().find(|(_, is_set)| *is_set).map(|(name, _)| *name);
        let (name, whose) = if let (Some(name), true) = (misplaced(&of_pure), class != "PureProxy") {
            (name, "PureProxy")
        } else if let (Some(name), false) = (misplaced(&of_mailman), is_mailman) {
            (name, "MailmanProxy")
        } else if let (Some(name), false) = (misplaced(&of_both), is_proxy) {
            (name, "PureProxy and MailmanProxy")
        } else {
            return Ok(());
        };
        Err(Exit::failure(format!("--{name} is for {whose}")))
    }

    /// The proxy to `remote`, under this host's name.
    pub(crate) fn proxy(&self, remote: &Address, host: &'static str) -> Result<Proxy, Exit> {
        let mut networks = Vec::new();
        for network in &self.relay_from {
            let parsed = Network::parse(network.as_bytes());
            networks.push(
                parsed.ok_or_else(|| invalid("relay-from", network, "192.0.2.0/24, 2001:db8::/32, or an address"))?,
            );
        }
        let is_name = |name: &String| is_domain(name.as_bytes()) || is_address_literal(name.as_bytes());
        if let Some(name) = self.relay_to.iter().find(|name| !is_name(name)) {
            return Err(invalid("relay-to", name, "a domain, or an address in brackets"));
        }
        let is_guarded = self.open_relay || !networks.is_empty() || !self.relay_to.is_empty();
        // The command runs once: what it was told may as well live for ever.
        let domains: Vec<&'static str> = self.relay_to.iter().map(|name| &*name.clone().leak()).collect();
        let guard = match (self.open_relay, is_guarded) {
            (true, _) => Guard::OPEN,
            (false, true) => Guard::from_networks(networks.leak()).or_to_domains(domains.leak()),
            (false, false) => Guard::LOOPBACK,
        };
        let refuses = match self.upstream_down.as_deref() {
            None | Some("defer") => false,
            Some("refuse") => true,
            Some(other) => return Err(invalid("upstream-down", other, "defer or refuse")),
        };
        if refuses && self.always_250 {
            return Err(Exit::failure("--always-250 says yes, and --upstream-down refuse no: not both"));
        }
        Ok(Proxy {
            host,
            remote: remote.to_string(),
            guard,
            is_guarded,
            refuses,
            adds_x_peer: self.x_peer,
            adds_received: !self.no_received,
            is_always: self.always_250,
        })
    }

    /// Where the lists stand.
    pub(crate) fn source(self) -> Result<Source, Exit> {
        let lmtp = match &self.mailman_lmtp {
            None => None,
            Some(name) => {
                let found = name.to_socket_addrs().map(|mut found| found.next());
                Some(
                    found
                        .ok()
                        .flatten()
                        .ok_or_else(|| invalid("mailman-lmtp", name, "HOST:PORT that can be looked up"))?,
                )
            }
        };
        match (self.mailman_maps, self.mailman2_lists) {
            (Some(maps), None) => Ok(Source::Maps(maps, lmtp)),
            (None, Some(lists)) => Ok(Source::Mailman2(lists, self.mailman2_command.unwrap_or_else(|| WRAPPER.into()))),
            (Some(_), Some(_)) => {
                Err(Exit::failure("smtpd: --mailman-maps is for Mailman 3, --mailman2-lists for Mailman 2: not both"))
            }
            (None, None) => Err(Exit::failure(
                "smtpd: class MailmanProxy needs --mailman-maps DIR, the folder `data` of a Mailman 3 (or --mailman2-lists DIR)",
            )),
        }
    }
}

fn invalid(option: &str, value: &str, wanted: &str) -> Exit {
    Exit::failure(format!("Invalid {option}: {value:?} ({wanted})"))
}

impl Proxy {
    /// Never an open relay by accident: where other hosts can connect, it has to be said whose mail is relayed. And never one
    /// that sends to itself.
    pub(crate) fn check(&self, addresses: &[SocketAddr]) -> Result<(), Exit> {
        let is_here = |remote: SocketAddr| {
            addresses.iter().any(|here| {
                let is_any = here.ip().is_unspecified() && remote.ip().to_canonical().is_loopback();
                here.port() == remote.port() && (here.ip() == remote.ip() || is_any)
            })
        };
        // A name that is not known now may be later.
        if self.remote.to_socket_addrs().is_ok_and(|mut remotes| remotes.any(is_here)) {
            return Err(Exit::failure(format!(
                "smtpd: {} is this server itself: it would relay in circles",
                self.remote
            )));
        }
        match addresses.iter().find(|address| !address.ip().to_canonical().is_loopback()) {
            Some(address) if !self.is_guarded => Err(Exit::failure(format!(
                "smtpd: other hosts can connect to {address}: say whose mail is relayed with --relay-from NETWORK or --relay-to DOMAIN, and \
                 --relay-from 127.0.0.0/8 for this host (--open-relay relays for everybody)"
            ))),
            _ => Ok(()),
        }
    }

    /// Whom it relays for, if its clients always hear yes.
    pub(crate) fn always(&self) -> Option<Guard<'static>> {
        self.is_always.then_some(self.guard)
    }

    /// How the remote server is found.
    pub(crate) fn remotes(&self) -> Remotes {
        Remotes::new().leg(0, self.remote.clone())
    }

    pub(crate) fn pure(&self) -> PureProxy<'static, PooledOutput> {
        let mut proxy = PureProxy::new(self.leg(), self.guard);
        if self.adds_received {
            proxy = proxy.received(now);
        }
        if self.adds_x_peer {
            proxy = proxy.x_peer();
        }
        if self.refuses { proxy.refuse_when_away() } else { proxy }
    }

    pub(crate) fn mailman<L: Lists, D: Deliveries>(
        &self,
        lists: L,
        deliveries: D,
    ) -> MailmanProxy<'static, L, D, PooledOutput> {
        let proxy = MailmanProxy::new(self.leg(), self.leg(), lists, deliveries, self.guard);
        if self.adds_received { proxy.received(now) } else { proxy }
    }

    /// Its address is not used: see `remotes`, and Mailman's comes with the list.
    fn leg(&self) -> Leg<PooledOutput> {
        Leg::with(([0, 0, 0, 0], 0).into(), self.host, PooledOutput::default())
    }
}

fn now() -> u32 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    now.as_secs().try_into().unwrap_or(u32::MAX)
}
