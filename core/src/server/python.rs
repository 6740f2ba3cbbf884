//! Python's `smtpd`, of version 3.11 and of version 2.7: how it reads a command and in which order it checks it, and
//! its replies, octet for octet. What stands behind the commands (handlers, text, limits, timers) is the same in each
//! dialect.
//!
//! What a client sees that it did not see of Python, and why:
//!
//! | Python | here | reason |
//! |---|---|---|
//! | after `552 Error: Too much mail data` commands are taken for text | the transaction is over | the client's next mail would be lost |
//! | a dot alone on the first line behind 354 is text | it is the end of the text | a client that sends an empty message would wait for ever (RFC 5321 §4.1.1.4) |
//! | a size is that of the text as it was sent, without its last CRLF | that of [`Limits::size`](super::Limits::size) | RFC 1870 §5 does not count the dots of transparency |
//! | octets that are not UTF-8, or beyond ASCII in an unknown command, drop the connection | in an argument `500 Error: bad syntax`, in an unknown command `?` | one octet must not end a session without a word |
//! | control octets (tab, CR and LF among them) and octets beyond ASCII in arguments are accepted | `500 Error: bad syntax`; around the argument white space is dropped, for 2.7 too that of 3.11 (1C to 1F are some) | a bare LF becomes a second command in whatever passes the argument on; there is no SMTPUTF8 here |
//! | unknown commands are quoted in the reply as they came | what is not printable ASCII as `?` | a reply is ASCII (RFC 5321 §4.2), and terminals act on control octets |
//! | a reply that quotes may have up to 550 octets | at most 512 | RFC 5321 §4.5.3.1.5 |
//! | 3.11: an address on which its parser fails (`a@`, `@b`, `a@b@c`, `<`) drops the connection | the reply to bad syntax, for VRFY 502 | as above |
//! | comments, words with spaces between them, an open quote and backslashes are accepted in addresses; in 2.7 also `,` `;` `:` `<` `>` and an open bracket | the reply to bad syntax, or the words behind the first are judged as parameters | whoever passes such an address on would write more than one argument, or more than one address |
//! | `SIZE` without a number drops the connection | the reply to bad syntax | as above |
//! | of a parameter that is given twice the last counts | the reply to bad syntax | the two sides would not agree on which |
//! | `HOST:` and other first lines of a browser are unknown commands | 421 after the first of them | a web page could make a browser deliver mail |
//! | a TLS handshake is taken for the beginning of a command | 421 | its client would wait for ever |
//! | how long MAIL may be after EHLO is one number for all connections, which each new one sets back | each session has its own | what a client may say must not depend on others |
//! | no limit but those of line and text; in 2.7 none | all of [`Limits`](super::Limits) | memory |
//! | 2.7: what stands behind an address is part of it | well-formed parameters behind brackets are dropped, all else gets the reply to bad syntax | it is no part of an address |
//! | 2.7: HELO within a transaction keeps it | ends it | RFC 5321 §4.1.4 |
//! | an exception in `process_message` drops the connection | 451 | as above |
//! | a text that `process_message` returns is sent as it is | if it begins with a code; else 451 | no client understands another |
//! | the command without `-s` announces no SIZE and has no limit | 33,554,432, as its documentation says | it was forgotten there |

use heapless::Vec;

use super::event::{Body, Ending, Event, Hello, Mail, Rcpt, Verify};
use super::order::{Greeted, Question, State};
use super::output::Output;
use super::parameters::body_type;
use super::{Config, Extensions, Order, Texts};
use crate::store::Store;
use crate::wire::{
    ForwardPath, MAX_REPLY, Mailbox, Param, Params, ParamsIter, Reply, ReversePath, Verb, are_printable, cut, keyed,
    loose_path, looser_path, number, put, put_printable, same, verb,
};

/// How commands are read, in which order they are checked, and which replies stand for what is wrong with them.
///
/// With a Python dialect `%s` in one of [`Texts`] stands for the first word of the line in upper case, and `%a` for its
/// argument: some of Python's replies quote them. What a handler answers is sent as it is, enhanced codes too. There is
/// neither STARTTLS nor LMTP: leave [`Config::lmtp`](Config) off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Dialect {
    /// RFC 5321.
    #[default]
    Rfc,
    /// Python's smtpd as of 3.11.
    Python3_11,
    /// Python's smtpd as of 2.7: without EHLO, HELP and VRFY; HELO is not needed.
    Python2_7,
}

