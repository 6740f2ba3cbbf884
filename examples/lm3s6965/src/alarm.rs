//! The timer that ends a sleep: general-purpose timer 0, 32 bits, one shot. Any timer that can interrupt once will do.

use crate::interrupts::{self, Interrupt};
use crate::register::Register;

const RCGC1: Register = Register::at(0x400f_e104);
const CONTROL: Register = Register::at(TIMER + 0x00c);
const CLEAR: Register = Register::at(TIMER + 0x024);
const TIMER: usize = 0x4003_0000;

const ENABLE: u32 = 1;
const TIME_OUT: u32 = 1;

/// Ticks of a microsecond.
const MICRO: u64 = crate::clock::HZ as u64 / 1_000_000;

pub(crate) fn start() {
    const CONFIG: Register = Register::at(TIMER);
    const MODE: Register = Register::at(TIMER + 0x004);
    const MASK: Register = Register::at(TIMER + 0x018);
    const ONE_SHOT: u32 = 1;
    RCGC1.set(1 << 16);
    // The chip wants some cycles before a module with a new clock is touched.
    let _ = RCGC1.read();
    CONTROL.write(0);
    CONFIG.write(0);
    MODE.write(ONE_SHOT);
    MASK.write(TIME_OUT);
    interrupts::enable(Interrupt::Timer);
}

/// Interrupts in so many microseconds, or in 85 seconds if that is sooner.
pub(crate) fn set(micros: u64) {
    const LOAD: Register = Register::at(TIMER + 0x028);
    LOAD.write(u32::try_from(micros.saturating_mul(MICRO)).unwrap_or(u32::MAX));
    CONTROL.write(ENABLE);
}

/// Stops it.
pub(crate) fn clear() {
    CONTROL.write(0);
}

/// Its interrupt: all it does is to end the sleep.
pub(crate) extern "C" fn rang() {
    CLEAR.write(TIME_OUT);
}
