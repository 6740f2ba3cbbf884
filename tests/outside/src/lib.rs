//! A client that sends one mail, over any stream: blocking, and on tokio with a timeout for each reply.

use std::io::{BufRead, BufReader, Error, ErrorKind, Read, Result, Write};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

/// What became of a mail.
#[derive(Debug, PartialEq, Eq)]
pub enum Sent {
    /// The server has it.
    Accepted,
    /// The server does not want it: the code.
    Refused(u16),
}

/// What is said to a server, and the first digit of the replies with which it goes on; the greeting comes first.
const DIALOGUE: [(&str, char); 7] = [
    ("", '2'),
    ("EHLO client.example\r\n", '2'),
    ("MAIL FROM:<me@client.example>\r\n", '2'),
    ("RCPT TO:<you@server.example>\r\n", '2'),
    ("DATA\r\n", '3'),
    ("Subject: hello\r\n\r\n..dots\r\n.\r\n", '2'),
    ("QUIT\r\n", '2'),
];

/// Sends a mail.
///
/// # Errors
/// The connection broke, or the server does not speak SMTP: nobody knows whether it has the mail.
pub fn send(mut stream: impl Read + Write) -> Result<Sent> {
    let mut replies = BufReader::new(Unread(&mut stream));
    for (line, wanted) in DIALOGUE {
        let written = replies.get_mut().0.write_all(line.as_bytes());
        // The server has the mail, whether it hears this or not.
        if line == "QUIT\r\n" {
            break;
        }
        written?;
        let code = loop {
            let mut reply = String::new();
            replies.read_line(&mut reply)?;
            match judged(&reply)? {
                Some(code) => break code,
                None => continue,
            }
        };
        if !code.to_string().starts_with(wanted) {
            return Ok(Sent::Refused(code));
        }
    }
    Ok(Sent::Accepted)
}

/// Sends a mail; each reply may take five minutes.
///
/// # Errors
/// As [`send`], and [`ErrorKind::TimedOut`].
pub async fn send_async(stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite) -> Result<Sent> {
    let (reader, mut writer) = tokio::io::split(stream);
    // Nobody has to read more than so much.
    let mut replies = tokio::io::BufReader::new(reader.take(10_000));
    for (line, wanted) in DIALOGUE {
        let written = writer.write_all(line.as_bytes()).await;
        // The server has the mail, whether it hears this or not.
        if line == "QUIT\r\n" {
            break;
        }
        written?;
        let reply = async {
            loop {
                let mut reply = String::new();
                replies.read_line(&mut reply).await?;
                if let Some(code) = judged(&reply)? {
                    return Result::Ok(code);
                }
            }
        };
        let code = timeout(Duration::from_secs(300), reply).await.map_err(|_| Error::from(ErrorKind::TimedOut))??;
        if !code.to_string().starts_with(wanted) {
            return Ok(Sent::Refused(code));
        }
    }
    Ok(Sent::Accepted)
}

/// The code of a reply's last line; none: more lines come.
fn judged(line: &str) -> Result<Option<u16>> {
    let code = line.get(..3).and_then(|code| code.parse().ok());
    match (line.strip_suffix("\r\n"), line.as_bytes().get(3), code) {
        (None, ..) => Err(ErrorKind::UnexpectedEof.into()),
        (_, Some(b'-'), Some(_)) => Ok(None),
        (_, Some(b' ') | Some(b'\r'), Some(code)) => Ok(Some(code)),
        _ => Err(ErrorKind::InvalidData.into()),
    }
}

/// Reads and writes through one reference.
struct Unread<'s, S>(&'s mut S);

impl<S: Read> Read for Unread<'_, S> {
    fn read(&mut self, octets: &mut [u8]) -> Result<usize> {
        self.0.read(octets)
    }
}
