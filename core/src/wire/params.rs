#![allow(missing_docs)]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Params<'l>(&'l [u8]);
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Param<'l> {
    pub keyword: &'l [u8],
    pub value: Option<&'l [u8]>,
}
impl Param<'_> {
    pub fn is(&self, keyword: &str) -> bool {
        self.keyword.eq_ignore_ascii_case(keyword.as_bytes())
    }
}
pub struct ParamsIter<'l>(&'l [u8]);
impl<'l> Iterator for ParamsIter<'l> {
    type Item = Param<'l>;
    fn next(&mut self) -> Option<Param<'l>> {
        None
    }
}
impl<'l> Params<'l> {
    pub fn parse(o: &'l [u8]) -> Option<Params<'l>> {
        Some(Self(o))
    }
    pub fn iter(&self) -> ParamsIter<'l> {
        ParamsIter(self.0)
    }
    pub fn as_octets(&self)->&[u8]{self.0} pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
pub fn number(_: &[u8]) -> Option<u32> {
    None
}
