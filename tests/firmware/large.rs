//! Texts that are larger than the board's RAM: all of their octets come, in their order.

use std::collections::BTreeSet;
use std::thread;

use libtest_mimic::Failed;

use crate::client::Client;
use crate::lines::lines;
use crate::qemu::Board;

/// A megabyte through one session.
pub(crate) fn one_session() -> Result<(), Failed> {
    all_come(&[lines(1_024 * 1_024)])
}

/// Four times a quarter of it at once.
pub(crate) fn four_sessions() -> Result<(), Failed> {
    let texts = ["one", "two", "three", "four"].map(|first| [first.as_bytes(), b"\r\n", &lines(256 * 1_024)].concat());
    all_come(&texts)
}

/// Every octet there is, at every place of a line, and lines that are nothing but dots. CR and LF stand for line ends only:
/// the board's server takes them nowhere else.
pub(crate) fn all_octets() -> Result<(), Failed> {
    let octets: Vec<u8> = (0..=255).filter(|octet| !b"\r\n".contains(octet)).collect();
    let mut text = Vec::new();
    for start in 0..octets.len() {
        text.extend(octets.iter().cycle().skip(start).take(octets.len()));
        text.extend_from_slice(b"\r\n");
        text.extend(std::iter::repeat_n(b'.', start % 9));
        text.extend_from_slice(b"\r\n");
    }
    all_come(&[text])
}

/// Sends each text over a connection of its own, all at the same time, and looks for their checksums in the log.
fn all_come(texts: &[Vec<u8>]) -> Result<(), Failed> {
    let board = Board::start("checksum", &[&format!("exit-after={}", texts.len())])?;
    let port = board.port;
    thread::scope(|scope| {
        let clients: Vec<_> = texts.iter().map(|text| scope.spawn(move || sent(port, text))).collect();
        clients.into_iter().try_for_each(|client| client.join().map_err(|_| Failed::from("a panic"))?)
    })
    .map_err(|failed| board.fails(failed.message().unwrap_or("")))?;
    let ended = board.ended()?;
    let line = |text: &Vec<u8>| format!("INFO  text: {} octets, crc32 {:08x}", text.len(), crc32(text));
    let expected: BTreeSet<String> = texts.iter().map(line).collect();
    let got: Vec<String> = ended.log.into_iter().filter(|line| line.contains("crc32")).collect();
    if got.len() != texts.len() || got.iter().cloned().collect::<BTreeSet<_>>() != expected {
        return Err(format!("got {got:#?}, expected {expected:#?}").into());
    }
    ended.status.success().then_some(()).ok_or_else(|| ended.status.to_string().into())
}

fn sent(port: u16, text: &[u8]) -> Result<(), Failed> {
    let mut client = Client::hello(port)?;
    client.mail("sender@client.example", &["any@board.example"], text)?.is(250)?;
    client.quit()
}

/// As zlib and Ethernet have it.
fn crc32(octets: &[u8]) -> u32 {
    let step = |sum: u32| if sum & 1 == 0 { sum >> 1 } else { sum >> 1 ^ 0xedb8_8320 };
    !octets.iter().fold(u32::MAX, |sum, octet| (0..8).fold(sum ^ u32::from(*octet), |sum, _| step(sum)))
}
