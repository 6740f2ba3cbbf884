//! The line that begins a message in a mailbox of Unix: who sent it, as the envelope says, and when (RFC 4155, Appendix A).

use std::time::{SystemTime, UNIX_EPOCH};

use smtpd_core::wire::{ReversePath, write_date};

/// The line for a message that comes now.
pub(super) fn line(reverse_path: &ReversePath<'_>) -> Vec<u8> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let sender = match reverse_path {
        // What Mailman 2 takes as the name of nobody.
        ReversePath::Null => b"MAILER-DAEMON",
        ReversePath::Mailbox(mailbox) => mailbox.as_octets(),
    };
    [b"From ", sender, b"  ", date(now.as_secs()).as_bytes(), b"\n"].concat()
}

/// C's `asctime`, in UTC: the parts of `Fri, 27 Nov 2026 23:43:37 +0000` in another order.
fn date(seconds: u64) -> String {
    let mut date = heapless::Vec::<u8, 31>::new();
    // It fits to the octet.
    let _ = write_date(&mut date, seconds.try_into().unwrap_or(u32::MAX));
    let date = String::from_utf8_lossy(&date);
    let mut parts = date.split(' ');
    let mut part = || parts.next().unwrap_or_default();
    let (name, day, month, year, time) = (part(), part(), part(), part(), part());
    format!("{} {month} {:>2} {time} {year}", name.trim_end_matches(','), day.trim_start_matches('0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        // By `date -u -d @SECONDS`.
        for (seconds, expected) in [
            (0, "Thu Jan  1 00:00:00 1970"),
            (68_255_999, "Tue Feb 29 23:59:59 1972"),
            (68_256_000, "Wed Mar  1 00:00:00 1972"),
            (951_782_400, "Tue Feb 29 00:00:00 2000"),
            (978_307_199, "Sun Dec 31 23:59:59 2000"),
            (1_795_823_017, "Fri Nov 27 23:43:37 2026"),
            (4_107_542_399, "Sun Feb 28 23:59:59 2100"),
            (4_107_542_400, "Mon Mar  1 00:00:00 2100"),
        ] {
            assert_eq!(date(seconds), expected);
        }
    }

    #[test]
    fn senders() {
        let ends = |path: &[u8], expected: &[u8]| {
            let (path, _) = ReversePath::parse(path).unwrap();
            assert!(line(&path).starts_with(expected), "{}", line(&path).escape_ascii());
        };
        ends(b"<anne@example.net>", b"From anne@example.net  ");
        ends(b"<>", b"From MAILER-DAEMON  ");
    }
}
