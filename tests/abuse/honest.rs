//! The client that means well: one mail after the other, each over a connection of its own, and how long each takes.

use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::runtime::Builder;

use crate::client::{Client, HONEST};

/// Mails that a p99 is taken of, at least.
const ENOUGH: usize = 200;

/// It sends on a thread of its own, until it is told to stop.
pub(crate) struct Honest {
    thread: JoinHandle<io::Result<Vec<Duration>>>,
    mails: Arc<AtomicUsize>,
    is_over: Arc<AtomicBool>,
}

/// How it fared.
pub(crate) struct Fared {
    pub(crate) mails: usize,
    pub(crate) p99: Duration,
}

impl Honest {
    pub(crate) fn start(address: SocketAddr) -> Self {
        let (mails, is_over) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let (count, over) = (Arc::clone(&mails), Arc::clone(&is_over));
        let thread = std::thread::spawn(move || {
            let mut took = Vec::new();
            let runtime = Builder::new_current_thread().enable_all().build()?;
            while !over.load(Ordering::Relaxed) {
                let begun = Instant::now();
                runtime.block_on(mail(address))?;
                took.push(begun.elapsed());
                count.fetch_add(1, Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(3));
            }
            Ok(took)
        });
        Self { thread, mails, is_over }
    }

    /// Whether its figures mean something, or there will be none.
    pub(crate) fn has_enough(&self) -> bool {
        self.mails.load(Ordering::Relaxed) >= ENOUGH || self.thread.is_finished()
    }

    /// An error is a mail that was refused.
    pub(crate) fn stop_after(self, length: Duration) -> Result<Fared, Box<dyn Error>> {
        std::thread::sleep(length);
        while !self.has_enough() {
            std::thread::sleep(Duration::from_millis(5));
        }
        self.is_over.store(true, Ordering::Relaxed);
        let took = self.thread.join().map_err(|_| "the honest client panicked")?;
        let mut took = took.map_err(|error| format!("the honest client was refused: {error}"))?;
        took.sort_unstable();
        Ok(Fared { mails: took.len(), p99: took[took.len() * 99 / 100] })
    }
}

async fn mail(address: SocketAddr) -> io::Result<()> {
    let mut client = Client::connect(HONEST, address).await?;
    client.begin().await?;
    client.say(b"Subject: hello\r\n\r\nAre you there?\r\n.\r\n", "250").await?;
    client.say(b"QUIT\r\n", "221").await
}
