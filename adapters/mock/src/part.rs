//! A side of a script at the end of a wire.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use core::time::Duration;

use embedded_io::{Read, Write};

use crate::notes::Notes;
use crate::play::how;
use crate::player::{Player, Step};
use crate::wire::Turn;
use crate::{Act, Clock, Mismatch, Played, Script, Side, Sleep, Wire, WireError};

/// The script's side, and the wire's end at which it acts.
#[derive(Debug)]
pub(crate) struct Part {
    player: Player,
    /// None: closed.
    wire: Option<Wire>,
    unsent: Vec<u8>,
    /// Time passes until then.
    passes: Option<Duration>,
    clock: Clock,
    began: Duration,
    /// When the script's time is over.
    limit: Duration,
    now: Duration,
    sleep: Option<Sleep>,
    result: Option<Result<(), Box<Mismatch>>>,
    /// The other side is done.
    is_over: bool,
    /// The other side waits too, and would do so for ever.
    pub(crate) is_stuck: bool,
}

impl Part {
    pub(crate) fn new(script: &Script, side: Side, wire: Wire) -> Self {
        wire.set_nonblocking(true);
        wire.never_would_block();
        let clock = wire.clock().clone();
        let began = clock.now();
        let mut player = Player::new(script, side);
        let result = player.check().err().map(Err);
        Self {
            player,
            wire: result.is_none().then_some(wire),
            unsent: Vec::new(),
            passes: None,
            clock,
            began,
            limit: began.saturating_add(script.limit),
            now: began,
            sleep: None,
            result,
            is_over: false,
            is_stuck: false,
        }
    }

    /// Does what can be done now.
    pub(crate) fn turn(&mut self) -> Turn {
        let mut moved = false;
        while let Some(wire) = &mut self.wire {
            self.now = self.clock.now();
            if self.now >= self.limit {
                let got = "nothing until the script's limit".into();
                self.finish(Err(self.player.fails(self.player.waits_for(), got)));
                return Turn::Moved;
            }
            moved |= listen(wire, &mut self.player);
            if let Some(until) = self.passes {
                if self.now < until && !self.is_over {
                    return self.turned(moved, Some(until));
                }
                self.passes = None;
            }
            if !self.unsent.is_empty() {
                match wire.write(&self.unsent) {
                    Ok(sent) => {
                        self.unsent.drain(..sent);
                        moved = true;
                        continue;
                    }
                    Err(WireError::WouldBlock) => return self.turned(moved, None),
                    // Whoever closed hears no more; the script says whether it should.
                    Err(_) => self.unsent.clear(),
                }
            }
            match self.player.step() {
                Err(mismatch) => self.finish(Err(mismatch)),
                Ok(Step::Done) => self.finish(Ok(())),
                Ok(Step::Say(octets)) => self.unsent = octets,
                Ok(Step::Pass(time)) => self.passes = Some(self.now.saturating_add(time)),
                Ok(Step::Act(Act::Reset)) => {
                    wire.reset();
                    self.finish(Ok(()));
                }
                Ok(Step::Act(Act::Drop)) => self.finish(Ok(())),
                // Nothing to do: the player says nothing any more.
                Ok(Step::Act(Act::Stall)) => {}
                Ok(Step::Act(Act::Stop)) => {
                    let mismatch =
                        self.player.fails("a server that can be told to stop".into(), "one behind a wire".into());
                    self.finish(Err(mismatch));
                }
                // The other side waits, and had time to say something.
                Ok(Step::Listen) if !moved && self.player.quiet() => {}
                Ok(Step::Listen) => return self.turned(moved, None),
            }
            moved = true;
        }
        self.turned(moved, None)
    }

    fn turned(&self, moved: bool, until: Option<Duration>) -> Turn {
        let arrival = self.wire.as_ref().and_then(Wire::arrival);
        if moved { Turn::Moved } else { Turn::Waits(until.into_iter().chain(arrival).min()) }
    }

