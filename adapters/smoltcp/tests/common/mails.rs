//! Clients that send mails one after the other, over whatever cable there is, and a handler that keeps them: was each kept as
//! often as its client believes?

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use smoltcp::iface::SocketHandle;
use smoltcp::socket::tcp;
use smtpd_core::client::{Command, Event, Session};
use smtpd_core::server::{Answer, Ending, Flow, Handler, Mail, Rcpt};
use smtpd_core::wire::Reply;

use super::cable::Chance;
use super::stack::Stack;
use super::world::SERVER;

/// Messages that were accepted, by their senders, in the order in which they came.
pub type Store = Rc<RefCell<BTreeMap<Vec<u8>, Vec<Vec<u8>>>>>;

/// Keeps what it accepts, and now and then says no.
pub struct Keeper {
    store: Store,
    chance: Chance,
    sender: Vec<u8>,
    text: Vec<u8>,
    /// Turns until it has room, or an answer, again.
    pause: u64,
}

impl Keeper {
    pub fn new(store: &Store, seed: u64) -> Self {
        Self { store: store.clone(), chance: Chance::new(seed), sender: Vec::new(), text: Vec::new(), pause: 0 }
    }

    fn pauses(&mut self) -> bool {
        if self.pause == 0 && self.chance.one_in(8) {
            self.pause = self.chance.below(4) + 1;
        }
        self.pause = self.pause.saturating_sub(1);
        self.pause > 0
    }
}

const NO: Reply<'static> = Reply::new(451, "Not now").enhanced(3, 0);

impl Handler for Keeper {
    fn mail(&mut self, mail: Mail<'_>) -> Answer<'_> {
        self.sender = mail.reverse_path.as_octets().to_vec();
        self.text.clear();
        Answer::Accept
    }
    fn rcpt(&mut self, _: Rcpt<'_>) -> Answer<'_> {
        if self.chance.one_in(20) { Answer::Reply(NO) } else { Answer::Accept }
    }
    fn room(&mut self, waker: &std::task::Waker) -> usize {
        if self.pauses() {
            waker.wake_by_ref();
            return 0;
        }
        self.chance.one_of(&[1, 7, 100, usize::MAX])
    }
    fn text(&mut self, octets: &[u8]) -> Flow<'_> {
        self.text.extend_from_slice(octets);
        Flow::Continue
    }
    fn message(&mut self, _: u16) -> Answer<'_> {
        Answer::Later
    }
    fn resume(&mut self, waker: &std::task::Waker) -> Answer<'_> {
        if self.pauses() {
            waker.wake_by_ref();
            return Answer::Later;
        }
        if self.chance.one_in(20) {
            return Answer::Reply(NO);
        }
        let text = std::mem::take(&mut self.text);
        self.store.borrow_mut().entry(self.sender.clone()).or_default().push(text);
        Answer::Accept
    }
    fn closed(&mut self, _: Ending) {
        self.text.clear();
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Accepted,
    Refused,
    /// The connection broke: the client does not know.
    Unknown,
}

/// A client that sends its mails one after the other.
pub struct Sender {
    socket: SocketHandle,
    session: Session,
    /// Those still to be sent, the last first.
    mails: Vec<(Vec<u8>, Vec<u8>)>,
    /// Octets of the text under way that were taken; none if there is none.
    taken: Option<usize>,
    pub verdicts: Vec<(Vec<u8>, Vec<u8>, Verdict)>,
    is_connected: bool,
}

impl Sender {
    pub fn new(number: u64, stack: &mut Stack, mut chance: Chance) -> Self {
        let mails = (0..=chance.below(2)).map(|mail| {
            let sender = format!("{number}.{mail}@c.example").into_bytes();
            (sender, text(&mut chance))
        });
        let mails = mails.collect();
        let sizes = [64, 300, 2_048];
        let socket = stack.add(chance.one_of(&sizes), chance.one_of(&sizes));
        stack.connect(socket, SERVER);
        let session = Session::new();
        Self { socket, session, mails, taken: None, verdicts: Vec::new(), is_connected: false }
    }

