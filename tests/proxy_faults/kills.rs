//! Two proxies in a row, whose connections are killed anywhere: whatever the client heard is true.

use std::cell::Cell;
use std::rc::Rc;

use smtpd_core::guard::Guard;
use smtpd_core::handlers::PureProxy;
use smtpd_core::relay::Leg;
use smtpd_core::server::Config;
use smtpd_mock::{Clock, Damage, Link, Pieces, Wire};

use crate::keep::{All, Keep, Kept};
use crate::world::{Born, Dial, Proxy, Server, World, settings};

/// Chance that is the same each time.
struct Chance(u64);

impl Chance {
    /// Below `end`.
    fn below(&mut self, end: u64) -> u64 {
        // A Weyl sequence, mixed (Steele, Lea and Flood 2014).
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }

    fn of<T: Copy>(&mut self, these: &[T]) -> T {
        these[self.below(these.len() as u64) as usize]
    }
}

/// A mail, and what the client heard of it.
struct Sent {
    mail: Kept,
    /// Recipients that were accepted.
    to: Vec<String>,
    fate: Fate,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Accepted,
    /// Its dot was not said.
    Refused,
    /// By the server's rule, behind its text.
    RefusedText,
    /// Its dot was said, and a proxy, or the end of the connection, is all that was heard.
    Doubt,
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Counts {
    accepted: usize,
    refused: usize,
    doubt: usize,
    /// Mails in doubt that were kept: those that come twice (RFC 1047).
    twice: usize,
}

impl Counts {
    fn add(&mut self, other: &Self) {
        self.accepted += other.accepted;
        self.refused += other.refused;
        self.doubt += other.doubt;
        self.twice += other.twice;
    }
}

struct Hosts([&'static Config<'static>; 3]);

fn mail(chance: &mut Chance, number: u64) -> Kept {
    let kind = chance.of(&["ok", "ok", "ok", "ok", "no", "half"]);
    let from = format!("{kind}{number}@a.example");
    let to = (0..1 + chance.below(10)).map(|number| {
        let kind = chance.of(&["ok", "ok", "ok", "no", "later", "new"]);
        format!("{kind}{number}@b.example")
    });
    let to = to.collect();
    let mut text = format!("Subject: {number}\r\n\r\n").into_bytes();
    for _ in 0..chance.below(30) {
        let line =
            chance.of(&[".", "..", ". dot", "", "a line of text", "\t.", "....", "MAIL FROM:<x@y.example>", "250 OK"]);
        text.extend_from_slice(line.as_bytes());
        text.extend_from_slice(b"\r\n");
    }
    match chance.below(8) {
        0 => text.extend_from_slice(b"refuse\r\n"),
        1 => text.extend_from_slice(b"another day\r\n"),
        _ => {}
    }
    Kept { from, to, text }
}

/// Sends a mail and says what is known of it then.
fn send(world: &mut World, mail: Kept, is_pipelined: bool) -> Sent {
    let mut sent = Sent { to: Vec::new(), fate: Fate::Refused, mail };
    let mail = &sent.mail;
    let mut lines = vec![format!("MAIL FROM:<{}>\r\n", mail.from)];
    lines.extend(mail.to.iter().map(|to| format!("RCPT TO:<{to}>\r\n")));
    lines.push("DATA\r\n".into());
    if is_pipelined {
        world.send(lines.concat().as_bytes());
    }
    let mut goes_on = false;
    for (number, line) in lines.iter().enumerate() {
        if !is_pipelined {
            world.send(line.as_bytes());
        }
        let reply = world.reply();
        goes_on = reply.starts_with("354");
        match number.checked_sub(1).and_then(|number| mail.to.get(number)) {
            Some(to) if reply.starts_with('2') => sent.to.push(to.clone()),
            _ => {}
        }
    }
    if !goes_on {
        world.ask("RSET");
        return sent;
    }
    let mut text = Vec::new();
    for line in mail.text.split_inclusive(|octet| *octet == b'\n') {
        if line.starts_with(b".") {
            text.push(b'.');
        }
        text.extend_from_slice(line);
    }
    text.extend_from_slice(b".\r\n");
    world.send(&text);
    let reply = world.reply();
    sent.fate = match reply.get(..9).unwrap_or_default() {
        "250 2.0.0" => Fate::Accepted,
        "554 5.6.0" | "452 4.3.1" => Fate::RefusedText,
        // Those of the proxies; the last one is their own session's, whose client fell silent.
        "" | "451 4.4.2" | "451 4.5.0" | "421 4.4.2" => Fate::Doubt,
        reply => panic!("{reply}"),
    };
    sent
}

/// One client's session; one of its three connections is killed somewhere.
fn trial(seed: u64, hosts: &Hosts, counts: &mut Counts) {
    let mut chance = Chance(seed);
    let clock = Clock::new();
    let (at, is_back) = (chance.below(3) as usize, chance.below(2) == 1);
    let (octet, damage) = (
        chance.below(if is_back { 700 } else { 1_800 }),
        chance.of(&[Damage::Reset, Damage::End, Damage::End, Damage::Stall]),
    );
    let (seeds, is_cut, window) = (chance.below(1 << 32), chance.below(3) == 0, chance.of(&[65_536, 65_536, 512, 100]));
    let way = move |number: usize, back: bool| {
        let link = Link::new().window(window);
        let link = if is_cut { link.pieces(Pieces::Random(seeds + number as u64)) } else { link };
        if (number, back) == (at, is_back) { link.damage(octet, damage) } else { link }
    };
    let (mut world, first) = World::new(&clock, way(0, false), way(0, true));
    (world.tick, world.gives_up) = (15, true);
    let all = All::default();
    let (born, server, time, keeps) = (Rc::clone(&world.born), hosts.0[2], clock.clone(), Rc::clone(&all));
    let to_server = Rc::new(move |wire| -> Box<dyn crate::world::Node> {
        Box::new(Server::new(server, Keep::new(&keeps), wire, usize::MAX))
    });
    let to_proxy = {
        let (born, time, second) = (Rc::clone(&born), time.clone(), hosts.0[1]);
        // Only one connection of each pair is killed.
        let is_killed = Rc::new(Cell::new(false));
        move |wire| -> Box<dyn crate::world::Node> {
            let behind = Rc::clone(&to_server);
            proxy(second, wire, connects(2, way, &born, &time, &is_killed, move |wire| behind(wire)))
        }
    };
    let is_killed = Rc::new(Cell::new(false));
    born.borrow_mut().push(proxy(hosts.0[0], first, connects(1, way, &born, &time, &is_killed, to_proxy)));

    let mut sent = Vec::new();
    world.reply();
    let is_pipelined = world.ask("EHLO client.example").contains("PIPELINING") && chance.below(2) == 1;
    for number in 0..1 + chance.below(4) {
        if !world.is_closed {
            sent.push(send(&mut world, mail(&mut chance, number), is_pipelined));
        }
    }
    world.ask("QUIT");
    world.pass(1_800);
    judge(&sent, &all.borrow(), counts).unwrap_or_else(|why| panic!("trial {seed}: {why}"));
}

fn proxy(
    config: &'static Config<'static>,
    wire: Wire,
    dial: impl FnMut(bool) -> Dial + 'static,
) -> Box<dyn crate::world::Node> {
    let relay = PureProxy::new(Leg::new(([127, 0, 0, 1], 25).into(), config.host), Guard::OPEN);
    Box::new(Proxy::new(Server::new(config, relay, wire, usize::MAX), usize::MAX, dial))
}

/// Connects to what `behind` makes, over links of this number; the second time over links without damage.
fn connects(
    number: usize,
    way: impl Fn(usize, bool) -> Link + Copy + 'static,
    born: &Born,
    clock: &Clock,
    is_killed: &Rc<Cell<bool>>,
    behind: impl Fn(Wire) -> Box<dyn crate::world::Node> + 'static,
) -> impl FnMut(bool) -> Dial + 'static {
    let (born, clock, is_killed) = (Rc::clone(born), clock.clone(), Rc::clone(is_killed));
    move |_| {
        let (there, back) = match is_killed.replace(true) {
            false => (way(number, false), way(number, true)),
            true => (Link::new(), Link::new()),
        };
        let (end, other) = Wire::pair(&clock, there, back);
        born.borrow_mut().push(behind(other));
        Dial::Open(end)
    }
}

