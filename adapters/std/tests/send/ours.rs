//! Against the server of this crate, over real ports.

use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use smtpd_std::client::{Body, Client, Error};
use smtpd_std::{Config, Extensions, Files, Message, Messages, Running, Server, process_message, send, send_blocking};

use super::{FROM, MAIL, TO};

/// A server, and the mails that it gets.
fn start(config: Config<'static>) -> (Running, Receiver<Message>) {
    let (sender, mails) = channel();
    let handler = move |_| {
        let sender = sender.clone();
        process_message(move |message| {
            let refuses = message.rcpt_tos.iter().any(|to| to.starts_with("nobody"));
            sender.send(message.take())?;
            Ok(refuses.then(|| "554 5.6.0 Nobody reads this".into()))
        })
    };
    // It makes a runtime, which must not be done within the test's.
    let server = std::thread::spawn(move || Server::spawn("127.0.0.1:0", config, handler).unwrap());
    (server.join().unwrap(), mails)
}

fn config() -> Config<'static> {
    Config::new("mx.example.org")
}

fn next(mails: &Receiver<Message>) -> Message {
    mails.recv_timeout(Duration::from_secs(10)).unwrap()
}

/// With its line ends repaired, as a server gets it.
fn repaired(text: &[u8]) -> Vec<u8> {
    let lf = String::from_utf8_lossy(text).replace("\r\n", "\n").replace('\r', "\n");
    let lf = if lf.is_empty() || lf.ends_with('\n') { lf } else { lf + "\n" };
    lf.replace('\n', "\r\n").into_bytes()
}

#[tokio::test]
async fn a_text_arrives_octet_for_octet() {
    let (server, mails) = start(config());
    let mut client = Client::connect(server.address()).await.unwrap();
    let long = format!("{}\r\n.\r\n..{}", "x".repeat(5_000), ".\n".repeat(20_000));
    let large = "A line of text, as there are many.\r\n".repeat(5 * 1024 * 1024 / 36);
    let texts = [
        "",
        ".",
        "..",
        ".\r\n",
        "a",
        "a\r\n",
        "\r\n",
        "\n",
        "\r",
        "a\nb\rc\r\nd",
        ".a\n.b\r.c\r\n.d",
        "a\r\n.\r\nQUIT\r\n",
        "a\n.\nb",
        "a\r.\rb",
        "\r\r\n\n\r",
        "Grüße\r\n",
        MAIL,
        &long,
        &large,
    ];
    for text in texts {
        let sent = client.send(FROM, &TO, text).await.unwrap();
        assert_eq!((sent.accepted().count(), sent.refused().count()), (3, 0));
        let mail = next(&mails);
        assert_eq!((mail.mail_from.as_str(), &mail.rcpt_tos[..]), (FROM, &TO.map(str::to_owned)[..]));
        assert!(mail.data == repaired(text.as_bytes()), "{} octets: {:?}", text.len(), &text[..text.len().min(40)]);
        let body = if text.is_ascii() { None } else { Some("BODY=8BITMIME".to_owned()) };
        let options: Vec<_> = [Some(format!("SIZE={}", mail.data.len())), body].into_iter().flatten().collect();
        assert_eq!(mail.mail_options, options);
        // A stream brings the same, in whatever pieces it comes.
        if text.len() < 10_000 {
            let pieces = in_pieces(text.as_bytes());
            let sent = client.send_stream(FROM, &TO, pieces, None, Body::EightBitMime).await.unwrap();
            assert_eq!(sent.outcomes.len(), 3);
            assert!(next(&mails).data == mail.data);
        }
    }
    let sent = client.send_stream(FROM, &TO, large.as_bytes(), Some(large.len() as u64), Body::SevenBit).await;
    assert_eq!(sent.unwrap().accepted().count(), 3);
    assert!(next(&mails).data == large.as_bytes());
    client.quit().await.unwrap();
    assert!(mails.try_recv().is_err());
}

/// The text in pieces of 7 octets, with others running in between.
fn in_pieces(text: &[u8]) -> tokio::io::DuplexStream {
    let (mut from, to) = tokio::io::duplex(7);
    let text = text.to_vec();
    tokio::spawn(async move { tokio::io::AsyncWriteExt::write_all(&mut from, &text).await });
    to
}

#[tokio::test]
async fn a_hundred_recipients_and_thousands() {
    for without in [Extensions::NONE, Extensions::PIPELINING] {
        let mut config = config();
        config.extensions = config.extensions.without(without);
        config.limits.recipients = 5_000;
        let (server, mails) = start(config);
        let mut client = Client::connect(server.address()).await.unwrap();
        assert_eq!(client.extensions().contains(Extensions::PIPELINING), without.is_empty());
        for count in [100, 3_000] {
            let to: Vec<String> = (0..count).map(|number| format!("user{number}@example.org")).collect();
            let sent = client.send("", &to, MAIL).await.unwrap();
            assert!(sent.accepted().map(|outcome| &outcome.recipient).eq(&to));
            let mail = next(&mails);
            assert!(mail.rcpt_tos == to && mail.mail_from.is_empty());
        }
    }
}

