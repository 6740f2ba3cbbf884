//! The faults, in the order of a session; each is a script.

use std::fs;

use libtest_mimic::Failed;

pub(crate) struct Fault {
    /// The script's.
    pub(crate) name: &'static str,
    /// Who comes to the script's end was told 250 for the message.
    pub(crate) is_accepting: bool,
}

const fn fault(name: &'static str) -> Fault {
    Fault { name, is_accepting: false }
}

pub(crate) static FAULTS: &[Fault] = &[
    fault("no_greeting"),
    fault("554_greeting"),
    fault("garbage_greeting"),
    Fault { is_accepting: true, ..fault("greeting_in_pieces") },
    fault("421_at_greeting"),
    fault("421_at_ehlo"),
    fault("421_at_mail"),
    fault("421_at_rcpt"),
    fault("421_at_data"),
    fault("421_at_the_dot"),
    fault("endless_reply"),
    fault("dripping_reply"),
    fault("354_to_mail"),
    fault("a_reply_too_many"),
    Fault { is_accepting: true, ..fault("two_replies_at_once") },
    fault("250_to_data"),
    fault("early_reply"),
    fault("stall_at_the_dot"),
    fault("reset_at_the_dot"),
    fault("554_and_stall"),
    fault("torn_code"),
    fault("torn_line"),
    fault("torn_between_lines"),
    fault("354_at_the_dot"),
    fault("garbage_at_the_dot"),
];

const FOLDER: &str = "tests/faults/scripts";

/// No script lies there that nobody meets.
pub(crate) fn are_all_scripts() -> Result<(), Failed> {
    for entry in fs::read_dir(FOLDER)? {
        let name = entry?.file_name().into_string().map_err(|name| format!("{name:?}"))?;
        if !FAULTS.iter().any(|fault| name.strip_suffix(".txt") == Some(fault.name)) {
            return Err(format!("{FOLDER}/{name} is none of the faults").into());
        }
    }
    Ok(())
}

impl Fault {
    pub(crate) fn text(&self) -> Result<String, String> {
        let path = format!("{FOLDER}/{}.txt", self.name);
        fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))
    }
}
