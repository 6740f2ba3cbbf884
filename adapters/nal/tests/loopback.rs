//! The server on a real port, by std-embedded-nal, with real clients. What is not installed is ignored, and says so.

#[path = "../../../examples/nal_server/host.rs"]
mod host;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, TcpStream};
use std::process::{Command, ExitCode, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::task::Waker;
use std::thread::{Builder, JoinHandle, sleep};
use std::time::{Duration, Instant};

use libtest_mimic::{Arguments, Completion, Failed, Trial};
use smtpd_core::handlers::Message;
use smtpd_core::server::{Answer, Config};
use smtpd_nal::{Next, Server};

/// Nothing here takes longer, unless it hangs.
const PATIENCE: Duration = Duration::from_secs(10);
const PLACES: usize = 3;

fn main() -> ExitCode {
    type Test = fn(&Running) -> Result<Completion, Failed>;
    let tests: [(&str, Test); 7] = [
        ("a_dialogue_over_ipv4_and_ipv6", a_dialogue),
        ("a_silent_client_delays_nobody", silent_client),
        ("one_client_too_many_waits", one_too_many),
        ("a_pipelined_mail_in_one_write", pipelined),
        ("a_client_that_vanishes_frees_its_place", vanishing_clients),
        ("smtplib", smtplib),
        ("swaks", swaks),
    ];
    let trials = tests.map(|(name, test)| {
        Trial::ignorable_test(name, move || match Running::start() {
            Ok(mut server) => {
                let result = test(&server);
                server.end()?;
                result
            }
            Err(error) => Ok(Completion::ignored_with(format!("std-embedded-nal can't listen on IPv6 here: {error}"))),
        })
    });
    libtest_mimic::run(&Arguments::from_args(), trials.into()).exit_code()
}

/// A server on a thread of its own.
struct Running {
    port: u16,
    /// From, to and text of each mail.
    mails: Mutex<Receiver<(String, String)>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Running {
    fn start() -> std::io::Result<Self> {
        let (told, ports) = channel();
        let (sender, mails) = channel();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        // Unoptimized code moves the handlers about, with all their buffers.
        let builder = Builder::new().stack_size(16 << 20);
        let thread = builder.spawn(move || {
            let config = Config::new("localhost");
            let handlers = [(); PLACES].map(|()| {
                Message::<_, 256, 1_024, 200_000>::new(|_, from, tos, data| {
                    let mut envelope = String::from_utf8_lossy(from).into_owned();
                    tos.for_each(|to| envelope += &format!(" {}", String::from_utf8_lossy(to)));
                    let _ = sender.send((envelope, String::from_utf8_lossy(data).into_owned()));
                    Answer::Accept
                })
            });
            let mut stack = host::Host::default();
            let mut server = Box::new(Server::<_, _, PLACES>::new(&config, handlers));
            let bound = server.bind(&mut stack, 0).map_err(|error| error.0);
            let is_bound = bound.is_ok();
            let _ = told.send(bound.and_then(|()| host::port(server.listener().expect("a listener"))));
            let start = Instant::now();
            let mut is_stopping = false;
            while is_bound && !(is_stopping && server.connections() == 0) {
                if stopped.load(Ordering::Relaxed) && !is_stopping {
                    is_stopping = true;
                    server.stop(&mut stack).expect("it closes");
                }
                match server.poll(&mut stack, start.elapsed().as_millis() as u32, Waker::noop()).expect("no error") {
                    Next::Now => {}
                    Next::Wait(_) => sleep(Duration::from_millis(1)),
                }
            }
        })?;
        let port = ports.recv_timeout(PATIENCE).expect("it starts")?;
        Ok(Self { port, mails: Mutex::new(mails), stop, thread: Some(thread) })
    }

    /// Stops it, in seconds.
    fn end(&mut self) -> Result<(), Failed> {
        self.stop.store(true, Ordering::Relaxed);
        let thread = self.thread.take().ok_or("it ran")?;
        let start = Instant::now();
        while !thread.is_finished() {
            if start.elapsed() > PATIENCE {
                return Err("the server does not stop".into());
            }
            sleep(Duration::from_millis(5));
        }
        thread.join().map_err(|_| "the server panicked".into())
    }

    fn mail(&self) -> Result<(String, String), Failed> {
        Ok(self.mails.lock().map_err(|_| "poisoned")?.recv_timeout(PATIENCE)?)
    }

    fn connect(&self) -> Result<Client, Failed> {
        Client::new(TcpStream::connect((Ipv4Addr::LOCALHOST, self.port))?)
    }
}

struct Client(BufReader<TcpStream>);

impl Client {
    fn new(stream: TcpStream) -> Result<Self, Failed> {
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self(BufReader::new(stream)))
    }

    fn say(&mut self, octets: &str) -> Result<(), Failed> {
        Ok(self.0.get_mut().write_all(octets.as_bytes())?)
    }

    /// Reads one reply and wants this code.
    fn hears(&mut self, code: &str) -> Result<(), Failed> {
        loop {
            let mut line = String::new();
            self.0.read_line(&mut line)?;
            if !line.starts_with(code) {
                return Err(format!("{code} wanted, heard {line:?}").into());
            }
            if line.as_bytes().get(3) == Some(&b' ') {
                return Ok(());
            }
        }
    }

    fn is_over(&mut self) -> Result<(), Failed> {
        let mut rest = Vec::new();
        self.0.read_to_end(&mut rest)?;
        if rest.is_empty() { Ok(()) } else { Err(format!("{} octets too many", rest.len()).into()) }
    }
}

fn equal<T: PartialEq + std::fmt::Debug>(one: &T, other: &T) -> Result<(), Failed> {
    if one == other { Ok(()) } else { Err(format!("{one:?} is not {other:?}").into()) }
}

fn a_dialogue(server: &Running) -> Result<Completion, Failed> {
    let v6 = Client::new(TcpStream::connect((Ipv6Addr::LOCALHOST, server.port))?)?;
    for mut client in [server.connect()?, v6] {
        client.hears("220")?;
        for (line, code) in [
            ("EHLO c.example", "250"),
            ("MAIL FROM:<a@b.example>", "250"),
            ("RCPT TO:<c@d.example>", "250"),
            ("RCPT TO:<e@f.example>", "250"),
            ("DATA", "354"),
            ("Subject: hi\r\n\r\n..\r\n.", "250"),
            ("QUIT", "221"),
        ] {
            client.say(&format!("{line}\r\n"))?;
            client.hears(code)?;
        }
        // The server closes by itself, within a second.
        client.is_over()?;
        let mail = ("a@b.example c@d.example e@f.example".into(), "Subject: hi\r\n\r\n.\r\n".into());
        equal(&server.mail()?, &mail)?;
    }
    Ok(Completion::Completed)
}

const MAIL: &str = "EHLO c\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\n";

fn silent_client(server: &Running) -> Result<Completion, Failed> {
    let mut silent = server.connect()?;
    silent.hears("220")?;
    let start = Instant::now();
    let mut client = server.connect()?;
    client.say(&format!("{MAIL}Hi\r\n.\r\n"))?;
    ["220", "250", "250", "250", "354", "250"].iter().try_for_each(|code| client.hears(code))?;
    let took = start.elapsed();
    if took > Duration::from_secs(2) {
        return Err(format!("it took {took:?}").into());
    }
    silent.say("QUIT\r\n")?;
    silent.hears("221")?;
    Ok(Completion::Completed)
}

fn one_too_many(server: &Running) -> Result<Completion, Failed> {
    let mut clients = Vec::new();
    for _ in 0..PLACES {
        let mut client = server.connect()?;
        client.hears("220")?;
        clients.push(client);
    }
    let mut late = server.connect()?;
    late.0.get_ref().set_read_timeout(Some(Duration::from_millis(200)))?;
    if late.0.read(&mut [0]).is_ok() {
        return Err("there is no place for it".into());
    }
    late.0.get_ref().set_read_timeout(Some(PATIENCE))?;
    clients.pop();
    late.hears("220")?;
    Ok(Completion::Completed)
}

/// The client says all and shuts down writing before it reads anything.
fn pipelined(server: &Running) -> Result<Completion, Failed> {
    let text = "0123456789abcdef\r\n".repeat(10_000);
    let mut client = server.connect()?;
    client.say(&format!("{MAIL}{text}.\r\nQUIT\r\n"))?;
    client.0.get_ref().shutdown(std::net::Shutdown::Write)?;
    ["220", "250", "250", "250", "354", "250", "221"].iter().try_for_each(|code| client.hears(code))?;
    client.is_over()?;
    equal(&server.mail()?.1, &text)?;
    Ok(Completion::Completed)
}

fn vanishing_clients(server: &Running) -> Result<Completion, Failed> {
    for _ in 0..3 * PLACES {
        let mut client = server.connect()?;
        client.hears("220")?;
        client.say(&format!("{MAIL}Hi"))?;
    }
    let mut client = server.connect()?;
    client.hears("220")?;
    Ok(Completion::Completed)
}

fn smtplib(server: &Running) -> Result<Completion, Failed> {
    let script = format!(
        "import smtplib\n\
         with smtplib.SMTP('localhost', {}, timeout=10) as client:\n\
         \x20   client.sendmail('a@b.example', ['c@d.example'], 'Subject: hi\\r\\n\\r\\n.dot\\r\\n')\n",
        server.port
    );
    let Some(()) = run("python3", &["-c", &script])? else {
        return Ok(Completion::ignored_with("python3 is not installed"));
    };
    equal(&server.mail()?, &("a@b.example c@d.example".into(), "Subject: hi\r\n\r\n.dot\r\n".into()))?;
    Ok(Completion::Completed)
}

fn swaks(server: &Running) -> Result<Completion, Failed> {
    let port = server.port.to_string();
    let arguments = ["--server", "127.0.0.1", "--port", &port, "--from", "a@b.example", "--to", "c@d.example"];
    let Some(()) =
        run("swaks", &[&arguments[..], &["--helo", "c.example", "--body", "hello", "--timeout", "10"]].concat())?
    else {
        return Ok(Completion::ignored_with("swaks is not installed"));
    };
    let (envelope, text) = server.mail()?;
    equal(&envelope, &"a@b.example c@d.example".into())?;
    equal(&text.contains("\r\n\r\nhello\r\n"), &true)?;
    Ok(Completion::Completed)
}

/// Runs a program to its end; none if there is no such program.
fn run(program: &str, arguments: &[&str]) -> Result<Option<()>, Failed> {
    let child = Command::new(program).args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = match child {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        child => child?,
    };
    let start = Instant::now();
    while child.try_wait()?.is_none() {
        if start.elapsed() > 3 * PATIENCE {
            child.kill()?;
            return Err(format!("{program} hangs").into());
        }
        sleep(Duration::from_millis(5));
    }
    let output = child.wait_with_output()?;
    match output.status.success() {
        true => Ok(Some(())),
        false => {
            Err(format!("{program}: {}", String::from_utf8_lossy(&[output.stdout, output.stderr].concat())).into())
        }
    }
}
