//! What is said, and what is made of each answer.

use std::time::Duration;

use smtpd_std::client::{Body, Command, Error};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::time::{sleep, timeout};

use super::{FROM, HELLO, MAIL, PLAIN, TO, builder, far, meet, one, over, told};

const SIZED: &str = "C: MAIL FROM:<me@client.example> SIZE=21\n";
const TEXT: &str = "C: Subject: test\nC:\nC: Hi\nC: .\n";
const QUIT: &str = "C: QUIT\nS: 221 Bye\n";

#[tokio::test(start_paused = true)]
async fn one_of_three_is_refused() {
    let pipelined = format!(
        "{HELLO}{SIZED}C: RCPT TO:<one@example.org>\nC: RCPT TO:<two@example.org>\nC: RCPT TO:<three@example.org>\n\
         C: DATA\nS: 250 2.1.0 OK\nS: 250 2.1.5 OK\nS: 550 5.1.1 No such user\nS: 250 2.1.5 OK\nS: 354 Go on\n{TEXT}\
         S: 250 2.0.0 Queued as 1\n{QUIT}"
    );
    let plain = format!(
        "{PLAIN}C: MAIL FROM:<me@client.example>\nS: 250 2.1.0 OK\nC: RCPT TO:<one@example.org>\nS: 250 2.1.5 OK\n\
         C: RCPT TO:<two@example.org>\nS: 550 5.1.1 No such user\nC: RCPT TO:<three@example.org>\nS: 250 2.1.5 OK\n\
         C: DATA\nS: 354 Go on\n{TEXT}S: 250 2.0.0 Queued as 1\n{QUIT}"
    );
    for script in [pipelined, plain] {
        let (sent, _) = meet(&script, async |wire| one(builder(), wire, 3).await).await;
        let sent = sent.unwrap();
        assert_eq!(
            told(&sent.outcomes),
            "one@example.org Message 250 2.0.0 Queued as 1; two@example.org Rcpt 550 5.1.1 No such user; \
             three@example.org Message 250 2.0.0 Queued as 1"
        );
        assert_eq!((sent.accepted().count(), sent.refused().count()), (2, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn all_or_none() {
    let script = format!(
        "{HELLO}{SIZED}C: RCPT TO:<one@example.org>\nC: RCPT TO:<two@example.org>\nS: 250 OK\nS: 250 OK\nS: 450 4.2.1 Later\n\
         C: RSET\n{SIZED}C: RCPT TO:<one@example.org>\nS: 250 OK\nS: 250 OK\nS: 250 OK\nC: DATA\nS: 354 Go on\n{TEXT}\
         S: 250 OK\n{QUIT}"
    );
    let client = async |wire| {
        let mut client = builder().all_or_none().over(wire).await.unwrap();
        let refused = client.send(FROM, &TO[..2], MAIL).await.unwrap_err();
        let Error::SomeRefused(outcomes) = &refused else { panic!("{refused}") };
        assert_eq!(told(outcomes), "one@example.org Rcpt 250 OK; two@example.org Rcpt 450 4.2.1 Later");
        assert!(refused.is_transient() && !outcomes[0].is_accepted());
        assert_eq!(client.send(FROM, &TO[..1], MAIL).await.unwrap().accepted().count(), 1);
        client.quit().await.unwrap();
    };
    meet(&script, client).await;
}

#[tokio::test(start_paused = true)]
async fn when_all_are_refused_nothing_is_left_behind() {
    let group = format!("{SIZED}C: RCPT TO:<one@example.org>\nC: RCPT TO:<two@example.org>\nC: DATA\n");
    let refused = "S: 250 OK\nS: 550 5.1.1 No\nS: 450 4.2.1 Later\n";
    let accepted = format!("S: 250 OK\nS: 250 OK\nS: 250 OK\nS: 354 Go on\n{TEXT}S: 250 OK\n{QUIT}");
    for script in [
        // DATA is refused, and the transaction goes on until RSET.
        format!("{HELLO}{group}{refused}S: 554 5.5.1 No valid recipients\nC: RSET\n{group}S: 250 OK\n{accepted}"),
        // DATA is not, and gets the end of a text.
        format!("{HELLO}{group}{refused}S: 354 Go on\nC: .\nS: 554 5.5.1 No valid recipients\n{group}{accepted}"),
    ] {
        let client = async |wire| {
            let mut client = builder().over(wire).await.unwrap();
            let refused = client.send(FROM, &TO[..2], MAIL).await.unwrap_err();
            let Error::RecipientsRefused(outcomes) = &refused else { panic!("{refused}") };
            assert_eq!(told(outcomes), "one@example.org Rcpt 550 5.1.1 No; two@example.org Rcpt 450 4.2.1 Later");
            assert!(refused.is_transient() && !refused.is_permanent(), "one of them may be tried again");
            assert_eq!(client.send(FROM, &TO[..2], MAIL).await.unwrap().accepted().count(), 2);
            client.quit().await.unwrap();
        };
        meet(&script, client).await;
    }
    // Without PIPELINING, DATA is not said.
    let script = format!(
        "{PLAIN}C: MAIL FROM:<me@client.example>\nS: 250 OK\nC: RCPT TO:<one@example.org>\nS: 550 5.1.1 No\n{QUIT}"
    );
    let (sent, _) = meet(&script, async |wire| one(builder(), wire, 1).await).await;
    assert!(sent.unwrap_err().is_permanent());
}

#[tokio::test(start_paused = true)]
async fn a_refusal_at_each_step() {
    let steps = [
        ("", Command::Greeting),
        ("S: 220 hi\nC: EHLO client.example\n", Command::Hello),
        ("C: MAIL FROM:<me@client.example>\n", Command::Mail),
        ("S: 250 OK\nC: RCPT TO:<one@example.org>\n", Command::Rcpt),
        ("S: 250 OK\nC: DATA\n", Command::Data),
        (&format!("S: 354 Go on\n{TEXT}"), Command::Message),
    ];
    let mut before = String::new();
    for (step, command) in steps {
        before = if command == Command::Mail { PLAIN.to_owned() + step } else { before + step };
        for code in [421, 450, 554] {
            let closes = code == 421;
            // EHLO is refused for good: so is HELO.
            let helo =
                if command == Command::Hello && code == 554 { "C: HELO client.example\nS: 554 No\n" } else { "" };
            let quit = if closes { "!drop\n" } else { QUIT };
            let script = format!("{before}S: {code} No\n{helo}{quit}");
            let (sent, _) = meet(&script, async |wire| one(builder(), wire, 1).await).await;
            let error = sent.unwrap_err();
            let (heard, reply) = match &error {
                Error::Refused(heard, reply) => (*heard, reply),
                Error::RecipientsRefused(outcomes) => (outcomes[0].command, &outcomes[0].reply),
                _ => panic!("{script}{error:?}"),
            };
            assert_eq!((heard, reply.code), (command, code), "{script}");
            assert_eq!((error.is_permanent(), error.is_transient()), (code == 554, code != 554), "{script}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn helo_where_ehlo_is_refused() {
    let script = format!(
        "S: 220 hi\nC: EHLO client.example\nS: 502 What?\nC: HELO client.example\nS: 250 hi\n\
         C: MAIL FROM:<me@client.example>\nS: 250 OK\nC: RCPT TO:<one@example.org>\nS: 251 Forwarded\n\
         C: DATA\nS: 354 Go on\n{TEXT}S: 250 OK\n{QUIT}"
    );
    let (sent, _) = meet(&script, async |wire| one(builder(), wire, 1).await).await;
    assert_eq!(sent.unwrap().accepted().count(), 1);
}

#[tokio::test(start_paused = true)]
async fn octets_above_127() {
    let refused = format!("{PLAIN}{QUIT}");
    let client = async |wire| {
        let mut client = builder().over(wire).await.unwrap();
        let error = client.send(FROM, &TO[..1], "Grüße").await.unwrap_err();
        assert!(matches!(error, Error::EightBit) && error.is_permanent());
        let stream = client.send_stream(FROM, &TO[..1], MAIL.as_bytes(), None, Body::EightBitMime).await;
        assert!(matches!(stream, Err(Error::EightBit)));
        client.quit().await.unwrap();
    };
    meet(&refused, client).await;
    let as_is = format!(
        "{PLAIN}C: MAIL FROM:<me@client.example>\nS: 250 OK\nC: RCPT TO:<one@example.org>\nS: 250 OK\nC: DATA\n\
         S: 354 Go on\nB: \\xfcber\\r\\n.\\r\\nS: 250 OK\n{QUIT}"
    )
    .replace("\\r\\nS: 250", "\\r\\n\nS: 250");
    let client = async |wire| {
        let mut client = builder().eight_bit_as_is().over(wire).await.unwrap();
        assert_eq!(client.send(FROM, &TO[..1], b"\xfcber").await.unwrap().accepted().count(), 1);
        client.quit().await.unwrap();
    };
    meet(&as_is, client).await;
}

/// Where there is an answer for each recipient, the end of a text for none has no answer.
#[tokio::test(start_paused = true)]
async fn lmtp_to_nobody() {
    let script = "S: 220 hi\nC: LHLO client.example\nSB: 250-hi\\r\\n250 PIPELINING\\r\\n\n\
        C: MAIL FROM:<me@client.example>\nC: RCPT TO:<one@example.org>\nC: DATA\nS: 250 OK\nS: 550 No\nS: 354 Go on\n";
    let client = async |wire| {
        let mut client = builder().lmtp().over(wire).await.unwrap();
        let error = client.send(FROM, &TO[..1], MAIL).await.unwrap_err();
        assert!(matches!(error, Error::RecipientsRefused(_)) && error.is_permanent());
        assert!(!client.is_open());
    };
    let (_, played) = meet(script, client).await;
    assert_eq!(played.took.as_secs(), 0);
}

/// Whatever it answers.
#[tokio::test(start_paused = true)]
async fn after_421_there_is_nothing_more() {
    let mut before = PLAIN.to_owned();
    for step in [
        "C: MAIL FROM:<me@client.example>\n",
        "S: 250 OK\nC: RCPT TO:<one@example.org>\n",
        "S: 250 OK\nC: DATA\n",
        &format!("S: 354 Go on\n{TEXT}"),
    ] {
        before += step;
        let client = async |wire| {
            let mut client = builder().over(wire).await.unwrap();
            let error = client.send(FROM, &TO[..1], MAIL).await.unwrap_err();
            assert!(error.reply().is_some_and(|reply| reply.code == 421) && !client.is_open());
            assert!(matches!(client.send(FROM, &TO[..1], MAIL).await, Err(Error::Closed)));
        };
        meet(&format!("{before}S: 421 Bye\n!drop\n"), client).await;
    }
}

/// Nobody gets a part of a mail.
#[tokio::test(start_paused = true)]
async fn a_stream_that_fails_is_broken_off() {
    let group =
        "C: MAIL FROM:<me@client.example>\nC: RCPT TO:<one@example.org>\nC: DATA\nS: 250 OK\nS: 250 OK\nS: 354 Go on\n";
    let script = format!("{HELLO}{group}C: {{...}}");
    let (error, played) = meet(&script, async |wire| {
        let mut client = builder().over(wire).await.unwrap();
        let text = b"a\r\n".repeat(10_000);
        let sent = client.send_stream(FROM, &TO[..1], (&text[..]).chain(Broken), None, Body::SevenBit).await;
        assert!(matches!(client.send(FROM, &TO[..1], MAIL).await, Err(Error::Closed)) && !client.is_open());
        assert!(matches!(client.quit().await, Err(Error::Closed)));
        sent.unwrap_err()
    })
    .await;
    assert!(matches!(error, Error::Text(_)), "{error:?}");
    assert!(!error.is_transient() && !error.is_permanent());
    assert!(!has_end(&played.said));
    let (error, played) = meet(&script, async |wire| {
        let mut client = builder().over(wire).await.unwrap();
        client.send_stream(FROM, &TO[..1], "a\r\nü".as_bytes(), None, Body::SevenBit).await.unwrap_err()
    })
    .await;
    assert!(matches!(error, Error::EightBit));
    assert!(!has_end(&played.said));
}

fn has_end(said: &[u8]) -> bool {
    said.windows(5).any(|octets| octets == b"\r\n.\r\n")
}

/// A stream that can't be read.
struct Broken;

impl tokio::io::AsyncRead for Broken {
    fn poll_read(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
        _: &mut tokio::io::ReadBuf<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        std::task::Poll::Ready(Err(std::io::ErrorKind::TimedOut.into()))
    }
}

#[tokio::test(start_paused = true)]
async fn addresses_that_no_command_can_hold() {
    let client = async |wire| {
        let mut client = builder().over(wire).await.unwrap();
        for (from, to) in
            [(FROM, "a> SIZE=1"), (FROM, "a\r\nRSET"), (FROM, ""), ("<a@b.example>", "a"), (FROM, "ä@b.example")]
        {
            let error = client.send(from, &[to], MAIL).await.unwrap_err();
            assert!(matches!(error, Error::Syntax(_)) && error.is_permanent());
        }
        assert!(matches!(client.send(FROM, &[""; 0], MAIL).await, Err(Error::NoRecipients)));
        client.quit().await.unwrap();
    };
    meet(&format!("{HELLO}{QUIT}"), client).await;
}

/// MAIL, a hundred RCPT and DATA go at once.
#[tokio::test(start_paused = true)]
async fn a_group_costs_one_round_trip() {
    let text = "S: 354 Go on\nC: Subject: test\nC:\nC: Hi\nC: .\nS: 250 OK\n";
    let pipelined = format!(
        "{HELLO}{SIZED}C*100: RCPT TO:<user{{n}}@example.org>\nC: DATA\nS: 250 OK\nS*100: 250 OK\n{text}{QUIT}"
    );
    let mut plain = format!("{PLAIN}C: MAIL FROM:<me@client.example>\nS: 250 OK\n");
    for number in 1..=100 {
        plain += &format!("C: RCPT TO:<user{number}@example.org>\nS: 250 OK\n");
    }
    plain += &format!("C: DATA\n{text}{QUIT}");
    for (script, trips) in [(pipelined, 1), (plain, 102)] {
        let client = async |wire| {
            let mut client = builder().over(wire).await.unwrap();
            let to: Vec<String> = (1..=100).map(|number| format!("user{number}@example.org")).collect();
            assert_eq!(client.send(FROM, &to, MAIL).await.unwrap().accepted().count(), 100);
            client.quit().await.unwrap();
        };
        let (_, played) = over(far(), &script, client).await;
        // Until the server hears QUIT: a trip for EHLO, those of the group, one for the text.
        assert_eq!(played.took.as_secs(), 2 * (1 + trips + 1 + 1));
    }
}

/// A server that sends each reply before it reads on, over a link that holds little: who only writes waits for ever.
#[tokio::test(start_paused = true)]
async fn replies_are_read_while_commands_are_sent() {
    let (wire, server) = tokio::io::duplex(600);
    let serving = tokio::spawn(async move {
        let mut server = BufReader::new(server);
        server.write_all(b"220 hi\r\n").await.unwrap();
        let mut line = String::new();
        while server.read_line(&mut line).await.unwrap() > 0 {
            let reply = match line.split(' ').next().unwrap_or_default().trim_end() {
                "EHLO" => "250-hi\r\n250 PIPELINING\r\n",
                "DATA" => "354 Go on\r\n",
                "MAIL" | "RCPT" | "." => "250 OK, this is one of many\r\n",
                _ => "",
            };
            server.write_all(reply.as_bytes()).await.unwrap();
            line.clear();
        }
    });
    let mut client = builder().over(wire).await.unwrap();
    let to: Vec<String> = (1..=1_000).map(|number| format!("user{number}@example.org")).collect();
    assert_eq!(client.send(FROM, &to, MAIL).await.unwrap().accepted().count(), 1_000);
    drop(client);
    serving.await.unwrap();
}

const LHLO: &str = "S: 220 hi\nC: LHLO client.example\nSB: 250-hi\\r\\n250 PIPELINING\\r\\n\n\
    C: MAIL FROM:<me@client.example>\nC: RCPT TO:<one@example.org>\nC: RCPT TO:<two@example.org>\n\
    C: RCPT TO:<three@example.org>\nC: DATA\nS: 250 OK\nS: 250 OK\nS: 550 No\nS: 250 OK\nS: 354 Go on\n\
    C: Subject: test\nC:\nC: Hi\nC: .\n";

#[tokio::test(start_paused = true)]
async fn lmtp_answers_each() {
    let (one_is, two_is) = ("one@example.org Message", "two@example.org Rcpt 550 No; three@example.org Message");
    for (replies, expected) in [
        ("S: 250 Kept\nS: 452 Full\nC: QUIT\nS: 221 Bye\n", format!("{one_is} 250 Kept; {two_is} 452 Full")),
        ("S: 250 Kept\nS: 421 Bye\n!drop\n", format!("{one_is} 250 Kept; {two_is} 421 Bye")),
        ("S: 552 Full\nS: 452 Full\nC: QUIT\nS: 221 Bye\n", format!("none: {one_is} 552 Full; {two_is} 452 Full")),
        ("S: 421 Bye\n!drop\n", format!("none: {one_is} 421 Bye; {two_is} 421 Bye")),
        ("S: 250 Kept\n!drop\n", format!("doubt: {one_is} 250 Kept; two@example.org Rcpt 550 No; three@example.org")),
        ("S: 250 Kept\n!stall\n", format!("doubt: {one_is} 250 Kept; two@example.org Rcpt 550 No; three@example.org")),
    ] {
        let (sent, _) = meet(&format!("{LHLO}{replies}"), async |wire| one(builder().lmtp(), wire, 3).await).await;
        let heard = match sent {
            Ok(sent) => told(&sent.outcomes),
            Err(Error::RecipientsRefused(outcomes)) => format!("none: {}", told(&outcomes)),
            Err(Error::InDoubt { outcomes, recipients, .. }) => {
                format!("doubt: {}; {}", told(&outcomes), recipients.join(" "))
            }
            Err(error) => panic!("{error:?}"),
        };
        assert_eq!(heard, expected);
    }
}

/// Wherever the future is dropped, the next mail does not take its answers.
#[tokio::test(start_paused = true)]
async fn a_mail_that_was_given_up_leaves_nothing_to_use() {
    let group = format!(
        "{HELLO}{SIZED}C: RCPT TO:<one@example.org>\nC: DATA\n@+1s\nS: 250 OK\n@+1s\nS: 250 OK\n@+1s\nS: 354 Go on\n"
    );
    for at in 0..9 {
        let is_enough = at > 7;
        let end = if is_enough { &format!("{TEXT}@+1s\nS: 250 OK\n") } else { "C: {...}" };
        let client = async |wire| {
            let mut client = builder().over(wire).await.unwrap();
            let time = Duration::from_millis(250 + 500 * at);
            let sent = timeout(time, client.send(FROM, &TO[..1], MAIL)).await;
            if sent.is_err() {
                assert!(matches!(client.send(FROM, &TO[..1], MAIL).await, Err(Error::Closed)));
                // What the server says later is nobody's.
                sleep(Duration::from_secs(10)).await;
                assert!(matches!(client.send(FROM, &TO[..1], MAIL).await, Err(Error::Closed)));
            }
            sent.is_ok()
        };
        let (is_sent, _) = meet(&format!("{group}{end}"), client).await;
        assert_eq!(is_sent, is_enough, "{at}");
    }
}
