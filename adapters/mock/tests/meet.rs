//! Scripts against code that reads and writes: clients and servers, blocking and not, in memory and on a port.

use std::future::{Future, poll_fn};
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::pin::pin;
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use smtpd_core::handlers::Sink;
use smtpd_core::server::{Config, Handler, Peer, Progress, Session, step};
use smtpd_mock::{
    Actor, Bounds, Clock, Link, Links, Pieces, Reads, Script, Side, Wire, WireError, Witness, explore, listen,
    serve_all,
};

fn script(text: &str) -> Script {
    Script::parse("a.txt", text).unwrap()
}

/// Says each line when a reply has come; what the replies began with.
fn talk(stream: impl Read + Write + Clone, lines: &[&str]) -> std::io::Result<Vec<String>> {
    let mut replies = BufReader::new(stream.clone());
    let mut stream = stream;
    let mut codes = Vec::new();
    for line in [""].iter().chain(lines) {
        stream.write_all(line.as_bytes())?;
        let mut reply = String::new();
        if replies.read_line(&mut reply)? == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        codes.push(reply.chars().take(3).collect());
    }
    Ok(codes)
}

const QUIT: [&str; 2] = ["EHLO me\r\n", "QUIT\r\n"];
const SERVER: &str = "S: 220 hi\nC: EHLO {*}\nS: 250 hi\nC: QUIT\nS: 221 bye\n";

#[test]
fn a_client_without_await() {
    let (codes, played) = script(SERVER).serve(|wire| talk(wire, &QUIT)).unwrap();
    assert_eq!(codes.unwrap(), ["220", "250", "221"]);
    assert_eq!((&played.said[..], played.is_stuck), (&b"EHLO me\r\nQUIT\r\n"[..], false));
    // Letters in either case are the same line; octets are not.
    assert!(script(SERVER).serve(|wire| talk(wire, &["ehlo me\r\n", "quit\r\n"])).is_ok());
    let exact = script(&SERVER.replace("C: QUIT", r"B: QUIT\r\n"));
    assert!(exact.serve(|wire| talk(wire, &["ehlo me\r\n", "quit\r\n"])).is_err());
    // Any lines end with the one behind them, in either case too.
    let any = script("S: 220 hi\nC: {...}\nC: QUIT\nS: 221 bye\n");
    assert_eq!(any.serve(|wire| talk(wire, &["a\r\nb\r\nquit\r\n"])).unwrap().0.unwrap(), ["220", "221"]);
    assert!(any.serve(|wire| talk(wire, &["a\r\nb\r\n"])).is_err());
    // embedded_io, in single octets, through a small window.
    let links = Links {
        server: Link::new().window(3).pieces(Pieces::Octets(1)),
        client: Link::new().short_writes(2),
        ..Links::default()
    };
    let (said, _) = script(SERVER)
        .serve_over(links, |mut wire| {
            let mut said = Vec::new();
            for line in ["", QUIT[0], QUIT[1]] {
                embedded_io::Write::write_all(&mut wire, line.as_bytes())?;
                let mut octet = [0];
                while octet != *b"\n" {
                    assert_eq!(embedded_io::Read::read(&mut wire, &mut octet)?, 1);
                    said.extend(octet);
                }
            }
            Ok::<_, WireError>(said)
        })
        .unwrap();
    assert_eq!(said.unwrap(), b"220 hi\r\n250 hi\r\n221 bye\r\n");
}

#[test]
fn what_a_client_does_wrong_is_named() {
    let serve = |lines: &[&str]| script(SERVER).serve(|wire| talk(wire, lines)).map(drop).unwrap_err();
    let wrong = serve(&["EHLO me\r\n", "RSET\r\n"]);
    assert_eq!((wrong.line, &wrong.expected[..], &wrong.got[..]), (4, "QUIT\\r\\n", "RSET\\r\\n"));
    let missing = serve(&["EHLO me\r\n"]);
    assert_eq!((missing.line, &missing.got[..]), (4, "nothing, and the end"));
    assert!(missing.waits.ends_with("the other side ended"), "{missing}");
    let torn = serve(&["EHLO me\r\n", "QUIT\n"]);
    assert_eq!((torn.line, &torn.got[..]), (4, "QUIT\\n"));
    let panic = script(SERVER).serve(|wire| assert!(talk(wire, &["HELO me\r\n"]).is_ok(), "not sent")).unwrap_err();
    assert_eq!((panic.line, &panic.got[..]), (2, "a panic: not sent"));
    let more = serve(&["EHLO me\r\n", "QUIT\r\nNOOP\r\n"]);
    assert_eq!((more.line, &more.expected[..], &more.got[..]), (0, "nothing more", "NOOP\\r\\n"));
}

