//! Mail over a UART: what firmware needs to take mail from a serial line, with buffers of fixed size and no allocation.
//!
//! `cargo run --example uart` plays the sensor at the other end, too, over a line in memory. `CONFIG`, `receive` and
//! `process_message` are what firmware copies; its HAL has the UART and the clock.

use std::time::Duration;

use embedded_io::{Read, Write};
use smtpd_core::handlers::{Message, Recipients};
use smtpd_core::server::{Answer, Config, Ending, Peer, Reply, Session};
use smtpd_io::{Timer, serve};
use smtpd_mock::{Clock, Link, Links, Pieces, Script};

static CONFIG: Config = {
    let mut config = Config::new("gateway.example.org");
    config.limits.size = 2_048;
    config.timers.command = 60;
    config
};

/// Serves whoever is at the other end of the line, until QUIT.
fn receive<T: Read + Write>(uart: &mut T, clock: &impl Timer) -> Result<Ending, T::Error> {
    let mut session = Session::new(&CONFIG, Peer::default());
    let mut mailbox = Message::<_, 64, 128, 2_048>::new(process_message);
    let mut buffer = [0; 64];
    serve(uart, &mut session, &mut mailbox, clock, &mut buffer)
}

/// Gets each mail whole; what it answers, the client hears.
fn process_message(_: Peer, mail_from: &[u8], rcpt_tos: Recipients<'_>, data: &[u8]) -> Answer<'static> {
    println!("\n    {} octets from {}, for {} recipient(s):", data.len(), mail_from.escape_ascii(), rcpt_tos.count());
    for line in data.split(|octet| *octet == b'\n') {
        println!("    | {}", String::from_utf8_lossy(line).trim_end());
    }
    Answer::Reply(Reply::new(250, "Thank you").enhanced(0, 0))
}

/// In place of a HAL's clock, one that stands still unless the line is silent.
struct SysTick(Clock);

impl Timer for SysTick {
    fn now(&self) -> u32 {
        self.0.millis()
    }
    fn wait(&self) {
        self.0.advance(Duration::from_millis(1)); // firmware: cortex_m::asm::wfi()
    }
}

/// The sensor at the other end.
const SENSOR: &str = r"
S: 220 gateway.example.org ESMTP
C: EHLO sensor.example
S: 250 {...}
C: MAIL FROM:<sensor@example.org>
S: 250 {*}
C: RCPT TO:<log@example.org>
S: 250 {*}
C: DATA
S: 354 {*}
B: Subject: 21.5 C\r\n\r\nAll is well.\r\n.\r\n
S: 250 2.0.0 Thank you
@+50s
C: QUIT
S: 221 {*}
";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // A receive queue of 16 octets, and an octet takes a millisecond (9,600 baud).
    let line = Link::new().pieces(Pieces::Octets(16)).latency(Duration::from_millis(1)).short_writes(16);
    let links = Links { clock: Clock::new(), client: line.clone(), server: line };
    let clock = SysTick(links.clock.clone());
    let (ending, played) = Script::parse("sensor", SENSOR)?.call_over(links, None, |mut uart| {
        // A read of the HAL's comes back when nothing is there.
        uart.set_timeout(Some(Duration::from_millis(10)));
        receive(&mut uart, &clock)
    })?;
    println!("\nWhat the gateway said, in {} s:\n{}", played.took.as_secs(), String::from_utf8_lossy(&played.said));
    match ending? {
        Ending::Quit => Ok(()),
        ending => Err(format!("the session ended by {ending:?}").into()),
    }
}
