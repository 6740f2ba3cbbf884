//! Mailman 3's own account of its addresses: the tables that it writes for Postfix.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use smtpd_core::handlers::{Found, Lists};
use smtpd_core::wire::Mailbox;

use super::names::Names;
use super::table::Table;
use super::target::{Host, Target};
use super::watched::Watched;

/// The addresses of a Mailman 3, from the text tables that it keeps in the folder `data` of its `var_dir`: Debian's are in
/// `/var/lib/mailman3/data`. Clones share what they read.
///
/// - `postfix_lmtp`: each address of each list, and where Mailman takes its mail by LMTP. Mailman writes it when it starts and
///   when a list comes or goes, if its configuration says `[mta] incoming: mailman.mta.postfix.LMTP`, as it does by default. No
///   Postfix is needed; without one, Mailman wants `postmap_command: /bin/true` in the file that `[mta] configuration` names.
/// - `postfix_vmap`: the addresses in domains that have an alias domain. It is there only if there are such.
///
/// An address is found in any letter case, and with anything behind a `+` that the table does not have: `ant+x@` as `ant@`.
///
/// Each question looks whether the files are still the same (two `stat`), and reads them again if not. A table that can't be
/// read, or is not whole, leaves the last good one in use; so does a `postfix_lmtp` that is gone, for where there are lists
/// there is one. That, and lines that are not of Mailman's form, are told to `tracing`. Files are to be replaced
/// by renaming, as Mailman does it: of one that is written in place, a part may be taken for the whole.
///
/// A list whose place the table gives by a name that nobody knows, or in a form that is not Mailman's, is [`Found::Unknown`].
/// Names are looked up when the table is read, and every 10 seconds while there is no answer; nobody waits for
/// that, but who calls [`open`](Self::open).
#[derive(Clone, Debug)]
pub struct Maps(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    lists: File<Addresses>,
    aliases: File<Aliases>,
    /// Where all of it is, whatever the table says.
    place: Option<SocketAddr>,
    names: Names,
}

/// A file, and the last good table in it.
#[derive(Debug)]
struct File<T> {
    file: Watched,
    table: T,
    /// What was wrong with it last, which is told once.
    complaint: Option<String>,
}

/// Addresses of lists, each with the number of its target; all lists together rarely have more than one.
#[derive(Debug, Default)]
struct Addresses {
    numbers: HashMap<Box<[u8]>, usize>,
    targets: Vec<Target>,
}

/// Addresses, each with the one that stands for it in the other table.
#[derive(Debug, Default)]
struct Aliases(HashMap<Box<[u8]>, Box<[u8]>>);

impl Maps {
    /// Reads the tables in a folder. All lists are taken at `lmtp`, if there is one, and else where the table says.
    ///
    /// # Errors
    /// There is no whole `postfix_lmtp` to be read, or a `postfix_vmap` that can't be read; what to do about it.
    pub fn open(folder: impl Into<PathBuf>, lmtp: Option<SocketAddr>) -> io::Result<Self> {
        let folder = folder.into();
        let mut lists: File<Addresses> = File::new(folder.join("postfix_lmtp"));
        let mut aliases: File<Aliases> = File::new(folder.join("postfix_vmap"));
        let names = Names::new();
        let octets = lists.file.news().map_err(|error| lists.missing(&error))?;
        lists.take(&octets.unwrap_or_default()).map_err(|why| lists.broken(why))?;
        match aliases.file.news() {
            Ok(Some(octets)) if !octets.is_empty() => aliases.take(&octets).map_err(|why| aliases.broken(why))?,
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(aliases.missing(&error)),
        }
        if lmtp.is_none() {
            lists.table.hosts().for_each(|host| names.ask_and_wait(host));
        }
        Ok(Self(Arc::new(Mutex::new(State { lists, aliases, place: lmtp, names }))))
    }
}

impl Lists for Maps {
    fn find(&mut self, mailbox: Mailbox<'_>) -> Found {
        let mut address: Vec<u8> = mailbox.plain_local_part().collect();
        let local = address.len();
        address.push(b'@');
        address.extend_from_slice(mailbox.domain());
        address.make_ascii_lowercase();
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.refresh();
        if let Some(found) = state.find(&address) {
            return found;
        }
        let Some(plus) = address.iter().take(local).position(|octet| *octet == b'+') else { return Found::Nothing };
        address.drain(plus..local);
        state.find(&address).unwrap_or(Found::Nothing)
    }
}

impl State {
    fn find(&self, address: &[u8]) -> Option<Found> {
        if let Some(target) = self.lists.table.get(address) {
            return Some(self.found(target));
        }
        // Between the writing of two tables, Mailman has an alias for a list that is gone already.
        let alias = self.aliases.table.0.get(address)?;
        Some(self.found(self.lists.table.get(alias).unwrap_or(&Target::Odd)))
    }

