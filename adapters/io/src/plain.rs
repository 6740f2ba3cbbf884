//! The loop over async I/O, with a handler that does not await but may answer later.

use core::cell::Cell;
use core::future::poll_fn;
use core::task::Poll;

use embedded_io_async::{Read, Write};
use smtpd_core::server::{Ending, Handler, Progress, Session, step};
use smtpd_core::store::Store;

use crate::AsyncTimer;
use crate::async_link::Turn;
use crate::asynchronous::{Turns, drive, idle};

/// As [`serve_async`](crate::serve_async), with a [`Handler`]: one that is ready to use, such as
/// [`Message`](smtpd_core::handlers::Message), or your own.
///
/// A handler that answers [`Later`](smtpd_core::server::Answer::Later), or has no room for text, keeps the waker that
/// it gets and wakes it when it knows more ([`Handler::resume`], [`Handler::room`]). Nothing is read meanwhile.
///
/// # Errors
/// As those of [`serve_async`](crate::serve_async).
pub async fn serve_plain<T: Read + Write + ?Sized, L: Store, O: Store>(
    io: &mut T,
    session: &mut Session<'_, L, O>,
    handler: &mut (impl Handler + ?Sized),
    timer: &(impl AsyncTimer + ?Sized),
    buffer: &mut [u8],
    output: &mut [u8],
) -> Result<Ending, T::Error> {
    drive(io, session, &mut Plain(handler), timer, buffer, output).await
}

struct Plain<'h, H: ?Sized>(&'h mut H);

impl<H: Handler + ?Sized> Turns for Plain<'_, H> {
    async fn turn<L: Store, O: Store>(
        &mut self,
        session: &mut Session<'_, L, O>,
        input: &mut &[u8],
        is_full: bool,
        secs: &Cell<u32>,
    ) -> Turn {
        poll_fn(|cx| {
            if is_full {
                return Poll::Ready(Turn::Full);
            }
            Poll::Ready(match step(session, input, self.0, cx.waker()) {
                Progress::Moved | Progress::Write => Turn::Moved,
                Progress::Read | Progress::Closed => idle(session),
                Progress::StartTls => Turn::Unknown,
                // What was said before the question has to be sent.
                Progress::Wait { .. } if !session.output().is_empty() => Turn::Moved,
                Progress::Wait { .. } => {
                    secs.set(session.patience().secs);
                    return Poll::Pending;
                }
            })
        })
        .await
    }
}
