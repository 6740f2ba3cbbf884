//! The text form of a script.
//!
//! ```text
//! # What it proves, with the clause
//! @ size 10                                    a setting, see below
//! C: MAIL FROM:<a@b.example>                   the client says this line and CRLF
//! B: a\r\n.\r\n                                the client says these octets, escaped; nothing is added
//! S: 250 2.1.0 OK                              the server says this line and CRLF
//! SB: 250-torn                                 the server says these octets, escaped; nothing is added
//! H: mail <a@b.example>                        the handler hears this call, and accepts
//! H: rcpt <no@b.example> => 550 5.1.1 No       ... and answers so
//! H: rcpt <b@b.example> => later               ... says first that it does not know yet; `later*3`, `later 550 No`
//! H?: reset                                    the handler may hear this call
//! @+30s                                        time passes: ms, s, m, h
//! !drop                                        the side that the script plays closes its end
//! !reset                                       ... resets the connection
//! !stall                                       ... says and reads nothing any more
//! !stop                                        the server is told to stop
//! ```
//!
//! What may vary: `{*}` in a line stands for any octets, `{name}` for any octets that are the same wherever the name
//! stands, `S: 250 {...}` for a whole reply with this code, `C: {...}` or `S: {...}` for any number of lines, `H: {...}` for
//! any number of calls. A side that the script
//! plays can say a `{name}` that was heard before. `B` and `SB` hold no placeholders. A client's commands may come in letters
//! of either case (RFC 5321 §2.4).
//!
//! `C*100:` is a hundred of them (a million at most), `{n}` in it their number from 1; so for `B`, `S`, `SB` and `H`.
//!
//! Calls: `connected`, `helo NAME`, `ehlo NAME` (LHLO too), `mail <PATH> PARAMETERS`, `rcpt <PATH> PARAMETERS`, `data`,
//! `text "OCTETS"` (however the text comes in pieces; `text "abc" => 552 No` refuses behind these octets), `message N`,
//! `verify STRING`, `expand STRING`, `reset`, `closed WHY`. Of these, `connected`, `helo`, `ehlo` and `data` may be left
//! out; all others must be there. In a script without any `H`, calls are not compared. A dialogue ends when the other side closes the
//! connection, or with `!drop` or `!reset`; of what stands behind those and behind `!stall`, the handler hears a beginning.
//!
//! Settings: see `settings`.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use smtpd_core::server::{Config, Extensions};

use crate::pattern::Said;
use crate::script::ANY_CALLS;
use crate::{Act, Call, Entry, Mode, Reads, Response, Script, Side, What, unescape};

/// A mistake in a script.
#[derive(Clone, PartialEq, Eq)]
pub struct ParseError {
    /// The file.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// What was expected there.
    pub expected: String,
    /// What stands there.
    pub got: String,
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, expected, got } = self;
        write!(f, "{file}:{line}: expected {expected}\n    {got}")
    }
}

/// As [`Display`](fmt::Display), so that `unwrap` shows it well.
impl fmt::Debug for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl core::error::Error for ParseError {}

impl Script {
    /// Reads a script; `file` is its name in messages.
    ///
    /// # Errors
    /// The first line with a mistake, and what was expected there.
    pub fn parse(file: &str, text: &str) -> Result<Self, ParseError> {
        let mut entries = Vec::new();
        let mut script = Self {
            file: file.into(),
            config: Config::new("mx.example.org"),
            entries: [].into(),
            room: None,
            backlog: 1,
            acts_on: Extensions::OWN.with(Extensions::EIGHTBITMIME),
            mode: Mode::LockStep,
            reads: Reads::Of(usize::MAX),
            limit: Duration::from_secs(3_600),
            not: Vec::new(),
            settings: Vec::new(),
        };
        for (number, text) in text.lines().enumerate() {
            let line = number + 1;
            script.line(line, text, &mut entries).map_err(|expected| ParseError {
                file: file.into(),
                line,
                expected,
                got: text.into(),
            })?;
        }
        script.entries = entries.into();
        Ok(script)
    }

    /// Reads a script from a file.
    ///
    /// # Errors
    /// The file can't be read, or has a mistake.
    #[cfg(feature = "std")]
    pub fn read(path: impl AsRef<std::path::Path>) -> std::io::Result<Self> {
        let name = path.as_ref().display().to_string();
        let text = std::fs::read_to_string(path)
            .map_err(|error| std::io::Error::new(error.kind(), format!("{name}: {error}")))?;
        Self::parse(&name, &text).map_err(|error| std::io::Error::new(std::io::ErrorKind::InvalidData, error))
    }

