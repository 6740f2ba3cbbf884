//! The one place that knows loggers. What is said goes to the crate `log` and to `defmt`, with the features of these names,
//! to both if both are on, and nowhere without them; secrets are masked here, whether AUTH is offered or not: clients may
//! try it anyway.

/// Whether anybody listens: looked at first, for what is shown costs more than the session itself.
#[cfg(feature = "log")]
fn is_heard() -> bool {
    log::log_enabled!(target: "smtpd", log::Level::Trace)
}

/// A command line, its CRLF taken off.
pub(crate) fn command(line: &[u8]) {
    #[cfg(feature = "log")]
    if is_heard() {
        match shown(line) {
            (shown, 0) => log::trace!(target: "smtpd", "C: {}", shown.escape_ascii()),
            (shown, masked) => log::trace!(target: "smtpd", "C: {} <{masked} octets>", shown.escape_ascii()),
        }
    }
    #[cfg(feature = "defmt")]
    match shown(line) {
        (shown, 0) => defmt::trace!("C: {=[u8]:a}", shown),
        (shown, masked) => defmt::trace!("C: {=[u8]:a} <{=usize} octets>", shown, masked),
    }
    let _ = line;
}

/// Octets of text, as the handler gets them.
pub(crate) fn text(octets: &[u8]) {
    #[cfg(feature = "log")]
    log::trace!(target: "smtpd", "C: text {}", octets.escape_ascii());
    #[cfg(feature = "defmt")]
    defmt::trace!("C: text <{=usize} octets> {=[u8]:a}", octets.len(), octets);
    let _ = octets;
}

/// A reply, line ends included.
pub(crate) fn reply(octets: &[u8]) {
    #[cfg(feature = "log")]
    if is_heard() {
        lines(octets).for_each(|line| log::trace!(target: "smtpd", "S: {}", line.escape_ascii()));
    }
    #[cfg(feature = "defmt")]
    lines(octets).for_each(|line| defmt::trace!("S: {=[u8]:a}", line));
    let _ = octets;
}

/// The lines without their ends.
#[cfg(any(feature = "log", feature = "defmt"))]
fn lines(octets: &[u8]) -> impl Iterator<Item = &[u8]> {
    octets.split_inclusive(|octet| *octet == b'\n').map(|line| line.strip_suffix(b"\r\n").unwrap_or(line))
}

/// What may be shown of a line, and how many octets may not: whatever follows AUTH and its mechanism.
#[cfg(any(feature = "log", feature = "defmt"))]
fn shown(line: &[u8]) -> (&[u8], usize) {
    let is_space = |octet: &u8| matches!(octet, b' ' | b'\t');
    // Spaces before it are an error, which hides no secret.
    let start = line.iter().position(|octet| !is_space(octet)).unwrap_or(line.len());
    let mut words = line.get(start..).unwrap_or(b"").split(is_space);
    if !words.next().is_some_and(|word| word.eq_ignore_ascii_case(b"AUTH")) {
        return (line, 0);
    }
    let mechanism = words.next().unwrap_or(b"");
    let end = start.saturating_add(5).saturating_add(mechanism.len());
    let (shown, masked) = line.split_at_checked(end).unwrap_or((line, b""));
    (shown, masked.len())
}

#[cfg(all(test, any(feature = "log", feature = "defmt")))]
mod tests {
    use super::shown;

    #[test]
    fn secrets_are_masked() {
        for (line, expected) in [
            (&b"AUTH PLAIN c2VjcmV0"[..], (&b"AUTH PLAIN"[..], 9)),
            (b"auth\tplain\tc2VjcmV0", (b"auth\tplain", 9)),
            (b"Auth  c2VjcmV0", (b"Auth ", 9)),
            (b" \tAUTH PLAIN c2VjcmV0", (b" \tAUTH PLAIN", 9)),
            (b" ", (b" ", 0)),
            (b"AUTH LOGIN", (b"AUTH LOGIN", 0)),
            (b"AUTH", (b"AUTH", 0)),
            (b"AUTHOR a b", (b"AUTHOR a b", 0)),
            (b"MAIL FROM:<a@b>", (b"MAIL FROM:<a@b>", 0)),
        ] {
            assert_eq!(shown(line), expected, "{}", line.escape_ascii());
        }
    }
}
