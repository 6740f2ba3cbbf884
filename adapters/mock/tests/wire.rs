//! The wire: what is read of what was written, when, and by which trait.
#![cfg(feature = "std")]

use std::future::{Future, poll_fn};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use embedded_io::{Error, ErrorKind, ReadReady, WriteReady};
use proptest::prelude::*;
use smtpd_mock::{Clock, Damage, Link, Links, Pieces, Script, Wire, WireError};

const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A pair on a new clock.
fn pair(there: Link, back: Link) -> (Wire, Wire) {
    Wire::pair(&Clock::new(), there, back)
}

fn plain() -> (Wire, Wire) {
    pair(Link::new(), Link::new())
}

/// Two ends whose first direction, or whose second, is this link; the writer's end comes first.
fn both_ways(link: &Link) -> [(Wire, Wire); 2] {
    let (back_reader, back_writer) = pair(Link::new(), link.clone());
    [pair(link.clone(), Link::new()), (back_writer, back_reader)]
}

fn read(wire: &mut Wire, room: usize) -> Result<Vec<u8>, WireError> {
    let mut octets = vec![0; room];
    let read = embedded_io::Read::read(wire, &mut octets)?;
    octets.truncate(read);
    Ok(octets)
}

fn write(wire: &mut Wire, octets: &[u8]) -> Result<usize, WireError> {
    embedded_io::Write::write(wire, octets)
}

/// All pieces until the end, or the error.
fn pieces(wire: &mut Wire) -> (Vec<Vec<u8>>, Option<WireError>) {
    let mut pieces = Vec::new();
    loop {
        match read(wire, 1_000) {
            Ok(piece) if piece.is_empty() => return (pieces, None),
            Ok(piece) => pieces.push(piece),
            Err(error) => return (pieces, Some(error)),
        }
    }
}

fn all(wire: &mut Wire) -> (String, Option<WireError>) {
    let (pieces, error) = pieces(wire);
    (String::from_utf8_lossy(&pieces.concat()).into_owned(), error)
}

/// Counts how often it wakes.
#[derive(Default)]
struct Woken(AtomicU32);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Woken {
    fn times(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }
}

fn poll<F: Future>(future: Pin<&mut F>, woken: &Arc<Woken>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(&Waker::from(woken.clone())))
}

async fn read_async(wire: &mut Wire, room: usize) -> Result<Vec<u8>, WireError> {
    let mut octets = vec![0; room];
    let read = embedded_io_async::Read::read(wire, &mut octets).await?;
    octets.truncate(read);
    Ok(octets)
}

async fn write_async(wire: &mut Wire, octets: &[u8]) -> Result<usize, WireError> {
    embedded_io_async::Write::write(wire, octets).await
}

