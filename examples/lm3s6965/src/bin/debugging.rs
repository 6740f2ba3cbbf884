//! Python's DebuggingServer on a device: prints each mail by semihosting, on the host's stderr. Two clients at a time,
//! mails of up to 8 KiB.
#![no_std]
#![no_main]

use core::mem::MaybeUninit;
use core::net::IpAddr;

use cortex_m_rt::entry;
use lm3s6965::console;
use lm3s6965::ethernet::Frames;
use lm3s6965::network::{self, Sockets, places};
use smtpd_core::handlers::debugging::{Form, Printed, Sink, print};
use smtpd_core::heapless::Vec;
use smtpd_core::server::{Answer, Config, Flow, Handler, Mail, Peer, Rcpt, Reply};
use smtpd_core::wire::Params;
use smtpd_smoltcp::{Rings, Server};

/// Octets of the largest text.
const TEXT: usize = 8_192;

static CONFIG: Config = {
    let mut config = Config::new("board.example");
    config.limits.size = TEXT as u32;
    config
};

#[entry]
fn main() -> ! {
    static mut FRAMES: Frames = Frames::new();
    static mut RINGS: Rings<2> = Rings::new();
    static mut SOCKETS: Sockets<{ places(2) }> = Sockets::new();
    // Apart from the handlers, which the stack is too small for.
    static mut TEXTS: [Vec<u8, TEXT>; 2] = [const { Vec::new() }; 2];
    static mut SERVER: MaybeUninit<Server<'static, Debugging<'static>, 2, 512, 512>> = MaybeUninit::uninit();

    let (mut interface, mut ethernet) = network::start(FRAMES);
    let mut sockets = network::sockets(SOCKETS);
    let handlers = TEXTS.each_mut().map(Debugging::new);
    let server = SERVER.write(Server::new(&CONFIG, handlers, RINGS.add(&mut sockets)));
    network::serve(server, &mut interface, &mut ethernet, &mut sockets)
}

/// Gathers a mail, and prints it.
struct Debugging<'t> {
    peer: Option<IpAddr>,
    mail_options: Vec<u8, 128>,
    rcpt_options: Vec<u8, 128>,
    text: &'t mut Vec<u8, TEXT>,
}

const TOO_LONG: Reply<'static> = Reply::new(555, "Parameters too long for this server").enhanced(5, 4);
const TOO_BIG: Reply<'static> = Reply::new(552, "Message too big for this server").enhanced(3, 4);

impl<'t> Debugging<'t> {
    fn new(text: &'t mut Vec<u8, TEXT>) -> Self {
        Self { peer: None, mail_options: Vec::new(), rcpt_options: Vec::new(), text }
    }
}

/// Keeps parameters in place of those that were there.
fn keep(options: &mut Vec<u8, 128>, params: &Params<'_>) -> Answer<'static> {
    options.clear();
    match options.extend_from_slice(params.as_octets()) {
        Ok(()) => Answer::Accept,
        Err(_) => Answer::Reply(TOO_LONG),
    }
}

impl Handler for Debugging<'_> {
    fn connected(&mut self, peer: Peer) -> Answer<'_> {
        self.peer = peer.address.map(|address| address.ip());
        Answer::Accept
    }

    fn mail(&mut self, mail: Mail<'_>) -> Answer<'_> {
        self.rcpt_options.clear();
        self.text.clear();
        keep(&mut self.mail_options, &mail.params)
    }

    fn rcpt(&mut self, rcpt: Rcpt<'_>) -> Answer<'_> {
        keep(&mut self.rcpt_options, &rcpt.params)
    }

    fn text(&mut self, octets: &[u8]) -> Flow<'_> {
        match self.text.extend_from_slice(octets) {
            Ok(()) => Flow::Continue,
            Err(_) => Flow::Refuse(TOO_BIG),
        }
    }

    fn message(&mut self, _: u16) -> Answer<'_> {
        let Self { peer, mail_options, rcpt_options, text } = self;
        print(&mut Stderr, &Printed { peer: *peer, mail_options, rcpt_options, data: text }, Form::Bytes);
        network::accepted();
        Answer::Accept
    }
}

struct Stderr;

impl Sink for Stderr {
    fn write(&mut self, octets: &[u8]) {
        console::write(octets);
    }
}