#[test]
fn ways_for_a_server_to_fail() {
    let read = |mut wire: Wire| {
        let mut octets = Vec::new();
        wire.read_to_end(&mut octets).map(|_| octets).map_err(|error| error.kind())
    };
    let serve = |text: &str| script(text).serve(read).unwrap();
    assert_eq!(serve("SB: 220\n!drop\n").0, Ok(b"220".to_vec()));
    assert_eq!(serve("S: 220 hi\n").0, Ok(b"220 hi\r\n".to_vec()));
    assert_eq!(serve("SB: 220\n!reset\n").0, Err(ErrorKind::ConnectionReset));
    let (said, played) = serve("SB: 220\n!stall\n");
    assert_eq!((said, played.is_stuck), (Err(ErrorKind::Other), true));
    // With a timeout of its own a client is not stuck.
    let (said, played) = script("SB: 220\n!stall\n")
        .serve(|wire| {
            wire.set_timeout(Some(Duration::from_secs(300)));
            read(wire)
        })
        .unwrap();
    assert_eq!((said, played.is_stuck, played.took.as_secs()), (Err(ErrorKind::TimedOut), false, 300));
    // Time passes only where the script says so, or the other side waits for it.
    let (said, played) = serve("S: 220-wait\n@+10m\nS: 220 hi\n!drop\n");
    assert_eq!((said, played.took.as_secs()), (Ok(b"220-wait\r\n220 hi\r\n".to_vec()), 600));
    // What a server would hear no more, it need not.
    let (said, _) = script("S: 220 hi\n!drop\n").serve(|wire| talk(wire, &["EHLO me\r\n"])).unwrap();
    assert!(said.is_err());
    let limit = script("@ limit 1m\nS: 220-wait\n@+2m\nS: 220 hi\n").serve(read).map(drop).unwrap_err();
    assert_eq!((limit.line, &limit.got[..]), (4, "nothing until the script's limit"));
}

/// Reads a line, or gives up after a while.
async fn line(wire: &mut Wire, clock: &Clock, patience: Duration) -> Result<String, &'static str> {
    let mut line = Vec::new();
    let mut sleep = pin!(clock.sleep(patience));
    while !line.ends_with(b"\n") {
        let mut octet = [0];
        {
            let mut read = pin!(embedded_io_async::Read::read(wire, &mut octet));
            let read = poll_fn(|cx| match read.as_mut().poll(cx) {
                Poll::Ready(read) => Poll::Ready(read.map_err(|_| "error")),
                Poll::Pending => sleep.as_mut().poll(cx).map(|()| Err("timeout")),
            });
            if read.await? == 0 {
                return Err("end");
            }
        }
        line.extend(octet);
    }
    Ok(String::from_utf8(line).unwrap())
}

#[test]
fn one_client_of_several_servers() {
    let scripts = [script("S: 421 busy\nC: EHLO {*}\n"), script("S: 220 hi\nC: EHLO {*}\n!stall\n")];
    let (tries, played) =
        serve_all(&scripts, |connect| [(); 2].map(|()| talk(connect(), &["EHLO me\r\n"]).is_ok())).unwrap();
    assert_eq!(tries, [false, false]);
    assert_eq!((played[0].is_stuck, played[1].is_stuck), (false, true));
    let once = serve_all(&scripts, |connect| drop(talk(connect(), &["EHLO me\r\n"]))).unwrap_err();
    assert_eq!((&once.expected[..], &once.got[..]), ("2 connections", "1"));
    let more = serve_all(&[script("S: 421 busy\n")], |connect| drop((connect(), talk(connect(), &[])))).unwrap_err();
    assert_eq!((&more.expected[..], &more.got[..]), ("1 connections", "1 more"));
}

