//! A list and others in one mail: each gets it once, or the client knows.

use std::time::{Duration, Instant};

use libtest_mimic::Failed;

use crate::client::{Mail, subject};
use crate::lists::{ANNE, ANT, BEES};
use crate::through::{FRIEND, Setting, mixed};

const OTHER_FRIEND: &str = "other.friend@example.net";

pub(crate) fn both(setting: &Setting<'_>) -> Result<(), Failed> {
    let mail = mixed("to both");
    setting.way().send(&mail)?;
    setting.both_once(&mail)
}

pub(crate) fn several(setting: &Setting<'_>) -> Result<(), Failed> {
    let mail = Mail::new(ANNE, &[FRIEND, ANT.address, OTHER_FRIEND, BEES.address], &subject("to several"));
    setting.way().send(&mail)?;
    setting.core.outgoing.wait(&mail.subject, |post| post.is_about(&mail.subject) && post.is_to(BEES.members[1]))?;
    setting.core.barrier(&ANT)?;
    setting.core.outgoing.has(&mail.subject, &[ANT.members[1], BEES.members[1]], 1)?;
    // A member of both lists.
    setting.core.outgoing.has(&mail.subject, &[ANNE], 2)?;
    setting.upstream.has(&mail.subject, &[FRIEND, OTHER_FRIEND], 1)?;
    setting.upstream.has(&mail.subject, &[ANT.address, BEES.address], 0)
}

/// Each reply is that of its own recipient, whichever server answers first.
pub(crate) fn pipelined(setting: &Setting<'_>) -> Result<(), Failed> {
    setting.upstream.answer_rcpt(OTHER_FRIEND, "550 5.1.1 No such user here");
    let mail = Mail::new(ANNE, &[OTHER_FRIEND, ANT.address, OTHER_FRIEND, FRIEND], &subject("pipelined"));
    let mut client = setting.way().connect()?;
    for (reply, code) in client.pipelined(&mail)?.iter().zip([550, 250, 550, 250]) {
        reply.is(code)?;
    }
    client.text(&mail.text)?;
    client.dot()?.is(250)?;
    setting.both_once(&mail)
}

pub(crate) fn at_once(setting: &Setting<'_>) -> Result<(), Failed> {
    let mails: Vec<Mail> = (0..20).map(|_| mixed("one of many")).collect();
    std::thread::scope(|scope| {
        let sessions: Vec<_> = mails.iter().map(|mail| scope.spawn(|| setting.way().send(mail))).collect();
        sessions.into_iter().try_for_each(|session| session.join().map_err(|_| "a panic")?)
    })?;
    setting.core.barrier(&ANT)?;
    for mail in &mails {
        setting.core.outgoing.has(&mail.subject, ANT.members, 1)?;
        setting.upstream.has(&mail.subject, &[FRIEND], 1)?;
    }
    Ok(())
}

/// Nothing of one mail is left when the next comes.
pub(crate) fn one_session(setting: &Setting<'_>) -> Result<(), Failed> {
    let given_up = mixed("given up");
    let to_both = mixed("the first of a session");
    let to_list = Mail::new(ANNE, &[ANT.address], &subject("to the list alone"));
    let to_friend = Mail::new(ANNE, &[FRIEND], &subject("to the friend alone"));
    let mut client = setting.way().connect()?;
    for reply in client.envelope(&given_up)? {
        reply.is(250)?;
    }
    client.say("RSET")?.is(250)?;
    for mail in [&to_both, &to_list, &to_friend] {
        client.send(mail)?.is(250)?;
    }
    setting.both_once(&to_both)?;
    setting.both_never(&given_up)?;
    setting.core.came_once(&ANT, &to_list.subject)?;
    setting.upstream.has(&to_list.subject, &[FRIEND, ANT.address], 0)?;
    setting.upstream.has(&to_friend.subject, &[FRIEND], 1)?;
    setting.core.came_never(&ANT, &to_friend.subject)
}

