//! Octets as text that a person reads: `\r \n \t \\ \" \xNN`, and `\(1000:a)` for repetition.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// The octets, escaped; on one line. Many of the same are counted: `\(1000:a)`.
#[must_use]
pub fn escape(octets: &[u8]) -> String {
    let mut text = String::new();
    for run in octets.chunk_by(|one, other| one == other) {
        let octet = run[..1].escape_ascii().to_string().replace("\\'", "'");
        match run.len() {
            // `)` ends a repetition.
            20.. if octet != ")" => text += &format!("\\({}:{octet})", run.len()),
            _ => text += &octet.repeat(run.len()),
        }
    }
    text
}

/// Octets of a repetition at most: more was not meant.
const MOST: usize = 1 << 28;

/// The octets that escaped text stands for. `\(1000:ab)` is `ab` a thousand times, 256 MiB at most; no `)` inside.
///
/// # Errors
/// What was expected, and where.
pub fn unescape(text: &str) -> Result<Vec<u8>, String> {
    let mut octets = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        octets.extend_from_slice(&rest.as_bytes()[..at]);
        let mut behind = rest[at + 1..].chars();
        match behind.next() {
            Some('r') => octets.push(b'\r'),
            Some('n') => octets.push(b'\n'),
            Some('t') => octets.push(b'\t'),
            Some(same @ ('\\' | '"')) => octets.push(same as u8),
            Some('x') => {
                let digits = behind.as_str().get(..2).ok_or("two hexadecimal digits behind \\x")?;
                octets.push(u8::from_str_radix(digits, 16).map_err(|_| "two hexadecimal digits behind \\x")?);
                behind = behind.as_str()[2..].chars();
            }
            Some('(') => {
                let (inner, after) = behind.as_str().split_once(')').ok_or("`)` at the end of a repetition")?;
                let (count, what) = inner.split_once(':').ok_or("`count:octets` in a repetition")?;
                let count: usize = count.parse().map_err(|_| "a number of repetitions")?;
                let what = unescape(what)?;
                if what.len().checked_mul(count).is_none_or(|len| len > MOST) {
                    return Err("a repetition of at most 256 MiB".into());
                }
                octets.extend(what.repeat(count));
                behind = after.chars();
            }
            _ => return Err(r#"one of \r \n \t \\ \" \xNN \(count:octets)"#.into()),
        }
        rest = behind.as_str();
    }
    octets.extend_from_slice(rest.as_bytes());
    Ok(octets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn octets_and_back() {
        let octets: Vec<u8> = (0..=255).collect();
        assert_eq!(unescape(&escape(&octets)), Ok(octets.clone()));
        let runs: Vec<u8> = octets.iter().flat_map(|octet| [*octet; 20]).collect();
        assert_eq!(unescape(&escape(&runs)), Ok(runs));
        assert_eq!(escape(&[[b'a'; 20], [b'\n'; 20]].concat()), r"\(20:a)\(20:\n)");
        assert_eq!(escape(&[b'a'; 19]), "a".repeat(19));
        assert_eq!(unescape(r"a\(3:.\r\n)b"), Ok(b"a.\r\n.\r\n.\r\nb".to_vec()));
        for wrong in [
            r"\",
            r"\q",
            r"\x4",
            r"\xg0",
            r"\(3)",
            r"\(a:b)",
            r"\(3:b",
            r"\(9999999999999999999:a)",
            r"\(134217729:ab)",
        ] {
            assert!(unescape(wrong).is_err(), "{wrong}");
        }
    }
}
