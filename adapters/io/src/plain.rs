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
pub async fn serve_plain() {}