    /// The end is closed with what is known then.
    fn finish(&mut self, result: Result<(), Box<Mismatch>>) {
        self.result.get_or_insert(result);
        self.wire = None;
    }

    /// Wakes the task when the other side did something, or time has passed; ready: the script's limit is over.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let until = match self.turn() {
                Turn::Moved => {
                    // The other side has its turn first.
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Turn::Waits(until) => until,
            };
            if let Some(wire) = &self.wire {
                wire.wake_on_change(cx.waker());
            }
            let limit = self.limit;
            let sleep = self.sleep.insert(self.clock.until(until.map_or(limit, |until| until.min(limit))));
            ready!(Pin::new(sleep).poll(cx));
            if self.clock.now() >= limit {
                return Poll::Ready(());
            }
        }
    }

    /// The other side is done; what came of it all.
    pub(crate) fn end(&mut self, notes: Option<&Notes>) -> Result<Played, Box<Mismatch>> {
        // It may have said something last, which is on its way; nobody waits any more.
        self.is_over = true;
        loop {
            while self.turn() == Turn::Moved {}
            let Some(arrival) = self.wire.as_ref().and_then(Wire::arrival) else { break };
            self.clock.advance(arrival.saturating_sub(self.clock.now()));
            // A clock of tokio's does not pass by itself here.
            if self.clock.now() < arrival {
                break;
            }
        }
        let script = self.player.script();
        let heard = notes.map(Notes::calls).unwrap_or_default();
        let took = self.now - self.began;
        let on_the_wire = match self.result.clone() {
            Some(result) => result.err(),
            None => Some(self.player.nothing()),
        };
        let on_the_wire = on_the_wire.map(|mismatch| match self.waits() {
            Some(waits) => mismatch.waits(waits),
            None => mismatch,
        });
        let mismatch = match notes {
            Some(notes) => Mismatch::first(script, notes, on_the_wire),
            None => on_the_wire,
        };
        match mismatch {
            Some(mismatch) => Err(mismatch.how(how(script, "")).heard(heard)),
            None => Ok(Played { heard, is_stuck: self.is_stuck, ..self.player.played(took) }),
        }
    }

    /// As [`end`](Self::end), where the other side is through: its handler has to know that the session is over, for only
    /// then is what it did not hear known to be missing.
    pub(crate) fn end_of_session(&mut self, notes: Option<&Notes>) -> Result<Played, Box<Mismatch>> {
        let played = self.end(notes)?;
        if notes.is_none_or(Notes::is_gone) {
            return Ok(played);
        }
        let mismatch = self.player.fails("the end of the session".into(), "none".into());
        Err(mismatch.how(how(self.player.script(), "")).heard(played.heard))
    }

    /// The other side did not end within the script's limit.
    pub(crate) fn never_ended(&self) -> Box<Mismatch> {
        let got = "it goes on until the script's limit".into();
        self.player.fails("the other side ends".into(), got).how(how(self.player.script(), ""))
    }

    /// The other side panicked.
    pub(crate) fn panicked(&self, why: &str) -> Box<Mismatch> {
        let got = alloc::format!("a panic: {why}");
        self.player.fails(self.player.waits_for(), got).how(how(self.player.script(), ""))
    }

    /// What both sides waited for, if that is why it went wrong.
    fn waits(&self) -> Option<String> {
        let other = match () {
            () if self.is_stuck => "the other side waited too, and would have for ever",
            () if self.player.is_closed() => "the other side ended",
            () => return None,
        };
        Some(alloc::format!("the script waits for {}; {other}", self.player.waits_for()))
    }
}

/// Takes all that is there; true if anything was.
fn listen(wire: &mut Wire, player: &mut Player) -> bool {
    if player.is_closed() {
        return false;
    }
    let mut octets = [0; 1_024];
    let mut moved = false;
    loop {
        match wire.read(&mut octets) {
            Err(WireError::WouldBlock) => return moved,
            Ok(0) | Err(_) => {
                player.closed();
                return true;
            }
            Ok(read) => player.hear(octets.get(..read).unwrap_or(&[])),
        }
        moved = true;
    }
}