/// Holds what was kept against what the client heard.
fn judge(sent: &[Sent], all: &[Kept], counts: &mut Counts) -> Result<(), String> {
    for kept in all {
        let whose = sent.iter().filter(|sent| sent.mail.from == kept.from);
        if whose.count() != 1 {
            return Err(format!("{} is nobody's", kept.from));
        }
    }
    for Sent { mail, to, fate } in sent {
        let kept: Vec<&Kept> = all.iter().filter(|kept| kept.from == mail.from).collect();
        let is_whole = kept.iter().all(|kept| kept.text == mail.text && kept.to == *to);
        let is_right = match fate {
            Fate::Accepted => kept.len() == 1,
            Fate::Refused | Fate::RefusedText => kept.is_empty(),
            Fate::Doubt => kept.len() <= 1,
        };
        if !is_whole || !is_right {
            return Err(format!("{} is {fate:?} to {to:?}, and was kept as {kept:?}", mail.from));
        }
        match fate {
            Fate::Accepted => counts.accepted += 1,
            Fate::Refused | Fate::RefusedText => counts.refused += 1,
            Fate::Doubt => counts.doubt += 1,
        }
        counts.twice += usize::from(*fate == Fate::Doubt && !kept.is_empty());
    }
    Ok(())
}

#[test]
fn what_a_client_heard_through_two_proxies_is_true_whichever_connection_is_killed() {
    let hosts = Hosts(["one.example", "two.example", "keeps.example"].map(|host| settings(host, |_| {})));
    let mut counts = Counts::default();
    // Ten times as many in the long run, which sets this.
    let cases: u64 = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(256);
    let trials = cases * 40;
    // On all processors: they share nothing.
    let threads = std::thread::available_parallelism().map_or(1, |threads| threads.get() as u64);
    std::thread::scope(|scope| {
        let share = |first: u64| {
            let hosts = &hosts;
            scope.spawn(move || {
                let mut counts = Counts::default();
                (first..trials).step_by(threads as usize).for_each(|seed| trial(seed, hosts, &mut counts));
                counts
            })
        };
        let shares: Vec<_> = (0..threads).map(share).collect();
        for share in shares {
            counts.add(&share.join().expect("a trial"));
        }
    });
    println!("{trials} trials: {counts:?}");
    let Counts { accepted, refused, doubt, twice } = counts;
    assert!(accepted > 0 && refused > 0 && doubt > 0 && twice > 0 && twice < doubt);
}
