//! Where the transcripts lie.

use std::sync::Arc;

use smtpd_mock::Transcript;

/// All transcripts, by name.
///
/// # Panics
/// When one can't be read, or has a mistake.
#[must_use]
pub(crate) fn all() -> Vec<Arc<Transcript>> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/transcripts");
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .expect("tests/transcripts")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("a name in ASCII"))
        .filter(|name| name.ends_with(".txt"))
        .collect();
    names.sort();
    let read = |name: &String| {
        let text = std::fs::read_to_string(format!("{folder}/{name}")).expect("a text file");
        match Transcript::parse(name, &text) {
            Ok(transcript) => Arc::new(transcript),
            Err(error) => panic!("{error}"),
        }
    };
    names.iter().map(read).collect()
}
