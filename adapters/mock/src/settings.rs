//! The settings of a script: `@ name value`.
//!
//! Those of `Config` (`host greeting size drain line recipients commands errors transactions`, the timers
//! `command text output answer data message session` as `timer NAME SECONDS`, `lmtp`, `no_hello_needed`, `disable VERB`,
//! `without EXTENSION`), those of the handler (`room N`, `backlog N`, `acts_on nothing`), how it is played (`pipelined`,
//! `reads N` octets at once, `cut N` reads up to this octet first, `limit 2h` of time in all, which is an hour by default),
//! and `not DRIVER: reason`.

use alloc::format;
use alloc::string::String;

use smtpd_core::server::Extensions;
use smtpd_core::wire::split;

use crate::parse::time;
use crate::{Mode, Reads, Script};

const SETTINGS: &str = "host, greeting, size, drain, line, recipients, commands, errors, transactions, timer, lmtp, \
    no_hello_needed, disable, without, room, backlog, acts_on, limit, pipelined, reads, cut, not";

impl Script {
    /// Sets what stands behind `@ `.
    pub(crate) fn setting(&mut self, setting: &str) -> Result<(), String> {
        let (name, value) = setting.split_once(' ').unwrap_or((setting, ""));
        let config = &mut self.config;
        match name {
            // A script lives as long as the tests; its names are few.
            "host" => config.host = String::leak(value.into()),
            "greeting" => config.greeting = String::leak(value.into()),
            "size" => config.limits.size = parsed(value)?,
            "drain" => config.limits.drain = parsed(value)?,
            "line" => config.limits.line = parsed(value)?,
            "recipients" => config.limits.recipients = parsed(value)?,
            "commands" => config.limits.commands = parsed(value)?,
            "errors" => config.limits.errors = parsed(value)?,
            "transactions" => config.limits.transactions = parsed(value)?,
            "timer" => {
                let (name, secs) = value.split_once(' ').ok_or("`timer NAME SECONDS`")?;
                let timers = &mut config.timers;
                *match name {
                    "command" => &mut timers.command,
                    "text" => &mut timers.text,
                    "output" => &mut timers.output,
                    "answer" => &mut timers.answer,
                    "data" => &mut timers.data,
                    "message" => &mut timers.message,
                    "session" => &mut timers.session,
                    _ => return Err("`command`, `text`, `output`, `answer`, `data`, `message` or `session`".into()),
                } = parsed(secs)?;
            }
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
            "acts_on" if value == "nothing" => self.acts_on = Extensions::OWN,
            "limit" => self.limit = time(value).ok_or("a time: 90s, 5m, 2h")?,
            "not" => {
                let (driver, reason) = value.split_once(": ").ok_or("`not DRIVER: reason`")?;
                self.not.push((driver.into(), reason.into()));
            }
            // Not among the settings as they were written: these are set by whoever plays the script, too.
            "pipelined" => {
                self.mode = Mode::Pipelined;
                return Ok(());
            }
            "reads" => {
                self.reads = Reads::Of(parsed::<core::num::NonZeroUsize>(value)?.get());
                return Ok(());
            }
            "cut" => {
                self.reads = Reads::Cut(parsed(value)?);
                return Ok(());
            }
            _ => return Err(format!("the name of a setting: {SETTINGS}")),
        }
        self.settings.push(setting.into());
        Ok(())
    }
}

fn parsed<N: core::str::FromStr>(value: &str) -> Result<N, String> {
    value.parse().map_err(|_| "a number that fits the setting".into())
}