impl<'c> Config<'c> {
    /// The defaults of Python 3.11's smtpd, under the server's own name; limits and timers, but for the line's, are as
    /// [`Config::new`] has them.
    #[must_use]
    pub const fn python_3_11(host: &'c str) -> Self {
        let mut config = Self::new(host);
        config.greeting = "Python SMTP proxy version 0.3";
        // The longest line of all, that of MAIL after EHLO, with its CRLF.
        config.limits.line = 540;
        config.extensions = Extensions::SIZE.with(Extensions::EIGHTBITMIME).with(Extensions::HELP);
        config.dialect = Dialect::Python3_11;
        config.texts = &Texts::PYTHON_3_11;
        config
    }

    /// The defaults of Python 2.7's smtpd, under the server's own name; limits and timers are as [`Config::new`]
    /// has them.
    #[must_use]
    pub const fn python_2_7(host: &'c str) -> Self {
        let mut config = Self::new(host);
        config.greeting = "Python SMTP proxy version 0.2";
        config.extensions = Extensions::NONE;
        config.need_hello = false;
        config.dialect = Dialect::Python2_7;
        config.texts = &Texts::PYTHON_2_7;
        config
    }
}

impl Texts<'_> {
    /// The texts of Python 3.11's smtpd; where it has none, those of [`Texts::STANDARD`] without enhanced codes.
    pub const PYTHON_3_11: Self = Self {
        ok: Reply::new(250, "OK"),
        mail: Reply::new(250, "OK"),
        rcpt: Reply::new(250, "OK"),
        data: Reply::new(354, "End data with <CR><LF>.<CR><LF>"),
        message: Reply::new(250, "OK"),
        verify: Reply::new(252, "Cannot VRFY user, but will accept message and attempt delivery"),
        bye: Reply::new(221, "Bye"),
        #[cfg(feature = "starttls")]
        start_tls: Self::STANDARD.start_tls,
        help: Reply::new(250, COMMANDS),
        unrecognized: Reply::new(500, "Error: command \"%s\" not recognized"),
        not_implemented: Reply::new(502, "EXPN not implemented"),
        line_too_long: Reply::new(500, "Error: line too long"),
        control: Reply::new(500, "Error: bad syntax"),
        not_ascii: Reply::new(500, "Error: bad syntax"),
        argument: Reply::new(501, "Error: bad syntax"),
        hello: Reply::new(501, "Syntax: HELO hostname"),
        sender: Reply::new(501, "Syntax: MAIL FROM: <address>"),
        recipient: Reply::new(501, "Syntax: RCPT TO: <address>"),
        parameter: Reply::new(555, "MAIL FROM parameters not recognized or not implemented"),
        need_hello: Reply::new(503, "Error: send HELO first"),
        nested_mail: Reply::new(503, "Error: nested MAIL command"),
        need_mail: Reply::new(503, "Error: need MAIL command"),
        need_rcpt: Reply::new(503, "Error: need RCPT command"),
        refused: Reply::new(503, "No service here, send QUIT"),
        #[cfg(feature = "starttls")]
        in_transaction: Self::STANDARD.in_transaction,
        recipients: Reply::new(452, "Too many recipients"),
        size: Reply::new(552, "Error: Too much mail data"),
        limit: Reply::new(421, "Limit exceeded, closing"),
        foreign: Reply::new(421, "This is SMTP, closing"),
        expired: Reply::new(421, "Timeout, closing"),
        stopping: Reply::new(421, "Service stops, closing"),
        broken: Reply::new(421, "Internal error, closing"),
        fault: Reply::new(451, "Internal confusion"),
    };

    /// The texts of Python 2.7's smtpd.
    pub const PYTHON_2_7: Self = Self {
        ok: Reply::new(250, "Ok"),
        mail: Reply::new(250, "Ok"),
        rcpt: Reply::new(250, "Ok"),
        message: Reply::new(250, "Ok"),
        unrecognized: Reply::new(502, "Error: command \"%s\" not implemented"),
        sender: Reply::new(501, "Syntax: MAIL FROM:<address>"),
        ..Self::PYTHON_3_11
    };
}

/// Octets of a line of 3.11, and how many more MAIL may have where a size may be declared.
const LINE: usize = 512;
const SIZE: usize = 26;

