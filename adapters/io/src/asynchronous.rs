//! The loop over async I/O, with a handler that may await.

use core::cell::Cell;
use core::pin::pin;

use embedded_io_async::{Read, Write};
use smtpd_core::server::{Answer, AsyncHandler, Ending, Event, Reply, Session};
use smtpd_core::store::Store;

use crate::AsyncTimer;
use crate::async_link::Link;

/// Serves one client until its session is over and the last reply is written and flushed; says how it ended.
///
/// `buffer` is what is read into, of any length; of none, the session ends at once with [`Ending::Fault`] and 421.
/// `output` is where replies are gathered while input is left or the handler's answer comes at once: a hundred pipelined commands
/// cost few writes. Of any length, too, what does not fit is sent on the way; of none, the session ends as well, but unheard.
///
/// Replies that are ready are sent before anything is waited for, and while the handler awaits. Reads, writes and the
/// handler race against the session's time ([`Timers`](smtpd_core::server::Timers)); what is too slow is dropped
/// ([`Ending::Expired`]). The last reply has 10 s. A write that was begun is never left for anything else, so I/O need not be
/// cancel-safe: after a dropped write nothing more is written, after a dropped read nothing is read.
///
/// To drop this future itself ends everything at once: the handler does not hear `closed` then.
///
/// # Errors
/// The I/O's error that broke the connection; the handler heard [`Ending::Lost`], or how the session had ended before. The end of
/// what can be read is no error but `Ok(Ending::Lost)`, and so is a write of 0 octets.
pub async fn serve_async<T: Read + Write + ?Sized, L: Store, O: Store>(
    io: &mut T,
    session: &mut Session<'_, L, O>,
    handler: &mut impl AsyncHandler,
    timer: &(impl AsyncTimer + ?Sized),
    buffer: &mut [u8],
    output: &mut [u8],
) -> Result<Ending, T::Error> {
    let mut link = Link::new(io, timer, session.timers(), output);
    if !link.has_output() || buffer.is_empty() {
        session.end(Ending::Fault);
    }
    let mut unread = 0..0;
    loop {
        let mut input = buffer.get(unread.clone()).unwrap_or(b"");
        let mut done = talk(session, &mut input, handler, &mut link).await;
        unread.start = unread.end.saturating_sub(input.len());
        if done.is_ok() {
            if let (Some(why), false) = (session.ending(), link.has_taken()) {
                return link.result(why);
            }
            done = link.transfer(session, buffer).await;
        }
        match done {
            Ok(0) => {}
            Ok(octets) => unread = 0..octets,
            Err(why) => session.end(why),
        }
    }
}

/// Talks until octets have to be moved.
async fn talk<T: Read + Write + ?Sized, L: Store, O: Store, C: AsyncTimer + ?Sized>(
    session: &mut Session<'_, L, O>,
    input: &mut &[u8],
    handler: &mut impl AsyncHandler,
    link: &mut Link<'_, T, C>,
) -> Result<usize, Ending> {
    while link.collect(session) {
        let secs = Cell::new(0);
        let question = pin!(turn(session, input, handler, &secs));
        match link.ask(question, &secs).await? {
            Turn::Moved => {}
            Turn::Idle => break,
            Turn::Unknown => return Err(Ending::Fault),
        }
    }
    Ok(0)
}

/// What came of a turn.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Turn {
    Moved,
    /// Input is wanted, or the session is over.
    Idle,
    /// An event that nobody here acts on: STARTTLS, which is announced only if the session's owner wants it so.
    Unknown,
}

/// One event: polled, asked, answered; all in one future, so that what awaits it is compiled once. The answer has `secs`
/// seconds.
async fn turn<L: Store, O: Store>(
    session: &mut Session<'_, L, O>,
    input: &mut &[u8],
    handler: &mut impl AsyncHandler,
    secs: &Cell<u32>,
) -> Turn {
    let timers = session.timers();
    secs.set(timers.answer);
    // Read before the answer is lent: it borrows the handler.
    let acts_on = handler.acts_on();
    let answer = match session.poll(input, usize::MAX) {
        Event::Idle => return if session.output().is_empty() { Turn::Idle } else { Turn::Moved },
        Event::Handled => return Turn::Moved,
        Event::Text(octets) => {
            let flow = handler.text(octets).await;
            session.flow(flow);
            return Turn::Moved;
        }
        Event::Reset => {
            handler.reset().await;
            return Turn::Moved;
        }
        Event::Closed(why) => {
            handler.closed(why).await;
            return Turn::Moved;
        }
        Event::Connected(peer) => handler.connected(peer).await,
        Event::Hello(hello) => handler.hello(hello).await,
        Event::Mail(mail) => handler.mail(mail).await,
        Event::Rcpt(rcpt) => handler.rcpt(rcpt).await,
        Event::Verify(verify) => handler.verify(verify).await,
        Event::Data => {
            secs.set(timers.data);
            handler.data().await
        }
        Event::Message(recipient) => {
            secs.set(timers.message);
            handler.message(recipient).await
        }
        _ => return Turn::Unknown,
    };
    session.restrict(acts_on);
    // Whoever may await has no reason to answer later.
    session.answer(if answer == Answer::Later { Answer::Reply(FAULT) } else { answer });
    Turn::Moved
}

const FAULT: Reply<'static> = Reply::new(451, "Internal error").enhanced(3, 0);