/// Both to their end.
async fn join<A, B>(first: impl Future<Output = A>, second: impl Future<Output = B>) -> (A, B) {
    let (mut first, mut second) = (pin!(first), pin!(second));
    let (mut one, mut two) = (None, None);
    poll_fn(|cx| {
        if one.is_none()
            && let Poll::Ready(result) = first.as_mut().poll(cx)
        {
            one = Some(result);
        }
        if two.is_none()
            && let Poll::Ready(result) = second.as_mut().poll(cx)
        {
            two = Some(result);
        }
        if one.is_some() && two.is_some() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    (one.unwrap(), two.unwrap())
}

// Windows and writes.

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

// Time.

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
    assert_eq!(client.read(&mut [0; 9]).unwrap_err().kind(), io::ErrorKind::TimedOut);
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

// Would block.

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

// Damage.

#[test]
fn damage_at_an_octet() {
    use Damage::{Corrupt, Double, End, Lose, Reset, Stall};
    let reset = Some(WireError::Reset);
    let stuck = Some(WireError::Stuck);
    let cases: [(&[(u64, Damage)], &str, Option<WireError>); 38] = [
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
    let by_damage = |wire: &mut Wire| assert_eq!(write(wire, b"b"), Ok(1));
    let by_call = |wire: &mut Wire| wire.reset();
    let cases: [(&dyn Fn(&mut Wire), Link); 2] =
        [(&by_damage, Link::new().damage(0, Damage::Reset)), (&by_call, Link::new())];
    for (reset, there) in cases {
        let (mut client, mut server) = pair(there, Link::new().window(1));
        let mut same = client.clone();
        write(&mut server, b"1").unwrap();
        let (reading, writing) = (Arc::new(Woken::default()), Arc::new(Woken::default()));
        let mut other = server.clone();
        let mut server_reads = pin!(read_async(&mut other, 9));
        let mut server_writes = pin!(write_async(&mut server, b"2"));
        assert!(poll(server_reads.as_mut(), &reading).is_pending());
        assert!(poll(server_writes.as_mut(), &writing).is_pending());
        reset(&mut client);
        assert_eq!((reading.times(), writing.times()), (1, 1));
        assert_eq!(poll(server_reads.as_mut(), &reading), Poll::Ready(Err(WireError::Reset)));
        assert_eq!(poll(server_writes.as_mut(), &writing), Poll::Ready(Err(WireError::Reset)));
        assert_eq!(write(&mut same, b"x"), Err(WireError::Reset));
    }
    for (reset, there) in cases_of_readers() {
        let (mut client, server) = pair(there.window(2), Link::new());
        let (mut reader, mut writer) = (client.clone(), client.clone());
        let (reading, writing) = (Arc::new(Woken::default()), Arc::new(Woken::default()));
        let mut reads = pin!(read_async(&mut reader, 9));
        assert!(poll(reads.as_mut(), &reading).is_pending());
        if !reset {
            write(&mut client, b"ab").unwrap();
        }
        let mut writes = pin!(write_async(&mut writer, b"cd"));
        assert_eq!(poll(writes.as_mut(), &writing).is_ready(), reset, "the damage is in these");
        if !reset {
            server.reset();
            assert_eq!(writing.times(), 1);
            assert_eq!(poll(writes.as_mut(), &writing), Poll::Ready(Err(WireError::Reset)));
        }
        assert_eq!(reading.times(), 1);
        assert_eq!(poll(reads.as_mut(), &reading), Poll::Ready(Err(WireError::Reset)));
    }
}

/// Whether the writer's own octet resets it.
fn cases_of_readers() -> [(bool, Link); 2] {
    [(true, Link::new().damage(1, Damage::Reset)), (false, Link::new())]
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

// The end.

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
            client.reset()
        } else {
            server.reset()
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

// Whoever waits.

#[test]
fn clones_that_wait_are_all_woken() {
    let (mut client, server) = plain();
    let (mut one, mut two) = (server.clone(), server.clone());
    let woken = [Arc::new(Woken::default()), Arc::new(Woken::default())];
    let (mut first, mut second) = (pin!(read_async(&mut one, 1)), pin!(read_async(&mut two, 1)));
    assert!(poll(first.as_mut(), &woken[0]).is_pending());
    assert!(poll(second.as_mut(), &woken[1]).is_pending());
    write(&mut client, b"ab").unwrap();
    assert_eq!((woken[0].times(), woken[1].times()), (1, 1));
    assert_eq!(poll(second.as_mut(), &woken[1]), Poll::Ready(Ok(b"a".to_vec())));
    assert_eq!(poll(first.as_mut(), &woken[0]), Poll::Ready(Ok(b"b".to_vec())));
}

/// An executor that polls at once whom it wakes, and drops what is done.
struct AtOnce(Mutex<Option<Wire>>, Mutex<Vec<u8>>);

impl Wake for AtOnce {
    fn wake(self: Arc<Self>) {
        let mut wire = self.0.lock().unwrap();
        self.1.lock().unwrap().extend(read(wire.as_mut().unwrap(), 99).unwrap());
        *wire = None;
    }
}

#[test]
fn who_is_woken_may_use_the_wire_at_once() {
    let (mut client, server) = plain();
    let at_once = Arc::new(AtOnce(Mutex::new(Some(server.clone())), Mutex::default()));
    let (waker, mut server) = (Waker::from(at_once.clone()), server);
    assert!(pin!(read_async(&mut server, 9)).poll(&mut Context::from_waker(&waker)).is_pending());
    drop(server);
    write(&mut client, b"abc").unwrap();
    assert_eq!(*at_once.1.lock().unwrap(), b"abc");
    assert_eq!(write(&mut client, b"d"), Err(WireError::BrokenPipe), "it has gone");
}

/// A read that was given up leaves nothing behind that matters.
#[test]
fn a_read_that_was_dropped() {
    let (mut client, mut server) = pair(Link::new().latency(millis(300)), Link::new());
    write(&mut client, b"abc").unwrap();
    let woken = Arc::new(Woken::default());
    assert!(poll(pin!(read_async(&mut server, 9)), &woken).is_pending());
    let clock = client.clock().clone();
    assert_eq!(clock.run(read_async(&mut server, 2)), Some(Ok(b"ab".to_vec())));
    assert_eq!(clock.run(read_async(&mut server, 2)), Some(Ok(b"c".to_vec())));
    assert_eq!((clock.now(), clock.next()), (millis(300), None));
}

// The traits.

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
    assert_eq!((error.kind(), error.to_string()), (io::ErrorKind::TimedOut, "it would wait for ever".into()));
}

#[test]
fn as_embedded_io_sees_it() {
    let kinds = [
        (WireError::WouldBlock, ErrorKind::TimedOut),
        (WireError::TimedOut, ErrorKind::TimedOut),
        (WireError::Stuck, ErrorKind::TimedOut),
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
    let (mut client, server) = plain();
    assert!(format!("{client:?} {server:?}").starts_with("Wire { end: 0, .. } Wire"));
    let begun = Arc::new(Woken::default());
    let thread = std::thread::spawn({
        let (begun, mut server) = (begun.clone(), server);
        move || {
            let mut reading = pin!(read_async(&mut server, 9));
            while begun.times() < 5 {
                if let Poll::Ready(octets) = poll(reading.as_mut(), &begun) {
                    return octets;
                }
            }
            Ok(vec![])
        }
    });
    client.write_all(b"abc").unwrap();
    assert_eq!(thread.join().unwrap(), Ok(b"abc".to_vec()));
}

// A script at the other end.

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

// Whatever the link.

fn links() -> impl Strategy<Value = Link> {
    let pieces = prop_oneof![
        Just(Pieces::Whole),
        (0_usize..9).prop_map(Pieces::Octets),
        prop::collection::vec(0_usize..300, 0..6).prop_map(Pieces::At),
        any::<u64>().prop_map(Pieces::Random),
    ];
    (pieces, 0_usize..40, 0_usize..12, 0_u64..3, 0_u32..5).prop_map(|(pieces, window, short, latency, nth)| {
        let link = Link::new().pieces(pieces).window(window).latency(millis(latency)).would_block(nth);
        if short < 10 { link.short_writes(short) } else { link }
    })
}

async fn send(mut wire: Wire, octets: &[u8]) -> Wire {
    embedded_io_async::Write::write_all(&mut wire, octets).await.unwrap();
    wire.close();
    wire
}

async fn receive(mut wire: Wire, room: usize) -> Vec<u8> {
    let mut all = Vec::new();
    loop {
        match read_async(&mut wire, room).await.unwrap() {
            octets if octets.is_empty() => return all,
            octets => all.extend(octets),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_read_is_what_was_written(
        there in links(), back in links(),
        first in prop::collection::vec(any::<u8>(), 0..300), second in prop::collection::vec(any::<u8>(), 0..300),
        room in 1_usize..50,
    ) {
        let clock = Clock::new();
        let (client, server) = Wire::pair(&clock, there, back);
        let sends = join(send(client.clone(), &first), send(server.clone(), &second));
        let receives = join(receive(client, room), receive(server, room));
        let (_, (at_client, at_server)) = clock.run(join(sends, receives)).expect("it ends");
        prop_assert_eq!(at_client, second);
        prop_assert_eq!(at_server, first);
    }

    #[test]
    fn so_it_is_without_awaiting(
        link in links(), octets in prop::collection::vec(any::<u8>(), 0..300), room in 1_usize..50,
    ) {
        let (mut writer, mut reader) = pair(link, Link::new());
        let (mut left, mut all) = (&octets[..], Vec::new());
        writer.set_nonblocking(true);
        loop {
            if left.is_empty() {
                writer.close();
            } else if writer.can_write() {
                let written = write(&mut writer, left);
                left = &left[written.unwrap_or(0)..];
                continue;
            }
            match read(&mut reader, room) {
                Ok(read) if read.is_empty() => break,
                Ok(read) => all.extend(read),
                Err(error) => prop_assert_eq!(error, WireError::WouldBlock),
            }
        }
        prop_assert_eq!(all, octets);
    }
}
