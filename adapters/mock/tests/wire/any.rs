//! Whatever the link does without damage, what is read is what was written.

use proptest::prelude::*;
use smtpd_mock::{Clock, Link, Pieces, Wire, WireError};

use crate::{join, millis, pair, read, read_async, write};

fn links() -> impl Strategy<Value = Link> {
    let pieces = prop_oneof![
        Just(Pieces::Whole),
        (0_usize..9).prop_map(Pieces::Octets),
        prop::collection::vec(0_usize..300, 0..6).prop_map(Pieces::At),
        any::<u64>().prop_map(Pieces::Random),
    ];
    (pieces, 0_usize..40, 0_usize..12, 0_u64..3, 0_u32..5).prop_map(|(pieces, window, short, latency, nth)| {
        let link = Link::new().pieces(pieces).window(window).latency(millis(latency)).would_block(nth);
        if short < 10 { link.short_writes(short) } else { link }
    })
}

async fn send(mut wire: Wire, octets: &[u8]) -> Wire {
    embedded_io_async::Write::write_all(&mut wire, octets).await.unwrap();
    wire.close();
    wire
}

async fn receive(mut wire: Wire, room: usize) -> Vec<u8> {
    let mut all = Vec::new();
    loop {
        match read_async(&mut wire, room).await.unwrap() {
            octets if octets.is_empty() => return all,
            octets => all.extend(octets),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_read_is_what_was_written(
        there in links(), back in links(),
        first in prop::collection::vec(any::<u8>(), 0..300), second in prop::collection::vec(any::<u8>(), 0..300),
        room in 1_usize..50,
    ) {
        let clock = Clock::new();
        let (client, server) = Wire::pair(&clock, there, back);
        let sends = join(send(client.clone(), &first), send(server.clone(), &second));
        let receives = join(receive(client, room), receive(server, room));
        let (_, (at_client, at_server)) = clock.run(join(sends, receives)).expect("it ends");
        prop_assert_eq!(at_client, second);
        prop_assert_eq!(at_server, first);
    }

    #[test]
    fn so_it_is_without_awaiting(
        link in links(), octets in prop::collection::vec(any::<u8>(), 0..300), room in 1_usize..50,
    ) {
        let (mut writer, mut reader) = pair(link, Link::new());
        let (mut left, mut all) = (&octets[..], Vec::new());
        writer.set_nonblocking(true);
        loop {
            if left.is_empty() {
                writer.close();
            } else if writer.can_write() {
                let written = write(&mut writer, left);
                left = &left[written.unwrap_or(0)..];
                continue;
            }
            match read(&mut reader, room) {
                Ok(read) if read.is_empty() => break,
                Ok(read) => all.extend(read),
                Err(error) => prop_assert_eq!(error, WireError::WouldBlock),
            }
        }
        prop_assert_eq!(all, octets);
    }
}
