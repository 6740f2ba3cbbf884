//! For a part with 16 KiB of RAM: one client at a time, mails of up to 2 KiB, packets of up to 576 octets. Logs each mail,
//! line by line.
#![no_std]
#![no_main]

use core::mem::MaybeUninit;

use cortex_m_rt::entry;
use lm3s6965::ethernet::{Frames, room};
use lm3s6965::network::{self, Sockets, places};
use smtpd_core::handlers::{Message, Recipients};
use smtpd_core::server::{Answer, Config, Peer};
use smtpd_smoltcp::{Rings, Server};

/// Octets of the largest text.
const TEXT: usize = 2_048;

type ProcessMessage = fn(Peer, &[u8], Recipients<'_>, &[u8]) -> Answer<'static>;
type Tiny = Server<'static, Message<ProcessMessage, 128, 256, TEXT>, 1, 512, 512>;

// What the server takes, sockets and rings included; frames and stack come on top.
const _: () = assert!(Tiny::ram::<1_024, 512>() <= 6 * 1_024);

static CONFIG: Config = {
    let mut config = Config::new("tiny.example");
    config.limits.size = TEXT as u32;
    // Nobody else is served meanwhile.
    config.timers.command = 60;
    config
};

#[entry]
fn main() -> ! {
    static mut FRAMES: Frames<{ room(576) }> = Frames::new();
    static mut RINGS: Rings<1, 1_024, 512> = Rings::new();
    static mut SOCKETS: Sockets<{ places(1) }> = Sockets::new();
    static mut SERVER: MaybeUninit<Tiny> = MaybeUninit::uninit();

    let (mut interface, mut ethernet) = network::start(FRAMES);
    let mut sockets = network::sockets(SOCKETS);
    let handlers = [Message::new(log as ProcessMessage)];
    let server = SERVER.write(Server::new(&CONFIG, handlers, RINGS.add(&mut sockets)));
    network::serve(server, &mut interface, &mut ethernet, &mut sockets)
}

fn log(_: Peer, mail_from: &[u8], rcpt_tos: Recipients<'_>, data: &[u8]) -> Answer<'static> {
    defmt::info!("mail from <{=[u8]:a}>, {=usize} octets", mail_from, data.len());
    for recipient in rcpt_tos {
        defmt::info!("  to <{=[u8]:a}>", recipient);
    }
    for line in data.split_inclusive(|octet| *octet == b'\n') {
        defmt::info!("  {=[u8]:a}", line.trim_ascii_end());
    }
    network::accepted();
    Answer::Accept
}
