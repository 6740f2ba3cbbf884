//! A client that says lines and hears replies.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

pub struct Client {
    reader: BufReader<TcpStream>,
}

impl Client {
    /// Connects and hears the greeting.
    pub fn new(address: SocketAddr) -> Self {
        Self::greeted(address, "220 mx.example.org ESMTP")
    }

    /// Connects to a server that says this.
    pub fn greeted(address: SocketAddr, greeting: &str) -> Self {
        let stream = TcpStream::connect(address).expect("connect");
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let mut client = Self { reader: BufReader::new(stream) };
        assert_eq!(client.hear(), greeting);
        client
    }

    pub fn send(&mut self, octets: &[u8]) {
        self.try_send(octets).expect("send");
    }

    /// As long as the connection stands.
    pub fn try_send(&mut self, octets: &[u8]) -> std::io::Result<()> {
        self.reader.get_mut().write_all(octets)
    }

    /// One line; nothing at the end of the connection.
    pub fn hear(&mut self) -> String {
        let mut line = String::new();
        self.reader.read_line(&mut line).expect("hear");
        line.trim_end_matches("\r\n").to_owned()
    }

    /// Says a line and hears the last line of the reply.
    pub fn say(&mut self, line: &str) -> String {
        self.send(format!("{line}\r\n").as_bytes());
        self.reply()
    }

    pub fn reply(&mut self) -> String {
        loop {
            let line = self.hear();
            if line.as_bytes().get(3) != Some(&b'-') {
                return line;
            }
        }
    }

    /// Up to the text of a mail.
    pub fn begin(&mut self) {
        assert_eq!(self.say("EHLO client.example"), "250 HELP");
        assert_eq!(self.say("MAIL FROM:<a@b.example>"), "250 2.1.0 OK");
        assert_eq!(self.say("RCPT TO:<c@d.example>"), "250 2.1.5 OK");
        assert!(self.say("DATA").starts_with("354 "));
    }

    /// Everything until the end of the connection.
    pub fn rest(&mut self) -> Vec<u8> {
        let mut octets = Vec::new();
        self.reader.read_to_end(&mut octets).expect("the end of the connection");
        octets
    }

    pub fn stream(&self) -> &TcpStream {
        self.reader.get_ref()
    }
}