#[test]
fn a_client_that_awaits() {
    let serve = |text: &str, patience: u64| {
        let clock = Clock::new();
        let links = Links { clock: clock.clone(), ..Links::default() };
        let script = script(text);
        let served = script.serve_async(links, |mut wire| {
            let clock = clock.clone();
            async move {
                let greeting = line(&mut wire, &clock, Duration::from_secs(patience)).await?;
                embedded_io_async::Write::write_all(&mut wire, b"QUIT\r\n").await.map_err(|_| "write")?;
                line(&mut wire, &clock, Duration::from_secs(patience)).await.map(|bye| greeting + &bye)
            }
        });
        clock.run(served).expect("it does not wait for ever").map(|(said, played)| (said, played.took.as_secs()))
    };
    let two = Ok("220 hi\r\n221 bye\r\n".to_string());
    assert_eq!(serve("S: 220 hi\nC: QUIT\nS: 221 bye\n", 300).unwrap(), (two.clone(), 0));
    assert_eq!(serve("@+299s\nS: 220 hi\nC: QUIT\n@+299s\nS: 221 bye\n", 300).unwrap(), (two, 598));
    assert_eq!(serve("@+301s\nS: 220 hi\nC: {...}\n", 300).unwrap().0, Err("timeout"));
    assert_eq!(serve("S: 220 hi\nC: QUIT\n!stall\n", 300).unwrap(), (Err("timeout"), 300));
    assert_eq!(serve("!reset\n", 300).unwrap().0, Err("error"));
    assert_eq!(serve("SB: 2\n!drop\n", 300).unwrap().0, Err("end"));
    // One that would wait for ever ends at the script's limit, and is dropped.
    let limit = serve("S: 220 hi\nC: QUIT\n!stall\n", 1_000_000).unwrap_err();
    assert_eq!((limit.line, &limit.got[..]), (0, "nothing until the script's limit"), "{limit}");
    let closed = serve("S: 220 hi\nC: NOOP\n", 300).unwrap_err();
    assert_eq!((closed.line, &closed.got[..]), (2, "QUIT\\r\\n"));
}

