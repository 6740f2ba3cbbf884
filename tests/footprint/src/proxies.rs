//! The proxies: relays whose handlers, legs and adapters are all known, but not what they ask.

use smtpd_core::handlers::{Deliveries, Lists, MailmanProxy, PureProxy};
use smtpd_core::relay::Relay;

use crate::handlers::methods_of;

type Pure = PureProxy<'static>;
type Mailman = MailmanProxy<'static, &'static mut dyn Lists, &'static mut dyn Deliveries>;

pub fn all() {
    entries![
        Pure::new as (_, _),
        Pure::received as (_, _),
        Pure::x_peer as (_),
        Pure::refuse_when_away as (_),
        Pure::leg as (_),
        Pure::legs as (_),
    ];
    entries![Mailman::new as (_, _, _, _, _), Mailman::received as (_, _), Mailman::legs as (_)];
    methods_of::<Pure>();
    methods_of::<Mailman>();
}
