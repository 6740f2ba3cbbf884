//! Links every public function of smtpd-core, so that it can be measured. Never run.
//!
//! No function is called here: each is given away by [`entries`] instead, to callers of whom the compiler knows nothing.
//! So it has to be there whole, for any argument, and nothing but its address is added to what is measured. The server's
//! handler is a `dyn Handler`, so just as unknown.
#![no_std]
#![no_main]

#[cfg(feature = "minimal")]
#[macro_use]
mod entries;

#[cfg(feature = "everything")]
mod clients;
#[cfg(feature = "everything")]
mod handlers;
#[cfg(feature = "minimal")]
mod server;
#[cfg(feature = "minimal")]
mod wire;

use core::hint::black_box;
use core::panic::PanicInfo;

/// Where the linker starts.
// SAFETY: nothing else in this binary has the name, and code may lie in any section.
#[unsafe(no_mangle)]
#[unsafe(link_section = ".harness.start")]
extern "C" fn _start() -> ! {
    #[cfg(feature = "minimal")]
    {
        wire::all();
        server::all();
    }
    #[cfg(feature = "everything")]
    {
        clients::all();
        handlers::all();
    }
    #[cfg(feature = "planted")]
    entries![planted as (_, _)];
    loop {
        black_box(());
    }
}

/// Panics if there are fewer octets.
#[cfg(feature = "planted")]
fn planted(octets: &[u8], at: usize) -> u8 {
    octets[at]
}

#[cfg(not(feature = "no-panic"))]
#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    loop {}
}

#[cfg(feature = "no-panic")]
#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    unsafe extern "C" {
        fn smtpd_core_can_panic() -> !;
    }
    // SAFETY: there is no such function. If the linker asks for it, something can panic; if not, this is never called.
    unsafe { smtpd_core_can_panic() }
}
