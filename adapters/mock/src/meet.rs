//! Plays one side of a script against code that reads and writes.

use alloc::boxed::Box;
use alloc::format;
use alloc::vec::Vec;
use core::future::Future;
use core::pin::pin;
use core::task::Poll;

use crate::notes::Notes;
use crate::part::Part;
use crate::play::caught;
use crate::shared::Shared;
use crate::{Clock, Link, Mismatch, Played, Script, Side, Wire};

/// What lies between a script and the code that it meets.
#[derive(Clone, Debug, Default)]
pub struct Links {
    /// The clock of both.
    pub clock: Clock,
    /// What the client sends goes through this.
    pub client: Link,
    /// What the server sends goes through this.
    pub server: Link,
}

/// Plays the server for a client that connects more than once, without a port: each connection meets the next script.
///
/// ```
/// use std::io::{Read, Write};
/// use smtpd_mock::{Script, serve_all};
/// let scripts = ["S: 421 Busy", "S: 220 hi\nC: QUIT\nS: 221 bye"].map(|text| Script::parse("two", text).unwrap());
/// let (tries, played) = serve_all(&scripts, |connect| {
///     for tries in 1..4 {
///         let mut wire = connect();
///         let mut greeting = [0; 4];
///         if wire.read_exact(&mut greeting).is_ok() && greeting == *b"220 " {
///             wire.write_all(b"QUIT\r\n").unwrap();
///             return tries;
///         }
///     }
///     0
/// }).unwrap();
/// assert_eq!((tries, played.len()), (2, 2));
/// ```
///
/// # Errors
/// The first difference from a script; a script that nobody met, and a connection more than there are scripts.
pub fn serve_all<R>(
    scripts: &[Script],
    client: impl FnOnce(&mut dyn FnMut() -> Wire) -> R,
) -> Result<(R, Vec<Played>), Box<Mismatch>> {
    let clock = Clock::default();
    let mut parts: Vec<Acting> = Vec::new();
    let mut too_many = 0;
    let mut connect = || {
        let (end, script_end) = Wire::pair(&clock, Link::new(), Link::new());
        match scripts.get(parts.len()) {
            Some(script) => parts.push(Acting::new(script, Side::Server, &end, script_end)),
            // Its other end is gone: refused.
            None => too_many += 1,
        }
        end
    };
    let result = caught(|| client(&mut connect));
    let result = match (result, parts.last(), scripts.first()) {
        (Ok(result), ..) => result,
        (Err(why), Some(part), _) => return Err(part.panicked(&why)),
        (Err(why), None, Some(first)) => {
            let expected = "a client that connects".into();
            return Err(Mismatch::new(first, Some(0), expected, format!("a panic: {why}"), &[]));
        }
        (Err(why), None, None) => panic!("{why}"),
    };
    let played: Vec<Played> = parts.into_iter().map(|part| part.end(None)).collect::<Result<_, _>>()?;
    let expected = format!("{} connections", scripts.len());
    match (scripts.get(played.len()), scripts.last()) {
        (Some(unmet), _) => Err(Mismatch::new(unmet, Some(0), expected, format!("{}", played.len()), &[])),
        (None, Some(last)) if too_many > 0 => Err(Mismatch::new(last, None, expected, format!("{too_many} more"), &[])),
        _ => Ok((result, played)),
    }
}

/// A side of a script that acts whenever the other waits, in the same thread.
struct Acting {
    part: Shared<Part>,
    /// The other side's end.
    end: Wire,
}

impl Acting {
    fn new(script: &Script, side: Side, end: &Wire, script_end: Wire) -> Self {
        let part = Shared::new(Part::new(script, side, script_end));
        let acting = part.clone();
        end.opposite(Box::new(move || acting.with(Part::turn)));
        Self { part, end: end.clone() }
    }

    /// The other side is through.
    fn end(self, notes: Option<&Notes>) -> Result<Played, Box<Mismatch>> {
        let Self { part, end } = self;
        let is_stuck = end.was_stuck();
        // The last of its clones, if the other side keeps none: that closes it.
        drop(end);
        part.with(|part| {
            part.is_stuck = is_stuck;
            part.end_of_session(notes)
        })
    }

    fn panicked(&self, why: &str) -> Box<Mismatch> {
        self.part.with(|part| part.panicked(why))
    }
}

