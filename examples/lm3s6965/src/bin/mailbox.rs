//! A mailbox in the RAM of the board: four clients at a time, 32 KiB of mails, and a lamp that mails switch. See
//! [`lm3s6965::mailbox`].
#![no_std]
#![no_main]

use core::cell::RefCell;
use core::mem::MaybeUninit;

use cortex_m_rt::entry;
use lm3s6965::ethernet::Frames;
use lm3s6965::led::Led;
use lm3s6965::mailbox::{Mailbox, Policy};
use lm3s6965::network::{self, Sockets, places};
use smtpd_core::handlers::spool::Ram;
use smtpd_core::server::Config;
use smtpd_smoltcp::{Rings, Server};

static CONFIG: Config = {
    let mut config = Config::new("board.example");
    config.limits.size = (BLOCKS * BLOCK) as u32;
    config
};

static POLICY: Policy = Policy::BOARD;

const BLOCKS: usize = 128;
const BLOCK: usize = 256;
type Store = Ram<BLOCKS, BLOCK>;
type Mail = Server<'static, Mailbox<'static, Store, Led>, 4, 512, 512>;

// All that the server takes, but for the spool, the frames and the stack.
const _: () = assert!(Mail::ram::<2_048, 512>() <= 18 * 1_024);

#[entry]
fn main() -> ! {
    static mut FRAMES: Frames = Frames::new();
    static mut RINGS: Rings<4> = Rings::new();
    static mut SOCKETS: Sockets<{ places(4) }> = Sockets::new();
    static mut SPOOL: RefCell<Store> = RefCell::new(Ram::new());
    static mut LED: MaybeUninit<RefCell<Led>> = MaybeUninit::uninit();
    static mut SERVER: MaybeUninit<Mail> = MaybeUninit::uninit();

    let (mut interface, mut ethernet) = network::start(FRAMES);
    let mut sockets = network::sockets(SOCKETS);
    let led = LED.write(RefCell::new(Led::start()));
    let handlers = [(); 4].map(|()| Mailbox::new(&POLICY, SPOOL, led));
    let server = SERVER.write(Server::new(&CONFIG, handlers, RINGS.add(&mut sockets)));
    network::serve(server, &mut interface, &mut ethernet, &mut sockets)
}
