//! One value with several owners: across threads with std, within one without.

#[cfg(feature = "std")]
mod owner {
    use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
    use std::time::Duration;

    /// A value with several owners.
    #[derive(Debug, Default)]
    pub(crate) struct Shared<T>(Arc<(Mutex<T>, Condvar)>);

    impl<T> Shared<T> {
        pub(crate) fn new(value: T) -> Self {
            Self(Arc::new((Mutex::new(value), Condvar::new())))
        }

        /// Does something with the value, and with no other `Shared` meanwhile.
        pub(crate) fn with<R>(&self, with: impl FnOnce(&mut T) -> R) -> R {
            with(&mut self.lock())
        }

        /// Tells whoever waits that the value has changed: a system call, so not done by `with`.
        pub(crate) fn notify(&self) {
            self.0.1.notify_all();
        }

        /// Waits as long as `is_waiting`, at most for `time`; false: it still is.
        pub(crate) fn wait_while(&self, time: Duration, is_waiting: impl Fn(&T) -> bool) -> bool {
            let waited = self.0.1.wait_timeout_while(self.lock(), time, |value| is_waiting(value));
            !is_waiting(&waited.unwrap_or_else(PoisonError::into_inner).0)
        }

        fn lock(&self) -> MutexGuard<'_, T> {
            self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
        }
    }

    impl<T> Clone for Shared<T> {
        fn clone(&self) -> Self {
            Self(Arc::clone(&self.0))
        }
    }
}

#[cfg(not(feature = "std"))]
mod owner {
    use alloc::rc::Rc;
    use core::cell::RefCell;

    /// A value with several owners.
    #[derive(Debug, Default)]
    pub(crate) struct Shared<T>(Rc<RefCell<T>>);

    impl<T> Shared<T> {
        pub(crate) fn new(value: T) -> Self {
            Self(Rc::new(RefCell::new(value)))
        }

        /// Does something with the value, and with no other `Shared` meanwhile.
        pub(crate) fn with<R>(&self, with: impl FnOnce(&mut T) -> R) -> R {
            with(&mut self.0.borrow_mut())
        }

        /// Nobody waits within one thread.
        pub(crate) fn notify(&self) {}
    }

    impl<T> Clone for Shared<T> {
        fn clone(&self) -> Self {
            Self(Rc::clone(&self.0))
        }
    }
}

pub(crate) use owner::Shared;

/// A value that nobody changes, with several owners: `Arc` with std, `Rc` without.
#[cfg(feature = "std")]
pub type Owned<T> = std::sync::Arc<T>;
/// A value that nobody changes, with several owners: `Arc` with std, `Rc` without.
#[cfg(not(feature = "std"))]
pub type Owned<T> = alloc::rc::Rc<T>;
