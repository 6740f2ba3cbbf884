//! The parameters of MAIL and RCPT, judged by what was offered (RFC 5321 §4.1.1.11).

use super::event::Body;
use super::{Config, Extensions};
use crate::wire::{Params, Reply, number, same};

/// Size and body of MAIL.
///
/// # Errors
/// 555 for what was not offered, 501 for a value that means nothing, 552 for a size over the limit.
pub(crate) fn of_mail<'c>(
    params: Params<'_>,
    config: &Config<'c>,
    offered: Extensions,
) -> Result<(Option<u32>, Option<Body>), &'c Reply<'c>> {
    let texts = config.texts;
    let (mut size, mut body) = (None, None);
    for param in params.iter() {
        if param.is("SIZE") && offered.contains(Extensions::SIZE) {
            size = Some(param.value.and_then(number).ok_or(&texts.argument)?);
        } else if param.is("BODY") && offered.contains(Extensions::EIGHTBITMIME) {
            body = Some(param.value.and_then(body_type).ok_or(&texts.argument)?);
        } else {
            return Err(&texts.parameter);
        }
    }
    let limit = config.limits.size;
    if limit > 0 && size.is_some_and(|size| size > limit) {
        return Err(&texts.size);
    }
    Ok((size, body))
}

/// RCPT has no parameter that is acted on here.
///
/// # Errors
/// 555 for any.
pub(crate) fn of_rcpt<'c>(params: Params<'_>, config: &Config<'c>) -> Result<(), &'c Reply<'c>> {
    if params.is_empty() { Ok(()) } else { Err(&config.texts.parameter) }
}

pub(crate) fn body_type(value: &[u8]) -> Option<Body> {
    if same(value, b"7BIT") {
        Some(Body::SevenBit)
    } else if same(value, b"8BITMIME") {
        Some(Body::EightBitMime)
    } else {
        None
    }
}