const COMMANDS: &str = "Supported commands: EHLO HELO MAIL RCPT DATA RSET NOOP QUIT VRFY";
const UNKNOWN_TOPIC: &Reply<'_> = &Reply::new(501, COMMANDS);
const DUPLICATE: &Reply<'_> = &Reply::new(503, "Duplicate HELO/EHLO");
const BAD_BODY: &Reply<'_> = &Reply::new(501, "Error: BODY can only be one of 7BIT, 8BITMIME");
const TOO_BIG: &Reply<'_> = &Reply::new(552, "Error: message size exceeds fixed maximum message size");
const NO_RCPT_PARAMETERS: &Reply<'_> = &Reply::new(555, "RCPT TO parameters not recognized or not implemented");
const NOT_VERIFIED: &Reply<'_> = &Reply::new(502, "Could not VRFY %a");

/// How a command is written: the reply to one that is not written so, and the reply to HELP.
struct Syntax(Reply<'static>, Reply<'static>);

impl Syntax {
    const fn new(text: &'static str) -> Self {
        Self(Reply::new(501, text), Reply::new(250, text))
    }

    /// That of a command which Python knows and which has an argument or may have none; `extended`: after EHLO.
    fn of(verb: Verb, extended: bool) -> Option<&'static Self> {
        Some(match verb {
            Verb::Helo => const { &Self::new("Syntax: HELO hostname") },
            Verb::Ehlo => const { &Self::new("Syntax: EHLO hostname") },
            Verb::Mail if extended => const { &Self::new("Syntax: MAIL FROM: <address> [SP <mail-parameters>]") },
            Verb::Mail => const { &Self::new("Syntax: MAIL FROM: <address>") },
            Verb::Rcpt if extended => const { &Self::new("Syntax: RCPT TO: <address> [SP <mail-parameters>]") },
            Verb::Rcpt => const { &Self::new("Syntax: RCPT TO: <address>") },
            Verb::Data => const { &Self::new("Syntax: DATA") },
            Verb::Rset => const { &Self::new("Syntax: RSET") },
            Verb::Noop => const { &Self::new("Syntax: NOOP") },
            Verb::Quit => const { &Self::new("Syntax: QUIT") },
            Verb::Vrfy => const { &Self::new("Syntax: VRFY <address>") },
            _ => return None,
        })
    }
}

/// Checks a line in Python's order. What it asks is open from then on.
///
/// # Errors
/// The session's own reply to it, which may also be a positive one; [`say`] puts in what it quotes.
pub(crate) fn ask<'c, 's>(
    line: &'s [u8],
    order: &mut Order,
    config: &Config<'c>,
    offered: Extensions,
) -> Result<Event<'s>, &'c Reply<'c>> {
    let texts = config.texts;
    let (word, argument) = words(line);
    let verb = verb(word).filter(|verb| config.commands.contains(*verb) && is_known(*verb, config.dialect));
    if order.state == State::Refused && verb != Some(Verb::Quit) {
        return Err(&texts.refused);
    }
    if line.is_empty() {
        return Err(&texts.control);
    }
    if config.dialect == Dialect::Python3_11 {
        let has_size = verb == Some(Verb::Mail) && order.greeted == Greeted::Ehlo && config.limits.size > 0;
        if line.len() > if has_size { LINE.saturating_add(SIZE) } else { LINE } {
            return Err(&texts.line_too_long);
        }
    }
    match verb {
        // As in every dialect: a browser's first header is the last line that it gets answered.
        None if word.ends_with(b":") => Err(&texts.foreign),
        None => Err(&texts.unrecognized),
        Some(verb) if order.question != Question::None && verb != Verb::Rcpt => Err(&texts.need_rcpt),
        Some(Verb::Quit) => {
            order.close(Ending::Quit);
            Err(&texts.bye)
        }
        Some(Verb::Expn) => Err(&texts.not_implemented),
        Some(_) if !are_printable(argument) => Err(&texts.control),
        Some(Verb::Mail | Verb::Rcpt | Verb::Data) if order.greeted == Greeted::No && config.need_hello => {
            Err(&texts.need_hello)
        }
        Some(verb) => command(verb, argument, order, config, offered),
    }
}

