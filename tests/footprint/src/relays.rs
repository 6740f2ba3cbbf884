//! A relay, and what relays need beside their legs: who may use them, and what they read and write in the header of a message.

use smtpd_core::guard::{Guard, Network};
use smtpd_core::handlers::{Head, PureProxy};
use smtpd_core::relay::Relay;
use smtpd_core::wire::{write_address_literal, write_date, write_ip};

use crate::entries::methods_of;

/// With the storage that a device has.
type Proxy = PureProxy<'static>;

pub fn all() {
    entries![
        Proxy::new as (_, _),
        Proxy::received as (_, _),
        Proxy::x_peer as (_),
        Proxy::refuse_when_away as (_),
        Proxy::leg as (_),
        Relay::legs as (&'static mut Proxy),
    ];
    methods_of::<Proxy>();
    entries![
        Guard::from_networks as (_),
        Guard::to_domains as (_),
        Guard::or_to_domains as (_, _),
        Guard::allows as (_, _, _),
        Network::new as (_, _),
        Network::parse as (_),
        Network::contains as (_, _),
    ];
    entries![
        Head::new as (),
        Head::next as (_, _),
        Head::end as (_),
        Head::received as (_),
        Head::has_message_id as (_),
    ];
    entries![write_date as (_, _), write_ip as (_, _), write_address_literal as (_, _)];
}
