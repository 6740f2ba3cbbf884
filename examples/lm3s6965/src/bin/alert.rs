//! An alert for each line that a machine says over the serial port: a mail to its owner, with `Date` and `Message-ID`, which is kept
//! until the mail server has said 250 to it. While that is away, or the cable out, alerts wait in 8 KiB of RAM, and go out in their
//! order as soon as it is back.
#![no_std]
#![no_main]

use core::mem::MaybeUninit;
use core::net::{Ipv4Addr, SocketAddr};

use cortex_m_rt::entry;
use lm3s6965::ethernet::Frames;
use lm3s6965::network::{self, ETHERNET, Sockets};
use lm3s6965::seed::seed;
use lm3s6965::serial::Serial;
use lm3s6965::{calendar, clock, console};
use smoltcp::time::Duration;
use smtpd_core::client::Timers;
use smtpd_core::handlers::spool::{Error, Event, Id, Ram, Retry, Sender, Store};
use smtpd_core::heapless::Vec;
use smtpd_core::relay::Leg;
use smtpd_core::wire::write_date;
use smtpd_smoltcp::{Dialer, Rings};

/// How the board calls itself.
const NAME: &str = "alert.board.example";
/// Whose mail it is, and who gets it. The first is who hears of it if the server can't deliver.
const FROM: &[u8] = b"alert@board.example";
const TO: &[u8] = b"owner@board.example";
/// The mail server: the host, as a board in QEMU sees it, whose port the argument `upstream=PORT` says.
const SERVER: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 2);

/// An alert takes two blocks.
type Spool = Ram<32, 256>;
type Output = Vec<u8, 1_024>;

#[entry]
fn main() -> ! {
    static mut FRAMES: Frames = Frames::new();
    static mut RINGS: Rings<1, 512, 1_024> = Rings::new();
    static mut SOCKETS: Sockets<1> = Sockets::new();
    static mut SPOOL: Spool = Ram::new();
    static mut OUTPUT: Output = Vec::new();
    static mut SENDER: MaybeUninit<Sender<&'static mut Output>> = MaybeUninit::uninit();

    let (mut interface, mut ethernet) = network::start(FRAMES);
    let mut sockets = network::sockets(SOCKETS);
    let seed = seed(ETHERNET) as u32;
    let mut dialer = Dialer::new(RINGS.add(&mut sockets), seed as u16);
    let port = console::argument("upstream").and_then(|port| u16::try_from(port).ok());
    let server = SocketAddr::from((SERVER, port.unwrap_or(25)));
    let retry = console::argument("retry").map_or(Retry::DEFAULT, |first| Retry { first, most: 8 * first });
    // Nobody waits for us: the server may take its time.
    let leg = Leg::with(server, NAME, OUTPUT).timers(Timers::DEFAULT);
    let sender = SENDER.write(Sender::new(leg, retry, seed));
    let mut serial = Serial::start();
    let last = console::argument(network::EXIT_AFTER);
    defmt::info!("waiting for lines");
    loop {
        while let Some(kept) = serial.line(|line| keep(SPOOL, line, seed)) {
            match kept {
                Ok(id) => defmt::info!("alert {=u32}: kept", id.number()),
                Err(error) => defmt::error!("an alert is lost: {=[u8]:a}", error.reply().text()),
            }
        }
        let now = clock::now();
        let millis = now.total_millis() as u32;
        let due = loop {
            let due = dialer.poll(now, &mut interface, &mut ethernet, &mut sockets, sender.leg());
            match sender.poll(SPOOL, millis) {
                Event::Idle => break due,
                event => log(event),
            }
        };
        if last.is_some() && SPOOL.next(None).is_none() && sender.leg().is_idle() {
            network::end_after(last);
        }
        let left = sender.left(millis).map(|left| now + Duration::from_millis(left.into()));
        let due = [due, left].into_iter().flatten().min();
        clock::sleep(due, || ethernet.is_idle() && serial.is_idle());
    }
}

fn log(event: Event<'_>) {
    match event {
        Event::Sent(id) => {
            defmt::info!("alert {=u32}: sent", id.number());
            network::accepted();
        }
        Event::Refused(id, reply) | Event::GivenUp(id, reply) => {
            defmt::error!("alert {=u32}: given up, {=u16} {=[u8]:a}", id.number(), reply.code(), reply.text());
        }
        Event::Later(id, reply, millis) => defmt::warn!(
            "alert {=u32}: again in {=u32} ms, {=u16} {=[u8]:a}",
            id.number(),
            millis,
            reply.code(),
            reply.text()
        ),
        Event::Idle | Event::Moved => {}
    }
}

/// Puts a mail into the spool, all of it or nothing.
fn keep(spool: &mut Spool, line: &[u8], seed: u32) -> Result<Id, Error> {
    let id = spool.begin()?;
    let written = write(line, id.number(), seed, |pieces| spool.append(id, pieces));
    if let Err(error) = written {
        spool.abandon(id);
        return Err(error);
    }
    spool.commit(id).map(|()| id)
}

/// The mail, with its envelope before it, as a spool has it.
fn write(line: &[u8], number: u32, seed: u32, mut out: impl FnMut(&[&[u8]]) -> Result<(), Error>) -> Result<(), Error> {
    out(&[b"<", FROM, b">\r\n<", TO, b">\r\n\r\n"])?;
    out(&[b"From: ", FROM, b"\r\nTo: ", TO, b"\r\nSubject: alert: ", line, b"\r\n"])?;
    let secs = calendar::secs();
    let mut date = Vec::<u8, 32>::new();
    // A server that takes mail from devices adds the date, where the board does not know it (RFC 6409 §8.2).
    if let Some(secs) = secs
        && write_date(&mut date, secs)
    {
        out(&[b"Date: ", &date, b"\r\n"])?;
    }
    // The time tells boots apart, the seed boards, and the number what came in the same second.
    let (secs, seed, number) = (hex(secs.unwrap_or(0)), hex(seed), hex(number));
    out(&[b"Message-ID: <", &secs, b".", &seed, b".", &number, b"@", NAME.as_bytes(), b">\r\n\r\n", line, b"\r\n"])
}

/// A number as text.
fn hex(number: u32) -> [u8; 8] {
    let mut digits = [0; 8];
    for (at, digit) in digits.iter_mut().rev().enumerate() {
        let value = (number >> (4 * at) & 15) as u8;
        *digit = if value < 10 { b'0' + value } else { b'a' + value - 10 };
    }
    digits
}
