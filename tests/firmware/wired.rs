//! A client on a stack of this host's, at the board's cable.

use std::thread;
use std::time::Duration;

use libtest_mimic::Failed;
use smoltcp::iface::SocketHandle;
use smoltcp::time::Instant;

use crate::wire::{Stack, Wire};

/// The stack at the other end of the board's cable, and its time.
pub(crate) struct Wired {
    pub(crate) stack: Stack,
    /// None: its time is the host's.
    stands_at: Option<Instant>,
}

impl Wired {
    /// Time stands still, so that each reply is acknowledged with the command behind it: the frames are the same at every
    /// run.
    pub(crate) fn timeless(wire: Wire) -> Self {
        let now = Instant::from_secs(1);
        Self { stack: Stack::new(wire, now), stands_at: Some(now) }
    }

    pub(crate) fn new(wire: Wire) -> Self {
        Self { stack: Stack::new(wire, Instant::now()), stands_at: None }
    }

    /// A session: each command waits for the reply to the one before it.
    pub(crate) fn session(&mut self, commands: &[&[u8]]) -> Result<(), Failed> {
        let client = self.call()?;
        commands.iter().try_for_each(|command| self.says(client, command))?;
        self.until("the end", |stack| !stack.socket(client).may_recv())?;
        self.stack.socket(client).close();
        self.poll();
        // Until the board sleeps.
        thread::sleep(Duration::from_millis(100));
        Ok(())
    }

    /// A client that was greeted.
    pub(crate) fn call(&mut self) -> Result<SocketHandle, Failed> {
        let client = self.stack.call();
        self.reply(client)?;
        Ok(client)
    }

    /// What is said gets a reply that says yes.
    pub(crate) fn says(&mut self, client: SocketHandle, octets: &[u8]) -> Result<(), Failed> {
        self.stack.socket(client).send_slice(octets).map_err(|error| error.to_string())?;
        self.reply(client)
    }

    fn reply(&mut self, client: SocketHandle) -> Result<(), Failed> {
        let mut said = Vec::new();
        self.until("a reply", |stack| {
            let socket = stack.socket(client);
            while socket.can_recv() && socket.recv(|ring| (ring.len(), said.extend_from_slice(ring))).is_ok() {}
            let last = said.strip_suffix(b"\r\n").and_then(|said| said.rsplit(|octet| *octet == b'\n').next());
            last.is_some_and(|line| line.get(3) == Some(&b' '))
        })?;
        match said.first() {
            Some(b'2' | b'3') => Ok(()),
            _ => Err(String::from_utf8_lossy(&said).into_owned().into()),
        }
    }

    pub(crate) fn poll(&mut self) {
        self.stack.poll(self.stands_at.unwrap_or_else(Instant::now));
    }

    /// For 20 s at most.
    fn until(&mut self, what: &str, mut is_so: impl FnMut(&mut Stack) -> bool) -> Result<(), Failed> {
        let end = std::time::Instant::now() + Duration::from_secs(20);
        while std::time::Instant::now() < end {
            self.poll();
            if is_so(&mut self.stack) {
                return Ok(());
            }
            thread::sleep(Duration::from_micros(100));
        }
        Err(format!("{what} does not come").into())
    }
}
