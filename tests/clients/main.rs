//! Real clients on a real port: what arrived is compared with what was sent, octet for octet.
//!
//! A client that is not installed is ignored, and says so.

mod lines;
mod mails;
mod programs;

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};

use libtest_mimic::{Arguments, Completion, Failed, Trial};
use mails::Mail;
use programs::{Client, Headers, Program};
use smtpd_std::{Config, Files, Message, Messages, Server, process_message};
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
    for mail in mails::all() {
        let runtime = Arc::clone(&runtime);
        trials.push(Trial::ignorable_test(format!("lettre::{}", mail.name), move || lettre(&runtime, &mail)));
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
    let server = bind(runtime);
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

fn bind(runtime: &Runtime) -> Server {
    runtime.block_on(Server::bind("127.0.0.1:0", Config::new("mx.example.org"))).expect("a port")
}

/// The folder of a server, which goes with it.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl Folder {
    /// The files with this ending.
    fn files(&self, ending: &str) -> std::io::Result<Vec<Vec<u8>>> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.0)? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == ending) {
                files.push(fs::read(path)?);
            }
        }
        Ok(files)
    }
}

/// One mail, by a program.
fn delivers(runtime: &Runtime, client: &'static Client, mail: &Mail) -> Result<Completion, Failed> {
    let Some(program) = client.program() else { return Ok(Completion::ignored_with(client.missing())) };
    if let Some(reason) = client.skips(mail) {
        return Ok(Completion::ignored_with(reason));
    }
    arrives(runtime, client.headers, client.sends(mail), |port| program.send(port, mail))
}

/// One mail, by the library.
fn lettre(runtime: &Runtime, mail: &Mail) -> Result<Completion, Failed> {
    let to = mail.to.iter().map(|to| to.parse()).collect::<Result<_, _>>()?;
    let envelope = lettre::address::Envelope::new(Some(mails::FROM.parse()?), to)?;
    // It puts a line end behind any text.
    let text = [&mail.text[..], b"\r\n"].concat();
    arrives(runtime, Headers::Mail, (mail.to.clone(), text), |port| {
        let client = lettre::SmtpTransport::builder_dangerous("127.0.0.1").port(port).build();
        Ok(lettre::Transport::send_raw(&client, &envelope, &mail.text).map(drop)?)
    })
}

/// One mail is in a file once it was sent, and it is the one that was sent.
fn arrives(
    runtime: &Runtime,
    headers: Headers,
    (recipients, text): (Vec<String>, Vec<u8>),
    send: impl FnOnce(u16) -> Result<(), Failed>,
) -> Result<Completion, Failed> {
    let server = bind(runtime);
    let (port, stopper) = (server.local_addrs()?[0].port(), server.stopper());
    let folder = Folder(std::env::temp_dir().join(format!("smtpd-clients-{}-{port}", std::process::id())));
    let files = Files::new(&folder.0)?;
    runtime.spawn(server.run(move |_| Messages::new(files.clone())));
    send(port)?;
    stopper.stop_now();
    let (messages, envelopes) = (folder.files("eml")?, folder.files("json")?);
    let ([message], [envelope]) = (&messages[..], &envelopes[..]) else {
        return Err(format!("{} messages came", messages.len()).into());
    };
    let envelope: serde_json::Value = serde_json::from_slice(envelope)?;
    if envelope["mail_from"] != mails::FROM || envelope["rcpt_tos"] != serde_json::json!(recipients) {
        return Err(format!("{envelope}").into());
    }
    let (got, expected) = match headers {
        Headers::Mail => (&message[..], &text[..]),
        Headers::Client => (mails::body(message), mails::body(&text)),
    };
    if let Some(at) = difference(got, expected) {
        let around = |octets: &[u8]| {
            let octets = &octets[at.saturating_sub(20)..octets.len().min(at + 40)];
            octets.escape_ascii().to_string()
        };
        return Err(format!("octet {at}: got {}, expected {}", around(got), around(expected)).into());
    }
    Ok(Completion::Completed)
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
