//! The text form of a transcript.
//!
//! ```text
//! # What it proves, with the clause
//! @ size 10                                    a setting, see below
//! C: MAIL FROM:<a@b.example>                   the client sends this line and CRLF
//! B: a\r\n.\r\n                                the client sends these octets, escaped; nothing is added
//! S: 250 2.1.0 OK                              the server says this line and CRLF
//! H: mail <a@b.example>                        the handler hears this call, and accepts
//! H: rcpt <no@b.example> => 550 5.1.1 No       ... and answers so
//! H: rcpt <b@b.example> => later               ... says first that it does not know yet; `later*3`, `later 550 No`
//! H?: reset                                    the handler may hear this call
//! X: lost                                      from outside: lost, expired, stopping
//! ```
//!
//! `C*100:` is a hundred of them, `{n}` in it their number from 1; so for `B`, `S` and `H`.
//!
//! Calls: `connected`, `helo NAME`, `ehlo NAME` (LHLO too), `mail <PATH> PARAMETERS`, `rcpt <PATH> PARAMETERS`, `data`,
//! `text "OCTETS"` (however the text comes in pieces; `text "abc" => 552 No` refuses behind these octets), `message N`,
//! `verify STRING`, `expand STRING`, `reset`, `closed WHY`. Of these, `connected`, `helo`, `ehlo` and `data` may be left
//! out; all others must be there. A transcript ends when the server closes the connection, or with `X: lost`.
//!
//! Settings: those of [`Config`] (`host greeting size drain line recipients commands errors transactions`, `lmtp`,
//! `no_hello_needed`, `disable VERB`, `without EXTENSION`), those of the handler (`room N`, `backlog N`,
//! `acts_on nothing`), and `not DRIVER: reason`.

use core::fmt;

use smtpd_core::server::{Config, Extensions};
use smtpd_core::wire::split;

use crate::{Act, Call, Outside, Response, Transcript, unescape};

/// A mistake in a transcript.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError {
    /// The file.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// What was expected there.
    pub expected: String,
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: expected {}", self.file, self.line, self.expected)
    }
}

impl std::error::Error for ParseError {}

impl Transcript {
    /// Reads a transcript; `file` is its name in messages.
    ///
    /// # Errors
    /// The first line with a mistake, and what was expected there.
    pub fn parse(file: &str, text: &str) -> Result<Self, ParseError> {
        let mut transcript = Self {
            file: file.into(),
            config: Config::new("mx.example.org"),
            acts: Vec::new(),
            calls: Vec::new(),
            room: None,
            backlog: 1,
            acts_on: Extensions::EIGHTBITMIME,
            not: Vec::new(),
        };
        for (number, line) in text.lines().enumerate() {
            let number = number + 1;
            transcript.line(number, line).map_err(|expected| ParseError {
                file: file.into(),
                line: number,
                expected,
            })?;
        }
        Ok(transcript)
    }

    fn line(&mut self, number: usize, line: &str) -> Result<(), String> {
        if line.is_empty() || line.starts_with('#') {
            return Ok(());
        }
        if let Some(setting) = line.strip_prefix("@ ") {
            return self.setting(setting);
        }
        const EXPECTED: &str = "`C: `, `B: `, `S: `, `H: `, `H?: `, `X: `, `@ ` or `#`";
        let (kind, rest) = line.split_once(':').ok_or(EXPECTED)?;
        let rest = rest.strip_prefix(' ').unwrap_or(rest);
        let (kind, count) = match kind.split_once('*') {
            Some((kind, count)) => (kind, count.parse().map_err(|_| "a number behind `*`")?),
            None => (kind, 1),
        };
        for turn in 1..=count {
            let rest = if count > 1 { rest.replace("{n}", &turn.to_string()) } else { rest.into() };
            match kind {
                "C" => self.acts.push((number, Act::Client([rest.as_bytes(), b"\r\n"].concat()))),
                "B" => self.acts.push((number, Act::Client(unescape(&rest)?))),
                "S" => self.acts.push((number, Act::Server([rest.as_bytes(), b"\r\n"].concat()))),
                "H" => self.calls.push(call(number, &rest, false)?),
                "H?" => self.calls.push(call(number, &rest, true)?),
                "X" => self.acts.push((number, Act::Outside(outside(&rest)?))),
                _ => return Err(EXPECTED.into()),
            }
        }
        Ok(())
    }

