//! A client's session: its caller does anything, and its server says anything, cut anywhere.
#![no_main]

#[path = "../../../core/tests/calling/mod.rs"]
mod calling;

use calling::{Act, play};
use libfuzzer_sys::fuzz_target;

// The first octet says which protocol; then each octet is an act, and that of the server has its length and its octets behind it.
fuzz_target!(|octets: &[u8]| {
    let Some((&protocol, mut rest)) = octets.split_first() else { return };
    let mut acts = Vec::new();
    while let Some((&octet, behind)) = rest.split_first() {
        rest = behind;
        let few = usize::from(octet >> 4);
        acts.push(match octet & 15 {
            0 => Act::Hello,
            1 => Act::Mail(["", "SIZE=3", "BODY=8BITMIME SIZE=3", "AUTH=<> SIZE=3"][few % 4]),
            2 => Act::Rcpt,
            3 => Act::Data,
            4 => Act::Text([".", "a\r\n.\r\n", "\n", "\r", "x"][few % 5]),
            5 => Act::EndText,
            6 => Act::EndSession,
            7 => Act::Reset,
            8 => Act::Quit,
            9 => Act::Send(few),
            10 => Act::Send(usize::MAX),
            11 if few == 0 => Act::Restart,
            // A yes, a go on, a no, an end: so that they need not be found letter by letter.
            11 => Act::Hear(SAID[few % SAID.len()].to_vec(), usize::MAX),
            _ => {
                let Some((&length, behind)) = rest.split_first() else { break };
                let (said, behind) = behind.split_at(behind.len().min(usize::from(length)));
                rest = behind;
                Act::Hear(said.to_vec(), few + 1)
            }
        });
    }
    play(&acts, protocol & 1 == 1);
});

const SAID: [&[u8]; 8] = [
    b"250 OK\r\n",
    b"354 go on\r\n",
    b"250-a\r\n250-8BITMIME\r\n250 PIPELINING\r\n",
    b"550 no\r\n",
    b"502 what\r\n",
    b"221 bye\r\n",
    b"421 bye\r\n",
    b"220 hi\r\n",
];
