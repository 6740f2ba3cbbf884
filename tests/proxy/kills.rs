//! Two proxies in a row, whose connections are cut anywhere: whatever the client heard is true.
//!
//! 250: delivered once, whole, to whom it was accepted for. Refused: not delivered. A message that a server got whole and could
//! not answer for is in doubt for whoever sent it, be it the client or a proxy (451): it may have been delivered, and comes
//! twice when it is sent again (RFC 1047). Those are counted, and no others are.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

use libtest_mimic::Failed;
use smtpd_std::{Answer, Config, Message, Messages, ProcessMessage, Rcpt, Reply, Running, Server};

use crate::compare::{self, Way};
use crate::forwarder::{At, Cut, Forwarder, Made};
use crate::mails::{Head, Mail};
use crate::process::until;
use crate::random::Random;
use crate::send::{Client, PATIENCE};
use crate::servers::Keeps;
use crate::servers::ours::Proxy;

const SEED: u64 = 20_261_128;
const TRIALS: usize = 300;
/// Trials after which the proxies have all memory that they need.
const WARM: usize = 100;
/// KiB that a proxy may have more then.
const GROWTH: usize = 1_024;
const LARGEST: usize = 200_000;

/// A message that was delivered.
struct Kept {
    from: String,
    to: Vec<String>,
    text: Vec<u8>,
}

/// What the server kept, and how many connections it has.
#[derive(Default)]
struct Records {
    kept: Mutex<Vec<Kept>>,
    open: AtomicUsize,
}

/// The server's rules: addresses say what becomes of them.
struct Keeper(Arc<Records>);

impl Keeper {
    fn new(records: &Arc<Records>) -> Self {
        records.open.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(records))
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::SeqCst);
    }
}

impl ProcessMessage for Keeper {
    fn rcpt(&mut self, rcpt: Rcpt<'_>) -> Answer<'_> {
        match rcpt.forward_path.as_octets() {
            path if path.starts_with(b"no") => Answer::Reply(Reply::new(550, "Not here").enhanced(1, 1)),
            path if path.starts_with(b"later") => Answer::Reply(Reply::new(450, "Not now").enhanced(2, 1)),
            _ => Answer::Accept,
        }
    }

    fn process_message(&mut self, message: &mut Message) -> Answer<'_> {
        if message.mail_from.starts_with("full") {
            return Answer::Reply(FULL);
        }
        if message.mail_from.starts_with("never") {
            return Answer::Reply(NEVER);
        }
        let Message { mail_from: from, rcpt_tos: to, data: text, .. } = message.take();
        self.0.kept.lock().unwrap_or_else(PoisonError::into_inner).push(Kept { from, to, text });
        Answer::Accept
    }
}

const FULL: Reply<'static> = Reply::new(452, "No room, says the rule").enhanced(3, 1);
const NEVER: Reply<'static> = Reply::new(554, "Never, says the rule").enhanced(6, 0);

/// The programs, and what stands between them.
struct Row {
    links: [Forwarder; 3],
    proxies: [Proxy; 2],
    records: Arc<Records>,
    _server: Running,
}

impl Row {
    fn start() -> Result<Self, Failed> {
        let records = Arc::<Records>::default();
        let handlers = Arc::clone(&records);
        let server = Server::spawn("127.0.0.1:0", Config::new("mx.example.org"), move |_| {
            Messages::new(Keeper::new(&handlers))
        })?;
        let to_server = Forwarder::start(server.address())?;
        let second = Proxy::start(to_server.address, &[])?;
        let between = Forwarder::start(second.address)?;
        let first = Proxy::start(between.address, &[])?;
        let to_first = Forwarder::start(first.address)?;
        Ok(Self { links: [to_first, between, to_server], proxies: [first, second], records, _server: server })
    }

    fn client(&self) -> Result<Client, Failed> {
        Client::new(self.links[0].address)
    }

