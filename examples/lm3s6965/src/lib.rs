//! The board: what SMTP firmware needs of it, and nothing more.
//!
//! | module | what it knows | on another board |
//! |---|---|---|
//! | [`ethernet`] | frames, as smoltcp wants them | your HAL's `Device`, if it has one |
//! | [`mac`] | the Ethernet controller | replaced |
//! | [`clock`] | the time, and how to sleep | 50 MHz and the PLL; the rest is of every Cortex-M |
//! | [`calendar`] | what time it is in the world | a real-time clock, or SNTP: see there |
//! | `serial` | lines of the serial port (feature `alert`) | your UART, or whatever else you wait for |
//! | [`alarm`] | the timer that ends a sleep | any timer that can interrupt once |
//! | [`interrupts`] | their table | your PAC has one |
//! | [`led`] | the lamp | any pin |
//! | [`seed`] | what takes the place of random numbers here | a real source: see there |
//! | [`console`] | text, arguments and exit by semihosting | needs a debugger: left out with the feature `silicon` |
//! | [`mailbox`] | what becomes of a mail | as it is |
//! | [`network`] | the board's addresses, and the loop that serves | your addresses, or DHCP |
//! | [`fault`] | panics and faults | as it is |
//! | [`stack`] | how much of the stack was used | as it is |
//! | `tasks` | what embassy needs of a board (feature `embassy`) | embassy's crate for your chip |
//!
//! Critical sections are those of cortex-m for one core (`critical-section-single-core`); a part with two cores, or one
//! whose radio must not wait, has its own. `memory.x` says what memory there is.
#![no_std]

pub mod alarm;
pub mod calendar;
pub mod clock;
pub mod console;
pub mod ethernet;
pub mod fault;
pub mod interrupts;
pub mod led;
pub mod mac;
pub mod mailbox;
mod memmove;
pub mod network;
mod register;
pub mod seed;
#[cfg(feature = "alert")]
pub mod serial;
pub mod stack;
#[cfg(feature = "embassy")]
pub mod tasks;

// The logger, which nobody calls by its name.
#[cfg(feature = "silicon")]
use defmt_rtt as _;
#[cfg(not(feature = "silicon"))]
use defmt_semihosting as _;

defmt::timestamp!("{=u64:us}", clock::micros());
