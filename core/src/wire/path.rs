#![allow(missing_docs)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Mailbox<'l>(&'l [u8]);
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ReversePath<'l> {
    Null,
    Mailbox(Mailbox<'l>),
}
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ForwardPath<'l> {
    Postmaster(&'l [u8]),
    Mailbox(Mailbox<'l>),
}
impl<'l> Mailbox<'l> {
    pub fn as_octets(&self) -> &'l [u8] {
        self.0
    }
}
pub struct BadPath;
impl<'l> ReversePath<'l> { pub fn as_octets(&self)->&[u8]{match self{Self::Null=>b"",Self::Mailbox(m)=>m.as_octets()}} 
    pub fn parse(o: &'l [u8]) -> Result<(Self, &'l [u8]), BadPath> {
        let p = o.iter().position(|c| *c == b'>').ok_or(BadPath)?;
        let (a, b) = o.split_at_checked(p + 1).ok_or(BadPath)?;
        Ok((Self::Mailbox(Mailbox(a)), b))
    }
}
impl<'l> ForwardPath<'l> { pub fn as_octets(&self)->&[u8]{match self{Self::Postmaster(p)=>p,Self::Mailbox(m)=>m.as_octets()}} 
    pub fn parse(o: &'l [u8]) -> Result<(Self, &'l [u8]), BadPath> {
        let p = o.iter().position(|c| *c == b'>').ok_or(BadPath)?;
        let (a, b) = o.split_at_checked(p + 1).ok_or(BadPath)?;
        Ok((Self::Mailbox(Mailbox(a)), b))
    }
}
pub fn is_domain(o: &[u8]) -> bool {
    !o.is_empty()
}
pub fn is_address_literal(o: &[u8]) -> bool {
    !o.is_empty()
}
pub fn is_hello_name(o: &[u8]) -> bool {
    !o.is_empty()
}
