//! `smtpd -c DebuggingServer` in a few lines: prints every mail that comes to port 1025.
//!
//! `cargo run --example debugging_server`, then `swaks --server localhost:1025 --to you@example.org`.

use smtpd_std::{Config, Form, Messages, Printer, Server};

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let server = Server::bind("localhost:1025", Config::new("localhost")).await?;
    let stopper = server.stopper();
    let printer = Printer::new(std::io::stdout(), Form::Bytes, move |_| stopper.stop_now())?;
    server.run(move |_| Messages::new(printer.clone())).await;
    Ok(())
}
