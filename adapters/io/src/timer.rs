//! Time, which embedded-io knows nothing of: the caller's clock.

/// The caller's clock.
///
/// `()` is no clock: nothing ever expires.
///
/// ```
/// use smtpd_io::Timer;
/// struct SysTick;
/// # fn millis() -> u32 { 0 }
/// impl Timer for SysTick {
///     fn now(&self) -> u32 {
///         millis() // what its interrupt counts
///     }
///     fn wait(&self) {
///         // cortex_m::asm::wfi();
///     }
/// }
/// ```
pub trait Timer {
    /// Milliseconds from anywhere: they may wrap, and never go back.
    fn now(&self) -> u32;

    /// Nothing can be done: neither the I/O nor the handler could go on. Comes back when that may have changed, in a
    /// tenth of a second at the latest.
    ///
    /// The default comes back at once, which is right where reads and writes take their time before they say
    /// `TimedOut`, and the handler never answers `Later`; anywhere else the loop would spin, at full power. A device
    /// waits for an interrupt (`wfi`; that of the clock is one), a host sleeps a millisecond.
    fn wait(&self) {}
}

impl Timer for () {
    fn now(&self) -> u32 {
        0
    }
}

/// The caller's clock, where one may await; [`wait`](Timer::wait) is not called there.
///
/// Embassy's is:
/// ```
/// # mod embassy_time {
/// #     pub struct Instant;
/// #     impl Instant { pub fn now() -> Self { Self } pub fn as_millis(&self) -> u64 { 0 } }
/// #     pub struct Timer;
/// #     impl Timer { pub fn after_millis(_: u64) -> core::future::Ready<()> { core::future::ready(()) } }
/// # }
/// struct Embassy;
/// impl smtpd_io::Timer for Embassy {
///     fn now(&self) -> u32 { embassy_time::Instant::now().as_millis() as u32 }
/// }
/// impl smtpd_io::AsyncTimer for Embassy {
///     async fn after(&self, millis: u32) { embassy_time::Timer::after_millis(millis.into()).await }
/// }
/// ```
#[cfg(feature = "async")]
pub trait AsyncTimer: Timer {
    /// Is ready in so many milliseconds.
    fn after(&self, millis: u32) -> impl Future<Output = ()>;
}

#[cfg(feature = "async")]
impl AsyncTimer for () {
    fn after(&self, _: u32) -> impl Future<Output = ()> {
        core::future::pending()
    }
}
