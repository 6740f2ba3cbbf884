//! Tests of a sender that uses lettre, against servers that refuse, hang, break off and lie: `cargo run --example
//! flaky_server`. In your own crate these are `#[test]` functions, and smtpd-mock is a dev-dependency.

use std::time::{Duration, Instant};

use lettre::address::Envelope;
use lettre::{SmtpTransport, Transport};
use smtpd_mock::{Script, listen};

/// The sender to be tested: tries up to three times, unless the mail was refused for good.
fn deliver(port: u16, text: &[u8]) -> Result<(), String> {
    let transport = SmtpTransport::builder_dangerous("127.0.0.1").port(port).timeout(Some(Duration::from_millis(300)));
    let transport = transport.build();
    let address = |address: &str| address.parse().map_err(|error| format!("{address}: {error}"));
    let envelope = Envelope::new(Some(address("a@a.example")?), vec![address("b@b.example")?]);
    let envelope = envelope.map_err(|error| error.to_string())?;
    let mut last = String::new();
    for _ in 0..3 {
        match transport.send_raw(&envelope, text) {
            // lettre takes any 2yz and 3yz for success, so that a server out of step is believed.
            Ok(response) if response.has_code(250) => return Ok(()),
            Ok(response) => last = format!("{} is no answer to a message", response.code()),
            Err(error) if error.is_permanent() => return Err(error.to_string()),
            Err(error) => last = error.to_string(),
        }
    }
    Err(last)
}

const TO_THE_TEXT: &str = "
S: 220 mx.example.org
C: EHLO {*}
S: 250 mx.example.org
C: MAIL FROM:{*}
S: 250 2.1.0 OK
C: RCPT TO:{*}
S: 250 2.1.5 OK
C: DATA
S: 354 Go on
C: Message-ID: <1@a.example>
C: {...}
C: .
";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let to_the_text = |then| Script::parse("server", &format!("{TO_THE_TEXT}{then}\n"));
    let good = to_the_text("S: 250 2.0.0 Accepted\nC: {...}")?;

    check("451 is tried again, once", [to_the_text("S: 451 4.3.0 Later\nC: {...}")?, good.clone()], true)?;
    check("554 is not", [to_the_text("S: 554 5.6.0 Never\nC: {...}")?], false)?;
    check("421 in the greeting is", [Script::parse("busy", "S: 421 4.3.2 Busy\nC: {...}")?, good.clone()], true)?;
    check("a server that hangs at the dot is left", [to_the_text("!stall")?, good.clone()], true)?;
    check("a reset there is no yes", [to_the_text("!reset")?, good.clone()], true)?;
    check("nor is half a reply", [to_the_text("SB: 25\n!drop")?, good.clone()], true)?;
    // MAIL is answered twice: from there on each reply is taken for the one before.
    let lies = TO_THE_TEXT.replace("S: 250 2.1.0 OK", "SB: 250 2.1.0 OK\\r\\n250 2.1.0 OK\\r\\n");
    let lies = Script::parse("lies", &format!("{lies}S: 554 5.6.0 Never\nC: {{...}}"))?;
    check("a lie is found out", [lies, good], true)?;
    Ok(())
}

/// Each try meets the next script; all of them have to be met.
fn check<const N: usize>(what: &str, scripts: [Script; N], is_sent: bool) -> Result<(), Box<dyn std::error::Error>> {
    let server = listen(scripts, Duration::from_secs(10))?;
    let began = Instant::now();
    let sent = deliver(server.address().port(), b"Message-ID: <1@a.example>\r\n\r\nHi\r\n");
    let took = began.elapsed();
    server.finish()?;
    assert_eq!(sent.is_ok(), is_sent, "{what}: {sent:?}");
    assert!(took < Duration::from_secs(5), "{what}: it took {took:?}");
    println!("{what}");
    Ok(())
}
