//! A script at the other end of a slow link.

use std::io::{self, Read, Write};

use smtpd_mock::{Clock, Link, Links, Pieces, Script, Wire, WireError};

use crate::{millis, read_async};

/// Its octets are late and come in pieces, and those of the code under test would block: the script must not give up.
#[test]
fn a_script_waits_for_what_is_on_the_way() {
    let text = "S: 220 a\nC: EHLO me\nS: 250 a\nC: QUIT\nS: 221 bye\n!drop\n";
    let script = Script::parse("late.txt", text).unwrap();
    let link = Link::new().window(7).latency(millis(300)).would_block(2).pieces(Pieces::Octets(3)).short_writes(2);
    let again = |error: &io::Error| error.kind() == io::ErrorKind::WouldBlock;
    let links = || Links { clock: Clock::new(), client: link.clone(), server: link.clone() };
    let client = |mut wire: Wire| {
        let (mut said, mut octet) = (Vec::new(), [0]);
        let mut say: &[u8] = b"EHLO me\r\n";
        loop {
            match wire.read(&mut octet) {
                Ok(0) => return io::Result::Ok(String::from_utf8_lossy(&said).into_owned()),
                Ok(_) => said.push(octet[0]),
                Err(error) if again(&error) => continue,
                Err(error) => return Err(error),
            }
            while said.ends_with(b"\r\n") && !say.is_empty() {
                match wire.write(say) {
                    Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                    Ok(written) => say = &say[written..],
                    Err(error) if again(&error) => {}
                    Err(error) => return Err(error),
                }
            }
            if said == b"220 a\r\n" {
                say = b"QUIT\r\n";
            }
        }
    };
    let (said, played) = script.serve_over(links(), client).unwrap();
    assert_eq!(said.unwrap(), "220 a\r\n250 a\r\n221 bye\r\n");
    assert!(!played.is_stuck);
    let links = links();
    let clock = links.clock.clone();
    let client = |mut wire: Wire| async move {
        let mut said = Vec::new();
        for say in [&b"EHLO me\r\n"[..], b"QUIT\r\n", b""] {
            while !said.ends_with(b"\r\n") || say.is_empty() {
                match read_async(&mut wire, 1).await? {
                    octets if octets.is_empty() => return Ok(said),
                    octets => said.extend(octets),
                }
            }
            embedded_io_async::Write::write_all(&mut wire, say).await?;
            said.push(b' ');
        }
        Ok::<_, WireError>(said)
    };
    let (said, played) = clock.run(script.serve_async(links, client)).unwrap().unwrap();
    assert_eq!(String::from_utf8(said.unwrap()).unwrap(), "220 a\r\n 250 a\r\n 221 bye\r\n");
    assert!(!played.is_stuck && played.took >= millis(1_800), "{:?}", played.took);
}

#[test]
fn a_client_that_waits_for_ever_is_noticed() {
    for (text, is_stuck) in [("S: 220 a\n", false), ("S: 220 a\n!stall\n", true)] {
        let script = Script::parse("stuck.txt", text).unwrap();
        let client = |mut wire: Wire| while wire.read(&mut [0; 9]).is_ok_and(|read| read > 0) {};
        assert_eq!(script.serve(client).unwrap().1.is_stuck, is_stuck, "{text}");
    }
}
