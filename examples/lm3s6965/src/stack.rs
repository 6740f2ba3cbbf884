//! How much of the stack was used: cortex-m-rt painted it before anything ran.

use cortex_m_rt::STACK_PAINT_VALUE;

unsafe extern "C" {
    // Symbols of memory.x; only their addresses are looked at.
    static _stack_start: u32;
    static _stack_end: u32;
}

/// Octets of the stack that were used so far, at most.
#[must_use]
pub fn used() -> usize {
    let start = &raw const _stack_start;
    let mut place = &raw const _stack_end;
    while place < start {
        // SAFETY: aligned and inside the stack, by the linker script; volatile, since nothing of Rust's is known there.
        if unsafe { place.read_volatile() } != STACK_PAINT_VALUE {
            break;
        }
        place = place.wrapping_add(1);
    }
    start.addr() - place.addr()
}
