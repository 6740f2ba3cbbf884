//! Against the outside: real clients on a real port meet a server with a fault, and what they say about it is a table.
//!
//! Each cell is a test: the table has to say what was seen just now. With `SMTPD_WRITE_TABLE=1` it is written instead.
//! A client that is not installed is ignored, and says so.

mod clients;
mod faults;
mod port;
mod table;

use std::process::ExitCode;
use std::sync::{Arc, Mutex};

use clients::{CLIENTS, Client, Verdict};
use faults::{FAULTS, Fault};
use libtest_mimic::{Arguments, Completion, Failed, Trial};
use smtpd_mock::Script;
use table::{Cell, Table};

fn main() -> ExitCode {
    let is_writing = std::env::var_os("SMTPD_WRITE_TABLE").is_some();
    let table = Arc::new(Mutex::new(Table::read()));
    let mut trials = vec![Trial::test("faults::are_all_scripts", faults::are_all_scripts)];
    if !is_writing {
        trials.push(Trial::test("table::is_as_it_is_written", table::is_as_it_is_written));
    }
    for client in CLIENTS {
        let version = (client.version)();
        for fault in FAULTS {
            let (version, table) = (version.clone(), Arc::clone(&table));
            let trial = move || cell(client, version.as_deref(), fault, &table, is_writing);
            trials.push(Trial::ignorable_test(format!("{}::{}", client.name, fault.name), trial));
        }
    }
    // Most of them wait.
    let arguments = Arguments::from_args();
    let arguments = Arguments { test_threads: arguments.test_threads.or(Some(12)), ..arguments };
    let code = libtest_mimic::run(&arguments, trials).exit_code();
    if is_writing && let Err(error) = table.lock().map_err(|_| "a panic".to_owned()).and_then(|table| table.write()) {
        eprintln!("{}: {error}", table::PATH);
        return ExitCode::FAILURE;
    }
    code
}

/// One client meets one fault.
fn cell(
    client: &'static Client,
    version: Option<&str>,
    fault: &Fault,
    table: &Mutex<Table>,
    is_writing: bool,
) -> Result<Completion, Failed> {
    let Some(version) = version else {
        return Ok(Completion::ignored_with(format!("{} is not installed", client.package)));
    };
    let written = table.lock().map_err(|_| "a panic")?.version(client.name);
    if !is_writing && written.as_deref() != Some(version) {
        let versions = format!("this is {version}, and the table is about {}", written.unwrap_or_default());
        return if client.is_pinned { Err(versions.into()) } else { Ok(Completion::ignored_with(versions)) };
    }
    let script = Script::parse(fault.name, &fault.text()?)?;
    let (said, served) = port::meets(&script, client.send)?;
    // The server said 250 to the message.
    let is_given = fault.is_accepting && served.iter().any(Result::is_ok);
    let cell = Cell {
        verdict: said.verdict.to_string(),
        is_untrue: (said.verdict == Verdict::Sent) != is_given,
        connections: served.len(),
        words: said.words,
    };
    let mut table = table.lock().map_err(|_| "a panic")?;
    let seen = (fault.name, client.name);
    if is_writing {
        table.insert(seen, version, cell);
        return Ok(Completion::Completed);
    }
    let written = table.cell(seen);
    if written.as_ref() == Some(&cell) {
        return Ok(Completion::Completed);
    }
    let written = written.map_or("nothing".to_owned(), |cell| cell.to_string());
    let mut difference = format!("the table says: {written}\n     seen now: {cell}\n  in its text: {}\n", said.text);
    for (number, served) in served.iter().enumerate() {
        let played = served.as_ref().map_or_else(ToString::to_string, |_| "the script was played to its end".into());
        difference.push_str(&format!(" connection {}: {played}\n", number + 1));
    }
    Err(difference.into())
}
