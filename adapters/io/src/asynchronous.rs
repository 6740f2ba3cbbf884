//! The loop over async I/O, with a handler that may await.

use core::cell::Cell;
use core::pin::pin;

use embedded_io_async::{Read, Write};
use smtpd_core::server::{Answer, AsyncHandler, Ending, Event, Reply, Session, State};
use smtpd_core::store::Store;

use crate::AsyncTimer;
use crate::async_link::{Link, Turn};

/// Serves one client until its session is over and the last reply is written and flushed; says how it ended.
///
/// `buffer` is what is read into, `output` is where replies are gathered while input is left or the handler's answer
/// comes at once, so that a hundred pipelined commands cost few writes. Both are of any length; if one has none, the
/// session ends at once with [`Ending::Fault`], and without output unheard.
///
/// Replies that are ready are sent before anything is waited for, and while the handler awaits. Reads, writes and the
/// handler race against the session's time ([`Timers`](smtpd_core::server::Timers)); what is too slow is dropped
/// ([`Ending::Expired`]). The last reply and the handler's `closed` have 10 s. A
/// write that was begun is left for nothing else, so the I/O need not be
/// cancel-safe: behind a dropped write nothing is written, behind a dropped read nothing is read.
///
/// Whoever drops this future ends everything at once: the handler does not hear `closed` then.
///
/// # Errors
/// The I/O's error that broke the connection; the handler heard [`Ending::Lost`], or how the session had ended before.
/// The end of what can be read is no error but `Ok(Ending::Lost)`, and so is a write of 0 octets.
pub async fn serve_async<T: Read + Write + ?Sized, L: Store, O: Store>(
    io: &mut T,
    session: &mut Session<'_, L, O>,
    handler: &mut impl AsyncHandler,
    timer: &(impl AsyncTimer + ?Sized),
    buffer: &mut [u8],
    output: &mut [u8],
) -> Result<Ending, T::Error> {
    drive(io, session, &mut Awaited(handler), timer, buffer, output).await
}

/// A handler of any kind, asked by turns.
pub(crate) trait Turns {
    /// One event, polled, asked and answered, in one future, so that what awaits it is compiled once. An answer has
    /// `secs` seconds.
    async fn turn<L: Store, O: Store>(
        &mut self,
        session: &mut Session<'_, L, O>,
        input: &mut &[u8],
        is_full: bool,
        secs: &Cell<u32>,
    ) -> Turn;
}

/// The loop for handlers of any kind.
pub(crate) async fn drive<T: Read + Write + ?Sized, L: Store, O: Store>(
    io: &mut T,
    session: &mut Session<'_, L, O>,
    handler: &mut impl Turns,
    timer: &(impl AsyncTimer + ?Sized),
    buffer: &mut [u8],
    output: &mut [u8],
) -> Result<Ending, T::Error> {
    let mut link = Link::new(io, timer, session.timers(), output);
    if !link.has_output() || buffer.is_empty() {
        session.end(Ending::Fault);
    }
    let mut unread = 0;
    loop {
        let mut input = buffer.get(..unread).unwrap_or(b"");
        let mut done = loop {
            let is_full = !link.collect(session);
            let secs = Cell::new(0);
            let is_over = matches!(session.state(), State::Closing(_) | State::Closed);
            let turn = pin!(handler.turn(session, &mut input, is_full, &secs));
            match link.wait(turn, &secs, is_over).await {
                Ok(Turn::Moved | Turn::Full) => {}
                Ok(Turn::Idle) => break Ok(0),
                Ok(Turn::Unknown) => break Err(Ending::Fault),
                Err(why) => break Err(why),
            }
        };
        if let Some(why) = session.ending() {
            return link.result(why);
        }
        if done.is_ok() {
            done = link.receive(session, buffer).await;
        }
        unread = done.unwrap_or_else(|why| {
            session.end(why);
            0
        });
    }
}

/// Nothing moves without I/O: what was said is sent first.
pub(crate) fn idle<L: Store, O: Store>(session: &Session<'_, L, O>) -> Turn {
    if session.output().is_empty() { Turn::Idle } else { Turn::Moved }
}

/// A handler that may await.
struct Awaited<'h, H>(&'h mut H);

impl<H: AsyncHandler> Turns for Awaited<'_, H> {
    async fn turn<L: Store, O: Store>(
        &mut self,
        session: &mut Session<'_, L, O>,
        input: &mut &[u8],
        is_full: bool,
        secs: &Cell<u32>,
    ) -> Turn {
        if is_full {
            return Turn::Full;
        }
        let Self(handler) = self;
        let timers = session.timers();
        secs.set(timers.answer);
        // Read before the answer is lent: it borrows the handler.
        let acts_on = handler.acts_on();
        let answer = match session.poll(input, usize::MAX) {
            Event::Idle => return idle(session),
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
        session.restrict(acts_on, 0);
        session.answer(match answer {
            // Whoever may await has no reason to answer later.
            Answer::Later => Answer::Reply(FAULT),
            answer => answer,
        });
        Turn::Moved
    }
}

const FAULT: Reply<'static> = Reply::new(451, "Internal error").enhanced(3, 0);
