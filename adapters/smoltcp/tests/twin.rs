//! The server between two stacks, over cables that lose, double, delay and mix up frames: each mail arrives once and whole, or
//! its client was told no.

mod common;

use common::cable::{Chance, Faults};
use common::mails::{Keeper, Sender, Store, Verdict};
use common::world::World;
use smoltcp::time::{Duration, Instant};
use smtpd_core::server::Config;

const SEEDS: u64 = 1_000;

fn play(seed: u64) -> (usize, usize) {
    let mut chance = Chance::new(seed);
    let faults = Faults::any(&mut chance);
    let rings = (chance.one_of(&[64, 300, 536, 2_048]), chance.one_of(&[64, 512]));
    let store = Store::default();
    let config = Config::new("mx.example.org");
    let handlers = [0, 1].map(|place| Keeper::new(&store, seed * 2 + place));
    let mut world = World::<_, 2>::new(&config, handlers, rings, faults, seed);
    let mut senders = Sender::some(&mut world.clients, &mut chance, seed);
    let end = Instant::ZERO + Duration::from_secs(3_600);
    loop {
        senders.iter_mut().for_each(|sender| sender.turn(&mut world.clients));
        if senders.iter().all(Sender::is_done) {
            break;
        }
        assert!(world.turn(end), "seed {seed}: not done within an hour, {faults:?} {rings:?}");
    }
    let mut kept = std::mem::take(&mut *store.borrow_mut());
    let (mut accepted, mut unknown) = (0, 0);
    for (sender, text, verdict) in senders.into_iter().flat_map(|sender| sender.verdicts) {
        let kept = kept.remove(&sender).unwrap_or_default();
        let name = sender.escape_ascii();
        assert!(kept.iter().all(|kept| *kept == text), "seed {seed}: {name} was changed");
        match verdict {
            Verdict::Accepted => assert_eq!(kept.len(), 1, "seed {seed}: {name} was accepted"),
            Verdict::Refused => assert_eq!(kept.len(), 0, "seed {seed}: {name} was refused"),
            Verdict::Unknown => assert!(kept.len() <= 1, "seed {seed}: {name} came twice"),
        }
        accepted += usize::from(verdict == Verdict::Accepted);
        unknown += usize::from(verdict == Verdict::Unknown);
    }
    assert!(kept.is_empty(), "seed {seed}: mails that nobody sent: {:?}", kept.keys());
    (accepted, unknown)
}

#[test]
fn each_mail_arrives_once_and_whole() {
    let (mut accepted, mut unknown) = (0, 0);
    for seed in 1..=SEEDS {
        let (more, lost) = play(seed);
        (accepted, unknown) = (accepted + more, unknown + lost);
    }
    println!("{accepted} mails were accepted over {SEEDS} cables; of {unknown} the client does not know");
    assert!(accepted > SEEDS as usize);
}
