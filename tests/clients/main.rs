//! Real clients on a real port: what arrived is compared with what was sent, octet for octet.
//!
//! A client that is not installed is ignored, and says so.

mod mails;
mod programs;

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use libtest_mimic::{Arguments, Completion, Failed, Trial};
use mails::Mail;
use programs::{Client, Program};
use smtpd_std::{Config, Message, Server, process_message};
use tokio::runtime::Runtime;

fn main() -> ExitCode {
    let runtime = Arc::new(tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime"));
    let mut trials = Vec::new();
    for client in programs::CLIENTS {
        for mail in mails::all() {
            let runtime = Arc::clone(&runtime);
            trials.push(Trial::ignorable_test(format!("{}::{}", client.name, mail.name), move || {
                delivers(&runtime, client, &mail)
            }));
        }
    }
    for source in programs::SOURCES {
        let runtime = Arc::clone(&runtime);
        let test = move || storm(&runtime, source);
        trials.push(Trial::ignorable_test(source.name, test));
    }
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

/// A port whose messages come out of the receiver.
fn serve(runtime: &Runtime) -> (u16, Receiver<Message>, smtpd_std::Stopper) {
    let server = runtime.block_on(Server::bind("127.0.0.1:0", Config::new("mx.example.org"))).expect("a port");
    let port = server.local_addrs().expect("an address")[0].port();
    let stopper = server.stopper();
    let (sender, messages) = channel();
    runtime.spawn(server.run(move |_| {
        let sender = sender.clone();
        process_message(move |message| {
            sender.send(message.clone())?;
            Ok(None)
        })
    }));
    (port, messages, stopper)
}

/// One mail arrives, and it is the one that was sent.
fn delivers(runtime: &Runtime, client: &'static Client, mail: &Mail) -> Result<Completion, Failed> {
    let Some(program) = client.program() else { return Ok(Completion::ignored_with(client.missing())) };
    let (port, messages, stopper) = serve(runtime);
    program.send(port, mail)?;
    let message = messages.recv_timeout(Duration::from_secs(10)).map_err(|_| "no message came")?;
    stopper.stop_now();
    let (recipients, text) = client.sends(mail);
    if message.mail_from != mails::FROM || message.rcpt_tos != recipients {
        return Err(format!("from {} to {:?}", message.mail_from, message.rcpt_tos).into());
    }
    if let Some(at) = difference(&message.data, &text) {
        let around = |octets: &[u8]| {
            let octets = &octets[at.saturating_sub(20)..octets.len().min(at + 40)];
            octets.escape_ascii().to_string()
        };
        let (got, expected) = (around(&message.data), around(&text));
        return Err(format!("octet {at}: got {got}, expected {expected}").into());
    }
    match messages.recv_timeout(Duration::from_millis(50)) {
        Ok(_) => Err("a second message came".into()),
        Err(_) => Ok(Completion::Completed),
    }
}

/// Many mails over many sessions all arrive, each from its own transaction.
fn storm(runtime: &Runtime, source: &programs::Source) -> Result<Completion, Failed> {
    let Some(program) = Program::find("smtp-source") else {
        return Ok(Completion::ignored_with("smtp-source (Debian: postfix) is not installed"));
    };
    let (port, messages, stopper) = serve(runtime);
    source.send(&program, port)?;
    stopper.stop();
    let messages: Vec<Message> = messages.iter().collect();
    if messages.len() != source.messages {
        return Err(format!("{} messages came of {}", messages.len(), source.messages).into());
    }
    let is_whole =
        |message: &Message| message.rcpt_tos.len() == source.recipients && message.data.len() >= source.length;
    match messages.iter().find(|message| !is_whole(message)) {
        Some(message) => Err(format!("{:?}, {} octets", message.rcpt_tos, message.data.len()).into()),
        None => Ok(Completion::Completed),
    }
}

fn difference(got: &[u8], expected: &[u8]) -> Option<usize> {
    let first = got.iter().zip(expected).position(|(got, expected)| got != expected);
    first.or((got.len() != expected.len()).then_some(got.len().min(expected.len())))
}