    /// One to four of them.
    pub fn some(stack: &mut Stack, chance: &mut Chance, seed: u64) -> Vec<Self> {
        (0..=chance.below(4)).map(|number| Self::new(number, stack, Chance::new(seed + number))).collect()
    }

    pub fn is_done(&self) -> bool {
        self.mails.is_empty() && !self.is_connected
    }

    fn settle(&mut self, verdict: Verdict) {
        if let Some((sender, text)) = self.mails.pop() {
            self.verdicts.push((sender, text, verdict));
        }
        self.taken = None;
    }

    pub fn turn(&mut self, stack: &mut Stack) {
        if self.is_done() {
            return;
        }
        let socket = stack.socket(self.socket);
        if !self.is_connected && socket.may_send() {
            self.is_connected = true;
        }
        if let (Some(taken), Some((_, text))) = (self.taken, self.mails.last()) {
            let taken = taken + self.session.text(&text[taken..]);
            self.taken = Some(taken);
            if taken == text.len() && self.session.is_text() && self.session.end_text().is_ok() {
                self.taken = None;
            }
        }
        let sent = socket.send_slice(self.session.output()).unwrap_or(0);
        self.session.sent(sent);
        while socket.can_recv() {
            let (session, mut reply) = (&mut self.session, None);
            let _ = socket.recv(|ring| {
                let mut input = &*ring;
                match session.poll(&mut input) {
                    Event::Reply(command, answer) => reply = Some((command, answer.code())),
                    Event::Broken(error) => panic!("{error}"),
                    _ => {}
                }
                (ring.len() - input.len(), ())
            });
            let Some((command, code)) = reply else { continue };
            self.heard(command, code);
        }
        if self.is_connected && !socket.may_recv() || socket.state() == tcp::State::Closed {
            self.hang_up(stack);
        }
    }

    fn heard(&mut self, command: Command, code: u16) {
        let session = &mut self.session;
        let result = match (command, code) {
            (_, 421) => return self.settle(Verdict::Refused),
            (Command::Greeting, 220) => session.hello(b"c.example"),
            (Command::Hello, 250) | (Command::Reset, 250) => return self.next_mail(),
            (Command::Mail, 250) => session.rcpt(b"d@example.org", b""),
            (Command::Rcpt, 250) => session.data(),
            (Command::Data, 354) => {
                self.taken = Some(0);
                Ok(())
            }
            (Command::Message, 250) => {
                self.settle(Verdict::Accepted);
                return self.next_mail();
            }
            (Command::Message, _) => {
                self.settle(Verdict::Refused);
                return self.next_mail();
            }
            (Command::Quit, _) => Ok(()),
            _ => {
                self.settle(Verdict::Refused);
                self.session.reset()
            }
        };
        result.expect("room and order");
    }

    fn next_mail(&mut self) {
        let result = match self.mails.last() {
            Some((sender, _)) => self.session.mail(sender, b""),
            None => self.session.quit(),
        };
        result.expect("room and order");
    }

    /// The connection is over; what is left goes over another one.
    fn hang_up(&mut self, stack: &mut Stack) {
        let socket = stack.socket(self.socket);
        socket.close();
        self.is_connected = false;
        if !self.mails.is_empty() {
            if self.session.is_text() || self.session.open() > 0 {
                self.settle(Verdict::Unknown);
            }
            socket.abort();
            self.session = Session::new();
            let socket = stack.add(512, 512);
            stack.connect(socket, SERVER);
            self.socket = socket;
        }
    }
}

/// Lines, some that begin with dots, some empty, some long.
fn text(chance: &mut Chance) -> Vec<u8> {
    let mut text = Vec::new();
    for _ in 0..chance.below(60) {
        match chance.below(5) {
            0 => text.extend(b"."),
            1 => text.extend(b".."),
            _ => {}
        }
        let bits = chance.below(9);
        let octets = chance.below(1 << bits);
        text.extend((0..octets).map(|octet| [b'x', b'.', 0xe4, b' ', b'a'][(octet % 5) as usize]));
        text.extend(b"\r\n");
    }
    text
}
