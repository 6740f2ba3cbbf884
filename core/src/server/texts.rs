//! The texts: what the session itself says, all in one table.

use crate::wire::Reply;

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
        ok: Reply::new(250, "OK").enhanced(0, 0),
        mail: Reply::new(250, "OK").enhanced(1, 0),
        rcpt: Reply::new(250, "OK").enhanced(1, 5),
        data: Reply::new(354, "End data with <CR><LF>.<CR><LF>"),
        message: Reply::new(250, "OK").enhanced(0, 0),
        verify: Reply::new(252, "Cannot verify, but will accept and attempt delivery").enhanced(0, 0),
        bye: Reply::new(221, "Bye").enhanced(0, 0),
        #[cfg(feature = "starttls")]
        start_tls: Reply::new(220, "Start TLS").enhanced(0, 0),
        #[cfg(feature = "expn-help")]
        help: Reply::new(214, "EHLO HELO MAIL RCPT DATA RSET NOOP QUIT VRFY EXPN HELP (RFC 5321)").enhanced(0, 0),
        unrecognized: Reply::new(500, "Command not recognized").enhanced(5, 1),
        not_implemented: Reply::new(502, "Command not implemented").enhanced(5, 1),
        line_too_long: Reply::new(500, "Line too long").enhanced(5, 2),
        control: Reply::new(500, "Control octet in a command").enhanced(5, 2),
        not_ascii: Reply::new(501, "Octet above 127 in a command").enhanced(5, 2),
        argument: Reply::new(501, "Malformed argument").enhanced(5, 4),
        sender: Reply::new(501, "Malformed reverse-path").enhanced(1, 7),
        recipient: Reply::new(501, "Malformed forward-path").enhanced(1, 3),
        parameter: Reply::new(555, "Parameter not recognized or not offered").enhanced(5, 4),
        need_hello: Reply::new(503, "Send EHLO or HELO first").enhanced(5, 1),
        nested_mail: Reply::new(503, "Nested MAIL command").enhanced(5, 1),
        need_mail: Reply::new(503, "Send MAIL first").enhanced(5, 1),
        need_rcpt: Reply::new(503, "No valid recipient").enhanced(5, 1),
        refused: Reply::new(503, "No service here, send QUIT").enhanced(5, 1),
        #[cfg(feature = "starttls")]
        in_transaction: Reply::new(503, "Not within a transaction").enhanced(5, 1),
        recipients: Reply::new(452, "Too many recipients").enhanced(5, 3),
        size: Reply::new(552, "Message exceeds the size limit").enhanced(3, 4),
        limit: Reply::new(421, "Limit exceeded, closing").enhanced(7, 0),
        foreign: Reply::new(421, "This is SMTP, closing").enhanced(7, 0),
        expired: Reply::new(421, "Timeout, closing").enhanced(4, 2),
        stopping: Reply::new(421, "Service stops, closing").enhanced(3, 2),
        broken: Reply::new(421, "Internal error, closing").enhanced(3, 0),
        fault: Reply::new(451, "Internal error").enhanced(3, 0),
    };
}
