//! One connection with an asynchronous handler, which is awaited between the session's event and its answer.

use std::future::{Future, pending, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Poll, ready};
use std::time::Duration;

use smtpd_core::server::{Answer, Config, Ending, Event, Peer, Session};
use tokio::io::{AsyncRead, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::task::unconstrained;
use tokio::time::{sleep, timeout};

use crate::async_handler::AsyncHandler;
use crate::connection::{caught, is_between, reads};
use crate::pool::{Buffer, Pooled};
use crate::waiting::{LAST_WORDS, Timer, Waiting, span};

/// Replies that are gathered before they are sent, while input is left that may cause more.
const OUTPUT: usize = 16_384;

/// Serves one connection until its session is over; gives the stream back, to be closed.
pub(crate) async fn serve<H: AsyncHandler>(
    stream: TcpStream,
    config: &Config<'_>,
    peer: Peer,
    mut handler: H,
    at_once: usize,
    waiting: Waiting,
) -> TcpStream {
    let mut session = Session::with(config, peer, Pooled::default(), Pooled::default());
    let mut timer = Timer::new(&config.timers);
    let patience = span(config.timers.output);
    let mut link = Link { stream, at_once, output: Vec::new(), patience, waiting };
    let (mut buffer, mut filled) = (Buffer::default(), 0);
    loop {
        let (mut input, _) = buffer.split_at(filled);
        let talked = talk(&mut session, &mut input, &mut handler, &mut link, config).await;
        (buffer, filled) = (Buffer::default(), 0);
        let received = match talked {
            Ok(true) => link.receive(&mut session, &mut timer).await,
            Ok(false) => break,
            Err(why) => Err(why),
        };
        match received {
            Ok(input) => (buffer, filled) = input,
            Err(why) => {
                session.end(why);
                // A handler that panicked is not called again, not even for the last event.
                if why == Ending::Fault {
                    let _ = link.collect(&mut session).await;
                    break;
                }
            }
        }
    }
    let _ = timeout(LAST_WORDS, link.send()).await;
    link.stream
}

/// Talks until more input is wanted (true) or the session is over (false).
async fn talk<H: AsyncHandler>(
    session: &mut Session<'_, Pooled, Pooled>,
    input: &mut &[u8],
    handler: &mut H,
    link: &mut Link,
    config: &Config<'_>,
) -> Result<bool, Ending> {
    let timers = &config.timers;
    loop {
        link.collect(session).await?;
        // Read before the answer is lent: it borrows the handler.
        let acts_on = caught(|| handler.acts_on())?;
        let handler = &mut *handler;
        let answer = match session.poll(input, usize::MAX) {
            Event::Idle => match session.output().is_empty() {
                true => return Ok(true),
                false => continue,
            },
            Event::Text(octets) => {
                let flow = link.ask(timers.answer, move || handler.text(octets)).await?;
                session.flow(flow);
                continue;
            }
            Event::Reset => {
                link.ask(timers.answer, move || handler.reset()).await?;
                continue;
            }
            Event::Closed(why) => {
                let _ = link.ask(timers.answer, move || handler.closed(why)).await;
                return Ok(false);
            }
            Event::Connected(peer) => link.ask(timers.answer, move || handler.connected(peer)).await,
            Event::Hello(hello) => link.ask(timers.answer, move || handler.hello(hello)).await,
            Event::Mail(mail) => link.ask(timers.answer, move || handler.mail(mail)).await,
            Event::Rcpt(rcpt) => link.ask(timers.answer, move || handler.rcpt(rcpt)).await,
            Event::Data => link.ask(timers.data, move || handler.data()).await,
            Event::Message(recipient) => link.ask(timers.message, move || handler.message(recipient)).await,
            Event::Verify(verify) => link.ask(timers.answer, move || handler.verify(verify)).await,
            // Not announced as long as this adapter knows no TLS.
            Event::StartTls => return Err(Ending::Fault),
            _ => continue,
        };
        session.restrict(acts_on, 0);
        match answer? {
            // Whoever may await has no reason to answer later.
            Answer::Later => session.answer(Answer::Reply(config.texts.fault)),
            answer => session.answer(answer),
        };
    }
}

/// The stream, and what was said and not sent yet: a session is lent to its handler, so its output is taken first.
struct Link {
    stream: TcpStream,
    at_once: usize,
    output: Vec<u8>,
    /// How long the client may take to read the output.
    patience: Duration,
    waiting: Waiting,
}

impl Link {
    /// Takes the session's output, and sends it if there is much.
    async fn collect(&mut self, session: &mut Session<'_, Pooled, Pooled>) -> Result<(), Ending> {
        let octets = session.output();
        self.output.extend_from_slice(octets);
        let octets = octets.len();
        session.sent(octets);
        if self.output.len() < OUTPUT {
            return Ok(());
        }
        self.send_in_time().await
    }

    async fn send_in_time(&mut self) -> Result<(), Ending> {
        let sent = timeout(self.patience, self.send()).await;
        sent.unwrap_or_else(|_| {
            // A client that does not read does not hear why, either.
            self.output.clear();
            Err(Ending::Expired)
        })
    }

    async fn send(&mut self) -> Result<(), Ending> {
        if self.output.is_empty() {
            return Ok(());
        }
        let sent = self.stream.write_all(&self.output).await;
        self.output = Vec::new();
        sent.map_err(|_| Ending::Lost)
    }

    /// Awaits the handler for `secs` at most. If it is not ready at once, what was said before is sent meanwhile.
    async fn ask<T, F: Future<Output = T>>(&mut self, secs: u32, question: impl FnOnce() -> F) -> Result<T, Ending> {
        // It may panic before it gives its future.
        let mut question = pin!(caught(question)?);
        let mut asked = poll_fn(|cx| match caught(|| question.as_mut().poll(cx)) {
            Ok(answer) => answer.map(Ok),
            Err(why) => Poll::Ready(Err(why)),
        });
        // Ready at once: the rule, which costs no timer.
        if let Poll::Ready(answer) = poll_fn(|cx| Poll::Ready(Pin::new(&mut asked).poll(cx))).await {
            return answer;
        }
        let Self { stream, output, waiting, .. } = self;
        // An answer may cut this off at any await: what was written must be gone by then.
        let said = async {
            while !output.is_empty() {
                match stream.write(output).await {
                    Ok(octets) if octets > 0 => drop(output.drain(..octets)),
                    _ => return,
                }
            }
            pending::<()>().await;
        };
        tokio::select! {
            biased;
            answer = asked => answer,
            () = said => Err(Ending::Lost),
            () = unconstrained(sleep(span(secs))) => Err(Ending::Expired),
            () = unconstrained(waiting.is_over()) => Err(Ending::Stopping),
        }
    }

    /// Sends what was said, and waits for input.
    async fn receive(
        &mut self,
        session: &mut Session<'_, Pooled, Pooled>,
        timer: &mut Timer,
    ) -> Result<(Buffer, usize), Ending> {
        self.send_in_time().await?;
        let patience = session.patience();
        let (stream, at_once) = (&mut self.stream, reads(session, self.at_once));
        let input = poll_fn(|cx| {
            let mut buffer = Buffer::take();
            let (octets, _) = buffer.split_at_mut(at_once);
            let mut octets = ReadBuf::new(octets);
            let read = ready!(Pin::new(&mut *stream).poll_read(cx, &mut octets));
            let filled = octets.filled().len();
            Poll::Ready(if read.is_ok() && filled > 0 { Ok((buffer, filled)) } else { Err(Ending::Lost) })
        });
        tokio::select! {
            biased;
            input = input => input,
            () = poll_fn(|cx| timer.poll(cx, patience)) => Err(Ending::Expired),
            () = unconstrained(self.waiting.ends(is_between(session))) => Err(Ending::Stopping),
        }
    }
}
