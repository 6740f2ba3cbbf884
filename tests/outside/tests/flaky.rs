//! What the client does when the network and the server fail.

use std::io::ErrorKind;
use std::time::Duration;

use outside::{Sent, send, send_async};
use smtpd_mock::{Bounds, Clock, Link, Links, Script, Side, explore, listen};

const GOOD: &str = "\
S: 220 server.example
C: EHLO {*}
S: 250-server.example
S: 250 SIZE 1000
C: MAIL FROM:<me@client.example>
S: 250 OK
C: RCPT TO:<you@server.example>
S: 250 OK
C: DATA
S: 354 Go on
C: Subject: hello
C: {...}
C: ..dots
C: .
S: 250 Accepted
C: QUIT
";

fn script(text: &str) -> Script {
    Script::parse("flaky", text).unwrap()
}

#[test]
fn a_good_server() {
    assert_eq!(script(GOOD).serve(send).unwrap().0.unwrap(), Sent::Accepted);
}

#[test]
fn a_refusal_in_each_place() {
    for (from, to) in
        [("220 server.example", "554 No"), ("250 OK\nC: RCPT", "451 Later\nC: RCPT"), ("250 Accepted", "552 Full")]
    {
        let text = GOOD.replace(from, to);
        let until = text.find(to.split('\n').next().unwrap()).unwrap() + to.split('\n').next().unwrap().len();
        let (sent, _) = script(&text[..until]).serve(send).unwrap();
        assert_eq!(sent.unwrap(), Sent::Refused(to[..3].parse().unwrap()));
    }
}

/// Whatever the server breaks off or garbles: the client says *accepted* only if it heard 250 for the message.
#[test]
fn whatever_happens_to_the_replies() {
    let script = script(GOOD);
    let all = script.octets_of(Side::Server);
    let mut bounds = Bounds::default();
    bounds.damage = false;
    let runs = explore(&script, Side::Server, bounds, |script| {
        let (sent, _) = script.serve(send)?;
        let is_whole = script.octets_of(Side::Server) == all;
        // A reset may overtake the last reply.
        let is_heard = is_whole && !script.to_string().contains("!reset");
        let is_accepted = matches!(sent, Ok(Sent::Accepted));
        assert!(is_accepted || !is_heard, "it was accepted: {sent:?}");
        assert!(is_whole || !is_accepted, "it was not accepted: {sent:?}");
        Ok(())
    });
    assert!(runs.unwrap() > 300);
}

/// The five minutes take no time.
#[tokio::test(start_paused = true)]
async fn a_server_that_hangs() {
    let links = || Links { clock: Clock::of_tokio(), ..Links::default() };
    let hangs = script(&GOOD.replace("S: 250 Accepted\nC: QUIT\n", "!stall\n"));
    let (sent, played) = hangs.serve_async(links(), send_async).await.unwrap();
    assert_eq!(sent.unwrap_err().kind(), ErrorKind::TimedOut);
    assert_eq!(played.took.as_secs(), 300);
    let slow = script(&GOOD.replace("S: 250 Accepted\n", "@+299s\nS: 250 Accepted\n"));
    assert_eq!(slow.serve_async(links(), send_async).await.unwrap().0.unwrap(), Sent::Accepted);
    // A line that takes two seconds for each octet's way.
    let far = Links { server: Link::new().latency(Duration::from_secs(2)), ..links() };
    let (sent, played) = script(GOOD).serve_async(far, send_async).await.unwrap();
    assert_eq!((sent.unwrap(), played.took.as_secs()), (Sent::Accepted, 12));
    let endless = script("S: 220 server.example\nC: EHLO {*}\nSB*2000: 250-more\\r\\n\nC: {...}\n");
    let (sent, _) = endless.serve_async(links(), send_async).await.unwrap();
    assert!(sent.is_err());
}

#[test]
fn on_a_port() {
    let server = listen([script(GOOD)], Duration::from_secs(10)).unwrap();
    let stream = std::net::TcpStream::connect(server.address()).unwrap();
    assert_eq!(send(stream).unwrap(), Sent::Accepted);
    server.finish().unwrap();
}
