//! Who is woken.

use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use smtpd_mock::{Link, Pieces, Wire, WireError};

use crate::{Woken, millis, pair, plain, poll, read, read_async, write, write_async};

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

    // Nor does one that ends before anything arrives.
    write(&mut client, b"abc").unwrap();
    assert!(poll(pin!(read_async(&mut server, 9)), &woken).is_pending());
    assert_eq!(clock.next(), Some(millis(600)));
    server.reset();
    assert_eq!(poll(pin!(read_async(&mut server, 9)), &woken), Poll::Ready(Err(WireError::Reset)));
    assert_eq!(clock.next(), None);
}

/// Polls whenever it is woken, and gives up only long after.
fn spin<F: Future>(future: F) -> Option<F::Output> {
    let (mut future, woken) = (pin!(future), Arc::new(Woken::default()));
    let mut seen = 0;
    loop {
        if let Poll::Ready(result) = poll(future.as_mut(), &woken) {
            return Some(result);
        }
        let began = Instant::now();
        while woken.times() == seen {
            if began.elapsed() > Duration::from_secs(10) {
                return None;
            }
            std::thread::yield_now();
        }
        seen = woken.times();
    }
}

/// Between looking and waiting there is no moment to miss.
#[test]
fn no_wakeup_is_lost_between_threads() {
    const OCTETS: usize = 20_000;
    let (mut client, mut server) = pair(Link::new().window(2).pieces(Pieces::Octets(1)), Link::new());
    let writing = std::thread::spawn(move || spin(send(&mut client, OCTETS)));
    let mut all = 0;
    let read = spin(async {
        while let Ok(octets) = read_async(&mut server, 9).await
            && !octets.is_empty()
        {
            all += octets.len();
        }
    });
    assert_eq!((read, all), (Some(()), OCTETS));
    assert_eq!(writing.join().unwrap(), Some(()));
}

async fn send(wire: &mut Wire, octets: usize) {
    for _ in 0..octets {
        write_async(wire, b"a").await.unwrap();
    }
    wire.close();
}
