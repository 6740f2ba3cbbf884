//! The loop over async I/O, with a handler that does not await but may answer later.

use core::future::poll_fn;
use core::pin::pin;
use core::task::Poll;

use embedded_io_async::{Read, Write};
use smtpd_core::server::{Ending, Handler, Progress, Session, step};
use smtpd_core::store::Store;

use crate::AsyncTimer;
use crate::async_link::{Link, after};
use crate::client::LAST_WORDS;

/// As [`serve_async`](crate::serve_async), with a [`Handler`] that is ready to use, such as
/// [`Message`](smtpd_core::handlers::Message), or of your own.
///
/// A handler that answers [`Later`](smtpd_core::server::Answer::Later), or has no room for text, wakes the task's waker when it
/// knows more ([`Handler::resume`], [`Handler::room`]). Nothing is read meanwhile, and it may take as long as the session's
/// timers say. No buffer for output is needed: the session has one.
///
/// # Errors
/// As those of [`serve_async`](crate::serve_async).
pub async fn serve_plain<T: Read + Write + ?Sized, L: Store, O: Store>(
    io: &mut T,
    session: &mut Session<'_, L, O>,
    handler: &mut (impl Handler + ?Sized),
    timer: &(impl AsyncTimer + ?Sized),
    buffer: &mut [u8],
) -> Result<Ending, T::Error> {
    let mut link = Link::new(io, timer, session.timers(), &mut []);
    if buffer.is_empty() {
        session.end(Ending::Fault);
    }
    let mut unread = 0..0;
    loop {
        let mut input = buffer.get(unread.clone()).unwrap_or(b"");
        let progress = poll_fn(|cx| {
            loop {
                match step(session, &mut input, handler, cx.waker()) {
                    Progress::Moved => {}
                    progress => return Poll::Ready(progress),
                }
            }
        })
        .await;
        if let Some(why) = session.ending() {
            let _ = link.send_within(session.output(), Some(LAST_WORDS)).await;
            return link.result(why);
        }
        let mut done = link.send(session.output()).await;
        let has_sent = !session.output().is_empty();
        session.sent(session.output().len());
        if let (Progress::Wait { .. }, false) = (progress, has_sent) {
            let mut late = pin!(after(timer, link.left(session)));
            // Stepped once more: the handler may have known more already, and woken whoever sent.
            done = poll_fn(|cx| match step(session, &mut input, handler, cx.waker()) {
                Progress::Wait { .. } if session.output().is_empty() => {
                    late.as_mut().poll(cx).map(|()| Err(Ending::Expired))
                }
                _ => Poll::Ready(Ok(())),
            })
            .await;
        }
        unread.start = unread.end.saturating_sub(input.len());
        if let (Ok(()), Progress::Read) = (done, progress) {
            done = link.receive(session, buffer).await.map(|octets| unread = 0..octets);
        }
        if progress == Progress::StartTls {
            done = Err(Ending::Fault);
        }
        if let Err(why) = done {
            session.end(why);
        }
    }
}
