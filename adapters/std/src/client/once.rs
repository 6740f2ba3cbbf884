//! One mail over a connection of its own.

use std::time::Duration;

use tokio::net::ToSocketAddrs;
use tokio::runtime;
use tokio::time::timeout;

use super::{Client, Error, Sent};

/// How long the server may take to say goodbye when all is done.
const GOODBYE: Duration = Duration::from_secs(5);

/// Connects, sends one mail and quits; see [`Client`], which is for many, for servers that speak LMTP, and for other timers than
/// those of RFC 5321.
///
/// ```no_run
/// # async fn run() -> Result<(), smtpd_std::client::Error> {
/// let mail = "From: me@example.org\r\nTo: you@example.org\r\nSubject: Hi\r\n\r\nHello.\r\n";
/// let sent = smtpd_std::send("localhost:25", "me@example.org", &["you@example.org"], mail).await?;
/// for refused in sent.refused() {
///     eprintln!("{}: {}", refused.recipient, refused.reply);
/// }
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// As [`Client::connect`] and [`Client::send`]. What happens once the mail was answered is none.
pub async fn send<R: AsRef<str>>(
    server: impl ToSocketAddrs,
    mail_from: &str,
    rcpt_tos: &[R],
    data: impl AsRef<[u8]>,
) -> Result<Sent, Error> {
    let mut client = Client::connect(server).await?;
    let sent = client.send(mail_from, rcpt_tos, data).await;
    let _ = timeout(GOODBYE, client.quit()).await;
    sent
}

/// As [`send`], for programs without a runtime; must not be called within an asynchronous one.
///
/// # Errors
/// As `send`; [`Error::Connect`] if no runtime can be made.
pub fn send_blocking<R: AsRef<str>>(
    server: impl ToSocketAddrs,
    mail_from: &str,
    rcpt_tos: &[R],
    data: impl AsRef<[u8]>,
) -> Result<Sent, Error> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build().map_err(Error::Connect)?;
    let sent = runtime.block_on(send(server, mail_from, rcpt_tos, data));
    // A lookup that still runs is not waited for.
    runtime.shutdown_background();
    sent
}
