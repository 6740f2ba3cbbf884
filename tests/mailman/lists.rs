//! The lists, and what each does with a mail that comes by either way.

use libtest_mimic::Failed;

use crate::client::{Mail, Way, subject};
use crate::core::Core;
use crate::folder::number;

/// A list and its first members.
pub(crate) struct List {
    pub(crate) address: &'static str,
    pub(crate) members: &'static [&'static str],
}

pub(crate) const ANT: List = List { address: "ant@example.com", members: &[ANNE, "bart@example.net"] };
/// Python's MailmanProxy took no list with a dash in its name for one.
pub(crate) const BEES: List = List { address: "bee-keepers@example.com", members: &[ANNE, "cris@example.net"] };
/// A member of both.
pub(crate) const ANNE: &str = "anne@example.net";
pub(crate) const OWNER: &str = "owner@example.net";
/// No member.
pub(crate) const STRANGER: &str = "stranger@example.net";

impl List {
    /// A list that no other test has, and that is to be created yet. Python folds an address for confirmations that is longer
    /// than a line.
    pub(crate) fn another(name: &str) -> Self {
        Self { address: format!("{name}{}@example.com", number()).leak(), members: ANT.members }
    }

    /// Its address for this: `join`.
    pub(crate) fn address_for(&self, what: &str) -> String {
        self.address.replacen('@', &format!("-{what}@"), 1)
    }
}

pub(crate) fn post(core: &Core, way: Way, list: &List) -> Result<(), Failed> {
    let mail = Mail::new(ANNE, &[list.address], &subject("post"));
    way.send(&mail)?;
    core.came_once(list, &mail.subject)
}

/// Somebody joins, confirms, gets posts, leaves, confirms, and gets none any more. The list is nobody else's: Mailman gives
/// a post up (`shunt`) where a member leaves while it looks for those who get it.
pub(crate) fn join_and_leave(core: &Core, way: Way, name: &str) -> Result<(), Failed> {
    let list = &List::another(name);
    core.create(list)?;
    core.add_members(list)?;
    let somebody = format!("somebody-{}@example.net", number());
    confirmed(core, way, list, &somebody, "join")?;
    let hears = |beginning: &'static str| {
        core.outgoing.wait(beginning, |post| post.is_to(&somebody) && post.subject().starts_with(beginning))
    };
    hears("Welcome to the ")?;
    core.has_member(list, &somebody, true)?;
    // Anybody else would have it held.
    let mail = Mail::new(&somebody, &[list.address], &subject("from a new member"));
    way.send(&mail)?;
    core.came_once(list, &mail.subject)?;
    core.outgoing.has(&mail.subject, &[&somebody], 1)?;
    confirmed(core, way, list, &somebody, "leave")?;
    hears("You have been unsubscribed from ")?;
    core.has_member(list, &somebody, false)?;
    let mail = Mail::new(ANNE, &[list.address], &subject("after somebody left"));
    way.send(&mail)?;
    core.came_once(list, &mail.subject)?;
    core.outgoing.has(&mail.subject, &[&somebody], 0)
}

/// A request, and the reply to the mail with its token.
fn confirmed(core: &Core, way: Way, list: &List, who: &str, what: &str) -> Result<(), Failed> {
    way.send(&Mail::new(who, &[&list.address_for(what)], &subject(what)))?;
    let asks = format!("Your confirmation is needed to {what} the {} mailing list.", list.address);
    let asked = core.outgoing.wait(&asks, |post| post.is_to(who) && post.subject() == asks)?;
    let from = asked.field("From").unwrap_or_default();
    if !from.starts_with(list.address_for("confirm+").trim_end_matches(|octet| octet != '+')) {
        return Err(format!("it comes from {from}").into());
    }
    way.send(&Mail::new(who, &[&from], &format!("Re: {asks}")))
}

pub(crate) fn owner(core: &Core, way: Way, list: &List) -> Result<(), Failed> {
    let mail = Mail::new(STRANGER, &[&list.address_for("owner")], &subject("to the owner"));
    way.send(&mail)?;
    core.outgoing.wait("the mail to the owner", |post| post.subject() == mail.subject && post.is_to(OWNER))?;
    core.barrier(list)?;
    core.outgoing.has(&mail.subject, &[OWNER], 1)?;
    core.outgoing.has(&mail.subject, list.members, 0)
}

/// What comes back from a member, as a server sends it: without a sender.
pub(crate) fn bounces(core: &Core, way: Way, list: &List) -> Result<(), Failed> {
    for place in ["bounces", "bounces+anne=example.net"] {
        let mail = Mail::new("", &[&list.address_for(place)], &subject("undeliverable"));
        way.send(&mail)?;
        core.is_queued("bounces", &mail.subject)?;
    }
    Ok(())
}
