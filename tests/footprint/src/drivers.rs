//! Firmware with one session over I/O of which the compiler knows nothing: by the least loop that will do, and by each
//! adapter. What an adapter costs is the difference. This file counts for none of them. With `tables`, the adapters'
//! functions are given away instead.

// What a feature does not need is there all the same.
#![allow(dead_code)]

#[allow(unused_imports)]
use crate::small::{REFUSAL, Small};

/// The row that the others are compared with: no time, no error, no end that comes too early.
#[cfg(feature = "least")]
pub mod least {
    use core::hint::black_box;
    use core::task::Waker;

    use smtpd_core::server::{Config, Peer, Progress, Session, step};

    #[inline(never)]
    pub fn all() {
        let config = Config::new(black_box("mx.example.org"));
        let mut session = Session::new(black_box(&config), black_box(Peer::default()));
        let mut input: &[u8] = black_box(b"");
        loop {
            match step(&mut session, &mut input, &mut super::Small, Waker::noop()) {
                Progress::Moved => continue,
                Progress::Closed => return,
                _ => {}
            }
            session.sent(black_box(session.output()).len());
            input = black_box(b"");
        }
    }
}

/// A line over embedded-io, and a clock.
#[cfg(feature = "io")]
pub mod io {
    use core::hint::black_box;

    use embedded_io::{ErrorKind, ErrorType, Read, ReadReady, Write, WriteReady};
    #[cfg(not(feature = "tables"))]
    use smtpd_core::server::{Config, Peer, Session};
    use smtpd_io::Timer;

    pub struct Wire;

    impl ErrorType for Wire {
        type Error = ErrorKind;
    }

    impl Read for Wire {
        fn read(&mut self, octets: &mut [u8]) -> Result<usize, ErrorKind> {
            black_box(octets);
            black_box(Ok(0))
        }
    }

    impl Write for Wire {
        fn write(&mut self, octets: &[u8]) -> Result<usize, ErrorKind> {
            black_box(octets);
            black_box(Ok(0))
        }
        fn flush(&mut self) -> Result<(), ErrorKind> {
            black_box(Ok(()))
        }
    }

    impl ReadReady for Wire {
        fn read_ready(&mut self) -> Result<bool, ErrorKind> {
            black_box(Ok(false))
        }
    }

    impl WriteReady for Wire {
        fn write_ready(&mut self) -> Result<bool, ErrorKind> {
            black_box(Ok(false))
        }
    }

    pub struct Clock;

    impl Timer for Clock {
        fn now(&self) -> u32 {
            black_box(0)
        }
        fn wait(&self) {
            black_box(());
        }
    }