    fn line(&mut self, line: usize, text: &str, entries: &mut Vec<Entry>) -> Result<(), String> {
        // As in an indented text in code.
        let text = text.trim_start();
        if text.is_empty() || text.starts_with('#') {
            return Ok(());
        }
        if let Some(setting) = text.strip_prefix("@ ") {
            return self.setting(setting);
        }
        if let Some(what) = happening(text)? {
            entries.push(Entry { line, what });
            return Ok(());
        }
        const EXPECTED: &str = "`C: `, `B: `, `S: `, `SB: `, `H: `, `H?: `, `@ setting`, `@+30s`, `!drop`, `!reset`, `!stall`, `!stop` or `#`";
        let (kind, rest) = text.split_once(':').ok_or(EXPECTED)?;
        let rest = rest.strip_prefix(' ').unwrap_or(rest);
        let (kind, count) = match kind.split_once('*') {
            Some((kind, count)) => {
                let count = count.parse().ok().filter(|count| (1..=MOST).contains(count));
                (kind, count.ok_or_else(|| format!("a number from 1 to {MOST} behind `*`"))?)
            }
            None => (kind, 1),
        };
        for turn in 1..=count {
            let rest = if count > 1 { rest.replace("{n}", &turn.to_string()) } else { rest.to_owned() };
            let what = match kind {
                "C" => What::Says(Side::Client, Said::line(&rest)?),
                "B" => What::Says(Side::Client, Said::Octets(unescape(&rest)?)),
                "S" => What::Says(Side::Server, Said::line(&rest)?),
                "SB" => What::Says(Side::Server, Said::Octets(unescape(&rest)?)),
                "H" => What::Hears(call(&rest, false)?),
                "H?" => What::Hears(call(&rest, true)?),
                _ => return Err(EXPECTED.into()),
            };
            let is_over = entries.iter().any(|entry| matches!(entry.what, What::Act(Act::Drop | Act::Reset)));
            if is_over && !matches!(what, What::Hears(_)) {
                return Err("nothing but `H: ` behind `!drop` and `!reset`".into());
            }
            entries.push(Entry { line, what });
        }
        Ok(())
    }
}

/// The most that one line stands for.
const MOST: u32 = 100_000;

/// `@+30s`, `!drop` and the like.
fn happening(text: &str) -> Result<Option<What>, String> {
    if let Some(passes) = text.strip_prefix("@+") {
        return Ok(Some(What::Pass(time(passes).ok_or("a time behind `@+`: 200ms, 30s, 5m, 1h")?)));
    }
    let Some(act) = text.strip_prefix('!') else { return Ok(None) };
    Ok(Some(What::Act(match act {
        "drop" => Act::Drop,
        "reset" => Act::Reset,
        "stall" => Act::Stall,
        "stop" => Act::Stop,
        _ => return Err("`!drop`, `!reset`, `!stall` or `!stop`".into()),
    })))
}

