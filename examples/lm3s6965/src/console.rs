//! What a debugger does for the firmware by semihosting: its end, its arguments, text on the host's stderr (stdout is the
//! log's). QEMU is such a debugger. Without one these instructions fault, so with the feature `silicon` a chip starts
//! anew in place of an end, has no arguments, and its text goes nowhere.

use core::fmt;
#[cfg(not(feature = "silicon"))]
use core::mem::MaybeUninit;

/// Ends the firmware with a status, from 0 to 255, that QEMU exits with; a chip starts anew.
pub fn exit(status: u8) -> ! {
    #[cfg(feature = "silicon")]
    {
        let _ = status;
        cortex_m::peripheral::SCB::sys_reset();
    }
    #[cfg(not(feature = "silicon"))]
    semihosting::process::exit(status.into());
}

/// Text for the host's stderr.
pub fn write(octets: &[u8]) {
    #[cfg(not(feature = "silicon"))]
    if let Ok(mut stderr) = semihosting::io::stderr() {
        let _ = semihosting::io::Write::write_all(&mut stderr, octets);
    }
    let _ = octets;
}

/// The number in an argument `name=number`, if the debugger gave one: `-semihosting-config arg=exit-after=3`.
#[must_use]
pub fn argument(name: &str) -> Option<u32> {
    #[cfg(not(feature = "silicon"))]
    {
        let mut line = [MaybeUninit::uninit(); 128];
        let line = semihosting::sys::arm_compat::sys_get_cmdline_uninit(&mut line).ok()?;
        let is_own = |word: &'_ [u8]| word.strip_prefix(name.as_bytes()).is_some_and(|rest| rest.starts_with(b"="));
        let word = line.split(|octet| *octet == b' ').find(|word| is_own(word))?;
        let digits = word.get(name.len() + 1..)?;
        digits.iter().try_fold(0_u32, |number, digit| match digit {
            b'0'..=b'9' => Some(number.wrapping_mul(10).wrapping_add(u32::from(digit - b'0'))),
            _ => None,
        })
    }
    #[cfg(feature = "silicon")]
    {
        let _ = name;
        None
    }
}

/// [`write()`], for what is formatted.
#[derive(Clone, Copy, Debug)]
pub struct Text;

impl fmt::Write for Text {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        write(text.as_bytes());
        Ok(())
    }
}
