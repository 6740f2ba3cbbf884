//! Keeps nothing: counts the octets of each text and logs their checksum, so that a test knows whether all of them came,
//! in their order. Four clients at a time.
#![no_std]
#![no_main]

use core::mem::MaybeUninit;

use cortex_m_rt::entry;
use lm3s6965::ethernet::Frames;
use lm3s6965::network::{self, Sockets, places};
use smtpd_core::server::{Answer, Config, Flow, Handler, Mail, Rcpt};
use smtpd_smoltcp::{Rings, Server};

static CONFIG: Config = Config::new("board.example");

#[entry]
fn main() -> ! {
    static mut FRAMES: Frames = Frames::new();
    static mut RINGS: Rings<4> = Rings::new();
    static mut SOCKETS: Sockets<{ places(4) }> = Sockets::new();
    static mut SERVER: MaybeUninit<Server<'static, Checksum, 4, 512, 512>> = MaybeUninit::uninit();

    let (mut interface, mut ethernet) = network::start(FRAMES);
    let mut sockets = network::sockets(SOCKETS);
    let handlers = [(); 4].map(|()| Checksum::default());
    let server = SERVER.write(Server::new(&CONFIG, handlers, RINGS.add(&mut sockets)));
    network::serve(server, &mut interface, &mut ethernet, &mut sockets)
}

/// CRC-32, as zlib and Ethernet have it, of the text so far.
#[derive(Default)]
struct Checksum {
    octets: u32,
    /// Inverted.
    checksum: u32,
}

impl Handler for Checksum {
    fn mail(&mut self, _: Mail<'_>) -> Answer<'_> {
        (self.octets, self.checksum) = (0, u32::MAX);
        Answer::Accept
    }

    fn rcpt(&mut self, _: Rcpt<'_>) -> Answer<'_> {
        Answer::Accept
    }

    fn text(&mut self, octets: &[u8]) -> Flow<'_> {
        self.octets = self.octets.wrapping_add(octets.len() as u32);
        self.checksum = octets
            .iter()
            .fold(self.checksum, |checksum, octet| checksum >> 8 ^ REMAINDERS[usize::from(checksum as u8 ^ octet)]);
        Flow::Continue
    }

    fn message(&mut self, _: u16) -> Answer<'_> {
        defmt::info!("text: {=u32} octets, crc32 {=u32:08x}", self.octets, !self.checksum);
        network::accepted();
        Answer::Accept
    }
}

/// What each octet leaves.
static REMAINDERS: [u32; 256] = {
    let mut remainders = [0; 256];
    let mut octet = 0;
    while octet < 256 {
        let mut remainder = octet as u32;
        let mut bit = 0;
        while bit < 8 {
            remainder = if remainder & 1 == 0 { remainder >> 1 } else { remainder >> 1 ^ 0xedb8_8320 };
            bit += 1;
        }
        remainders[octet] = remainder;
        octet += 1;
    }
    remainders
};
