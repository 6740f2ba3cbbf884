//! Servers that hang, break off and lie, at each step.

use std::io;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use smtpd_mock::{Bounds, Link, Links, Played, Script, Side, explore, listen};
use smtpd_std::client::{Client, Command, Error, Sent, Timers};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};

use super::{FROM, HELLO, MAIL, PLAIN, TO, builder, meet, one, over};

/// What a server says and hears, by the command that it answers next.
const STEPS: [(Command, &str); 6] = [
    (Command::Greeting, ""),
    (Command::Hello, "S: 220 hi\nC: EHLO client.example\n"),
    (Command::Mail, "S: 250 hi\nC: MAIL FROM:<me@client.example>\n"),
    (Command::Rcpt, "S: 250 OK\nC: RCPT TO:<one@example.org>\n"),
    (Command::Data, "S: 250 OK\nC: DATA\n"),
    (Command::Message, "S: 354 Go on\nC: Subject: test\nC:\nC: Hi\nC: .\n"),
];

/// All of it, up to where it answers this.
fn until(command: Command) -> String {
    let at = STEPS.iter().position(|(step, _)| *step == command).unwrap();
    STEPS[..=at].iter().map(|(_, script)| *script).collect()
}

/// What ended it, and whether it is in doubt.
fn cause(error: Error) -> (Error, bool) {
    match error {
        Error::InDoubt { cause, outcomes, recipients } => {
            assert_eq!((outcomes.len(), &recipients[..]), (0, &[TO[0].to_owned()][..]));
            (*cause, true)
        }
        error => (error, false),
    }
}

async fn fails(script: &str) -> (Error, bool, Played) {
    let (sent, played) = meet(script, async |wire| one(builder(), wire, 1).await).await;
    let error = sent.unwrap_err();
    assert!(error.is_transient(), "{error:?}");
    let (cause, is_in_doubt) = cause(error);
    (cause, is_in_doubt, played)
}

#[tokio::test(start_paused = true)]
async fn it_hangs() {
    let secs = [300, 300, 300, 300, 120, 600];
    for ((command, _), secs) in STEPS.into_iter().zip(secs) {
        for said in ["", "SB: 2\n", "SB: 250-so\\r\\n250\n"] {
            let (cause, is_in_doubt, played) = fails(&format!("{}{said}!stall\n", until(command))).await;
            assert!(matches!(cause, Error::TimedOut(at) if at == command), "{cause:?}");
            assert_eq!(is_in_doubt, command == Command::Message);
            assert_eq!(played.took.as_secs(), secs, "{command:?}");
        }
    }
}

/// An octet now and then buys no time.
#[tokio::test(start_paused = true)]
async fn it_drips() {
    let drips =
        "@+20s\nSB: 2\n@+20s\nSB: 5\n@+20s\nSB: 0\n".to_owned() + &"@+20s\nSB: x\n".replace('x', " ").repeat(40);
    let script = until(Command::Mail) + &drips;
    let (sent, played) = meet(&script, async |wire| one(builder(), wire, 1).await).await;
    assert!(matches!(sent, Err(Error::TimedOut(Command::Mail))), "{sent:?}");
    assert!(played.took >= Duration::from_secs(300));
}

