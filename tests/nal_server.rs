//! The example nal_server takes a mail, prints it, and ends. `cargo test` builds examples, `cargo test --test` does not.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, ExitCode, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use libtest_mimic::{Arguments, Completion, Failed, Trial};

const PATIENCE: Duration = Duration::from_secs(10);

fn main() -> ExitCode {
    let trial = Trial::ignorable_test("takes_a_mail_and_ends", takes_a_mail);
    libtest_mimic::run(&Arguments::from_args(), vec![trial]).exit_code()
}

fn takes_a_mail() -> Result<Completion, Failed> {
    let program = example()?;
    if !program.exists() {
        return Ok(Completion::ignored_with("the example nal_server is not built"));
    }
    let mut server = Server(Command::new(program).args(["0", "1"]).stdout(Stdio::piped()).spawn()?);
    let mut printed = BufReader::new(server.0.stdout.take().ok_or("a pipe")?);
    let mut line = String::new();
    printed.read_line(&mut line)?;
    let Some(port) = line.strip_prefix("listening on port ") else {
        // It says why on stderr.
        return Ok(Completion::ignored_with("the example can't listen here, on IPv6"));
    };
    let mut client = TcpStream::connect((Ipv4Addr::LOCALHOST, port.trim_end().parse()?))?;
    client.set_read_timeout(Some(PATIENCE))?;
    client.write_all(
        b"EHLO c.example\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\nSubject: hi\r\n\r\n.\r\nQUIT\r\n",
    )?;
    let mut said = String::new();
    client.read_to_string(&mut said)?;
    if !said.contains("\r\n250 2.0.0 ") || !said.lines().last().is_some_and(|line| line.starts_with("221 ")) {
        return Err(said.into());
    }
    let start = Instant::now();
    while server.0.try_wait()?.is_none() {
        if start.elapsed() > PATIENCE {
            return Err("it does not end".into());
        }
        sleep(Duration::from_millis(5));
    }
    let mut text = String::new();
    printed.read_to_string(&mut text)?;
    let expected = "---------- MESSAGE FOLLOWS ----------\nb'Subject: hi'\n------------ END MESSAGE ------------\n";
    if text != expected || !server.0.wait()?.success() {
        return Err(text.into());
    }
    Ok(Completion::Completed)
}

/// Beside the folder of this test.
fn example() -> Result<PathBuf, Failed> {
    let deps = std::env::current_exe()?;
    let folder = deps.parent().and_then(|deps| deps.parent()).ok_or("a folder")?;
    Ok(folder.join("examples").join("nal_server").with_extension(std::env::consts::EXE_EXTENSION))
}

/// Ends with the test.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
