//! Which addresses are a mailing list's, as a proxy asks that parts mail for lists from other mail.

use core::net::SocketAddr;

use crate::wire::Mailbox;

/// Knows the addresses of mailing lists.
///
/// # For who asks
/// 1. Once for each recipient, when it comes: lists appear and go while a server runs, and of two answers for one recipient the
///    second may be another.
/// 2. What is [`Found::Lmtp`] goes there, by LMTP (RFC 2033), the address as the client sent it.
/// 3. What is [`Found::Unknown`] never goes the way of other mail: a server that is asked for a list which it does not know
///    refuses for good what would have been taken a minute later. Its client hears 451.
///
/// # For who writes one
/// - It is asked on the way of every recipient, and others wait meanwhile: it looks into memory, or at little more.
/// - Letter case means nothing in the addresses of lists; nor do quotes: [`Mailbox::plain_local_part`].
/// - An address is a list's with all that belongs to it: `ant-request@` as well as `ant@`.
/// - Where it can't tell, because of a file that it can't read, it says [`Found::Unknown`].
///
/// ```
/// use core::net::SocketAddr;
/// use smtpd_core::handlers::{Found, Lists};
/// use smtpd_core::wire::Mailbox;
/// /// All that is at one domain.
/// struct Domain(&'static str, SocketAddr);
/// impl Lists for Domain {
///     fn find(&mut self, mailbox: Mailbox<'_>) -> Found {
///         if mailbox.domain().eq_ignore_ascii_case(self.0.as_bytes()) { Found::Lmtp(self.1) } else { Found::Nothing }
///     }
/// }
/// ```
pub trait Lists {
    /// Where the mail for this mailbox goes.
    fn find(&mut self, mailbox: Mailbox<'_>) -> Found;
}

/// What [`Lists`] know of an address.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Found {
    /// It is no list's: it goes where other mail goes.
    Nothing,
    /// It is a list's, and is taken there by LMTP.
    Lmtp(SocketAddr),
    /// It is a list's, or may be, and nobody can say now where it is taken.
    Unknown,
}

impl<L: Lists + ?Sized> Lists for &mut L {
    fn find(&mut self, mailbox: Mailbox<'_>) -> Found {
        (**self).find(mailbox)
    }
}
