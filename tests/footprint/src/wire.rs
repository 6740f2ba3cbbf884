//! Octets and grammar of the server's side.

use smtpd_core::wire::{
    Decoder, ForwardPath, Mailbox, Param, Params, ParamsIter, PlainLocalPart, Reply, ReversePath, is_address_literal,
    is_domain, is_hello_name, number, split,
};

pub fn all() {
    entries![split as (_), Decoder::new as (), Decoder::next as (_, _, _)];
    entries![
        ReversePath::parse as (_),
        ReversePath::as_octets as (_),
        ForwardPath::parse as (_),
        ForwardPath::as_octets as (_),
        Mailbox::as_octets as (_),
        Mailbox::local_part as (_),
        Mailbox::domain as (_),
        Mailbox::plain_local_part as (_),
        PlainLocalPart::next as (_),
        is_domain as (_),
        is_address_literal as (_),
        is_hello_name as (_),
    ];
    entries![
        Params::parse as (_),
        Params::iter as (_),
        Params::as_octets as (_),
        Params::is_empty as (_),
        ParamsIter::next as (_),
        Param::is as (_, _),
        number as (_),
    ];
    entries![
        Reply::new as (_, _),
        Reply::from_octets as (_, _),
        Reply::enhanced as (_, _, _),
        Reply::code as (_),
        Reply::text as (_),
        Reply::is_positive as (_),
        Reply::is_valid as (_),
        Reply::write as (_, _, _),
    ];
    #[cfg(feature = "full")]
    entries![Reply::enhanced_code as (_)];
}
