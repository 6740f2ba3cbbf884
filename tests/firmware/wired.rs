//! A client on a stack of this host's, whose frames are the same at every run.

use std::thread;
use std::time::Duration;

use libtest_mimic::Failed;
use smoltcp::iface::SocketHandle;
use smoltcp::time::Instant;

use crate::counts::Counted;
use crate::wire::{Stack, Wire};

/// A board whose instructions are counted, and the stack at the other end of its cable.
pub(crate) struct Wired {
    pub(crate) counted: Counted,
    stack: Stack,
}

/// Time stands still for the stack, so that it acknowledges a reply with the command behind it.
const NOW: Instant = Instant::from_micros_const(1_000_000);

impl Wired {
    pub(crate) fn start(binary: &'static str) -> Result<Self, Failed> {
        let wire = Wire::new()?;
        let counted = Counted::start(binary, Some(wire.option()?))?;
        Ok(Self { counted, stack: Stack::new(wire, NOW) })
    }

    /// A session: each command waits for the reply to the one before it.
    pub(crate) fn session(&mut self, commands: &[&[u8]]) -> Result<(), Failed> {
        let client = self.stack.call();
        self.reply(client)?;
        for command in commands {
            self.stack.socket(client).send_slice(command).map_err(|error| error.to_string())?;
            self.reply(client)?;
        }
        self.until("the end", |stack| !stack.socket(client).may_recv())?;
        self.stack.socket(client).close();
        self.stack.poll(NOW);
        // Until the board sleeps.
        thread::sleep(Duration::from_millis(100));
        Ok(())
    }

    /// A whole reply that says yes.
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

    fn until(&mut self, what: &str, mut is_so: impl FnMut(&mut Stack) -> bool) -> Result<(), Failed> {
        for _ in 0..100_000 {
            self.stack.poll(NOW);
            if is_so(&mut self.stack) {
                return Ok(());
            }
            thread::sleep(Duration::from_micros(100));
        }
        Err(self.counted.board.fails(&format!("{what} does not come")))
    }
}
