//! A server's reply, kept.

use std::fmt;

use smtpd_core::wire::{self, Enhanced};

/// What the server replied (RFC 5321 §4.2).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reply {
    /// The code: 200 to 599.
    pub code: u16,
    /// The enhanced status code, if there is one whose class is the code's (RFC 2034).
    pub enhanced: Option<Enhanced>,
    /// The text, its lines separated by `\n`: of EHLO's the first one, of others at most 2,048 octets. Control characters
    /// are `?`.
    pub text: String,
}

impl Reply {
    pub(super) fn new(reply: wire::Reply<'_>) -> Self {
        let text = String::from_utf8_lossy(reply.text());
        // It will be printed on terminals.
        let printable = |octet: char| if octet.is_control() && octet != '\n' { '?' } else { octet };
        Self { code: reply.code(), enhanced: reply.enhanced_code(), text: text.chars().map(printable).collect() }
    }

    /// Whether it says yes: 2yz, or go on.
    #[must_use]
    pub const fn is_positive(&self) -> bool {
        self.code < 400
    }

    /// Whether it says no for now (4yz): the same may be tried again later.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        self.code >= 400 && self.code < 500
    }

    /// Whether it says no for ever (5yz).
    #[must_use]
    pub const fn is_permanent(&self) -> bool {
        self.code >= 500
    }
}

/// On one line: `550 5.1.1 No such user`.
impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.code)?;
        if let Some(Enhanced { subject, detail }) = self.enhanced {
            write!(f, " {}.{subject}.{detail}", self.code / 100)?;
        }
        self.text.lines().try_for_each(|line| write!(f, " {line}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_is_printed_on_one_line() {
        for (line, printed) in [
            (&b"550 5.1.1 No\nsuch \x1b[2Juser"[..], "550 5.1.1 No such ?[2Juser"),
            (b"250", "250"),
            (b"451 2.1.1 Odd \xff", "451 2.1.1 Odd \u{fffd}"),
        ] {
            assert_eq!(Reply::new(wire::Reply::from_line(line)).to_string(), printed);
        }
    }
}
