//! A real Mailman 3 on loopback, and MailmanProxy before it.
//!
//! `tests/run mailman` installs Mailman first. Where it is missing, each test is ignored, with that as the reason.
//!
//! | module | what it is |
//! |---|---|
//! | `core`, `master`, `installation` | a Mailman that tests start, stop, kill, hang and ask |
//! | `collector`, `client` | the servers around it, and who sends mails |
//! | `lists` | what a list does with a mail, whichever way it comes |
//! | `direct` | that, without the proxy |
//! | `proxy`, `through`, `mixed`, `down`, `maps` | the command `smtpd -c MailmanProxy`, and what it does |

mod bench;
mod client;
mod collector;
mod core;
mod direct;
mod down;
mod folder;
mod installation;
mod lists;
mod maps;
mod master;
mod mixed;
mod proxy;
mod through;

use std::process::ExitCode;
use std::sync::Arc;

use bench::Bench;
use libtest_mimic::{Arguments, Completion, Failed, Trial};
use through::Setting;

type Test = (&'static str, fn(&core::Core) -> Result<(), Failed>);

/// They disturb nobody, and share a Mailman.
const SHARED: &[Test] = &[
    ("direct::a post reaches the members of its list", direct::posts),
    ("direct::an address without a list is refused", direct::unknown),
    ("direct::a text that comes twice is posted twice", direct::twice),
    ("direct::a stranger's post is held", direct::held),
    ("direct::join, confirm, leave", direct::join_and_leave),
    ("direct::the owner gets his mail", direct::owner),
    ("direct::bounces are taken", direct::bounces),
    ("direct::a list is created while it runs, and removed", direct::created),
];

/// They stop and kill a Mailman that is theirs as long as they run.
const ALONE: &[Test] = &[
    ("direct::killed and started again", direct::killed),
    ("direct::stopped and started again", direct::stopped),
    ("direct::the LMTP runner dies, is down, and hangs", direct::troubles),
];

type ProxyTest = (&'static str, fn(&Setting<'_>) -> Result<(), Failed>);

/// With a proxy of their own each, before the Mailman that is shared.
const THROUGH: &[ProxyTest] = &[
    ("proxy::a post reaches the members of its list", through::posts),
    ("proxy::a list with a dash in its name: post, join, confirm, leave", through::dash),
    ("proxy::join, confirm, leave", through::join_and_leave),
    ("proxy::the owner gets his mail", through::owner),
    ("proxy::bounces are taken", through::bounces),
    ("proxy::an address is one in any letter case", through::letter_case),
    ("proxy::what is not in the map goes upstream", through::not_in_map),
    ("proxy::a list and another get one mail once each", mixed::both),
    ("proxy::two lists and two others get one mail once each", mixed::several),
    ("proxy::pipelined recipients have a reply each", mixed::pipelined),
    ("proxy::twenty sessions at once", mixed::at_once),
    ("proxy::mails of one session do not mix", mixed::one_session),
    ("proxy::a recipient who is refused upstream keeps nobody from the mail", mixed::recipient_refused),
    ("proxy::a text that is refused upstream does not get to the list", mixed::text_refused),
    ("proxy::Mailman's one refusal for two recipients is one at once", mixed::defects),
    ("proxy::a line too long for Mailman gets to nobody", mixed::long_line),
    ("proxy::the longest line gets to all", mixed::longest_line),
    ("proxy::a client that leaves before the end sent nothing", mixed::client_gone),
    ("proxy::upstream down: its recipient waits, the list does not", down::upstream_down),
    ("proxy::upstream lost in the text: the list gets nothing, and then all once", down::upstream_lost_in_text),
    ("proxy::a list is created while it runs, and removed", maps::created),
    ("proxy::a map that is gone stays in use", maps::deleted),
    ("proxy::only the map counts", maps::only_the_map_counts),
];

/// These kill the Mailman.
const THROUGH_ALONE: &[ProxyTest] = &[
    ("proxy::Mailman down: the list waits, the other does not", down::mailman_down),
    ("proxy::Mailman hangs: the list waits, the other does not", down::mailman_hangs),
    ("proxy::Mailman killed in the text: sent again, all get it once", down::mailman_killed_in_text),
    ("proxy::Mailman killed at the end: sent again, only the list gets it", down::mailman_killed_at_the_dot),
    ("proxy::Mailman restarted within a session", down::mailman_restarted),
];

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // They wait for Mailman most of the time.
    arguments.test_threads.get_or_insert(8);
    let bench = Arc::new(Bench::default());
    let mut trials = Vec::new();
    for (name, test) in SHARED {
        let bench = Arc::clone(&bench);
        trials.push(trial(name, move || bench.shared(test)));
    }
    for (name, test) in ALONE {
        let bench = Arc::clone(&bench);
        trials.push(trial(name, move || bench.alone(test)));
    }
    match proxy::is_there() {
        Ok(true) => trials.extend(through_proxy(&bench)),
        Ok(false) => {}
        Err(failed) => trials.push(Trial::test("proxy", || Err(failed))),
    }
    // All that was started ends with `bench`.
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// The command may be older than the class.
fn through_proxy(bench: &Arc<Bench>) -> Vec<Trial> {
    let mut trials = vec![trial("proxy::it does not start without a map", maps::missing)];
    for (name, test) in THROUGH {
        let bench = Arc::clone(bench);
        trials.push(trial(name, move || bench.shared(|core| Setting::run(core, test))));
    }
    for (name, test) in THROUGH_ALONE {
        let bench = Arc::clone(bench);
        trials.push(trial(name, move || bench.alone(|core| Setting::run(core, test))));
    }
    trials
}

fn trial(name: &str, test: impl FnOnce() -> Result<(), Failed> + Send + 'static) -> Trial {
    Trial::ignorable_test(name, move || match installation::missing() {
        Some(reason) => Ok(Completion::ignored_with(reason)),
        None => test().map(|()| Completion::Completed),
    })
}
