//! DebuggingServer: every message is printed, as Python's module prints it or as a line of JSON.

use std::io::{self, Write};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use smtpd_core::handlers::debugging::{self, Form, Printed, Sink};
use smtpd_core::server::Answer;
use smtpd_core::wire::Reply;
use tokio::sync::oneshot;

use crate::envelope;
use crate::message::{Message, ProcessMessage};
use crate::out::Out;

/// Prints messages from one thread, each whole, in the order in which they came; a message is answered 250 once it is
/// written and flushed.
///
/// ```no_run
/// use smtpd_std::{Config, Form, Messages, Printer, Server};
/// # async fn run() -> std::io::Result<()> {
/// let server = Server::bind("localhost:1025", Config::new("localhost")).await?;
/// let stopper = server.stopper();
/// let printer = Printer::new(std::io::stdout(), Form::Bytes, move |_| stopper.stop_now())?;
/// server.run(move |_| Messages::new(printer.clone())).await;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Printer {
    out: Out,
    layout: Layout,
    /// The message under way, and whether it was printed.
    waiting: Option<(Arc<Message>, oneshot::Receiver<()>)>,
}

#[derive(Clone, Copy, Debug)]
enum Layout {
    Python(Form),
    Json,
}

impl Printer {
    /// Starts the thread that owns `output`, which may be non-blocking. When it can't be written to any more, as when a
    /// pipe was closed, `failed` is called once and messages get 451.
    ///
    /// # Errors
    /// The thread can't be started.
    pub fn new(
        output: impl Write + Send + 'static,
        form: Form,
        failed: impl FnOnce(io::Error) + Send + 'static,
    ) -> io::Result<Self> {
        Ok(Self { out: Out::new(output, failed)?, layout: Layout::Python(form), waiting: None })
    }

    /// As [`new`](Self::new), but prints the envelope of each message as a line of JSON: `peer`, `port`, `mail_from`,
    /// `rcpt_tos`, `mail_options`, `rcpt_options` and `size`, the octets of its text.
    ///
    /// # Errors
    /// The thread can't be started.
    pub fn json(
        output: impl Write + Send + 'static,
        failed: impl FnOnce(io::Error) + Send + 'static,
    ) -> io::Result<Self> {
        Ok(Self { out: Out::new(output, failed)?, layout: Layout::Json, waiting: None })
    }
}

/// For the next connection.
impl Clone for Printer {
    fn clone(&self) -> Self {
        Self { out: self.out.clone(), layout: self.layout, waiting: None }
    }
}

/// To a message that could not be printed.
pub(crate) const NOT_PRINTED: Reply<'static> = Reply::new(451, "Message could not be printed").enhanced(3, 0);

impl ProcessMessage for Printer {
    fn process_message(&mut self, message: &mut Message) -> Answer<'_> {
        let message = Arc::new(message.take());
        // Its session's own: one that was refused meanwhile takes no memory in the queue, however long that stands, and
        // is not printed, for whoever sent it was told no and may send it again.
        let (shown, layout) = (Arc::downgrade(&message), self.layout);
        let printed = self.out.write(move |octets| shown.upgrade().is_some_and(|shown| layout.print(&shown, octets)));
        self.waiting = Some((message, printed));
        Answer::Later
    }

    fn resume(&mut self, waker: &Waker) -> Answer<'_> {
        let Some((_, printed)) = &mut self.waiting else { return Answer::Reply(NOT_PRINTED) };
        let Poll::Ready(printed) = Pin::new(printed).poll(&mut Context::from_waker(waker)) else {
            return Answer::Later;
        };
        self.waiting = None;
        match printed {
            Ok(()) => Answer::Accept,
            Err(_) => Answer::Reply(NOT_PRINTED),
        }
    }
}

impl Layout {
    fn print(self, message: &Message, octets: &mut Vec<u8>) -> bool {
        match self {
            Self::Json => octets.extend_from_slice(&envelope::line(message, None)),
            Self::Python(form) => {
                let (mail_options, rcpt_options) = (message.mail_options.join(" "), message.rcpt_options.join(" "));
                let shown = Printed {
                    peer: message.peer.address.map(|address| address.ip()),
                    mail_options: mail_options.as_bytes(),
                    rcpt_options: rcpt_options.as_bytes(),
                    data: &message.data,
                };
                debugging::print(&mut Octets(octets), &shown, form);
            }
        }
        true
    }
}

/// What is printed goes out in one piece.
struct Octets<'o>(&'o mut Vec<u8>);

impl Sink for Octets<'_> {
    fn write(&mut self, octets: &[u8]) {
        self.0.extend_from_slice(octets);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    /// Says when it is written to, and writes once it is let.
    struct Gate(mpsc::Sender<()>, mpsc::Receiver<()>);

    impl Write for Gate {
        fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
            let _ = self.0.send(());
            let _ = self.1.recv();
            Ok(octets.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_message_that_no_session_waits_for_is_not_kept() {
        let (writes, begun) = mpsc::channel();
        let (open, gate) = mpsc::channel();
        let mut printer = Printer::new(Gate(writes, gate), Form::Bytes, |_| ()).unwrap();
        let held = |printer: &Printer| Arc::downgrade(&printer.waiting.as_ref().unwrap().0);
        assert!(matches!(printer.process_message(&mut Message::default()), Answer::Later));
        begun.recv().unwrap();
        let mut other = printer.clone();
        assert!(matches!(other.process_message(&mut Message::default()), Answer::Later));
        // Behind the one that is being written; its session goes.
        let behind = held(&other);
        assert!(behind.upgrade().is_some());
        drop(other);
        assert!(behind.upgrade().is_none());
        let first = held(&printer);
        open.send(()).unwrap();
        while matches!(printer.resume(Waker::noop()), Answer::Later) {
            std::thread::yield_now();
        }
        assert!(first.upgrade().is_none());
    }
}
