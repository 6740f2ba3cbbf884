//! How types print with defmt where a derive would not do: octets that are ASCII print as such and not as numbers, the text
//! of a message as its length, sets by their names, sessions by where they stand.

use defmt::{Format, Formatter, write};

use crate::client;
use crate::handlers::debugging::Printed;
use crate::handlers::{Field, Part, Recipients};
use crate::relay::{Heard, Leg};
use crate::server::{Config, Event, Extensions, Hello, Session, Verify};
use crate::store::Store;
use crate::wire::{ForwardPath, Mailbox, Param, Params, ParamsIter, Piece, PlainLocalPart, Reply};

impl Format for Mailbox<'_> {
    fn format(&self, to: Formatter<'_>) {
        write!(to, "{=[u8]:a}", self.as_octets());
    }
}

/// What is left.
impl Format for PlainLocalPart<'_> {
    fn format(&self, to: Formatter<'_>) {
        self.clone().for_each(|octet| write!(to, "{=[u8]:a}", [octet]));
    }
}

impl Format for ForwardPath<'_> {
    fn format(&self, to: Formatter<'_>) {
        match self {
            Self::Postmaster(word) => write!(to, "Postmaster({=[u8]:a})", word),
            Self::Mailbox(mailbox) => write!(to, "Mailbox({})", mailbox),
        }
    }
}

impl Format for Params<'_> {
    fn format(&self, to: Formatter<'_>) {
        write!(to, "{=[u8]:a}", self.as_octets());
    }
}

impl Format for Param<'_> {
    fn format(&self, to: Formatter<'_>) {
        match self.value {
            Some(value) => write!(to, "{=[u8]:a}={=[u8]:a}", self.keyword, value),
            None => write!(to, "{=[u8]:a}", self.keyword),
        }
    }
}

/// Those that are left.
impl Format for ParamsIter<'_> {
    fn format(&self, to: Formatter<'_>) {
        write!(to, "[ ");
        self.clone().for_each(|param| write!(to, "{} ", param));
        write!(to, "]");
    }
}

/// Those that are left.
impl Format for Recipients<'_> {
    fn format(&self, to: Formatter<'_>) {
        write!(to, "[ ");
        self.clone().for_each(|recipient| write!(to, "{=[u8]:a} ", recipient));
        write!(to, "]");
    }
}

impl Format for Reply<'_> {
    fn format(&self, to: Formatter<'_>) {
        #[cfg(feature = "enhanced")]
        if let Some(enhanced) = self.enhanced_code() {
            let (class, crate::wire::Enhanced { subject, detail }) = (self.code() / 100, enhanced);
            write!(to, "{=u16} {=u16}.{=u8}.{=u16} {=[u8]:a}", self.code(), class, subject, detail, self.text());
            return;
        }
        write!(to, "{=u16} {=[u8]:a}", self.code(), self.text());
    }
}

impl Format for Piece<'_> {
    fn format(&self, to: Formatter<'_>) {
        match self {
            Self::Text(octets) => write!(to, "Text(<{=usize} octets>)", octets.len()),
            Self::End => write!(to, "End"),
            Self::Starved => write!(to, "Starved"),
        }
    }
}

impl Format for Part<'_> {
    fn format(&self, to: Formatter<'_>) {
        match self {
            Self::Octets(octets) => write!(to, "Octets(<{=usize} octets>)", octets.len()),
            Self::End => write!(to, "End"),
        }
    }
}

/// Not a derive: it can't tell the lifetimes of two replies apart.
impl Format for Heard<'_> {
    fn format(&self, to: Formatter<'_>) {
        match self {
            Self::Later => write!(to, "Later"),
            Self::Reply(command, reply) => write!(to, "Reply({}, {})", command, reply),
            Self::Gone(reply) => write!(to, "Gone({})", reply),
        }
    }
}

