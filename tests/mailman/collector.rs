//! An SMTP server that keeps what it accepts: where Mailman sends its posts, and whom the proxy has upstream.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use libtest_mimic::Failed;
use smtpd_std::{Answer, Config, Message, Messages, ProcessMessage, Rcpt, Reply, Running, Server};

use crate::folder::{PATIENCE, free_port, wait};

/// Accepts all mail, unless a test says otherwise.
pub(crate) struct Collector {
    pub(crate) address: SocketAddr,
    running: Mutex<Option<Running>>,
    kept: Arc<Kept>,
}

/// A message that was accepted.
#[derive(Clone, Debug)]
pub(crate) struct Post {
    pub(crate) to: Vec<String>,
    pub(crate) text: String,
}

#[derive(Default)]
struct Kept {
    posts: Mutex<Vec<Post>>,
    came: Condvar,
    answers: Mutex<Answers>,
}

#[derive(Default)]
struct Answers {
    /// To RCPT with these addresses.
    rcpt: Vec<(String, &'static str)>,
    /// After the text.
    text: Option<&'static str>,
}

impl Collector {
    pub(crate) fn start() -> Result<Self, Failed> {
        let collector = Self::stopped()?;
        collector.listen()?;
        Ok(collector)
    }

    /// One that nobody reaches yet.
    pub(crate) fn stopped() -> Result<Self, Failed> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?));
        Ok(Self { address, running: Mutex::new(None), kept: Arc::default() })
    }

    /// A process that another test starts has for a moment what was open here, so that a port may not be free at once.
    pub(crate) fn listen(&self) -> Result<(), Failed> {
        let running = wait("the collector's port", || {
            let kept = Arc::clone(&self.kept);
            let config = Config::new("upstream.example.net");
            Server::spawn(self.address, config, move |_| Messages::new(Keeper(Arc::clone(&kept)))).ok()
        })?;
        *lock(&self.running) = Some(running);
        Ok(())
    }

    /// Whoever is connected is cut off.
    pub(crate) fn stop(&self) {
        lock(&self.running).take();
    }

    /// RCPT with this address is answered like this from now on.
    pub(crate) fn answer_rcpt(&self, address: &str, reply: &'static str) {
        lock(&self.kept.answers).rcpt.push((address.to_owned(), reply));
    }

    /// Each text is answered like this from now on, and not kept.
    pub(crate) fn answer_text(&self, reply: &'static str) {
        lock(&self.kept.answers).text = Some(reply);
    }

    /// All is accepted again.
    pub(crate) fn accept(&self) {
        *lock(&self.kept.answers) = Answers::default();
    }

    /// Waits for a message.
    pub(crate) fn wait(&self, what: &str, is_it: impl Fn(&Post) -> bool) -> Result<Post, Failed> {
        let mut found = None;
        let looks = |posts: &mut Vec<Post>| {
            found = posts.iter().find(|post| is_it(post)).cloned();
            found.is_none()
        };
        let (posts, _) = self
            .kept
            .came
            .wait_timeout_while(lock(&self.kept.posts), PATIENCE, looks)
            .unwrap_or_else(PoisonError::into_inner);
        let last = |posts: &[Post]| {
            let last = posts.iter().rev().take(10);
            last.map(|post| format!("\n  {:?} {}", post.to, post.subject())).collect::<String>()
        };
        found.ok_or_else(|| format!("{what} did not come within {PATIENCE:?}; what came last:{}", last(&posts)).into())
    }

    /// How often a message with this subject came for this recipient.
    pub(crate) fn times(&self, subject: &str, to: &str) -> usize {
        let posts = lock(&self.kept.posts);
        let posts = posts.iter().filter(|post| post.is_about(subject));
        posts.flat_map(|post| &post.to).filter(|recipient| *recipient == to).count()
    }

    /// It has come for them once each, and waits for nothing.
    pub(crate) fn has(&self, subject: &str, to: &[&str], times: usize) -> Result<(), Failed> {
        for to in to {
            let came = self.times(subject, to);
            if came != times {
                return Err(format!("{subject:?} came {came} times for {to}, not {times} times").into());
            }
        }
        Ok(())
    }
}

impl Post {
    /// A field of the header, in one line.
    pub(crate) fn field(&self, name: &str) -> Option<String> {
        let header = self.text.split("\r\n\r\n").next().unwrap_or_default().replace("\r\n ", " ");
        let mut fields = header.split("\r\n").filter_map(|line| line.split_once(':'));
        fields.find_map(|(field, value)| field.eq_ignore_ascii_case(name).then(|| value.trim().to_owned()))
    }

    pub(crate) fn subject(&self) -> String {
        self.field("Subject").unwrap_or_default()
    }

    /// A list puts its name before the subject.
    pub(crate) fn is_about(&self, subject: &str) -> bool {
        let own = self.subject();
        own == subject || own.strip_suffix(subject).is_some_and(|list| list.starts_with('[') && list.ends_with("] "))
    }

    pub(crate) fn is_to(&self, to: &str) -> bool {
        self.to.iter().any(|recipient| recipient == to)
    }
}

struct Keeper(Arc<Kept>);

impl ProcessMessage for Keeper {
    fn rcpt(&mut self, rcpt: Rcpt<'_>) -> Answer<'_> {
        let answers = lock(&self.0.answers);
        let is_meant = |address: &str| address.as_bytes() == rcpt.forward_path.as_octets();
        match answers.rcpt.iter().find(|(address, _)| is_meant(address)) {
            Some((_, reply)) => Answer::Reply(Reply::from_line(reply.as_bytes())),
            None => Answer::Accept,
        }
    }

    fn process_message(&mut self, message: &mut Message) -> Answer<'_> {
        if let Some(reply) = lock(&self.0.answers).text {
            return Answer::Reply(Reply::from_line(reply.as_bytes()));
        }
        let text = String::from_utf8_lossy(&message.data).into_owned();
        lock(&self.0.posts).push(Post { to: message.rcpt_tos.clone(), text });
        self.0.came.notify_all();
        Answer::Accept
    }
}

/// A test that panicked leaves nothing half done here.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
