//! Registers at fixed addresses: the one place that reads and writes them.

/// A register of 32 bits. The addresses are the data sheet's, and name nothing that Rust owns.
pub(crate) struct Register(usize);

impl Register {
    pub(crate) const fn at(address: usize) -> Self {
        Self(address)
    }

    pub(crate) fn read(&self) -> u32 {
        // SAFETY: a register of the chip, aligned, not memory of ours.
        unsafe { core::ptr::read_volatile(self.0 as *const u32) }
    }

    pub(crate) fn write(&self, value: u32) {
        // SAFETY: as above; none of the registers used here lets the chip write to memory.
        unsafe { core::ptr::write_volatile(self.0 as *mut u32, value) }
    }

    pub(crate) fn set(&self, bits: u32) {
        self.write(self.read() | bits);
    }
}
