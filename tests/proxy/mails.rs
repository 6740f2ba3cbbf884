//! Mails of random shape, the same ones for a seed in every run.

use libtest_mimic::Failed;

use crate::random::Random;

/// Octets that the texts of all mails for a server have at most.
const ALL: usize = 200 << 20;
const LARGEST: usize = 5 << 20;
const MOST_RECIPIENTS: usize = 100;
const LONGEST_LINE: usize = 4_000;

/// A number of mails; each is made when it is asked for, since together they may be large.
pub(crate) struct Mails {
    seed: u64,
    sizes: Vec<usize>,
    pools: [Pool; 2],
}

/// A mail, and how it is sent.
pub(crate) struct Mail {
    /// Holds the mail's number, since its text may be empty.
    pub(crate) from: String,
    pub(crate) to: Vec<String>,
    /// With CRLF at the end of each line; neither CR nor LF stands elsewhere.
    pub(crate) text: Vec<u8>,
    pub(crate) head: Head,
    /// Sent in groups, if the server allows it.
    pub(crate) is_pipelined: bool,
    /// The last one of its connection.
    pub(crate) is_last: bool,
}

/// How a text begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Head {
    /// With fields, an empty line behind them.
    Whole,
    /// It is nothing but fields, or nothing at all.
    Fields,
    /// With an empty line.
    Empty,
    /// With a line that is no field.
    Missing,
}

impl Mails {
    pub(crate) fn new(seed: u64, count: usize) -> Self {
        let mut random = Random::new(seed, usize::MAX);
        // Nothing and the largest are always there.
        let mut sizes = vec![0, LARGEST];
        sizes.resize_with(count, || random.log_uniform(0, LARGEST));
        while sizes.iter().sum::<usize>() > ALL {
            let at = 2 + random.below(count - 2);
            sizes[at] = sizes[at].min(random.log_uniform(0, LARGEST));
        }
        let pools = [Pool::new(&mut random, b' '..=b'~'), Pool::new(&mut random, 0..=u8::MAX)];
        Self { seed, sizes, pools }
    }

    pub(crate) fn len(&self) -> usize {
        self.sizes.len()
    }

    pub(crate) fn mail(&self, number: usize) -> Mail {
        let mut random = Random::new(self.seed, number);
        let recipients = match number {
            0 => 1,
            1 => MOST_RECIPIENTS,
            _ => random.log_uniform(1, MOST_RECIPIENTS),
        };
        let to = (1..=recipients).map(|recipient| format!("r{recipient}+{number}@example.org")).collect();
        let from = from(number);
        let (head, text) = self.text(&mut random, number, &from);
        Mail { from, to, text, head, is_pipelined: random.once_in(2), is_last: random.once_in(10) }
    }

    fn text(&self, random: &mut Random, number: usize, from: &str) -> (Head, Vec<u8>) {
        let size = self.sizes[number];
        let mut text = Vec::with_capacity(size);
        let head = match (size, random.below(10)) {
            (0, _) => return (Head::Fields, text),
            (1_000.., 4..) => Head::Whole,
            // Servers keep header sections in memory, and have limits for them.
            (30..=LONGEST_LINE, 0 | 1) => Head::Fields,
            (_, 2) => Head::Empty,
            _ => Head::Missing,
        };
        match head {
            Head::Whole => {
                let subject = random.below(300);
                text.extend(format!("From: <{from}>\r\nMessage-ID: <{number}@client.example>\r\n").into_bytes());
                text.extend(format!("Subject: {number}\r\n ").into_bytes());
                self.pools[0].put(random, subject, &mut text);
                text.extend_from_slice(b"\r\n\r\n");
            }
            Head::Fields => {
                let length = size - b"Comments: \r\n".len();
                text.extend_from_slice(b"Comments: ");
                self.pools[0].put(random, length, &mut text);
                text.extend_from_slice(b"\r\n");
                return (head, text);
            }
            Head::Empty => text.extend_from_slice(b"\r\n"),
            Head::Missing => {
                let line: &[u8] = b"no field";
                text.extend_from_slice(&line[..line.len().min(size.saturating_sub(2).max(1))]);
                text.extend_from_slice(b"\r\n");
            }
        }
        self.lines(random, size, &mut text);
        (head, text)
    }

