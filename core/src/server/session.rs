//! The session: octets in, events out, answers in, octets out.

use heapless::Vec;

use super::ask::{announced, ask};
use super::due::Due;
use super::event::{Answer, Ending, Event, Flow, Patience, Peer};
use super::line::{self, Kept, Line};
use super::order::{Question, State};
use super::output::{Output, sends_enhanced};
use super::text::{Fate, Received, Text};
use super::{Config, Extensions, Order, Texts, Timers};
use crate::log;
use crate::store::Store;
use crate::wire::{IS_HOST, Reply};

/// A server's session with one client, without I/O.
///
/// It holds no address and no text, only counts: its size does not grow with recipients or messages. `L` keeps a
/// line that the end of the input cut, `O` keeps output; both hold at least 512 octets.
///
/// # How to drive it
/// [`step`](super::step) does all of this for a [`Handler`](super::Handler). Whoever calls [`poll`](Self::poll)
/// himself keeps to this contract:
///
/// 1. Every event but [`Event::Idle`] consumed input or changed the state, so calling `poll` until it is idle comes
///    to an end.
/// 2. `Idle` while [`can_answer`](Self::can_answer) is false: send the output, then poll again before reading.
///    `Idle` while [`open`](Self::open) is not 0, or while input is left: wait for the answer, or for room; do not
///    read. Otherwise: send the output, then read.
/// 3. After [`Event::Closed`] there is only `Idle`. Send what is in [`output`](Self::output) first; then shut down
///    writing, read and throw away until the end, 64 KiB or 1 s, and only then close: a reset must not overtake the
///    last reply. A transport that knows no half-close (embedded-io, embedded-nal) flushes instead, and one whose reads
///    block for ever does the rest below the loop.
/// 4. Input may come in two parts, as from a ring that wraps: go on while anything moves.
/// 5. A positive answer of the wrong kind (250 to [`Event::Data`]) becomes 451.
/// 6. After 354 the text stands at the start of a line: `.CRLF` at once is an empty message.
/// 7. `room` caps and stops text only; the end of the text and commands still pass.
/// 8. The end of the text is decided on the octets as they came.
/// 9. While a question is open, `poll` may bring further [`Event::Rcpt`]: answers are to the oldest question first, and
///    only while `can_answer`. Who can hold only one question does not poll while one is open.
///
/// # Example
/// ```
/// use smtpd_core::server::{Answer, Config, Event, Peer, Session};
/// let config = Config::new("mx.example.org");
/// let mut session = Session::new(&config, Peer::default());
/// let mut input: &[u8] = b"QUIT\r\n";
/// loop {
///     match session.poll(&mut input, usize::MAX) {
///         Event::Idle => break,
///         Event::Connected(_) => assert!(session.answer(Answer::Accept)),
///         _ => {}
///     }
/// }
/// assert!(session.output().starts_with(b"220 mx.example.org ESMTP\r\n221 "));
/// ```
#[derive(Debug)]
pub struct Session<'c, L: Store = Vec<u8, 1024>, O: Store = Vec<u8, 1024>> {
    config: &'c Config<'c>,
    peer: Peer,
    offered: Extensions,
    /// What the open EHLO will be offered.
    candidate: Extensions,
    /// The size that it will announce.
    size: u32,
    order: Order,
    text: Text,
    due: Due<'c>,
    /// The newest open question was answered out of turn: it gets 451.
    is_faulty: bool,
    ending: Option<Ending>,
    epoch: u32,
    kept: Kept,
    line: L,
    output: Output<O>,
}

impl<'c> Session<'c> {
    /// A session with storage of its own; no output yet.
    #[must_use]
    pub fn new(config: &'c Config<'c>, peer: Peer) -> Self {
        Self::with(config, peer, Vec::new(), Vec::new())
    }
}

impl<'c, L: Store, O: Store> Session<'c, L, O> {
    /// A session with the storage given: `line` for a cut line, `output` for what is to be sent, both empty.
    #[must_use]
    pub fn with(config: &'c Config<'c>, peer: Peer, line: L, output: O) -> Self {
        Self {
            config,
            peer,
            offered: Extensions::NONE,
            candidate: Extensions::NONE,
            size: 0,
            order: Order::new(),
            text: Text::new(&config.limits),
            due: Due::Nothing,
            is_faulty: false,
            ending: None,
            epoch: 0,
            kept: Kept::Start,
            line,
            output: Output::new(output),
        }
    }

