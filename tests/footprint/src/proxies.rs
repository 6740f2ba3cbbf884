//! The proxy that asks others: its lists, and what it remembers.

use smtpd_core::handlers::{Deliveries, Lists, MailmanProxy};
use smtpd_core::relay::Relay;

use crate::entries::methods_of;

type Mailman = MailmanProxy<'static, &'static mut dyn Lists, &'static mut dyn Deliveries>;

pub fn all() {
    entries![Mailman::new as (_, _, _, _, _), Mailman::received as (_, _), Mailman::legs as (_)];
    methods_of::<Mailman>();
}