#[tokio::test(start_paused = true)]
async fn it_breaks_off() {
    for (command, _) in STEPS {
        for said in ["", "SB: 25\n", "SB: 250\n", "SB: 250 OK\\r\n", "SB: 250-OK\\r\\n\n"] {
            for end in ["!drop", "!reset"] {
                let (cause, is_in_doubt, _) = fails(&format!("{}{said}{end}\n", until(command))).await;
                assert!(matches!(cause, Error::Lost(at, _) if at == command), "{cause:?}");
                assert_eq!(is_in_doubt, command == Command::Message);
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn it_says_what_is_no_answer() {
    for (command, _) in STEPS {
        let wrong = if command == Command::Data { "250 OK" } else { "354 Go on" };
        for said in ["Hello", "", "250-OK\\r\\n550 No", "999 Well", wrong] {
            let (cause, is_in_doubt, _) = fails(&format!("{}SB: {said}\\r\\n\nC: {{...}}\n", until(command))).await;
            assert!(matches!(cause, Error::NotSmtp(at, _) if at == command), "{said}: {cause:?}");
            assert_eq!(is_in_doubt, command == Command::Message);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn its_reply_has_no_end() {
    for endless in ["SB*2000: 250-more\\r\\n\n", "SB*100: \\(900:x)\n"] {
        let script = format!("{}{endless}C: {{...}}\n", until(Command::Hello));
        let (cause, ..) = fails(&script).await;
        assert!(matches!(cause, Error::NotSmtp(Command::Hello, _)), "{cause:?}");
    }
}

/// A reply that comes before it is asked for is none, however it comes.
#[tokio::test(start_paused = true)]
async fn it_answers_too_early() {
    for (step, command) in [
        ("SB: 220 hi\\r\\n250 hi\\r\\n\n", Command::Hello),
        ("S: 220 hi\nC: EHLO client.example\nSB: 250 hi\\r\\n250 OK\\r\\n\n", Command::Mail),
        ("S: 220 hi\nC: EHLO client.example\nS: 250 hi\nC: {*}\nSB: 250 OK\\r\\n250 OK\\r\\n\n", Command::Rcpt),
        (&(until(Command::Data) + "SB: 354 Go on\\r\\n250 OK\\r\\n\n"), Command::Message),
    ] {
        let (cause, is_in_doubt, _) = fails(&format!("{step}C: {{...}}\n")).await;
        assert!(matches!(cause, Error::NotSmtp(at, _) if at == command), "{command:?}: {cause:?}");
        assert!(!is_in_doubt, "the text was not sent");
    }
}

/// Between two mails, and to the first of them.
#[tokio::test(start_paused = true)]
async fn it_says_something_between_mails() {
    let first = until(Command::Message) + "S: 250 OK\n";
    for (between, is_421) in [("S: 250 OK\n", false), ("S: 421 4.4.2 Idle\n!drop\n", true), ("!drop\n", false)] {
        let script = format!("{first}@+1s\n{between}{}", if between.contains("drop") { "" } else { "C: {...}\n" });
        let client = async |wire| {
            let mut client = builder().over(wire).await.unwrap();
            assert_eq!(client.send(FROM, &TO[..1], MAIL).await.unwrap().accepted().count(), 1);
            tokio::time::sleep(Duration::from_secs(2)).await;
            client.send(FROM, &TO[..1], MAIL).await.unwrap_err()
        };
        let (error, _) = meet(&script, client).await;
        assert!(error.is_transient());
        match error {
            Error::Refused(Command::Mail, reply) => assert!(is_421 && reply.code == 421),
            Error::NotSmtp(Command::Mail, _) => assert!(between.starts_with("S: 250")),
            Error::Lost(Command::Mail, _) => assert!(between.starts_with("!drop")),
            error => panic!("{error:?}"),
        }
    }
}

/// It says why and closes while the text is under way.
#[tokio::test(start_paused = true)]
async fn it_goes_within_the_text() {
    let script = until(Command::Data) + "S: 354 Go on\nC: Subject: long\nS: 421 4.3.2 Going down\n!drop\n";
    let client = async |wire| {
        let mut client = builder().over(wire).await.unwrap();
        let mail = "Subject: long\r\n".to_owned() + &"A line of text\r\n".repeat(100_000);
        client.send(FROM, &TO[..1], mail).await.unwrap_err()
    };
    let links = Links { client: Link::new().window(4_096), ..Links::default() };
    let (error, _) = over(links, &script, client).await;
    assert!(matches!(&error, Error::Refused(Command::Message, reply) if reply.code == 421), "{error:?}");
}

/// It takes no more of the text.
#[tokio::test(start_paused = true)]
async fn it_hangs_within_the_text() {
    let (wire, mut server) = tokio::io::duplex(4_096);
    let began = tokio::time::Instant::now();
    let hangs = tokio::spawn(async move {
        let mut command = [0; 64];
        for reply in ["220 hi\r\n", "250 hi\r\n", "250 OK\r\n", "250 OK\r\n", "354 Go on\r\n"] {
            server.write_all(reply.as_bytes()).await.unwrap();
            assert!(server.read(&mut command).await.unwrap() > 0);
        }
        std::future::pending::<()>().await;
    });
    let mut client = builder().over(wire).await.unwrap();
    let error = client.send(FROM, &TO[..1], "A line of text\r\n".repeat(100_000)).await.unwrap_err();
    assert!(matches!(&error, Error::TimedOut(Command::Message)), "{error:?}");
    assert_eq!(began.elapsed().as_secs(), 180);
    hangs.abort();
}

/// A stream into which only EHLO can be written.
struct Broken(tokio::io::DuplexStream, bool);

impl AsyncRead for Broken {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Broken {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        match std::mem::replace(&mut self.1, true) {
            true => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            false => Pin::new(&mut self.0).poll_write(cx, octets),
        }
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

/// What a server said before it closed is heard, and if it said nothing, that is not waited for.
#[tokio::test(start_paused = true)]
async fn nothing_can_be_written() {
    for says in [true, false] {
        let (wire, mut server) = tokio::io::duplex(4_096);
        let serving = tokio::spawn(async move {
            server.write_all(b"220 hi\r\n").await.unwrap();
            assert!(server.read(&mut [0; 64]).await.unwrap() > 0);
            server.write_all(b"250 hi\r\n").await.unwrap();
            tokio::time::sleep(Duration::from_millis(500)).await;
            if says {
                server.write_all(b"421 Bye\r\n").await.unwrap();
            }
            std::future::pending::<()>().await;
        });
        let mut client = builder().over(Broken(wire, false)).await.unwrap();
        let began = tokio::time::Instant::now();
        match client.send(FROM, &TO[..1], MAIL).await.unwrap_err() {
            Error::Refused(Command::Mail, reply) => assert!(says && reply.code == 421),
            Error::Lost(Command::Mail, Some(error)) => assert!(!says && error.kind() == io::ErrorKind::BrokenPipe),
            error => panic!("{error:?}"),
        }
        assert!(began.elapsed() <= Duration::from_secs(1));
        serving.abort();
    }
}

/// The scripts that other clients meet in tests/faults, on a port.
#[tokio::test]
async fn the_faults_of_other_clients() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/faults/scripts");
    let mut timers = Timers::DEFAULT;
    (timers.greeting, timers.mail, timers.rcpt, timers.data, timers.text, timers.message) = (3, 3, 3, 3, 3, 3);
    let mut count = 0;
    let mut met = tokio::task::JoinSet::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let expected = match &name[..] {
            "greeting_in_pieces" => "sent",
            "554_greeting" | "554_and_stall" => "permanent",
            "421_at_greeting" | "421_at_ehlo" | "421_at_mail" | "421_at_rcpt" | "421_at_data" | "421_at_the_dot" => {
                "temporary"
            }
            "no_greeting" | "dripping_reply" => "timeout",
            "stall_at_the_dot" => "doubt: timeout",
            "reset_at_the_dot" | "torn_code" | "torn_line" | "torn_between_lines" => "doubt: lost",
            "354_at_the_dot" | "garbage_at_the_dot" => "doubt: bad reply",
            _ => "bad reply",
        };
        count += 1;
        let script = Script::read(&path).unwrap();
        let builder = Client::builder().timers(timers);
        met.spawn(async move {
            let server = listen([script], Duration::from_secs(10)).unwrap();
            let heard = match through(builder.connect(server.address()).await).await {
                Ok(_) => "sent".to_owned(),
                Err(error) => verdict(&error),
            };
            // What it then should have said is not what is tested.
            let _ = server.finish();
            assert_eq!(heard, expected, "{name}");
        });
    }
    assert!(count >= 25);
    while let Some(met) = met.join_next().await {
        met.unwrap();
    }
}

async fn through(client: Result<Client, Error>) -> Result<Sent, Error> {
    let mut client = client?;
    client.send(FROM, &TO[..1], "One.\r\nTwo.\r\nThree.\r\n").await
}

fn verdict(error: &Error) -> String {
    match error {
        Error::InDoubt { cause, .. } => format!("doubt: {}", verdict(cause)),
        Error::TimedOut(_) => "timeout".into(),
        Error::Lost(..) => "lost".into(),
        Error::NotSmtp(..) => "bad reply".into(),
        error if error.is_permanent() => "permanent".into(),
        _ => "temporary".into(),
    }
}

/// Whatever ends, and whatever is damaged: no mail is said to be sent, or not to be, if it is otherwise.
#[test]
fn nothing_untrue_is_said() {
    let group = "C: RCPT TO:<one@example.org>\nC: RCPT TO:<two@example.org>\nC: DATA\nS: 250 OK\nS: 250 OK\nS: 550 No\nS: 354 Go on\n";
    let mail = "C: Subject: test\nC:\nC: Hi\nC: .\n";
    let sized = "C: MAIL FROM:<me@client.example> SIZE=21\n";
    let mut runs = 0;
    for text in [
        format!("{HELLO}{sized}{group}{mail}S: 250 Accepted\nC: QUIT\nS: 221 Bye\n"),
        format!("{HELLO}{sized}{group}{mail}S: 554 Refused\nC: QUIT\nS: 221 Bye\n"),
        format!(
            "{PLAIN}C: MAIL FROM:<me@client.example>\nS: 250 OK\nC: RCPT TO:<one@example.org>\nS: 250 OK\nC: RCPT TO:<two@example.org>\n\
             S: 550 No\nC: DATA\nS: 354 Go on\n{mail}S: 250 Accepted\nC: QUIT\nS: 221 Bye\n"
        ),
    ] {
        let script = Script::parse("mail", &text).unwrap();
        let explored = explore(&script, Side::Server, Bounds::default(), |script| {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
            let meeting = script.serve_async(Links::default(), async |wire| one(builder(), wire, 2).await);
            let (sent, played) = runtime.block_on(meeting)?;
            check(&sent, &played)
        });
        runs += explored.unwrap_or_else(|found| panic!("{found}"));
    }
    assert!(runs > 1_000, "{runs}");
}

fn check(sent: &Result<Sent, Error>, played: &Played) -> Result<(), smtpd_mock::Failure> {
    let is_whole = played.said.windows(5).any(|octets| octets == b"\r\n.\r\n");
    // The last piece has no end.
    let mut lines: Vec<_> = played.told.split(|octet| *octet == b'\n').collect();
    lines.pop();
    let is_accepted = lines.iter().skip_while(|line| !line.starts_with(b"3")).any(|line| line.starts_with(b"2"));
    match sent {
        Ok(sent) if !is_whole || !is_accepted => Err(format!("it was not: {sent:?}").into()),
        Err(Error::InDoubt { .. }) if !is_whole => Err("it was not sent to its end".into()),
        Err(Error::Lost(..) | Error::TimedOut(_) | Error::NotSmtp(..)) if is_whole => {
            Err("it may have been accepted".into())
        }
        Err(Error::Text(_) | Error::Closed | Error::Connect(_)) => Err("not here".into()),
        _ => Ok(()),
    }
}
