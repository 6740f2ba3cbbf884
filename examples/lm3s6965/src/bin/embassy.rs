//! The mailbox as tasks: the same handler over embassy-net and smtpd-io, four clients at a time, 16 KiB of mails. A fifth
//! client is refused by its own system: embassy-net answers it with a reset.
#![no_std]
#![no_main]

use core::cell::RefCell;
use core::mem::MaybeUninit;
use core::ptr::null_mut;

use cortex_m_rt::entry;
use embassy_executor::raw::Executor;
use embassy_net::tcp::TcpSocket;
use embassy_net::{Config as Network, Ipv4Cidr, Runner, Stack, StackResources, StaticConfigV4};
use embassy_time::{Duration, with_timeout};
use lm3s6965::ethernet::Frames;
use lm3s6965::led::Led;
use lm3s6965::mac::Mac;
use lm3s6965::mailbox::{Mailbox, Policy};
use lm3s6965::tasks::{Clock, Driver, run};
use lm3s6965::{clock, console, network, seed};
use smtpd_core::handlers::spool::Ram;
use smtpd_core::heapless::Vec;
use smtpd_core::server::{Config, Peer, Session};
use smtpd_io::serve_plain;

static CONFIG: Config = {
    let mut config = Config::new("board.example");
    config.limits.size = (BLOCKS * BLOCK) as u32;
    config
};

static POLICY: Policy = Policy::BOARD;

const BLOCKS: usize = 64;
const BLOCK: usize = 256;
type Store = Ram<BLOCKS, BLOCK>;

#[entry]
fn main() -> ! {
    static mut FRAMES: Frames = Frames::new();
    static mut RESOURCES: StackResources<4> = StackResources::new();
    static mut SPOOL: RefCell<Store> = RefCell::new(Ram::new());
    static mut LED: MaybeUninit<RefCell<Led>> = MaybeUninit::uninit();
    static mut EXECUTOR: MaybeUninit<Executor> = MaybeUninit::uninit();

    clock::start();
    let config = Network::ipv4_static(StaticConfigV4 {
        address: Ipv4Cidr::new(network::ADDRESS, network::PREFIX),
        gateway: Some(network::GATEWAY),
        dns_servers: Default::default(),
    });
    let driver = Driver::new(Mac::start(network::ETHERNET), FRAMES);
    let (stack, runner) = embassy_net::new(driver, config, RESOURCES, seed::seed(network::ETHERNET));
    let led = LED.write(RefCell::new(Led::start()));
    network::listening();
    run(EXECUTOR.write(Executor::new(null_mut())), |spawner| {
        // There are as many places as tasks.
        if let Ok(task) = move_frames(runner) {
            spawner.spawn(task);
        }
        for _ in 0..4 {
            if let Ok(task) = serve(stack, Mailbox::new(&POLICY, SPOOL, led)) {
                spawner.spawn(task);
            }
        }
    })
}

#[embassy_executor::task]
async fn move_frames(mut runner: Runner<'static, Driver>) -> ! {
    runner.run().await
}

/// Serves one client after the other.
#[embassy_executor::task(pool_size = 4)]
async fn serve(stack: Stack<'static>, mut mailbox: Mailbox<'static, Store, Led>) -> ! {
    let (mut received, mut sending) = ([0; 2_048], [0; 512]);
    let (mut buffer, mut output) = ([0; 512], [0; 512]);
    loop {
        let mut socket = TcpSocket::new(stack, &mut received, &mut sending);
        // Who vanished is given up after two minutes.
        socket.set_keep_alive(Some(Duration::from_secs(60)));
        socket.set_timeout(Some(Duration::from_secs(120)));
        socket.set_nagle_enabled(false);
        if socket.accept(network::PORT).await.is_err() {
            continue;
        }
        let peer = Peer::new(socket.remote_endpoint().map(Into::into));
        let mut session = Session::with(&CONFIG, peer, Vec::<u8, 512>::new(), Vec::<u8, 512>::new());
        // However it ended, nobody is left to be told.
        let _ = serve_plain(&mut socket, &mut session, &mut mailbox, &Clock, &mut buffer, &mut output).await;
        let _ = with_timeout(Duration::from_secs(1), part(&mut socket, &mut buffer)).await;
        socket.abort();
        let _ = socket.flush().await;
        network::end_after(console::argument(network::EXIT_AFTER));
    }
}

/// Shuts down writing, and reads until the end or 64 KiB, so that no reset overtakes the last reply.
async fn part(socket: &mut TcpSocket<'_>, buffer: &mut [u8]) {
    socket.close();
    let mut left = 65_536_usize;
    while let Ok(octets @ 1..) = socket.read(buffer).await
        && left > 0
    {
        left = left.saturating_sub(octets);
    }
    let _ = socket.flush().await;
}
