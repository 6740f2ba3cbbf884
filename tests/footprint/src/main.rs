//! Links smtpd-core and the adapters of devices, so that they can be measured and that panics can be looked for. Never run.
//!
//! What the server costs is measured by [`calls`]: firmware that calls every public entry. That nothing can panic is
//! proved by tables instead: no function is called, each is given away by [`entries`] to callers of whom the compiler
//! knows nothing, so it has to be there whole, for any argument, even where it is inlined as well. The server's handler
//! is a `dyn Handler` then, so just as unknown. The client, the relay and the handlers are in tables always.
#![no_std]
#![no_main]

#[cfg(any(feature = "tables", feature = "relay"))]
#[macro_use]
mod entries;

#[cfg(all(feature = "minimal", not(feature = "tables")))]
mod calls;
#[cfg(feature = "relay")]
mod clients;
#[cfg(feature = "drivers")]
mod drivers;
#[cfg(feature = "everything")]
mod handlers;
#[cfg(feature = "everything")]
mod proxies;
#[cfg(feature = "relay")]
mod relays;
#[cfg(feature = "tables")]
mod server;
#[cfg(any(feature = "drivers", all(feature = "minimal", not(feature = "tables"))))]
mod small;
#[cfg(feature = "everything")]
mod spool;
#[cfg(feature = "stack")]
mod stack;
#[cfg(feature = "tables")]
mod wire;

use core::hint::black_box;
use core::panic::PanicInfo;

/// Where the linker starts.
// SAFETY: nothing else in this binary has the name, and code may lie in any section.
#[unsafe(no_mangle)]
#[unsafe(link_section = ".harness.start")]
extern "C" fn _start() -> ! {
    #[cfg(feature = "planted")]
    black_box(planted as fn(&[u8], usize) -> u8);
    #[cfg(all(feature = "minimal", not(feature = "tables")))]
    calls::all();
    #[cfg(feature = "least")]
    drivers::least::all();
    #[cfg(all(feature = "io", any(not(feature = "io-async"), feature = "tables")))]
    drivers::io::all();
    #[cfg(feature = "io-async")]
    drivers::io_async::all();
    #[cfg(feature = "nal")]
    drivers::nal::all();
    #[cfg(feature = "stack")]
    stack::all();
    #[cfg(feature = "tables")]
    {
        wire::all();
        server::all();
    }
    #[cfg(feature = "relay")]
    {
        clients::all();
        relays::all();
    }
    #[cfg(feature = "everything")]
    {
        handlers::all();
        proxies::all();
        spool::all();
    }
    loop {
        black_box(());
    }
}

/// Panics if there are fewer octets.
#[cfg(feature = "planted")]
fn planted(octets: &[u8], at: usize) -> u8 {
    octets[at]
}

#[cfg(not(any(feature = "no-panic", feature = "located")))]
#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    loop {}
}

#[cfg(feature = "located")]
#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    loop {
        black_box(info.location().map(|place| (place.file(), place.line())));
    }
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
