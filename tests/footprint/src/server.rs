//! The server's session, its order and its settings.

use smtpd_core::server::{Commands, Config, Extensions, Handler, Order, Peer, Watch, step};

/// With the storage that a device has.
type Session = smtpd_core::server::Session<'static>;

pub fn all() {
    entries![
        Session::new as (_, _),
        Session::with as (_, _, _, _),
        Session::poll as (_, _, _),
        Session::answer as (_, _),
        Session::flow as (_, _),
        Session::restrict as (_, _, _),
        Session::offered as (_),
        Session::peer as (_),
        Session::state as (_),
        Session::open as (_),
        Session::takes_more as (_),
        Session::can_answer as (_),
        Session::output as (_),
        Session::sent as (_, _),
        Session::patience as (_),
        Session::end as (_, _),
        Session::ending as (_),
        Session::timers as (_),
        Watch::new as (_),
        Watch::left as (_, &'static Session, _),
        Watch::left_of as (_, _, _),
        Watch::left_for as (_, _, _, _),
        step as (&'static mut Session, _, &'static mut dyn Handler, _),
    ];
    #[cfg(feature = "everything")]
    entries![Config::python_3_11 as (_), Config::python_2_7 as (_)];
    #[cfg(feature = "full")]
    entries![Session::tls_started as (_, _, _)];
    entries![Order::new as (), Order::at as (_, _), Order::state as (_), Order::admit as (_, _, _), Order::open as (_),];
    entries![
        Config::new as (_),
        Commands::without as (_, _),
        Commands::contains as (_, _),
        Extensions::contains as (_, _),
        Extensions::with as (_, _),
        Extensions::without as (_, _),
        Extensions::intersection as (_, _),
        Extensions::is_empty as (_),
        Extensions::from_keyword as (_),
        Peer::new as (_),
    ];
}
