//! The command lines, good and bad.

/// What may stand for an address.
const ADDRESSES: &[&str] = &[
    "<a@b.example>",
    " <a@b.example>",
    "  <a@b.example>  ",
    "a@b.example",
    " a@b.example",
    "<a>",
    "a",
    "postmaster",
    "<Postmaster>",
    "<>",
    " <>",
    "< >",
    "<",
    ">",
    "",
    " ",
    "<a@b.example",
    "a@b.example>",
    "< a@b.example >",
    "<a@b.example>x",
    "<a@b.example>,<c@d.example>",
    "<a@>",
    "a@",
    "<@b>",
    "@b",
    "<a@b@c>",
    "a@b@c",
    "<a..b@c>",
    "<.a@b>",
    "<a.@b>",
    "<a@b.>",
    "<a@.b>",
    "<a@b..c>",
    "<a@-b>",
    "<a@b_c>",
    "<!#$%&'*+-/=?^_`{|}~@b>",
    "<\"a b\"@c>",
    "<\"a\\\"b\"@c>",
    "<\"\"@b>",
    "\"\"",
    "<\"\">",
    "<\"a\".b@c>",
    "<a@[1.2.3.4]>",
    "<a@[999.2.3.4]>",
    "<a@[IPv6:::1]>",
    "<a@[]>",
    "<a@[1.2.3.4>",
    "<@x:a@b>",
    "<@x,@y:a@b>",
    "<@x a@b>",
    "<a b@c>",
    "<a @b>",
    "a b",
    "<a@b c>",
    "(c)a@b",
    "<a@b> (c)",
    "<\"a@b>",
    "a\\b@c",
    "a;b",
    "<a@[1 2]>",
];

/// What may stand behind an address.
const PARAMETERS: &[&str] = &[
    " SIZE=1",
    " size=0001",
    " SIZE=33554432",
    " SIZE=33554433",
    " SIZE=99999999999999999999999999",
    " SIZE=",
    " SIZE",
    " SIZE=-1",
    " SIZE=1k",
    " BODY=7BIT",
    " body=8bitmime",
    " BODY=8BITMIME SIZE=10",
    "  SIZE=10   BODY=8BITMIME  ",
    "SIZE=1",
    " BODY=BINARYMIME",
    " BODY=",
    " BODY",
    " BODY=7BIT=7BIT",
    " SMTPUTF8",
    " RET=FULL ENVID=x",
    " AUTH=<>",
    " X-A=1",
    " A_B",
    " FOO",
    " FOO=",
    " FOO=1=2",
    " =",
    " =1",
    " ,",
    " SIZE=99999999 BODY=9 FOO",
    " SIZE=99999999 FOO",
    " SIZE=x FOO",
    " FOO = 1",
    " SIZE=1 SIZE=2",
    " SIZE=99999999 SIZE=1",
    " BODY=9 BODY=7BIT",
    " NOTIFY=NEVER",
];

const VERBS: &[&str] = &["HELO", "EHLO", "MAIL", "RCPT", "DATA", "RSET", "NOOP", "QUIT", "VRFY", "EXPN", "HELP"];

/// What is no command.
const UNKNOWN: &[&str] = &[
    "",
    " ",
    "  ",
    " NOOP",
    ".",
    "FOO",
    "foo Bar baz",
    "HELOX c",
    "NOO",
    "MAILFROM:<a@b>",
    "MAIL:FROM",
    "RCPT:TO:<a@b>",
    "STARTTLS",
    "AUTH PLAIN",
    "LHLO c",
    "BDAT 1",
    "XCLIENT",
    "TURN",
    "SEND FROM:<a@b>",
    "ETRN x",
    "100%s",
    "%a",
    "\"",
    "GET / HTTP/1.1",
    "Host: mx.example.org",
    "__INIT__",
    "SERVER",
    "STATE",
];

