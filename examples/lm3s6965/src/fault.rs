//! What happens when something is wrong in the firmware itself: it says where, and starts anew. In QEMU it ends, with a
//! status that says what it was.

use core::panic::{Location, PanicInfo};
use core::sync::atomic::{AtomicBool, Ordering};

use cortex_m::asm;
use cortex_m_rt::exception;

use crate::console;

/// QEMU's exit status after a panic.
pub const PANIC: u8 = 101;
/// After a fault of the CPU; the stack was too small, as a rule.
pub const HARD_FAULT: u8 = 102;
/// After an interrupt that nobody switched on.
pub const UNEXPECTED: u8 = 103;

/// Says where, not what: a formatted message costs 6 KiB of flash.
// Inlined where panics begin, so that nobody reads the message, and core::fmt is not linked: 3 KiB less. The compiler says
// that it ignores this here, but does it.
#[expect(unused_attributes, reason = "see above")]
#[inline(always)]
#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    panicked(info.location())
}

#[inline(never)]
fn panicked(place: Option<&Location<'_>>) -> ! {
    static IS_SECOND: AtomicBool = AtomicBool::new(false);
    // The logger itself may be what panics.
    if !IS_SECOND.swap(true, Ordering::Relaxed)
        && let Some(place) = place
    {
        defmt::error!("panic at {=str}:{=u32}", place.file(), place.line());
    }
    console::exit(PANIC);
}

/// The stack may be what is broken, so it begins anew at its start, and nothing is logged.
// SAFETY: it never returns to what was interrupted.
#[exception(trampoline = false)]
unsafe fn HardFault() -> ! {
    // SAFETY: the start of the stack, and a function that neither takes anything nor returns to what this throws away.
    unsafe { asm::bootstrap(&raw const _stack_start, faulted as extern "C" fn() -> ! as *const u32) }
}

extern "C" fn faulted() -> ! {
    console::exit(HARD_FAULT);
}

#[exception]
unsafe fn DefaultHandler(_: i16) -> ! {
    console::exit(UNEXPECTED);
}

unsafe extern "C" {
    static _stack_start: u32;
}
