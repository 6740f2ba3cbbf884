//! A Mailman 2, whose lists Python 2.7's MailmanProxy served.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use smtpd_core::handlers::{Found, Lists};
use smtpd_core::server::Config;
use smtpd_core::wire::Mailbox;

use super::delivery::Delivery;
use super::folder::Folder;
use super::wrapper::Wrapper;
use crate::{Server, Stopper};

/// The addresses of a Mailman 2, by the rules of Python 2.7's `MailmanProxy`, and an LMTP server in front of it. Clones are the same.
///
/// - An address is a list's if what stands before its first `-` is the name of a folder of lists that has a `config.pck` (or
///   `config.db`, of older ones), and what stands behind is nothing, `admin`, `owner`, `request`, `join` or `leave`; in any
///   letter case. The domain does not matter: `ant@` is the list at every domain. A list with a `-` in its name is never found; of
///   other names only those of letters, digits, `_` and `.` are.
/// - Mailman 2 speaks no LMTP. So this listens on a port of 127.0.0.1 of the system's choice, where [`Found::Lmtp`] leads, and runs a
///   [`Wrapper`] for each recipient, one after the other: LMTP (RFC 2033) tells of each what became of it. Whoever may
///   connect to that port may post, as with Mailman 3's; it takes nothing but mail for lists. A message has at most 33,554,432
///   octets.
/// - A list appears with its folder, and goes with it. While the folder of lists can't be looked into, whatever may be a list's address
///   is [`Found::Unknown`].
#[derive(Clone, Debug)]
pub struct Mailman2(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    folder: Arc<Folder>,
    address: SocketAddr,
    stopper: Stopper,
    is_warned: AtomicBool,
}

impl Mailman2 {
    /// Serves the lists whose folders are in `lists`: Debian's are in `/var/lib/mailman/lists`. Must be called within a tokio
    /// runtime, on which the server runs until the last clone is dropped.
    ///
    /// ```no_run
    /// use smtpd_std::{Mailman2, Wrapper};
    /// # async fn run() -> std::io::Result<()> {
    /// let wrapper = Wrapper::new("/var/lib/mailman/mail/mailman");
    /// let lists = Mailman2::start("/var/lib/mailman/lists", wrapper).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The folder can't be read, there is no such command, or no port.
    pub async fn start(lists: impl Into<PathBuf>, wrapper: Wrapper) -> io::Result<Self> {
        wrapper.check()?;
        let (folder, wrapper) = (Arc::new(Folder::open(lists.into())?), Arc::new(wrapper));
        let mut config = Config::new("localhost");
        config.lmtp = true;
        let server = Server::bind("127.0.0.1:0", config).await?;
        let addresses = server.local_addrs()?;
        let address = addresses.first().copied().ok_or(io::ErrorKind::AddrNotAvailable)?;
        let stopper = server.stopper();
        let lists = Arc::clone(&folder);
        tokio::spawn(server.run_async(move |_| Delivery::new(&lists, &wrapper)));
        Ok(Self(Arc::new(Shared { folder, address, stopper, is_warned: AtomicBool::new(false) })))
    }
}

impl Lists for Mailman2 {
    fn find(&mut self, mailbox: Mailbox<'_>) -> Found {
        let Shared { folder, address, is_warned, .. } = &*self.0;
        let found = folder.find(mailbox);
        // Once for each time that it goes wrong.
        let was_warned = is_warned.swap(found.is_err(), Ordering::Relaxed);
        match found {
            Ok(Some(_)) => Found::Lmtp(*address),
            Ok(None) => Found::Nothing,
            Err(error) => {
                if !was_warned {
                    tracing::warn!("{error}: mail that may be for lists is answered 451");
                }
                Found::Unknown
            }
        }
    }
}

/// Deliveries under way come to their end.
impl Drop for Shared {
    fn drop(&mut self) {
        self.stopper.stop();
    }
}
