//! A mailbox for a device: keeps mails for its own addresses, and does what the subject line says.
//!
//! It knows addresses and commands, not where mails lie and not what hangs on the device.
//!
//! | subject | what it does |
//! |---|---|
//! | `led on`, `led off` | lights the lamp, or not |
//! | `report` | logs every mail that is kept, the oldest first, and removes it |
//!
//! A command is answered 250 and not kept, so `report` works when the spool is full.
//!
//! **An example, not a lock**: whoever sends a mail chooses its reverse-path, so anybody who can reach the port and knows
//! an owner's address can command. What must not be done by strangers needs AUTH, a network of its own, or a secret in
//! the mail.

use core::cell::RefCell;

use smtpd_core::handlers::spool::{Envelope, Error, Id, Spool, Store};
use smtpd_core::handlers::{Field, Headers};
use smtpd_core::heapless::Vec;
use smtpd_core::server::{Answer, Ending, Flow, Handler, Mail, Rcpt, Reply, Verify};
use smtpd_core::wire::ForwardPath;

use crate::network;

/// Who may do what; tables, so that they lie in flash.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    /// The mailbox's own addresses. `<Postmaster>` is one always (RFC 5321 §4.5.1).
    pub own: &'static [&'static str],
    /// Reverse-paths from which commands are taken.
    pub owners: &'static [&'static str],
}

impl Policy {
    /// The board's.
    pub const BOARD: Self = Self {
        own: &["board@board.example", "lamp@board.example", "postmaster@board.example"],
        owners: &["owner@board.example"],
    };
}

/// What hangs on the device.
pub trait Actions {
    /// Lights the lamp, or not.
    fn led(&mut self, is_on: bool);
}

/// The handler, one for each session; they share the store and what hangs on the device.
#[derive(Debug)]
pub struct Mailbox<'s, S: Store, A> {
    policy: &'s Policy,
    store: &'s RefCell<S>,
    actions: &'s RefCell<A>,
    spool: Spool<'s, S>,
    headers: Headers<96>,
    subject: Subject,
    /// The mail may be a command: it comes from an owner.
    is_owner: bool,
    /// What the spool refused; a command does not need it.
    refusal: Option<Error>,
    /// What VRFY is told.
    room: Vec<u8, 32>,
}

/// What a mail is about, as far as it fits; the first field of the name counts.
type Subject = Option<Vec<u8, SUBJECT>>;
const SUBJECT: usize = 64;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Command {
    Led(bool),
    Report,
}

const UNKNOWN: Reply<'static> = Reply::new(550, "No such mailbox here").enhanced(1, 1);

impl<'s, S: Store, A: Actions> Mailbox<'s, S, A> {
    /// A handler for one session after the other.
    #[must_use]
    pub const fn new(policy: &'s Policy, store: &'s RefCell<S>, actions: &'s RefCell<A>) -> Self {
        Self {
            policy,
            store,
            actions,
            spool: Spool::new(store),
            headers: Headers::new(),
            subject: None,
            is_owner: false,
            refusal: None,
            room: Vec::new(),
        }
    }

    /// The command that the mail under way is, if it is one.
    fn command(&self) -> Option<Command> {
        let subject = self.subject.as_ref().filter(|_| self.is_owner)?;
        match () {
            () if subject.eq_ignore_ascii_case(b"led on") => Some(Command::Led(true)),
            () if subject.eq_ignore_ascii_case(b"led off") => Some(Command::Led(false)),
            () if subject.eq_ignore_ascii_case(b"report") => Some(Command::Report),
            () => None,
        }
    }

    fn act(&mut self, command: Command) {
        match command {
            Command::Led(is_on) => self.actions.borrow_mut().led(is_on),
            Command::Report => report(&mut *self.store.borrow_mut()),
        }
    }

    /// Forgets the mail.
    fn clear(&mut self) {
        self.headers.clear();
        (self.subject, self.is_owner, self.refusal) = (None, false, None);
    }
}

/// What a code of the spool's means. Its replies can't be kept: they live as long as it is borrowed.
const fn error(code: u16) -> Error {
    match code {
        452 => Error::Full,
        552 => Error::TooBig,
        _ => Error::Broken,
    }
}

