//! The handlers that are ready to use, and the methods that every handler has.

use smtpd_core::handlers::debugging::{print, write_ip};
use smtpd_core::handlers::{Fault, Field, Headers, Message, Recipients, Rule};
use smtpd_core::server::{Answer, Flow, Handler, Peer, Rcpt};

use crate::entries::methods_of;

type ProcessMessage = fn(Peer, &[u8], Recipients<'_>, &[u8]) -> Answer<'static>;
type Small = Message<ProcessMessage, 128, 512, 4096>;
type Faulty = Fault<'static, &'static mut dyn Handler, 2>;

pub fn all() {
    entries![print as (_, _, _), write_ip as (_, _), Small::new as (_), Recipients::next as (_)];
    entries![
        Headers::<64>::new as (),
        Headers::<64>::clear as (_),
        Headers::<64>::text as (_, _, fn(Field<'_>)),
        Headers::<64>::end as (_, fn(Field<'_>)),
    ];
    entries![
        Faulty::new as (_, _),
        Faulty::handler as (_),
        Rule::reply as (_, _),
        Rule::later as (_, _),
        Rule::never as (_),
        Rule::close as (_),
        Rule::nth as (_, _),
        Rule::since as (_, _),
        Rule::address as (_, _),
    ];
    methods_of::<Small>();
    methods_of::<Faulty>();
    methods_of::<Least>();
    methods_of::<&mut dyn Handler>();
}

/// The methods that a handler need not write.
struct Least;

impl Handler for Least {
    fn rcpt(&mut self, _: Rcpt<'_>) -> Answer<'_> {
        Answer::Later
    }

    fn text(&mut self, _: &[u8]) -> Flow<'_> {
        Flow::Continue
    }

    fn message(&mut self, _: u16) -> Answer<'_> {
        Answer::Later
    }
}
