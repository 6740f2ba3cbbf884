//! Functions given away: whoever gets one may call it with anything.

/// Gives functions away. Those of a type need the types of their arguments only where they have a choice.
macro_rules! entries {
    ($($function:path as ($($argument:ty),*)),* $(,)?) => {{
        // No part of core, so in a section that is not counted.
        #[unsafe(link_section = ".harness.tables")]
        static TABLE: crate::entries::Table<{ [$(stringify!($function)),*].len() }> =
            crate::entries::Table([$($function as fn($($argument),*) -> _ as *const ()),*]);
        core::hint::black_box(&TABLE)
    }};
}

/// Addresses of functions.
pub struct Table<const N: usize>(pub [*const (); N]);

// SAFETY: nothing is behind these pointers but code.
unsafe impl<const N: usize> Sync for Table<N> {}

/// Gives away all that `H` does as a handler.
#[cfg(feature = "relay")]
pub fn methods_of<H: smtpd_core::server::Handler>() {
    use core::hint::black_box;
    black_box(black_box(core::ptr::null_mut::<H>()) as *mut dyn smtpd_core::server::Handler);
}
