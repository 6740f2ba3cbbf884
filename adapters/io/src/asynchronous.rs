//! The loop over async I/O, with a handler that may await.

use embedded_io_async::{Read, Write};
use smtpd_core::server::{Answer, AsyncHandler, Ending, Event, Flow, Reply, Session};
use smtpd_core::store::Store;

use crate::AsyncTimer;
use crate::async_link::Link;
use crate::client::LAST_WORDS;

/// Serves one client until its session is over and the last reply is written and flushed; says how it ended.
///
/// `buffer` is what is read into, of any length; of none, the session ends at once with [`Ending::Fault`] and 421.
/// `output` is where replies are gathered while input is left or the handler's answer comes at once: a hundred pipelined commands
/// cost few writes. Of any length, too; what does not fit is sent on the way.
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
    if buffer.is_empty() {
        session.end(Ending::Fault);
    }
    let mut unread = 0;
    loop {
        let mut input = buffer.get(..unread).unwrap_or(b"");
        let talked = talk(session, &mut input, handler, &mut link).await;
        unread = 0;
        let read = match (talked, session.ending()) {
            (_, Some(why)) => {
                let _ = link.send_within(session.output(), Some(LAST_WORDS)).await;
                return link.result(why);
            }
            (Ok(()), None) => match link.send(b"").await {
                Ok(()) => link.receive(session, buffer).await,
                Err(why) => Err(why),
            },
            (Err(why), None) => Err(why),
        };
        match read {
            Ok(octets) => unread = octets,
            Err(why) => session.end(why),
        }
    }
}

/// Talks until all input is taken, or the session is over.
async fn talk<T: Read + Write + ?Sized, L: Store, O: Store, C: AsyncTimer + ?Sized>(
    session: &mut Session<'_, L, O>,
    input: &mut &[u8],
    handler: &mut impl AsyncHandler,
    link: &mut Link<'_, T, C>,
) -> Result<(), Ending> {
    let timers = session.timers();
    loop {
        // An event lends the session, its output too.
        link.collect(session).await?;
        let acts_on = handler.acts_on();
        let event = session.poll(input, usize::MAX);
        let secs = match event {
            Event::Idle => match session.output().is_empty() {
                true => return Ok(()),
                false => continue,
            },
            Event::Handled => continue,
            Event::Data => timers.data,
            Event::Message(_) => timers.message,
            _ => timers.answer,
        };
        match link.ask(tell(handler, event), secs).await? {
            // Whoever may await has no reason to answer later.
            Said::Answer(Answer::Later) => {
                session.answer(Answer::Reply(FAULT));
            }
            Said::Answer(answer) => {
                session.restrict(acts_on);
                session.answer(answer);
            }
            Said::Flow(flow) => session.flow(flow),
            Said::Nothing => {}
            Said::Unknown => return Err(Ending::Fault),
        }
    }
}

const FAULT: Reply<'static> = Reply::new(451, "Internal error").enhanced(3, 0);

/// What a handler says to an event.
enum Said<'h> {
    Answer(Answer<'h>),
    Flow(Flow<'h>),
    Nothing,
    /// An event that nobody here acts on: STARTTLS, which is announced only if its caller wants it so.
    Unknown,
}

/// One future for all events, so that what awaits it is compiled once.
async fn tell<'h>(handler: &'h mut impl AsyncHandler, event: Event<'_>) -> Said<'h> {
    Said::Answer(match event {
        Event::Connected(peer) => handler.connected(peer).await,
        Event::Hello(hello) => handler.hello(hello).await,
        Event::Mail(mail) => handler.mail(mail).await,
        Event::Rcpt(rcpt) => handler.rcpt(rcpt).await,
        Event::Data => handler.data().await,
        Event::Message(recipient) => handler.message(recipient).await,
        Event::Verify(verify) => handler.verify(verify).await,
        Event::Text(octets) => return Said::Flow(handler.text(octets).await),
        Event::Reset => {
            handler.reset().await;
            return Said::Nothing;
        }
        Event::Closed(why) => {
            handler.closed(why).await;
            return Said::Nothing;
        }
        _ => return Said::Unknown,
    })
}
