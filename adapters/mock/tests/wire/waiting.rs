//! Who is woken.

use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

use smtpd_mock::{Link, Wire, WireError};

use crate::{Woken, millis, pair, plain, poll, read, read_async, write};

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
