//! The spool, and the stores that it keeps messages in.

use core::hint::black_box;

use embedded_storage::nor_flash::{ErrorType, NorFlash, NorFlashErrorKind, ReadNorFlash};
use heapless::Vec;
use smtpd_core::handlers::spool::{Envelope, Error, Flash, Id, Ram, Sender, Spool, Store};

use crate::entries::methods_of;

type Memory = Ram<16, 128>;
type Post = Sender<Vec<u8, 1024>>;
type Chips = Flash<Chip, 8, 2, 256>;

pub fn all() {
    entries![
        Spool::<Memory>::new as (_),
        Spool::<Memory>::kept as (_),
        Id::new as (_, _),
        Id::number as (_),
        Id::place as (_),
        Error::reply as (_),
        Envelope::new as (_),
        Envelope::next as (_, &'static mut dyn Store, _),
        Envelope::offset as (_),
        Post::new as (_, _, _),
        Post::leg as (_),
        Post::left as (_, _),
        Post::poll as (_, &'static mut dyn Store, _),
        Memory::new as (),
        Chips::open as (_),
        Chips::release as (_),
    ];
    methods_of::<Spool<'static, Memory>>();
    methods_of::<Spool<'static, Chips>>();
    store::<Memory>();
    store::<Chips>();
}

/// Gives away all that `S` does as a store.
fn store<S: Store>() {
    black_box(black_box(core::ptr::null_mut::<S>()) as *mut dyn Store);
}

/// A flash that may do anything.
struct Chip;

impl ErrorType for Chip {
    type Error = NorFlashErrorKind;
}

impl ReadNorFlash for Chip {
    const READ_SIZE: usize = 4;

    fn read(&mut self, offset: u32, octets: &mut [u8]) -> Result<(), NorFlashErrorKind> {
        black_box((offset, octets));
        black_box(Ok(()))
    }

    fn capacity(&self) -> usize {
        black_box(0)
    }
}

impl NorFlash for Chip {
    const WRITE_SIZE: usize = 4;
    const ERASE_SIZE: usize = 4096;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), NorFlashErrorKind> {
        black_box((from, to));
        black_box(Ok(()))
    }

    fn write(&mut self, offset: u32, octets: &[u8]) -> Result<(), NorFlashErrorKind> {
        black_box((offset, octets));
        black_box(Ok(()))
    }
}
