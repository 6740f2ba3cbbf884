//! What was a subclass of Python's SMTPServer is a function here: it gets whole messages and says what becomes of them.
//!
//! `cargo run --example process_message`, then `swaks --server localhost:1025 --to you@example.org`.

use smtpd_std::{Config, Message, Server, Verdict, process_message};

fn keep(message: &mut Message) -> Verdict {
    if message.rcpt_tos.iter().any(|to| to.ends_with("@example.com")) {
        return Ok(Some("550 5.7.1 Nobody here reads example.com".into()));
    }
    let Message { mail_from, rcpt_tos, data, .. } = message;
    println!("{} octets from {mail_from} for {}", data.len(), rcpt_tos.join(", "));
    Ok(None)
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let mut config = Config::new("localhost");
    config.limits.size = 1_000_000;
    let server = Server::bind("localhost:1025", config).await?;
    server.run(|_| process_message(keep)).await;
    Ok(())
}
