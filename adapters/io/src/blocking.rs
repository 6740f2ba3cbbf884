//! The loop over blocking I/O.

use embedded_io::{Read, Write};
use smtpd_core::server::{Ending, Handler, Session};
use smtpd_core::store::Store;

use crate::Timer;
use crate::client::{Client, Turn};

/// Serves one client until its session is over and the last reply is written and flushed; says how it ended.
///
/// `buffer` is what is read into, of any length; of none, the session ends at once with [`Ending::Fault`] and 421. An
/// answer that the handler owes ([`Answer::Later`](smtpd_core::server::Answer::Later)) is asked for again and again,
/// with [`Timer::wait`] in between; nothing is read meanwhile.
///
/// Times are kept where the I/O comes back: a read or write that blocks for ever keeps its client for ever. One that
/// fails with `TimedOut` or `Interrupted` is tried again, until the session's time is up ([`Ending::Expired`]): let
/// reads fail so after a second, or wrap the I/O in [`Polled`](crate::Polled). A client that does not take the last
/// reply is given up after 10 s in which no octet moved.
///
/// # Errors
/// The I/O's error that broke the connection; the handler heard [`Ending::Lost`], or how the session had ended before.
/// The end of what can be read is no error but `Ok(Ending::Lost)`, and so is a write of 0 octets.
pub fn serve<T: Read + Write + ?Sized, L: Store, O: Store>(
    io: &mut T,
    session: &mut Session<'_, L, O>,
    handler: &mut (impl Handler + ?Sized),
    timer: &(impl Timer + ?Sized),
    buffer: &mut [u8],
) -> Result<Ending, T::Error> {
    let mut client = Client::new(io, buffer, timer.now());
    if !client.has_buffer() {
        session.end(Ending::Fault);
    }
    loop {
        match client.turn(session, handler, timer, false) {
            Turn::Moved => {}
            Turn::Waits => timer.wait(),
            Turn::Over(why) => return client.result(why),
        }
    }
}
