//! Windows, short writes, pieces, and what would block.

use std::io::{self, Write};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use smtpd_mock::{Link, Pieces, WireError};

use crate::{Woken, both_ways, pair, pieces, plain, poll, read, read_async, write, write_async};

#[test]
fn a_full_window_makes_its_writer_wait() {
    for (mut writer, mut reader) in both_ways(&Link::new().window(5)) {
        assert_eq!(write(&mut writer, b"abc"), Ok(3));
        assert!(writer.can_write());
        assert_eq!(write(&mut writer, b"defg"), Ok(2));
        assert!(!writer.can_write());
        assert_eq!(write(&mut writer, b"fg"), Err(WireError::Stuck));
        writer.set_nonblocking(true);
        assert_eq!(write(&mut writer, b"fg"), Err(WireError::WouldBlock));
        assert_eq!(writer.write(b"fg").unwrap_err().kind(), io::ErrorKind::WouldBlock);
        assert_eq!(write(&mut writer, b""), Ok(0), "nothing needs no room");
        assert_eq!(read(&mut reader, 2), Ok(b"ab".to_vec()));
        assert!(writer.can_write());
        assert_eq!(write(&mut writer, b"fghi"), Ok(2));
        assert_eq!(read(&mut reader, 9), Ok(b"cdefg".to_vec()));
    }
    assert_eq!(write(&mut pair(Link::new().window(0), Link::new()).0, b"ab"), Ok(1), "at least 1");
    assert_eq!(write(&mut plain().0, &[0; 65_537]), Ok(65_536));
    assert_eq!(write(&mut pair(Link::default(), Link::new()).0, &[0; 65_537]), Ok(65_536));
}

#[test]
fn a_full_window_is_pending_until_there_is_room() {
    for (mut writer, mut reader) in both_ways(&Link::new().window(3)) {
        assert_eq!(write(&mut writer, b"abc"), Ok(3));
        let woken = Arc::new(Woken::default());
        let mut writing = pin!(write_async(&mut writer, b"de"));
        assert!(poll(writing.as_mut(), &woken).is_pending());
        assert_eq!(woken.times(), 0);
        assert_eq!(read(&mut reader, 1), Ok(b"a".to_vec()));
        assert_eq!(woken.times(), 1);
        assert_eq!(poll(writing.as_mut(), &woken), Poll::Ready(Ok(1)));
        assert_eq!(read(&mut reader, 9), Ok(b"bcd".to_vec()));
    }
}

#[test]
fn writes_are_short() {
    for (mut writer, mut reader) in both_ways(&Link::new().short_writes(2)) {
        assert_eq!(write(&mut writer, b"abc"), Ok(2));
        assert_eq!(write(&mut writer, b"c"), Ok(1));
        writer.write_all(b"defgh").unwrap();
        assert_eq!(read(&mut reader, 99), Ok(b"abcdefgh".to_vec()));
    }
    assert_eq!(write(&mut pair(Link::new().short_writes(0), Link::new()).0, b"ab"), Ok(1), "at least 1");
}

// Pieces.

#[test]
fn reads_bring_pieces() {
    let cases: [(Pieces, &[&str]); 9] = [
        (Pieces::Whole, &["abcdefgh"]),
        (Pieces::Octets(3), &["abc", "def", "gh"]),
        (Pieces::Octets(8), &["abcdefgh"]),
        (Pieces::Octets(0), &["a", "b", "c", "d", "e", "f", "g", "h"]),
        (Pieces::At(vec![]), &["abcdefgh"]),
        (Pieces::At(vec![1, 4]), &["a", "bcd", "efgh"]),
        (Pieces::At(vec![7, 0, 2, 2]), &["ab", "cdefg", "h"]),
        (Pieces::At(vec![8, 9]), &["abcdefgh"]),
        (Pieces::default(), &["abcdefgh"]),
    ];
    for (how, expected) in cases {
        for (mut writer, mut reader) in both_ways(&Link::new().pieces(how.clone())) {
            writer.write_all(b"abcdefgh").unwrap();
            writer.close();
            let (pieces, error) = pieces(&mut reader);
            assert_eq!(
                (pieces, error),
                (expected.iter().map(|piece| piece.as_bytes().to_vec()).collect(), None),
                "{how:?}"
            );
        }
    }
}

