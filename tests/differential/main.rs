//! The own smtpd of each version of Python and ours: the same commands and the same mails, and what both say and print
//! to them.
//!
//! Ignored for a version where there is none.

mod client;
mod defects;
mod lines;
#[path = "../clients/lines.rs"]
mod long_text;
mod mails;
mod replies;
mod servers;
mod versions;

use std::process::ExitCode;
use std::sync::Arc;

use libtest_mimic::{Arguments, Completion, Failed, Trial};
use servers::Python;
use versions::VERSIONS;

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let mut trials = Vec::new();
    for version in VERSIONS {
        // Where trials are only listed nothing is asked.
        let python = if arguments.list { None } else { Python::find(version) };
        for (name, test) in replies::trials(version).into_iter().chain(mails::trials()) {
            let python = python.clone();
            let name = format!("{}::{name}", version.number);
            trials.push(Trial::ignorable_test(name, move || match &python {
                Some(python) => test(python).map(|()| Completion::Completed),
                None => Ok(Completion::ignored_with("there is no such Python with its module smtpd")),
            }));
        }
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// A test and its name.
type Test = (String, Arc<dyn Fn(&Python) -> Result<(), Failed> + Send + Sync>);
