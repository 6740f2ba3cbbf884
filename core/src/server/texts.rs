//! The texts: what the session itself says, all in one table.

use crate::wire::{Reply, stock};

/// Every reply that a session gives without its handler. Replace those that shall read differently; the code
/// of a reply that says yes must stay what the RFC demands at its place.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Texts<'c> {
    /// To a session's successful RSET, NOOP.
    pub ok: Reply<'c>,
    /// To MAIL.
    pub mail: Reply<'c>,
    /// To RCPT.
    pub rcpt: Reply<'c>,
    /// To DATA: 354.
    pub data: Reply<'c>,
    /// To the end of the text.
    pub message: Reply<'c>,
    /// To VRFY when the handler does not know better: 252.
    pub verify: Reply<'c>,
    /// To QUIT: 221.
    pub bye: Reply<'c>,
    /// To STARTTLS: 220.
    #[cfg(feature = "starttls")]
    pub start_tls: Reply<'c>,
    /// To HELP: 214.
    #[cfg(feature = "expn-help")]
    pub help: Reply<'c>,
    /// Neither a command nor an empty line that means something.
    pub unrecognized: Reply<'c>,
    /// A command that is switched off.
    pub not_implemented: Reply<'c>,
    /// A line over the limit.
    pub line_too_long: Reply<'c>,
    /// A control octet in a command, bare CR and LF among them.
    pub control: Reply<'c>,
    /// An octet above 127 in a command.
    pub not_ascii: Reply<'c>,
    /// An argument that is missing, not allowed or malformed.
    pub argument: Reply<'c>,
    /// HELO or EHLO without a name, or with one that is neither a domain nor an address literal; without an enhanced code,
    /// as all that is said to them (RFC 2034 §4).
    pub hello: Reply<'c>,
    /// A malformed reverse-path.
    pub sender: Reply<'c>,
    /// A malformed forward-path.
    pub recipient: Reply<'c>,
    /// A parameter that was not offered.
    pub parameter: Reply<'c>,
    /// A command before HELO or EHLO.
    pub need_hello: Reply<'c>,
    /// MAIL within a transaction.
    pub nested_mail: Reply<'c>,
    /// RCPT or DATA without MAIL.
    pub need_mail: Reply<'c>,
    /// DATA without an accepted recipient.
    pub need_rcpt: Reply<'c>,
    /// Any command but QUIT after a greeting that said no.
    pub refused: Reply<'c>,
    /// STARTTLS within a transaction.
    #[cfg(feature = "starttls")]
    pub in_transaction: Reply<'c>,
    /// More recipients than [`Limits::recipients`](super::Limits::recipients).
    pub recipients: Reply<'c>,
    /// More text than [`Limits::size`](super::Limits::size), declared or sent.
    pub size: Reply<'c>,
    /// Too many commands, errors, transactions, or octets after a refusal: 421.
    pub limit: Reply<'c>,
    /// A protocol on the line that is not SMTP: 421.
    pub foreign: Reply<'c>,
    /// The client let a timer run out: 421.
    pub expired: Reply<'c>,
    /// The server stops: 421.
    pub stopping: Reply<'c>,
    /// The session can't go on for a fault of the server's own: 421.
    pub broken: Reply<'c>,
    /// The handler answered with a code that has no place there: 451.
    pub fault: Reply<'c>,
}

impl Texts<'_> {
    /// The texts of a server that keeps to the RFC.
    pub const STANDARD: Self = Self {
        ok: stock!(250, [2, 0, 0], "OK"),
        mail: stock!(250, [2, 1, 0], "OK"),
        rcpt: stock!(250, [2, 1, 5], "OK"),
        data: stock!(354, "End data with <CR><LF>.<CR><LF>"),
        message: stock!(250, [2, 0, 0], "OK"),
        verify: stock!(252, [2, 0, 0], "Cannot verify, but will accept and attempt delivery"),
        bye: stock!(221, [2, 0, 0], "Bye"),
        #[cfg(feature = "starttls")]
        start_tls: stock!(220, [2, 0, 0], "Start TLS"),
        #[cfg(feature = "expn-help")]
        help: stock!(214, [2, 0, 0], "EHLO HELO MAIL RCPT DATA RSET NOOP QUIT VRFY EXPN HELP (RFC 5321)"),
        unrecognized: stock!(500, [5, 5, 1], "Command not recognized"),
        not_implemented: stock!(502, [5, 5, 1], "Command not implemented"),
        line_too_long: stock!(500, [5, 5, 2], "Line too long"),
        control: stock!(500, [5, 5, 2], "Control octet in a command"),
        not_ascii: stock!(501, [5, 5, 2], "Octet above 127 in a command"),
        argument: stock!(501, [5, 5, 4], "Malformed argument"),
        hello: stock!(501, "Malformed domain"),
        sender: stock!(501, [5, 1, 7], "Malformed reverse-path"),
        recipient: stock!(501, [5, 1, 3], "Malformed forward-path"),
        parameter: stock!(555, [5, 5, 4], "Parameter not recognized or not offered"),
        need_hello: stock!(503, [5, 5, 1], "Send EHLO or HELO first"),
        nested_mail: stock!(503, [5, 5, 1], "Nested MAIL command"),
        need_mail: stock!(503, [5, 5, 1], "Send MAIL first"),
        need_rcpt: stock!(503, [5, 5, 1], "No valid recipient"),
        refused: stock!(503, [5, 5, 1], "No service here, send QUIT"),
        #[cfg(feature = "starttls")]
        in_transaction: stock!(503, [5, 5, 1], "Not within a transaction"),
        recipients: stock!(452, [4, 5, 3], "Too many recipients"),
        size: stock!(552, [5, 3, 4], "Message exceeds the size limit"),
        limit: stock!(421, [4, 7, 0], "Limit exceeded, closing"),
        foreign: stock!(421, [4, 7, 0], "This is SMTP, closing"),
        expired: stock!(421, [4, 4, 2], "Timeout, closing"),
        stopping: stock!(421, [4, 3, 2], "Service stops, closing"),
        broken: stock!(421, [4, 3, 0], "Internal error, closing"),
        fault: stock!(451, [4, 3, 0], "Internal error"),
    };
}
