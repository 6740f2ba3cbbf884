//! Frames that mean ill: a session that is under way goes on, and the board serves others afterwards.

use std::thread;
use std::time::Duration;

use libtest_mimic::Failed;

use crate::client::stuffed;
use crate::qemu::{Board, Setup};
use crate::spool::{OWN, SENDER, text};
use crate::wire::Wire;
use crate::wired::Wired;

const BOARD: [u8; 6] = [2, 0, 0, 0, 0, 0x19];

/// SYNs from a thousand addresses that do not answer.
pub(crate) fn syns() -> Result<(), Failed> {
    survives((0..1_000).map(|number: u16| {
        let [high, low] = number.to_be_bytes();
        let mut tcp = vec![0x80 | high, low, 0, 25, 1, 2, high, low, 0, 0, 0, 0, 0x50, 2, 8, 0, 0, 0, 0, 0];
        // Some in the board's own network, where it has to ask who they are.
        let from = if number.is_multiple_of(2) { [10, 0, 2, 100 + (low % 100)] } else { [192, 0, high, low] };
        let pseudo = [&from[..], &[10, 0, 2, 15, 0, 6, 0, 20], &tcp].concat();
        tcp[16..18].copy_from_slice(&checksum(&pseudo));
        packet(from, &[0x40, 0], &tcp)
    }))
}

/// Frames of all lengths: of nothing known, of ARP, IP and TCP that break off or say they are longer, fragments, and some
/// longer than Ethernet has them.
pub(crate) fn garbage() -> Result<(), Failed> {
    let mut seed = 1_u32;
    let mut random = move || {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 16) as u8
    };
    // Not of length 0: that ends QEMU's cable.
    survives((1..1_700).map(move |number: usize| {
        let octets: Vec<u8> = (0..number).map(|_| random()).collect();
        match number % 5 {
            0 => octets,
            1 => ethernet([8, 6], &octets),
            2 => ethernet([8, 0], &[&[0x45][..], &octets].concat()),
            // A fragment: more follow, or it is not the first.
            3 => packet([10, 0, 2, 2], if number.is_multiple_of(2) { &[0x20, 0] } else { &[0, 7] }, &octets),
            _ => packet([10, 0, 2, 2], &[0, 0], &[&[0xc0, 1, 0, 25][..], &octets].concat()),
        }
    }))
}

/// A client says a command after every hundred frames.
fn survives(frames: impl Iterator<Item = Vec<u8>>) -> Result<(), Failed> {
    let wire = Wire::new()?;
    let mut board = Board::with("mailbox", &Setup { cable: Some(wire.option()?), ..Setup::default() })?;
    board.logs(|line| line.starts_with("INFO  listening on"))?;
    let mut wired = Wired::new(wire);
    let client = wired.call()?;
    wired.says(client, b"EHLO client.example\r\n")?;
    wired.says(client, format!("MAIL FROM:<{SENDER}>\r\n").as_bytes())?;
    for (number, frame) in frames.enumerate() {
        wired.stack.wire().send(&frame);
        // The controller holds 31 frames, and what does not fit is lost, the client's too.
        if number % 10 == 9 {
            thread::sleep(Duration::from_millis(1));
            wired.poll();
        }
        if number % 100 == 99 {
            wired.says(client, b"NOOP\r\n").map_err(|_| board.fails("the session does not go on"))?;
        }
    }
    let rest = [format!("RCPT TO:<{}>\r\n", OWN[0]).into_bytes(), b"DATA\r\n".to_vec(), stuffed(&text(1, 900))];
    rest.iter().try_for_each(|said| wired.says(client, said)).map_err(|_| board.fails("the mail does not come"))?;
    board.logs(|line| line.ends_with("octets are kept"))?;
    // Half-open connections keep their places for 8 s.
    wired.session(&[b"EHLO client.example\r\n", b"QUIT\r\n"]).map_err(|_| board.fails("nobody is served any more"))?;
    board.is_alive().then_some(()).ok_or_else(|| board.fails("the board ended"))
}

fn packet(from: [u8; 4], fragment: &[u8; 2], payload: &[u8]) -> Vec<u8> {
    let [high, low] = (20 + payload.len() as u16).to_be_bytes();
    let mut header = vec![0x45, 0, high, low, 0, 1, fragment[0], fragment[1], 64, 6, 0, 0];
    header.extend([from, [10, 0, 2, 15]].concat());
    let sum = checksum(&header);
    header[10..12].copy_from_slice(&sum);
    ethernet([8, 0], &[&header, payload].concat())
}

fn ethernet(kind: [u8; 2], payload: &[u8]) -> Vec<u8> {
    [&BOARD[..], &[2, 0, 0, 0, 0, 3], &kind, payload].concat()
}

/// The Internet's (RFC 1071).
fn checksum(octets: &[u8]) -> [u8; 2] {
    let words = octets.chunks(2).map(|word| u32::from(word[0]) << 8 | word.get(1).map_or(0, |low| u32::from(*low)));
    let sum: u32 = words.sum();
    let sum = (sum & 0xffff) + (sum >> 16);
    (!((sum & 0xffff) + (sum >> 16)) as u16).to_be_bytes()
}
