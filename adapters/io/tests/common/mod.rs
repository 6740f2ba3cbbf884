//! What the tests share: I/O that follows a script, a clock that only moves when the script says so, and the three
//! loops.
#![allow(dead_code, unreachable_pub, reason = "each test file takes a part of it")]

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use embedded_io::{ErrorKind, ErrorType};
use smtpd_core::server::{
    Answer, AsyncHandler, Config, Ending, Flow, Handler, Hello, Mail, Peer, Rcpt, Reply, Session,
};
use smtpd_io::{AsyncTimer, Timer, serve, serve_async, serve_plain};

/// Milliseconds since the test began.
#[derive(Clone, Default)]
pub struct Clock(pub Rc<Cell<u32>>, pub Rc<Cell<usize>>);

impl Clock {
    pub fn pass(&self, millis: u32) {
        self.0.set(self.0.get().wrapping_add(millis));
    }
}

impl Timer for Clock {
    fn now(&self) -> u32 {
        self.0.get()
    }
    fn wait(&self) {
        self.1.set(self.1.get() + 1);
        self.pass(100);
    }
}

impl AsyncTimer for Clock {
    fn after(&self, millis: u32) -> impl Future<Output = ()> {
        let at = self.0.get().wrapping_add(millis);
        poll_fn(move |_| match at.wrapping_sub(self.0.get()) as i32 {
            ..=0 => Poll::Ready(()),
            _ => Poll::Pending,
        })
    }
}

/// What a read or a write does next.
#[derive(Clone, Debug)]
pub enum Act {
    /// Reads these octets; writes at most so many.
    Octets(Vec<u8>),
    /// Takes so many milliseconds and comes to nothing.
    Tick(u32),
    Fail(ErrorKind),
    /// Is ready with no octets.
    Zero,
}

/// A line whose other end does what is written. Behind the end of its script a read comes to nothing; a write takes
/// all.
#[derive(Clone)]
pub struct Line {
    pub reads: Rc<RefCell<VecDeque<Act>>>,
    pub writes: Rc<RefCell<VecDeque<Act>>>,
    /// What flushes do: come to nothing, or fail.
    pub flushing: Rc<RefCell<VecDeque<Act>>>,
    /// Octets that one read or write moves at most.
    pub cut: usize,
    /// Milliseconds that a read takes behind the end of the script.
    pub idle: u32,
    /// All that was written; what was flushed of it; how many writes and flushes that took.
    pub said: Rc<RefCell<Vec<u8>>>,
    pub flushed: Rc<Cell<usize>>,
    pub written: Rc<Cell<usize>>,
    pub flushes: Rc<Cell<usize>>,
    pub clock: Clock,
}

impl Line {
    pub fn new(reads: impl IntoIterator<Item = Act>) -> Self {
        Self {
            reads: Rc::new(RefCell::new(reads.into_iter().collect())),
            writes: Rc::default(),
            flushing: Rc::default(),
            cut: usize::MAX,
            idle: 1_000,
            said: Rc::default(),
            flushed: Rc::default(),
            written: Rc::default(),
            flushes: Rc::default(),
            clock: Clock::default(),
        }
    }

    pub fn saying(text: &str) -> Self {
        Self::new([octets(text)])
    }

    pub fn cut(mut self, cut: usize) -> Self {
        self.cut = cut;
        self
    }

    pub fn writing(self, writes: impl IntoIterator<Item = Act>) -> Self {
        self.writes.borrow_mut().extend(writes);
        self
    }

    pub fn said(&self) -> String {
        String::from_utf8_lossy(&self.said.borrow()).into_owned()
    }

    /// Whether all that was written was flushed too.
    pub fn is_flushed(&self) -> bool {
        self.flushed.get() == self.said.borrow().len()
    }

    fn next_read(&self, to: &mut [u8]) -> Result<usize, Act> {
        let mut reads = self.reads.borrow_mut();
        match reads.pop_front() {
            Some(Act::Octets(mut octets)) => {
                let count = octets.len().min(to.len()).min(self.cut);
                to[..count].copy_from_slice(&octets[..count]);
                let rest = octets.split_off(count);
                if !rest.is_empty() {
                    reads.push_front(Act::Octets(rest));
                }
                Ok(count)
            }
            Some(Act::Zero) => Ok(0),
            Some(act) => Err(act),
            None => Err(Act::Tick(self.idle)),
        }
    }

    fn next_write(&self, octets: &[u8]) -> Result<usize, Act> {
        self.written.set(self.written.get() + 1);
        let most = match self.writes.borrow_mut().pop_front() {
            Some(Act::Octets(most)) => most.len(),
            Some(Act::Zero) => return Ok(0),
            Some(act) => return Err(act),
            None => self.cut,
        };
        let count = most.min(octets.len());
        self.said.borrow_mut().extend_from_slice(&octets[..count]);
        Ok(count)
    }

