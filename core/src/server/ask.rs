//! From a command line to what has to be asked: its octets, its verb's place, its argument's form, its parameters.

use super::event::{Ending, Event, Hello, Mail, Rcpt, Verify};
use super::order::{Question, State};
use super::{Config, Extensions, Order, parameters};
use crate::wire::{
    ForwardPath, Params, Reply, ReversePath, Unfit, Verb, cut, is_hello_name, keyed, split, split_printable,
};

/// Checks a line; `is_printable`: it is known to be that. What it asks is open from then on.
///
/// # Errors
/// The session's own reply to it, which may also be a positive one.
pub(crate) fn ask<'c, 's>(
    line: &'s [u8],
    is_printable: bool,
    order: &mut Order,
    config: &Config<'c>,
    offered: Extensions,
) -> Result<Event<'s>, &'c Reply<'c>> {
    #[cfg(feature = "python")]
    if config.is_python() {
        return super::python::ask(line, order, config, offered);
    }
    let texts = config.texts;
    let (verb, argument) = match is_printable {
        true => split_printable(line),
        false => split(line).map_err(|unfit| match unfit {
            Unfit::Control => &texts.control,
            Unfit::NotAscii => &texts.not_ascii,
        })?,
    };
    let Some(verb) = verb else {
        // A browser that was sent here may carry SMTP in the body of its request, whatever method it was told to use: its
        // first header is the last line that it gets answered.
        let is_header = cut(line, b' ').0.ends_with(b":");
        return Err(if is_header { &texts.foreign } else { &texts.unrecognized });
    };
    if order.question == Question::None {
        order.admit(verb, config)?;
    } else if verb != Verb::Rcpt {
        return Err(&texts.need_rcpt);
    }
    Ok(match verb {
        Verb::Mail => {
            let path = keyed(argument, b"FROM:").ok_or(&texts.argument)?;
            let (reverse_path, rest) = ReversePath::parse(path).map_err(|_| &texts.sender)?;
            let params = Params::parse(rest).ok_or(&texts.argument)?;
            let (size, body) = parameters::of_mail(params, config, offered)?;
            if !order.may_begin(config.limits.transactions) {
                return Err(&texts.limit);
            }
            order.ask_mail();
            Event::Mail(Mail { reverse_path, size, body, params })
        }
        Verb::Rcpt => {
            let path = keyed(argument, b"TO:").ok_or(&texts.argument)?;
            let (forward_path, rest) = ForwardPath::parse(path).map_err(|_| &texts.recipient)?;
            let params = Params::parse(rest).ok_or(&texts.argument)?;
            parameters::of_rcpt(params, config)?;
            if !order.has_room(config.limits.recipients) {
                return Err(&texts.recipients);
            }
            order.ask_rcpt();
            Event::Rcpt(Rcpt { forward_path, params })
        }
        // What they are about is not looked at (RFC 5321 §4.1.1.9).
        Verb::Noop => return Err(&texts.ok),
        #[cfg(feature = "expn-help")]
        Verb::Help => return Err(&texts.help),
        verb if verb.is_hello() => {
            if !is_hello_name(argument) {
                return Err(&texts.hello);
            }
            let extended = verb != Verb::Helo;
            order.question = Question::Hello { extended };
            Event::Hello(Hello { name: argument, extended })
        }
        verb if verb.is_verify() && !argument.is_empty() => {
            order.question = Question::Verify;
            Event::Verify(Verify { string: argument, expand: verb != Verb::Vrfy })
        }
        _ if !argument.is_empty() => return Err(&texts.argument),
        Verb::Data => {
            order.question = Question::Data;
            Event::Data
        }
        Verb::Rset if order.state == State::Transaction => {
            order.reset();
            Event::Reset
        }
        Verb::Rset => return Err(&texts.ok),
        Verb::Quit => {
            order.close(Ending::Quit);
            return Err(&texts.bye);
        }
        #[cfg(feature = "starttls")]
        Verb::StartTls if !offered.contains(Extensions::STARTTLS) => return Err(&texts.not_implemented),
        #[cfg(feature = "starttls")]
        Verb::StartTls => {
            order.state = State::Tls;
            Event::StartTls
        }
        // VRFY and EXPN without an argument.
        _ => return Err(&texts.argument),
    })
}

/// What EHLO is answered with, before the handler has its say.
pub(crate) fn announced(config: &Config<'_>, is_tls: bool) -> Extensions {
    #[cfg(feature = "expn-help")]
    let all = match config.commands.contains(Verb::Help) {
        true => config.extensions,
        false => config.extensions.without(Extensions::HELP),
    };
    #[cfg(not(feature = "expn-help"))]
    let all = config.extensions;
    #[cfg(feature = "starttls")]
    // RFC 3207 §4.2: not within TLS.
    let all = if is_tls { all.without(Extensions::STARTTLS) } else { all };
    #[cfg(feature = "python")]
    let all = if config.is_python() { super::python::announced(all, config) } else { all };
    let _ = is_tls;
    all
}
