//! Sends a mail from stdin and says what became of each recipient.
//!
//! `cargo run --example send -- localhost:1025 me@example.org you@example.org < mail.eml`
//!
//! Exit codes as for sendmail: 0, all get it; 64, wrong usage; 69, somebody never will; 75, somebody may if it is tried again.

use std::error::Error as _;
use std::io::Read;
use std::process::ExitCode;

use smtpd_std::client::{Client, Error, Outcome};

const USAGE: u8 = 64;
const UNAVAILABLE: u8 = 69;
const TRY_AGAIN: u8 = 75;

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [server, from, to @ ..] = &arguments[..] else {
        eprintln!("send SERVER:PORT FROM TO... < MAIL");
        return USAGE.into();
    };
    let mut mail = Vec::new();
    if let Err(error) = std::io::stdin().read_to_end(&mut mail) {
        eprintln!("stdin: {error}");
        return USAGE.into();
    }
    let outcomes = match send(server, from, to, &mail).await {
        Ok(outcomes) => outcomes,
        Err(error) => {
            eprint!("{error}");
            let mut cause = error.source();
            while let Some(why) = cause {
                eprint!(": {why}");
                cause = why.source();
            }
            eprintln!();
            return if error.is_permanent() { UNAVAILABLE } else { TRY_AGAIN }.into();
        }
    };
    for outcome in &outcomes {
        println!("{}: {}", outcome.recipient, outcome.reply);
    }
    let mut refused = outcomes.iter().filter(|outcome| !outcome.is_accepted()).peekable();
    if refused.peek().is_none() {
        return ExitCode::SUCCESS;
    }
    if refused.all(|outcome| outcome.reply.is_permanent()) { UNAVAILABLE } else { TRY_AGAIN }.into()
}

/// What `smtpd_std::send` does in one call.
async fn send(server: &str, from: &str, to: &[String], mail: &[u8]) -> Result<Vec<Outcome>, Error> {
    let mut client = Client::connect(server).await?;
    let outcomes = match client.send(from, to, mail).await {
        Ok(sent) => sent.outcomes,
        Err(Error::RecipientsRefused(outcomes)) => outcomes,
        Err(error) => return Err(error),
    };
    // The mail was answered: that is not changed by a goodbye that does not come.
    let _ = client.quit().await;
    Ok(outcomes)
}