    /// Takes what it can off `input` and says what came of it; `room` is how many octets of text can be taken now.
    // Inlined on hosts, so that each piece of text costs no call.
    #[cfg_attr(not(target_os = "none"), inline)]
    pub fn poll<'s, 'i: 's>(&'s mut self, input: &mut &'i [u8], room: usize) -> Event<'s> {
        if self.order.state == State::Text { self.receive(input, room) } else { self.proceed(input) }
    }

    /// Outside of texts.
    fn proceed<'s, 'i: 's>(&'s mut self, input: &mut &'i [u8]) -> Event<'s> {
        if !self.produce() {
            return Event::Idle;
        }
        if let State::Closing(why) = self.order.state {
            (self.order.state, self.ending) = (State::Closed, Some(why));
            return Event::Closed(why);
        }
        if !self.output.has_room() || self.is_faulty() {
            return Event::Idle;
        }
        match (self.order.state, self.order.question) {
            (State::New, Question::None) => {
                self.order.question = Question::Connected;
                Event::Connected(self.peer)
            }
            (State::Aborted, _) => {
                self.order.reset();
                Event::Reset
            }
            (State::Complete(asked), Question::None) => self.next_message(asked),
            (State::New | State::Complete(_) | State::Closed, _) => Event::Idle,
            #[cfg(feature = "starttls")]
            (State::Tls, _) => Event::Idle,
            _ => self.command(input),
        }
    }

    /// Answers the oldest open question; false: none is open, or the output has no room for the answer
    /// ([`can_answer`](Self::can_answer)). [`Answer::Later`] leaves it open.
    pub fn answer(&mut self, answer: Answer<'_>) -> bool {
        let question = self.order.question;
        if question == Question::None || !self.can_answer() {
            return false;
        }
        let texts = self.config.texts;
        let bare;
        let reply = match &answer {
            Answer::Later => return true,
            Answer::Accept => stock(question, texts),
            // No enhanced code in what HELO and EHLO are answered (RFC 2034 §4).
            Answer::Reply(reply) if cfg!(feature = "enhanced") && matches!(question, Question::Hello { .. }) => {
                bare = if fits(question, reply.code()) { reply.bare() } else { texts.fault.bare() };
                &bare
            }
            Answer::Reply(reply) if fits(question, reply.code()) => reply,
            Answer::Reply(_) if question == Question::Connected => {
                self.close(Some(&texts.broken), Ending::Fault);
                return true;
            }
            Answer::Reply(_) => &texts.fault,
        };
        self.epoch = self.epoch.wrapping_add(1);
        if self.kept == Kept::Done {
            self.line.release();
            self.kept = Kept::Start;
        }
        if reply.code() == 421 {
            self.close(Some(reply), Ending::Refused);
            return true;
        }
        let behind = self.order.proceed(reply.is_positive());
        match (question, &answer) {
            (Question::Connected, Answer::Accept) => self.say(question, reply, self.config.greeting.as_bytes()),
            _ => self.say(question, reply, reply.text()),
        }
        self.answer_behind(behind);
        self.produce();
        true
    }

