//! A cable between two smoltcp stacks: what one sends, the other receives.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::time::Instant;

type Frames = Arc<Mutex<VecDeque<Vec<u8>>>>;

/// One end of a cable.
pub(crate) struct Plug {
    incoming: Frames,
    outgoing: Frames,
}

/// A cable's two ends.
pub(crate) fn cable() -> (Plug, Plug) {
    let (one, other) = (Frames::default(), Frames::default());
    (Plug { incoming: one.clone(), outgoing: other.clone() }, Plug { incoming: other, outgoing: one })
}

impl Device for Plug {
    type RxToken<'a> = Received;
    type TxToken<'a> = Sending;

    fn receive(&mut self, _: Instant) -> Option<(Received, Sending)> {
        let frame = self.incoming.lock().expect("no panic").pop_front()?;
        Some((Received(frame), Sending(self.outgoing.clone())))
    }

    fn transmit(&mut self, _: Instant) -> Option<Sending> {
        Some(Sending(self.outgoing.clone()))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ip;
        capabilities.max_transmission_unit = 576;
        capabilities
    }
}

pub(crate) struct Received(Vec<u8>);

impl RxToken for Received {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(&self.0)
    }
}

pub(crate) struct Sending(Frames);

impl TxToken for Sending {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        let mut frame = vec![0; len];
        let result = f(&mut frame);
        self.0.lock().expect("no panic").push_back(frame);
        result
    }
}
