//! The mailbox: what is answered 250 is kept, whole, and what is refused is not there.

use std::thread;
use std::time::{Duration, Instant};

use libtest_mimic::Failed;

use crate::client::{Client, Reply, stuffed};
use crate::lines;
use crate::qemu::Board;
use crate::spool::{Mail, OWN, OWNER, SENDER, command, deliver, holds, start, text};

/// Each over a connection of its own, and as many over one.
pub(crate) fn fifty_in_a_row() -> Result<(), Failed> {
    let board = start("mailbox")?;
    in_a_row(&board, 50, 10)
}

/// Mails over connections of their own, and over one; the spool is emptied after so many.
pub(crate) fn in_a_row(board: &Board, mails: usize, at_once: usize) -> Result<(), Failed> {
    for first in (0..mails).step_by(at_once) {
        let texts: Vec<Vec<u8>> =
            (first..first + at_once).map(|number| text(number, 600 + 40 * (number % 9))).collect();
        let (own, one) = texts.split_at(at_once / 2);
        for text in own {
            deliver(board.port, SENDER, &OWN[..1], text)?.is(250)?;
        }
        let mut client = Client::hello(board.port)?;
        for text in one {
            client.mail(SENDER, &OWN[..1], text)?.is(250)?;
        }
        client.quit()?;
        holds(board, &texts.iter().map(|text| Mail::new(SENDER, &OWN[..1], text)).collect::<Vec<_>>())?;
    }
    Ok(())
}

/// Own addresses are accepted, in any case; all others are not.
pub(crate) fn hundred_recipients() -> Result<(), Failed> {
    let board = start("mailbox")?;
    let mut recipients: Vec<String> = (0..97).map(|number| format!("{number}@board.example")).collect();
    let own = ["board@board.example", "LAMP@Board.Example", "Postmaster"];
    for (place, own) in [0, 50, 99].into_iter().zip(own) {
        recipients.insert(place, own.into());
    }
    let mut client = Client::hello(board.port)?;
    let group: String = recipients.iter().map(|recipient| format!("RCPT TO:<{recipient}>\r\n")).collect();
    client.sends(format!("MAIL FROM:<{SENDER}>\r\n{group}DATA\r\n").as_bytes())?;
    client.reply()?.is(250)?;
    for recipient in &recipients {
        match own.contains(&recipient.as_str()) {
            true => client.reply()?.begins("250 2.1.5")?,
            false => client.reply()?.begins("550 5.1.1")?,
        }
    }
    client.reply()?.is(354)?;
    client.sends(&stuffed(b"Hello.\r\n"))?;
    client.reply()?.is(250)?;
    client.quit()?;
    holds(&board, &[Mail::new(SENDER, &own, b"Hello.\r\n")])
}

/// Dots, and every octet there is.
pub(crate) fn octet_for_octet() -> Result<(), Failed> {
    let board = start("mailbox")?;
    let mut octets: Vec<u8> = (0..=255).filter(|octet| !b"\r\n".contains(octet)).collect();
    octets.insert(100, b'\r');
    let dots = b"Subject: dots\r\n\r\n.\r\n..\r\n...\r\n.hidden\r\n..doubled\r\n\r\n.\r\nend\r\n.end\r\n";
    let texts = [dots.to_vec(), [b"\r\n", &octets[..], b"\r\n"].concat(), b".\r\n".to_vec(), Vec::new()];
    for text in &texts {
        deliver(board.port, SENDER, &OWN, text)?.is(250)?;
    }
    holds(&board, &texts.iter().map(|text| Mail::new(SENDER, &OWN, text)).collect::<Vec<_>>())
}

/// A megabyte can never fit: that is said at once, if its size is declared, or behind its last octet.
pub(crate) fn too_large() -> Result<(), Failed> {
    let board = start("mailbox")?;
    let mut client = Client::hello(board.port)?;
    client.says(&format!("MAIL FROM:<{SENDER}> SIZE=1048576"))?.begins("552 5.3.4")?;
    client.mail(SENDER, &OWN, &lines::lines(1_024 * 1_024))?.begins("552 5.3.4")?;
    client.mail(SENDER, &OWN, b"Hello.\r\n")?.is(250)?;
    client.quit()?;
    deliver(board.port, SENDER, &OWN, b"Hello, too.\r\n")?.is(250)?;
    holds(&board, &[Mail::new(SENDER, &OWN, b"Hello.\r\n"), Mail::new(SENDER, &OWN, b"Hello, too.\r\n")])
}

/// A full spool refuses mails until its owner has it reported; nobody else can.
pub(crate) fn full() -> Result<(), Failed> {
    let board = start("mailbox")?;
    let mut kept = Vec::new();
    // To the brim: with large ones, until the text is refused, then with small ones, until MAIL is.
    for octets in [3_000, 0] {
        let refused = loop {
            let text = text(kept.len(), octets);
            match deliver(board.port, SENDER, &OWN[..1], &text)? {
                Reply { code: 250, .. } => kept.push(Mail::new(SENDER, &OWN[..1], &text)),
                reply => break reply,
            }
        };
        refused.begins("452 4.3.1")?;
    }
    // It holds 32 KiB.
    let large = kept.iter().filter(|mail| mail.text.len() > 10).count();
    if !(8..=10).contains(&large) {
        return Err(format!("full after {large} mails").into());
    }
    let mut client = Client::hello(board.port)?;
    client.says(&format!("MAIL FROM:<{SENDER}>"))?.begins("452 4.3.1")?;
    client.quit()?;
    let stranger = text_of_command("report", 2_000);
    deliver(board.port, SENDER, &OWN[..1], &stranger)?.begins("452 4.3.1")?;
    // What is no command has no more room, and leaves none taken.
    let mut owner = Client::hello(board.port)?;
    owner.mail(OWNER, &OWN[..1], &text(0, 3_000))?.begins("452 4.3.1")?;
    holds(&board, &kept)?;
    deliver(board.port, SENDER, &OWN[..1], &stranger)?.is(250)?;
    holds(&board, &[Mail::new(SENDER, &OWN[..1], &stranger)])
}

