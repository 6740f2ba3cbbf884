//! Closing, dropping, resetting.

use std::io::{self, Read, Write};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use smtpd_mock::{Link, WireError};

use crate::{Woken, all, both_ways, millis, pair, plain, poll, read, read_async, write, write_async};

#[test]
fn half_closed() {
    for (mut writer, mut reader) in both_ways(&Link::new()) {
        assert!(!reader.can_read());
        write(&mut writer, b"abc").unwrap();
        writer.close();
        writer.close();
        assert_eq!(write(&mut writer, b"d"), Err(WireError::BrokenPipe));
        assert_eq!(writer.write(b"d").unwrap_err().kind(), io::ErrorKind::BrokenPipe);
        assert!(writer.can_write(), "to fail");
        assert_eq!(all(&mut reader), ("abc".into(), None));
        assert!(reader.can_read());
        assert_eq!(read(&mut reader, 9), Ok(vec![]), "for ever");
        assert_eq!(write(&mut reader, b"back"), Ok(4));
        assert_eq!(read(&mut writer, 9), Ok(b"back".to_vec()));
        assert_eq!(read(&mut writer, 9), Err(WireError::Stuck), "which is open");
    }
}

#[test]
fn closing_wakes_who_waits() {
    let (mut client, mut server) = pair(Link::new().window(1), Link::new());
    let (woken, same) = (Arc::new(Woken::default()), client.clone());
    {
        let mut reading = pin!(read_async(&mut server, 9));
        assert!(poll(reading.as_mut(), &woken).is_pending());
        write(&mut client, b"a").unwrap();
        assert_eq!(poll(reading.as_mut(), &woken), Poll::Ready(Ok(b"a".to_vec())));
    }
    write(&mut client, b"b").unwrap();
    let mut writing = pin!(write_async(&mut client, b"c"));
    let woken = Arc::new(Woken::default());
    assert!(poll(writing.as_mut(), &woken).is_pending());
    same.close();
    assert_eq!(woken.times(), 1);
    assert_eq!(poll(writing.as_mut(), &woken), Poll::Ready(Err(WireError::BrokenPipe)));
    assert_eq!(all(&mut server), ("b".into(), None));
    let mut reading = pin!(read_async(&mut server, 9));
    assert_eq!(poll(reading.as_mut(), &woken), Poll::Ready(Ok(vec![])));
}

#[test]
fn the_last_clone_closes() {
    let (mut client, mut server) = pair(Link::new().window(4), Link::new());
    let (mut same, woken) = (client.clone(), Arc::new(Woken::default()));
    write(&mut client, b"ab").unwrap();
    drop(client);
    write(&mut same, b"cd").unwrap();
    assert_eq!(read(&mut server, 9), Ok(b"abcd".to_vec()));
    {
        let mut reading = pin!(read_async(&mut server, 9));
        assert!(poll(reading.as_mut(), &woken).is_pending());
        drop(same);
        assert_eq!(woken.times(), 1);
        assert_eq!(poll(reading.as_mut(), &woken), Poll::Ready(Ok(vec![])));
    }
    assert!(server.can_write(), "to fail");
    assert_eq!(write(&mut server, b"x"), Err(WireError::BrokenPipe), "nobody reads");
    let (mut client, server) = pair(Link::new().window(4), Link::new());
    write(&mut client, b"abcd").unwrap();
    let mut writing = pin!(write_async(&mut client, b"e"));
    assert!(poll(writing.as_mut(), &woken).is_pending());
    drop(server);
    assert_eq!(woken.times(), 2);
    assert_eq!(poll(writing.as_mut(), &woken), Poll::Ready(Err(WireError::BrokenPipe)));
}

#[test]
fn a_reset_loses_what_was_not_read() {
    for reset_by_first in [true, false] {
        let (mut client, mut server) = plain();
        write(&mut client, b"abc").unwrap();
        write(&mut server, b"def").unwrap();
        if reset_by_first {
            client.reset();
        } else {
            server.reset();
        }
        for end in [&mut client, &mut server] {
            assert_eq!(read(end, 9), Err(WireError::Reset));
            assert_eq!(write(end, b"x"), Err(WireError::Reset));
            assert_eq!(end.read(&mut [0]).unwrap_err().kind(), io::ErrorKind::ConnectionReset);
            assert!(end.can_read() && end.can_write());
        }
        drop(client);
        assert_eq!(read(&mut server, 9), Err(WireError::Reset), "still");
        assert_eq!(write(&mut server, b"x"), Err(WireError::Reset));
    }
}

#[test]
fn a_reset_arrives_later() {
    for (mut writer, mut reader) in both_ways(&Link::new().latency(millis(300))) {
        let clock = writer.clock().clone();
        reader.set_nonblocking(true);
        write(&mut writer, b"abc").unwrap();
        write(&mut reader, b"lost").unwrap();
        clock.advance(millis(100));
        write(&mut writer, b"def").unwrap();
        writer.reset();
        assert_eq!(read(&mut writer, 9), Err(WireError::Reset));
        assert_eq!(write(&mut writer, b"x"), Err(WireError::Reset));
        assert!(!reader.can_read());
        assert_eq!(write(&mut reader, b"x"), Ok(1), "not known yet");
        clock.advance(millis(200));
        assert_eq!(read(&mut reader, 2), Ok(b"ab".to_vec()));
        clock.advance(millis(99));
        writer.reset();
        assert!(reader.can_read());
        clock.advance(millis(1));
        assert_eq!(read(&mut reader, 9), Err(WireError::Reset), "with what is behind");
        assert_eq!(write(&mut reader, b"x"), Err(WireError::Reset));
    }
    let (client, mut server) = pair(Link::new().latency(millis(300)), Link::new());
    client.reset();
    let clock = client.clock().clone();
    assert_eq!(clock.run(read_async(&mut server, 9)), Some(Err(WireError::Reset)));
    assert_eq!(clock.now(), millis(300));
}

/// Who waits for room has nobody to wait for, and must not until it hears of that.
#[test]
fn until_a_reset_arrives_writes_are_lost() {
    let (client, mut server) = pair(Link::new().latency(millis(300)), Link::new().window(1));
    let (clock, woken) = (client.clock().clone(), Arc::new(Woken::default()));
    write(&mut server, b"a").unwrap();
    {
        let mut writing = pin!(write_async(&mut server, b"bc"));
        assert!(poll(writing.as_mut(), &woken).is_pending());
        client.reset();
        assert_eq!(woken.times(), 1);
        assert_eq!(poll(writing.as_mut(), &woken), Poll::Ready(Ok(2)));
    }
    assert!(server.can_write());
    clock.advance(millis(300));
    assert_eq!(write(&mut server, b"d"), Err(WireError::Reset));
}
