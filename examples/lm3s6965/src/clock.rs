//! The time, and how to sleep.
//!
//! SysTick, which every Cortex-M has, runs freely: nothing ever sets it anew, so time does not drift against the crystal.
//! It interrupts when it starts over, three times a second, and counts that; whoever sleeps is woken by [`alarm`] in
//! between. On another board only the clock's rate and how it is set up differ.

use core::sync::atomic::{AtomicU32, Ordering};

use cortex_m::asm;
use cortex_m::interrupt;
use cortex_m::peripheral::{SCB, SYST};
use cortex_m_rt::exception;
use smoltcp::time::Instant;

use crate::alarm;
use crate::register::Register;

/// Ticks per second: of the CPU, and so of SysTick.
pub const HZ: u32 = 50_000_000;

/// Ticks until SysTick starts over: whole milliseconds, and nearly all of its 24 bits (0.336 s).
const PERIOD: u32 = 320 * (HZ / 1_000);
const MICROS_OF_PERIOD: u64 = 320_000;
const TICKS_OF_MICRO: u32 = HZ / 1_000_000;

/// How often SysTick started over; enough for 43 years.
static PERIODS: AtomicU32 = AtomicU32::new(0);

/// Sets the CPU's clock, and starts the time. Once, before anything else here.
pub fn start() {
    set_50_mhz();
    interrupt::free(|_| {
        // SAFETY: nobody else has SysTick; firmware calls this once, before its interrupt is on.
        let systick = unsafe { &*SYST::PTR };
        const ENABLE_WITH_INTERRUPT_OF_CPU_CLOCK: u32 = 7;
        // SAFETY: a period within its 24 bits, and its switches; neither touches memory.
        unsafe {
            systick.rvr.write(PERIOD - 1);
            systick.cvr.write(0);
            systick.csr.write(ENABLE_WITH_INTERRUPT_OF_CPU_CLOCK);
        }
        // It stands at 0, as at the end of a period, until its first tick, for which QEMU may take milliseconds.
        for _ in 0..1_000_000 {
            if SYST::get_current() != 0 {
                break;
            }
        }
        SCB::clear_pendst();
    });
    alarm::start();
}

/// The CPU's ticks since the start.
#[must_use]
pub fn ticks() -> u64 {
    let (periods, ticks) = elapsed();
    u64::from(periods) * u64::from(PERIOD) + u64::from(ticks)
}

/// Microseconds since the start.
#[must_use]
pub fn micros() -> u64 {
    let (periods, ticks) = elapsed();
    // Two parts, because a division of 64 bits costs a kilobyte.
    u64::from(periods) * MICROS_OF_PERIOD + u64::from(ticks / TICKS_OF_MICRO)
}

/// The time since the start, as smoltcp has it.
#[must_use]
pub fn now() -> Instant {
    Instant::from_micros(micros() as i64)
}

/// Sleeps until then, or until an interrupt; for ever, without a time. Comes back at once if the time is over, or if
/// `is_idle` says that there is something to do.
///
/// `is_idle` is asked while interrupts wait: one that comes after the question still ends the sleep. Comes back without
/// reason too (three times a second for SysTick), so call it in a loop.
pub fn sleep(until: Option<Instant>, is_idle: impl FnOnce() -> bool) {
    interrupt::free(|_| {
        let is_ahead = match until.map(|until| until - now()) {
            None => true,
            Some(left) if left.total_micros() == 0 => false,
            Some(left) => {
                alarm::set(left.total_micros());
                true
            }
        };
        if is_ahead && is_idle() {
            asm::dsb();
            // Wakes for interrupts that wait, too; they are served when this closure is left.
            asm::wfi();
        }
        alarm::clear();
    });
}

/// How often SysTick started over, and its ticks since.
fn elapsed() -> (u32, u32) {
    interrupt::free(|_| {
        let mut count = SYST::get_current();
        let mut periods = PERIODS.load(Ordering::Relaxed);
        // It started over and its interrupt has to wait: whether before or after the count was read is unknown, so
        // the count is read again.
        if SCB::is_pendst_pending() {
            count = SYST::get_current();
            periods = periods.wrapping_add(1);
        }
        // 0 is the last tick of a period: where a new one has begun, the count read again is past it.
        (periods, PERIOD - count.max(1))
    })
}

#[exception]
fn SysTick() {
    PERIODS.fetch_add(1, Ordering::Relaxed);
}

const RIS: Register = Register::at(0x400f_e050);
const RCC: Register = Register::at(0x400f_e060);

/// 50 MHz from the crystal of 8 MHz by the PLL, as the data sheet tells it (System Control, Initialization and
/// Configuration).
fn set_50_mhz() {
    const BYPASS: u32 = 1 << 11;
    const POWER_DOWN: u32 = 1 << 13;
    const USE_DIVISOR: u32 = 1 << 22;
    const DIVISOR_4: u32 = 3 << 23;
    const CRYSTAL_8_MHZ: u32 = 0xe << 6;
    const FIELDS: u32 = 0xf << 23 | USE_DIVISOR | POWER_DOWN | 0xf << 6 | 3 << 4;
    const PLL_IS_LOCKED: u32 = 1 << 6;

    let other = RCC.read() & !FIELDS;
    RCC.write(other & !USE_DIVISOR | BYPASS | POWER_DOWN);
    // Main oscillator, PLL on.
    RCC.write(other | BYPASS | CRYSTAL_8_MHZ | DIVISOR_4 | USE_DIVISOR);
    // 0.5 ms as a rule. Without a crystal it never comes: better a wrong time than none.
    for _ in 0..100_000 {
        if RIS.read() & PLL_IS_LOCKED != 0 {
            break;
        }
    }
    RCC.write(other & !BYPASS | CRYSTAL_8_MHZ | DIVISOR_4 | USE_DIVISOR);
}
