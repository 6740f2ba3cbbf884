//! Mail over a UART: what firmware needs to take mail from a serial line, with buffers of fixed size and no allocation.
//!
//! `cargo run --example uart` plays the sensor at the other end, too, and prints the dialogue. The static parts and
//! `receive` are what firmware copies; its HAL has the UART and the clock.

use std::time::{Duration, Instant};

use embedded_io::{ErrorKind, ErrorType, Read, Write};
use smtpd_core::handlers::{Message, Recipients};
use smtpd_core::server::{Answer, Config, Ending, Peer, Reply, Session};
use smtpd_io::{Timer, serve};

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

/// The clock; in firmware, what a timer's interrupt counts.
struct Clock(Instant);

impl Timer for Clock {
    fn now(&self) -> u32 {
        self.0.elapsed().as_millis() as u32
    }
    fn wait(&self) {
        std::thread::sleep(Duration::from_millis(1)); // firmware: cortex_m::asm::wfi()
    }
}

/// In place of a HAL's UART: the sensor at the other end says its next line when it has heard the answer to the last.
struct Uart {
    lines: std::slice::Iter<'static, &'static str>,
    to_read: &'static [u8],
    is_answered: bool,
}

const SENSOR: [&str; 6] = [
    "EHLO sensor.example\r\n",
    "MAIL FROM:<sensor@example.org>\r\n",
    "RCPT TO:<log@example.org>\r\n",
    "DATA\r\n",
    "Subject: 21.5 C\r\n\r\nAll is well.\r\n.\r\n",
    "QUIT\r\n",
];

impl ErrorType for Uart {
    type Error = ErrorKind;
}

impl Read for Uart {
    fn read(&mut self, octets: &mut [u8]) -> Result<usize, ErrorKind> {
        if self.to_read.is_empty() && self.is_answered {
            self.to_read = self.lines.next().unwrap_or(&"").as_bytes();
            self.is_answered = false;
            print!("C: {}", String::from_utf8_lossy(self.to_read).trim_end().replace("\r\n", "\nC: ") + "\n");
        }
        // A UART's receive queue is empty more often than not: that is a tick of the clock.
        match Read::read(&mut self.to_read, octets) {
            Ok(0) => Err(ErrorKind::TimedOut),
            read => read.map_err(|never| match never {}),
        }
    }
}

impl Write for Uart {
    fn write(&mut self, octets: &[u8]) -> Result<usize, ErrorKind> {
        print!("S: {}", String::from_utf8_lossy(octets).trim_end().replace("\r\n", "\nS: ") + "\n");
        Ok(octets.len())
    }
    fn flush(&mut self) -> Result<(), ErrorKind> {
        self.is_answered = true;
        Ok(())
    }
}

fn main() {
    let mut uart = Uart { lines: SENSOR.iter(), to_read: b"", is_answered: false };
    match receive(&mut uart, &Clock(Instant::now())) {
        Ok(ending) => println!("\nThe session ended: {ending:?}"),
        Err(error) => println!("\nThe line broke: {error:?}"),
    }
}
