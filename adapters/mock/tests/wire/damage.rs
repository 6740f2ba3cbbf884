//! Octets that get lost, come twice or end it all.

use std::io::Write;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use smtpd_mock::{Damage, Link, WireError};

use crate::{Woken, all, both_ways, millis, pair, poll, read, read_async, write, write_async};

/// The damage, what is read of "abcdef", and what comes instead of its end.
type Case = (&'static [(u64, Damage)], &'static str, Option<WireError>);

#[test]
fn damage_at_an_octet() {
    use Damage::{Corrupt, Double, End, Lose, Reset, Stall};
    let reset = Some(WireError::Reset);
    let stuck = Some(WireError::Stuck);
    let cases: [Case; 38] = [
        (&[(0, Lose)], "bcdef", None),
        (&[(2, Lose)], "abdef", None),
        (&[(5, Lose)], "abcde", None),
        (&[(6, Lose)], "abcdef", None),
        (&[(0, Double)], "aabcdef", None),
        (&[(2, Double)], "abccdef", None),
        (&[(5, Double)], "abcdeff", None),
        (&[(0, Corrupt(0x20))], "Abcdef", None),
        (&[(2, Corrupt(0x20))], "abCdef", None),
        (&[(5, Corrupt(0x20))], "abcdeF", None),
        (&[(0, End)], "", None),
        (&[(2, End)], "ab", None),
        (&[(5, End)], "abcde", None),
        (&[(6, End)], "abcdef", None),
        (&[(0, Stall)], "", stuck),
        (&[(2, Stall)], "ab", stuck),
        (&[(5, Stall)], "abcde", stuck),
        (&[(6, Stall)], "abcdef", None),
        (&[(0, Reset)], "", reset),
        (&[(2, Reset)], "ab", reset),
        (&[(5, Reset)], "abcde", reset),
        (&[(6, Reset)], "abcdef", None),
        // Several.
        (&[(3, Lose), (1, Double), (2, Corrupt(0x20))], "abbCef", None),
        (&[(1, Lose), (2, Lose)], "adef", None),
        (&[(4, Double), (2, End)], "ab", None),
        (&[(2, Stall), (4, Reset)], "ab", stuck),
        (&[(2, End), (4, Reset)], "ab", None),
        // At one octet.
        (&[(2, Double), (2, Double)], "abcccdef", None),
        (&[(2, Double), (2, Corrupt(0x20))], "abCCdef", None),
        (&[(2, Corrupt(0x20)), (2, Double)], "abCCdef", None),
        (&[(2, Corrupt(0x20)), (2, Corrupt(1))], "abBdef", None),
        (&[(2, Corrupt(0x20)), (2, Corrupt(0x20))], "abcdef", None),
        (&[(2, Lose), (2, Double)], "abdef", None),
        (&[(2, Double), (2, Lose)], "abdef", None),
        (&[(2, Double), (2, End)], "ab", None),
        (&[(2, End), (2, Reset)], "ab", None),
        (&[(2, Reset), (2, Stall)], "ab", reset),
        (&[(2, Stall), (2, End)], "ab", stuck),
    ];
    for (damages, expected, error) in cases {
        let link = damages.iter().fold(Link::new(), |link, (octet, damage)| link.damage(*octet, *damage));
        for at_once in [6, 1, 2, 5] {
            for latency in [Duration::ZERO, millis(300)] {
                for (mut writer, mut reader) in both_ways(&link.clone().latency(latency)) {
                    for octets in b"abcdef".chunks(at_once) {
                        let written = write(&mut writer, octets);
                        let is_reset = written == Err(WireError::Reset) && error == reset;
                        assert!(is_reset || written == Ok(octets.len()), "{damages:?}: {written:?}");
                    }
                    writer.close();
                    assert_eq!(all(&mut reader), (expected.into(), error), "{damages:?}, {at_once} at once");
                }
            }
        }
    }
}

#[test]
fn a_reset_on_the_way_is_seen_by_both_ends() {
    let damaged = Link::new().latency(millis(300)).damage(2, Damage::Reset);
    for (mut writer, mut reader) in both_ways(&damaged) {
        let clock = writer.clock().clone();
        write(&mut reader, b"before").unwrap();
        write(&mut writer, b"abc").unwrap();
        assert_eq!(write(&mut writer, b"d"), Ok(1), "not known yet");
        assert_eq!(write(&mut reader, b"lost"), Ok(4));
        clock.advance(millis(299));
        assert_eq!(write(&mut writer, b"d"), Ok(1));
        clock.advance(millis(1));
        assert_eq!(write(&mut writer, b"d"), Err(WireError::Reset));
        assert_eq!(write(&mut reader, b"d"), Err(WireError::Reset));
        assert!(writer.can_write() && reader.can_write());
        assert_eq!(all(&mut reader), ("ab".into(), Some(WireError::Reset)));
        assert_eq!(all(&mut writer), ("before".into(), Some(WireError::Reset)));
        assert_eq!(all(&mut writer), (String::new(), Some(WireError::Reset)), "and again");
    }
}