    /// What [`poll`](Self::poll) gives, if that is a short line of text among others that begin with dots.
    #[inline(always)]
    pub(crate) fn short_line<'i>(&mut self, input: &mut &'i [u8], room: impl FnOnce() -> usize) -> Option<&'i [u8]> {
        let octets = self.text.short_line(input, room, &mut self.epoch)?;
        log::text(octets);
        Some(octets)
    }

    /// What the handler says to the text that it just got.
    pub fn flow(&mut self, flow: Flow<'_>) {
        let Flow::Refuse(reply) = &flow else { return };
        if self.order.state != State::Text || !self.text.is_wanted() {
            return;
        }
        let is_refusal = reply.is_valid() && !reply.is_positive();
        let reply = if is_refusal { reply } else { &self.config.texts.fault };
        self.keep(reply);
        if reply.code() == 421 {
            return self.close_with_kept(Ending::Refused);
        }
        self.text.refuse();
    }

    /// Before EHLO is answered: only what is in `extensions` is offered, and of SIZE at most `size` octets (0: as much as
    /// the limits say). It only ever shrinks.
    #[cfg_attr(target_os = "none", inline(never))]
    pub fn restrict(&mut self, extensions: Extensions, size: u32) {
        self.candidate = self.candidate.intersection(extensions);
        // 0 is the greatest here, as it is for who reads it (RFC 1870 §3).
        if size.wrapping_sub(1) < self.size.wrapping_sub(1) {
            self.size = size;
        }
    }

    /// The extensions that the client was offered by its last EHLO.
    #[must_use]
    pub const fn offered(&self) -> Extensions {
        self.offered
    }

    /// Who is at the other end.
    #[must_use]
    pub const fn peer(&self) -> Peer {
        self.peer
    }

    /// Where the session stands.
    #[must_use]
    pub const fn state(&self) -> State {
        self.order.state
    }

    /// Questions not yet answered.
    #[must_use]
    pub fn open(&self) -> u16 {
        self.order.open()
    }

    /// Whether further questions may come while those that are open are not answered, if input is given.
    #[must_use]
    pub fn takes_more(&self) -> bool {
        self.order.takes_more() && !self.is_faulty() && !matches!(self.kept, Kept::Whole | Kept::TooLong)
    }

    /// Whether a poll without input would be idle, and further input is all that is needed.
    pub(crate) fn is_starved(&self) -> bool {
        let takes_input = matches!(self.order.state, State::Start | State::Ready | State::Transaction | State::Text);
        takes_input && self.order.question == Question::None && self.kept == Kept::Start && self.can_answer()
    }

    /// Whether the output has room for one reply of any length.
    #[must_use]
    pub fn can_answer(&self) -> bool {
        self.due == Due::Nothing && self.output.has_room()
    }

    /// What is to be sent.
    #[must_use]
    pub fn output(&self) -> &[u8] {
        self.output.octets()
    }

    /// The first `octets` of the output were sent.
    pub fn sent(&mut self, octets: usize) {
        log::reply(self.output().get(..octets).unwrap_or(b""));
        if octets > 0 && self.output.sent(octets) {
            self.epoch = self.epoch.wrapping_add(1);
        }
    }

    /// TLS stands. All that was read before is thrown away, and all that the client said is forgotten: nobody can
    /// put commands in front of the handshake (RFC 3207 §4.2).
    #[cfg(feature = "starttls")]
    pub fn tls_started(&mut self, input: &mut &[u8], tls: super::Tls) {
        let super::Tls = tls;
        if self.order.state != State::Tls {
            return;
        }
        *input = &[];
        self.line.release();
        self.kept = Kept::Start;
        self.order.state = State::Start;
        self.offered = Extensions::NONE;
        self.peer.tls = true;
        self.epoch = self.epoch.wrapping_add(1);
    }

    /// How it ended, once it is over: after [`Event::Closed`].
    #[must_use]
    pub const fn ending(&self) -> Option<Ending> {
        self.ending
    }

    /// The timers of its settings: for who asks its handler while an [`Event`] lends the session.
    #[must_use]
    pub const fn timers(&self) -> &'c Timers {
        &self.config.timers
    }

    /// How long to wait for what the session waits for now. [`Watch`](super::Watch) keeps the time by it.
    #[must_use]
    pub fn patience(&self) -> Patience {
        let timers = self.timers();
        let secs = match self.order.question {
            Question::None if !self.output().is_empty() => timers.output,
            Question::None if self.order.state == State::Text => timers.text,
            Question::None => timers.command,
            Question::Data => timers.data,
            Question::Message(_) => timers.message,
            _ => timers.answer,
        };
        Patience { secs, epoch: self.epoch }
    }

    /// Ends the session for a reason from outside: the client hears 421 where one can still be sent.
    pub fn end(&mut self, why: Ending) {
        let texts = self.config.texts;
        let reply = match why {
            Ending::Expired => Some(&texts.expired),
            Ending::Stopping => Some(&texts.stopping),
            Ending::Fault => Some(&texts.broken),
            Ending::Limit => Some(&texts.limit),
            Ending::Quit | Ending::Refused | Ending::Lost => None,
        };
        if why == Ending::Lost {
            self.output.clear();
        }
        self.close(reply, why);
    }

    /// Without a backlog nothing can be answered out of turn.
    fn is_faulty(&self) -> bool {
        cfg!(feature = "backlog") && self.is_faulty
    }

    /// Answers the newest open question out of turn, which is a mistake: it will get 451, and none is asked before.
    pub(crate) fn fault(&mut self) {
        self.is_faulty = true;
    }

    /// What has to be answered without its turn: RCPT behind a refused MAIL, and the question that was answered too soon.
    fn answer_behind(&mut self, behind: u16) {
        #[cfg(feature = "backlog")]
        if behind > 0 {
            self.due = Due::NeedMail(behind);
        }
        let _ = behind;
        if self.is_faulty() && self.order.open() <= 1 {
            self.is_faulty = false;
            // Behind a refused MAIL none is open any more.
            if self.order.open() == 1 {
                self.order.proceed(false);
                self.due = Due::Replies(Some(&self.config.texts.fault), 1);
            }
        }
    }

    fn close(&mut self, reply: Option<&Reply<'_>>, why: Ending) {
        // Behind the last reply nothing is said any more, and in the middle of a handshake nothing that is not TLS.
        let is_heard = match self.order.state {
            #[cfg(feature = "starttls")]
            State::Tls => false,
            state => !matches!(state, State::Closing(_) | State::Closed),
        };
        if let (true, Some(reply)) = (is_heard && self.can_answer(), reply) {
            self.output.reply(reply, self.config);
        }
        self.due = Due::Nothing;
        self.order.close(why);
    }

    /// Keeps a reply in the line's storage, which holds no line within the text.
    fn keep(&mut self, reply: &Reply<'_>) {
        self.line.release();
        reply.write(self.line.view(), sends_enhanced(self.config));
        self.kept = Kept::Refusal;
    }

    /// Closes with the reply that is kept, once the output has room for it: the reply to DATA may still be in it.
    fn close_with_kept(&mut self, why: Ending) {
        self.due = Due::Replies(None, 1);
        self.order.close(why);
        self.produce();
    }

    /// Writes the answer to `question`, which the order has taken; `greeting` is what follows the name in a greeting.
    fn say(&mut self, question: Question, reply: &Reply<'_>, greeting: &[u8]) {
        let (config, output) = (self.config, &mut self.output);
        match question {
            Question::Connected if reply.is_positive() => output.greeting(b"220 ", config.host, greeting),
            Question::Hello { extended } if reply.is_positive() => {
                self.offered = if extended { self.candidate } else { Extensions::NONE };
                let head = if self.offered.is_empty() { b"250 " } else { b"250-" };
                output.greeting(head, config.host, greeting);
                self.due = Due::Keywords(self.offered);
            }
            _ => output.reply(reply, config),
        }
    }

    /// Writes the lines that are due, as far as there is room; true when none is left.
    #[cfg_attr(not(target_os = "none"), inline(always))]
    fn produce(&mut self) -> bool {
        // The rule, and at each poll: costs no call.
        self.due == Due::Nothing || self.produce_due()
    }

    #[inline(never)]
    fn produce_due(&mut self) -> bool {
        let is_done = self.due.write(&mut self.output, &mut self.order, self.line.octets(), self.config, self.size);
        if is_done && self.kept == Kept::Refusal {
            self.kept = Kept::Done;
        }
        is_done
    }

    /// The text is complete, and so many recipients were asked about: the next one, or none is left.
    fn next_message<'s>(&mut self, asked: u16) -> Event<'s> {
        match self.order.next_message(asked, self.config.is_lmtp()) {
            Some(recipient) => Event::Message(recipient),
            None => Event::Handled,
        }
    }

    /// The text, or what comes of its end.
    fn receive<'s, 'i: 's>(&'s mut self, input: &mut &'i [u8], room: usize) -> Event<'s> {
        match self.text.receive(input, room, &self.config.limits, &mut self.epoch) {
            Received::Wanted(octets) => {
                log::text(octets);
                Event::Text(octets)
            }
            Received::Dropped => Event::Handled,
            Received::Reset => Event::Reset,
            Received::Starved => Event::Idle,
            Received::Exhausted => {
                self.keep(&self.config.texts.limit);
                self.close_with_kept(Ending::Limit);
                Event::Handled
            }
            Received::End(Fate::Wanted) => {
                self.order.state = State::Complete(0);
                self.epoch = self.epoch.wrapping_add(1);
                // A poll less.
                if IS_HOST && self.can_answer() { self.next_message(0) } else { Event::Handled }
            }
            Received::End(fate) => {
                let reply = if fate == Fate::TooBig { Some(&self.config.texts.size) } else { None };
                self.due = Due::Replies(reply, self.order.replies(self.config.is_lmtp()));
                self.order.reset();
                self.epoch = self.epoch.wrapping_add(1);
                self.produce();
                Event::Handled
            }
        }
    }

    /// The next command, if it is complete and may be asked now.
    fn command<'s, 'i: 's>(&'s mut self, input: &mut &'i [u8]) -> Event<'s> {
        let Self { config, offered, candidate, size, order, text, epoch, kept, line, output, peer, .. } = self;
        let config = *config;
        let is_behind = order.question != Question::None;
        if is_behind && !order.takes_more() {
            return Event::Idle;
        }
        let printable = line::find_printable(*kept, line, input, config.limits.line);
        let (line, rest) = match printable {
            Some((line, rest)) => (Some(line), Some(rest)),
            None => {
                let is_start = *kept == Kept::Start && line.octets().is_empty();
                // A TLS client would wait for an answer to its hello for ever: say at once what this is.
                if order.is_fresh() && is_start && input.first() == Some(&TLS_HANDSHAKE) {
                    output.reply(&config.texts.foreign, config);
                    order.close(Ending::Limit);
                    return Event::Handled;
                }
                let capacity = line.octets().len().wrapping_add(line.room());
                let limit = match usize::from(config.limits.line) {
                    0 => capacity,
                    limit => limit.min(capacity),
                };
                match line::find(kept, line, input, limit) {
                    Line::Starved => return Event::Idle,
                    Line::TooLong if is_behind => return Event::Idle,
                    Line::TooLong => {
                        *kept = Kept::Start;
                        (None, None)
                    }
                    Line::Found { line, rest } => (Some(line), rest),
                }
            }
        };
        let verdict = match line {
            _ if !order.may_command(config.limits.commands) => Err(&config.texts.limit),
            None => Err(&config.texts.line_too_long),
            Some(line) => ask(line, printable.is_some(), order, config, *offered),
        };
        if is_behind && verdict.is_err() {
            return Event::Idle;
        }
        match (line, rest) {
            (_, Some(rest)) => *input = rest,
            (Some(_), None) => *kept = Kept::Done,
            (None, None) => {}
        }
        if let Some(line) = line {
            log::command(line);
        }
        *epoch = epoch.wrapping_add(1);
        order.count_command();
        let event = match verdict {
            Err(reply) => {
                let reply = order.count_reply(reply, config);
                #[cfg(feature = "python")]
                super::python::say(output, reply, line.unwrap_or(b""), config);
                #[cfg(not(feature = "python"))]
                output.reply(reply, config);
                return Event::Handled;
            }
            Ok(event) => event,
        };
        match event {
            Event::Hello(_) => (*candidate, *size) = (announced(config, peer.tls), config.limits.size),
            Event::Data => *text = Text::new(&config.limits),
            Event::Reset => output.reply(&config.texts.ok, config),
            #[cfg(feature = "starttls")]
            Event::StartTls => output.reply(&config.texts.start_tls, config),
            _ => {}
        }
        event
    }
}

/// The first octet of a TLS record that holds a handshake (RFC 8446 §5.1).
const TLS_HANDSHAKE: u8 = 22;

/// What the session says when the handler accepts; a greeting has words of its own.
fn stock<'c>(question: Question, texts: &'c Texts<'c>) -> &'c Reply<'c> {
    match question {
        Question::Connected | Question::Hello { .. } | Question::None => const { &Reply::new(250, "") },
        Question::Envelope { mail: true, .. } => &texts.mail,
        Question::Envelope { mail: false, .. } => &texts.rcpt,
        Question::Data => &texts.data,
        Question::Message(_) => &texts.message,
        Question::Verify => &texts.verify,
    }
}

/// Whether a code has its place as the answer to a question.
#[cfg_attr(not(target_os = "none"), inline(never))]
fn fits(question: Question, code: u16) -> bool {
    match code {
        400..=599 => true,
        220 => question == Question::Connected,
        354 => question == Question::Data,
        250 => !matches!(question, Question::Connected | Question::Data),
        251 => matches!(question, Question::Envelope { mail: false, .. } | Question::Verify),
        252 => question == Question::Verify,
        _ => false,
    }
}
