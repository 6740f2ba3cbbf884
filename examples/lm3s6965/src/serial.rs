//! Lines that come in over the board's first serial port (115,200 bit/s, 8N1): what a machine says that knows no network.
//! Replaced on another board.

use core::cell::RefCell;

use critical_section::Mutex;
use smtpd_core::heapless::{Deque, Vec};

use crate::interrupts::{self, Interrupt};
use crate::register::Register;

const UART: usize = 0x4000_c000;
const DATA: Register = Register::at(UART);
const FLAGS: Register = Register::at(UART + 0x018);
const CLEAR: Register = Register::at(UART + 0x044);

const IS_EMPTY: u32 = 1 << 4;
/// Octets came: as many as fill a part of the FIFO, or fewer and then none for a while.
const RECEIVED: u32 = 1 << 4 | 1 << 6;

/// Octets of a line that are kept; what is longer is cut.
pub const LINE: usize = 80;

/// What came and was not looked at: two of the longest lines. What does not fit is lost.
static WAITING: Mutex<RefCell<Deque<u8, 256>>> = Mutex::new(RefCell::new(Deque::new()));

/// The port. There is one of it.
#[derive(Debug)]
pub struct Serial {
    line: Vec<u8, LINE>,
}

impl Serial {
    /// Switches it on. Once.
    #[must_use]
    pub fn start() -> Self {
        const RCGC1: Register = Register::at(0x400f_e104);
        const RCGC2: Register = Register::at(0x400f_e108);
        const ALTERNATE: Register = Register::at(0x4000_4420);
        const DIGITAL: Register = Register::at(0x4000_451c);
        const BAUD: Register = Register::at(UART + 0x024);
        const BAUD_FRACTION: Register = Register::at(UART + 0x028);
        const LINE_CONTROL: Register = Register::at(UART + 0x02c);
        const CONTROL: Register = Register::at(UART + 0x030);
        const MASK: Register = Register::at(UART + 0x038);
        const EIGHT_BITS_FIFO: u32 = 3 << 5 | 1 << 4;
        const ENABLE_RECEIVE: u32 = 1 | 1 << 9;

        RCGC1.set(1);
        RCGC2.set(1);
        // The chip wants some cycles before a module with a new clock is touched.
        let _ = RCGC2.read();
        // Its pins are 0 and 1 of port A.
        ALTERNATE.set(3);
        DIGITAL.set(3);
        CONTROL.write(0);
        // 50 MHz / (16 * 115,200) in 64ths.
        BAUD.write(27);
        BAUD_FRACTION.write(8);
        LINE_CONTROL.write(EIGHT_BITS_FIFO);
        CONTROL.write(ENABLE_RECEIVE);
        MASK.write(RECEIVED);
        interrupts::enable(Interrupt::Serial);
        Self { line: Vec::new() }
    }

    /// Whether nothing waits to be looked at; what comes from now on interrupts.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        critical_section::with(|token| WAITING.borrow_ref(token).is_empty())
    }

    /// Gives the next line, if all of it came: without its end and white space there, and with `?` in place of what is not ASCII
    /// or can't be printed. Empty lines are none.
    pub fn line<T>(&mut self, then: impl FnOnce(&[u8]) -> T) -> Option<T> {
        while let Some(octet) = critical_section::with(|token| WAITING.borrow_ref_mut(token).pop_front()) {
            match octet {
                b'\r' | b'\n' if self.line.is_empty() => {}
                b'\r' | b'\n' => {
                    let result = then(self.line.trim_ascii_end());
                    self.line.clear();
                    return Some(result);
                }
                octet => {
                    let is_printable = octet == b' ' || octet.is_ascii_graphic();
                    let _ = self.line.push(if is_printable { octet } else { b'?' });
                }
            }
        }
        None
    }
}

/// Its interrupt: empties the FIFO, which has 16 octets.
pub(crate) extern "C" fn received() {
    CLEAR.write(RECEIVED);
    critical_section::with(|token| {
        let mut waiting = WAITING.borrow_ref_mut(token);
        while FLAGS.read() & IS_EMPTY == 0 {
            let [octet, ..] = DATA.read().to_le_bytes();
            let _ = waiting.push_back(octet);
        }
    });
}
