//! DebuggingServer: every message is printed, as Python's module prints it.

use std::io::{self, Write};
use std::sync::mpsc;
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
    /// Whether the message under way was printed.
    printed: Option<oneshot::Receiver<()>>,
}

#[derive(Debug)]
struct Job {
    message: Message,
    printed: oneshot::Sender<()>,
}

impl Printer {
    /// Starts the thread that owns `output`. When it can't be written to any more, as when a pipe was closed, `failed`
    /// is called once and messages get 451.
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
        Ok(Self { jobs, printed: None })
    }
}

/// For the next connection.
impl Clone for Printer {
    fn clone(&self) -> Self {
        Self { jobs: self.jobs.clone(), printed: None }
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
        let message = std::mem::replace(message, Message { peer, ..Message::default() });
        match self.jobs.send(Job { message, printed }) {
            Ok(()) => {
                self.printed = Some(waits);
                Answer::Later
            }
            Err(_) => Answer::Reply(NOT_PRINTED),
        }
    }

    fn resume(&mut self, waker: &Waker) -> Answer<'_> {
        let Some(printed) = &mut self.printed else { return Answer::Reply(NOT_PRINTED) };
        match std::pin::Pin::new(printed).poll(&mut Context::from_waker(waker)) {
            Poll::Pending => Answer::Later,
            Poll::Ready(Ok(())) => Answer::Accept,
            Poll::Ready(Err(_)) => Answer::Reply(NOT_PRINTED),
        }
    }
}

/// Prints until all senders are gone, or the output is.
fn print_all(mut output: impl Write, form: Form, jobs: &mpsc::Receiver<Job>) -> io::Result<()> {
    let mut text = Octets(Vec::new());
    for Job { message, printed } in jobs {
        // Whoever sent it was told no meanwhile, and may send it again.
        if printed.is_closed() {
            continue;
        }
        text.0.clear();
        text.0.shrink_to(SPARE);
        let (mail_options, rcpt_options) = (message.mail_options.join(" "), message.rcpt_options.join(" "));
        let message = Printed {
            peer: message.peer.address.map(|address| address.ip()),
            mail_options: mail_options.as_bytes(),
            rcpt_options: rcpt_options.as_bytes(),
            data: &message.data,
        };
        print(&mut text, &message, form);
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
