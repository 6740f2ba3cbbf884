//! The example send says what became of a mail, by lines and exit codes. `cargo test` builds examples, `cargo test --test`
//! does not.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};

use libtest_mimic::{Arguments, Completion, Failed, Trial};
use smtpd_std::{Config, Server, process_message};

fn main() -> ExitCode {
    let trial = Trial::ignorable_test("says_what_became_of_it", says_what_became_of_it);
    libtest_mimic::run(&Arguments::from_args(), vec![trial]).exit_code()
}

fn says_what_became_of_it() -> Result<Completion, Failed> {
    let program = example()?;
    if !program.exists() {
        return Ok(Completion::ignored_with("the example send is not built"));
    }
    let mut config = Config::new("mx.example.org");
    config.limits.recipients = 1;
    let server = Server::spawn("127.0.0.1:0", config, |_| {
        process_message(|message| {
            let is_expected = message.data == b"Subject: hi\r\n\r\n.\r\n" && message.mail_from == "me@b.example";
            Ok((!is_expected || message.rcpt_tos[0].starts_with("no")).then(|| "554 5.6.0 No".into()))
        })
    })?;
    let address = server.address().to_string();
    let one = "you@d.example: 250 2.0.0 OK\n";
    for (arguments, code, out, err) in [
        (&[&address, "me@b.example", "you@d.example"][..], 0, one, ""),
        (&[&address, "me@b.example", "no@d.example"], 69, "", "the server refused the mail: 554 5.6.0 No\n"),
        (
            &[&address, "me@b.example", "you@d.example", "two@d.example"],
            75,
            &format!("{one}two@d.example: 452 4.5.3 Too many recipients\n"),
            "",
        ),
        (&[&address, "me@b.example", "a b"], 69, "", "no command can hold \"a b\"\n"),
        (&[&address], 64, "", "send SERVER:PORT FROM TO... < MAIL\n"),
    ] {
        let mut command = Command::new(&program);
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn()?;
        // Who complains about arguments does not read it.
        let _ = child.stdin.take().ok_or("a pipe")?.write_all(b"Subject: hi\n\n.\n");
        let output = child.wait_with_output()?;
        let heard = (output.status.code(), String::from_utf8(output.stdout)?, String::from_utf8(output.stderr)?);
        if heard != (Some(code), out.to_owned(), err.to_owned()) {
            return Err(format!("{arguments:?}: {heard:?}").into());
        }
    }
    Ok(Completion::Completed)
}

/// Beside the folder of this test.
fn example() -> Result<PathBuf, Failed> {
    let deps = std::env::current_exe()?;
    let folder = deps.parent().and_then(|folder| folder.parent()).ok_or("a folder")?;
    Ok(folder.join("examples").join("send"))
}
