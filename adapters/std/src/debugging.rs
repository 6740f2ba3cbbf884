//! DebuggingServer: every message is printed, as Python's module prints it.

use std::io::{self, Write};
use std::pin::Pin;
use std::sync::{Arc, Weak, mpsc};
use std::task::{Context, Poll, Waker};
use std::thread;

use smtpd_core::handlers::debugging::{Form, Printed, Sink, print};
use smtpd_core::server::Answer;
use smtpd_core::wire::Reply;
use tokio::sync::oneshot;

use crate::message::{Message, ProcessMessage};
use crate::patient;

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
    jobs: mpsc::Sender<Job>,
    /// The message under way, and whether it was printed.
    waiting: Option<(Arc<Message>, oneshot::Receiver<()>)>,
}

#[derive(Debug)]
struct Job {
    /// Its session's own: one that was refused meanwhile takes no memory here, however long the queue stands.
    message: Weak<Message>,
    printed: oneshot::Sender<()>,
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
        let (jobs, queue) = mpsc::channel::<Job>();
        thread::Builder::new().name("printer".into()).spawn(move || {
            if let Err(error) = print_all(output, form, &queue) {
                failed(error);
            }
        })?;
        Ok(Self { jobs, waiting: None })
    }
}

/// For the next connection.
impl Clone for Printer {
    fn clone(&self) -> Self {
        Self { jobs: self.jobs.clone(), waiting: None }
    }
}

/// Octets of memory that are kept from message to message.
const SPARE: usize = 65_536;

/// To a message that could not be printed.
const NOT_PRINTED: Reply<'static> = Reply::new(451, "Message could not be printed").enhanced(3, 0);

impl ProcessMessage for Printer {
    fn process_message(&mut self, message: &mut Message) -> Answer<'_> {
        let (printed, waits) = oneshot::channel();
        let peer = message.peer;
        let message = Arc::new(std::mem::replace(message, Message { peer, ..Message::default() }));
        match self.jobs.send(Job { message: Arc::downgrade(&message), printed }) {
            Ok(()) => {
                self.waiting = Some((message, waits));
                Answer::Later
            }
            Err(_) => Answer::Reply(NOT_PRINTED),
        }
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

/// Prints until all senders are gone, or the output is.
fn print_all(mut output: impl Write, form: Form, jobs: &mpsc::Receiver<Job>) -> io::Result<()> {
    let mut text = Octets(Vec::new());
    for Job { message, printed } in jobs {
        // Whoever sent it was told no meanwhile, and may send it again.
        let Some(message) = message.upgrade() else { continue };
        text.0.clear();
        text.0.shrink_to(SPARE);
        let (mail_options, rcpt_options) = (message.mail_options.join(" "), message.rcpt_options.join(" "));
        let shown = Printed {
            peer: message.peer.address.map(|address| address.ip()),
            mail_options: mail_options.as_bytes(),
            rcpt_options: rcpt_options.as_bytes(),
            data: &message.data,
        };
        print(&mut text, &shown, form);
        patient::write_all(&mut output, &text.0)?;
        let _ = printed.send(());
    }
    Ok(())
}

/// What is printed goes out in one piece.
struct Octets(Vec<u8>);

impl Sink for Octets {
    fn write(&mut self, octets: &[u8]) {
        self.0.extend_from_slice(octets);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_that_no_session_waits_for_is_not_kept() {
        let (jobs, queue) = mpsc::channel();
        let mut printer = Printer { jobs, waiting: None };
        for is_printed in [true, false] {
            assert!(matches!(printer.process_message(&mut Message::default()), Answer::Later));
            let Job { message, printed } = queue.recv().unwrap();
            assert!(message.upgrade().is_some());
            if is_printed {
                printed.send(()).unwrap();
                assert!(matches!(printer.resume(Waker::noop()), Answer::Accept));
            } else {
                printer = printer.clone();
            }
            assert!(message.upgrade().is_none());
        }
    }
}