/// A known command, its argument printable.
fn command<'c, 's>(
    verb: Verb,
    argument: &'s [u8],
    order: &mut Order,
    config: &Config<'c>,
    offered: Extensions,
) -> Result<Event<'s>, &'c Reply<'c>> {
    let texts = config.texts;
    let extended = order.greeted == Greeted::Ehlo;
    let syntax = match (verb, config.dialect) {
        (Verb::Mail, Dialect::Python2_7) => &texts.sender,
        _ => Syntax::of(verb, extended).map_or(&texts.argument, |syntax| &syntax.0),
    };
    let is_empty = argument.is_empty();
    Ok(match verb {
        Verb::Helo | Verb::Ehlo | Verb::Vrfy if is_empty => return Err(syntax),
        Verb::Helo | Verb::Ehlo if order.greeted != Greeted::No => return Err(DUPLICATE),
        Verb::Helo | Verb::Ehlo => {
            let extended = verb == Verb::Ehlo;
            order.question = Question::Hello { extended };
            Event::Hello(Hello { name: argument, extended })
        }
        Verb::Mail => Event::Mail(mail(argument, order, config, offered, syntax)?),
        Verb::Rcpt => Event::Rcpt(rcpt(argument, order, config, syntax)?),
        Verb::Vrfy => {
            loose_path(argument).ok_or(NOT_VERIFIED)?;
            order.question = Question::Verify;
            Event::Verify(Verify { string: argument, expand: false })
        }
        Verb::Help if is_empty => return Err(&texts.help),
        Verb::Help => return Err(topic(argument, extended)),
        Verb::Data if order.state != State::Transaction || !order.has_recipients() => return Err(&texts.need_rcpt),
        _ if !is_empty => return Err(syntax),
        Verb::Data => {
            order.question = Question::Data;
            Event::Data
        }
        Verb::Rset if order.state == State::Transaction => {
            order.reset();
            Event::Reset
        }
        // RSET and NOOP.
        _ => return Err(&texts.ok),
    })
}

/// What HELP says about a topic: EXPN and HELP are none.
fn topic(argument: &[u8], extended: bool) -> &'static Reply<'static> {
    let syntax = verb(argument).and_then(|verb| Syntax::of(verb, extended));
    syntax.map_or(UNKNOWN_TOPIC, |syntax| &syntax.1)
}

/// MAIL: an address, no transaction, parameters, in this order.
fn mail<'c, 's>(
    argument: &'s [u8],
    order: &mut Order,
    config: &Config<'c>,
    offered: Extensions,
    syntax: &'c Reply<'c>,
) -> Result<Mail<'s>, &'c Reply<'c>> {
    let (mailbox, rest) = address(argument, b"FROM:", order, config).ok_or(syntax)?;
    if order.state == State::Transaction {
        return Err(&config.texts.nested_mail);
    }
    let (size, body, params) = of_mail(rest, config, offered, syntax)?;
    if !order.may_begin(config.limits.transactions) {
        return Err(&config.texts.limit);
    }
    order.ask_mail();
    let is_null = mailbox.as_octets().is_empty();
    let reverse_path = if is_null { ReversePath::Null } else { ReversePath::Mailbox(mailbox) };
    Ok(Mail { reverse_path, size, body, params })
}

/// RCPT: a transaction, an address, no parameters, in this order. `<>` is a mailbox of no octets.
fn rcpt<'c, 's>(
    argument: &'s [u8],
    order: &mut Order,
    config: &Config<'c>,
    syntax: &'c Reply<'c>,
) -> Result<Rcpt<'s>, &'c Reply<'c>> {
    if order.question == Question::None && order.state != State::Transaction {
        return Err(&config.texts.need_mail);
    }
    let (mailbox, rest) = address(argument, b"TO:", order, config).ok_or(syntax)?;
    if !are_params(rest) {
        return Err(syntax);
    }
    if !rest.is_empty() {
        return Err(NO_RCPT_PARAMETERS);
    }
    if !order.has_room(config.limits.recipients) {
        return Err(&config.texts.recipients);
    }
    order.ask_rcpt();
    let word = mailbox.as_octets();
    let is_postmaster = same(word, b"Postmaster");
    let forward_path = if is_postmaster { ForwardPath::Postmaster(word) } else { ForwardPath::Mailbox(mailbox) };
    Ok(Rcpt { forward_path, params: Params::default() })
}

/// The address behind the key, and what are its parameters.
fn address<'s, const N: usize>(
    argument: &'s [u8],
    key: &[u8; N],
    order: &Order,
    config: &Config<'_>,
) -> Option<(Mailbox<'s>, &'s [u8])> {
    let path = keyed(argument, key)?.trim_ascii_start();
    let read = match config.dialect {
        Dialect::Python2_7 => loose_path(path).or_else(|| looser_path(path)),
        _ => loose_path(path),
    };
    let (mailbox, rest) = read?;
    match config.dialect {
        // It knows of none, nor of EHLO; only behind brackets they can be told from the address.
        Dialect::Python2_7 if path.starts_with(b"<") => Params::list(rest).map(|_| (mailbox, &b""[..])),
        _ if order.greeted != Greeted::Ehlo && !rest.is_empty() => None,
        _ => Some((mailbox, rest)),
    }
}

