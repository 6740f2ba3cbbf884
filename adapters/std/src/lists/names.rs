//! The addresses of hosts that are known by name: asked for where nobody waits, and kept while there is no better answer.

use std::collections::HashMap;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::target::Host;

/// How long after a question without an answer the next one is asked.
const AGAIN: Duration = Duration::from_secs(10);

/// Names and their addresses; copies are the same.
#[derive(Clone, Debug)]
pub(super) struct Names {
    names: Arc<Mutex<HashMap<Host, Name>>>,
    resolve: fn(&Host) -> Option<SocketAddr>,
}

#[derive(Debug)]
struct Name {
    /// The last answer.
    address: Option<SocketAddr>,
    asked: Instant,
    is_asking: bool,
}

impl Names {
    /// Names that the system knows.
    pub(super) fn new() -> Self {
        Self::with(|Host(host, port)| (&**host, *port).to_socket_addrs().ok()?.next())
    }

    pub(super) fn with(resolve: fn(&Host) -> Option<SocketAddr>) -> Self {
        Self { names: Arc::default(), resolve }
    }

    /// Asks for a name, and waits for the answer.
    pub(super) fn ask_and_wait(&self, host: &Host) {
        if self.begin(host, Duration::ZERO) {
            self.end(host, (self.resolve)(host));
        }
    }

    /// Asks for a name anew; its last address holds until there is an answer.
    pub(super) fn ask(&self, host: &Host) {
        self.ask_after(host, Duration::ZERO);
    }

    /// The address that is known. If there is none, the name is asked for again.
    pub(super) fn address(&self, host: &Host) -> Option<SocketAddr> {
        let address = self.names().get(host).and_then(|name| name.address);
        if address.is_none() {
            self.ask_after(host, AGAIN);
        }
        address
    }

    fn ask_after(&self, host: &Host, pause: Duration) {
        if !self.begin(host, pause) {
            return;
        }
        let (names, asked) = (self.clone(), host.clone());
        let ask = move || {
            let address = (names.resolve)(&asked);
            names.end(&asked, address);
        };
        if thread::Builder::new().name("lookup".into()).spawn(ask).is_err() {
            self.end(host, None);
        }
    }

    /// Whether the name is to be asked for now.
    fn begin(&self, host: &Host, pause: Duration) -> bool {
        let (mut names, now) = (self.names(), Instant::now());
        let Some(name) = names.get_mut(host) else {
            names.insert(host.clone(), Name { address: None, asked: now, is_asking: true });
            return true;
        };
        let is_due = !name.is_asking && now.duration_since(name.asked) >= pause;
        if is_due {
            (name.asked, name.is_asking) = (now, true);
        }
        is_due
    }

    fn end(&self, Host(host, port): &Host, address: Option<SocketAddr>) {
        if address.is_none() {
            tracing::warn!("{host}: no address is known under this name, where Mailman shall be (port {port})");
        }
        if let Some(name) = self.names().get_mut(&Host(host.clone(), *port)) {
            (name.address, name.is_asking) = (address.or(name.address), false);
        }
    }

    fn names(&self) -> MutexGuard<'_, HashMap<Host, Name>> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU16, Ordering};

    /// How often `flaky` was asked.
    static ASKED: AtomicU16 = AtomicU16::new(0);

    /// Knows nothing at first, then an address, and then nothing again.
    fn flaky(_: &Host) -> Option<SocketAddr> {
        let asked = ASKED.fetch_add(1, Ordering::SeqCst);
        (asked == 1).then(|| SocketAddr::from(([127, 0, 0, 1], 24)))
    }

    /// Waits until nobody asks any more.
    fn answered(names: &Names, host: &Host) -> u16 {
        while names.names()[host].is_asking {
            thread::sleep(Duration::from_millis(1));
        }
        ASKED.load(Ordering::SeqCst)
    }

    #[test]
    fn an_answer_holds_until_there_is_a_better_one() {
        let (names, host) = (Names::with(flaky), Host("mailman.invalid".into(), 24));
        names.ask_and_wait(&host);
        assert_eq!((names.address(&host), answered(&names, &host)), (None, 1), "not asked again at once");
        names.names().get_mut(&host).unwrap().asked -= AGAIN;
        assert_eq!((names.address(&host), answered(&names, &host)), (None, 2));
        let address = Some(SocketAddr::from(([127, 0, 0, 1], 24)));
        assert_eq!(names.address(&host), address);
        names.ask(&host);
        assert_eq!((answered(&names, &host), names.address(&host)), (3, address), "the last one holds");
    }

    #[test]
    fn real_names() {
        // No server has to be asked for a name that can be none.
        let names = Names::new();
        for (host, is_known) in [("localhost", true), ("no..host", false)] {
            let host = Host(host.into(), 24);
            names.ask_and_wait(&host);
            assert_eq!(names.address(&host).is_some_and(|address| address.ip().is_loopback()), is_known, "{host:?}");
        }
    }
}