    #[cfg(feature = "tables")]
    pub fn all() {
        use core::net::SocketAddr;

        use smtpd_core::relay::Relay;
        use smtpd_core::server::Handler;
        use smtpd_io::{Connect, Polled, Upstream};

        type Session = smtpd_core::server::Session<'static>;

        struct Network;

        impl Connect for Network {
            type Io = Wire;
            type Error = ErrorKind;
            fn connect(&mut self, leg: usize, address: SocketAddr) -> Result<Wire, ErrorKind> {
                black_box((leg, &address));
                black_box(Ok(Wire))
            }
        }

        type Ends = &'static mut [Upstream<'static, Wire>];
        type Line = &'static mut Wire;
        entries![
            smtpd_io::serve as (Line, &'static mut Session, &'static mut dyn Handler, &'static dyn Timer, _),
            smtpd_io::serve_relay
                as (
                    Line,
                    &'static mut Session,
                    &'static mut dyn Relay<Output = heapless::Vec<u8, 2048>>,
                    Ends,
                    &'static mut Network,
                    &'static dyn Timer,
                    _
                ),
            Read::read as (&'static mut Polled<Wire>, _),
            Write::write as (&'static mut Polled<Wire>, _),
            Write::flush as (&'static mut Polled<Wire>),
        ];
        black_box(black_box(core::ptr::null_mut::<()>()) as *mut dyn Timer);
    }

    #[cfg(not(feature = "tables"))]
    #[inline(never)]
    pub fn all() {
        let config = Config::new(black_box("mx.example.org"));
        let mut session = Session::new(black_box(&config), black_box(Peer::default()));
        let mut buffer = black_box([0; 64]);
        let _ = black_box(smtpd_io::serve(&mut Wire, &mut session, &mut super::Small, &Clock, &mut buffer));
    }
}

/// The same, awaited.
#[cfg(feature = "io-async")]
pub mod io_async {
    use core::future::{Future, poll_fn};
    use core::hint::black_box;
    use core::pin::pin;
    use core::task::Poll;
    #[cfg(not(feature = "tables"))]
    use core::task::{Context, Waker};

    use embedded_io::ErrorKind;
    use embedded_io_async::{Read, Write};
    use smtpd_core::server::{Answer, AsyncHandler, Config, Flow, Peer, Rcpt, Session};
    use smtpd_io::AsyncTimer;

    use super::io::{Clock, Wire};

    impl Read for Wire {
        async fn read(&mut self, octets: &mut [u8]) -> Result<usize, ErrorKind> {
            black_box(octets);
            poll_fn(|_| black_box(Poll::Ready(Ok(0)))).await
        }
    }

    impl Write for Wire {
        async fn write(&mut self, octets: &[u8]) -> Result<usize, ErrorKind> {
            black_box(octets);
            poll_fn(|_| black_box(Poll::Ready(Ok(0)))).await
        }
        async fn flush(&mut self) -> Result<(), ErrorKind> {
            poll_fn(|_| black_box(Poll::Ready(Ok(())))).await
        }
    }

    impl AsyncTimer for Clock {
        async fn after(&self, millis: u32) {
            black_box(millis);
            poll_fn(|_| black_box(Poll::Ready(()))).await;
        }
    }

    /// Awaits before it answers.
    struct Slow;

    impl AsyncHandler for Slow {
        async fn rcpt(&mut self, rcpt: Rcpt<'_>) -> Answer<'_> {
            black_box(&rcpt);
            poll_fn(|_| black_box(Poll::Ready(()))).await;
            if rcpt.params.is_empty() { Answer::Accept } else { Answer::Reply(super::REFUSAL) }
        }
        async fn text(&mut self, octets: &[u8]) -> Flow<'_> {
            black_box(octets);
            poll_fn(|_| black_box(Poll::Ready(()))).await;
            if octets.is_empty() { Flow::Refuse(super::REFUSAL) } else { Flow::Continue }
        }
        async fn message(&mut self, recipient: u16) -> Answer<'_> {
            if black_box(recipient) == 0 { Answer::Accept } else { Answer::Later }
        }
    }

    #[inline(never)]
    pub fn all() {
        let config = Config::new(black_box("mx.example.org"));
        let mut session = Session::new(black_box(&config), black_box(Peer::default()));
        let (mut buffer, mut output) = (black_box([0; 64]), black_box([0; 512]));
        #[cfg(any(feature = "io-plain", feature = "tables"))]
        run(smtpd_io::serve_plain(&mut Wire, &mut session, &mut super::Small, &Clock, &mut buffer, &mut output));
        #[cfg(any(not(feature = "io-plain"), feature = "tables"))]
        run(smtpd_io::serve_async(&mut Wire, &mut session, &mut Slow, &Clock, &mut buffer, &mut output));
        black_box(&mut output);
    }

    /// Gives it away, to be polled by anybody at any time.
    #[cfg(feature = "tables")]
    fn run<T>(future: impl Future<Output = T>) {
        black_box(pin!(future) as core::pin::Pin<&mut dyn Future<Output = T>>);
    }

    #[cfg(not(feature = "tables"))]
    fn run<F: Future>(future: F) {
        let mut future = pin!(future);
        while black_box(future.as_mut().poll(&mut Context::from_waker(Waker::noop()))).is_pending() {}
    }
}

/// Two sockets of a stack.
#[cfg(feature = "nal")]
pub mod nal {
    use core::hint::black_box;
    use core::net::{Ipv4Addr, SocketAddr};

    use embedded_nal::{TcpClientStack, TcpError, TcpErrorKind, TcpFullStack, nb};

    struct Stack;

    #[derive(Debug)]
    struct Failed;

    impl TcpError for Failed {
        fn kind(&self) -> TcpErrorKind {
            TcpErrorKind::Other
        }
    }

    const CLIENT: SocketAddr = SocketAddr::new(core::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 25);

    impl TcpClientStack for Stack {
        type TcpSocket = u8;
        type Error = Failed;

        fn socket(&mut self) -> Result<u8, Failed> {
            black_box(Ok(0))
        }
        fn connect(&mut self, socket: &mut u8, remote: SocketAddr) -> nb::Result<(), Failed> {
            black_box((socket, &remote));
            black_box(Ok(()))
        }
        fn send(&mut self, socket: &mut u8, octets: &[u8]) -> nb::Result<usize, Failed> {
            black_box((socket, octets));
            black_box(Ok(0))
        }
        fn receive(&mut self, socket: &mut u8, octets: &mut [u8]) -> nb::Result<usize, Failed> {
            black_box((socket, octets));
            black_box(Ok(0))
        }
        fn close(&mut self, socket: u8) -> Result<(), Failed> {
            black_box(socket);
            black_box(Ok(()))
        }
    }

    impl TcpFullStack for Stack {
        fn bind(&mut self, socket: &mut u8, port: u16) -> Result<(), Failed> {
            black_box((socket, port));
            black_box(Ok(()))
        }
        fn listen(&mut self, socket: &mut u8) -> Result<(), Failed> {
            black_box(socket);
            black_box(Ok(()))
        }
        fn accept(&mut self, socket: &mut u8) -> nb::Result<(u8, SocketAddr), Failed> {
            black_box(socket);
            black_box(Ok((1, CLIENT)))
        }
    }

    #[cfg(feature = "tables")]
    pub fn all() {
        type Server = smtpd_nal::Server<'static, Stack, &'static mut dyn smtpd_core::server::Handler, 2, 256, 512, 512>;
        entries![
            Server::new as (_, _),
            Server::bind as (_, &'static mut Stack, _),
            Server::poll as (_, &'static mut Stack, _, _),
            Server::stop as (_, &'static mut Stack),
            Server::listener as (_),
            Server::connections as (_),
            Server::handlers as (_),
        ];
    }

    #[cfg(not(feature = "tables"))]
    #[inline(never)]
    pub fn all() {
        use core::task::Waker;

        use super::Small;

        let config = smtpd_core::server::Config::new(black_box("mx.example.org"));
        let mut server = smtpd_nal::Server::<_, _, 2, 256, 512, 512>::new(black_box(&config), [Small, Small]);
        let _ = black_box(server.bind(&mut Stack, black_box(25)));
        while black_box(server.poll(&mut Stack, black_box(0), Waker::noop())).is_ok() {}
        let _ = black_box(server.stop(&mut Stack));
    }
}