/// The parameters of MAIL: Python looks at BODY, at SIZE, and then whether there are more.
fn of_mail<'c, 's>(
    rest: &'s [u8],
    config: &Config<'c>,
    offered: Extensions,
    syntax: &'c Reply<'c>,
) -> Result<(Option<u32>, Option<Body>, Params<'s>), &'c Reply<'c>> {
    if !are_params(rest) {
        return Err(syntax);
    }
    let takes_body = offered.contains(Extensions::EIGHTBITMIME);
    let (mut size, mut body, mut has_more) = (None, None, false);
    for param in ParamsIter::over(rest) {
        let value = Some(param.value.unwrap_or(b""));
        if param.is("BODY") && takes_body {
            body = value;
        } else if param.is("SIZE") {
            size = value;
        } else {
            has_more = true;
        }
    }
    let body = match body {
        Some(value) => Some(body_type(value).ok_or(BAD_BODY)?),
        None => None,
    };
    let size = match size {
        Some(value) if value.is_empty() || !value.iter().all(u8::is_ascii_digit) => return Err(syntax),
        // More digits than a number has are too many octets.
        Some(value) => Some(number(value).unwrap_or(u32::MAX)),
        None => None,
    };
    let limit = config.limits.size;
    if limit > 0 && size.is_some_and(|size| size > limit) {
        return Err(TOO_BIG);
    }
    if has_more {
        return Err(&config.texts.parameter);
    }
    Ok((size, body, Params::list(rest).ok_or(syntax)?))
}

/// Whether each is a keyword of letters and digits, perhaps with a value.
fn are_params(rest: &[u8]) -> bool {
    ParamsIter::over(rest).all(|Param { keyword, value }| {
        !keyword.is_empty() && keyword.iter().all(u8::is_ascii_alphanumeric) && value != Some(b"")
    })
}

/// The first word, and the argument without white space around it.
fn words(line: &[u8]) -> (&[u8], &[u8]) {
    let (word, argument) = cut(line, b' ');
    (word, trim(argument))
}

/// Without the ASCII characters that Python takes for white space.
fn trim(mut octets: &[u8]) -> &[u8] {
    while let [b'\t'..=b'\r' | 28..=b' ', rest @ ..] | [rest @ .., b'\t'..=b'\r' | 28..=b' '] = octets {
        octets = rest;
    }
    octets
}

fn is_known(verb: Verb, dialect: Dialect) -> bool {
    use Verb::{Data, Ehlo, Expn, Helo, Help, Mail, Noop, Quit, Rcpt, Rset, Vrfy};
    matches!(verb, Helo | Mail | Rcpt | Data | Rset | Noop | Quit)
        || dialect == Dialect::Python3_11 && matches!(verb, Ehlo | Vrfy | Expn | Help)
}

/// What EHLO is answered with, of `all`.
pub(crate) fn announced(all: Extensions, config: &Config<'_>) -> Extensions {
    #[cfg(feature = "starttls")]
    let all = all.without(Extensions::STARTTLS);
    if config.limits.size == 0 { all.without(Extensions::SIZE) } else { all }
}

/// Writes the session's own reply to a line, with the word in place of `%s` or the argument in place of `%a`: as much of
/// it as fits into a line, and `?` for what is not printable.
#[inline(never)]
pub(crate) fn say<O: Store>(output: &mut Output<O>, reply: &Reply<'_>, line: &[u8], config: &Config<'_>) {
    let text = reply.text();
    let place = text.windows(2).position(|octets| matches!(octets, b"%s" | b"%a")).filter(|_| config.is_python());
    let parts = place.and_then(|place| text.split_at_checked(place));
    let Some((before, [_, sign, behind @ ..])) = parts else {
        return output.reply(reply, config);
    };
    let (word, argument) = words(line);
    let is_word = *sign == b's';
    // Beside the quote: the code, a space, the text, the line's end.
    let room = MAX_REPLY.saturating_sub(6).saturating_sub(before.len()).saturating_sub(behind.len());
    let mut whole = Vec::<u8, MAX_REPLY>::new();
    put(&mut whole, before);
    for octet in if is_word { word } else { argument }.iter().take(room) {
        let octet = if is_word { octet.to_ascii_uppercase() } else { *octet };
        // A line feed would begin another line of the reply.
        put_printable(&mut whole, &[octet], 1);
    }
    put(&mut whole, behind);
    output.reply(&Reply::from_octets(reply.code(), &whole), config);
}
