//! A server on a thread of its own, for programs that have no runtime: tests above all.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::thread::{self, JoinHandle};

use smtpd_core::server::{Config, Handler, Peer};
use tokio::runtime::{Builder, Handle};

use crate::places::Places;
use crate::{Server, Stopper};

/// A server that runs until this is dropped; made by [`Server::spawn`].
#[derive(Debug)]
pub struct Running {
    addresses: Vec<SocketAddr>,
    stopper: Stopper,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Binds as [`bind`](Self::bind) does, and serves on a thread of its own as [`run_blocking`](Self::run_blocking)
    /// does. Needs no runtime, and must not be called within an asynchronous one.
    ///
    /// ```
    /// use std::sync::mpsc;
    /// use smtpd_std::{Config, Server, process_message};
    /// let (sender, mails) = mpsc::channel();
    /// let server = Server::spawn("127.0.0.1:0", Config::new("localhost"), move |_| {
    ///     let sender = sender.clone();
    ///     process_message(move |message| {
    ///         sender.send(message.take())?;
    ///         Ok(None)
    ///     })
    /// })?;
    /// // Here the code that is tested sends its mail to this address, and then there is one:
    /// assert_ne!(server.address().port(), 0);
    /// assert!(mails.try_recv().is_err());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    /// As `bind`; the thread can't be started.
    pub fn spawn<H: Handler + Send + 'static>(
        address: impl ToSocketAddrs,
        config: Config<'static>,
        handler: impl Fn(Peer) -> H + Send + Sync + 'static,
    ) -> io::Result<Running> {
        // A thread for each connection, and for what handlers leave to others, such as disks.
        let threads = Places::ALL + 512;
        let runtime = Builder::new_current_thread().enable_all().max_blocking_threads(threads).build()?;
        let addresses: Vec<SocketAddr> = address.to_socket_addrs()?.collect();
        let server = runtime.block_on(Self::bind(&addresses[..], config))?;
        let (addresses, stopper) = (server.local_addrs()?, server.stopper());
        let serve = move || {
            runtime.block_on(server.run_blocking(handler));
            runtime.shutdown_background();
        };
        let thread = thread::Builder::new().name("smtpd".into()).spawn(serve)?;
        Ok(Running { addresses, stopper, thread: Some(thread) })
    }
}

impl Running {
    /// Where it listens: the first address.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.addresses[0]
    }

    /// All addresses at which it listens.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Lets transactions under way come to their end, takes no more connections, and returns when the last is over.
    pub fn stop(mut self) {
        self.stopper.stop();
        self.join();
    }

    fn join(&mut self) {
        // Within a runtime, which may be its own: a handler that drops its server must not wait for itself.
        if let (Some(thread), Err(_)) = (self.thread.take(), Handle::try_current()) {
            // Its panic has been told already.
            let _ = thread.join();
        }
    }
}

/// Ends it: see [`Stopper::stop_now`]. Within a runtime, its end is not waited for.
impl Drop for Running {
    fn drop(&mut self) {
        self.stopper.stop_now();
        self.join();
    }
}