    /// Lines up to `size` octets.
    fn lines(&self, random: &mut Random, size: usize, text: &mut Vec<u8>) {
        let pool = &self.pools[random.below(2)];
        let longest = [78, 998, LONGEST_LINE][random.below(3)];
        while text.len() + 2 <= size {
            let room = size - text.len() - 2;
            let dots = match random.below(8) {
                0 => random.below(4),
                _ => 0,
            };
            let others = match random.below(8) {
                0 => 0,
                1 => random.below(longest + 1),
                _ => random.below(longest.min(78) + 1),
            };
            text.extend_from_slice(&b"..."[..dots.min(room)]);
            pool.put(random, others.min(room.saturating_sub(dots)), text);
            text.extend_from_slice(b"\r\n");
        }
    }
}

/// There are mails of every shape among those that a server gets.
pub(crate) fn are_of_every_shape(mails: &Mails) -> Result<(), Failed> {
    let (mut octets, mut missing) = (
        0,
        vec![
            "no octet",
            "5 MiB",
            "100 recipients",
            "one recipient",
            "fields only",
            "an empty line first",
            "no fields",
            "a header section",
            "a dot alone",
            "two dots alone",
            "8-bit octets",
            "NUL",
            "a line of 3,000 octets",
            "empty lines",
            "lock step",
            "pipelined",
        ],
    );
    for number in 0..mails.len() {
        let Mail { to, text, head, is_pipelined, .. } = mails.mail(number);
        octets += text.len();
        missing.retain(|shape| !match *shape {
            "no octet" => text.is_empty(),
            "5 MiB" => text.len() + 1 >= LARGEST,
            "100 recipients" => to.len() == MOST_RECIPIENTS,
            "one recipient" => to.len() == 1 && !text.is_empty(),
            "fields only" => head == Head::Fields && !text.is_empty(),
            "an empty line first" => head == Head::Empty,
            "no fields" => head == Head::Missing,
            "a header section" => head == Head::Whole,
            "a dot alone" => holds(&text, b"\r\n.\r\n"),
            "two dots alone" => holds(&text, b"\r\n..\r\n"),
            "8-bit octets" => !text.is_ascii(),
            "NUL" => text.contains(&0),
            "a line of 3,000 octets" => text.split(|octet| *octet == b'\n').any(|line| line.len() > 3_000),
            "empty lines" => holds(&text, b"\r\n\r\n\r\n"),
            "lock step" => !is_pipelined,
            _ => is_pipelined,
        });
    }
    match (octets <= ALL, missing.is_empty()) {
        (true, true) => Ok(()),
        _ => Err(format!("{octets} octets; no mail has {missing:?}").into()),
    }
}

fn holds(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

/// The sender of a mail.
pub(crate) fn from(number: usize) -> String {
    format!("n{number}@client.example")
}

/// Octets that lines are cut from: faster than to draw each.
struct Pool(Vec<u8>);

impl Pool {
    fn new(random: &mut Random, octets: std::ops::RangeInclusive<u8>) -> Self {
        let octets: Vec<u8> = octets.filter(|octet| !matches!(octet, b'\r' | b'\n')).collect();
        Self((0..1 << 16).map(|_| octets[random.below(octets.len())]).collect())
    }

    /// Puts `length` octets behind `text`.
    fn put(&self, random: &mut Random, length: usize, text: &mut Vec<u8>) {
        let at = random.below(self.0.len() - LONGEST_LINE);
        text.extend_from_slice(&self.0[at..at + length]);
    }
}
