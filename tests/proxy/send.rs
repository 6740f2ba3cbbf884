//! A client that sends a mail octet for octet, and hears each reply.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use libtest_mimic::Failed;

use crate::mails::Mail;

/// How long a server may take for a reply; waited for only where a test fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Client {
    stream: BufReader<TcpStream>,
    extensions: Vec<String>,
}

/// A reply's code, and its last line.
pub(crate) struct Reply {
    pub(crate) code: u16,
    pub(crate) line: String,
}

impl Client {
    /// Connects and says EHLO.
    pub(crate) fn new(address: SocketAddr) -> Result<Self, Failed> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let mut client = Self { stream: BufReader::new(stream), extensions: Vec::new() };
        client.hear_code(220)?;
        client.say("EHLO client.example\r\n")?;
        client.extensions = client.hear_code(250)?;
        Ok(client)
    }

    /// The replies to MAIL, to each RCPT and to DATA, and to the text if DATA had a 354. It goes on whatever they say.
    pub(crate) fn send(&mut self, mail: &Mail) -> Result<Vec<Reply>, Failed> {
        let mut replies = Vec::new();
        self.send_into(mail, &mut replies).map(|()| replies)
    }

    /// The same; what was heard until the connection was lost is in `replies`.
    pub(crate) fn send_into(&mut self, mail: &Mail, replies: &mut Vec<Reply>) -> Result<(), Failed> {
        let mut parameters = String::new();
        if self.offers("SIZE") {
            parameters += &format!(" SIZE={}", mail.text.len());
        }
        if self.offers("8BITMIME") && !mail.text.is_ascii() {
            parameters += " BODY=8BITMIME";
        }
        let mut commands = vec![format!("MAIL FROM:<{}>{parameters}\r\n", mail.from)];
        commands.extend(mail.to.iter().map(|to| format!("RCPT TO:<{to}>\r\n")));
        commands.push("DATA\r\n".to_owned());
        if mail.is_pipelined && self.offers("PIPELINING") {
            self.say(&commands.concat())?;
            for _ in &commands {
                replies.push(self.hear()?);
            }
        } else {
            for command in &commands {
                self.say(command)?;
                replies.push(self.hear()?);
            }
        }
        if replies.last().is_some_and(|data| data.code == 354) {
            self.stream.get_mut().write_all(&stuffed(&mail.text)?)?;
            replies.push(self.hear()?);
        }
        Ok(())
    }

    /// Says octets, and QUIT; all that is heard until the server closes.
    pub(crate) fn say_all(mut self, octets: &[u8]) -> Result<String, Failed> {
        self.stream.get_mut().write_all(&[octets, b"QUIT\r\n"].concat())?;
        let mut heard = Vec::new();
        self.stream.read_to_end(&mut heard)?;
        Ok(String::from_utf8_lossy(&heard).into_owned())
    }

    /// The reply to a command.
    pub(crate) fn ask(&mut self, command: &str) -> Result<Reply, Failed> {
        self.say(&format!("{command}\r\n"))?;
        self.hear()
    }

    pub(crate) fn quit(mut self) -> Result<(), Failed> {
        self.say("QUIT\r\n")?;
        self.hear_code(221).map(drop)
    }

    fn offers(&self, extension: &str) -> bool {
        self.extensions.iter().any(|line| line.split(' ').next() == Some(extension))
    }

    fn say(&mut self, octets: &str) -> Result<(), Failed> {
        Ok(self.stream.get_mut().write_all(octets.as_bytes())?)
    }

    fn hear(&mut self) -> Result<Reply, Failed> {
        self.hear_lines().map(|(code, mut lines)| Reply { code, line: lines.pop().unwrap_or_default() })
    }

    fn hear_code(&mut self, expected: u16) -> Result<Vec<String>, Failed> {
        let (code, lines) = self.hear_lines()?;
        if code == expected { Ok(lines) } else { Err(format!("{code} in place of {expected}: {lines:?}").into()) }
    }

    /// The code, and the lines without it.
    fn hear_lines(&mut self) -> Result<(u16, Vec<String>), Failed> {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            self.stream.read_line(&mut line)?;
            let line = line.strip_suffix("\r\n").ok_or_else(|| format!("the server left, after {line:?}"))?;
            let (code, rest) = line.split_at_checked(3).ok_or_else(|| format!("no reply: {line:?}"))?;
            let (is_last, rest) = (!rest.starts_with('-'), rest.get(1..).unwrap_or_default());
            lines.push(rest.to_owned());
            if is_last {
                return Ok((code.parse()?, lines));
            }
        }
    }
}

/// The text as it goes over the wire, with its end (RFC 5321 §4.5.2).
fn stuffed(mut text: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut wire = Vec::with_capacity(text.len() + text.len() / 16 + 3);
    while !text.is_empty() {
        if text.starts_with(b".") {
            wire.push(b'.');
        }
        text.read_until(b'\n', &mut wire)?;
    }
    wire.extend_from_slice(b".\r\n");
    Ok(wire)
}
