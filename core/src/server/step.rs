//! One step of a session with its handler: poll, ask, answer.

use core::task::Waker;

use super::event::{Answer, Event, Flow};
use super::order::State;
use super::{Handler, Session};
use crate::store::Store;
use crate::wire::IS_HOST;

/// What the driver has to do after a step.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Progress {
    /// Step again.
    Moved,
    /// Send the output, then step again: it is full.
    Write,
    /// Send the output, then read, then step again.
    Read,
    /// Send the output. The handler owes an answer, or has no room for text: wait for its waker, or ask again by
    /// another step.
    Wait {
        /// Whether further input would be taken meanwhile (only for a handler with a backlog): more RCPT commands.
        read: bool,
    },
    /// Send the output, start TLS, then call [`Session::tls_started`]: only with the feature `starttls`.
    StartTls,
    /// Send the output, then close: see the contract of [`Session`], 3.
    Closed,
}

/// Does one thing: hands one event to the handler, and its answer to the session.
///
/// Super-loops pass [`Waker::noop`] and step again each turn.
///
/// ```
/// use core::task::Waker;
/// use smtpd_core::server::{step, Answer, Config, Flow, Handler, Peer, Progress, Rcpt, Session};
/// struct Count(usize);
/// impl Handler for Count {
///     fn rcpt(&mut self, _: Rcpt<'_>) -> Answer<'_> { Answer::Accept }
///     fn text(&mut self, octets: &[u8]) -> Flow<'_> { self.0 += octets.len(); Flow::Continue }
///     fn message(&mut self, _: u16) -> Answer<'_> { Answer::Accept }
/// }
/// let config = Config::new("mx.example.org");
/// let mut session = Session::new(&config, Peer::default());
/// let mut input: &[u8] = b"HELO a\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\nHi\r\n.\r\n";
/// let mut count = Count(0);
/// while step(&mut session, &mut input, &mut count, Waker::noop()) == Progress::Moved {}
/// assert_eq!(count.0, 4);
/// ```
///
/// A whole driver, without a clock ([`Session::patience`] says how long to wait, `session.end(Ending::Expired)` ends it
/// then):
/// ```
/// # use core::task::Waker;
/// # use smtpd_core::server::{step, Config, Ending, Handler, Peer, Progress, Session};
/// # use std::io::{self, Read, Write};
/// fn serve(stream: &mut (impl Read + Write), config: &Config, handler: &mut impl Handler) -> io::Result<()> {
///     let mut session = Session::new(config, Peer::default());
///     let (mut buffer, mut unread) = ([0; 512], 0..0);
///     loop {
///         let mut input = &buffer[unread.clone()];
///         let progress = step(&mut session, &mut input, handler, Waker::noop());
///         unread.start = unread.end - input.len();
///         if progress == Progress::Moved {
///             continue;
///         }
///         stream.write_all(session.output())?;
///         session.sent(session.output().len());
///         match progress {
///             Progress::Closed => return Ok(()),
///             Progress::Read => match stream.read(&mut buffer)? {
///                 0 => session.end(Ending::Lost),
///                 octets => unread = 0..octets,
///             },
///             // Its output is sent, or its handler may know more by now.
///             _ => {}
///         }
///     }
/// }
/// ```
pub fn step<L: Store, O: Store>(
    session: &mut Session<'_, L, O>,
    input: &mut &[u8],
    handler: &mut (impl Handler + ?Sized),
    waker: &Waker,
) -> Progress {
    let open = session.open();
    if open > 0 {
        if !session.can_answer() {
            return Progress::Write;
        }
        // Read before the answer is lent: it borrows the handler.
        let (acts_on, size, backlog) = (handler.acts_on(), handler.size(), handler.backlog());
        match handler.resume(waker) {
            Answer::Later if open >= backlog => return Progress::Wait { read: false },
            Answer::Later => {}
            answer => {
                session.restrict(acts_on, size);
                session.answer(answer);
                return Progress::Moved;
            }
        }
    }
    // Text in bulk: only what is not text goes the long way.
    let event = loop {
        let room = if session.state() == State::Text { handler.room(waker) } else { usize::MAX };
        match session.poll(input, room) {
            Event::Text(mut octets) => {
                loop {
                    if let Flow::Refuse(reply) = handler.text(octets) {
                        session.flow(Flow::Refuse(reply));
                        break;
                    }
                    // A poll for each line that begins with a dot would cost a third more.
                    match session.short_line(input, || handler.room(waker)) {
                        Some(line) => octets = line,
                        None => break,
                    }
                }
                if is_read(session, input) {
                    return Progress::Read;
                }
            }
            event => break event,
        }
    };
    let (acts_on, size) = (handler.acts_on(), handler.size());
    let answer = match event {
        Event::Connected(peer) => handler.connected(peer),
        Event::Hello(hello) => handler.hello(hello),
        Event::Mail(mail) => handler.mail(mail),
        Event::Rcpt(rcpt) => handler.rcpt(rcpt),
        Event::Data => handler.data(),
        Event::Message(recipient) => handler.message(recipient),
        Event::Verify(verify) => handler.verify(verify),
        Event::Reset => {
            handler.reset();
            return Progress::Moved;
        }
        Event::Closed(why) => {
            handler.closed(why);
            return Progress::Closed;
        }
        Event::Handled | Event::Text(_) => return Progress::Moved,
        #[cfg(feature = "starttls")]
        Event::StartTls => return Progress::StartTls,
        Event::Idle => return idle(session, input, open),
    };
    if !matches!(answer, Answer::Later) {
        if open > 0 {
            session.fault();
        } else {
            session.restrict(acts_on, size);
            session.answer(answer);
        }
    }
    if is_read(session, input) { Progress::Read } else { Progress::Moved }
}

/// Whether input is all that is needed: known without a poll, which costs a host 100 instructions and a device no flash.
fn is_read<L: Store, O: Store>(session: &Session<'_, L, O>, input: &[u8]) -> bool {
    IS_HOST && input.is_empty() && session.is_starved()
}

/// Why nothing moved.
fn idle<L: Store, O: Store>(session: &Session<'_, L, O>, input: &[u8], open: u16) -> Progress {
    match session.state() {
        State::Closed => Progress::Closed,
        #[cfg(feature = "starttls")]
        State::Tls => Progress::StartTls,
        _ if open > 0 => Progress::Wait { read: input.is_empty() && session.takes_more() },
        _ if !session.can_answer() => Progress::Write,
        State::Text if !input.is_empty() => Progress::Wait { read: false },
        _ => Progress::Read,
    }
}
