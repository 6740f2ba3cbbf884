//! Numbers that look random and are the same in every run.

/// SplitMix64: whatever its seed, what it gives looks random.
pub(crate) struct Random(u64);

impl Random {
    /// One of its own for each `number`, so that a mail does not depend on those before it.
    pub(crate) fn new(seed: u64, number: usize) -> Self {
        let mut random = Self(seed ^ (number as u64) << 32);
        Self(random.next())
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    /// From 0 to `end`, without it.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    /// True once in `times`.
    pub(crate) fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    /// From `least` to `most`, each order of magnitude above `least` as often as each other.
    pub(crate) fn log_uniform(&mut self, least: usize, most: usize) -> usize {
        let share = (self.next() >> 11) as f64 / (1_u64 << 53) as f64;
        let magnitudes = ((most - least + 2) as f64).ln();
        least + ((share * magnitudes).exp() as usize).clamp(1, most - least + 1) - 1
    }
}
