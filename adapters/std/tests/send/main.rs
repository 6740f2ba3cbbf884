//! `send` and `Client`: against the server here, against scripts of servers that refuse, hang, lie and break off, and against
//! Postfix.

mod faults;
mod ours;
mod postfix;
mod scripts;

use std::time::Duration;

use smtpd_mock::{Link, Links, Played, Script, Wire};
use smtpd_std::client::{Builder, Client, Error, Outcome, Sent};

const FROM: &str = "me@client.example";
const TO: [&str; 3] = ["one@example.org", "two@example.org", "three@example.org"];
const MAIL: &str = "Subject: test\r\n\r\nHi\r\n";

/// A server up to EHLO's answer.
const HELLO: &str = "S: 220 mx.example.org\nC: EHLO client.example\nSB: 250-mx.example.org\\r\\n250-SIZE 100\\r\\n\
                     250-8BITMIME\\r\\n250 PIPELINING\\r\\n\n";

/// The same without extensions.
const PLAIN: &str = "S: 220 mx.example.org\nC: EHLO client.example\nS: 250 mx.example.org\n";

fn builder() -> Builder {
    Client::builder().name("client.example")
}

/// Lets a client meet a server, in no time.
async fn meet<R, F: Future<Output = R>>(script: &str, client: impl FnOnce(Wire) -> F) -> (R, Played) {
    over(Links::default(), script, client).await
}

async fn over<R, F: Future<Output = R>>(links: Links, script: &str, client: impl FnOnce(Wire) -> F) -> (R, Played) {
    let script = Script::parse("server", script).unwrap();
    script.serve_async(links, client).await.unwrap_or_else(|why| panic!("{why}"))
}

/// A second each way.
fn far() -> Links {
    let far = Link::new().latency(Duration::from_secs(1));
    Links { client: far.clone(), server: far, ..Links::default() }
}

/// Sends the mail to the first so many of the recipients, over a new connection that is then left.
async fn one(builder: Builder, wire: Wire, recipients: usize) -> Result<Sent, Error> {
    let mut client = builder.over(wire).await?;
    let sent = client.send(FROM, &TO[..recipients], MAIL).await;
    let _ = client.quit().await;
    sent
}

/// As `one two: 250 OK; ...`.
fn told(outcomes: &[Outcome]) -> String {
    let told = |outcome: &Outcome| format!("{} {:?} {}", outcome.recipient, outcome.command, outcome.reply);
    outcomes.iter().map(told).collect::<Vec<_>>().join("; ")
}
