//! A client of these tests: says what it is told to, and reads whole replies.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

use libtest_mimic::Failed;
use nix::sys::socket::{setsockopt, sockopt};

/// As long as a client waits that found no place: its stack says SYN again after 6 and 12 s.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Client {
    stream: TcpStream,
    /// What was read behind the last reply.
    unread: Vec<u8>,
}

/// A reply: its code, and all of it.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) code: u16,
    pub(crate) text: String,
}

impl Client {
    /// A client that was greeted, and has said EHLO.
    pub(crate) fn hello(port: u16) -> Result<Self, Failed> {
        let mut client = Self::connect(port)?;
        client.reply()?.is(220)?;
        client.says("EHLO client.example")?.is(250)?;
        Ok(client)
    }

    pub(crate) fn connect(port: u16) -> Result<Self, Failed> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, unread: Vec::new() })
    }

    pub(crate) fn sends(&mut self, octets: &[u8]) -> Result<(), Failed> {
        Ok(self.stream.write_all(octets)?)
    }

    /// Sends until nothing was taken for so long; how many octets were.
    pub(crate) fn sends_for(&mut self, octets: &[u8], time: Duration) -> Result<usize, Failed> {
        self.stream.set_write_timeout(Some(time))?;
        let mut sent = 0;
        while sent < octets.len() {
            match self.stream.write(&octets[sent..]) {
                Ok(more) => sent += more,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error.into()),
            }
        }
        self.stream.set_write_timeout(Some(PATIENCE))?;
        Ok(sent)
    }

    pub(crate) fn says(&mut self, line: &str) -> Result<Reply, Failed> {
        self.sends(format!("{line}\r\n").as_bytes())?;
        self.reply()
    }

    /// The next reply, all its lines.
    pub(crate) fn reply(&mut self) -> Result<Reply, Failed> {
        let mut text = String::new();
        loop {
            let line = self.line()?;
            text += &line;
            if line.as_bytes().get(3) != Some(&b'-') {
                let code = line.get(..3).and_then(|code| code.parse().ok());
                return Ok(Reply { code: code.ok_or_else(|| format!("no reply: {line}"))?, text });
            }
        }
    }

    fn line(&mut self) -> Result<String, Failed> {
        loop {
            if let Some(end) = self.unread.iter().position(|octet| *octet == b'\n') {
                let line: Vec<u8> = self.unread.drain(..=end).collect();
                return Ok(String::from_utf8_lossy(&line).into_owned());
            }
            let mut octets = [0; 1_024];
            match self.stream.read(&mut octets)? {
                0 => return Err("the end, where a reply was due".into()),
                read => self.unread.extend_from_slice(&octets[..read]),
            }
        }
    }

    /// A whole transaction; the reply that ended it.
    pub(crate) fn mail(&mut self, from: &str, to: &[&str], text: &[u8]) -> Result<Reply, Failed> {
        let reply = self.says(&format!("MAIL FROM:<{from}>"))?;
        if reply.code != 250 {
            return Ok(reply);
        }
        for to in to {
            self.says(&format!("RCPT TO:<{to}>"))?.is(250)?;
        }
        self.says("DATA")?.is(354)?;
        self.sends(&stuffed(text))?;
        self.reply()
    }

    /// Says QUIT, and reads until the end.
    pub(crate) fn quit(mut self) -> Result<(), Failed> {
        self.says("QUIT")?.is(221)?;
        match self.stream.read(&mut [0]) {
            Ok(0) => Ok(()),
            Ok(_) => Err("more than a reply to QUIT".into()),
            Err(error) => Err(error.into()),
        }
    }

    /// Disappears: the connection is reset.
    pub(crate) fn vanish(self) -> Result<(), Failed> {
        setsockopt(&self.stream, sockopt::Linger, &nix::libc::linger { l_onoff: 1, l_linger: 0 })?;
        Ok(())
    }
}

impl Reply {
    /// It has to have this code.
    pub(crate) fn is(self, code: u16) -> Result<Self, Failed> {
        match self.code == code {
            true => Ok(self),
            false => Err(format!("{} in place of {code}", self.text.trim_end()).into()),
        }
    }

    /// It has to begin so.
    pub(crate) fn begins(self, start: &str) -> Result<(), Failed> {
        match self.text.starts_with(start) {
            true => Ok(()),
            false => Err(format!("{} in place of {start}", self.text.trim_end()).into()),
        }
    }
}

/// A text as it goes over the wire, with its end (RFC 5321 §4.5.2).
pub(crate) fn stuffed(text: &[u8]) -> Vec<u8> {
    let mut stuffed = Vec::with_capacity(text.len() + text.len() / 40 + 5);
    for line in text.split_inclusive(|octet| *octet == b'\n') {
        if line.starts_with(b".") {
            stuffed.push(b'.');
        }
        stuffed.extend_from_slice(line);
    }
    stuffed.extend_from_slice(b".\r\n");
    stuffed
}
