//! The mails that each client sends.

use crate::lines::lines;

pub(crate) const FROM: &str = "sender@client.example";

#[derive(Clone)]
pub(crate) struct Mail {
    pub(crate) name: &'static str,
    pub(crate) to: Vec<String>,
    /// As the server has to get it, with CRLF.
    pub(crate) text: Vec<u8>,
}

impl Mail {
    pub(crate) fn body(&self) -> &[u8] {
        body(&self.text)
    }
}

/// What stands behind the first empty line.
pub(crate) fn body(text: &[u8]) -> &[u8] {
    let end = text.windows(4).position(|four| four == b"\r\n\r\n");
    end.map_or(b"", |end| &text[end + 4..])
}

pub(crate) fn all() -> Vec<Mail> {
    let one = || vec!["one@example.org".to_owned()];
    let head = "From: sender@client.example\r\nTo: one@example.org\r\nSubject: test\r\n\r\n";
    let mail = |name, to, body: &[u8]| Mail { name, to, text: [head.as_bytes(), body].concat() };
    vec![
        mail("one_mail", one(), b"Hello.\r\n"),
        mail("two_recipients", vec!["one@example.org".into(), "two@example.org".into()], b"Hello, both.\r\n"),
        mail(
            "dots",
            one(),
            // A dot alone at the very end would be taken for the end of the text by swaks.
            b".\r\n..\r\n...\r\n.hidden\r\n..doubled\r\nin . the . middle\r\n\r\n.\r\n\r\nend.\r\n.end\r\n",
        ),
        mail("eight_bit", one(), "Grüße aus Zürich, \u{1F4EC}, and \u{1}\u{7f} too\r\n".as_bytes()),
        mail("long_lines", one(), &[&b"x".repeat(998)[..], b"\r\n", &b".".repeat(998), b"\r\n"].concat()),
        mail("ten_megabytes", one(), &lines(10 * 1_024 * 1_024)),
    ]
}