/// The others of the mail get it.
pub(crate) fn recipient_refused(setting: &Setting<'_>) -> Result<(), Failed> {
    for (reply, code) in [("550 5.1.1 No such user here", 550), ("451 4.7.1 Come again later", 451)] {
        setting.upstream.answer_rcpt(OTHER_FRIEND, reply);
        let mail = Mail::new(ANNE, &[ANT.address, OTHER_FRIEND, FRIEND], &subject("one is refused"));
        let mut client = setting.way().connect()?;
        let replies = client.envelope(&mail)?;
        replies[0].is(250)?;
        replies[1].is(code)?;
        replies[2].is(250)?;
        client.data()?;
        client.text(&mail.text)?;
        client.dot()?.is(250)?;
        setting.both_once(&mail)?;
        setting.upstream.has(&mail.subject, &[OTHER_FRIEND], 0)?;
        setting.upstream.accept();
    }
    Ok(())
}

/// The list gets nothing either; where the client may send it again, each gets it once.
pub(crate) fn text_refused(setting: &Setting<'_>) -> Result<(), Failed> {
    for (reply, code) in [("554 5.7.1 Spam", 554), ("451 4.7.1 Come again later", 451)] {
        setting.upstream.answer_text(reply);
        let mail = mixed("refused upstream");
        let mut client = setting.way().connect()?;
        client.send(&mail)?.is(code)?;
        setting.both_never_while_refused(&mail)?;
        setting.upstream.accept();
        client.send(&mail)?.is(250)?;
        setting.both_once(&mail)?;
    }
    Ok(())
}

impl Setting<'_> {
    /// Upstream keeps nothing now.
    fn both_never_while_refused(&self, mail: &Mail) -> Result<(), Failed> {
        self.core.came_never(&ANT, &mail.subject)?;
        self.upstream.has(&mail.subject, &[FRIEND, ANT.address], 0)
    }
}

/// Mailman refuses such a text with one reply for all recipients: whoever waits for the second waits long.
pub(crate) fn defects(setting: &Setting<'_>) -> Result<(), Failed> {
    let mut mail = Mail::new(ANNE, &[ANT.address, BEES.address], &subject("defective"));
    mail.text = mail.text.replacen("\r\n\r\n", "\r\nContent-Type: multipart/mixed\r\n\r\n", 1);
    let begun = Instant::now();
    setting.way().connect()?.send(&mail)?.is_failure()?;
    if begun.elapsed() > Duration::from_secs(5) {
        return Err(format!("the reply took {:?}", begun.elapsed()).into());
    }
    setting.core.came_never(&ANT, &mail.subject)?;
    setting.core.came_never(&BEES, &mail.subject)
}

/// Mailman drops a text with a line of 1,000 octets and its end: nobody gets it then, and the client knows.
pub(crate) fn long_line(setting: &Setting<'_>) -> Result<(), Failed> {
    let mut mail = mixed("a long line");
    mail.text.push_str(&"x".repeat(1_000));
    mail.text.push_str("\r\n");
    setting.way().connect()?.send(&mail)?.is_failure()?;
    setting.both_never(&mail)
}

/// One octet less is taken.
pub(crate) fn longest_line(setting: &Setting<'_>) -> Result<(), Failed> {
    let mut mail = mixed("the longest line");
    mail.text.push_str(&"x".repeat(999));
    mail.text.push_str("\r\n");
    setting.way().send(&mail)?;
    setting.both_once(&mail)
}

pub(crate) fn client_gone(setting: &Setting<'_>) -> Result<(), Failed> {
    let mail = mixed("without its end");
    let mut client = setting.way().connect()?;
    for reply in client.envelope(&mail)? {
        reply.is(250)?;
    }
    client.data()?;
    client.text(&mail.text)?;
    drop(client);
    setting.both_never(&mail)
}