/// Lines with octets that are not printable ASCII.
const OCTETS: &[&[u8]] = &[
    b"\t",
    b"\tNOOP",
    b"NOOP\t",
    b"NOOP \t",
    b"NOOP \x0b\x0c\x1c\x1f",
    b"NOOP \t1",
    b"NOOP\x00",
    b"NOOP \x00",
    b"HELO\tc",
    b"HELO c\t",
    b"HELO \x01",
    b"HELO c\nNOOP",
    b"HELO c\rNOOP",
    b"HELO c\n",
    b"HELO \xc3\xa9",
    b"HELO \xff",
    b"EHLO \x7f",
    b"FOO\nNOOP",
    b"FOO\r",
    b"FOO \xc3\xa9",
    b"FOO \xff",
    b"\x1b[2J",
    b"\xc3\xa9",
    b"\xff",
    b"QUIT \x01",
    b"QUIT \xc3\xa9",
    b"EXPN \x01",
    b"HELP \x01",
    b"DATA \x01",
    b"VRFY \x01",
    b"VRFY \xc3\xa9@b",
    b"MAIL FROM:\t<a@b>",
    b"MAIL FROM:<a@b>\t",
    b"MAIL FROM:<a@b>\tSIZE=1",
    b"MAIL FROM:<a\x00@b>",
    b"MAIL FROM:<a@b>\n",
    b"MAIL FROM:<a\n@b>",
    b"MAIL FROM:<\xc3\xa9@b>",
    b"MAIL FROM:<\xff@b>",
    b"RCPT TO:<a@b>\t",
    b"RCPT TO:<\xc3\xa9@b>",
];

/// Beginnings of lines that are filled up, and their ends.
const LONG: &[(&str, &str)] = &[
    ("NOOP ", ""),
    ("QUIT ", ""),
    ("HELO ", ""),
    ("MAIL FROM:<", "@b>"),
    ("mail FROM:<a@", ">"),
    ("RCPT TO:<", "@b>"),
    ("VRFY \"\" (", ")"),
    ("VRFY ", ""),
    ("HELP ", ""),
    ("", ""),
    ("MAIL", ""),
];

/// Octets of a long line, CRLF not counted.
const LENGTHS: &[usize] = &[470, 474, 475, 489, 492, 495, 511, 512, 513, 537, 538, 539, 540, 541, 1_024, 3_000];

/// Each line once.
pub(crate) fn all() -> Vec<Vec<u8>> {
    let mut lines: Vec<Vec<u8>> = UNKNOWN.iter().map(|line| line.as_bytes().to_vec()).collect();
    let mut add = |line: String| lines.push(line.into_bytes());
    for verb in VERBS {
        for end in ["", " ", "  ", " x", "  x  y ", " <x@y>", ":", " FROM:", " TO:<x@y>"] {
            add(format!("{verb}{end}"));
        }
        for name in [verb.to_lowercase(), verb[..1].to_owned() + &verb[1..].to_lowercase()] {
            add(name.clone());
            add(format!("{name} x"));
            add(format!("HELP {name}"));
        }
        add(format!("HELP {verb}"));
        add(format!("HELP {verb} x"));
    }
    for address in ADDRESSES {
        for start in ["MAIL FROM:", "RCPT TO:", "VRFY "] {
            add(format!("{start}{address}"));
        }
    }
    for parameters in PARAMETERS {
        for start in ["MAIL FROM:<a@b>", "MAIL FROM:a@b", "MAIL FROM:<>", "RCPT TO:<a@b>", "VRFY <a@b>"] {
            add(format!("{start}{parameters}"));
        }
    }
    for line in ["mail from:<a@b>", "Mail From: <a@b>", "MAIL  FROM:<a@b>", "MAIL FROM :<a@b>", "MAIL FROM <a@b>"] {
        add(line.into());
    }
    for line in ["rcpt to:<a@b>", "Rcpt To: <a@b>", "RCPT  TO:<a@b>", "RCPT TO :<a@b>", "RCPT TO <a@b>", "MAIL <a@b>"] {
        add(line.into());
    }
    for (start, end) in LONG {
        for length in LENGTHS {
            add(format!("{start}{}{end}", "a".repeat(length - start.len() - end.len())));
        }
    }
    lines.extend(OCTETS.iter().map(|line| line.to_vec()));
    lines.sort();
    lines.dedup();
    lines
}
