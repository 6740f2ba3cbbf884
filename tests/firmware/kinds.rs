//! The firmware's other binaries take mails too.

use std::thread;
use std::time::Duration;

use libtest_mimic::Failed;

use crate::client::Client;
use crate::qemu::Board;

const TEXT: &[u8] =
    b"Subject: greetings\r\nX-A: b\r\n\r\n.\r\n..\r\nGr\xc3\xbc\xc3\x9fe, \"you\" and 'you'\\\r\n\r\nend\r\n";

/// `debugging` prints a mail as Python's DebuggingServer does, and as the host's.
pub(crate) fn debugging() -> Result<(), Failed> {
    let board = Board::start("debugging", &["exit-after=2"])?;
    let mut client = Client::hello(board.port)?;
    client.mail("sender@client.example", &["a@b.example", "c@d.example"], TEXT)?.is(250)?;
    client.says("MAIL FROM:<> BODY=8BITMIME SIZE=10")?.is(250)?;
    client.says("RCPT TO:<Postmaster>")?.is(250)?;
    client.says("DATA")?.is(354)?;
    client.sends(b".\r\n")?;
    client.reply()?.is(250)?;
    client.quit()?;
    let ended = board.ended()?;
    let text = String::from_utf8_lossy(&ended.text).replace("Timer with period zero, disabling\n", "");
    let expected = "---------- MESSAGE FOLLOWS ----------\n\
        b'Subject: greetings'\n\
        b'X-A: b'\n\
        b'X-Peer: 10.0.2.2'\n\
        b''\n\
        b'.'\n\
        b'..'\n\
        b'Gr\\xc3\\xbc\\xc3\\x9fe, \"you\" and \\'you\\'\\\\'\n\
        b''\n\
        b'end'\n\
        ------------ END MESSAGE ------------\n\
        ---------- MESSAGE FOLLOWS ----------\n\
        mail options: ['BODY=8BITMIME', 'SIZE=10']\n\
        ------------ END MESSAGE ------------\n";
    if text != expected {
        return Err(format!("got\n{text}expected\n{expected}").into());
    }
    ended.status.success().then_some(()).ok_or_else(|| ended.status.to_string().into())
}

/// `tiny` takes one mail after another, over one connection and over many, and logs them whole.
pub(crate) fn tiny() -> Result<(), Failed> {
    let board = Board::start("tiny", &["exit-after=12"])?;
    let mut client = Client::hello(board.port)?;
    for _ in 0..2 {
        client.mail("sender@client.example", &["a@b.example", "c@d.example"], TEXT)?.is(250)?;
    }
    client.says("MAIL FROM:<> SIZE=2049")?.begins("552 5.3.4")?;
    client.quit()?;
    thread::sleep(Duration::from_millis(20));
    for _ in 0..10 {
        let mut client = Client::hello(board.port)?;
        client.mail("sender@client.example", &["a@b.example", "c@d.example"], TEXT)?.is(250)?;
        client.quit()?;
        // QEMU may hand over the SYN of the next client before the FIN of this one: there is one place only, and a SYN
        // that finds none is said again after 6 s.
        thread::sleep(Duration::from_millis(20));
    }
    let ended = board.ended()?;
    let mut mail = vec![
        format!("mail from <b\"sender@client.example\">, {} octets", TEXT.len()),
        "  to <b\"a@b.example\">".into(),
        "  to <b\"c@d.example\">".into(),
    ];
    mail.extend(
        TEXT.split_inclusive(|octet| *octet == b'\n').map(|line| format!("  {}", shown(line.trim_ascii_end()))),
    );
    let mails = ended.log.iter().filter_map(|line| line.strip_prefix("INFO  "));
    let mails: Vec<&str> = mails.filter(|line| !line.starts_with("listening") && !line.starts_with("stack")).collect();
    if mails.len() != 12 * mail.len() || mails.chunks(mail.len()).any(|chunk| chunk != mail) {
        return Err(format!("got {mails:#?}, expected 12 times {mail:#?}").into());
    }
    ended.status.success().then_some(()).ok_or_else(|| ended.status.to_string().into())
}

/// Octets as the log has them.
pub(crate) fn shown(octets: &[u8]) -> String {
    format!("b\"{}\"", octets.escape_ascii().to_string().replace("\\'", "'"))
}