/// Who waits at either end, to read or for room, must hear of it.
#[test]
fn a_reset_wakes_all_who_wait() {
    for is_damage in [true, false] {
        let there = if is_damage { Link::new().damage(1, Damage::Reset) } else { Link::new() };
        let (mut client, mut server) = pair(there, Link::new().window(1));
        write(&mut server, b"1").unwrap();
        write(&mut client, b"a").unwrap();
        read(&mut server, 1).unwrap();
        let (mut same, [reads, writes]) = (server.clone(), <[Arc<Woken>; 2]>::default());
        let mut reading = pin!(read_async(&mut same, 9));
        let mut writing = pin!(write_async(&mut server, b"2"));
        assert!(poll(reading.as_mut(), &reads).is_pending());
        assert!(poll(writing.as_mut(), &writes).is_pending());
        match is_damage {
            true => assert_eq!(write(&mut client, b"b"), Ok(1)),
            false => client.reset(),
        }
        assert_eq!((reads.times(), writes.times()), (1, 1));
        assert_eq!(poll(reading.as_mut(), &reads), Poll::Ready(Err(WireError::Reset)));
        assert_eq!(poll(writing.as_mut(), &writes), Poll::Ready(Err(WireError::Reset)));
    }
}

/// The end whose octet is damaged, or whose other end resets, while clones of it wait.
#[test]
fn a_reset_wakes_its_own_end() {
    let (mut client, _server) = pair(Link::new().damage(1, Damage::Reset), Link::new());
    let (mut same, woken) = (client.clone(), Arc::new(Woken::default()));
    let mut reading = pin!(read_async(&mut same, 9));
    assert!(poll(reading.as_mut(), &woken).is_pending());
    assert_eq!(write(&mut client, b"ab"), Ok(2));
    assert_eq!(woken.times(), 1);
    assert_eq!(poll(reading.as_mut(), &woken), Poll::Ready(Err(WireError::Reset)));

    let (mut client, server) = pair(Link::new().window(1), Link::new());
    write(&mut client, b"a").unwrap();
    let (mut same, [reads, writes]) = (client.clone(), <[Arc<Woken>; 2]>::default());
    let mut reading = pin!(read_async(&mut same, 9));
    let mut writing = pin!(write_async(&mut client, b"b"));
    assert!(poll(reading.as_mut(), &reads).is_pending());
    assert!(poll(writing.as_mut(), &writes).is_pending());
    server.reset();
    assert_eq!((reads.times(), writes.times()), (1, 1));
    assert_eq!(poll(reading.as_mut(), &reads), Poll::Ready(Err(WireError::Reset)));
    assert_eq!(poll(writing.as_mut(), &writes), Poll::Ready(Err(WireError::Reset)));
}

#[test]
fn a_stalled_link_fills() {
    for (mut writer, mut reader) in both_ways(&Link::new().window(6).damage(2, Damage::Stall)) {
        assert_eq!(write(&mut writer, b"abcd"), Ok(4));
        assert_eq!(read(&mut reader, 9), Ok(b"ab".to_vec()));
        assert_eq!(write(&mut writer, b"efghijkl"), Ok(4));
        assert!(!writer.can_write());
        assert_eq!(write(&mut writer, b"i"), Err(WireError::Stuck));
        writer.set_timeout(Some(millis(7)));
        assert_eq!(write(&mut writer, b"i"), Err(WireError::TimedOut));
        reader.set_timeout(Some(millis(7)));
        assert_eq!(read(&mut reader, 9), Err(WireError::TimedOut));
        assert_eq!(write(&mut reader, b"the other way"), Ok(13));
        assert_eq!(read(&mut writer, 99), Ok(b"the other way".to_vec()));
        writer.close();
        assert_eq!(write(&mut writer, b"i"), Err(WireError::BrokenPipe));
        assert_eq!(read(&mut reader, 9), Err(WireError::TimedOut), "nor is the end told");
    }
}

#[test]
fn an_end_on_the_way_is_not_known_to_its_writer() {
    let link = Link::new().window(4).latency(millis(10)).damage(2, Damage::End);
    for (mut writer, mut reader) in both_ways(&link) {
        writer.write_all(b"abcdefghijklmnopq").unwrap();
        assert_eq!(all(&mut reader), ("ab".into(), None));
        assert_eq!(write(&mut reader, b"back"), Ok(4));
        assert_eq!(read(&mut writer, 9), Ok(b"back".to_vec()));
        assert!(writer.can_write());
        writer.close();
        assert_eq!(write(&mut writer, b"x"), Err(WireError::BrokenPipe), "of its own");
        assert_eq!(all(&mut reader), (String::new(), None));
    }
}
