//! Python 3.11's own smtpd and ours: the same commands and the same mails, and what both say and print to them.
//!
//! Ignored where there is no Python 3.11.

mod client;
mod defects;
mod lines;
#[path = "../clients/lines.rs"]
mod long_text;
mod mails;
mod replies;
mod servers;

use std::process::ExitCode;
use std::sync::Arc;

use libtest_mimic::{Arguments, Completion, Failed, Trial};
use servers::Python;

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    // Where trials are only listed nothing is asked.
    let python = if arguments.list { None } else { Python::find() };
    let mut trials = replies::trials();
    trials.extend(mails::trials());
    let trials = trials.into_iter().map(|(name, test)| {
        let python = python.clone();
        Trial::ignorable_test(name, move || match &python {
            Some(python) => test(python).map(|()| Completion::Completed),
            None => Ok(Completion::ignored_with("there is no Python 3.11 with its module smtpd")),
        })
    });
    libtest_mimic::run(&arguments, trials.collect()).exit_code()
}

/// A test and its name.
type Test = (String, Arc<dyn Fn(&Python) -> Result<(), Failed> + Send + Sync>);
