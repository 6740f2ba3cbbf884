//! Latency and timeouts.

use std::io::{self, Read, Write};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use smtpd_mock::{Link, WireError};

use crate::{Woken, all, both_ways, millis, pair, plain, poll, read, read_async, write};

#[test]
fn octets_arrive_later() {
    for (mut writer, mut reader) in both_ways(&Link::new().latency(millis(300))) {
        let clock = writer.clock().clone();
        reader.set_nonblocking(true);
        writer.write_all(b"abc").unwrap();
        clock.advance(millis(100));
        writer.write_all(b"def").unwrap();
        writer.close();
        clock.advance(millis(199));
        assert!(!reader.can_read());
        assert_eq!(read(&mut reader, 9), Err(WireError::WouldBlock));
        clock.advance(millis(1));
        assert!(reader.can_read());
        assert_eq!(read(&mut reader, 2), Ok(b"ab".to_vec()), "in part");
        assert_eq!(read(&mut reader, 9), Ok(b"c".to_vec()), "what has arrived");
        assert!(!reader.can_read());
        assert_eq!(read(&mut reader, 9), Err(WireError::WouldBlock));
        clock.advance(millis(100));
        assert_eq!(read(&mut reader, 9), Ok(b"def".to_vec()));
        assert!(reader.can_read());
        assert_eq!(read(&mut reader, 9), Ok(vec![]), "the end with them");
    }
}

#[test]
fn a_read_that_blocks_lets_time_pass() {
    for (mut writer, mut reader) in both_ways(&Link::new().latency(millis(300))) {
        let clock = writer.clock().clone();
        writer.write_all(b"abc").unwrap();
        clock.advance(millis(100));
        writer.write_all(b"def").unwrap();
        assert_eq!(read(&mut reader, 9), Ok(b"abc".to_vec()));
        assert_eq!(clock.now(), millis(300));
        assert_eq!(read(&mut reader, 9), Ok(b"def".to_vec()));
        assert_eq!(clock.now(), millis(400));
        writer.close();
        assert_eq!(read(&mut reader, 9), Ok(vec![]));
        assert_eq!(clock.now(), millis(700), "the end is late too");
    }
}

#[test]
fn an_awaiting_read_wakes_when_octets_arrive() {
    for (mut writer, mut reader) in both_ways(&Link::new().latency(millis(300))) {
        let (clock, woken) = (writer.clock().clone(), Arc::new(Woken::default()));
        {
            let mut reading = pin!(read_async(&mut reader, 9));
            assert!(poll(reading.as_mut(), &woken).is_pending());
            writer.write_all(b"abc").unwrap();
            assert_eq!(woken.times(), 1, "to learn when");
            assert!(poll(reading.as_mut(), &woken).is_pending());
            clock.advance(millis(299));
            assert_eq!(woken.times(), 1);
            clock.advance(millis(1));
            assert_eq!(woken.times(), 2);
            assert_eq!(poll(reading.as_mut(), &woken), Poll::Ready(Ok(b"abc".to_vec())));
        }
        assert_eq!(clock.next(), None, "nobody waits any more");
    }
}

#[test]
fn octets_on_the_way_fill_the_window() {
    let (mut writer, mut reader) = pair(Link::new().latency(millis(300)).window(2), Link::new());
    writer.set_nonblocking(true);
    assert_eq!(write(&mut writer, b"abc"), Ok(2));
    assert_eq!(write(&mut writer, b"c"), Err(WireError::WouldBlock));
    writer.clock().advance(millis(300));
    assert_eq!(write(&mut writer, b"c"), Err(WireError::WouldBlock), "nor does it help to arrive");
    assert_eq!(read(&mut reader, 1), Ok(b"a".to_vec()));
    assert_eq!(write(&mut writer, b"cd"), Ok(1));
}

#[test]
fn no_latency_is_too_long() {
    let (mut writer, mut reader) = pair(Link::new().latency(Duration::MAX), Link::new());
    writer.clock().advance(millis(1));
    writer.write_all(b"abc").unwrap();
    writer.close();
    reader.set_timeout(Some(Duration::MAX));
    assert_eq!(all(&mut reader), ("abc".into(), None));
}

#[test]
fn a_timeout_ends_a_read_that_blocks() {
    let (mut writer, mut reader) = pair(Link::new().latency(millis(300)).window(1), Link::new());
    let clock = writer.clock().clone();
    reader.set_timeout(Some(millis(200)));
    assert_eq!(read(&mut reader, 9), Err(WireError::TimedOut));
    assert_eq!(clock.now(), millis(200));
    write(&mut writer, b"a").unwrap();
    assert_eq!(read(&mut reader, 9), Err(WireError::TimedOut), "too late");
    assert_eq!(clock.now(), millis(400));
    assert_eq!(reader.read(&mut [0; 9]).unwrap(), 1, "at 500");
    assert_eq!(clock.now(), millis(500));
    assert_eq!(reader.read(&mut [0; 9]).unwrap_err().kind(), io::ErrorKind::TimedOut);
    write(&mut writer, b"b").unwrap();
    reader.set_timeout(Some(millis(300)));
    assert_eq!(read(&mut reader, 9), Ok(b"b".to_vec()), "just in time");
    reader.set_timeout(Some(Duration::ZERO));
    assert_eq!(read(&mut reader, 9), Err(WireError::TimedOut));
    assert_eq!(clock.now(), millis(1_000));
    reader.set_timeout(None);
    assert_eq!(read(&mut reader, 9), Err(WireError::Stuck));
    write(&mut writer, b"c").unwrap();
    writer.set_timeout(Some(millis(50)));
    assert_eq!(write(&mut writer, b"d"), Err(WireError::TimedOut));
    assert_eq!(clock.now(), millis(1_050));
    reader.set_nonblocking(true);
    reader.set_timeout(Some(millis(50)));
    assert_eq!(read(&mut reader, 9), Err(WireError::WouldBlock), "which comes first");
    assert_eq!(clock.now(), millis(1_050));
}

#[test]
fn nobody_waits_for_ever() {
    let (mut client, mut server) = plain();
    assert_eq!(read(&mut client, 9), Err(WireError::Stuck));
    assert_eq!(read(&mut server, 9), Err(WireError::Stuck));
    assert_eq!(client.read(&mut [0; 9]).unwrap_err().kind(), io::ErrorKind::Other);
    assert_eq!(client.read(&mut []).unwrap(), 0, "nothing is always there");
    let clock = client.clock().clone();
    assert_eq!(clock.run(read_async(&mut client, 9)), None);
    assert_eq!(clock.run(read_async(&mut client, 0)), Some(Ok(vec![])));
    assert_eq!(clock.now(), Duration::ZERO);
    // Somebody sleeps, and might write then.
    let mut sleep = pin!(clock.sleep(millis(5)));
    assert!(poll(sleep.as_mut(), &Arc::new(Woken::default())).is_pending());
    assert_eq!(read(&mut client, 9), Err(WireError::Stuck));
    assert_eq!(clock.now(), millis(5));
}
