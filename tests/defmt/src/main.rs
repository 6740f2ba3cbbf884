//! Firmware for QEMU's lm3s6965evb: plays a dialogue in memory, then prints the public types of smtpd-core and of the
//! adapters of devices with defmt, over semihosting. Its exit status is 0 if the dialogue went as it should.
#![no_std]
#![no_main]

mod dialogue;
#[cfg(feature = "printed")]
mod idle;
#[cfg(feature = "printed")]
mod types;

use core::panic::PanicInfo;

// For their critical section and their logger.
use cortex_m as _;
use defmt_semihosting as _;
use semihosting::process::exit;

#[cortex_m_rt::entry]
fn main() -> ! {
    let is_right = dialogue::play();
    #[cfg(feature = "printed")]
    types::print();
    #[cfg(feature = "planted")]
    defmt::info!("{=[u8]:a}", &b"c2VjcmV0"[..]);
    exit(i32::from(!is_right))
}

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    exit(101)
}