/// Each frame ends the board's sleep: nothing waits for its clock, which interrupts every 320 ms.
pub(crate) fn wakes() -> Result<(), Failed> {
    let board = start("mailbox")?;
    let mut client = Client::hello(board.port)?;
    let mut slow = 0;
    for _ in 0..40 {
        // Long enough for it to fall asleep.
        thread::sleep(Duration::from_millis(10));
        let begun = Instant::now();
        client.says("NOOP")?.is(250)?;
        slow += usize::from(begun.elapsed() > Duration::from_millis(80));
    }
    client.quit()?;
    // This host may be busy. With the clock alone three of four are slow.
    (slow <= 10).then_some(()).ok_or_else(|| format!("{slow} of 40 replies were slow").into())
}

/// Subjects switch the lamp, if they come from the owner; and are not kept then.
pub(crate) fn lamp() -> Result<(), Failed> {
    let board = start("mailbox")?;
    let led = |board: &Board| board.log().iter().filter(|line| line.contains("led: ")).cloned().collect::<Vec<_>>();
    command(&board, "led on")?;
    command(&board, " LED Off ")?;
    command(&board, "Led\r\n On")?;
    let stranger = text_of_command("led off", 0);
    deliver(board.port, SENDER, &OWN[..1], &stranger)?.is(250)?;
    let other = text_of_command("led out", 0);
    deliver(board.port, OWNER, &OWN[..1], &other)?.is(250)?;
    // Begins like a command, as far as the board looks.
    let long = text_of_command(&format!("led off{} is what I never want", " ".repeat(90)), 0);
    deliver(board.port, OWNER, &OWN[..1], &long)?.is(250)?;
    let expected = [
        Mail::new(SENDER, &OWN[..1], &stranger),
        Mail::new(OWNER, &OWN[..1], &other),
        Mail::new(OWNER, &OWN[..1], &long),
    ];
    holds(&board, &expected)?;
    match led(&board) {
        led if led == ["INFO  led: true", "INFO  led: false", "INFO  led: true"] => Ok(()),
        led => Err(format!("{led:?}").into()),
    }
}

fn text_of_command(subject: &str, octets: usize) -> Vec<u8> {
    format!("Subject: {subject}\r\n\r\n{}\r\n", "x".repeat(octets)).into_bytes()
}

/// VRFY tells the room, and <Postmaster> is an address.
pub(crate) fn room() -> Result<(), Failed> {
    let board = start("mailbox")?;
    let empty = room_of(&board)?;
    deliver(board.port, "", &["Postmaster"], &text(1, 2_000))?.is(250)?;
    let with_mail = room_of(&board)?;
    if !(2_000..3_000).contains(&empty.saturating_sub(with_mail)) || empty < 30_000 {
        return Err(format!("room {empty}, with a mail of 2,000 octets {with_mail}").into());
    }
    holds(&board, &[Mail::new("", &["Postmaster"], &text(1, 2_000))])?;
    match room_of(&board)? {
        room if room == empty => Ok(()),
        room => Err(format!("room {room}, before {empty}").into()),
    }
}

fn room_of(board: &Board) -> Result<usize, Failed> {
    let mut client = Client::hello(board.port)?;
    let Reply { code, text } = client.says("VRFY board")?;
    client.quit()?;
    let room = text.strip_prefix("252 2.0.0 ").and_then(|text| text.split(' ').next()?.parse().ok());
    room.filter(|_| code == 252).ok_or_else(|| text.into())
}

/// Clients that disappear in the text leave nothing behind, and others are served meanwhile.
pub(crate) fn vanishing() -> Result<(), Failed> {
    let board = start("mailbox")?;
    let empty = room_of(&board)?;
    for round in 0..6 {
        let mut client = Client::hello(board.port)?;
        client.says(&format!("MAIL FROM:<{SENDER}>"))?.is(250)?;
        client.says(&format!("RCPT TO:<{}>", OWN[0]))?.is(250)?;
        client.says("DATA")?.is(354)?;
        client.sends(&text(round, 4_000))?;
        deliver(board.port, SENDER, &OWN[..1], &text(100 + round, 300))?.is(250)?;
        match round % 2 {
            0 => client.vanish()?,
            _ => drop(client),
        }
    }
    let kept: Vec<Mail> = (0..6).map(|round| Mail::new(SENDER, &OWN[..1], &text(100 + round, 300))).collect();
    holds(&board, &kept)?;
    match room_of(&board)? {
        room if room == empty => Ok(()),
        room => Err(format!("room {room}, before {empty}").into()),
    }
}

/// The board ends with status 0 when it was told to.
pub(crate) fn status() -> Result<(), Failed> {
    let board = Board::start("mailbox", &["exit-after=2"])?;
    deliver(board.port, SENDER, &OWN[..1], b"Hello.\r\n")?.is(250)?;
    let port = board.port;
    thread::spawn(move || deliver(port, SENDER, &OWN[..1], b"Hello.\r\n"));
    let ended = board.ended()?;
    match ended.status.code() {
        Some(0) => Ok(()),
        _ => Err(format!("{}: {:?}", ended.status, ended.log).into()),
    }
}
