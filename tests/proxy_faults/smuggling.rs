//! What looks like the end of a text to some servers, and is none, stays text.

use std::rc::Rc;

use smtpd_core::guard::Guard;
use smtpd_core::handlers::PureProxy;
use smtpd_core::relay::Leg;
use smtpd_mock::{Clock, Link, Pieces, Wire};

use crate::keep::{All, Keep, Kept};
use crate::world::{Dial, Proxy, Server, World, settings};

/// What may stand before and behind the dot.
const ENDS: [&[u8]; 11] =
    [b"\r\n", b"\n", b"\r", b"\r\r\n", b"", b"\n\r", b"\r\n\r", b"\n\n", b"\r\r", b"\0\r\n", b"\r\0\n"];

/// What the server behind the proxy kept, and the octets that the proxy sent it.
fn relayed(
    octets: &[u8],
    pieces: Pieces,
    hosts: [&'static smtpd_core::server::Config<'static>; 2],
) -> (Vec<Kept>, Vec<u8>) {
    let clock = Clock::new();
    let (mut world, end) = World::new(&clock, Link::new().pieces(pieces), Link::new());
    let all = All::default();
    let (born, keeps) = (Rc::clone(&world.born), Rc::clone(&all));
    let dial = move |_| {
        let (end, other) = Wire::pair(&clock, Link::new(), Link::new());
        born.borrow_mut().push(Box::new(Server::new(hosts[1], Keep::new(&keeps), other, usize::MAX)));
        Dial::Open(end)
    };
    let relay = PureProxy::new(Leg::new(([127, 0, 0, 1], 25).into(), "proxy.example"), Guard::OPEN);
    let proxy = Proxy::new(Server::new(hosts[0], relay, end, usize::MAX), usize::MAX, dial);
    let sent = Rc::clone(&proxy.sent);
    world.add(proxy);
    world.send(octets);
    world.run();
    world.leave();
    world.pass(1);
    let kept = all.borrow().clone();
    let sent = sent.borrow().clone();
    (kept, sent)
}

/// Every bare CR and LF made a CRLF, and the last line ended.
fn repaired(text: &[u8]) -> Vec<u8> {
    let mut octets = Vec::new();
    let mut last = 0;
    for octet in text {
        match (last, octet) {
            (b'\r', b'\n') => {}
            (_, b'\r' | b'\n') => octets.extend_from_slice(b"\r\n"),
            _ => octets.push(*octet),
        }
        last = *octet;
    }
    if !octets.ends_with(b"\n") {
        octets.extend_from_slice(b"\r\n");
    }
    octets
}

#[test]
fn a_dot_between_any_line_ends_is_no_second_message() {
    let hosts = [settings("proxy.example", |_| {}), settings("keeps.example", |_| {})];
    let head = b"EHLO a.example\r\nMAIL FROM:<a@a.example>\r\nRCPT TO:<b@b.example>\r\nDATA\r\n".as_slice();
    let smuggled = b"MAIL FROM:<evil@a.example>\r\nRCPT TO:<b@b.example>\r\nDATA\r\nevil".as_slice();
    for before in ENDS {
        for behind in ENDS {
            let is_end = before.ends_with(b"\r\n") && behind.starts_with(b"\r\n");
            let octets = [head, b"text", before, b".", behind, smuggled, b"\r\n.\r\nQUIT\r\n"].concat();
            let name = format!("{} . {}", before.escape_ascii(), behind.escape_ascii());
            let cuts = (0..octets.len()).map(|at| Pieces::At(vec![at])).chain([1, 2, 3].map(Pieces::Octets));
            for pieces in cuts {
                let (kept, sent) = relayed(&octets, pieces.clone(), hosts);
                let bare = sent.windows(2).any(|pair| (pair[0] == b'\r') != (pair[1] == b'\n'));
                assert!(!bare, "{name}, {pieces:?}: {}", sent.escape_ascii());
                let ends = sent.windows(5).filter(|octets| *octets == b"\r\n.\r\n").count();
                assert_eq!(ends, kept.len(), "{name}, {pieces:?}: {}", sent.escape_ascii());
                if is_end {
                    // That was the end, and what follows the client's own next mail.
                    let rest = behind.len() == 2;
                    assert_eq!(kept.len(), if rest { 2 } else { 1 }, "{name}, {pieces:?}: {kept:?}");
                    continue;
                }
                let lines = if before.ends_with(b"\r\n") { behind.to_vec() } else { [b".", behind].concat() };
                let text = repaired(&[b"text", before, &lines, smuggled, b"\r\n"].concat());
                let expected = Kept { from: "a@a.example".into(), to: vec!["b@b.example".into()], text };
                assert_eq!(kept, [expected], "{name}, {pieces:?}");
            }
        }
    }
}
