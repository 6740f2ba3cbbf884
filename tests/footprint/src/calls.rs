//! The server as firmware has it: one session with a concrete handler, every public entry called with inputs of which
//! the compiler knows nothing, every reply given away. What core is inlined into is code of this file, so all of the
//! file counts.

use core::hint::black_box;
use core::task::Waker;

#[cfg(not(feature = "everything"))]
use heapless::Vec;
use smtpd_core::server::{Answer, Commands, Config, Ending, Extensions, Flow, Order, Peer, Progress, Session, step};
use smtpd_core::wire::{
    Decoder, ForwardPath, Params, Reply, ReversePath, is_address_literal, is_domain, is_hello_name, number, split,
};

use crate::small::Small;

/// README.md's figure: a session of a device, its storage included.
#[cfg(not(feature = "everything"))]
const _: () = assert!(size_of::<Session<'_, Vec<u8, 512>, Vec<u8, 512>>>() <= 1_132);

// Not into `_start`, which isn't counted.
#[inline(never)]
pub fn all() {
    let mut config = Config::new(black_box("mx.example.org"));
    config.extensions = black_box(config.extensions);
    config.commands = black_box(config.commands);
    let config = black_box(&config);
    let mut session = Session::new(config, black_box(Peer::default()));
    serve(&mut session);
    by_hand(&mut session);
    settings(config);
    grammar();
}

#[inline(never)]
fn serve(session: &mut Session<'_>) {
    let mut input: &[u8] = black_box(b"");
    loop {
        match step(session, &mut input, &mut Small, Waker::noop()) {
            Progress::Moved => continue,
            #[cfg(feature = "full")]
            Progress::StartTls => session.tls_started(&mut input, smtpd_core::server::Tls::default()),
            Progress::Closed => return,
            _ => {}
        }
        session.sent(black_box(session.output()).len());
        input = black_box(b"");
    }
}

/// What a driver may call that has no use for `step`.
#[inline(never)]
fn by_hand(session: &mut Session<'_>) {
    let mut input: &[u8] = black_box(b"");
    black_box(&session.poll(&mut input, black_box(0)));
    black_box(session.answer(black_box(Answer::Later)));
    session.flow(black_box(Flow::Continue));
    session.restrict(black_box(Extensions::NONE), black_box(0));
    session.end(black_box(Ending::Stopping));
    black_box(&session.patience());
    black_box((session.offered(), &session.peer(), session.state()));
    black_box((session.open(), session.takes_more(), session.can_answer()));
}

#[inline(never)]
fn settings(config: &Config<'_>) {
    if let Some(Ok(command)) = black_box(None::<&[u8]>).map(split)
        && let Some(verb) = command.0
    {
        let _ = black_box(Order::new().admit(verb, config));
        black_box(Commands::ALL.without(verb));
    }
    black_box(Extensions::from_keyword(black_box(b"")));
}

#[inline(never)]
fn grammar() {
    let octets: &[u8] = black_box(b"");
    if let Ok((Some(verb), argument)) = split(octets) {
        black_box((verb, argument));
    }
    black_box(&ReversePath::parse(octets));
    black_box(&ForwardPath::parse(octets));
    black_box((is_domain(octets), is_address_literal(octets), is_hello_name(octets), number(octets)));
    if let Some(params) = Params::parse(octets) {
        params.iter().for_each(|param| {
            black_box(param.is("SIZE"));
        });
    }
    let mut input = octets;
    black_box(&Decoder::new().next(&mut input, black_box(0)));
    let mut out = heapless::Vec::<u8, 512>::new();
    Reply::from_octets(black_box(250), octets).enhanced(black_box(1), black_box(5)).write(&mut out, black_box(true));
    black_box(&out);
}
