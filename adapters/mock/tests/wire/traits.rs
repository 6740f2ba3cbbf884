//! Each trait.

use std::io::{self, BufRead, BufReader, Read, Write};

use embedded_io::{Error, ErrorKind, ReadReady, WriteReady};
use smtpd_mock::{Clock, Link, Pieces, Wire, WireError};

use crate::{join, millis, pair, plain, read_async};

#[test]
fn as_std_sees_it() {
    let (mut client, server) = pair(Link::new().pieces(Pieces::Octets(2)).latency(millis(5)), Link::new());
    client.write_all(b"EHLO me\r\nQUIT\r\nrest").unwrap();
    client.flush().unwrap();
    client.close();
    let (mut lines, mut rest) = (BufReader::new(server.clone()), String::new());
    assert_eq!(lines.by_ref().lines().take(2).collect::<io::Result<Vec<_>>>().unwrap(), ["EHLO me", "QUIT"]);
    lines.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "rest");
    let (mut from, mut to) = (server, plain());
    let (mut source, sink) = pair(Link::new().pieces(Pieces::Random(3)), Link::new());
    source.write_all(&[9; 10_000]).unwrap();
    source.close();
    assert_eq!(io::copy(&mut sink.clone(), &mut to.0).unwrap(), 10_000);
    drop(to.0);
    let mut octets = Vec::new();
    assert_eq!(to.1.read_to_end(&mut octets).unwrap(), 10_000);
    assert_eq!(octets, [9; 10_000]);
    assert_eq!(from.read(&mut [0; 9]).unwrap(), 0);
    let error = io::Error::from(WireError::Stuck);
    assert_eq!((error.kind(), error.to_string()), (io::ErrorKind::Other, "it would wait for ever".into()));
}

#[test]
fn as_embedded_io_sees_it() {
    let kinds = [
        (WireError::WouldBlock, ErrorKind::TimedOut),
        (WireError::TimedOut, ErrorKind::TimedOut),
        (WireError::Stuck, ErrorKind::Other),
        (WireError::Reset, ErrorKind::ConnectionReset),
        (WireError::BrokenPipe, ErrorKind::BrokenPipe),
    ];
    for (error, kind) in kinds {
        assert_eq!(error.kind(), kind);
    }
    let (mut client, mut server) = pair(Link::new().window(1), Link::new());
    assert_eq!((server.read_ready(), client.write_ready()), (Ok(false), Ok(true)));
    embedded_io::Write::write_all(&mut client, b"a").unwrap();
    embedded_io::Write::flush(&mut client).unwrap();
    assert_eq!((server.read_ready(), client.write_ready()), (Ok(true), Ok(false)));
    let mut octet = [0];
    embedded_io::Read::read_exact(&mut server, &mut octet).unwrap();
    assert_eq!(octet, *b"a");
    client.close();
    assert_eq!((server.read_ready(), client.write_ready()), (Ok(true), Ok(true)));
}

#[test]
fn as_embedded_io_async_sees_it() {
    let link = Link::new().window(3).latency(millis(1_000)).would_block(2).pieces(Pieces::Octets(2));
    let (mut client, mut server) = pair(link.clone(), link);
    let clock = client.clock().clone();
    let client = async {
        embedded_io_async::Write::write_all(&mut client, b"0123456789").await?;
        embedded_io_async::Write::flush(&mut client).await?;
        client.close();
        let mut octets = [0; 5];
        embedded_io_async::Read::read_exact(&mut client, &mut octets).await.unwrap();
        Ok::<_, WireError>(octets)
    };
    let server = async {
        let mut octets = [0; 10];
        embedded_io_async::Read::read_exact(&mut server, &mut octets).await.unwrap();
        let end = read_async(&mut server, 9).await;
        embedded_io_async::Write::write_all(&mut server, b"abcde").await?;
        Ok::<_, WireError>((octets, end))
    };
    let (sent, got) = clock.run(join(client, server)).unwrap();
    assert_eq!((sent, got), (Ok(*b"abcde"), Ok((*b"0123456789", Ok(vec![])))));
    // Three octets in each second: four seconds there, two back.
    assert_eq!(clock.now(), millis(6_000));
}

#[test]
fn it_can_be_moved_and_shared() {
    fn goes_anywhere<T: Send + Sync + Unpin + 'static>() {}
    goes_anywhere::<Wire>();
    goes_anywhere::<Clock>();
    let (client, server) = plain();
    assert!(format!("{client:?} {server:?}").starts_with("Wire { end: 0, .. } Wire"));
}
