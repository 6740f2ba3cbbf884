//! Lines that are due as soon as the output has room for them; nothing else is done before.

use super::output::Output;
use super::{Config, Extensions, Order};
use crate::store::Store;
use crate::wire::Reply;

/// What is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due<'c> {
    Nothing,
    /// The rest of EHLO's answer.
    Keywords(Extensions),
    /// 503 for so many RCPT behind a refused MAIL.
    #[cfg(feature = "backlog")]
    NeedMail(u16),
    /// This reply, for so many recipients; none: the one that was kept.
    Replies(Option<&'c Reply<'c>>, u16),
}

impl<'c> Due<'c> {
    /// Writes what is due as far as there is room, `kept` where the reply that was kept is due, `size` behind SIZE; true when
    /// nothing is left.
    pub(crate) fn write<O: Store>(
        &mut self,
        output: &mut Output<O>,
        order: &mut Order,
        kept: &[u8],
        config: &Config<'c>,
        size: u32,
    ) -> bool {
        // Counts nothing without a backlog.
        let _ = &order;
        while *self != Self::Nothing {
            if !output.has_room() {
                return false;
            }
            let (reply, is_last) = match self {
                Self::Nothing => return true,
                Self::Keywords(left) => {
                    if let Some(extension) = left.take_first() {
                        output.keyword(extension, left.is_empty(), size);
                    }
                    (None, left.is_empty())
                }
                // An error each, as they are for a client whose RCPT came behind the answer to MAIL.
                #[cfg(feature = "backlog")]
                Self::NeedMail(left) => {
                    let reply = order.count_reply(&config.texts.need_mail, config);
                    (Some(reply), count_down(left) || reply.code() == 421)
                }
                Self::Replies(reply, left) => {
                    if reply.is_none() {
                        output.octets_of_reply(kept);
                    }
                    (*reply, count_down(left))
                }
            };
            if let Some(reply) = reply {
                output.reply(reply, config);
            }
            if is_last {
                *self = Self::Nothing;
            }
        }
        true
    }
}

/// One less; true when none is left.
fn count_down(left: &mut u16) -> bool {
    *left = left.saturating_sub(1);
    *left == 0
}
