//! Which command each reply belongs to (RFC 2920 §3.1: replies come in the order of the commands).

use heapless::Deque;

/// What a reply answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Command {
    /// The connection itself.
    Greeting,
    /// EHLO, HELO or LHLO.
    Hello,
    /// MAIL.
    Mail,
    /// RCPT.
    Rcpt,
    /// DATA.
    Data,
    /// The end of the text; with LMTP, one reply for each accepted recipient (RFC 2033 §4.2).
    Message,
    /// RSET.
    Reset,
    /// QUIT.
    Quit,
}

impl Command {
    /// Whether a reply of this code has its place behind the command. A client goes by the first digit
    /// (RFC 5321 §4.2.1); what it can't do is to take yes for "go on", nor the other way round.
    pub(crate) const fn takes(self, code: u16) -> bool {
        match self {
            Self::Data => code == 354 || code >= 400,
            _ => code < 300 || code >= 400,
        }
    }
}

/// Commands whose replies have not come, as runs of the same command: their memory does not grow with recipients.
#[derive(Debug)]
pub(crate) struct Order {
    runs: Deque<(Command, u16), 8>,
}

impl Order {
    pub(crate) fn new() -> Self {
        let mut runs = Deque::new();
        let _ = runs.push_back((Command::Greeting, 1));
        Self { runs }
    }

    /// The command whose reply comes next.
    pub(crate) fn next(&self) -> Option<Command> {
        self.runs.front().map(|(command, _)| *command)
    }

    /// Whether a reply to `command` has not come.
    pub(crate) fn holds(&self, command: Command) -> bool {
        self.runs.iter().any(|(other, _)| *other == command)
    }

    /// Replies that have not come.
    pub(crate) fn count(&self) -> u16 {
        self.runs.iter().fold(0, |sum: u16, (_, count)| sum.saturating_add(*count))
    }

    /// `command` is to be sent, and gets so many replies; false: there are too many different ones under way.
    #[must_use]
    pub(crate) fn push(&mut self, command: Command, replies: u16) -> bool {
        if let Some((last, count)) = self.runs.back_mut()
            && *last == command
            && let Some(more) = count.checked_add(replies)
        {
            *count = more;
            return true;
        }
        self.runs.push_back((command, replies)).is_ok()
    }

    /// The command that was just answered is said once more, before all others.
    pub(crate) fn push_front(&mut self, command: Command) -> bool {
        self.runs.push_front((command, 1)).is_ok()
    }

    /// The oldest reply has come.
    pub(crate) fn received(&mut self) {
        if let Some((_, count)) = self.runs.front_mut() {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.runs.pop_front();
            }
        }
    }

    /// The oldest command gets no reply any more; how many it still had to get.
    pub(crate) fn give_up(&mut self) -> u16 {
        self.runs.pop_front().map_or(0, |(_, count)| count)
    }
}
