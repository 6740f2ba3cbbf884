//! tokio PORT-FILE: the price of the runtime that smtpd has. As the floor it answers fixed octets; a task a connection, a
//! buffer a thread, one read and one write for each time that a task wakes.

use std::cell::RefCell;
use std::io;
use std::sync::Arc;

use bench::{Answers, Dialogue, GREETING, READ};
use tokio::net::{TcpListener, TcpStream};

thread_local! {
    static OCTETS: RefCell<Vec<u8>> = RefCell::new(vec![0; READ]);
}

fn main() -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        std::fs::write(std::env::args().nth(1).unwrap_or_default(), format!("{}\n", listener.local_addr()?.port()))?;
        let answers = Arc::new(Answers::default());
        loop {
            let stream = listener.accept().await?.0;
            let answers = Arc::clone(&answers);
            tokio::spawn(async move {
                // However it ends, it is over.
                let _ = serve(stream, &answers).await;
            });
        }
    })
}

async fn serve(stream: TcpStream, answers: &Answers) -> io::Result<()> {
    stream.try_write(GREETING)?;
    let mut dialogue = Dialogue::default();
    loop {
        stream.readable().await?;
        let served = OCTETS.with_borrow_mut(|octets| {
            let length = stream.try_read(octets)?;
            if length == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            match answers.to(&mut dialogue, &octets[..length]) {
                [] => Ok(()),
                // A client that waits for replies has room for them.
                replies => stream.try_write(replies).map(|_| ()),
            }
        });
        match served {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
            _ => {}
        }
    }
}
