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
    /// MAIL or RCPT with these parameters.
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
                let is_either = line.starts_with(b"MAIL FROM:") || line.starts_with(b"RCPT TO:");
                is_either && ends.iter().any(|end| line.ends_with(end.as_bytes()))
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

pub(crate) const PYTHON_3_11: &[Defect] = &[
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
        differs: is_refused_here,
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
    NOT_PRINTABLE,
    SENT_BACK,
    LONG_REPLY,
    BROWSER,
];

pub(crate) const PYTHON_2_7: &[Defect] = &[
    Defect {
        reason: "what is no address of an envelope is accepted",
        lines: Lines::Addresses(ODD),
        differs: is_refused_here,
    },
    Defect {
        reason: "brackets, lists and spaces that 3.11 does not accept are part of an address",
        lines: Lines::Addresses(ODDER),
        differs: is_refused_here,
    },
    Defect {
        reason: "what is no list of parameters is part of the address",
        lines: Lines::Parameters(MALFORMED),
        differs: is_refused_here,
    },
    Defect {
        reason: "parameters are part of an address without brackets",
        lines: Lines::Like(|line| line.starts_with(b"MAIL FROM:a@b ")),
        differs: is_refused_here,
    },
    Defect {
        reason: "HELO within a transaction keeps it",
        lines: Lines::Like(|line| line.to_ascii_uppercase().starts_with(b"HELO ")),
        differs: |theirs, ours| {
            let ((theirs, kept), (ours, ended)) = (first(theirs), first(ours));
            theirs == ours && kept.starts_with(b"250 Ok\r\n") && ended.starts_with(b"503 Error: need MAIL command\r\n")
        },
    },
    Defect {
        reason: "a line has no limit",
        lines: Lines::Like(|line| line.len() > 1_022),
        differs: |theirs, ours| theirs != CLOSED && ours.starts_with(b"500 Error: line too long\r\n"),
    },
    Defect {
        reason: "the octets 1C to 1F are no white space",
        lines: Lines::Like(|line| line.starts_with(b"NOOP ") && line.ends_with(b"\x1f")),
        differs: |theirs, ours| theirs.starts_with(b"501 Syntax: NOOP\r\n") && ours.starts_with(b"250 Ok\r\n"),
    },
    NOT_PRINTABLE,
    SENT_BACK,
    LONG_REPLY,
    BROWSER,
];

const NOT_PRINTABLE: Defect = Defect {
    reason: "control octets, and octets beyond ASCII, are accepted in arguments",
    lines: Lines::Like(|line| {
        let argument = line.splitn(2, |octet| *octet == b' ').nth(1).unwrap_or(b"").trim_ascii();
        !are_printable(argument)
    }),
    differs: |theirs, ours| theirs != CLOSED && ours.starts_with(b"500 Error: bad syntax\r\n"),
};

const SENT_BACK: Defect = Defect {
    reason: "an unknown command is sent back with its control octets, by 2.7 also with those beyond ASCII",
    lines: Lines::Like(|line| !are_printable(line)),
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
};

const LONG_REPLY: Defect = Defect {
    reason: "what is quoted makes a reply longer than RFC 5321 §4.5.3.1.5 allows",
    lines: Lines::Like(|line| line.len() > 470),
    differs: |theirs, ours| {
        let ((long, behind), (cut, rest)) = (first(theirs), first(ours));
        long.len() > 512 && cut.len() == 512 && behind == rest && cut[..490] == long[..490]
    },
};

const BROWSER: Defect = Defect {
    reason: "a browser's headers are commands like others",
    lines: Lines::Like(|line| line.split(|octet| *octet == b' ').next().is_some_and(|word| word.ends_with(b":"))),
    differs: |theirs, ours| {
        let is_unknown =
            [&b"500 Error: command "[..], b"502 Error: command "].iter().any(|start| theirs.starts_with(start));
        is_unknown && ours == [b"421 This is SMTP, closing\r\n", CLOSED].concat()
    },
};

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

/// Addresses with brackets, lists and spaces where 2.7 does not look.
const ODDER: &[&str] = &[
    "<",
    "< >",
    ">",
    "<a@[1.2.3.4>",
    "<a@[1 2]>",
    "<@x a@b>",
    "<a@b c>",
    "a;b",
    "a@b.example>",
    "<a@b.example>,<c@d.example>",
];

/// What looks like parameters behind brackets and is not in order.
const MALFORMED: &[&str] = &[
    "> ,",
    "> =",
    "> =1",
    "> A_B",
    "> BODY=",
    "> BODY=7BIT=7BIT",
    "> FOO = 1",
    "> FOO=",
    "> FOO=1=2",
    "> SIZE=",
    "> SIZE=1 SIZE=2",
    "> SIZE=99999999 SIZE=1",
    "> BODY=9 BODY=7BIT",
];

/// Addresses with comments, with spaces between words, with an open quote, with a backslash.
const ODD: &[&str] = &["<a b@c>", "<a @b>", "a b", "(c)a@b", "<a@b> (c)", "<\"a@b>", "a\\b@c"];

fn is_syntax(replies: &[u8]) -> bool {
    replies.starts_with(b"501 Syntax: ") || replies.starts_with(b"502 Could not VRFY ")
}

fn is_refused_here(theirs: &[u8], ours: &[u8]) -> bool {
    is_accepted(theirs) && is_syntax(ours)
}

/// Or would be if it were in order.
fn is_accepted(replies: &[u8]) -> bool {
    replies.starts_with(b"25") || replies.starts_with(b"503 Error: nested MAIL command\r\n")
}

fn first(replies: &[u8]) -> (&[u8], &[u8]) {
    let end = replies.iter().position(|octet| *octet == b'\n').map_or(replies.len(), |end| end + 1);
    replies.split_at(end)
}

fn are_printable(octets: &[u8]) -> bool {
    octets.iter().all(|octet| matches!(octet, b' '..=b'~'))
}

fn visible(line: &[u8]) -> Vec<u8> {
    line.iter().map(|octet| if matches!(octet, b' '..=b'~') { *octet } else { b'?' }).collect()
}