    /// Waits until nobody has a connection.
    fn wait(&self) -> Result<(), Failed> {
        let begun = Instant::now();
        loop {
            let links: Vec<usize> = self.links.iter().map(Forwarder::open).collect();
            let server = self.records.open.load(Ordering::SeqCst);
            if links.iter().sum::<usize>() + server == 0 {
                return Ok(());
            }
            if begun.elapsed() > PATIENCE / 2 {
                return Err(format!("connections stay open: {links:?}, the server's {server}").into());
            }
            sleep(Duration::from_millis(1));
        }
    }
}

/// What the client heard of a mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Accepted,
    /// By the server's rule, behind its text, or because nobody is there.
    ByRule,
    /// Its text was not asked for.
    Refused,
    /// A proxy says behind its text that it lost the next server.
    Lost,
    /// Nothing, behind its text: the client's own connection is gone.
    Silent,
}

/// A mail as it was sent, and what was heard.
struct Sent {
    mail: Mail,
    accepted: Vec<String>,
    fate: Fate,
    is_alive: bool,
}

#[derive(Default)]
struct Counts {
    accepted: usize,
    by_rule: usize,
    refused: usize,
    lost: usize,
    silent: usize,
    cuts: usize,
    doubles: usize,
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { accepted, by_rule, refused, lost, silent, cuts, doubles } = self;
        write!(
            f,
            "{cuts} cuts; mails: {accepted} accepted, {by_rule} refused by rule, {refused} refused before their text, \
             {lost} answered 451 by a proxy, {silent} not answered; of the last two {doubles} were delivered, and come twice"
        )
    }
}

pub(crate) fn two_proxies() -> Result<(), Failed> {
    let row = Row::start()?;
    let sockets = [row.proxies[0].sockets()?, row.proxies[1].sockets()?];
    let (mut counts, mut memory, begun) = (Counts::default(), [0; 2], Instant::now());
    for number in 0..TRIALS {
        if number == WARM {
            memory = [row.proxies[0].memory()?, row.proxies[1].memory()?];
        }
        trial(&row, number, &mut counts)
            .map_err(|fault| format!("trial {number}: {}", fault.message().unwrap_or_default()))?;
    }
    println!("{TRIALS} trials in {:.1} s: {counts}", begun.elapsed().as_secs_f32());
    for ((proxy, sockets), memory) in row.proxies.iter().zip(sockets).zip(memory) {
        let now = || (proxy.sockets().ok()? == sockets).then_some(());
        until(Duration::from_secs(10), now).ok_or_else(|| format!("{:?} sockets, not {sockets}", proxy.sockets()))?;
        let now = proxy.memory()?;
        println!("a proxy has {now} KiB, and had {memory} after {WARM} trials");
        if now > memory + GROWTH {
            return Err("its memory grows".into());
        }
    }
    let Counts { accepted, by_rule, refused, lost, silent, doubles, .. } = counts;
    if [accepted, by_rule, refused, lost, silent, doubles].contains(&0) || doubles >= lost + silent {
        return Err("the trials do not show everything".into());
    }
    Ok(())
}

