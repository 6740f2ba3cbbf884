//! A gateway for devices that can't reach the mail server themselves, or must not: four clients at a time, each mail
//! passed on to one server while it comes in. No mail is ever whole here, so a mail of many megabytes needs no more RAM
//! than a short one, and a 250 is that server's own: there is nothing that the board could lose.
#![no_std]
#![no_main]

use core::mem::MaybeUninit;
use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use core::task::Waker;

use cortex_m_rt::entry;
use lm3s6965::ethernet::Frames;
use lm3s6965::network::{self, ETHERNET, Sockets, places};
use lm3s6965::seed::seed;
use lm3s6965::{calendar, console};
use smtpd_core::guard::{Guard, Network};
use smtpd_core::handlers::PureProxy;
use smtpd_core::heapless::Vec;
use smtpd_core::relay::{Leg, Relay};
use smtpd_core::server::{Answer, Config, Ending, Extensions, Flow, Handler, Hello, Mail, Peer, Rcpt, Verify};
use smtpd_smoltcp::{Dialer, Rings, Server};

static CONFIG: Config = Config::new("gateway.board.example");

/// Who may send mail through the board to anybody: QEMU's network, in which clients on the host come from 10.0.2.2. In yours,
/// those of your devices; or, with `Guard::to_domains`, anybody to your own domains. Whatever is wider than that will be found
/// by strangers.
static CLIENTS: [Network; 1] = [Network::new(IpAddr::V4(Ipv4Addr::new(10, 0, 2, 0)), 24).expect("no bits behind 24")];

/// The mail server: the host, as a board in QEMU sees it, whose port the argument `upstream=PORT` says.
const UPSTREAM: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 2);

/// Clients at a time; as many connections to the server.
const PLACES: usize = 4;
/// Octets for that server that wait to be sent: text goes out in pieces of half of them.
const OUTPUT: usize = 1_024;

type Gateway = Server<'static, &'static mut Logged, PLACES, 512, 512>;
/// Replies come in, text goes out.
type Calls = Rings<PLACES, 512, 2_048>;

// All that is there for clients and calls, but for the frames and the stack.
const _: () = assert!(Gateway::ram::<2_048, 512>() + size_of::<Calls>() + size_of::<[Place; PLACES]>() <= 36 * 1_024);

#[entry]
fn main() -> ! {
    static mut FRAMES: Frames = Frames::new();
    static mut RINGS: Rings<PLACES> = Rings::new();
    static mut CALLS: Calls = Rings::new();
    static mut SOCKETS: Sockets<{ places(2 * PLACES) }> = Sockets::new();
    static mut PROXIES: [Place; PLACES] =
        [const { Place { output: Vec::new(), proxy: MaybeUninit::uninit() } }; PLACES];
    static mut SERVER: MaybeUninit<Gateway> = MaybeUninit::uninit();

    let (mut interface, mut ethernet) = network::start(FRAMES);
    let mut sockets = network::sockets(SOCKETS);
    let port = console::argument("upstream").and_then(|port| u16::try_from(port).ok());
    let upstream = SocketAddr::from((UPSTREAM, port.unwrap_or(25)));
    let proxies = PROXIES.each_mut().map(|Place { output, proxy }| proxy.write(Logged::new(upstream, output)));
    let server = SERVER.write(Server::new(&CONFIG, proxies, RINGS.add(&mut sockets)));
    let mut dialer = Dialer::new(CALLS.add(&mut sockets), seed(ETHERNET) as u16);
    network::serve_relay(server, &mut dialer, &mut interface, &mut ethernet, &mut sockets)
}

/// A client's proxy, made where it stays, and its output: the stack has no room for either.
struct Place {
    output: Output,
    proxy: MaybeUninit<Logged>,
}

type Output = Vec<u8, OUTPUT>;

/// The proxy, and a line in the log for what became of each mail.
struct Logged {
    proxy: PureProxy<'static, &'static mut Output>,
    /// The mail's last octet was passed on: the next answer is the one to it.
    is_passed: bool,
}

impl Logged {
    fn new(upstream: SocketAddr, output: &'static mut Output) -> Self {
        let leg = Leg::with(upstream, CONFIG.host, output);
        let mut proxy = PureProxy::new(leg, Guard::from_networks(&CLIENTS));
        // A `Received` field says when; without a calendar there is none.
        if calendar::secs().is_some() {
            proxy = proxy.received(|| calendar::secs().unwrap_or(0));
        }
        Self { proxy, is_passed: false }
    }
}

impl Handler for Logged {
    fn connected(&mut self, peer: Peer) -> Answer<'_> {
        self.proxy.connected(peer)
    }

    fn hello(&mut self, hello: Hello<'_>) -> Answer<'_> {
        self.proxy.hello(hello)
    }

    fn mail(&mut self, mail: Mail<'_>) -> Answer<'_> {
        self.proxy.mail(mail)
    }

    fn rcpt(&mut self, rcpt: Rcpt<'_>) -> Answer<'_> {
        self.proxy.rcpt(rcpt)
    }

    fn data(&mut self) -> Answer<'_> {
        self.proxy.data()
    }

    fn text(&mut self, octets: &[u8]) -> Flow<'_> {
        self.proxy.text(octets)
    }

    fn message(&mut self, recipient: u16) -> Answer<'_> {
        self.is_passed = true;
        self.proxy.message(recipient)
    }

    fn verify(&mut self, verify: Verify<'_>) -> Answer<'_> {
        self.proxy.verify(verify)
    }

    fn reset(&mut self) {
        self.proxy.reset();
    }

    fn closed(&mut self, why: Ending) {
        if core::mem::take(&mut self.is_passed) {
            defmt::info!("mail: its client is gone, the server may have it");
        }
        self.proxy.closed(why);
    }

    fn acts_on(&self) -> Extensions {
        self.proxy.acts_on()
    }

    fn size(&self) -> u32 {
        self.proxy.size()
    }

    fn room(&mut self, waker: &Waker) -> usize {
        self.proxy.room(waker)
    }

    fn backlog(&self) -> u16 {
        self.proxy.backlog()
    }

    fn resume(&mut self, waker: &Waker) -> Answer<'_> {
        let Self { proxy, is_passed } = self;
        let answer = proxy.resume(waker);
        if let (true, Answer::Reply(reply)) = (*is_passed, &answer) {
            *is_passed = false;
            defmt::info!("mail: {=u16} {=[u8]:a}", reply.code(), reply.text());
            if reply.is_positive() {
                network::accepted();
            }
        }
        answer
    }
}

impl Relay for Logged {
    type Output = &'static mut Output;

    fn legs(&mut self) -> &mut [Leg<Self::Output>] {
        self.proxy.legs()
    }
}