impl Format for Event<'_> {
    fn format(&self, to: Formatter<'_>) {
        match self {
            Self::Idle => write!(to, "Idle"),
            Self::Handled => write!(to, "Handled"),
            Self::Connected(peer) => write!(to, "Connected({})", peer),
            Self::Hello(hello) => write!(to, "Hello({})", hello),
            #[cfg(feature = "starttls")]
            Self::StartTls => write!(to, "StartTls"),
            Self::Mail(mail) => write!(to, "Mail({})", mail),
            Self::Rcpt(rcpt) => write!(to, "Rcpt({})", rcpt),
            Self::Data => write!(to, "Data"),
            Self::Text(octets) => write!(to, "Text(<{=usize} octets>)", octets.len()),
            Self::Message(recipient) => write!(to, "Message({=u16})", recipient),
            Self::Verify(verify) => write!(to, "Verify({})", verify),
            Self::Reset => write!(to, "Reset"),
            Self::Closed(why) => write!(to, "Closed({})", why),
        }
    }
}

impl Format for Hello<'_> {
    fn format(&self, to: Formatter<'_>) {
        write!(to, "Hello {{ name: {=[u8]:a}, extended: {=bool} }}", self.name, self.extended);
    }
}

impl Format for Verify<'_> {
    fn format(&self, to: Formatter<'_>) {
        write!(to, "Verify {{ string: {=[u8]:a}, expand: {=bool} }}", self.string, self.expand);
    }
}

/// The keywords.
impl Format for Extensions {
    fn format(&self, to: Formatter<'_>) {
        let mut left = *self;
        write!(to, "[ ");
        while let Some(extension) = left.take_first() {
            write!(to, "{=str} ", extension.keyword());
        }
        write!(to, "]");
    }
}

/// What decides how much memory and time a client may take, and what it is offered.
impl Format for Config<'_> {
    fn format(&self, to: Formatter<'_>) {
        let Self { host, extensions, limits, timers, .. } = self;
        write!(
            to,
            "Config {{ host: {=str}, extensions: {}, limits: {}, timers: {}, .. }}",
            host, extensions, limits, timers
        );
    }
}

/// Where it stands; not what its buffers hold, for a line that is kept may be one with a secret.
impl<L: Store, O: Store> Format for Session<'_, L, O> {
    fn format(&self, to: Formatter<'_>) {
        write!(
            to,
            "Session {{ peer: {}, state: {}, open: {=u16}, output: <{=usize} octets>, ending: {}, .. }}",
            self.peer(),
            self.state(),
            self.open(),
            self.output().len(),
            self.ending()
        );
    }
}

/// Where it stands; not what its buffers hold, for the output may be text.
impl<L: Store, O: Store> Format for client::Session<L, O> {
    fn format(&self, to: Formatter<'_>) {
        write!(
            to,
            "Session {{ open: {=u16}, is_text: {=bool}, output: <{=usize} octets>, extensions: {}, size: {=u32}, .. }}",
            self.open(),
            self.is_text(),
            self.output().len(),
            self.extensions(),
            self.size()
        );
    }
}

impl Format for Leg {
    fn format(&self, to: Formatter<'_>) {
        write!(to, "Leg {{ need: {}, is_idle: {=bool}, .. }}", self.need(), self.is_idle());
    }
}

/// Its value is part of the text.
impl Format for Field<'_> {
    fn format(&self, to: Formatter<'_>) {
        let Self { name, value, is_cut } = self;
        write!(to, "Field {{ name: {=[u8]:a}, value: <{=usize} octets>, is_cut: {=bool} }}", name, value.len(), is_cut);
    }
}

impl Format for Printed<'_> {
    fn format(&self, to: Formatter<'_>) {
        write!(
            to,
            "Printed {{ peer: {}, mail_options: {=[u8]:a}, rcpt_options: {=[u8]:a}, data: <{=usize} octets> }}",
            self.peer,
            self.mail_options,
            self.rcpt_options,
            self.data.len()
        );
    }
}
