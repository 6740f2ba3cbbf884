//! What time it is in the world: for `Date:` and `Received:` fields.
//!
//! **This board has no calendar**: its clock begins at 0 when power comes, and what it was built at says nothing of what is now. The
//! debugger tells the host's time by semihosting. A product has a real-time clock with a battery, or asks a time
//! server (SNTP, RFC 4330) over a UDP socket of the same interface, once at its start and every few hours: neither is
//! here.

/// Seconds since 1970, in UTC; none, where nobody knows.
#[must_use]
pub fn secs() -> Option<u32> {
    #[cfg(not(feature = "silicon"))]
    return semihosting::sys::arm_compat::sys_time().ok().map(|secs| secs as u32);
    #[cfg(feature = "silicon")]
    None
}
