//! Time that passes when a test says so.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};
use core::time::Duration;

use crate::shared::Shared;

/// A clock that stands still until it is told to go on; clones show the same time.
///
/// Sessions in memory, [`Wire`](crate::Wire)s and futures that [`sleep`](Self::sleep) all go by it, so a timeout of five
/// minutes is tested in microseconds. With the feature `tokio`, `Clock::of_tokio` goes by tokio's paused time instead,
/// and tokio's own timers with it.
///
/// ```
/// use core::time::Duration;
/// use smtpd_mock::Clock;
/// let clock = Clock::new();
/// let waited = clock.run(async {
///     clock.sleep(Duration::from_secs(300)).await;
///     clock.now()
/// });
/// assert_eq!(waited, Some(Duration::from_secs(300)));
/// ```
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    Own(Shared<Time>),
    #[cfg(feature = "tokio")]
    Tokio(tokio::time::Instant),
}

#[derive(Debug, Default)]
struct Time {
    now: Duration,
    /// Who is to be woken when; the number keeps those of one moment apart, in their order.
    sleepers: BTreeMap<(Duration, u64), Waker>,
    count: u64,
}

impl Time {
    fn next(&self) -> Option<Duration> {
        self.sleepers.first_key_value().map(|((at, _), _)| *at)
    }
}

/// tokio's time inside of one of its runtimes, if the feature `tokio` is on; else a clock that shows 0.
impl Default for Clock {
    fn default() -> Self {
        #[cfg(feature = "tokio")]
        if tokio::runtime::Handle::try_current().is_ok() {
            return Self::of_tokio();
        }
        Self::new()
    }
}

impl Clock {
    /// A clock that shows 0.
    #[must_use]
    pub fn new() -> Self {
        Self(Source::Own(Shared::new(Time::default())))
    }

    /// tokio's time, from now on: for tests under `#[tokio::test(start_paused = true)]`.
    #[cfg(feature = "tokio")]
    #[must_use]
    pub fn of_tokio() -> Self {
        Self(Source::Tokio(tokio::time::Instant::now()))
    }

    /// The time that has passed.
    #[must_use]
    pub fn now(&self) -> Duration {
        match &self.0 {
            Source::Own(time) => time.with(|time| time.now),
            #[cfg(feature = "tokio")]
            Source::Tokio(start) => start.elapsed(),
        }
    }

    /// The time in milliseconds, as adapters for devices want it; it wraps.
    #[must_use]
    pub fn millis(&self) -> u32 {
        self.now().as_millis() as u32
    }

    /// Lets time pass, and wakes whoever slept until then, each at its own moment; a task that only runs later sees a later
    /// one. tokio's time passes by itself when all tasks wait, or by `tokio::time::advance`: this does nothing to it.
    pub fn advance(&self, time: Duration) {
        let end = self.now().saturating_add(time);
        while self.go_on(end) {}
        match &self.0 {
            Source::Own(time) => time.with(|time| time.now = time.now.max(end)),
            #[cfg(feature = "tokio")]
            Source::Tokio(_) => {}
        }
    }

    /// When the next sleeper is to be woken.
    #[must_use]
    pub fn next(&self) -> Option<Duration> {
        match &self.0 {
            Source::Own(time) => time.with(|time| time.next()),
            #[cfg(feature = "tokio")]
            Source::Tokio(_) => None,
        }
    }

    /// Lets time pass until the next sleeper is woken; false: nobody sleeps until a moment before the end, or at it.
    fn go_on(&self, end: Duration) -> bool {
        let woken: Vec<Waker> = match &self.0 {
            Source::Own(time) => time.with(|time| {
                let Some(next) = time.next().filter(|next| *next <= end) else { return Vec::new() };
                time.now = time.now.max(next);
                let later = time.sleepers.split_off(&(next, u64::MAX));
                core::mem::replace(&mut time.sleepers, later).into_values().collect()
            }),
            #[cfg(feature = "tokio")]
            Source::Tokio(_) => Vec::new(),
        };
        let is_woken = !woken.is_empty();
        woken.into_iter().for_each(Waker::wake);
        is_woken
    }

    /// Ready when so much time has passed.
    pub fn sleep(&self, time: Duration) -> Sleep {
        self.until(self.now().saturating_add(time))
    }

    /// Ready at this moment, or at once if it has passed.
    pub fn until(&self, at: Duration) -> Sleep {
        match &self.0 {
            Source::Own(time) => Sleep(Kind::Own { time: time.clone(), at, number: None }),
            #[cfg(feature = "tokio")]
            Source::Tokio(start) => {
                let left = at.saturating_sub(start.elapsed());
                Sleep(Kind::Tokio(alloc::boxed::Box::pin(tokio::time::sleep(left))))
            }
        }
    }

    /// Runs a future to its end. Whenever all of it waits, time passes until someone wakes; none: it would wait for ever.
    ///
    /// Not for a clock of tokio's, which its runtime runs.
    #[cfg(target_has_atomic = "ptr")]
    pub fn run<F: Future>(&self, future: F) -> Option<F::Output> {
        let mut future = core::pin::pin!(future);
        let woken = alloc::sync::Arc::new(Woken::default());
        let waker = Waker::from(woken.clone());
        let mut cx = Context::from_waker(&waker);
        loop {
            if let Poll::Ready(result) = future.as_mut().poll(&mut cx) {
                return Some(result);
            }
            while !woken.0.swap(false, core::sync::atomic::Ordering::AcqRel) {
                if !self.go_on(Duration::MAX) {
                    return None;
                }
            }
        }
    }
}

/// Whether a future was woken.
#[cfg(target_has_atomic = "ptr")]
#[derive(Default)]
struct Woken(core::sync::atomic::AtomicBool);

#[cfg(target_has_atomic = "ptr")]
impl alloc::task::Wake for Woken {
    fn wake(self: alloc::sync::Arc<Self>) {
        self.0.store(true, core::sync::atomic::Ordering::Release);
    }
}

/// Waits for a moment of a [`Clock`].
#[must_use]
#[derive(Debug)]
pub struct Sleep(Kind);

#[derive(Debug)]
enum Kind {
    Own {
        time: Shared<Time>,
        at: Duration,
        number: Option<u64>,
    },
    #[cfg(feature = "tokio")]
    Tokio(Pin<alloc::boxed::Box<tokio::time::Sleep>>),
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.0 {
            Kind::Own { time, at, number } => {
                let sleeps = time.with(|time| {
                    let number = *number.get_or_insert_with(|| {
                        time.count += 1;
                        time.count
                    });
                    // The old waker is dropped later: with it may go what sleeps.
                    (time.now < *at).then(|| time.sleepers.insert((*at, number), cx.waker().clone()))
                });
                if sleeps.is_some() { Poll::Pending } else { Poll::Ready(()) }
            }
            #[cfg(feature = "tokio")]
            Kind::Tokio(sleep) => sleep.as_mut().poll(cx),
        }
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Kind::Own { time, at, number: Some(number) } = &self.0 {
            time.with(|time| time.sleepers.remove(&(*at, *number)));
        }
    }
}
