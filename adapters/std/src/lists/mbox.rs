//! The line that begins a message in a mailbox of Unix: who sent it, as the envelope says, and when (RFC 4155, Appendix A).

use std::time::{SystemTime, UNIX_EPOCH};

use smtpd_core::wire::ReversePath;

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

/// C's `asctime`, in UTC.
fn date(seconds: u64) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] = ["Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec", "Jan", "Feb"];
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    // Years that begin in March, so that the day that some years have more is the last: 1 March 1600 is 135,080 days before 1970.
    let days_since = days + 135_080;
    let (centuries, day) = (days_since / 146_097 * 400, days_since % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    // Of five months in turn, three have 31 days: 153 in all.
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let year = 1_600 + centuries + year + u64::from(month >= 10);
    let name = |names: &[&'static str], at: u64| names.get(at as usize).copied().unwrap_or_default();
    let (hour, minute) = (second / 3_600, second / 60 % 60);
    let (weekday, month, second) = (name(&DAYS, days % 7), name(&MONTHS, month), second % 60);
    format!("{weekday} {month} {day:2} {hour:02}:{minute:02}:{second:02} {year}")
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
