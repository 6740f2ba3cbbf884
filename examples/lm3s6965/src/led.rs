//! The lamp of the board: pin 0 of port F. Any pin will do.

use crate::mailbox::Actions;
use crate::register::Register;

const PORT: usize = 0x4002_5000;
/// The port's address lines are a mask: this is its pin 0 alone.
const PIN: Register = Register::at(PORT + (1 << 2));

/// The lamp. Dark at first.
#[derive(Debug)]
pub struct Led(());

impl Led {
    /// Makes the pin an output. Once.
    #[must_use]
    pub fn start() -> Self {
        const RCGC2: Register = Register::at(0x400f_e108);
        const PORT_F: u32 = 1 << 5;
        const DIRECTION: Register = Register::at(PORT + 0x400);
        const DIGITAL: Register = Register::at(PORT + 0x51c);
        RCGC2.set(PORT_F);
        // The chip wants some cycles before a module with a new clock is touched.
        let _ = RCGC2.read();
        DIRECTION.set(1);
        DIGITAL.set(1);
        PIN.write(0);
        Self(())
    }

    /// Lights it, or not.
    pub fn set(&mut self, is_on: bool) {
        PIN.write(is_on.into());
    }

    /// Whether it is lit.
    #[must_use]
    pub fn is_on(&self) -> bool {
        PIN.read() & 1 != 0
    }
}

impl Actions for Led {
    fn led(&mut self, is_on: bool) {
        self.set(is_on);
        defmt::info!("led: {=bool}", self.is_on());
    }
}