    fn next_flush(&self) -> Result<usize, Act> {
        if let Some(act) = self.flushing.borrow_mut().pop_front() {
            return Err(act);
        }
        self.flushes.set(self.flushes.get() + 1);
        self.flushed.set(self.said.borrow().len());
        Ok(0)
    }

    fn blocked(&self, act: Act) -> ErrorKind {
        match act {
            Act::Tick(millis) => {
                self.clock.pass(millis);
                ErrorKind::TimedOut
            }
            Act::Fail(kind) => kind,
            act => panic!("{act:?}"),
        }
    }

    /// What `next` does, where a tick is a wait.
    async fn awaited(&self, mut next: impl FnMut() -> Result<usize, Act>) -> Result<usize, ErrorKind> {
        poll_fn(|cx| match next() {
            Ok(count) => Poll::Ready(Ok(count)),
            Err(Act::Tick(millis)) => {
                self.clock.pass(millis);
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Err(act) => Poll::Ready(Err(self.blocked(act))),
        })
        .await
    }
}

pub fn octets(text: &str) -> Act {
    Act::Octets(text.into())
}

impl ErrorType for Line {
    type Error = ErrorKind;
}

impl embedded_io::Read for Line {
    fn read(&mut self, to: &mut [u8]) -> Result<usize, ErrorKind> {
        assert!(!to.is_empty());
        self.next_read(to).map_err(|act| self.blocked(act))
    }
}

impl embedded_io::Write for Line {
    fn write(&mut self, octets: &[u8]) -> Result<usize, ErrorKind> {
        assert!(!octets.is_empty());
        self.next_write(octets).map_err(|act| self.blocked(act))
    }
    fn flush(&mut self) -> Result<(), ErrorKind> {
        self.next_flush().map(drop).map_err(|act| self.blocked(act))
    }
}

impl embedded_io_async::Read for Line {
    async fn read(&mut self, to: &mut [u8]) -> Result<usize, ErrorKind> {
        assert!(!to.is_empty());
        self.awaited(|| self.next_read(to)).await
    }
}

impl embedded_io_async::Write for Line {
    async fn write(&mut self, octets: &[u8]) -> Result<usize, ErrorKind> {
        assert!(!octets.is_empty());
        self.awaited(|| self.next_write(octets)).await
    }
    async fn flush(&mut self) -> Result<(), ErrorKind> {
        self.awaited(|| self.next_flush()).await.map(drop)
    }
}

/// What a handler says to a question.
#[derive(Clone, Copy, Debug)]
pub enum Verdict {
    Yes,
    No,
    /// Yes, when asked so many times more.
    Later(u32),
    Never,
}

/// A handler that notes what it hears, and answers by a rule.
pub struct Diary {
    pub heard: Vec<String>,
    rule: fn(&str) -> Verdict,
    open: Verdict,
    clock: Clock,
    /// Futures of the asynchronous handler that were dropped before their end.
    pub dropped: Rc<Cell<usize>>,
}

const NO: Reply<'static> = Reply::new(550, "No").enhanced(7, 1);

impl Diary {
    pub fn new(clock: &Clock, rule: fn(&str) -> Verdict) -> Self {
        Self { heard: Vec::new(), rule, open: Verdict::Never, clock: clock.clone(), dropped: Rc::default() }
    }

    /// How often it heard the end.
    pub fn endings(&self) -> usize {
        self.heard.iter().filter(|heard| heard.starts_with("closed")).count()
    }

    fn ask(&mut self, question: String) -> Answer<'static> {
        self.open = (self.rule)(&question);
        self.heard.push(question);
        self.answer()
    }

    fn answer(&mut self) -> Answer<'static> {
        match &mut self.open {
            Verdict::Yes => Answer::Accept,
            Verdict::No => Answer::Reply(NO),
            Verdict::Never => Answer::Later,
            Verdict::Later(0) => Answer::Accept,
            Verdict::Later(left) => {
                *left -= 1;
                Answer::Later
            }
        }
    }

    fn hear(&mut self, octets: &[u8]) {
        // How a text is cut is an accident.
        match self.heard.last_mut() {
            Some(last) if last.starts_with("text") => last.push_str(&octets.escape_ascii().to_string()),
            _ => self.heard.push(format!("text {}", octets.escape_ascii())),
        }
    }

    /// As an asynchronous handler: a tenth of a second for each `Later`.
    async fn tell(&mut self, question: String) -> Answer<'static> {
        struct Dropped(Rc<Cell<usize>>, bool);
        impl Drop for Dropped {
            fn drop(&mut self) {
                self.0.set(self.0.get() + usize::from(!self.1));
            }
        }
        let mut guard = Dropped(Rc::clone(&self.dropped), false);
        let mut answer = self.ask(question);
        while answer == Answer::Later {
            pause(&self.clock).await;
            answer = self.answer();
        }
        guard.1 = true;
        answer
    }
}

