//! Values of the public types, as they print.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use embedded_io::ErrorKind;
use smtpd_core::client;
use smtpd_core::handlers::debugging::{Form, Printed};
use smtpd_core::handlers::spool::{self, Envelope, Id};
use smtpd_core::handlers::{At, Headers, Message, Rule, Sink, Unimplemented};
use smtpd_core::heapless::Vec;
use smtpd_core::relay::{Leg, Need};
use smtpd_core::server::{
    Answer, Body, Commands, Config, Dialect, Ending, Event, Extensions, Flow, Handler, Limits, Order, Patience, Peer,
    Progress, Question, Session, State, Timers, Watch, step,
};
use smtpd_core::wire::{
    BadPath, Decoder, Encoder, ForwardPath, Params, Piece, Reply, ReplyProgress, ReplyReader, ReversePath, Unfit, Verb,
};
use smtpd_io::{Polled, PolledError, Upstream};
use smtpd_nal::{Next, Server};

use crate::idle::{Line, Stack};

/// Each with its name in front.
macro_rules! show {
    ($($value:expr),* $(,)?) => { $(defmt::info!("{=str}: {}", stringify!($value), $value);)* };
}

const PEER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 2525);
const REPLY: Reply<'static> = Reply::new(450, "Not now").enhanced(2, 0);

pub fn print() {
    wire();
    server();
    client();
    handlers();
    adapters();
}

fn wire() {
    let null = ReversePath::parse(b"<>").map(|(path, _)| path);
    let reverse_path = ReversePath::parse(b"<@r.example:\"a b\"@c.example>").map(|(path, _)| path);
    let forward_path = ForwardPath::parse(b"<a@[IPv6:::1]>").map(|(path, _)| path);
    let postmaster = ForwardPath::parse(b"<postMASTER>").map(|(path, _)| path);
    let bad = ForwardPath::parse(b"a").map(|(path, _)| path);
    show![null, reverse_path, forward_path, postmaster, bad, BadPath];
    let params = Params::parse(b" SIZE=20 SMTPUTF8").unwrap_or_default();
    show![params, params.iter(), params.iter().next(), params.iter().nth(1), Params::default(), Verb::StartTls];
    show![Unfit::Control, REPLY, Reply::new(250, "one\ntwo"), REPLY.enhanced_code()];
    show![Reply::from_octets(550, b"No \"caf\xe9\""), ReplyReader::default(), ReplyProgress::Line(3)];
    show![Decoder::new(), Encoder::new(), Decoder::new().next(&mut &b"Hello\r\n"[..], 99), Piece::End];
}

fn server() {
    let peer = Peer::new(Some(PEER));
    let far = Peer::new(Some(SocketAddr::new(IpAddr::V6(Ipv6Addr::LOCALHOST), 25)));
    show![peer, far, Answer::Accept, Answer::Reply(REPLY), Answer::Later, Flow::Continue, Flow::Refuse(REPLY)];
    show![Event::Text(b"Hello\r\n"), Event::Connected(peer), Event::Closed(Ending::Expired), Body::EightBitMime];
    show![State::Complete(2), Question::Envelope { mail: true, recipients: 3 }, Order::new(), Dialect::Python3_11];
    show![Patience { secs: 300, epoch: 1 }, Progress::Wait { read: true }, Limits::DEFAULT, Timers::DEFAULT];
    show![Commands::ALL.without(Verb::Help), Extensions::NONE, Extensions::SIZE.with(Extensions::STARTTLS)];
    let config = Config::new("mx.example.org");
    let mut session = Session::new(&config, peer);
    show![config, session, Watch::new(7)];
    let mut input: &[u8] =
        b"EHLO client.example\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\nHello\r\nRest";
    let mut message = Message::<_, 64, 128, 512>::new(|_, _, recipients, _| {
        show![recipients];
        Answer::Accept
    });
    while step(&mut session, &mut input, &mut message, core::task::Waker::noop()) == Progress::Moved {}
    show![session, message];
    let _ = message.message(0);
}

fn client() {
    let mut session = client::Session::new();
    show![session, client::Command::Greeting, client::Error::OutOfOrder, client::Event::Idle];
    let event = session.poll(&mut &b"220 mx.example.org \"hi\"\r\n"[..]);
    show![event, Leg::new(PEER, "relay.example"), Need::Connect(PEER)];
}

fn handlers() {
    let printed = Printed { peer: Some(PEER.ip()), mail_options: b"SIZE=20", rcpt_options: b"", data: b"Hello\r\n" };
    show![printed, Form::Bytes, Sink, Unimplemented, At::Text(100)];
    show![Rule::reply(At::Rcpt, REPLY).address("*@slow.example").nth(1), Rule::later(At::Data, 3).since(2)];
    show![Id::new(7, 1), Envelope::new(Id::new(7, 1)), spool::Error::Full];
    Headers::<64>::new().text(b"Subject: Hello\r\n\r\n", |field| {
        show![field];
    });
}

fn adapters() {
    let words: Vec<u16, 4> = Vec::from_slice(&[1, 2]).unwrap_or_default();
    show![words, Polled(1_u8), PolledError::<ErrorKind>::NotReady, PolledError::Io(ErrorKind::TimedOut)];
    let mut buffer = [0; 16];
    show![Upstream::<Line>::new(&mut buffer), Next::Now, Next::Wait(Some(5))];
    let config = Config::new("mx.example.org");
    let mut server = Server::<Stack, _, 2>::new(&config, [Sink; 2]);
    show![server];
    let is_bound = server.bind(&mut Stack, 25).is_ok();
    show![is_bound, server];
}
