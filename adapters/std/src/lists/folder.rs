//! The lists of a Mailman 2 as Python 2.7's smtpd knew them: by the local part of an address, whatever its domain.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use smtpd_core::wire::Mailbox;

/// The folder that has a folder for each list.
#[derive(Debug)]
pub(super) struct Folder(PathBuf);

/// A list's address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Address {
    /// Letters, digits, `_` and `.` only: it becomes part of a path, and of a command.
    pub(super) list: String,
    /// What Mailman has to do with mail for it.
    pub(super) task: &'static str,
}

/// What may stand behind a list's name and a `-`, and the wrapper's word for it.
const TASKS: [(&str, &str); 6] = [
    ("", "post"),
    ("admin", "admin"),
    ("owner", "owner"),
    ("request", "request"),
    ("join", "join"),
    ("leave", "leave"),
];

/// Any of these makes a folder a list's, as Mailman 2.1 says; the others are there while one is being replaced.
const SETTINGS: [&str; 4] = ["config.pck", "config.pck.last", "config.db", "config.db.last"];

impl Folder {
    /// # Errors
    /// It is none, or can't be read.
    pub(super) fn open(path: PathBuf) -> io::Result<Self> {
        match fs::read_dir(&path) {
            Ok(_) => Ok(Self(path)),
            Err(error) => Err(at(&path, &error)),
        }
    }

    /// The list's address that this is, if it is one.
    ///
    /// # Errors
    /// The folder can't be looked into.
    pub(super) fn find(&self, mailbox: Mailbox<'_>) -> io::Result<Option<Address>> {
        let Some(address) = Address::parse(mailbox) else { return Ok(None) };
        Ok(self.has(&address.list)?.then_some(address))
    }

    fn has(&self, list: &str) -> io::Result<bool> {
        // Of a folder that is gone, as one of another machine may be, no list is gone.
        fs::metadata(&self.0).map_err(|error| at(&self.0, &error))?;
        let folder = self.0.join(list);
        for name in SETTINGS {
            match fs::metadata(folder.join(name)) {
                Ok(_) => return Ok(true),
                Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {}
                Err(error) => return Err(at(&folder, &error)),
            }
        }
        Ok(false)
    }
}

/// An error that says of which path it is.
fn at(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

impl Address {
    /// What may be a list's address.
    fn parse(mailbox: Mailbox<'_>) -> Option<Self> {
        let local: Vec<u8> = mailbox.plain_local_part().map(|octet| octet.to_ascii_lowercase()).collect();
        let local = String::from_utf8(local).ok()?;
        let (list, suffix) = match local.split_once('-') {
            // `ant-` was the list's address too.
            Some((list, suffix)) => (list, suffix),
            None => (local.as_str(), ""),
        };
        let (_, task) = TASKS.into_iter().find(|(known, _)| *known == suffix)?;
        let is_fit = |octet: u8| matches!(octet, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'.');
        // A dot in front would be this folder, or the one above. No address has more than 64 octets (RFC 5321 §4.5.3.1.1), but
        // those of Python's dialects.
        let is_name = (1..=64).contains(&list.len()) && !list.starts_with('.') && list.bytes().all(is_fit);
        is_name.then(|| Self { list: list.into(), task })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use smtpd_core::wire::ForwardPath;

    #[test]
    fn addresses() {
        for (address, expected) in [
            ("ant@example.com", Some(("ant", "post"))),
            ("ANT@elsewhere.example", Some(("ant", "post"))),
            ("ant@[127.0.0.1]", Some(("ant", "post"))),
            (r#""ant"@example.com"#, Some(("ant", "post"))),
            ("ant-@example.com", Some(("ant", "post"))),
            ("ant-admin@example.com", Some(("ant", "admin"))),
            ("ant-Owner@example.com", Some(("ant", "owner"))),
            ("ant-request@example.com", Some(("ant", "request"))),
            ("ant-join@example.com", Some(("ant", "join"))),
            ("ant-leave@example.com", Some(("ant", "leave"))),
            ("a_1.b@example.com", Some(("a_1.b", "post"))),
            ("ant-bounces@example.com", None),
            ("ant-subscribe@example.com", None),
            ("ant-post@example.com", None),
            ("bee-keepers@example.com", None),
            ("bee-keepers-join@example.com", None),
            ("ant-join-@example.com", None),
            ("ant--join@example.com", None),
            ("-join@example.com", None),
            ("-@example.com", None),
            ("ant+x@example.com", None),
            (r#""../ant"@example.com"#, None),
            (r#""."@example.com"#, None),
            (r#""..-join"@example.com"#, None),
            (r#""ant/.."@example.com"#, None),
            (r#""ant join"@example.com"#, None),
            (r#"""@example.com"#, None),
            ("a$(id)@example.com", None),
        ] {
            let path = format!("<{address}>");
            let Ok((ForwardPath::Mailbox(mailbox), b"")) = ForwardPath::parse(path.as_bytes()) else {
                assert_eq!(expected, None, "{address}");
                continue;
            };
            let read = Address::parse(mailbox);
            let read = read.as_ref().map(|address| (address.list.as_str(), address.task));
            assert_eq!(read, expected, "{address}");
        }
    }
}
