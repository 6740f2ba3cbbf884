//! The client's session, the codec and the reader that it needs, and a leg of a relay.

use smtpd_core::wire::{Encoder, Reply, ReplyReader};

/// With the storage that a device has.
type Session = smtpd_core::client::Session;
type Leg = smtpd_core::relay::Leg;

pub fn all() {
    entries![
        Session::new as (),
        Session::with as (_, _),
<<<<<<< HEAD
=======
        Session::timers as (_, _),
>>>>>>> gateway
        Session::lmtp as (_),
        Session::restart as (_),
        Session::hello as (_, _),
        Session::mail as (_, _, _),
        Session::rcpt as (_, _, _),
        Session::data as (_),
        Session::text as (_, _),
        Session::room as (_),
        Session::end_text as (_),
        Session::end_session as (_),
        Session::reset as (_),
        Session::quit as (_),
        Session::poll as (_, _),
        Session::reply as (_),
        Session::is_greeted as (_),
        Session::extensions as (_),
        Session::size as (_),
        Session::open as (_),
        Session::is_text as (_),
        Session::can_send as (_),
        Session::output as (_),
        Session::is_sent as (_),
        Session::sent as (_, _),
        Session::is_sent as (_),
        Session::is_greeted as (_),
        Session::patience as (_),
    ];
    entries![
        Leg::new as (_, _),
<<<<<<< HEAD
        Leg::lmtp as (_),
        Leg::name as (_),
        Leg::set_address as (_, _),
=======
        Leg::with as (_, _, _),
        Leg::timers as (_, _),
        Leg::lmtp as (_),
        Leg::set_address as (_, _),
        Leg::address as (_),
        Leg::name as (_),
>>>>>>> gateway
        Leg::open as (_),
        Leg::hello as (_),
        Leg::mail as (_, _, _, _),
        Leg::rcpt as (_, _, _),
        Leg::data as (_),
        Leg::room as (_),
        Leg::text as (_, _),
        Leg::end_text as (_),
        Leg::end_session as (_),
        Leg::reset as (_),
        Leg::close as (_),
        Leg::answer as (_),
<<<<<<< HEAD
        Leg::skip as (_, _),
        Leg::heard as (_),
=======
        Leg::heard as (_),
        Leg::skip as (_, _),
>>>>>>> gateway
        Leg::extensions as (_),
        Leg::backlog as (_),
        Leg::size as (_),
        Leg::is_up as (_),
        Leg::is_gone as (_),
        Leg::can_send as (_),
        Leg::is_idle as (_),
        Leg::is_up as (_),
        Leg::is_gone as (_),
        Leg::need as (_),
        Leg::patience as (_),
        Leg::expire as (_),
        Leg::connected as (_),
        Leg::expire as (_),
        Leg::lost as (_),
        Leg::receive as (_, _),
        Leg::output as (_),
        Leg::sent as (_, _),
    ];
    entries![
        Encoder::new as (),
        Encoder::push as (_, _, _),
        Encoder::end as (_, _),
        Reply::from_line as (_),
        ReplyReader::next as (_, _, _),
        ReplyReader::reply as (_, _),
        ReplyReader::drop_line as (_, _, _),
        ReplyReader::clear as (_),
    ];
}