    fn setting(&mut self, setting: &str) -> Result<(), String> {
        let (name, value) = setting.split_once(' ').unwrap_or((setting, ""));
        let config = &mut self.config;
        match name {
            // A transcript lives as long as the tests; its names are few.
            "host" => config.host = String::leak(value.into()),
            "greeting" => config.greeting = String::leak(value.into()),
            "size" => config.limits.size = parsed(value)?,
            "drain" => config.limits.drain = parsed(value)?,
            "line" => config.limits.line = parsed(value)?,
            "recipients" => config.limits.recipients = parsed(value)?,
            "commands" => config.limits.commands = parsed(value)?,
            "errors" => config.limits.errors = parsed(value)?,
            "transactions" => config.limits.transactions = parsed(value)?,
            "lmtp" => config.lmtp = true,
            "no_hello_needed" => config.need_hello = false,
            "disable" => match split(value.as_bytes()) {
                Ok((Some(verb), b"")) => config.commands = config.commands.without(verb),
                _ => return Err("a command behind `disable`".into()),
            },
            "without" => match Extensions::from_keyword(value.as_bytes()) {
                Extensions::NONE => return Err("an extension behind `without`".into()),
                extension => config.extensions = config.extensions.without(extension),
            },
            "room" => self.room = Some(parsed(value)?),
            "backlog" => self.backlog = parsed(value)?,
            "acts_on" if value == "nothing" => self.acts_on = Extensions::NONE,
            "not" => {
                let (driver, reason) = value.split_once(": ").ok_or("`not DRIVER: reason`")?;
                self.not.push((driver.into(), reason.into()));
            }
            _ => return Err("the name of a setting".into()),
        }
        Ok(())
    }
}

fn parsed<N: core::str::FromStr>(value: &str) -> Result<N, String> {
    value.parse().map_err(|_| "a number that fits the setting".into())
}

fn outside(what: &str) -> Result<Outside, String> {
    match what {
        "lost" => Ok(Outside::Lost),
        "expired" => Ok(Outside::Expired),
        "stopping" => Ok(Outside::Stopping),
        _ => Err("`lost`, `expired` or `stopping`".into()),
    }
}

fn call(line: usize, text: &str, is_optional: bool) -> Result<Call, String> {
    const CALLS: [&str; 12] =
        ["connected", "helo", "ehlo", "mail", "rcpt", "data", "text", "message", "verify", "expand", "reset", "closed"];
    let word = text.split(' ').next().unwrap_or("");
    if !CALLS.contains(&word) {
        return Err(format!("a call: {}", CALLS.join(", ")));
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
    Ok(Call { line, call: call.into(), text: octets, is_optional, later, response })
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
    let code: u16 = code.parse().map_err(|_| "`accept`, `later` or a reply's code")?;
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
            ("H: rpct <a>", 1, "a call"),
            ("H: text a", 1, "octets in"),
            ("H: text \"a", 1, "at the end of the text"),
            ("H: rcpt <a@b> => 550 4.1.1 No", 1, "class"),
            ("H: rcpt <a@b> => no", 1, "code"),
            ("X: gone", 1, "`lost`"),
            ("@ sise 10", 1, "name of a setting"),
            ("@ recipients 70000", 1, "number"),
            ("@ disable NOPE", 1, "a command"),
            ("@ without NOPE", 1, "an extension"),
            ("@ not tcp", 1, "reason"),
            (r"B: \q", 1, "one of"),
        ] {
            let error = Transcript::parse("file.txt", text).unwrap_err();
            assert_eq!(error.line, line, "{text}");
            assert!(error.to_string().starts_with("file.txt:") && error.expected.contains(expected), "{error}");
        }
    }

    #[test]
    fn answers() {
        let call = |text| call(1, text, false).unwrap();
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