/// The 20-line server of core's documentation, over a wire.
fn serve<S>(mut wire: S, config: &Config<'_>, handler: &mut impl Handler) -> Result<(), S::Error>
where
    S: embedded_io::Read + embedded_io::Write,
{
    let mut session = Session::new(config, Peer::default());
    let (mut buffer, mut unread) = ([0; 64], 0..0);
    loop {
        let mut input = &buffer[unread.clone()];
        let progress = step(&mut session, &mut input, handler, Waker::noop());
        unread.start = unread.end - input.len();
        if progress == Progress::Moved {
            continue;
        }
        wire.write_all(session.output())?;
        session.sent(session.output().len());
        match progress {
            Progress::Closed => return Ok(()),
            Progress::Read => match wire.read(&mut buffer)? {
                0 => session.end(smtpd_core::server::Ending::Lost),
                octets => unread = 0..octets,
            },
            _ => {}
        }
    }
}

const CLIENT: &str = "\
S: 220 {*}
C: HELO me
S: 250 {*}
C: MAIL FROM:<>
H: mail <>
S: 250 {*}
C: RCPT TO:<a@b>
H: rcpt <a@b> => 550 5.1.1 No
S: 550 5.1.1 No
C: QUIT
S: 221 {*}
H: closed Quit
";

/// Does not step its session to the end: the handler hears no `closed`.
fn serve_until_quit(mut wire: Wire, config: &Config<'_>, handler: &mut impl Handler) {
    let mut session = Session::new(config, Peer::default());
    let mut octets = [0; 512];
    loop {
        let said = session.output();
        wire.write_all(said).unwrap();
        if said.starts_with(b"221") {
            return;
        }
        session.sent(said.len());
        let mut input: &[u8] = match step(&mut session, &mut &b""[..], handler, Waker::noop()) {
            Progress::Read if session.output().is_empty() => {
                let read = wire.read(&mut octets).unwrap();
                &octets[..read]
            }
            _ => continue,
        };
        while !input.is_empty() {
            let _ = step(&mut session, &mut input, handler, Waker::noop());
        }
    }
}

#[test]
fn a_server_behind_a_wire() {
    let call = |text: &str, reads| {
        let mut script = script(text);
        script.reads = reads;
        let mut actor = Actor::new(&script);
        script.call(Some(&actor.notes()), |wire| serve(wire, &script.config, &mut actor))
    };
    for reads in [Reads::Of(usize::MAX), Reads::Of(1), Reads::Cut(7)] {
        let (result, played) = call(CLIENT, reads).unwrap();
        assert_eq!((result, played.heard.len()), (Ok(()), 5));
    }
    let wire = call(&CLIENT.replace("S: 550 5.1.1 No", "S: 551 {*}"), Reads::Of(3)).map(drop).unwrap_err();
    assert_eq!((wire.line, &wire.how[..]), (9, "reads of 3"));
    let calls = call(&CLIENT.replace("H: closed Quit", "H: closed Lost"), Reads::Of(3)).map(drop).unwrap_err();
    assert_eq!((&calls.expected[..], &calls.got[..]), ("H: closed Lost", "H: closed Quit"));
    let missing = call(&format!("{CLIENT}H: reset\n"), Reads::Of(3)).map(drop).unwrap_err();
    assert_eq!((&missing.expected[..], &missing.got[..]), ("H: reset", "H: nothing more"));
    let stop = call("S: 220 {*}\n!stop\nS: 421 {*}\n", Reads::Of(3)).map(drop).unwrap_err();
    assert_eq!(&stop.expected[..], "a server that can be told to stop");
    // A server that leaves without a word to its handler, which lives on: nobody knows what else it will hear.
    let silent = script(CLIENT);
    let mut actor = Actor::new(&silent);
    let left = silent.call(Some(&actor.notes()), |wire| serve_until_quit(wire, &silent.config, &mut actor));
    let left = left.map(drop).unwrap_err();
    assert_eq!((&left.expected[..], &left.got[..]), ("the end of the session", "none"));
    // A handler of the caller's own, listened to.
    let script = script(&CLIENT.replace(" => 550 5.1.1 No", "").replace("550 5.1.1 No", "250 {*}"));
    let mut witness = Witness::new(&script, Sink);
    let (_, played) = script.call(Some(&witness.notes()), |wire| serve(wire, &script.config, &mut witness)).unwrap();
    assert_eq!(played.heard[1..3], ["helo me", "mail <>"]);
}

#[test]
fn a_server_that_awaits() {
    let clock = Clock::new();
    let script = script("S: 220 hi\n@+5s\nC: QUIT\nS: 221 bye\n");
    let links = Links { clock: clock.clone(), client: Link::new().latency(Duration::from_secs(1)), ..Links::default() };
    let called = script.call_async(links, None, |mut wire| async move {
        embedded_io_async::Write::write_all(&mut wire, b"220 hi\r\n").await?;
        let mut octets = [0; 6];
        embedded_io_async::Read::read_exact(&mut wire, &mut octets).await.map_err(|_| WireError::Reset)?;
        embedded_io_async::Write::write_all(&mut wire, b"221 bye\r\n").await
    });
    let (result, played) = clock.run(called).unwrap().unwrap();
    assert_eq!((result, played.took.as_secs()), (Ok(()), 6));
}

#[test]
fn a_client_that_takes_half_a_reply_for_one_is_found() {
    /// Believes whatever comes first.
    fn hasty(mut wire: Wire) -> bool {
        let mut octets = [0; 64];
        let mut says = |line: &[u8]| {
            wire.write_all(line).and_then(|()| wire.read(&mut octets)).map(|read| octets[..read].to_vec())
        };
        ["", "HELO me\r\n", "MAIL FROM:<>\r\n"]
            .iter()
            .all(|line| says(line.as_bytes()).is_ok_and(|reply| reply.starts_with(b"2")))
    }
    let script = script("S: 220 hi\nC: HELO me\nS: 250 hi\nC: MAIL FROM:<>\nS: 250 2.1.0 OK\nC: {...}\n");
    let found = explore(&script, Side::Server, Bounds::default(), |script| {
        let (is_accepted, played) = script.serve(hasty)?;
        let said = script.octets_of(Side::Server);
        match is_accepted && said < 31 && !played.said.is_empty() {
            true => Err("it was told half a reply, and took it for one".into()),
            false => Ok(()),
        }
    })
    .unwrap_err();
    assert!(found.script.entries.len() <= 6, "{found}");
    assert!(found.to_string().contains("--- the smallest case, as a script\n"), "{found}");
    // What is printed can be played again.
    let again = Script::parse("again.txt", &found.script.to_string()).unwrap();
    assert!(again.serve(hasty).unwrap().0);
}

#[test]
fn on_a_port() {
    let limit = Duration::from_secs(10);
    let connect = |address| TcpStream::connect(address).map(Socket);
    let server = listen([script(SERVER), script("S: 421 busy\n")], limit).unwrap();
    assert_eq!(talk(connect(server.address()).unwrap(), &QUIT).unwrap(), ["220", "250", "221"]);
    assert_eq!(talk(connect(server.address()).unwrap(), &[]).unwrap(), ["421"]);
    assert_eq!(server.finish().unwrap().len(), 2);
    // A reset, a half reply, silence: each as it is.
    let read = |text: &str| {
        let server = listen([script(text)], limit).unwrap();
        let mut stream = connect(server.address()).unwrap();
        stream.0.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        let mut octets = Vec::new();
        let read = stream.read_to_end(&mut octets).map(|_| octets).map_err(|error| error.kind());
        drop(stream);
        (read, server.finish().map(drop))
    };
    assert_eq!(read("SB: 22\n!drop\n"), (Ok(b"22".to_vec()), Ok(())));
    assert_eq!(read("SB: 22\n!reset\n"), (Err(ErrorKind::ConnectionReset), Ok(())));
    assert_eq!(read("SB: 22\n!stall\n"), (Err(ErrorKind::WouldBlock), Ok(())));
    assert_eq!(read("SB: 2\n@+20ms\nSB: 2\n!drop\n"), (Ok(b"22".to_vec()), Ok(())));
    // A client that says something else, one that never comes, one that stays.
    let wrong = read("S: 220 hi\nC: EHLO {*}\n").1.unwrap_err();
    assert_eq!((wrong.line, &wrong.got[..], &wrong.how[..]), (2, "nothing, and the end", "on a port, whole reads"));
    let nobody = listen([script(SERVER)], limit).unwrap().finish().unwrap_err();
    assert_eq!((&nobody.expected[..], &nobody.got[..]), ("connection 1 of 1", "none, and the client is done"));
    let server = listen([script("S: 421 busy\n")], limit).unwrap();
    let codes = [(); 2].map(|()| talk(connect(server.address()).unwrap(), &[]).map_err(|_| ()));
    assert_eq!(codes[0], Ok(vec!["421".to_string()]));
    let twice = server.finish().unwrap_err();
    assert_eq!((&twice.expected[..], &twice.got[..]), ("1 connections", "one more"));
    let began = Instant::now();
    let server = listen([script(SERVER)], limit).unwrap();
    let stays = connect(server.address()).unwrap();
    let mismatch = server.finish().unwrap_err();
    assert_eq!((mismatch.line, &mismatch.got[..]), (2, "nothing"));
    assert!(began.elapsed() < Duration::from_secs(5));
    drop(stays);
}

#[test]
fn a_port_that_is_dropped_tells_all_the_same() {
    let told = std::panic::catch_unwind(|| {
        let server = listen([script("S: 220 hi\nC: EHLO {*}\n")], Duration::from_secs(10)).unwrap();
        drop(talk(TcpStream::connect(server.address()).map(Socket).unwrap(), &["HELO me\r\n"]));
    });
    let why = told.unwrap_err().downcast::<String>().unwrap();
    assert!(why.contains("EHLO {*}") && why.contains("HELO me"), "{why}");
}

#[test]
fn commands_come_in_letters_of_either_case_and_texts_do_not() {
    let text = "S: 220 hi\nC: DATA\nS: 354 Go on\nC: Hello\nC: .\nS: 250 OK\nC: QUIT\n";
    let serve = |says: &[&str]| script(text).serve(|wire| talk(wire, says)).is_ok();
    assert!(serve(&["data\r\n", "Hello\r\n.\r\n", "quit\r\n"]));
    assert!(!serve(&["data\r\n", "HELLO\r\n.\r\n", "quit\r\n"]));
}

#[test]
fn a_server_on_a_port() {
    let limit = Duration::from_secs(10);
    let server = listen([script("S: 220 hi\nS: 220 there\nC: QUIT\nS: 221 bye\n")], limit).unwrap();
    // Any lines are over when nothing comes for a while.
    let played = script("S: {...}\nC: QUIT\nS: 221 {*}\n").call_on(server.address(), limit).unwrap();
    assert_eq!(played.said, b"220 hi\r\n220 there\r\n221 bye\r\n");
    server.finish().unwrap();
    let unreachable = script("S: 220 {*}\n").call_on("127.0.0.1:1", limit).unwrap_err();
    assert_eq!(&unreachable.expected[..], "a server that can be reached");
}

/// A socket that is cloned as a wire is.
struct Socket(TcpStream);

impl Clone for Socket {
    fn clone(&self) -> Self {
        Self(self.0.try_clone().unwrap())
    }
}

impl Read for Socket {
    fn read(&mut self, octets: &mut [u8]) -> std::io::Result<usize> {
        self.0.read(octets)
    }
}

impl Write for Socket {
    fn write(&mut self, octets: &[u8]) -> std::io::Result<usize> {
        self.0.write(octets)
    }
    fn flush(&mut self) -> std::io::Result<()> {
        self.0.flush()
    }
}
