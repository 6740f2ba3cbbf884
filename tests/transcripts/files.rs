//! Where the transcripts lie.

use smtpd_mock::Script;

/// All transcripts, by name.
///
/// # Panics
/// When one can't be read, or has a mistake.
#[must_use]
pub(crate) fn all() -> Vec<Script> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/transcripts");
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .expect("tests/transcripts")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("a name in ASCII"))
        .filter(|name| name.ends_with(".txt"))
        .collect();
    names.sort();
    let read = |name: &String| {
        let text = std::fs::read_to_string(format!("{folder}/{name}")).expect("a text file");
        Script::parse(name, &text).unwrap_or_else(|error| panic!("{error}"))
    };
    names.iter().map(read).collect()
}
