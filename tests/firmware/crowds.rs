//! Many clients at once.

use std::thread;
use std::time::Duration;

use libtest_mimic::Failed;

use crate::client::Client;
use crate::mail::in_a_row;
use crate::qemu::Board;
use crate::spool::{Mail, OWN, SENDER, holds_any, start, text};

/// As many as there are places, three mails each.
pub(crate) fn four() -> Result<(), Failed> {
    let board = start("mailbox")?;
    at_once(&board, 4, 3)
}

/// Three more than there are places: they wait, and are served in the end.
pub(crate) fn seven() -> Result<(), Failed> {
    let board = start("mailbox")?;
    at_once(&board, 7, 2)
}

/// The same handler over embassy.
pub(crate) fn embassy() -> Result<(), Failed> {
    let board = start("embassy")?;
    in_a_row(&board, 12, 6)?;
    // Each task listens again a moment after its client is gone; who comes before is refused.
    thread::sleep(Duration::from_millis(200));
    at_once(&board, 4, 2)
}

/// Clients that all are connected before the first of them goes on, as far as there are places for them.
pub(crate) fn at_once(board: &Board, clients: usize, mails: usize) -> Result<(), Failed> {
    let port = board.port;
    thread::scope(|scope| {
        let clients: Vec<_> = (0..clients)
            .map(|client| {
                // QEMU's listener has no room for a burst.
                thread::sleep(Duration::from_millis(5));
                scope.spawn(move || sends(port, client, mails))
            })
            .collect();
        clients.into_iter().try_for_each(|client| client.join().map_err(|_| Failed::from("a panic"))?)
    })
    .map_err(|failed| board.fails(failed.message().unwrap_or("")))?;
    let expected = (0..clients * mails).map(|number| Mail::new(SENDER, &OWN[..1], &text(number, 700)));
    // The sessions before may not be gone yet, where there are no more places than these had.
    thread::sleep(Duration::from_millis(200));
    holds_any(board, expected.collect())
}

fn sends(port: u16, client: usize, mails: usize) -> Result<(), Failed> {
    let mut connection = Client::hello(port)?;
    thread::sleep(Duration::from_millis(100));
    for mail in 0..mails {
        connection.mail(SENDER, &OWN[..1], &text(client * mails + mail, 700))?.is(250)?;
    }
    connection.quit()
}