impl Script {
    /// Plays the server against a client that reads and writes a [`Wire`] without awaiting: with std::io or embedded_io.
    ///
    /// The script acts whenever the client waits, all in one thread. The result is the client's own, and what was said.
    ///
    /// ```
    /// use std::io::{BufRead, BufReader, Write};
    /// use smtpd_mock::{Script, Wire};
    /// let script = Script::parse("busy.txt", "S: 421 Busy\n!drop\n").unwrap();
    /// // A client that knows nothing of 421.
    /// let client = |wire: Wire| {
    ///     let mut line = String::new();
    ///     BufReader::new(wire).read_line(&mut line)?;
    ///     std::io::Result::Ok(line.starts_with("220"))
    /// };
    /// let (is_welcome, _) = script.serve(client).unwrap();
    /// assert!(!is_welcome.unwrap());
    /// ```
    ///
    /// # Errors
    /// The first difference in what the client says. A panic of the client, too: it names the place in the script.
    pub fn serve<R>(&self, client: impl FnOnce(Wire) -> R) -> Result<(R, Played), Box<Mismatch>> {
        self.serve_over(Links::default(), client)
    }

    /// As [`serve`](Self::serve), over links with windows, pieces, latency and faults.
    ///
    /// # Errors
    /// As there.
    pub fn serve_over<R>(&self, links: Links, client: impl FnOnce(Wire) -> R) -> Result<(R, Played), Box<Mismatch>> {
        let (client_end, script_end) = Wire::pair(&links.clock, links.client, links.server.reads(self.reads));
        self.meet(Side::Server, client_end, script_end, None, client)
    }

    /// Plays the client against a server that reads and writes a [`Wire`] without awaiting, and reads as the script
    /// says. With `notes`, those of an [`Actor`](crate::Actor) or [`Witness`](crate::Witness) that is the server's
    /// handler, what it heard is compared too.
    ///
    /// # Errors
    /// The first difference. With `notes`, also a server that is done while its handler has neither heard `closed` nor been
    /// dropped.
    pub fn call<R>(&self, notes: Option<&Notes>, server: impl FnOnce(Wire) -> R) -> Result<(R, Played), Box<Mismatch>> {
        self.call_over(Links::default(), notes, server)
    }

    /// As [`call`](Self::call), over links with windows, pieces, latency and faults.
    ///
    /// # Errors
    /// As there.
    pub fn call_over<R>(
        &self,
        links: Links,
        notes: Option<&Notes>,
        server: impl FnOnce(Wire) -> R,
    ) -> Result<(R, Played), Box<Mismatch>> {
        let (script_end, server_end) = Wire::pair(&links.clock, links.client.reads(self.reads), links.server);
        self.meet(Side::Client, server_end, script_end, notes, server)
    }

    /// As [`serve`](Self::serve), for a client that awaits: with embedded_io_async or tokio. Under tokio, with a clock of
    /// tokio's; else run it by [`Clock::run`].
    ///
    /// # Errors
    /// As there. A client that would wait for ever ends at the script's limit, and is dropped.
    pub async fn serve_async<R, F: Future<Output = R>>(
        &self,
        links: Links,
        client: impl FnOnce(Wire) -> F,
    ) -> Result<(R, Played), Box<Mismatch>> {
        let (client_end, script_end) = Wire::pair(&links.clock, links.client, links.server.reads(self.reads));
        self.meet_async(Side::Server, script_end, None, client(client_end)).await
    }

    /// As [`call`](Self::call), for a server that awaits.
    ///
    /// # Errors
    /// As there.
    pub async fn call_async<R, F: Future<Output = R>>(
        &self,
        links: Links,
        notes: Option<&Notes>,
        server: impl FnOnce(Wire) -> F,
    ) -> Result<(R, Played), Box<Mismatch>> {
        let (script_end, server_end) = Wire::pair(&links.clock, links.client.reads(self.reads), links.server);
        self.meet_async(Side::Client, script_end, notes, server(server_end)).await
    }

    fn meet<R>(
        &self,
        side: Side,
        end: Wire,
        script_end: Wire,
        notes: Option<&Notes>,
        other: impl FnOnce(Wire) -> R,
    ) -> Result<(R, Played), Box<Mismatch>> {
        let part = Acting::new(self, side, &end, script_end);
        match caught(|| other(end)) {
            Ok(result) => Ok((result, part.end(notes)?)),
            Err(why) => Err(part.panicked(&why)),
        }
    }

    async fn meet_async<R>(
        &self,
        side: Side,
        script_end: Wire,
        notes: Option<&Notes>,
        other: impl Future<Output = R>,
    ) -> Result<(R, Played), Box<Mismatch>> {
        let mut part = Part::new(self, side, script_end);
        let mut other = pin!(other);
        let result = core::future::poll_fn(|cx| match other.as_mut().poll(cx) {
            Poll::Ready(result) => Poll::Ready(Some(result)),
            Poll::Pending => part.poll(cx).map(|()| None),
        });
        match result.await {
            Some(result) => Ok((result, part.end_of_session(notes)?)),
            None => {
                part.is_stuck = true;
                Err(part.end(notes).err().unwrap_or_else(|| part.never_ended()))
            }
        }
    }
}
