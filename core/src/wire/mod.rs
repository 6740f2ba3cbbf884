//! Octets and grammar (RFC 5321 §4.1, §4.2, §4.5.2): what a line or a text says, never whether it may come now.

mod command;
mod date;
mod ip;
#[cfg(feature = "python")]
mod loose;
mod octets;
mod params;
mod path;
mod reply;
mod reply_reader;
mod text;

#[cfg(feature = "python")]
pub(crate) use command::verb;
pub use command::{Unfit, Verb, split};
pub(crate) use command::{keyed, split_printable};
pub use date::write_date;
pub(crate) use ip::parse_ip;
pub use ip::{write_address_literal, write_ip};
#[cfg(feature = "python")]
pub(crate) use loose::{loose_path, looser_path};
#[cfg(feature = "python")]
pub(crate) use octets::are_printable;
pub(crate) use octets::{IS_HOST, hex_digit, line_end, printable_prefix};
pub use params::{Param, Params, ParamsIter, number};
pub(crate) use params::{cut, same, skip_spaces};
pub use path::{
    BadPath, ForwardPath, Mailbox, PlainLocalPart, ReversePath, is_address_literal, is_domain, is_hello_name,
};
#[cfg(feature = "enhanced")]
pub use reply::Enhanced;
pub use reply::{MAX_REPLY, Reply};
pub(crate) use reply::{put, put_printable, stock};
pub use reply_reader::{ReplyProgress, ReplyReader};
pub use text::{Decoder, Encoder, Piece};
