//! Without the proxy: what its tests take for granted.

use libtest_mimic::Failed;

use crate::client::{Mail, subject};
use crate::core::Core;
use crate::lists::{self, ANNE, ANT, BEES, List, STRANGER};

pub(crate) fn posts(core: &Core) -> Result<(), Failed> {
    lists::post(core, core.direct(), &ANT)?;
    lists::post(core, core.direct(), &BEES)
}

pub(crate) fn unknown(core: &Core) -> Result<(), Failed> {
    let mail = Mail::new(ANNE, &["cat@example.com", "ant-admin@example.com", "ant@example.net", "ant"], "nobody's");
    let mut client = core.direct().connect()?;
    for reply in client.envelope(&mail)? {
        reply.is(550)?;
    }
    client.say("DATA")?.is(503)
}

/// Two posts of one text differ in nothing: that is what `came_once` has to see.
pub(crate) fn twice(core: &Core) -> Result<(), Failed> {
    let mail = Mail::new(ANNE, &[ANT.address], &subject("twice"));
    core.direct().send(&mail)?;
    core.direct().send(&mail)?;
    core.barrier(&ANT)?;
    core.outgoing.has(&mail.subject, ANT.members, 2)
}

pub(crate) fn held(core: &Core) -> Result<(), Failed> {
    let mail = Mail::new(STRANGER, &[ANT.address], &subject("from a stranger"));
    core.direct().send(&mail)?;
    let asks = format!("{} post from {STRANGER} requires approval", ANT.address);
    core.outgoing.wait(&asks, |post| post.subject() == asks)?;
    core.came_never(&ANT, &mail.subject)
}

pub(crate) fn join_and_leave(core: &Core) -> Result<(), Failed> {
    lists::join_and_leave(core, core.direct(), "wasps")
}

pub(crate) fn owner(core: &Core) -> Result<(), Failed> {
    lists::owner(core, core.direct(), &ANT)
}

pub(crate) fn bounces(core: &Core) -> Result<(), Failed> {
    lists::bounces(core, core.direct(), &ANT)?;
    lists::bounces(core, core.direct(), &BEES)
}

/// The map has a list from its creation to its removal, for the command does not end before.
pub(crate) fn created(core: &Core) -> Result<(), Failed> {
    let list = List::another("new");
    let is_known = |code| {
        core.direct().connect()?.envelope(&Mail::new(ANNE, &[list.address], "is it there?"))?[0].is(code)?;
        match core.is_in_map(list.address)? == (code == 250)
            && core.is_in_map(&list.address_for("join"))? == (code == 250)
        {
            true => Ok(()),
            false => Err(Failed::from(format!("the map is wrong about {}", list.address))),
        }
    };
    is_known(550)?;
    core.create(&list)?;
    is_known(250)?;
    core.add_members(&list)?;
    if core.members(&list)? != list.members {
        return Err(format!("members are {:?}", core.members(&list)?).into());
    }
    lists::post(core, core.direct(), &list)?;
    core.remove(&list)?;
    is_known(550)
}

/// What it has taken it posts, whatever becomes of its processes; what it has not, it does not.
pub(crate) fn killed(core: &Core) -> Result<(), Failed> {
    let (taken, cut) =
        (Mail::new(ANNE, &[ANT.address], &subject("taken")), Mail::new(ANNE, &[ANT.address], &subject("cut")));
    let mut client = core.direct().connect()?;
    client.envelope(&cut)?[0].is(250)?;
    client.data()?;
    client.text(&cut.text)?;
    core.direct().send(&taken)?;
    core.kill();
    if core.direct().connect().is_ok() || client.dot().is_ok() {
        return Err("it was killed, and answers".into());
    }
    core.start_again()?;
    core.came_once(&ANT, &taken.subject)?;
    core.came_never(&ANT, &cut.subject)
}

pub(crate) fn stopped(core: &Core) -> Result<(), Failed> {
    core.stop()?;
    if core.direct().connect().is_ok() {
        return Err("it was stopped, and answers".into());
    }
    core.start_again()?;
    lists::post(core, core.direct(), &ANT)
}

/// Each kind of trouble comes, and goes.
pub(crate) fn troubles(core: &Core) -> Result<(), Failed> {
    core.kill_lmtp()?;
    core.listens()?;
    core.down()?;
    core.up()?;
    core.hang()?;
    // Nobody is greeted now: what the client says waits.
    let mail = Mail::new(ANNE, &[ANT.address], &subject("after it hung"));
    std::thread::scope(|scope| {
        let sender = scope.spawn(|| core.direct().send(&mail));
        std::thread::sleep(std::time::Duration::from_millis(500));
        if sender.is_finished() {
            return Err("it hangs, and answers".into());
        }
        core.go_on()?;
        sender.join().map_err(|_| "a panic")?
    })?;
    core.came_once(&ANT, &mail.subject)
}
