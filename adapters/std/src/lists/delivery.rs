//! The LMTP server that hands mail for lists to a Mailman 2.

use std::sync::Arc;

use smtpd_core::server::{Answer, Ending, Flow, Mail, Rcpt};
use smtpd_core::wire::{ForwardPath, Reply};
use tokio::time::Instant;

use super::folder::{Address, Folder};
use super::mbox;
use super::wrapper::Wrapper;
use crate::async_handler::AsyncHandler;
use crate::memory::Share;

/// A session of it: gathers a message, and answers for each of its recipients what Mailman says.
pub(super) struct Delivery {
    folder: Arc<Folder>,
    wrapper: Arc<Wrapper>,
    recipients: Vec<Address>,
    /// As Mailman gets it.
    text: Vec<u8>,
    /// Of the memory for text.
    share: Share,
    /// Known once the message is complete.
    deadline: Option<Instant>,
}

const NO_LIST: Reply<'static> = Reply::new(550, "No such list").enhanced(1, 1);
const NO_FOLDER: Reply<'static> = Reply::new(451, "Lists can't be looked up now, try again").enhanced(3, 0);
const NO_MEMORY: Reply<'static> = Reply::new(452, "No memory for this message now, try again later").enhanced(3, 1);

impl Delivery {
    pub(super) fn new(folder: &Arc<Folder>, wrapper: &Arc<Wrapper>) -> Self {
        Self {
            folder: Arc::clone(folder),
            wrapper: Arc::clone(wrapper),
            recipients: Vec::new(),
            text: Vec::new(),
            share: Share::of(wrapper.memory.clone()),
            deadline: None,
        }
    }

    fn clear(&mut self) {
        self.recipients.clear();
        self.text = Vec::new();
        self.share.release();
        self.deadline = None;
    }
}

impl AsyncHandler for Delivery {
    async fn mail(&mut self, mail: Mail<'_>) -> Answer<'_> {
        self.clear();
        self.text = mbox::line(&mail.reverse_path);
        Answer::Accept
    }

    async fn rcpt(&mut self, rcpt: Rcpt<'_>) -> Answer<'_> {
        let ForwardPath::Mailbox(mailbox) = rcpt.forward_path else { return Answer::Reply(NO_LIST) };
        match self.folder.find(mailbox) {
            Ok(Some(address)) => {
                self.recipients.push(address);
                Answer::Accept
            }
            // Gone since it was found, or asked for by somebody else on this machine.
            Ok(None) => Answer::Reply(NO_LIST),
            Err(_) => Answer::Reply(NO_FOLDER),
        }
    }

    async fn text(&mut self, octets: &[u8]) -> Flow<'_> {
        if !self.share.grow(octets.len()) {
            return Flow::Refuse(NO_MEMORY);
        }
        for line in octets.split_inclusive(|octet| *octet == b'\n') {
            self.text.extend_from_slice(line);
            if self.text.ends_with(b"\r\n") {
                self.text.truncate(self.text.len() - 2);
                self.text.push(b'\n');
            }
        }
        Flow::Continue
    }

    async fn message(&mut self, recipient: u16) -> Answer<'_> {
        let deadline = *self.deadline.get_or_insert_with(|| self.wrapper.deadline());
        let Some(address) = self.recipients.get(usize::from(recipient)) else { return Answer::Reply(NO_LIST) };
        let answer = self.wrapper.deliver(address, &self.text, deadline).await;
        if usize::from(recipient) + 1 == self.recipients.len() {
            self.clear();
        }
        answer
    }

    async fn reset(&mut self) {
        self.clear();
    }

    async fn closed(&mut self, _: Ending) {
        self.clear();
    }
}
