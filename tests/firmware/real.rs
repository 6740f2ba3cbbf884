//! Real clients send mails to the mailbox; what is kept is compared with what was sent.

use libtest_mimic::{Completion, Failed};

use crate::kinds::shown;
use crate::mails;
use crate::programs::{Client, Headers};
use crate::spool::{OWN, lines, report, start};

/// The mails that fit, to addresses that the board has.
pub(crate) fn mails() -> Vec<mails::Mail> {
    let fits = |mail: &mails::Mail| mail.text.len() < 8_192;
    let own = |mut mail: mails::Mail| {
        mail.to.iter_mut().zip(OWN).for_each(|(to, own)| *to = own.into());
        // Some send to the header's address too.
        let text = String::from_utf8(mail.text).expect("UTF-8").replace("one@example.org", OWN[0]);
        mail.text = text.into_bytes();
        mail
    };
    mails::all().into_iter().filter(fits).map(own).collect()
}

/// One mail, by one program.
pub(crate) fn delivers(client: &'static Client, mail: &mails::Mail) -> Result<Completion, Failed> {
    let Some(program) = client.program() else { return Ok(Completion::ignored_with(client.missing())) };
    if let Some(reason) = client.skips(mail) {
        return Ok(Completion::ignored_with(reason));
    }
    let (recipients, text) = client.sends(mail);
    if recipients != mail.to {
        return Ok(Completion::ignored_with("it makes up its recipients, and the board has a table"));
    }
    let board = start("mailbox")?;
    program.send(board.port, mail)?;
    let kept = report(&board)?;
    let [kept] = &kept[..] else { return Err(format!("{} mails are kept", kept.len()).into()) };
    let to: Vec<String> = recipients.iter().map(|to| shown(to.as_bytes())).collect();
    if kept.from != shown(mails::FROM.as_bytes()) || kept.to != to {
        return Err(format!("from {} to {:?}", kept.from, kept.to).into());
    }
    let is_whole = match client.headers {
        Headers::Mail => kept.text == lines(&text),
        Headers::Client => kept.text.ends_with(&lines(mails::body(&text))),
    };
    is_whole.then_some(Completion::Completed).ok_or_else(|| format!("kept: {:#?}", kept.text).into())
}