/// A few mails, over one connection after the other, while links are cut; then those again that have to be sent again.
fn trial(row: &Row, number: usize, counts: &mut Counts) -> Result<(), Failed> {
    let (mut random, begun) = (Random::new(SEED, number), Instant::now());
    let mails: Vec<Mail> = (0..1 + random.below(4)).map(|mail| new(&mut random, number, mail)).collect();
    let octets = mails[0].text.len() + 200;
    let first = random.below(3);
    row.links[first].cut(Some(cut(&mut random, octets)));
    if random.once_in(4) {
        row.links[(first + 1 + random.below(2)) % 3].cut(Some(cut(&mut random, octets)));
    }
    let sent = send_all(row, mails, &mut random)?;
    row.wait()?;
    let made = [0, 1, 2].map(|link: usize| row.links[link].cut(None));
    counts.cuts += made.iter().flatten().count();
    let again = judge(row, sent, made, counts)?;

    let sent = send_all(row, again, &mut random)?;
    row.wait()?;
    for sent in &sent {
        if !matches!(sent.fate, Fate::Accepted | Fate::ByRule) {
            return Err(format!("{} was {:?} though nothing was cut", sent.mail.from, sent.fate).into());
        }
    }
    let again = judge(row, sent, [None; 3], counts)?;
    let strangers: Vec<_> = kept(row, |_| true).into_iter().map(|kept| kept.from).collect();
    match (again.len() + strangers.len(), begun.elapsed() < PATIENCE) {
        (0, true) => Ok(()),
        (0, false) => Err("it took too long".into()),
        _ => Err(format!("nobody sent {strangers:?}").into()),
    }
}

/// A link's cut: anywhere in what a first mail makes go over it, and often where it hurts, behind a text.
fn cut(random: &mut Random, octets: usize) -> Cut {
    let at = match random.below(6) {
        0 => At::There(1 + random.below(octets)),
        1 => At::There(1 + random.log_uniform(0, octets)),
        2 | 3 => At::Back(1 + random.below(800)),
        _ => At::BackBehindText(1 + random.below(2), random.below(30)),
    };
    Cut { at, is_reset: random.once_in(2) }
}

/// A mail whose addresses say what is to become of it.
fn new(random: &mut Random, trial: usize, number: usize) -> Mail {
    let rule = ["ok", "ok", "ok", "ok", "ok", "ok", "full", "never"][random.below(8)];
    let to = (0..1 + random.below(10)).map(|recipient| {
        let rule = ["ok", "ok", "ok", "ok", "no", "later"][random.below(6)];
        format!("{rule}{recipient}@example.org")
    });
    let to = to.collect();
    let head = [Head::Whole, Head::Whole, Head::Missing, Head::Empty][random.below(4)];
    let mut text: Vec<u8> = match head {
        Head::Whole => format!("Subject: {trial}.{number}\r\n\r\n").into(),
        Head::Empty => b"\r\n".into(),
        _ => format!("No field {trial}.{number}\r\n").into(),
    };
    let size = random.log_uniform(0, LARGEST);
    while text.len() < size {
        let line =
            [".", "..", ". dot", "", "a line of text", "....", "MAIL FROM:<x@y.example>", "250 OK"][random.below(8)];
        text.extend_from_slice(line.as_bytes());
        // Text that differs from place to place.
        let number = random.below(1_000_000).to_string();
        text.extend_from_slice(number.repeat(random.below(20)).as_bytes());
        text.extend_from_slice(b"\r\n");
    }
    let (is_pipelined, is_last) = (random.once_in(2), random.once_in(3));
    Mail { from: format!("{rule}.{trial}.{number}@client.example"), to, text, head, is_pipelined, is_last }
}

fn send_all(row: &Row, mails: Vec<Mail>, random: &mut Random) -> Result<Vec<Sent>, Failed> {
    let mut all = Vec::new();
    let mut client = None;
    for mail in mails {
        // A connection that is cut before EHLO is answered is made anew, and what cut it is gone then.
        let mut connected = match client.take() {
            Some(client) => client,
            None => row.client().or_else(|_| row.client())?,
        };
        let is_last = mail.is_last;
        let sent = send(&mut connected, mail)?;
        match (sent.is_alive, is_last) {
            (true, false) => client = Some(connected),
            (true, true) if random.once_in(2) => drop(connected.quit()),
            _ => {}
        }
        all.push(sent);
    }
    client.map(Client::quit);
    Ok(all)
}

