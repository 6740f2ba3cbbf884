//! What is the end of a text to some servers, and is none, must not become a second message behind the proxy: SMTP smuggling.

use libtest_mimic::{Completion, Failed};

use crate::compare::{self, Way};
use crate::forwarder::Forwarder;
use crate::mails::{Head, Mail};
use crate::send::Client;
use crate::servers::ours::Proxy;
use crate::servers::{Running, Server, postfix};
use crate::wait_until_quiet;

/// What may stand before and behind the dot.
const ENDS: [&[u8]; 12] =
    [b"\r\n", b"\n", b"\r", b"\r\r\n", b"", b"\n\r", b"\r\n\r", b"\n\n", b"\r\r", b"\n\r\n", b"\0\r\n", b"\r\0\n"];

/// A mail with a dot between two of those, and what whoever takes that for its end takes for the next mail.
struct Smuggler {
    number: usize,
    before: &'static [u8],
    behind: &'static [u8],
}

impl Smuggler {
    /// All, but for those whose dot really is the end.
    fn all() -> Vec<Self> {
        let pairs = ENDS.iter().flat_map(|before| ENDS.iter().map(move |behind| (*before, *behind)));
        let pairs = pairs.filter(|(before, behind)| !(before.ends_with(b"\r\n") && behind.starts_with(b"\r\n")));
        pairs.enumerate().map(|(number, (before, behind))| Self { number, before, behind }).collect()
    }

    fn from(&self) -> String {
        format!("n{}@client.example", self.number)
    }

    fn smuggled(&self) -> String {
        format!("MAIL FROM:<evil{}@client.example>\r\nRCPT TO:<r@example.org>\r\nDATA\r\nevil", self.number)
    }

    fn name(&self) -> String {
        format!("{} . {}", self.before.escape_ascii(), self.behind.escape_ascii())
    }

    /// Sends it over a connection of its own; what is said to the text, and all that follows.
    fn send(&self, address: std::net::SocketAddr) -> Result<String, Failed> {
        let mut client = Client::new(address)?;
        for (command, expected) in
            [(&*format!("MAIL FROM:<{}>", self.from()), 250), ("RCPT TO:<r@example.org>", 250), ("DATA", 354)]
        {
            let reply = client.ask(command)?;
            if reply.code != expected {
                return Err(format!("{command}: {} {}", reply.code, reply.line).into());
            }
        }
        let smuggled = self.smuggled();
        client.say_all(&[HEAD, self.before, b".", self.behind, smuggled.as_bytes(), b"\r\n.\r\n"].concat())
    }

    /// The one mail that it is: each bare CR and LF ends a line.
    fn mail(&self) -> Mail {
        let dot: &[u8] = if self.before.ends_with(b"\r\n") { b"" } else { b"." };
        let octets = [HEAD, self.before, dot, self.behind, self.smuggled().as_bytes(), b"\r\n"].concat();
        let (mut text, mut last) = (Vec::new(), 0);
        for octet in octets {
            match (last, octet) {
                (b'\r', b'\n') => {}
                (_, b'\r' | b'\n') => text.extend_from_slice(b"\r\n"),
                _ => text.push(octet),
            }
            last = octet;
        }
        let to = vec!["r@example.org".to_owned()];
        Mail { from: self.from(), to, text, head: Head::Whole, is_pipelined: false, is_last: true }
    }
}

const HEAD: &[u8] = b"Subject: x\r\n\r\ntext";

/// Through the proxy, each arrives as the one mail that it is.
pub(crate) fn ends_nowhere_else(server: &Server) -> Result<Completion, Failed> {
    if let Some(reason) = (server.missing)() {
        return Ok(Completion::ignored_with(reason));
    }
    let running = (server.start)()?;
    let between = Forwarder::keeping(running.address)?;
    let proxy = Proxy::start(between.address, &[])?;
    let smugglers = Smuggler::all();
    for smuggler in &smugglers {
        let heard = smuggler.send(proxy.address)?;
        if heard.lines().map(|line| line.get(..4).unwrap_or_default()).ne(["250 ", "221 "]) {
            return Err(format!("{}: {heard:?}", smuggler.name()).into());
        }
    }
    wait_until_quiet(&running, smugglers.len())?;
    are_clean(&between.said(), smugglers.len())?;
    let arrivals = running.arrivals()?;
    for smuggler in &smugglers {
        let mine: Vec<_> = arrivals.iter().filter(|arrival| arrival.from == smuggler.from()).collect();
        let [arrival] = mine[..] else {
            return Err(format!("{}: arrived {} times", smuggler.name(), mine.len()).into());
        };
        let text = std::fs::read(&arrival.text)?;
        compare::text(&smuggler.mail(), &text, server.keeps, Way::Proxy)
            .map_err(|fault| format!("{}: {}", smuggler.name(), fault.message().unwrap_or_default()))?;
    }
    match arrivals.len() == smugglers.len() {
        true => Ok(Completion::Completed),
        false => Err(format!("{} mails became {}", smugglers.len(), arrivals.len()).into()),
    }
}

/// No bare CR or LF, and one end of a text for each mail.
fn are_clean(connections: &[Vec<u8>], mails: usize) -> Result<(), Failed> {
    let mut ends = 0;
    for said in connections {
        let is_bare = |pair: &[u8]| (pair[0] == b'\r') != (pair[1] == b'\n');
        if let Some(at) = said.windows(2).position(is_bare) {
            let around = &said[at.saturating_sub(20)..said.len().min(at + 20)];
            return Err(format!("a bare CR or LF: {}", around.escape_ascii()).into());
        }
        ends += said.windows(5).filter(|octets| *octets == b"\r\n.\r\n").count();
    }
    if ends == mails { Ok(()) } else { Err(format!("{mails} mails had {ends} ends").into()) }
}

/// Without the proxy it works: Postfix takes some of them for two mails.
pub(crate) fn works_on_postfix() -> Result<Completion, Failed> {
    if let Some(reason) = (postfix::SERVER.missing)() {
        return Ok(Completion::ignored_with(reason));
    }
    let running: Running = (postfix::SERVER.start)()?;
    let smugglers = Smuggler::all();
    for smuggler in &smugglers {
        smuggler.send(running.address)?;
    }
    wait_until_quiet(&running, smugglers.len())?;
    let evil = running.arrivals()?.iter().filter(|arrival| arrival.from.starts_with("evil")).count();
    match evil {
        0 => Err("none was smuggled in: the test proves nothing".into()),
        _ => {
            println!("postfix without a proxy: {evil} of {} smuggled a mail in", smugglers.len());
            Ok(Completion::Completed)
        }
    }
}
