//! The clock: who is woken when.
#![cfg(feature = "std")]

use std::future::{Future, pending, poll_fn};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use smtpd_mock::{Clock, Sleep};

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// Notes who is woken, and what the clock shows then.
#[derive(Clone, Default)]
struct Notes(Arc<Mutex<Vec<(&'static str, Duration)>>>);

struct Noted(&'static str, Clock, Notes);

impl Wake for Noted {
    fn wake(self: Arc<Self>) {
        self.2.0.lock().unwrap().push((self.0, self.1.now()));
    }
}

impl Notes {
    fn waker(&self, clock: &Clock, name: &'static str) -> Waker {
        Arc::new(Noted(name, clock.clone(), self.clone())).into()
    }

    fn take(&self) -> Vec<(&'static str, Duration)> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

fn poll<F: Future + Unpin>(future: &mut F, waker: &Waker) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(waker))
}

#[test]
fn it_stands_still_until_told() {
    let clock = Clock::new();
    assert_eq!(clock.now(), Duration::ZERO);
    let same = clock.clone();
    clock.advance(secs(5));
    same.advance(Duration::from_millis(1));
    assert_eq!((clock.now(), same.now()), (Duration::from_millis(5_001), Duration::from_millis(5_001)));
    assert_eq!(clock.millis(), 5_001);
    assert_eq!(Clock::default().now(), Duration::ZERO);
    clock.advance(Duration::from_millis(u64::from(u32::MAX)));
    assert_eq!(clock.millis(), 5_000, "it wraps");
}

#[test]
fn each_is_woken_at_its_own_moment_in_order() {
    let (clock, notes) = (Clock::new(), Notes::default());
    let mut sleeps = [("c", 3), ("a", 1), ("b", 2), ("b2", 2), ("d", 4)].map(|(name, at)| {
        let (mut sleep, waker) = (clock.sleep(secs(at)), notes.waker(&clock, name));
        assert!(poll(&mut sleep, &waker).is_pending());
        (sleep, waker)
    });
    assert_eq!(clock.next(), Some(secs(1)));
    clock.advance(secs(1) - Duration::from_nanos(1));
    assert_eq!(notes.take(), []);
    clock.advance(Duration::from_nanos(1));
    assert_eq!(notes.take(), [("a", secs(1))]);
    clock.advance(secs(2));
    assert_eq!(notes.take(), [("b", secs(2)), ("b2", secs(2)), ("c", secs(3))]);
    assert_eq!((clock.now(), clock.next()), (secs(3), Some(secs(4))));
    let ready = sleeps.each_mut().map(|(sleep, waker)| poll(sleep, waker).is_ready());
    assert_eq!(ready, [true, true, true, true, false]);
    clock.advance(secs(100));
    assert_eq!(notes.take(), [("d", secs(4))], "once each");
    assert_eq!((clock.now(), clock.next()), (secs(103), None));
}

#[test]
fn who_is_dropped_is_forgotten() {
    let (clock, notes) = (Clock::new(), Notes::default());
    let (mut dropped, mut kept) = (clock.sleep(secs(1)), clock.sleep(secs(2)));
    assert!(poll(&mut dropped, &notes.waker(&clock, "dropped")).is_pending());
    assert!(poll(&mut kept, &notes.waker(&clock, "kept")).is_pending());
    drop(dropped);
    assert_eq!(clock.next(), Some(secs(2)));
    clock.advance(secs(2));
    assert_eq!(notes.take(), [("kept", secs(2))]);
}

#[test]
fn a_sleep_wakes_who_polled_it_last() {
    let (clock, notes) = (Clock::new(), Notes::default());
    let mut sleep = clock.sleep(secs(1));
    assert!(poll(&mut sleep, &notes.waker(&clock, "first")).is_pending());
    assert!(poll(&mut sleep, &notes.waker(&clock, "last")).is_pending());
    clock.advance(secs(1));
    assert_eq!(notes.take(), [("last", secs(1))]);
}

#[test]
fn a_moment_that_has_passed_is_there_at_once() {
    let clock = Clock::new();
    clock.advance(secs(2));
    for mut sleep in [clock.until(secs(1)), clock.until(secs(2)), clock.sleep(Duration::ZERO)] {
        assert!(poll(&mut sleep, Waker::noop()).is_ready());
        assert!(poll(&mut sleep, Waker::noop()).is_ready(), "and stays so");
    }
    assert_eq!(clock.next(), None, "nobody waits");
}

#[test]
fn more_time_than_there_is() {
    let clock = Clock::new();
    clock.advance(secs(1));
    let mut sleep = clock.sleep(Duration::MAX);
    assert!(poll(&mut sleep, Waker::noop()).is_pending());
    clock.advance(Duration::MAX);
    assert_eq!(clock.now(), Duration::MAX);
    assert!(poll(&mut sleep, Waker::noop()).is_ready());
}

/// A task that holds what it sleeps on: with its last waker goes the sleep itself.
struct Holds(#[expect(dead_code)] Mutex<Sleep>);

impl Wake for Holds {
    fn wake(self: Arc<Self>) {}
}

#[test]
fn a_waker_may_hold_a_sleep() {
    let clock = Clock::new();
    let (mut sleep, mut held) = (clock.sleep(secs(1)), clock.sleep(secs(1)));
    assert!(poll(&mut held, Waker::noop()).is_pending());
    let waker = Waker::from(Arc::new(Holds(Mutex::new(held))));
    assert!(poll(&mut sleep, &waker).is_pending());
    drop(waker);
    assert!(poll(&mut sleep, Waker::noop()).is_pending());
    clock.advance(secs(1));
    assert!(poll(&mut sleep, Waker::noop()).is_ready());
}

#[test]
fn run_lets_time_pass_only_when_all_wait() {
    let clock = Clock::new();
    let mut other = clock.sleep(secs(1));
    assert!(poll(&mut other, Waker::noop()).is_pending());
    let mut left = 3;
    // It wakes itself.
    let busy = poll_fn(|cx| {
        left -= 1;
        cx.waker().wake_by_ref();
        if left == 0 { Poll::Ready(clock.now()) } else { Poll::Pending }
    });
    assert_eq!(clock.run(busy), Some(Duration::ZERO));
    // Somebody else's moment comes first, and is not this one's.
    assert_eq!(clock.run(async { clock.sleep(secs(3)).await }), Some(()));
    assert_eq!(clock.now(), secs(3));
    assert!(poll(&mut other, Waker::noop()).is_ready());
    // Two at once take as long as the longer one.
    let mut pair = (pin!(clock.sleep(secs(2))), pin!(clock.sleep(secs(5))));
    let both = poll_fn(|cx| {
        let ready = (pair.0.as_mut().poll(cx).is_ready(), pair.1.as_mut().poll(cx).is_ready());
        if ready == (true, true) { Poll::Ready(()) } else { Poll::Pending }
    });
    assert_eq!(clock.run(both), Some(()));
    assert_eq!(clock.now(), secs(8));
    // One within another.
    let nested = async { clock.run(async { clock.sleep(secs(1)).await }) };
    assert_eq!(clock.run(nested), Some(Some(())));
    assert_eq!(clock.now(), secs(9));
}

#[test]
fn run_does_not_wait_for_ever() {
    let clock = Clock::new();
    assert_eq!(clock.run(pending::<()>()), None);
    assert_eq!(clock.now(), Duration::ZERO);
    let mut other = clock.sleep(secs(1));
    assert!(poll(&mut other, Waker::noop()).is_pending());
    assert_eq!(clock.run(pending::<()>()), None, "not even when others sleep");
}

#[cfg(feature = "tokio")]
mod of_tokio {
    use super::{Clock, Duration, secs};

    #[tokio::test(start_paused = true)]
    async fn it_follows_tokios_time() {
        tokio::time::advance(secs(7)).await;
        let clock = Clock::of_tokio();
        assert_eq!(clock.now(), Duration::ZERO, "from when it was made");
        tokio::time::advance(secs(2)).await;
        assert_eq!(clock.now(), secs(2));
        clock.advance(secs(100));
        assert_eq!((clock.now(), clock.next(), clock.millis()), (secs(2), None, 2_000), "which is tokio's to pass");
        tokio::time::sleep(secs(1)).await;
        assert_eq!(clock.now(), secs(3));
    }

    #[tokio::test(start_paused = true)]
    async fn its_sleepers_are_tokios() {
        let clock = Clock::of_tokio();
        tokio::time::advance(secs(10)).await;
        clock.sleep(secs(300)).await;
        assert_eq!(clock.now(), secs(310));
        clock.until(secs(400)).await;
        assert_eq!(clock.now(), secs(400));
        clock.until(secs(1)).await;
        clock.sleep(Duration::ZERO).await;
        assert_eq!(clock.now(), secs(400), "passed already");
        assert!(tokio::time::timeout(secs(60), clock.sleep(Duration::MAX)).await.is_err());
        assert!(tokio::time::timeout(secs(60), clock.until(Duration::MAX)).await.is_err());
        assert_eq!(clock.now(), secs(520));
    }

    #[tokio::test(start_paused = true)]
    async fn run_does_not_let_it_pass() {
        let clock = Clock::of_tokio();
        assert_eq!(clock.run(std::future::pending::<()>()), None);
        assert_eq!(clock.run(async { 1 }), Some(1));
    }
}