fn send(client: &mut Client, mail: Mail) -> Result<Sent, Failed> {
    let mut replies = Vec::new();
    let mut is_alive = client.send_into(&mail, &mut replies).is_ok();
    let recipients = mail.to.iter().zip(replies.iter().skip(1));
    let accepted: Vec<String> =
        recipients.filter(|(_, reply)| reply.code / 100 == 2).map(|(recipient, _)| recipient.clone()).collect();
    let data = mail.to.len() + 1;
    let fate = match (replies.get(data), replies.get(data + 1)) {
        (Some(data), Some(reply)) if data.code == 354 => match (reply.code, reply.line.get(..5).unwrap_or_default()) {
            (250, "2.0.0") => Fate::Accepted,
            (452, "4.3.1") | (554, "5.6.0") => Fate::ByRule,
            (451, "4.4.2") => Fate::Lost,
            _ => return Err(format!("{}: {} {}", mail.from, reply.code, reply.line).into()),
        },
        (Some(data), None) if data.code == 354 => Fate::Silent,
        // All its recipients had their own answer.
        (Some(_), _) if replies[1..data].iter().all(|reply| matches!(reply.line.get(..5), Some("5.1.1" | "4.2.1"))) => {
            Fate::ByRule
        }
        _ => Fate::Refused,
    };
    if is_alive && replies.get(data).is_some_and(|data| data.code != 354) {
        is_alive = client.ask("RSET").is_ok();
    }
    Ok(Sent { mail, accepted, fate, is_alive })
}

/// Takes what was kept of these.
fn kept(row: &Row, is_wanted: impl Fn(&Kept) -> bool) -> Vec<Kept> {
    let mut all = row.records.kept.lock().unwrap_or_else(PoisonError::into_inner);
    let (wanted, others) = std::mem::take(&mut *all).into_iter().partition(is_wanted);
    *all = others;
    wanted
}

/// Holds what was kept against what the client heard; the mails that have to be sent again.
fn judge(row: &Row, sent: Vec<Sent>, made: [Option<Made>; 3], counts: &mut Counts) -> Result<Vec<Mail>, Failed> {
    let is_behind_text = |links: &[Option<Made>]| links.iter().flatten().any(|made| made.is_behind_text);
    let is_cut = |links: &[Option<Made>]| links.iter().any(Option::is_some);
    let mut again = Vec::new();
    for Sent { mail, accepted, fate, is_alive } in sent {
        let fault = |what: String| Err(format!("{} is {fate:?} ({made:?}): {what}", mail.from).into());
        let kept = kept(row, |kept| kept.from == mail.from);
        let most = match fate {
            Fate::Accepted => 1,
            Fate::ByRule | Fate::Refused => 0,
            Fate::Lost => usize::from(is_behind_text(&made[1..])),
            Fate::Silent => usize::from(is_behind_text(&made[..1])),
        };
        if kept.len() > most || (fate == Fate::Accepted && kept.is_empty()) {
            return fault(format!("kept {} times", kept.len()));
        }
        for kept in &kept {
            if kept.to != accepted {
                return fault(format!("accepted for {accepted:?}, kept for {:?}", kept.to));
            }
            compare::text(&mail, &kept.text, Keeps::AsItCame, Way::TwoProxies)?;
        }
        let is_explained = match fate {
            Fate::Accepted | Fate::ByRule => true,
            Fate::Refused => is_cut(&made),
            Fate::Lost => is_cut(&made[1..]),
            Fate::Silent => is_cut(&made[..1]),
        };
        if !is_explained || !(is_alive || is_cut(&made[..1])) {
            return fault("nothing explains that".to_owned());
        }
        match fate {
            Fate::Accepted => counts.accepted += 1,
            Fate::ByRule => counts.by_rule += 1,
            Fate::Refused => counts.refused += 1,
            Fate::Lost => counts.lost += 1,
            Fate::Silent => counts.silent += 1,
        }
        if let Fate::Refused | Fate::Lost | Fate::Silent = fate {
            counts.doubles += kept.len();
            again.push(mail);
        }
    }
    Ok(again)
}