fn hello(hello: Hello<'_>) -> String {
    format!("hello {}", hello.name.escape_ascii())
}
fn mail(mail: Mail<'_>) -> String {
    format!("mail {}", mail.reverse_path.as_octets().escape_ascii())
}
fn rcpt(rcpt: Rcpt<'_>) -> String {
    format!("rcpt {}", rcpt.forward_path.as_octets().escape_ascii())
}

impl Handler for Diary {
    fn connected(&mut self, _: Peer) -> Answer<'_> {
        self.ask("connected".into())
    }
    fn hello(&mut self, it: Hello<'_>) -> Answer<'_> {
        self.ask(hello(it))
    }
    fn mail(&mut self, it: Mail<'_>) -> Answer<'_> {
        self.ask(mail(it))
    }
    fn rcpt(&mut self, it: Rcpt<'_>) -> Answer<'_> {
        self.ask(rcpt(it))
    }
    fn data(&mut self) -> Answer<'_> {
        self.ask("data".into())
    }
    fn text(&mut self, octets: &[u8]) -> Flow<'_> {
        self.hear(octets);
        Flow::Continue
    }
    fn message(&mut self, _: u16) -> Answer<'_> {
        self.ask("message".into())
    }
    fn reset(&mut self) {
        self.heard.push("reset".into());
    }
    fn closed(&mut self, why: Ending) {
        self.heard.push(format!("closed {why:?}"));
    }
    fn resume(&mut self, waker: &Waker) -> Answer<'_> {
        let answer = self.answer();
        if answer == Answer::Later && !waker.will_wake(Waker::noop()) {
            // What would wake it is time.
            self.clock.pass(100);
            waker.wake_by_ref();
        }
        answer
    }
}

/// The same handler, asynchronous.
pub struct Awaiting<'d>(pub &'d mut Diary);

impl AsyncHandler for Awaiting<'_> {
    async fn connected(&mut self, _: Peer) -> Answer<'_> {
        self.0.tell("connected".into()).await
    }
    async fn hello(&mut self, it: Hello<'_>) -> Answer<'_> {
        self.0.tell(hello(it)).await
    }
    async fn mail(&mut self, it: Mail<'_>) -> Answer<'_> {
        self.0.tell(mail(it)).await
    }
    async fn rcpt(&mut self, it: Rcpt<'_>) -> Answer<'_> {
        self.0.tell(rcpt(it)).await
    }
    async fn data(&mut self) -> Answer<'_> {
        self.0.tell("data".into()).await
    }
    async fn text(&mut self, octets: &[u8]) -> Flow<'_> {
        self.0.hear(octets);
        Flow::Continue
    }
    async fn message(&mut self, _: u16) -> Answer<'_> {
        self.0.tell("message".into()).await
    }
    async fn reset(&mut self) {
        self.0.reset();
    }
    async fn closed(&mut self, why: Ending) {
        self.0.closed(why);
    }
}

/// Is pending once, which takes a tenth of a second.
async fn pause(clock: &Clock) {
    let mut is_over = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut is_over, true) {
            return Poll::Ready(());
        }
        clock.pass(100);
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Runs a future on this thread; polls it only when it was woken.
pub fn run<F: Future>(future: F) -> F::Output {
    struct Flag(AtomicBool);
    impl Wake for Flag {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let flag = Arc::new(Flag(AtomicBool::new(true)));
    let waker = Waker::from(Arc::clone(&flag));
    let mut future = pin!(future);
    for _ in 0..1_000_000 {
        assert!(flag.0.swap(false, Ordering::Relaxed), "nothing would ever wake it");
        if let Poll::Ready(done) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return done;
        }
    }
    panic!("no end in sight");
}

/// The loops that serve a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loop {
    Blocking,
    Async,
    Plain,
}

pub const LOOPS: [Loop; 3] = [Loop::Blocking, Loop::Async, Loop::Plain];

impl Loop {
    /// Serves the client at the other end of the line.
    pub fn serve(
        self,
        config: &Config<'_>,
        line: &mut Line,
        diary: &mut Diary,
        buffer: &mut [u8],
    ) -> Result<Ending, ErrorKind> {
        let clock = line.clock.clone();
        let mut session = Session::new(config, Peer::default());
        match self {
            Self::Blocking => serve(line, &mut session, diary, &clock, buffer),
            Self::Async => {
                let mut output = [0; 1_024];
                run(serve_async(line, &mut session, &mut Awaiting(diary), &clock, buffer, &mut output))
            }
            Self::Plain => run(serve_plain(line, &mut session, diary, &clock, buffer, &mut [0; 1_024])),
        }
    }
}