#[tokio::test]
async fn a_refusal_leaves_the_connection() {
    let mut config = config();
    config.limits.size = 1_000;
    config.limits.recipients = 2;
    let (server, mails) = start(config);
    let mut client = Client::connect(server.address()).await.unwrap();
    assert_eq!(client.max_size(), 1_000);
    // The server refuses the text.
    let refused = client.send(FROM, &["nobody@example.org"], MAIL).await.unwrap_err();
    assert!(refused.is_permanent() && !refused.is_transient());
    assert_eq!(refused.to_string(), "the server refused the mail: 554 5.6.0 Nobody reads this");
    // One recipient too many.
    let sent = client.send(FROM, &TO, MAIL).await.unwrap();
    assert_eq!(
        sent.refused().map(|outcome| (outcome.recipient.as_str(), outcome.reply.code)).collect::<Vec<_>>(),
        [(TO[2], 452)]
    );
    // Too long, in octets as they are sent; refused here, and there if it comes as a stream of unknown length.
    let (fits, too_long) = ("x\n".repeat(333) + "x", "x\n".repeat(334));
    assert!(matches!(client.send(FROM, &TO[..1], &too_long).await, Err(Error::TooLarge(1_000))));
    let sent = client.send_stream(FROM, &TO[..1], too_long.as_bytes(), None, Body::SevenBit).await.unwrap_err();
    assert_eq!(sent.reply().unwrap().code, 552);
    assert_eq!(client.send(FROM, &TO[..1], &fits[..fits.len() - 1]).await.unwrap().outcomes.len(), 1);
    client.quit().await.unwrap();
    assert_eq!(mails.iter().take(3).map(|mail| mail.rcpt_tos.len()).collect::<Vec<_>>(), [1, 2, 1]);
}

#[tokio::test]
async fn the_name_of_this_host_is_one() {
    let (server, mails) = start(config());
    let mail = "Subject: once\n\nHi\n";
    let sent = send(server.address(), FROM, &TO, mail).await.unwrap();
    assert_eq!(sent.outcomes.len(), 3);
    assert_eq!(next(&mails).data, b"Subject: once\r\n\r\nHi\r\n");
    let name = Client::builder().name("no name").connect(server.address()).await;
    assert!(matches!(name, Err(Error::Syntax(name)) if name == "no name"));
}

#[test]
fn without_a_runtime() {
    let (server, mails) = start(config());
    assert_eq!(send_blocking(server.address(), FROM, &TO, MAIL).unwrap().accepted().count(), 3);
    assert_eq!(next(&mails).data, MAIL.as_bytes());
    let closed = server.address();
    server.stop();
    let error = send_blocking(closed, FROM, &TO, MAIL).unwrap_err();
    assert!(matches!(&error, Error::Connect(why) if why.kind() == std::io::ErrorKind::ConnectionRefused));
    assert!(error.is_transient());
    let error = send_blocking("no-such-host.invalid:25", FROM, &TO, MAIL).unwrap_err();
    assert!(matches!(error, Error::Connect(_)));
}

#[tokio::test]
async fn each_address_is_tried() {
    let (server, mails) = start(config());
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let sent = send(&[free, server.address()][..], FROM, &TO, MAIL).await.unwrap();
    assert_eq!((sent.outcomes.len(), next(&mails).rcpt_tos.len()), (3, 3));
}

#[tokio::test]
async fn lmtp_has_an_outcome_for_each() {
    let mut config = config();
    config.lmtp = true;
    let folder = std::env::temp_dir().join(format!("smtpd-send-{}", std::process::id()));
    let files = Files::new(&folder).unwrap();
    let server = Server::bind("127.0.0.1:0", config).await.unwrap();
    let (address, stopper) = (server.local_addrs().unwrap()[0], server.stopper());
    let running = tokio::spawn(async move { server.run(move |_| Messages::new(files.clone())).await });
    let mut client = Client::lmtp(address).await.unwrap();
    for _ in 0..2 {
        let sent = client.send(FROM, &TO, MAIL).await.unwrap();
        assert_eq!(sent.accepted().count(), 3);
    }
    client.quit().await.unwrap();
    stopper.stop();
    running.await.unwrap();
    let is_mail = |entry: &std::fs::DirEntry| entry.path().extension().is_some_and(|kind| kind == "eml");
    let mails: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap()).filter(is_mail).collect();
    assert_eq!(mails.len(), 2);
    for mail in mails {
        assert_eq!(std::fs::read(mail.path()).unwrap(), MAIL.as_bytes());
    }
    std::fs::remove_dir_all(folder).unwrap();
}

#[tokio::test]
async fn it_runs_in_a_task_of_its_own() {
    let (server, mails) = start(config());
    let address = server.address();
    let sent = tokio::spawn(async move { send(address, FROM, &TO, MAIL.to_owned()).await });
    assert_eq!(sent.await.unwrap().unwrap().outcomes.len(), next(&mails).rcpt_tos.len());
}
