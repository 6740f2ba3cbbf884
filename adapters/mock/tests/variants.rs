//! What is tried with a script, and how small a failure gets.

use smtpd_core::handlers::Sink;
use smtpd_mock::{Bounds, Script, Side, explore};

fn script(text: &str) -> Script {
    Script::parse("a.txt", text).unwrap()
}

/// All that is tried, as text.
fn tried(text: &str, side: Side, cuts: bool, ends: bool, damage: bool) -> Vec<String> {
    let mut bounds = Bounds::default();
    (bounds.cuts, bounds.ends, bounds.damage) = (cuts, ends, damage);
    let mut tried = Vec::new();
    let runs = explore(&script(text), side, bounds, |script| {
        tried.push(script.to_string());
        Ok(())
    });
    assert_eq!(runs.unwrap() as usize, tried.len());
    tried
}

const TINY: &str = "S: 2\nC: a\nH: helo a\nS: 3\nH: closed Lost\n";

#[test]
fn reads_and_cuts_in_both_modes() {
    let of = |text: &str, side| -> Vec<String> {
        let first = |tried: String| tried.split(['S', 'C']).next().unwrap_or("").replace("@ ", "").replace('\n', " ");
        tried(text, side, true, false, false).into_iter().map(first).collect()
    };
    let once = ["", "reads 1 ", "reads 2 ", "reads 3 ", "reads 7 ", "reads 64 ", "cut 1 ", "cut 2 "].map(String::from);
    let pipelined = once.clone().map(|reads| reads + "pipelined ");
    assert_eq!(of(TINY, Side::Client), [once.clone(), pipelined].concat());
    // A server has one way to speak, and so has a client that waits for any lines.
    assert_eq!(of(TINY, Side::Server)[..6], once[..6]);
    assert_eq!(of(TINY, Side::Server).len(), 6 + 5);
    assert_eq!(of(&TINY.replace("S: 3", "S: {...}"), Side::Client), once);
}

#[test]
fn an_end_at_every_octet() {
    let all = tried(TINY, Side::Client, false, true, false);
    let ends: Vec<&str> = all[12..].iter().map(String::as_str).collect();
    let mut expected = Vec::new();
    for said in [
        "", "B: a\n", r"B: a\r
", "C: a\n",
    ] {
        for end in ["!drop\n", "!reset\n", "!stall\nS: {...}\n"] {
            expected.push(format!("S: 2\n{said}{end}H: helo a\n"));
        }
    }
    assert_eq!(ends, expected);
    // Of the server, behind what was heard before.
    let all = tried(TINY, Side::Server, false, true, false);
    assert_eq!(all[6 + 3 * 3], "S: 2\nC: a\nH: helo a\n!drop\n");
    assert_eq!(all[6 + 3 * 6], "S: 2\n!drop\nH: helo a\n");
    assert_eq!(
        all[6 + 3 * 5],
        r"S: 2
C: a
H: helo a
SB: 3\r
!drop
"
    );
}

#[test]
fn every_octet_damaged() {
    let all = tried(TINY, Side::Client, false, false, true);
    let said: Vec<&str> = all[12..].iter().map(|text| text.lines().nth(1).unwrap()).collect();
    let expected = [
        [r"B: \r\n", r"B: aa\r\n", r"B: \r\r\n", r"B: \n\r\n", r"B: .\r\n", r"B: \x00\r\n", r"B: \xff\r\n"],
        [r"B: a\n", r"B: a\r\r\n", r"B: a\r\n", r"B: a\n\n", r"B: a.\n", r"B: a\x00\n", r"B: a\xff\n"],
        [r"B: a\r", r"B: a\r\n\n", r"B: a\r\r", r"B: a\r\n", r"B: a\r.", r"B: a\r\x00", r"B: a\r\xff"],
    ];
    assert_eq!(said, expected.concat());
    // Behind it, nothing is asked for.
    assert_eq!(all[12], "S: 2\nB: \\r\\n\nS: {...}\n!drop\nH: {...}\n");
    let longer = tried("S: 2\nC: a\nH: reset\nS: 3\nC: b\nS: 4\n", Side::Client, false, false, true);
    assert_eq!(longer[12], "S: 2\nB: \\r\\n\nS: {...}\nC: b\nS: {...}\n!drop\nH: {...}\n");
    assert_eq!(longer[12 + 21], "S: 2\nC: a\nH: reset\nS: 3\nB: \\r\\n\nS: {...}\n!drop\nH: {...}\n");
}

#[test]
fn what_is_made_smaller_stays_the_same_failure() {
    let text =
        "S: 220 {*}\nC: HELO me\nS: 250 {*}\nC: NOOP\nS: 250 {*}\nC: VRFY bob\nS: 252 {*}\nC: QUIT\nS: 221 {*}\n";
    let found = explore(&script(text), Side::Client, Bounds::default(), |script| {
        let heard = script.play(&mut Sink)?.heard;
        assert!(!heard.iter().any(|call| call.starts_with("verify")), "{} calls, one of them verify", heard.len());
        assert!(heard.len() > 2, "nothing was asked");
        Ok(())
    });
    let found = found.unwrap_err();
    assert!(found.failure.to_string().starts_with("3 calls, one of them verify"), "{found}");
    assert!(found.script.to_string().contains("VRFY"), "{found}");
}

#[test]
fn an_answer_is_not_always_waited_for() {
    let script = script("S: 220 x\nC: NOOP\nS: 250 x\nC: QUIT\nS: 221 x\n");
    for (side, said) in [(Side::Client, "C: NOOP\n"), (Side::Server, "S: 250 x\n")] {
        for end in ["!drop\n", "!reset\n", "!stall\n"] {
            let mut is_tried = false;
            let explored = explore(&script, side, Bounds::default(), |script| {
                is_tried |= script.to_string().contains(&format!("{said}{end}"));
                Ok(())
            });
            assert!(explored.is_ok() && is_tried, "{side:?}, {end}");
        }
    }
}

#[test]
fn a_small_case_has_the_lines_of_its_text() {
    let text = "S: 220 {*}\nC: HELO me\nS: 250 {*}\n\n\n\n# The second reply is wrong.\nC: NOOP\nS: 251 {*}\nC: QUIT\nS: 221 {*}\n";
    let found =
        explore(&script(text), Side::Client, Bounds::default(), |script| Ok(script.play(&mut Sink).map(drop)?));
    let found = found.unwrap_err();
    let line = 1 + found.script.to_string().lines().position(|line| line == "S: 251 {*}").unwrap();
    assert!(found.failure.to_string().starts_with(&format!("a.txt:{line} ")), "{found}");
}