impl<S: Store, A: Actions> Handler for Mailbox<'_, S, A> {
    fn mail(&mut self, mail: Mail<'_>) -> Answer<'_> {
        self.clear();
        let sender = mail.reverse_path.as_octets();
        let is_owner = self.policy.owners.iter().any(|owner| owner.as_bytes().eq_ignore_ascii_case(sender));
        // What can never fit is refused to all: no command is that long.
        match self.spool.mail(mail) {
            Answer::Reply(reply) if !is_owner || reply.code() == 552 => Answer::Reply(error(reply.code()).reply()),
            Answer::Reply(reply) => {
                (self.is_owner, self.refusal) = (true, Some(error(reply.code())));
                Answer::Accept
            }
            _ => {
                self.is_owner = is_owner;
                Answer::Accept
            }
        }
    }

    fn rcpt(&mut self, rcpt: Rcpt<'_>) -> Answer<'_> {
        let is_own = match rcpt.forward_path {
            ForwardPath::Postmaster(_) => true,
            ForwardPath::Mailbox(mailbox) => {
                self.policy.own.iter().any(|own| own.as_bytes().eq_ignore_ascii_case(mailbox.as_octets()))
            }
        };
        if !is_own {
            return Answer::Reply(UNKNOWN);
        }
        if self.refusal.is_some() {
            return Answer::Accept;
        }
        match self.spool.rcpt(rcpt) {
            Answer::Reply(reply) if !self.is_owner => Answer::Reply(error(reply.code()).reply()),
            Answer::Reply(reply) => {
                self.refusal = Some(error(reply.code()));
                Answer::Accept
            }
            _ => Answer::Accept,
        }
    }

    fn text(&mut self, octets: &[u8]) -> Flow<'_> {
        let subject = &mut self.subject;
        self.headers.text(octets, |field| look(subject, &field));
        if self.refusal.is_some() {
            return Flow::Continue;
        }
        let Flow::Refuse(reply) = self.spool.text(octets) else { return Flow::Continue };
        let error = error(reply.code());
        self.refusal = Some(error);
        if self.is_owner { Flow::Continue } else { Flow::Refuse(error.reply()) }
    }

    fn message(&mut self, recipient: u16) -> Answer<'_> {
        let subject = &mut self.subject;
        self.headers.end(|field| look(subject, &field));
        if let Some(command) = self.command() {
            self.spool.reset();
            self.act(command);
            network::accepted();
            return Answer::Accept;
        }
        if let Some(error) = self.refusal {
            // Its envelope may have had room.
            self.spool.reset();
            return Answer::Reply(error.reply());
        }
        if let Answer::Reply(reply) = self.spool.message(recipient) {
            return Answer::Reply(error(reply.code()).reply());
        }
        if let Some(id) = self.spool.kept() {
            let store = &mut *self.store.borrow_mut();
            defmt::info!("mail {=u32}: {=u32} octets are kept", id.number(), store.len(id).unwrap_or(0));
            envelope(store, id);
            defmt::info!("  subject {=[u8]:a}", self.subject.as_deref().unwrap_or_default());
        }
        network::accepted();
        Answer::Accept
    }

    fn verify(&mut self, _: Verify<'_>) -> Answer<'_> {
        self.room.clear();
        number(&mut self.room, self.store.borrow().room());
        let _ = self.room.extend_from_slice(b" octets of room");
        Answer::Reply(Reply::from_octets(252, &self.room).enhanced(0, 0))
    }

    fn reset(&mut self) {
        self.spool.reset();
        self.clear();
    }

    fn closed(&mut self, why: Ending) {
        self.spool.closed(why);
        self.clear();
    }
}

/// Keeps the subject.
fn look(subject: &mut Subject, field: &Field<'_>) {
    if subject.is_none() && field.name.eq_ignore_ascii_case(b"Subject") {
        // Of one that was cut, what is missing may be what makes it no command.
        let octets = if field.is_cut { b"(too long)" } else { field.value };
        *subject = Some(octets.iter().copied().take(SUBJECT).collect());
    }
}

/// Logs every mail, the oldest first, and removes it.
fn report(store: &mut impl Store) {
    defmt::info!("report");
    let mut last = None;
    while let Some(id) = store.next(last) {
        defmt::info!("mail {=u32}:", id.number());
        let text = envelope(store, id);
        lines(store, id, text);
        let _ = store.remove(id);
        last = Some(id);
    }
    defmt::info!("end of report, {=usize} octets of room", store.room());
}

/// Logs who sent a mail to whom; where its text begins.
fn envelope(store: &mut impl Store, id: Id) -> u32 {
    let (mut envelope, mut line) = (Envelope::new(id), [0; Envelope::LINE]);
    let mut what = "from";
    while let Ok(Some(path)) = envelope.next(store, &mut line) {
        defmt::info!("  {=str} <{=[u8]:a}>", what, path);
        what = "to";
    }
    envelope.offset()
}

/// Logs the text from `offset` on. A line that is longer than the buffer becomes two.
fn lines(store: &mut impl Store, id: Id, mut offset: u32) {
    let mut buffer = [0; 128];
    while let Ok(length @ 1..) = store.read(id, offset, &mut buffer) {
        let read = &buffer[..length];
        let line = read.iter().position(|octet| *octet == b'\n').map_or(read, |end| &read[..=end]);
        defmt::info!("  {=[u8]:a}", line.trim_ascii_end());
        offset += line.len() as u32;
    }
}

/// Writes a number: what core::fmt does for a kilobyte.
fn number(to: &mut Vec<u8, 32>, number: usize) {
    if number > 9 {
        self::number(to, number / 10);
    }
    let _ = to.push(b'0' + (number % 10) as u8);
}
