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
mod folder;
mod installation;
mod lists;
mod master;

use std::process::ExitCode;
use std::sync::Arc;

use bench::Bench;
use libtest_mimic::{Arguments, Completion, Failed, Trial};

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

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // They wait for Mailman most of the time.
    arguments.test_threads.get_or_insert(8);
    let bench = Arc::new(Bench::default());
    let mut trials = Vec::new();
    for (name, test) in SHARED {
        let bench = Arc::clone(&bench);
        trials.push(trial(name, move || test(bench.shared()?)));
    }
    for (name, test) in ALONE {
        let bench = Arc::clone(&bench);
        trials.push(trial(name, move || bench.alone(test)));
    }
    // All that was started ends with `bench`.
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn trial(name: &str, test: impl FnOnce() -> Result<(), Failed> + Send + 'static) -> Trial {
    Trial::ignorable_test(name, move || match installation::missing() {
        Some(reason) => Ok(Completion::ignored_with(reason)),
        None => test().map(|()| Completion::Completed),
    })
}
