//! What is known of a mail before it is sent: its addresses and its size.

use smtpd_core::server::Extensions;

use super::Error;

/// Octets of a path that fit in a command of 512 octets, with its parameters (RFC 5321 §4.5.3.1.4).
const MAX_PATH: usize = 448;

/// The addresses, checked, and MAIL's parameters.
#[derive(Debug)]
pub(super) struct Envelope<'m, R> {
    pub(super) mail_from: &'m str,
    pub(super) rcpt_tos: &'m [R],
    /// Those whose extensions the server does not have are left out by the session.
    pub(super) params: String,
    /// Whether the text may hold octets above 127.
    pub(super) is_eight_bit: bool,
}

impl<'m, R: AsRef<str>> Envelope<'m, R> {
    /// # Errors
    /// [`Error::NoRecipients`], [`Error::Syntax`].
    pub(super) fn new(
        mail_from: &'m str,
        rcpt_tos: &'m [R],
        size: Option<u64>,
        is_eight_bit: bool,
    ) -> Result<Self, Error> {
        if rcpt_tos.is_empty() {
            return Err(Error::NoRecipients);
        }
        // The null reverse path of a bounce is empty, a recipient is not (RFC 5321 §4.5.5).
        let bad = rcpt_tos.iter().map(AsRef::as_ref).find(|path| path.is_empty() || !is_path(path));
        if let Some(bad) = bad.or(Some(mail_from).filter(|path| !is_path(path))) {
            return Err(Error::Syntax(bad.to_owned()));
        }
        let size = size.map(|size| format!("SIZE={size}"));
        let body = is_eight_bit.then(|| "BODY=8BITMIME".to_owned());
        let params = size.into_iter().chain(body).collect::<Vec<_>>().join(" ");
        Ok(Self { mail_from, rcpt_tos, params, is_eight_bit })
    }
}

/// Whether a server with these extensions may be offered the mail.
///
/// # Errors
/// [`Error::TooLarge`], [`Error::EightBit`].
pub(super) fn fits(extensions: Extensions, limit: u32, size: Option<u64>, is_eight_bit: bool) -> Result<(), Error> {
    if limit > 0 && size.is_some_and(|size| size > u64::from(limit)) {
        return Err(Error::TooLarge(limit));
    }
    if is_eight_bit && !extensions.contains(Extensions::EIGHTBITMIME) {
        return Err(Error::EightBit);
    }
    Ok(())
}

/// Whether a path stays within its angle brackets and its command, whatever else it is: its meaning is the server's matter. What
/// would leave them could smuggle in a parameter, or a command.
fn is_path(path: &str) -> bool {
    let mut is_quoted = false;
    let mut is_escaped = false;
    let is_kept = path.bytes().all(|octet| {
        match octet {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_quoted => is_escaped = true,
            b'"' => is_quoted = !is_quoted,
            _ => {}
        }
        // Not even where quotes would allow it: servers look for the bracket.
        let is_special = matches!(octet, b'<' | b'>') || octet == b' ' && !is_quoted;
        octet.is_ascii() && !octet.is_ascii_control() && !is_special
    });
    is_kept && !is_quoted && path.len() <= MAX_PATH
}

/// Octets of the text as the server counts them (RFC 1870 §5): its line ends repaired, no dots doubled.
pub(super) fn size(text: &[u8]) -> u64 {
    let pairs = text.windows(2).filter(|pair| pair == b"\r\n").count();
    let ends = text.iter().filter(|octet| matches!(octet, b'\r' | b'\n')).count();
    let last = match text.last() {
        None | Some(b'\r' | b'\n') => 0,
        Some(_) => 2,
    };
    // A pair is two of the ends and complete; each other end is completed by one octet.
    let missing = ends.saturating_sub(pairs.saturating_mul(2));
    text.len().saturating_add(missing).saturating_add(last) as u64
}

#[cfg(test)]
mod tests {
    use smtpd_core::wire::Encoder;

    use super::*;

    #[test]
    fn no_path_leaves_its_brackets() {
        for path in ["", "a@b.example", "root", "\"a b\"@c.example", "\"a\\\" b\"@c.example", "a@[192.0.2.1]"] {
            assert!(is_path(path), "{path}");
        }
        let long = "x".repeat(MAX_PATH + 1);
        for path in
            ["a@b> SIZE=1", "<a@b>", "a b@c", "a@b\r\nRSET", "a\0", "ä@b.example", "\"a", "\"a\\\"", "\"a>b\"@c", &long]
        {
            assert!(!is_path(path), "{path}");
        }
        assert!(is_path(&long[1..]));
    }

    #[test]
    fn the_size_is_that_of_the_repaired_text() {
        for text in ["", "a", "\r", "\n", "\r\n", "\n\r", "a\nb", "a\r\r\nb\r\n", "a\n\nb\r", "\r\n\n\r\n\r", "a\r\n"] {
            let mut out = heapless::Vec::<u8, 64>::new();
            let mut encoder = Encoder::new();
            assert_eq!(encoder.push(text.as_bytes(), &mut out), text.len());
            assert!(encoder.end(&mut out));
            assert_eq!(size(text.as_bytes()), out.len() as u64 - 3, "{text:?}");
        }
    }
}
