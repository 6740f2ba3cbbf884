//! Embassy's time, by the board's clock.

use core::cell::RefCell;
use core::task::Waker;

use critical_section::Mutex;
use embassy_time_driver::time_driver_impl;
use embassy_time_queue_utils::Queue;

use crate::clock;

/// Whom to wake, and when. The [executor](super::run) looks before it sleeps, so no interrupt is set here.
struct Time(Mutex<RefCell<Queue>>);

time_driver_impl!(static TIME: Time = Time(Mutex::new(RefCell::new(Queue::new()))));

impl embassy_time_driver::Driver for Time {
    fn now(&self) -> u64 {
        clock::micros()
    }

    fn schedule_wake(&self, at: u64, waker: &Waker) {
        critical_section::with(|cs| self.0.borrow_ref_mut(cs).schedule_wake(at, waker));
    }
}

/// Wakes those whose time has come; when the next one's comes.
pub(super) fn wake() -> u64 {
    critical_section::with(|cs| TIME.0.borrow_ref_mut(cs).next_expiration(clock::micros()))
}

/// The board's clock for sessions.
#[derive(Clone, Copy, Debug)]
pub struct Clock;

impl smtpd_io::Timer for Clock {
    fn now(&self) -> u32 {
        embassy_time::Instant::now().as_millis() as u32
    }
}

impl smtpd_io::AsyncTimer for Clock {
    async fn after(&self, millis: u32) {
        embassy_time::Timer::after_millis(millis.into()).await;
    }
}
