//! sink PORT-FILE: smtpd with a handler that accepts everything and keeps nothing, as the command's class Sink.

use std::{fs, io};

use smtpd_std::{Answer, Config, Flow, Handler, Rcpt, Server};

fn main() -> io::Result<()> {
    let port_file = std::env::args().nth(1).unwrap_or_default();
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(async {
        let mut config = Config::new("mx.example.org");
        // A connection of a benchmark goes on longer than any client's.
        config.limits.commands = 0;
        let server = Server::bind("127.0.0.1:0", config).await?;
        fs::write(port_file, format!("{}\n", server.local_addrs()?[0].port()))?;
        server.run(|_| Sink).await;
        Ok(())
    })
}

struct Sink;

impl Handler for Sink {
    fn rcpt(&mut self, _: Rcpt<'_>) -> Answer<'_> {
        Answer::Accept
    }

    fn text(&mut self, _: &[u8]) -> Flow<'_> {
        Flow::Continue
    }

    fn message(&mut self, _: u16) -> Answer<'_> {
        Answer::Accept
    }
}
