//! `host:port`, as the command line has it.

use std::fmt;

/// Where to listen, or to connect to.
pub(crate) struct Address {
    pub(crate) host: String,
    pub(crate) port: u16,
}

impl Address {
    /// An IPv6 address may be in brackets.
    ///
    /// # Errors
    /// What of it is wrong.
    pub(crate) fn parse(spec: &str) -> Result<Self, &'static str> {
        let (host, port) = spec.rsplit_once(':').ok_or("spec")?;
        let port = port.parse().map_err(|_| "port")?;
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        Ok(Self { host: host.to_owned(), port })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}
