//! The maps say what is Mailman's, each time that a recipient comes.

use libtest_mimic::Failed;

use crate::client::{Mail, subject};
use crate::folder::Folder;
use crate::lists::{ANNE, ANT, List};
use crate::proxy::Proxy;
use crate::through::{Setting, mixed};

/// In one session: what goes upstream before and after, gets to the list while there is one.
pub(crate) fn created(setting: &Setting<'_>) -> Result<(), Failed> {
    let list = List::another("new");
    let mail = |what| Mail::new(ANNE, &[list.address], &subject(what));
    let (before, meanwhile, after) = (mail("before the list"), mail("to a new list"), mail("after the list"));
    let mut client = setting.way().connect()?;
    client.send(&before)?.is(250)?;
    setting.core.create(&list)?;
    setting.core.add_members(&list)?;
    client.send(&meanwhile)?.is(250)?;
    setting.core.came_once(&list, &meanwhile.subject)?;
    setting.core.outgoing.has(&before.subject, list.members, 0)?;
    setting.core.remove(&list)?;
    client.send(&after)?.is(250)?;
    setting.upstream_barrier()?;
    setting.upstream.has(&before.subject, &[list.address], 1)?;
    setting.upstream.has(&meanwhile.subject, &[list.address], 0)?;
    setting.upstream.has(&after.subject, &[list.address], 1)
}

/// The last good table is kept.
pub(crate) fn deleted(setting: &Setting<'_>) -> Result<(), Failed> {
    let maps = Folder::new()?;
    let map = maps.path().join("postfix_lmtp");
    std::fs::copy(setting.core.maps().join("postfix_lmtp"), &map)?;
    let proxy = Proxy::start(setting.core.lmtp, maps.path(), setting.upstream.address)?;
    std::fs::remove_file(&map)?;
    let mail = mixed("without a map");
    crate::client::Way::Proxy(proxy.address).send(&mail)?;
    setting.both_once(&mail)
}

/// A proxy without a map would send the lists' mail upstream: it does not start.
pub(crate) fn missing() -> Result<(), Failed> {
    let empty = Folder::new()?;
    for maps in [empty.path(), &empty.path().join("not-there")] {
        let (code, said) = Proxy::refuses(maps)?;
        if code != Some(1) || !said.contains("postfix_lmtp") {
            return Err(format!("exit code {code:?}: {said}").into());
        }
    }
    Ok(())
}

/// Nobody asks Mailman whether an address is its own: it is not reached by what the map does not name.
pub(crate) fn only_the_map_counts(setting: &Setting<'_>) -> Result<(), Failed> {
    let maps = Folder::new()?;
    let map = std::fs::read_to_string(setting.core.maps().join("postfix_lmtp"))?;
    let others: Vec<&str> = map.lines().filter(|line| !line.starts_with("ant")).chain([""]).collect();
    std::fs::write(maps.path().join("postfix_lmtp"), others.join("\n"))?;
    let proxy = Proxy::start(setting.core.lmtp, maps.path(), setting.upstream.address)?;
    let mail = Mail::new(ANNE, &[ANT.address], &subject("not in this map"));
    crate::client::Way::Proxy(proxy.address).send(&mail)?;
    setting.upstream.wait(&mail.subject, |post| post.is_about(&mail.subject))?;
    setting.core.came_never(&ANT, &mail.subject)
}
