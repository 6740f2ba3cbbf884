//! What TCP takes for its first sequence numbers.

use crate::clock;

/// A number for `smoltcp::iface::Config::random_seed`: **not random**. This board has no source of randomness at all.
///
/// Whoever guesses it can guess sequence numbers, and so speak for a client that he does not see (RFC 6528). In a network
/// that you do not trust, take what your part has instead: its TRNG (`rand_core` of the HAL), the noise of an ADC, the
/// start-up contents of RAM, or a secret in flash with a counter that rises at every boot.
#[must_use]
pub fn seed(address: [u8; 6]) -> u64 {
    // So that two boards, or two boots, at least differ by when they start.
    address.iter().fold(clock::ticks(), |seed, octet| (seed ^ u64::from(*octet)).wrapping_mul(0x0100_0000_01b3))
}
