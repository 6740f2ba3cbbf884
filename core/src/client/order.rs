//! Which command each reply belongs to (RFC 2920 §3.1: replies come in the order of the commands).

use heapless::Deque;

/// What a reply answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Command {
    /// The connection itself.
    Greeting,
    /// EHLO.
    Hello,
    /// MAIL.
    Mail,
    /// RCPT.
    Rcpt,
    /// DATA.
    Data,
    /// The end of the text.
    Message,
    /// RSET.
    Reset,
    /// QUIT.
    Quit,
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

    /// Replies that have not come.
    pub(crate) fn count(&self) -> u16 {
        self.runs.iter().fold(0, |sum: u16, (_, count)| sum.saturating_add(*count))
    }

    /// `command` is sent; false: there are too many different ones under way.
    #[must_use]
    pub(crate) fn sent(&mut self, command: Command) -> bool {
        if let Some((last, count)) = self.runs.back_mut()
            && *last == command
            && let Some(more) = count.checked_add(1)
        {
            *count = more;
            return true;
        }
        self.runs.push_back((command, 1)).is_ok()
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
}
