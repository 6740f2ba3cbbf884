//! A client that blocks: of the proxy by SMTP, of Mailman by LMTP.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};

use libtest_mimic::Failed;

use crate::folder::{PATIENCE, number};

/// How a mail gets to a list.
#[derive(Clone, Copy)]
pub(crate) enum Way {
    /// To Mailman's LMTP runner.
    Direct(SocketAddr),
    /// To the proxy.
    Proxy(SocketAddr),
}

pub(crate) struct Client {
    stream: BufReader<TcpStream>,
    way: Way,
    accepted: usize,
}

/// A mail, the same each time that it is sent.
pub(crate) struct Mail {
    from: String,
    to: Vec<String>,
    pub(crate) subject: String,
    pub(crate) text: String,
}

/// A reply's last line.
#[derive(Debug)]
pub(crate) struct Reply(String);

impl Mail {
    /// Mailman holds what has no subject, and what does not name the list.
    pub(crate) fn new(from: &str, to: &[&str], subject: &str) -> Self {
        let id = format!("{}.{}", std::process::id(), number());
        let text = format!(
            "From: {from}\r\nTo: {}\r\nSubject: {subject}\r\nMessage-ID: <{id}@client.example>\r\n\r\nHello.\r\n",
            to.join(", ")
        );
        Self {
            from: from.to_owned(),
            to: to.iter().map(|&to| to.to_owned()).collect(),
            subject: subject.to_owned(),
            text,
        }
    }

    /// The same text, for some of its recipients only: as a client does that sends again what was refused for now.
    pub(crate) fn only_to(&self, to: &[&str]) -> Self {
        Self {
            from: self.from.clone(),
            to: to.iter().map(|&to| to.to_owned()).collect(),
            subject: self.subject.clone(),
            text: self.text.clone(),
        }
    }
}

/// A subject that no other mail of this run has.
pub(crate) fn subject(what: &str) -> String {
    format!("{what} {}", number())
}

impl Way {
    /// Connected, and greeted both ways.
    pub(crate) fn connect(self) -> Result<Client, Failed> {
        let (address, hello) = match self {
            Self::Direct(address) => (address, "LHLO"),
            Self::Proxy(address) => (address, "EHLO"),
        };
        let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let mut client = Client { stream: BufReader::new(stream), way: self, accepted: 0 };
        client.hear()?.is(220)?;
        client.say(&format!("{hello} client.example"))?.is(250)?;
        Ok(client)
    }

    /// A whole session, in which all is accepted.
    pub(crate) fn send(self, mail: &Mail) -> Result<(), Failed> {
        let mut client = self.connect()?;
        client.send(mail)?.is(250)?;
        client.say("QUIT")?.is(221)
    }
}

impl Client {
    /// A whole mail, for all of its recipients.
    pub(crate) fn send(&mut self, mail: &Mail) -> Result<Reply, Failed> {
        for reply in self.envelope(mail)? {
            reply.is(250)?;
        }
        self.data()?;
        self.text(&mail.text)?;
        self.dot()
    }

    /// MAIL, and what each RCPT is answered.
    pub(crate) fn envelope(&mut self, mail: &Mail) -> Result<Vec<Reply>, Failed> {
        self.say(&format!("MAIL FROM:<{}>", mail.from))?.is(250)?;
        self.accepted = 0;
        mail.to.iter().map(|to| self.rcpt(to)).collect()
    }

    /// The same up to DATA in one write: what each RCPT is answered.
    pub(crate) fn pipelined(&mut self, mail: &Mail) -> Result<Vec<Reply>, Failed> {
        let rcpts: String = mail.to.iter().map(|to| format!("RCPT TO:<{to}>\r\n")).collect();
        self.text(&format!("MAIL FROM:<{}>\r\n{rcpts}DATA\r\n", mail.from))?;
        self.hear()?.is(250)?;
        let replies = mail.to.iter().map(|_| self.hear()).collect::<Result<_, _>>()?;
        self.hear()?.is(354)?;
        Ok(replies)
    }

    pub(crate) fn rcpt(&mut self, to: &str) -> Result<Reply, Failed> {
        let reply = self.say(&format!("RCPT TO:<{to}>"))?;
        self.accepted += usize::from(reply.0.starts_with("250"));
        Ok(reply)
    }

    pub(crate) fn data(&mut self) -> Result<(), Failed> {
        self.say("DATA")?.is(354)
    }

    pub(crate) fn text(&mut self, text: &str) -> Result<(), Failed> {
        Ok(self.stream.get_mut().write_all(text.as_bytes())?)
    }

    pub(crate) fn dot(&mut self) -> Result<Reply, Failed> {
        self.text(".\r\n")?;
        self.verdict()
    }

    /// The reply to a text. LMTP has one for each recipient: the first that is not 250, if there is one.
    pub(crate) fn verdict(&mut self) -> Result<Reply, Failed> {
        let mut verdict = self.hear()?;
        if let Way::Direct(_) = self.way {
            for _ in 1..self.accepted {
                let next = self.hear()?;
                if verdict.0.starts_with("250") {
                    verdict = next;
                }
            }
        }
        Ok(verdict)
    }

    pub(crate) fn say(&mut self, line: &str) -> Result<Reply, Failed> {
        self.text(&format!("{line}\r\n"))?;
        self.hear()
    }

    pub(crate) fn hear(&mut self) -> Result<Reply, Failed> {
        loop {
            let mut line = String::new();
            if self.stream.read_line(&mut line)? == 0 {
                return Err("the server closed the connection".into());
            }
            if line.as_bytes().get(3) != Some(&b'-') {
                return Ok(Reply(line.trim_end().to_owned()));
            }
        }
    }
}

impl Reply {
    /// It has this code.
    pub(crate) fn is(&self, code: u16) -> Result<(), Failed> {
        match self.0.starts_with(&code.to_string()) {
            true => Ok(()),
            false => Err(format!("{code} was expected: {}", self.0).into()),
        }
    }

    pub(crate) fn is_failure(&self) -> Result<(), Failed> {
        match self.0.starts_with('5') {
            true => Ok(()),
            false => Err(format!("5yz was expected: {}", self.0).into()),
        }
    }
}
