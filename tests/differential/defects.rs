//! What differs on purpose: what of Python's smtpd is better left out (core/src/server/python.rs gives the list to users).

/// A kind of line to which we say something else, and why.
pub(crate) struct Defect {
    pub(crate) reason: &'static str,
    pub(crate) lines: Lines,
    /// Whether the difference between Python's replies and ours, to the line and to the probes behind it, is just that.
    pub(crate) differs: fn(&[u8], &[u8]) -> bool,
}

/// Which lines these are.
pub(crate) enum Lines {
    /// MAIL, RCPT and VRFY with these addresses and nothing behind.
    Addresses(&'static [&'static str]),
    /// MAIL with these parameters.
    Parameters(&'static [&'static str]),
    /// Those that have something in common.
    Like(fn(&[u8]) -> bool),
}

impl Lines {
    pub(crate) fn have(&self, line: &[u8]) -> bool {
        match self {
            Self::Addresses(addresses) => {
                let starts: [&[u8]; 3] = [b"MAIL FROM:", b"RCPT TO:", b"VRFY "];
                let address = starts.iter().find_map(|start| line.strip_prefix(*start));
                addresses.iter().any(|other| Some(other.as_bytes()) == address)
            }
            Self::Parameters(ends) => {
                line.starts_with(b"MAIL FROM:") && ends.iter().any(|end| line.ends_with(end.as_bytes()))
            }
            Self::Like(is_like) => is_like(line),
        }
    }

    /// One for each of those that are listed.
    pub(crate) fn parts(&self) -> Vec<Self> {
        match self {
            Self::Addresses(addresses) => addresses.chunks(1).map(Self::Addresses).collect(),
            Self::Parameters(ends) => ends.chunks(1).map(Self::Parameters).collect(),
            Self::Like(is_like) => vec![Self::Like(*is_like)],
        }
    }
}

/// In place of a reply.
pub(crate) const CLOSED: &[u8] = b"(closed)\r\n";

pub(crate) const DEFECTS: &[Defect] = &[
    Defect {
        reason: "its parser of addresses fails and the connection is dropped",
        lines: Lines::Addresses(FAILS),
        differs: |theirs, ours| theirs == CLOSED && is_syntax(ours),
    },
    Defect {
        reason: "SIZE without a number drops the connection",
        lines: Lines::Parameters(&[" SIZE"]),
        differs: |theirs, ours| theirs == CLOSED && is_syntax(ours),
    },
    Defect {
        reason: "what is no address of an envelope is accepted",
        lines: Lines::Addresses(ODD),
        differs: |theirs, ours| is_accepted(theirs) && (is_syntax(ours) || ours.starts_with(b"555 ")),
    },
    Defect {
        reason: "the last of several parameters of one name counts, as if the others were not there",
        lines: Lines::Parameters(&[" SIZE=1 SIZE=2", " SIZE=99999999 SIZE=1", " BODY=9 BODY=7BIT"]),
        differs: |theirs, ours| is_accepted(theirs) && is_syntax(ours),
    },
    Defect {
        reason: "a line that is not UTF-8 drops the connection",
        lines: Lines::Like(|line| line.contains(&0xff)),
        differs: |theirs, ours| theirs == CLOSED && ours.starts_with(b"500 "),
    },
    Defect {
        reason: "an unknown command beyond ASCII drops the connection",
        lines: Lines::Like(|line| line == "\u{e9}".as_bytes()),
        differs: |theirs, ours| theirs == CLOSED && ours.starts_with(b"500 Error: command \"??\" not recognized\r\n"),
    },
    Defect {
        reason: "control octets, and octets beyond ASCII, are accepted in arguments",
        lines: Lines::Like(|line| {
            let argument = line.splitn(2, |octet| *octet == b' ').nth(1).unwrap_or(b"").trim_ascii();
            argument.iter().any(|octet| !matches!(octet, b' '..=b'~'))
        }),
        differs: |theirs, ours| theirs != CLOSED && ours.starts_with(b"500 Error: bad syntax\r\n"),
    },
    Defect {
        reason: "an unknown command is sent back with its control octets",
        lines: Lines::Like(|line| line.iter().any(u8::is_ascii_control)),
        // A line feed in it made the client take the rest for the reply to the first probe.
        differs: |theirs, ours| {
            let printable: Vec<u8> = theirs
                .split_inclusive(|octet| *octet == b'\n')
                .flat_map(|line| match line.strip_suffix(b"\r\n") {
                    Some(line) => [&visible(line)[..], b"\r\n"].concat(),
                    None => visible(line),
                })
                .collect();
            ours.starts_with(&printable)
        },
    },
    Defect {
        reason: "what is quoted makes a reply longer than RFC 5321 §4.5.3.1.5 allows",
        lines: Lines::Like(|line| line.len() > 470),
        differs: |theirs, ours| {
            let ((long, behind), (cut, rest)) = (first(theirs), first(ours));
            long.len() > 512 && cut.len() == 512 && behind == rest && cut[..490] == long[..490]
        },
    },
    Defect {
        reason: "a browser's headers are commands like others",
        lines: Lines::Like(|line| line.split(|octet| *octet == b' ').next().is_some_and(|word| word.ends_with(b":"))),
        differs: |theirs, ours| {
            theirs.starts_with(b"500 Error: command ") && ours == [b"421 This is SMTP, closing\r\n", CLOSED].concat()
        },
    },
];

/// Addresses at which Python's parser fails.
const FAILS: &[&str] = &[
    "<",
    "< >",
    ">",
    "<a@>",
    "a@",
    "<@b>",
    "@b",
    "<a@b@c>",
    "a@b@c",
    "<a@b.>",
    "<a@.b>",
    "<a@b..c>",
    "<a@[1.2.3.4>",
    "<a@[1 2]>",
    "<@x a@b>",
];

/// Addresses with comments, with spaces between words, with an open quote, with a backslash.
const ODD: &[&str] = &["<a b@c>", "<a @b>", "a b", "(c)a@b", "<a@b> (c)", "<\"a@b>", "a\\b@c"];

fn is_syntax(replies: &[u8]) -> bool {
    replies.starts_with(b"501 Syntax: ") || replies.starts_with(b"502 Could not VRFY ")
}

/// Or would be if it were in order.
fn is_accepted(replies: &[u8]) -> bool {
    replies.starts_with(b"25") || replies.starts_with(b"503 Error: nested MAIL command\r\n")
}

fn first(replies: &[u8]) -> (&[u8], &[u8]) {
    let end = replies.iter().position(|octet| *octet == b'\n').map_or(replies.len(), |end| end + 1);
    replies.split_at(end)
}

fn visible(line: &[u8]) -> Vec<u8> {
    line.iter().map(|octet| if matches!(octet, b' '..=b'~') { *octet } else { b'?' }).collect()
}
