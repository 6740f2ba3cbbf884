//! The dialogue: a client that has a secret, and what the session asks and says.

use smtpd_core::server::{Answer, Config, Ending, Event, Peer, Reply, Session};

/// What the client sends. The server offers no AUTH, but clients may try it anyway.
const INPUT: &[u8] = b"EHLO client.example\r\n\
    AUTH PLAIN c2VjcmV0\r\n\
    auth\tplain\tc2VjcmV0\r\n\
    VRFY \"a user\"\r\n\
    MAIL FROM:<a@b.example> SIZE=20 BODY=8BITMIME\r\n\
    RCPT TO:<nobody@d.example>\r\n\
    RCPT TO:<Postmaster>\r\n\
    DATA\r\n\
    Subject: caf\xc3\xa9\r\n\r\n\t\"quoted\"\r\n..\r\n.\r\n\
    MAIL FROM:<>\r\n\
    RSET\r\n\
    QUIT\r\n";

const UNKNOWN: Reply<'static> = Reply::new(550, "Not here,\nnor \"there\"").enhanced(1, 1);

/// Plays it in pieces, so that lines are cut, those with the secret too; whether it ended as it should.
pub fn play() -> bool {
    let config = Config::new("mx.example.org");
    let mut session = Session::new(&config, Peer::default());
    let (mut octets, mut messages) = (0, 0);
    for mut piece in INPUT.chunks(30) {
        loop {
            session.sent(session.output().len());
            let event = session.poll(&mut piece, usize::MAX);
            #[cfg(feature = "printed")]
            defmt::info!("{}", event);
            let answer = match event {
                Event::Idle => break,
                Event::Text(text) => {
                    octets += text.len();
                    continue;
                }
                Event::Message(_) => {
                    messages += 1;
                    Answer::Accept
                }
                Event::Rcpt(rcpt) if rcpt.forward_path.as_octets().starts_with(b"nobody") => Answer::Reply(UNKNOWN),
                _ => Answer::Accept,
            };
            session.answer(answer);
        }
    }
    #[cfg(feature = "printed")]
    defmt::info!("{}", session);
    session.ending() == Some(Ending::Quit) && messages == 1 && octets == 32
}