    fn found(&self, target: &Target) -> Found {
        let address = self.place.or_else(|| match target {
            Target::At(address) => Some(*address),
            Target::Named(host) => self.names.address(host),
            Target::Odd => None,
        });
        address.map_or(Found::Unknown, Found::Lmtp)
    }

    fn refresh(&mut self) {
        match self.lists.file.news() {
            Ok(None) => {}
            Ok(Some(octets)) => match self.lists.take(&octets) {
                Ok(()) if self.place.is_none() => self.lists.table.hosts().for_each(|host| self.names.ask(host)),
                Ok(()) => {}
                Err(why) => self.lists.complain(why),
            },
            Err(error) => self.lists.complain(&error.to_string()),
        }
        match self.aliases.file.news() {
            Ok(None) => {}
            // Mailman writes it each time, and removes it at once if there is nothing in it.
            Ok(Some(octets)) if octets.is_empty() => {}
            Ok(Some(octets)) => {
                if let Err(why) = self.aliases.take(&octets) {
                    self.aliases.complain(why);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.aliases.table = Aliases::default(),
            Err(error) => self.aliases.complain(&error.to_string()),
        }
    }
}

impl<T: Default + for<'t> From<Table<'t>>> File<T> {
    fn new(path: PathBuf) -> Self {
        Self { file: Watched::new(path), table: T::default(), complaint: None }
    }

    /// Takes a table, if it is a good one.
    fn take(&mut self, octets: &[u8]) -> Result<(), &'static str> {
        let table = Table::read(octets)?;
        match table.odd {
            None => self.complaint = None,
            Some((lines, first)) => {
                self.tell(format!("lines that are not of Mailman's form: {lines}, the first is line {first}"));
            }
        }
        self.table = table.into();
        Ok(())
    }

    /// Tells that the last good table stays in use.
    fn complain(&mut self, why: &str) {
        self.tell(format!("{why}; what was read before stays in use"));
    }

    /// Once, until something else is to be told.
    fn tell(&mut self, complaint: String) {
        if self.complaint.as_ref() != Some(&complaint) {
            tracing::warn!("{}: {complaint}", self.file.path().display());
            self.complaint = Some(complaint);
        }
    }

    /// Why there is nothing to begin with.
    fn missing(&self, error: &io::Error) -> io::Error {
        let hint = match error.kind() {
            io::ErrorKind::NotFound => {
                "; Mailman writes it with `[mta] incoming: mailman.mta.postfix.LMTP`, into the folder data of its var_dir, \
                 when it starts"
            }
            _ => "",
        };
        io::Error::new(error.kind(), format!("{}: {error}{hint}", self.file.path().display()))
    }

    fn broken(&self, why: &str) -> io::Error {
        let path = self.file.path().display();
        io::Error::new(io::ErrorKind::InvalidData, format!("{path} {why}; `mailman aliases` writes it anew"))
    }
}

impl From<Table<'_>> for Addresses {
    fn from(table: Table<'_>) -> Self {
        let mut addresses = Self { numbers: HashMap::with_capacity(table.entries.len()), targets: Vec::new() };
        let mut last = None;
        for (address, value) in table.entries {
            let number = match last {
                // The rule, by far.
                Some((number, same)) if same == value => number,
                _ => addresses.number(Target::parse(value)),
            };
            last = Some((number, value));
            // The first counts, as for Postfix.
            addresses.numbers.entry(address).or_insert(number);
        }
        addresses
    }
}

impl Addresses {
    fn number(&mut self, target: Target) -> usize {
        self.targets.iter().position(|known| *known == target).unwrap_or_else(|| {
            self.targets.push(target);
            self.targets.len() - 1
        })
    }

    fn get(&self, address: &[u8]) -> Option<&Target> {
        self.targets.get(*self.numbers.get(address)?)
    }

    fn hosts(&self) -> impl Iterator<Item = &Host> {
        self.targets.iter().filter_map(|target| match target {
            Target::Named(host) => Some(host),
            _ => None,
        })
    }
}

