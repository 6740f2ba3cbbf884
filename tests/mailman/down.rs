//! Where a server behind the proxy is down, dies or hangs: nothing is lost, and what is sent again comes once.

use libtest_mimic::Failed;

use crate::client::{Client, Mail};
use crate::lists::{ANT, BEES};
use crate::through::{FRIEND, Setting, mixed};

/// The list's recipient is refused for now, and gets its mail once Mailman was started again.
pub(crate) fn mailman_down(setting: &Setting<'_>) -> Result<(), Failed> {
    setting.core.kill();
    let mail = mixed("while Mailman is down");
    without_list(setting, &mail)?;
    setting.core.start_again()?;
    setting.way().send(&mail.only_to(&[ANT.address]))?;
    setting.both_once(&mail)
}

pub(crate) fn mailman_hangs(setting: &Setting<'_>) -> Result<(), Failed> {
    setting.core.hang()?;
    let mail = mixed("while Mailman hangs");
    without_list(setting, &mail)?;
    setting.core.go_on()?;
    setting.way().send(&mail.only_to(&[ANT.address]))?;
    setting.both_once(&mail)
}

fn without_list(setting: &Setting<'_>, mail: &Mail) -> Result<(), Failed> {
    let mut client = setting.way().connect()?;
    let replies = client.envelope(mail)?;
    replies[0].is(451)?;
    replies[1].is(250)?;
    // The second is refused as the first was, and at once: whoever is down is not waited for twice in a mail.
    let begun = std::time::Instant::now();
    client.rcpt(BEES.address)?.is(451)?;
    if begun.elapsed() > std::time::Duration::from_secs(2) {
        return Err(format!("the second recipient's refusal took {:?}", begun.elapsed()).into());
    }
    client.data()?;
    client.text(&mail.text)?;
    client.dot()?.is(250)?;
    setting.upstream.has(&mail.subject, &[FRIEND], 1)
}

pub(crate) fn mailman_killed_in_text(setting: &Setting<'_>) -> Result<(), Failed> {
    let mail = mixed("Mailman is killed in its text");
    let (head, rest) = mail.text.split_at(mail.text.len() / 2);
    let mut client = begun(setting, &mail)?;
    client.text(head)?;
    setting.core.kill();
    client.text(rest)?;
    client.dot()?.is(451)?;
    setting.core.start_again()?;
    setting.way().send(&mail)?;
    setting.both_once(&mail)
}

/// The upstream server has it already: only the list gets it when it is sent again.
pub(crate) fn mailman_killed_at_the_dot(setting: &Setting<'_>) -> Result<(), Failed> {
    let mail = mixed("Mailman is killed at its end");
    let mut client = begun(setting, &mail)?;
    setting.core.hang()?;
    client.text(&mail.text)?;
    client.text(".\r\n")?;
    setting.upstream.wait(&mail.subject, |post| post.is_about(&mail.subject))?;
    setting.core.kill_lmtp()?;
    client.verdict()?.is(451)?;
    setting.core.listens()?;
    setting.way().send(&mail)?;
    setting.both_once(&mail)
}

/// Only what the same client sends meanwhile is refused.
pub(crate) fn mailman_restarted(setting: &Setting<'_>) -> Result<(), Failed> {
    let (before, after) = (mixed("before the restart"), mixed("after the restart"));
    let mut client = setting.way().connect()?;
    client.send(&before)?.is(250)?;
    setting.core.down()?;
    client.envelope(&mixed("meanwhile"))?[0].is(451)?;
    client.say("RSET")?.is(250)?;
    setting.core.up()?;
    client.send(&after)?.is(250)?;
    setting.both_once(&before)?;
    setting.both_once(&after)
}

pub(crate) fn upstream_down(setting: &Setting<'_>) -> Result<(), Failed> {
    setting.upstream.stop();
    let mail = mixed("while upstream is down");
    let mut client = setting.way().connect()?;
    let replies = client.envelope(&mail)?;
    replies[0].is(250)?;
    replies[1].is(451)?;
    client.data()?;
    client.text(&mail.text)?;
    client.dot()?.is(250)?;
    setting.core.came_once(&ANT, &mail.subject)?;
    setting.upstream.listen()?;
    setting.way().send(&mail.only_to(&[FRIEND]))?;
    setting.both_once(&mail)
}

/// It goes first, so that the list has nothing yet.
pub(crate) fn upstream_lost_in_text(setting: &Setting<'_>) -> Result<(), Failed> {
    let mail = mixed("upstream is lost in its text");
    let (head, rest) = mail.text.split_at(mail.text.len() / 2);
    let mut client = begun(setting, &mail)?;
    client.text(head)?;
    setting.upstream.stop();
    client.text(rest)?;
    client.dot()?.is(451)?;
    setting.core.came_never(&ANT, &mail.subject)?;
    setting.upstream.listen()?;
    setting.way().send(&mail)?;
    setting.both_once(&mail)
}

/// Up to the text, all recipients accepted.
fn begun(setting: &Setting<'_>, mail: &Mail) -> Result<Client, Failed> {
    let mut client = setting.way().connect()?;
    for reply in client.envelope(mail)? {
        reply.is(250)?;
    }
    client.data()?;
    Ok(client)
}
