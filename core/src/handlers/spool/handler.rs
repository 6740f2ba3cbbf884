//! Spool: a handler that keeps what it accepts.

use core::cell::RefCell;

use super::{Error, Id, Store};
use crate::server::{Answer, Ending, Flow, Handler, Mail, Rcpt};
use crate::wire::Reply;

/// Puts each message into a store, which the handlers of all sessions share. What it answered 250 is kept; of everything
/// else nothing is.
///
/// It accepts every recipient: which addresses are the server's own is for a handler around it to say, before it
/// passes RCPT on.
///
/// The envelope and the text go into the store as they come, so a handler takes no more memory for a bigger message. Without
/// room for them it refuses with the replies of [`Error`]. A store that is borrowed while a handler needs it is
/// [`Error::Broken`].
#[derive(Debug)]
pub struct Spool<'s, S: Store> {
    store: &'s RefCell<S>,
    /// The message under way.
    id: Option<Id>,
    /// Whether its envelope is closed.
    is_text: bool,
    /// How the last message ended, as long as nothing else was begun.
    kept: Option<Id>,
    verdict: Result<(), Error>,
}

impl<'s, S: Store> Spool<'s, S> {
    /// A handler for one session after the other.
    #[must_use]
    pub const fn new(store: &'s RefCell<S>) -> Self {
        Self { store, id: None, is_text: false, kept: None, verdict: Err(Error::Broken) }
    }

    /// The message that the last [`message`](Handler::message) kept, until another one begins.
    #[must_use]
    pub const fn kept(&self) -> Option<Id> {
        self.kept
    }

    fn with<T>(&self, then: impl FnOnce(&mut S) -> Result<T, Error>) -> Result<T, Error> {
        then(&mut *self.store.try_borrow_mut().map_err(|_| Error::Broken)?)
    }

    /// Adds all or nothing to the message under way.
    fn append(&self, pieces: &[&[u8]]) -> Result<(), Error> {
        let id = self.id.ok_or(Error::Broken)?;
        self.with(|store| store.append(id, pieces))
    }

    fn begin(&mut self, mail: &Mail<'_>) -> Result<(), Error> {
        let size = mail.size.unwrap_or(0) as usize;
        let id = self.with(|store| match () {
            () if size > store.capacity() => Err(Error::TooBig),
            () if size > store.room() => Err(Error::Full),
            () => store.begin(),
        })?;
        self.id = Some(id);
        self.append(&[b"<", mail.reverse_path.as_octets(), b">\r\n"])
    }

    /// Adds octets of the text, the first time with the end of the envelope before them.
    fn add(&mut self, octets: &[u8]) -> Result<(), Error> {
        match self.is_text {
            true => self.append(&[octets]),
            false => self.append(&[b"\r\n", octets]),
        }?;
        self.is_text = true;
        Ok(())
    }

    fn commit(&mut self) -> Result<(), Error> {
        // A message without a text has an envelope all the same.
        self.add(b"")?;
        let id = self.id.ok_or(Error::Broken)?;
        self.with(|store| store.commit(id))?;
        (self.kept, self.id) = (Some(id), None);
        Ok(())
    }

    /// Forgets the message under way, if there is one; while the store is borrowed, it stays for the next time.
    fn forget(&mut self) {
        self.is_text = false;
        let Some(id) = self.id else { return };
        let abandon = |store: &mut S| {
            store.abandon(id);
            Ok(())
        };
        if self.with(abandon).is_ok() {
            self.id = None;
        }
    }
}

/// For a path that would not fit into the empty store: with fewer recipients it does, and the client sends to the rest in
/// another transaction (RFC 5321 §4.5.3.1.10). 552 would make it give up.
const TOO_MANY: Reply<'static> = Reply::new(452, "Too many recipients").enhanced(5, 3);

impl<S: Store> Handler for Spool<'_, S> {
    fn mail(&mut self, mail: Mail<'_>) -> Answer<'_> {
        self.forget();
        (self.kept, self.verdict) = (None, Err(Error::Broken));
        match self.begin(&mail) {
            Ok(()) => Answer::Accept,
            Err(error) => {
                self.forget();
                Answer::Reply(error.reply())
            }
        }
    }

    fn rcpt(&mut self, rcpt: Rcpt<'_>) -> Answer<'_> {
        match self.append(&[b"<", rcpt.forward_path.as_octets(), b">\r\n"]) {
            Ok(()) => Answer::Accept,
            // Not their number but the space has an end, and there may be more later: 4.3.1, not 4.5.3.
            Err(error @ (Error::Full | Error::Broken)) => Answer::Reply(error.reply()),
            Err(Error::TooBig) => Answer::Reply(TOO_MANY),
        }
    }

    fn text(&mut self, octets: &[u8]) -> Flow<'_> {
        match self.add(octets) {
            Ok(()) => Flow::Continue,
            Err(error) => {
                // At once: others may need the room while the client sends the rest.
                self.forget();
                Flow::Refuse(error.reply())
            }
        }
    }

    fn message(&mut self, recipient: u16) -> Answer<'_> {
        if recipient == 0 {
            self.verdict = self.commit();
            self.forget();
        }
        match self.verdict {
            Ok(()) => Answer::Accept,
            Err(error) => Answer::Reply(error.reply()),
        }
    }

    fn reset(&mut self) {
        self.forget();
    }

    fn closed(&mut self, _: Ending) {
        self.forget();
    }
}

/// An async driver may be dropped in the middle of a message.
impl<S: Store> Drop for Spool<'_, S> {
    fn drop(&mut self) {
        self.forget();
    }
}