impl From<Table<'_>> for Aliases {
    fn from(table: Table<'_>) -> Self {
        let mut aliases = HashMap::with_capacity(table.entries.len());
        for (address, value) in table.entries {
            aliases.entry(address).or_insert_with(|| value.to_ascii_lowercase().into());
        }
        Self(aliases)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::path::Path;
    use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};
    use std::thread;
    use std::time::{Duration, Instant};

    use smtpd_core::wire::ForwardPath;
    use tracing::span::{Attributes, Id, Record};
    use tracing::{Event, Level, Metadata, Subscriber};

    /// Counts warnings.
    #[derive(Clone, Default)]
    struct Warnings(Arc<AtomicUsize>);

    impl Subscriber for Warnings {
        fn enabled(&self, metadata: &Metadata<'_>) -> bool {
            *metadata.level() == Level::WARN
        }
        fn new_span(&self, _: &Attributes<'_>) -> Id {
            Id::from_u64(1)
        }
        fn record(&self, _: &Id, _: &Record<'_>) {}
        fn record_follows_from(&self, _: &Id, _: &Id) {}
        fn event(&self, _: &Event<'_>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
        fn enter(&self, _: &Id) {}
        fn exit(&self, _: &Id) {}
    }

    fn ask(maps: &mut Maps) -> Found {
        let Ok((ForwardPath::Mailbox(mailbox), _)) = ForwardPath::parse(b"<ant@example.com>") else { panic!() };
        maps.find(mailbox)
    }

    /// Waits for what other threads do.
    fn until(mut is_so: impl FnMut() -> bool) {
        let begun = Instant::now();
        while !is_so() {
            assert!(begun.elapsed() < Duration::from_secs(20), "it does not come");
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// As Mailman does it.
    fn put(folder: &Path, name: &str, table: &str) {
        fs::write(folder.join("new"), table).unwrap();
        fs::rename(folder.join("new"), folder.join(name)).unwrap();
    }

    #[test]
    fn what_is_wrong_is_told_once() {
        const GOOD: &str = "ant@example.com lmtp:127.0.0.1:1\n";
        let folder = std::env::temp_dir().join(format!("smtpd-told-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        put(&folder, "postfix_lmtp", GOOD);
        let mut maps = Maps::open(&folder, None).unwrap();
        let warnings = Warnings::default();
        let at = |port| Found::Lmtp(SocketAddr::from(([127, 0, 0, 1], port)));
        tracing::subscriber::with_default(warnings.clone(), || {
            let mut told = 0;
            let odd = format!("odd\n{GOOD}odd\n");
            for (table, name, more) in [
                (GOOD, "postfix_lmtp", 0),
                ("", "postfix_lmtp", 1),
                (GOOD, "postfix_lmtp", 0),
                (odd.as_str(), "postfix_lmtp", 1),
                ("cut", "postfix_lmtp", 1),
                ("is none\n", "postfix_lmtp", 1),
                (GOOD, "postfix_lmtp", 0),
                // Mailman's, where there is no alias.
                ("", "postfix_vmap", 0),
                ("cut", "postfix_vmap", 1),
            ] {
                put(&folder, name, table);
                told += more;
                // Before and after it is old enough to be known by its time.
                for pause in [0, 0, 50, 0] {
                    thread::sleep(Duration::from_millis(pause));
                    assert_eq!((ask(&mut maps), warnings.0.load(Ordering::SeqCst)), (at(1), told), "{name}: {table:?}");
                }
            }
            fs::remove_dir_all(&folder).unwrap();
            for _ in 0..2 {
                assert_eq!((ask(&mut maps), warnings.0.load(Ordering::SeqCst)), (at(1), told + 1));
            }
        });
    }

    #[test]
    fn names_are_looked_up_anew_with_each_table() {
        static PORTS: AtomicU16 = AtomicU16::new(0);
        let folder = std::env::temp_dir().join(format!("smtpd-anew-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        put(&folder, "postfix_lmtp", "ant@example.com lmtp:[mailman-core]:24\n");
        let mut maps = Maps::open(&folder, Some(SocketAddr::from(([127, 0, 0, 1], 1)))).unwrap();
        {
            let mut state = maps.0.lock().unwrap();
            let next = |_: &Host| Some(SocketAddr::from(([127, 0, 0, 1], PORTS.fetch_add(1, Ordering::SeqCst))));
            (state.place, state.names) = (None, Names::with(next));
        }
        let mut last = 0;
        for _ in 0..3 {
            put(&folder, "postfix_lmtp", "ant@example.com lmtp:[mailman-core]:24\n");
            // The host has another address each time.
            until(|| matches!(ask(&mut maps), Found::Lmtp(address) if address.port() > last));
            // Until it is known by its time, it is read again.
            thread::sleep(Duration::from_millis(50));
            let _ = ask(&mut maps);
            thread::sleep(Duration::from_millis(50));
            last = PORTS.load(Ordering::SeqCst) - 1;
        }
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_name_that_nobody_knows_is_no_reason_to_send_mail_elsewhere() {
        let folder = std::env::temp_dir().join(format!("smtpd-named-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        put(&folder, "postfix_lmtp", "ant@example.com lmtp:[no..host]:24\n");
        let mut maps = Maps::open(&folder, None).unwrap();
        assert_eq!(ask(&mut maps), Found::Unknown);
        // A name that comes later is looked up while nobody waits.
        put(&folder, "postfix_lmtp", "ant@example.com lmtp:[localhost]:24\n");
        until(|| ask(&mut maps) != Found::Unknown);
        assert!(matches!(ask(&mut maps), Found::Lmtp(address) if address.ip().is_loopback() && address.port() == 24));
        let place = SocketAddr::from(([127, 0, 0, 1], 24));
        put(&folder, "postfix_lmtp", "ant@example.com lmtp:unix:/x\n");
        assert_eq!(ask(&mut maps), Found::Unknown);
        assert_eq!(ask(&mut Maps::open(&folder, Some(place)).unwrap()), Found::Lmtp(place));
        fs::remove_dir_all(&folder).unwrap();
    }
}
