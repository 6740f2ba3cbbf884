//! What the servers say, and what the client hears then.

use super::tally::Tally;
use super::{Deliveries, End, Failure, Lists, MailmanProxy, Transaction, of};
use crate::client::Command;
use crate::relay::Heard;
use crate::server::Answer;
use crate::store::Store;
use crate::wire::Reply;

/// What the open question waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    Nothing,
    /// That server's answer to a recipient, whose address this stands for.
    Rcpt(End, u64),
    /// 354 of all.
    Data,
    /// Upstream's answer to the text.
    Upstream,
    /// Mailman's answers to the text.
    Mailman(Tally),
}

impl<L: Lists, D: Deliveries, O: Store> MailmanProxy<'_, L, D, O> {
    /// The answer to the open question, if it is known.
    pub(super) fn hear(&mut self) -> Answer<'_> {
        match self.asked {
            Asked::Nothing => Answer::Later,
            Asked::Rcpt(end, number) => self.hear_rcpt(end, number),
            Asked::Data => self.hear_data(),
            Asked::Upstream => self.hear_upstream(),
            Asked::Mailman(tally) => self.hear_mailman(tally),
        }
    }

    fn hear_rcpt(&mut self, end: End, number: u64) -> Answer<'_> {
        let Self { legs, transaction, asked, deliveries, .. } = self;
        let Transaction { known, stands, .. } = transaction;
        let (leg, stand) = (of(legs, end), of(stands, end));
        leg.skip(Command::Mail);
        let heard = leg.heard();
        if heard != Heard::Later {
            *asked = Asked::Nothing;
        }
        match heard {
            Heard::Later => Answer::Later,
            Heard::Reply(Command::Rcpt, reply) if reply.is_positive() => {
                stand.accepted = stand.accepted.saturating_add(1);
                deliveries.recipient(end, number);
                if end == End::Mailman {
                    // There is room: see `takes`.
                    let _ = known.push(number);
                }
                Answer::Reply(reply)
            }
            // The next one has a chance of its own.
            Heard::Reply(Command::Rcpt, reply) if reply.code() != 421 => Answer::Reply(reply),
            Heard::Reply(Command::Greeting | Command::Hello, _) => {
                stand.failure = Some(Failure::AWAY);
                Answer::Reply(Failure::AWAY.reply("Next server away, try again"))
            }
            Heard::Reply(_, reply) => {
                stand.failure = Some(Failure::of(&reply));
                Answer::Reply(softened(reply))
            }
            // It is gone for the next one, too.
            Heard::Gone(reply) => Answer::Reply(reply),
        }
    }

    fn hear_data(&mut self) -> Answer<'_> {
        let (mut failure, mut is_waiting) = (None, false);
        let Self { legs, transaction, .. } = self;
        for (leg, stand) in legs.iter_mut().zip(&mut transaction.stands) {
            if !stand.is_used() || stand.is_ready {
                continue;
            }
            match leg.heard() {
                Heard::Later => is_waiting = true,
                Heard::Reply(_, reply) if reply.is_positive() => stand.is_ready = true,
                Heard::Reply(_, reply) => failure = failure.or(Some(Failure::of(&reply))),
                Heard::Gone(reply) => failure = failure.or(Some(Failure::of(&reply))),
            }
        }
        if let Some(failure) = failure {
            return self.give_up(failure.reply("Next server takes no text now"));
        }
        if is_waiting {
            return Answer::Later;
        }
        self.asked = Asked::Nothing;
        Answer::Accept
    }

    fn hear_upstream(&mut self) -> Answer<'_> {
        let has_lists = self.uses(End::Mailman);
        let [upstream, _] = &mut self.legs;
        if has_lists && upstream.skip(Command::Message) {
            return self.end_mailman();
        }
        let Self { legs: [upstream, mailman], transaction, deliveries, asked, .. } = self;
        let reply = match upstream.heard() {
            Heard::Later => return Answer::Later,
            Heard::Reply(_, reply) | Heard::Gone(reply) => reply,
        };
        *asked = Asked::Nothing;
        if has_lists {
            // Without its dot.
            mailman.close();
        }
        if transaction.is_digested && (reply.is_positive() || Failure::of(&reply).is_final()) {
            deliveries.forget();
        }
        Answer::Reply(softened(reply))
    }

    /// Mailman gets its dot, unless its lists have the mail.
    pub(super) fn end_mailman(&mut self) -> Answer<'_> {
        let is_served = self.has_served(End::Mailman);
        let [_, mailman] = &mut self.legs;
        if is_served {
            self.asked = Asked::Nothing;
            mailman.close();
            self.forget();
            return Answer::Accept;
        }
        mailman.end_session();
        // It may be gone: then nothing would come any more for which this is asked again.
        self.hear_mailman(Tally::default())
    }

    fn hear_mailman(&mut self, mut tally: Tally) -> Answer<'_> {
        let Self { legs: [_, mailman], transaction, asked, .. } = self;
        let mut is_only_no = false;
        if let Heard::Reply(Command::Message, reply) = mailman.heard() {
            tally.count(&reply);
            is_only_no = tally.all() == 1 && !reply.is_positive();
        }
        let [to_upstream, to_mailman] = &transaction.stands;
        let (has_served, recipients) = (to_upstream.is_used(), to_mailman.accepted);
        if tally.all() < recipients && !mailman.is_gone() {
            *asked = Asked::Mailman(tally);
            return Answer::Later;
        }
        *asked = Asked::Nothing;
        mailman.close();
        let Some(failure) = tally.verdict(recipients) else {
            self.forget();
            return Answer::Accept;
        };
        if failure.is_final() {
            self.forget();
        } else {
            self.keep(tally);
        }
        let text = match (failure.is_final(), has_served || tally.has_accepted()) {
            (false, _) => "Mailman did not take it, try again",
            (true, true) => "Refused by Mailman; all other recipients were served",
            (true, false) => "Refused by Mailman",
        };
        // The one answer that there is goes through in its own words.
        let own = if is_only_no && !has_served { of(&mut self.legs, End::Mailman).last() } else { None };
        Answer::Reply(own.map_or(failure.reply(text), softened))
    }

    /// Who was served is remembered, for the client tries again.
    pub(super) fn keep(&mut self, tally: Tally) {
        let Self { transaction, passage, deliveries, .. } = self;
        if transaction.has_turned_away {
            deliveries.stand_back();
        }
        if transaction.is_digested && passage.has_message_id() {
            let lists = transaction.known.iter().zip(tally.accepted());
            lists.filter(|(_, is_served)| !is_served).for_each(|(list, _)| deliveries.failed(*list));
            deliveries.remember();
        }
    }
}

/// The client's connection has nothing to do with the server's.
const fn softened(reply: Reply<'_>) -> Reply<'_> {
    if reply.code() == 421 { reply.recoded(451) } else { reply }
}
