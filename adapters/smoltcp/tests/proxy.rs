//! PureProxy between two stacks, over cables that lose, double, delay and mix up frames, on both of its sides: a mail whose client
//! heard 250 is at the server, whole and once.

mod common;

use std::net::SocketAddr;
use std::sync::Arc;
use std::task::Waker;

use common::cable::{Chance, Faults};
use common::mails::{Keeper, Sender, Store, Verdict};
use common::stack::PORT;
use common::world::{Woken, World};
use smoltcp::time::{Duration, Instant};
use smtpd_core::guard::{Guard, Network};
use smtpd_core::handlers::PureProxy;
use smtpd_core::relay::Leg;
use smtpd_core::server::Config;
use smtpd_smoltcp::{Dialer, Server};

const SEEDS: u64 = 300;

/// What became of the mails, as their clients believe.
#[derive(Debug, Default)]
struct Sums {
    accepted: usize,
    refused: usize,
    unknown: usize,
    /// Those that were refused, and are at the server all the same: it was lost behind the text's end.
    kept_and_refused: usize,
}

fn play(seed: u64, sums: &mut Sums) {
    let mut chance = Chance::new(seed);
    let faults = Faults::any(&mut chance);
    let rings = (chance.one_of(&[64, 300, 536, 2_048]), chance.one_of(&[64, 512]));
    let (config, store) = (Config::new("mx.example.org"), Store::default());
    let networks = [Network::parse(b"192.0.2.0/24").expect("a network")];
    // The server is in the clients' stack.
    let upstream = SocketAddr::from(([192, 0, 2, 1], PORT));
    let proxies = [0, 1].map(|_| PureProxy::new(Leg::new(upstream, "relay.example"), Guard::from_networks(&networks)));
    let mut world = World::<_, 2>::new(&config, proxies, rings, faults, seed);
    let sizes = [64, 512, 2_048];
    let calls = [0, 1].map(|_| world.stack.add(chance.one_of(&sizes), chance.one_of(&sizes)));
    let mut dialer = Dialer::new(calls, 1);
    let keepers = [0, 1, 2].map(|place| Keeper::new(&store, seed * 3 + place));
    let places = [0, 1, 2].map(|_| world.clients.add(chance.one_of(&sizes), 512));
    let mut server = Server::<_, 3>::new(&config, keepers, places);
    server.listen(PORT);
    let is_woken = Arc::<Woken>::default();
    let mut senders = Sender::some(&mut world.clients, &mut chance, seed);
    let end = Instant::ZERO + Duration::from_secs(7_200);
    loop {
        let waker = Waker::from(is_woken.clone());
        let World { server: relay, stack, clients, now, .. } = &mut world;
        relay.poll_relay(*now, &mut stack.interface, &mut stack.plug, &mut stack.sockets, &mut dialer, &waker);
        // Its poll takes the frames of the senders too.
        server.poll(*now, &mut clients.interface, &mut clients.plug, &mut clients.sockets, &waker);
        senders.iter_mut().for_each(|sender| sender.turn(clients));
        if senders.iter().all(Sender::is_done) {
            break;
        }
        let due = server.poll_at(*now, &mut clients.interface, &clients.sockets);
        let again = is_woken.take().then_some(*now + Duration::from_millis(1));
        let soon = [due, again].into_iter().flatten().min();
        assert!(world.go_on(soon, end), "seed {seed}: not done within two hours, {faults:?} {rings:?}");
    }
    let mut kept = std::mem::take(&mut *store.borrow_mut());
    for (sender, text, verdict) in senders.into_iter().flat_map(|sender| sender.verdicts) {
        let kept = kept.remove(&sender).unwrap_or_default();
        let name = sender.escape_ascii();
        assert!(kept.iter().all(|kept| *kept == text), "seed {seed}: {name} was changed");
        match verdict {
            Verdict::Accepted => assert_eq!(kept.len(), 1, "seed {seed}: {name} was accepted"),
            // Each is sent once.
            Verdict::Refused | Verdict::Unknown => assert!(kept.len() <= 1, "seed {seed}: {name} came twice"),
        }
        match verdict {
            Verdict::Accepted => sums.accepted += 1,
            Verdict::Refused => sums.refused += 1,
            Verdict::Unknown => sums.unknown += 1,
        }
        sums.kept_and_refused += usize::from(verdict == Verdict::Refused && !kept.is_empty());
    }
    assert!(kept.is_empty(), "seed {seed}: mails that nobody sent: {:?}", kept.keys());
}

#[test]
fn each_mail_that_is_accepted_arrives_once_and_whole() {
    let mut sums = Sums::default();
    (1..=SEEDS).for_each(|seed| play(seed, &mut sums));
    println!("over {SEEDS} cables: {sums:?}");
    assert!(sums.accepted > SEEDS as usize);
    // Hardly ever, or the proxy says no where the server said yes.
    assert!(sums.kept_and_refused * 50 < sums.accepted, "{sums:?}");
}