#[test]
fn positions_count_what_small_reads_brought() {
    let (mut writer, mut reader) = pair(Link::new().pieces(Pieces::At(vec![4])), Link::new());
    writer.write_all(b"abcdefgh").unwrap();
    assert_eq!(read(&mut reader, 3), Ok(b"abc".to_vec()));
    assert_eq!(read(&mut reader, 3), Ok(b"d".to_vec()));
    assert_eq!(read(&mut reader, 3), Ok(b"efg".to_vec()));
}

#[test]
fn chance_is_repeated_by_its_seed() {
    let lengths = |seed| -> Vec<usize> {
        let (mut writer, mut reader) = pair(Link::new().pieces(Pieces::Random(seed)), Link::new());
        writer.write_all(&[7; 60_000]).unwrap();
        writer.close();
        pieces(&mut reader).0.iter().map(Vec::len).collect()
    };
    for seed in [0, 1, u64::MAX] {
        let drawn = lengths(seed);
        assert_eq!(drawn, lengths(seed));
        assert_ne!(drawn, lengths(seed ^ 4));
        for length in 1..=64 {
            assert!(drawn.contains(&length), "{length} with seed {seed}");
        }
        let most = drawn.iter().max();
        assert_eq!(most, Some(&64));
        // 32.5 octets on the average.
        assert!((1_600..2_100).contains(&drawn.len()), "{}", drawn.len());
    }
}

#[test]
fn reads_and_writes_would_block_each_nth_time() {
    let link = Link::new().would_block(3).pieces(Pieces::Octets(1));
    for (mut writer, mut reader) in both_ways(&link) {
        let written: Vec<_> = (0..7).map(|_| write(&mut writer, b"a").is_ok()).collect();
        assert_eq!(written, [true, true, false, true, true, false, true]);
        let read_: Vec<_> = (0..7).map(|_| read(&mut reader, 1).is_ok()).collect();
        assert_eq!(read_, [true, true, false, true, true, false, true], "each counted by itself");
        assert_eq!(read(&mut reader, 1), Err(WireError::Stuck), "nor are those that have to wait");
        assert_eq!(write(&mut writer, b"a"), Ok(1));
        assert_eq!(write(&mut writer, b""), Ok(0));
        assert_eq!(writer.write(b"a").unwrap_err().kind(), io::ErrorKind::WouldBlock);
        assert!(reader.can_read());
        assert_eq!(read(&mut reader, 1), Ok(b"a".to_vec()));
    }
    for none in [0, 1] {
        let (mut writer, mut reader) = pair(Link::new().would_block(none), Link::new());
        for _ in 0..5 {
            assert_eq!((write(&mut writer, b"a"), read(&mut reader, 1)), (Ok(1), Ok(b"a".to_vec())));
        }
    }
}

#[test]
fn an_awaiting_call_is_pending_once() {
    let (mut writer, mut reader) = pair(Link::new().would_block(2), Link::new());
    let woken = Arc::new(Woken::default());
    for expected in [0, 1, 2] {
        let mut writing = pin!(write_async(&mut writer, b"ab"));
        if expected > 0 {
            assert!(poll(writing.as_mut(), &woken).is_pending());
        }
        assert_eq!(woken.times(), expected, "at once");
        assert_eq!(poll(writing.as_mut(), &woken), Poll::Ready(Ok(2)));
    }
    let woken = Arc::new(Woken::default());
    for expected in [0, 1, 2] {
        let mut reading = pin!(read_async(&mut reader, 2));
        if expected > 0 {
            assert!(poll(reading.as_mut(), &woken).is_pending());
        }
        assert_eq!(woken.times(), expected);
        assert_eq!(poll(reading.as_mut(), &woken), Poll::Ready(Ok(b"ab".to_vec())));
    }
}