/// `200ms`, `30s`, `5m`, `1h`.
pub(crate) fn time(text: &str) -> Option<Duration> {
    let digits = text.find(|letter: char| !letter.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().ok()?;
    Some(match unit {
        "ms" => Duration::from_millis(number),
        "s" => Duration::from_secs(number),
        "m" => Duration::from_secs(number.checked_mul(60)?),
        "h" => Duration::from_secs(number.checked_mul(3_600)?),
        _ => return None,
    })
}

fn call(text: &str, is_optional: bool) -> Result<Call, String> {
    const CALLS: [&str; 12] =
        ["connected", "helo", "ehlo", "mail", "rcpt", "data", "text", "message", "verify", "expand", "reset", "closed"];
    let word = text.split(' ').next().unwrap_or("");
    if text != ANY_CALLS && !CALLS.contains(&word) {
        return Err(format!("a call: {} or {ANY_CALLS}", CALLS.join(", ")));
    }
    let behind = text.strip_prefix(word).unwrap_or("").trim_start();
    if matches!(word, "mail" | "rcpt") && !behind.starts_with(['<', '*']) {
        return Err(format!("`{word} <PATH>`, or `{word} *`"));
    }
    const ENDINGS: [&str; 8] = ["Quit", "Refused", "Limit", "Lost", "Expired", "Stopping", "Fault", "*"];
    if word == "closed" && !ENDINGS.contains(&behind) {
        return Err(format!("`closed` and one of {}", ENDINGS.join(", ")));
    }
    let (call, octets, answer) = match text.strip_prefix("text \"") {
        Some(quoted) => {
            let end = end_of_quoted(quoted).ok_or("`\"` at the end of the text")?;
            let answer = quoted[end + 1..].strip_prefix(" => ");
            ("text", Some(unescape(&quoted[..end])?), answer)
        }
        None if word == "text" => return Err("octets in `\"` behind `text`".into()),
        None => match text.rsplit_once(" => ") {
            Some((call, answer)) => (call, None, Some(answer)),
            None => (text, None, None),
        },
    };
    let (later, response) = answer.map_or(Ok((0, None)), self::answer)?;
    Ok(Call { call: call.into(), text: octets, is_optional, later, response })
}

fn end_of_quoted(text: &str) -> Option<usize> {
    let mut is_escaped = false;
    text.bytes().position(|octet| {
        let is_end = octet == b'"' && !is_escaped;
        is_escaped = octet == b'\\' && !is_escaped;
        is_end
    })
}

/// `later`, `later*3`, `550 5.1.1 No`, `later 550 No`, `accept`.
fn answer(text: &str) -> Result<(u32, Option<Response>), String> {
    let (first, behind) = text.split_once(' ').unwrap_or((text, ""));
    let (later, reply) = match first.split_once('*').unwrap_or((first, "1")) {
        ("later", count) => (count.parse().map_err(|_| "a number behind `later*`")?, behind),
        _ => (0, text),
    };
    if reply.is_empty() || reply == "accept" {
        return Ok((later, None));
    }
    let (code, mut words) = reply.split_once(' ').unwrap_or((reply, ""));
    let code = code.parse().ok().filter(|code| (100..1_000).contains(code));
    let code: u16 = code.ok_or("`accept`, `later` or a reply's code")?;
    let mut enhanced = None;
    let (word, behind) = words.split_once(' ').unwrap_or((words, ""));
    if let [class, subject, detail] = word.split('.').collect::<Vec<_>>()[..]
        && let (Ok(class), Ok(subject), Ok(detail)) = (class.parse::<u16>(), subject.parse(), detail.parse())
    {
        if class != code / 100 {
            return Err("an enhanced status code of the code's own class".into());
        }
        enhanced = Some((subject, detail));
        words = behind;
    }
    Ok((later, Some(Response { code, enhanced, text: unescape(words)? })))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_are_named() {
        for (text, line, expected) in [
            ("C: a\nQ: b", 2, "`C: `"),
            ("C a", 1, "`C: `"),
            ("C*x: a", 1, "a number"),
            ("C*0: a", 1, "a number"),
            ("C*1000000000: a", 1, "a number"),
            ("C: EHLO {*", 1, "`{*}`"),
            ("!drop\nS: 250 OK", 2, "nothing but"),
            ("H: data => 9", 1, "code"),
            ("H: rcpt a@b", 1, "`rcpt <PATH>`"),
            ("H: closed Foo", 1, "Quit"),
            (r"B: \(9999999999999999999:a)", 1, "256 MiB"),
            ("H: rpct <a>", 1, "a call"),
            ("H: text a", 1, "octets in"),
            ("H: text \"a", 1, "at the end of the text"),
            ("H: rcpt <a@b> => 550 4.1.1 No", 1, "class"),
            ("H: rcpt <a@b> => no", 1, "code"),
            ("!gone", 1, "`!drop`"),
            ("@+5", 1, "a time"),
            ("@+x", 1, "a time"),
            ("@ limit 5", 1, "a time"),
            ("@ timer hello 5", 1, "`command`"),
            ("@ reads 0", 1, "number"),
            ("@ sise 10", 1, "name of a setting"),
            ("@ recipients 70000", 1, "number"),
            ("@ disable NOPE", 1, "a command"),
            ("@ without NOPE", 1, "an extension"),
            ("@ not tcp", 1, "reason"),
            (r"B: \q", 1, "one of"),
        ] {
            let error = Script::parse("file.txt", text).unwrap_err();
            assert_eq!(error.line, line, "{text}");
            assert!(error.to_string().starts_with("file.txt:") && error.expected.contains(expected), "{error}");
            assert_eq!(error.got, text.lines().nth(line - 1).unwrap());
        }
    }

    #[test]
    fn answers() {
        let call = |text| call(text, false).unwrap();
        let no = Response { code: 550, enhanced: Some((1, 1)), text: b"No\nno".to_vec() };
        assert_eq!(call(r"rcpt <a@b> => 550 5.1.1 No\nno").response, Some(no.clone()));
        let later = call(r"rcpt <a@b> => later*3 550 5.1.1 No\nno");
        assert_eq!((later.later, later.response), (3, Some(no)));
        let plain = Response { code: 250, enhanced: None, text: b"to 1.2.3".to_vec() };
        assert_eq!(call("data => 250 to 1.2.3").response, Some(plain));
        let text = call(r#"text "a\" => \\" => 552 No"#);
        assert_eq!((text.text.as_deref(), text.response.map(|reply| reply.code)), (Some(&b"a\" => \\"[..]), Some(552)));
    }
}
