//! The interrupts of this chip that are used, and their table. On another one your PAC brings both.

use cortex_m::interrupt::InterruptNumber;
use cortex_m::peripheral::NVIC;

#[cfg(feature = "alert")]
use crate::serial;
use crate::{alarm, mac};

/// The interrupts that are used, by the numbers of the data sheet.
#[derive(Clone, Copy)]
pub(crate) enum Interrupt {
    #[cfg(feature = "alert")]
    Serial = 5,
    Timer = 19,
    Ethernet = 42,
}

// SAFETY: each has a number of its own, below those that the chip has.
unsafe impl InterruptNumber for Interrupt {
    fn number(self) -> u16 {
        self as u16
    }
}

pub(crate) fn enable(interrupt: Interrupt) {
    // SAFETY: the handlers here need no critical section that this could break.
    unsafe { NVIC::unmask(interrupt) };
}

unsafe extern "C" {
    /// What came without being asked for: see [`crate::fault`].
    fn DefaultHandler();
}

type Vector = unsafe extern "C" fn();

/// As far as it is used; with all that the core has, it would be 788 octets longer.
// SAFETY: the linker script puts it behind the exceptions' vectors, by this name.
#[unsafe(link_section = ".vector_table.interrupts")]
#[unsafe(no_mangle)]
static __INTERRUPTS: [Vector; 43] = {
    let mut table: [Vector; 43] = [DefaultHandler; 43];
    #[cfg(feature = "alert")]
    {
        table[Interrupt::Serial as usize] = serial::received;
    }
    table[Interrupt::Timer as usize] = alarm::rang;
    table[Interrupt::Ethernet as usize] = mac::received;
    table
};
