//! The wire: what is read of what was written, when, and by which trait.
#![cfg(feature = "std")]

mod any;
mod damage;
mod end;
mod link;
mod script;
mod time;
mod traits;
mod waiting;

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use smtpd_mock::{Clock, Link, Wire, WireError};

const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A pair on a new clock.
fn pair(there: Link, back: Link) -> (Wire, Wire) {
    Wire::pair(&Clock::new(), there, back)
}

fn plain() -> (Wire, Wire) {
    pair(Link::new(), Link::new())
}

/// Two ends whose first direction, or whose second, is this link; the writer's end comes first.
fn both_ways(link: &Link) -> [(Wire, Wire); 2] {
    let (back_reader, back_writer) = pair(Link::new(), link.clone());
    [pair(link.clone(), Link::new()), (back_writer, back_reader)]
}

fn read(wire: &mut Wire, room: usize) -> Result<Vec<u8>, WireError> {
    let mut octets = vec![0; room];
    let read = embedded_io::Read::read(wire, &mut octets)?;
    octets.truncate(read);
    Ok(octets)
}

fn write(wire: &mut Wire, octets: &[u8]) -> Result<usize, WireError> {
    embedded_io::Write::write(wire, octets)
}

/// All pieces until the end, or the error.
fn pieces(wire: &mut Wire) -> (Vec<Vec<u8>>, Option<WireError>) {
    let mut pieces = Vec::new();
    loop {
        match read(wire, 1_000) {
            Ok(piece) if piece.is_empty() => return (pieces, None),
            Ok(piece) => pieces.push(piece),
            Err(error) => return (pieces, Some(error)),
        }
    }
}

fn all(wire: &mut Wire) -> (String, Option<WireError>) {
    let (pieces, error) = pieces(wire);
    (String::from_utf8_lossy(&pieces.concat()).into_owned(), error)
}

/// Counts how often it wakes.
#[derive(Default)]
struct Woken(AtomicU32);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Woken {
    fn times(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }
}

fn poll<F: Future>(future: Pin<&mut F>, woken: &Arc<Woken>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(&Waker::from(woken.clone())))
}

async fn read_async(wire: &mut Wire, room: usize) -> Result<Vec<u8>, WireError> {
    let mut octets = vec![0; room];
    let read = embedded_io_async::Read::read(wire, &mut octets).await?;
    octets.truncate(read);
    Ok(octets)
}

async fn write_async(wire: &mut Wire, octets: &[u8]) -> Result<usize, WireError> {
    embedded_io_async::Write::write(wire, octets).await
}

/// Both to their end.
async fn join<A, B>(first: impl Future<Output = A>, second: impl Future<Output = B>) -> (A, B) {
    let (mut first, mut second) = (pin!(first), pin!(second));
    let (mut one, mut two) = (None, None);
    poll_fn(|cx| {
        if one.is_none()
            && let Poll::Ready(result) = first.as_mut().poll(cx)
        {
            one = Some(result);
        }
        if two.is_none()
            && let Poll::Ready(result) = second.as_mut().poll(cx)
        {
            two = Some(result);
        }
        if one.is_some() && two.is_some() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    (one.unwrap(), two.unwrap())
}
