//! A whole session: any octets, cut anywhere, to a handler that accepts, refuses and defers as it likes.
#![no_main]

#[path = "../../../core/tests/common/mod.rs"]
mod common;
#[path = "../../../core/tests/playing/mod.rs"]
mod playing;

use libfuzzer_sys::fuzz_target;
use playing::{
    Manners, STORAGES, Ways, hold_answers, hold_replies_against_input, hold_transactions, line_limit, play,
    without_recipients_of_nobody,
};
use smtpd_core::server::{Config, Dialect};

// The first line says how server, handler and driver are; what follows is what the client sends.
fuzz_target!(|octets: &[u8]| {
    let Some((&[flags, lines, recipients, size, drain, commands, errors, manners @ .., one, two, write], input)) =
        octets.split_first_chunk::<17>()
    else {
        return;
    };
    let [storage, defers, backlog, room, from, code, chance] = manners;
    let storage = usize::from(storage) % STORAGES.len();
    let has = |flag: u8| flags & 1 << flag != 0;

    const HOST: &str = "mx.example.org";
    let mut config = match flags >> 5 {
        2 => Config::python_3_11(HOST),
        3 => Config::python_2_7(HOST),
        _ => Config::new(HOST),
    };
    // Only the RFC's dialect has LMTP.
    (config.lmtp, config.need_hello) = (has(0) && config.dialect == Dialect::Rfc, has(1));
    let limits = &mut config.limits;
    limits.line = [0, 512, 600, 1000][usize::from(lines % 4)];
    limits.recipients = u16::from(recipients % 8);
    limits.size = u32::from(size);
    limits.drain = u32::from(drain);
    limits.commands = u32::from(commands % 64);
    limits.errors = u16::from(errors % 8);
    if has(2) {
        limits.transactions = 2;
    }

    let manners = Manners {
        defers: defers % 4,
        backlog: u16::from(backlog % 6) + 1,
        room: [usize::MAX, 0, 1, 7][usize::from(room % 4)],
        refuses: has(3).then(|| (usize::from(from) + 1, [554, 450, 421, 250][usize::from(code % 4)])),
        // Too long for a reply, or of several lines, now and then.
        text: [&b"said"[..], &[b'x'; 600], b"two\nlines\r\n", b"\x00\x7f\xff"][usize::from(code >> 2) % 4].to_vec(),
        chance: has(4).then_some(chance),
    };
    if manners.refuses.is_some() {
        // A handler refuses the piece that it was given: what is thrown away behind it depends on its length.
        config.limits.drain = 0;
    }

    let whole = Ways { reads: vec![usize::MAX / 2], write: usize::MAX, storage };
    let once = play(&config, input, &whole, manners.notes());
    hold_replies_against_input(input, &once, config.lmtp, line_limit(&config, storage));
    hold_transactions(&manners, &once, config.lmtp);
    let once = without_recipients_of_nobody(&manners, once);
    hold_answers(&manners, &once);

    let reads = vec![usize::from(one) + 1, usize::from(two) + 1];
    let ways = Ways { reads, write: usize::from(write) + 1, storage };
    let cut = play(&config, input, &ways, manners.notes());
    hold_transactions(&manners, &cut, config.lmtp);
    assert_eq!(without_recipients_of_nobody(&manners, cut), once, "a cut matters");
});
