//! Mail for mailing lists goes to Mailman, all other mail to another server. Which addresses are lists', says a type of your own;
//! [`smtpd_std::Maps`] reads them from Mailman 3's own tables.
//!
//! `cargo run --example mailman_gateway -- localhost:1025 localhost:25 localhost:8024`

use std::net::{SocketAddr, ToSocketAddrs};

use smtpd_std::{Config, Delivered, Found, Guard, Leg, Lists, Mailbox, MailmanProxy, PooledOutput, Remotes, Server};

/// The lists of one domain, and where Mailman takes their mail by LMTP.
#[derive(Clone)]
struct Ours {
    domain: &'static str,
    lists: &'static [&'static str],
    mailman: SocketAddr,
}

/// What Mailman 3 has beside the list itself.
const ADDRESSES: [&str; 8] = ["bounces", "confirm", "join", "leave", "owner", "request", "subscribe", "unsubscribe"];

impl Lists for Ours {
    fn find(&mut self, mailbox: Mailbox<'_>) -> Found {
        let local: Vec<u8> = mailbox.plain_local_part().map(|octet| octet.to_ascii_lowercase()).collect();
        let local = String::from_utf8_lossy(&local);
        // ant-confirm+token
        let name = local.split('+').next().unwrap_or_default();
        let is_ours = |list: &&str| {
            name.strip_prefix(*list).is_some_and(|rest| {
                rest.is_empty() || rest.strip_prefix('-').is_some_and(|address| ADDRESSES.contains(&address))
            })
        };
        match mailbox.domain().eq_ignore_ascii_case(self.domain.as_bytes()) && self.lists.iter().any(is_ours) {
            true => Found::Lmtp(self.mailman),
            false => Found::Nothing,
        }
    }
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let local = arguments.next().unwrap_or("localhost:1025".into());
    let remote = arguments.next().unwrap_or("localhost:25".into());
    let mailman = arguments.next().unwrap_or("localhost:8024".into());
    let mailman = mailman.to_socket_addrs()?.next().ok_or(std::io::ErrorKind::NotFound)?;
    let ours = Ours { domain: "example.org", lists: &["ant", "bee-keepers"], mailman };
    // What one server had of a mail that is tried again because of the other.
    let delivered = Delivered::new();
    let relay = move |_| {
        // Neither address is used: upstream is found by its name, and Mailman's comes with the list.
        let leg = || Leg::with(([0, 0, 0, 0], 0).into(), "gateway.example.org", PooledOutput::default());
        MailmanProxy::new(leg(), leg(), ours.clone(), delivered.clone(), Guard::LOOPBACK)
    };
    let server = Server::bind(&local, Config::new("gateway.example.org")).await?;
    println!("mail for lists from {:?} to {mailman}, all other mail to {remote}", server.local_addrs()?);
    server.run_relay(relay, Remotes::new().leg(0, remote)).await;
    Ok(())
}
