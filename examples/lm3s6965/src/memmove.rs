//! A memmove of few octets, where compiler_builtins has one of 1.6 KiB that is made for speed. All that ever calls it here is
//! smoltcp's table of neighbours, for one entry, when it is full.

/// The runtime's memmove for places at multiples of 8 (Run-time ABI for the Arm Architecture, §5.3.4).
///
/// # Safety
/// `octets` octets can be read and written there.
// SAFETY: the runtime's own is weak: it gives way to another one of its name.
#[unsafe(no_mangle)]
unsafe extern "C" fn __aeabi_memmove8(to: *mut u8, from: *const u8, octets: usize) {
    let copy = |at: usize| {
        // SAFETY: within what the caller says. Volatile, or the compiler makes a call of memmove of this.
        unsafe { to.add(at).write_volatile(from.add(at).read_volatile()) }
    };
    // The end first, where the beginning would overwrite what is still to be read.
    if to.addr() <= from.addr() { (0..octets).for_each(copy) } else { (0..octets).rev().for_each(copy) }
}
