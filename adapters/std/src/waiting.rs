//! What a connection waits for besides octets and answers: its timers, and the server's end.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use smtpd_core::server::{Patience, Timers};
use tokio::sync::{Notify, watch};
use tokio::task::unconstrained;
use tokio::time::{Instant, Sleep, sleep, sleep_until, timeout_at};

/// How long the last reply may take once a session is over, and the client's last octets behind it.
pub(crate) const LAST_WORDS: Duration = Duration::from_secs(1);

/// The longest time that a timer is set for.
const FOR_EVER: Duration = Duration::from_secs(365 * 24 * 3_600);

/// One timer for all of a session's waiting times.
///
/// It rings after the shortest of these times, and is set anew then: a session that makes progress just moves
/// `deadline`. To bring a timer forward costs two system calls.
pub(crate) struct Timer {
    sleep: Pin<Box<Sleep>>,
    shortest: Duration,
    deadline: Instant,
    /// What `deadline` was made of.
    patience: Option<Patience>,
    /// When the whole session ends.
    limit: Instant,
}

impl Timer {
    /// A timer for a session.
    pub(crate) fn new(timers: &Timers) -> Self {
        let Timers { command, text, output, answer, data, message, session, .. } = *timers;
        let shortest = [command, text, output, answer, data, message].into_iter().map(span).min().unwrap_or(FOR_EVER);
        let now = Instant::now();
        let limit = now + span(session);
        let sleep = Box::pin(sleep_until(limit.min(now + shortest)));
        Self { sleep, shortest, deadline: limit, patience: None, limit }
    }

    /// Ready when the session waited longer than it has patience for.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>, patience: Patience) -> Poll<()> {
        if self.patience != Some(patience) {
            self.patience = Some(patience);
            self.deadline = self.limit.min(Instant::now() + span(patience.secs));
            if self.deadline < self.sleep.deadline() {
                self.sleep.as_mut().reset(self.deadline);
            }
        }
        self.ring(cx, self.deadline)
    }

    /// The same beside others' waiting times, of which the first ends at `other`.
    pub(crate) fn poll_with(&mut self, cx: &mut Context<'_>, patience: Patience, other: Option<Instant>) -> Poll<()> {
        let Some(other) = other else { return self.poll(cx, patience) };
        if self.poll(cx, patience).is_ready() {
            return Poll::Ready(());
        }
        if other < self.sleep.deadline() {
            self.sleep.as_mut().reset(other);
        }
        self.ring(cx, self.deadline.min(other))
    }

    /// Ready at `deadline`; rings before that at times.
    fn ring(&mut self, cx: &mut Context<'_>, deadline: Instant) -> Poll<()> {
        // A client that always has something to say must not keep time from passing: see `unconstrained`.
        while pin!(unconstrained(self.sleep.as_mut())).poll(cx).is_ready() {
            let now = Instant::now();
            if now >= deadline {
                return Poll::Ready(());
            }
            self.sleep.as_mut().reset(deadline.min(now + self.shortest));
        }
        Poll::Pending
    }
}

/// When an end's waiting time is over.
#[derive(Debug, Default)]
pub(crate) struct Due(Option<(Patience, Instant)>);

impl Due {
    /// When that `patience` is over, counted from when it was first seen.
    pub(crate) fn at(&mut self, patience: Patience) -> Instant {
        match self.0 {
            Some((known, at)) if known == patience => at,
            _ => {
                let at = Instant::now() + span(patience.secs);
                self.0 = Some((patience, at));
                at
            }
        }
    }
}

/// Seconds of a timer, where 0 is no limit.
pub(crate) fn span(secs: u32) -> Duration {
    if secs == 0 { FOR_EVER } else { Duration::from_secs(u64::from(secs)) }
}

/// Tells a running server to stop; made by [`Server::stopper`](crate::Server::stopper).
#[derive(Clone, Debug)]
pub struct Stopper {
    stop: watch::Sender<Stop>,
    /// Told when nothing is waited for any more.
    now: Arc<Notify>,
}

impl Stopper {
    pub(crate) fn new() -> Self {
        Self { stop: watch::Sender::new(Stop::Not), now: Arc::default() }
    }

    /// Takes no more connections; those that are idle get 421, transactions under way may come to their end within
    /// the server's time of grace. Then the server returns.
    pub fn stop(&self) {
        let now = Instant::now();
        self.stop.send_if_modified(|stop| *stop == Stop::Not && std::mem::replace(stop, Stop::Since(now)) == Stop::Not);
    }

    /// As [`stop`](Self::stop), without any grace: whoever is still connected may not get the last reply, and a handler
    /// that does not come back within a second is not waited for.
    pub fn stop_now(&self) {
        self.stop.send_replace(Stop::Now);
        self.now.notify_one();
    }

    /// All connections are over, or the time is up of those whose handlers do not come back.
    pub(crate) async fn all_over(&self) {
        let hurry = async {
            self.now.notified().await;
            sleep(LAST_WORDS).await;
        };
        tokio::select! {
            // Each connection waits for the end by a receiver of its own.
            () = self.stop.closed() => {}
            () = hurry => {}
        }
    }
}

/// How the server stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    Not,
    /// It stops since then, and waits for its transactions.
    Since(Instant),
    Now,
}

/// A connection's view of the server's end.
#[derive(Clone, Debug)]
pub(crate) struct Waiting {
    stop: watch::Receiver<Stop>,
    grace: Duration,
}

impl Waiting {
    pub(crate) fn new(stopper: &Stopper, grace: Duration) -> Self {
        Self { stop: stopper.stop.subscribe(), grace }
    }

    /// The server began to stop.
    pub(crate) async fn begins(&mut self) {
        let _ = self.stop.wait_for(|stop| *stop != Stop::Not).await;
    }

    /// The server does not wait for transactions any more.
    pub(crate) async fn is_over(&mut self) {
        self.begins().await;
        let since = match *self.stop.borrow() {
            Stop::Since(since) => since,
            Stop::Not | Stop::Now => return,
        };
        let _ = timeout_at(since + self.grace, self.stop.wait_for(|stop| *stop == Stop::Now)).await;
    }

    /// The server waits for nothing any more.
    pub(crate) async fn is_now(&mut self) {
        let _ = self.stop.wait_for(|stop| *stop == Stop::Now).await;
    }

    /// `begins` for a session between transactions, `is_over` for others.
    pub(crate) async fn ends(&mut self, is_between: bool) {
        if is_between { self.begins().await } else { self.is_over().await }
    }
}
