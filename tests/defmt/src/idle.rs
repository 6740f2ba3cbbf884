//! A line and a stack on which nothing ever happens.

use core::net::SocketAddr;

use embedded_io::{ErrorKind, ErrorType, Read, Write};
use embedded_nal::{TcpClientStack, TcpError, TcpErrorKind, TcpFullStack, nb};

pub struct Line;

impl ErrorType for Line {
    type Error = ErrorKind;
}

impl Read for Line {
    fn read(&mut self, _: &mut [u8]) -> Result<usize, ErrorKind> {
        Err(ErrorKind::TimedOut)
    }
}

impl Write for Line {
    fn write(&mut self, _: &[u8]) -> Result<usize, ErrorKind> {
        Err(ErrorKind::TimedOut)
    }
    fn flush(&mut self) -> Result<(), ErrorKind> {
        Ok(())
    }
}

/// Takes a port.
pub struct Stack;

#[derive(Debug)]
pub struct Never;

impl TcpError for Never {
    fn kind(&self) -> TcpErrorKind {
        TcpErrorKind::Other
    }
}

impl TcpClientStack for Stack {
    type TcpSocket = ();
    type Error = Never;

    fn socket(&mut self) -> Result<(), Never> {
        Ok(())
    }
    fn connect(&mut self, _: &mut (), _: SocketAddr) -> nb::Result<(), Never> {
        Err(nb::Error::WouldBlock)
    }
    fn send(&mut self, _: &mut (), _: &[u8]) -> nb::Result<usize, Never> {
        Err(nb::Error::WouldBlock)
    }
    fn receive(&mut self, _: &mut (), _: &mut [u8]) -> nb::Result<usize, Never> {
        Err(nb::Error::WouldBlock)
    }
    fn close(&mut self, (): ()) -> Result<(), Never> {
        Ok(())
    }
}

impl TcpFullStack for Stack {
    fn bind(&mut self, _: &mut (), _: u16) -> Result<(), Never> {
        Ok(())
    }
    fn listen(&mut self, _: &mut ()) -> Result<(), Never> {
        Ok(())
    }
    fn accept(&mut self, _: &mut ()) -> nb::Result<((), SocketAddr), Never> {
        Err(nb::Error::WouldBlock)
    }
}
